"""The process of a gateway: the admin API always, the gateway itself once the server is initialised.

A server without an anchor, an identifier and a token starts too: an administrator gives it these over the admin API, and
the gateway begins in the same process. Read `Host.start` for the order.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import time
from typing import TYPE_CHECKING

import aiohttp
import msgspec

from certs.edges.tokenfiles import write_whole
from certs.tokens import SOFTWARE_TOKEN_ID
from gateway.admin.api import make_api
from gateway.app import Gateway, utc_now
from gateway.edges.configuration import ConfigurationClient, ConfigurationSettings
from gateway.serverconf.store import ServerConfStore
from schemas.faults import Fault
from serving.authentication import Clock
from serving.logins import Logins
from serving.tlsfiles import load_or_make_credentials

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from certs.configuration import TrustedConfiguration
    from gateway.config import Settings
    from gateway.datafolder import DataFolder
    from schemas.identifiers import ServerId
    from serving.adminsettings import AdminSettings

log = logging.getLogger("gateway.host")

FIRST_ANCHOR = "first-anchor.xml"


class Host:
    """Runs the admin API and, when there is something to run, the gateway."""

    def __init__(
        self,
        folder: DataFolder,
        settings: Settings,
        pin: str | None,
        *,
        environ: Mapping[str, str] | None = None,
        signer_arguments: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.settings = settings
        self._pin = pin
        self._environ = environ or {}
        self._signer_arguments = signer_arguments
        folder.root.mkdir(parents=True, exist_ok=True)
        self.store = ServerConfStore(folder.serverconf)
        self.gateway: Gateway | None = None
        self._foundation: ConfigurationClient | None = None
        self.logins = Logins(folder.root / "admin.sqlite")
        self._admin = _with_host(settings)
        clock = Clock(utc_now, time.monotonic)
        self.api = make_api(self, self._admin, self.logins, clock, self._environ)

    async def start(self) -> None:
        """Start the gateway if the server is initialised, then listen for administrators."""
        self._session = aiohttp.ClientSession(trust_env=False, cookie_jar=aiohttp.DummyCookieJar())
        if self.store.is_initialised():
            await self._begin()
        elif self._anchor_file.exists():
            self._foundation = self._client(self._anchor_file.read_bytes())
            await self._foundation.load()
            with contextlib.suppress(Fault):
                await self._foundation.refresh()
        if self._admin.port:
            address = self._admin.host or "localhost"
            await self.api.start(load_or_make_credentials(self.folder.tls, "admin", address))
        if self.gateway is None:
            log.warning(
                "not initialised: waiting for an administrator",
                extra={"event": "uninitialised", "admin": f"https://{self._admin.host}:{self._admin.port}"},
            )

    async def stop(self) -> None:
        """Stop taking changes, then let exchanges end."""
        await self.api.stop()
        if self.gateway is not None:
            await self.gateway.stop()
        await self._session.close()
        self.logins.close()
        self.store.close()

    # What the admin API asks of the process

    def configuration(self) -> TrustedConfiguration | None:
        """The global configuration in force."""
        client = self._foundation if self.gateway is None else self.gateway.configuration_client
        return None if client is None else client.current

    def anchor(self) -> bytes | None:
        """The anchor in use."""
        if self.store.is_initialised():
            return self.store.anchor()
        return self._anchor_file.read_bytes() if self._anchor_file.exists() else None

    async def take_anchor(self, anchor: bytes) -> None:
        """Fetch and prove a configuration by a first anchor; only then is the anchor kept."""
        client = self._client(anchor)
        await client.refresh()
        write_whole(self._anchor_file, anchor, mode=0o644)
        self._foundation = client

    async def replace_anchor(self, anchor: bytes) -> None:
        """Fetch and prove a configuration by another anchor; only then does it take the old one's place."""
        client = self._client(anchor)
        await client.refresh()
        if self.store.is_initialised():
            self.store.replace_anchor(anchor)
            await self.restart()
        else:
            write_whole(self._anchor_file, anchor, mode=0o644)
            self._foundation = client

    async def initialise(self, server: ServerId, pin: str | None) -> None:
        """Become a security server: identifier and owner in one transaction, then the token, then begin."""
        anchor = self.anchor()
        if anchor is None:
            raise LookupError("there is no anchor")
        self.store.initialise(server, anchor, owner_added_at=utc_now())
        # On disk now: a server without a token. A crash here leaves one that takes its PIN with the next initialisation.
        await self._begin(make_token_with=pin)
        self._anchor_file.unlink(missing_ok=True)

    async def restart(self) -> None:
        """Begin anew with what is on the disk now."""
        if self.gateway is not None:
            await self.gateway.stop()
            self.gateway = None
        await self._begin()

    # Parts of the above

    @property
    def _anchor_file(self) -> Path:
        return self.folder.root / FIRST_ANCHOR

    def _client(self, anchor: bytes) -> ConfigurationClient:
        trust = self.settings.trust
        return ConfigurationClient(
            anchor,
            self.folder.globalconf,
            self._session,
            clock=utc_now,
            settings=ConfigurationSettings(
                trust.configuration_poll_s, trust.configuration_conditional_poll_s, trust.federations
            ),
        )

    async def _begin(self, *, make_token_with: str | None = None) -> None:
        gateway = Gateway(
            self.folder,
            self.settings,
            None if make_token_with is not None else self._pin,
            environ=self._environ,
            signer_arguments=self._signer_arguments,
        )
        await gateway.start()
        self.gateway = gateway
        self._foundation = None
        if make_token_with is not None:
            await gateway.keys.initialise_token(SOFTWARE_TOKEN_ID, make_token_with)
            # The operator's PIN, had one been given for this start, was for no token; from now on this one is right.
            self._pin = make_token_with


def _with_host(settings: Settings) -> AdminSettings:
    """Where the admin API listens: as told, else where consumer systems connect if only this machine can."""
    admin, consumers = settings.admin, settings.listen.consumer_host
    if admin.host:
        return admin
    try:
        local = ipaddress.ip_address(consumers).is_loopback
    except ValueError:
        local = False
    return msgspec.structs.replace(admin, host=consumers if local else "127.0.0.1")
