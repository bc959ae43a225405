"""What a gateway is started with and has on the disk: settings, the configuration database, tokens. All else is built upon it.

Two things in it change while the gateway runs: the settings, by `gateway.server.app.Gateway.reconfigure`, and the server
configuration, which `GatewayState.reload` reads again. Whoever needs them asks for them anew each time.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from certs.edges.profilefiles import load_profiles
from certs.tokens.port import SOFTWARE_TOKEN_ID
from gateway.clients.store import ServerConfStore
from gateway.keys.context import KeyContext
from gateway.keys.devices import give_seal, open_tokens
from gateway.keys.store import KeyConfStore
from gateway.keys.tokens import Tokens
from gateway.messagelog.keys import TOKEN_PURPOSE, KeySecret
from gateway.policies.gate import PolicyGate
from gateway.policies.ledger import PolicyLedger
from gateway.policies.store import PolicyStore
from schemas.faults import TokenFailed
from serving.process.devices import build_devices, build_signers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from cryptography import x509

    from certs.configuration import TrustedConfiguration
    from gateway.clients.model import ServerConf
    from gateway.settings.config import GatewaySettings
    from gateway.settings.datafolder import DataFolder
    from schemas.identifiers import ClientId, ServerId
    from serving.storage.keysafe import KeySafe

log = logging.getLogger("gateway")


def utc_now() -> datetime:
    """The time of this machine's clock, aware, in UTC."""
    return datetime.now(UTC)


class Phase(StrEnum):
    """Whether a gateway is to be sent messages, so far as its start and its end go."""

    STARTING = "starting"
    OPEN = "open"
    STOPPING = "stopping"


class GatewayState:
    """Settings, stores and tokens of one gateway. Opens the configuration database; `close` closes it."""

    def __init__(
        self,
        folder: DataFolder,
        settings: GatewaySettings,
        safe: KeySafe,
        environ: Mapping[str, str],
        signer_arguments: Sequence[str],
    ) -> None:
        self.folder = folder
        self.profiles = load_profiles(folder.root)
        self.settings = settings
        self.safe = safe
        self.environ = environ
        self.store = ServerConfStore(folder.serverconf)
        self.serverconf: ServerConf = self.store.load()
        self.keyconf = KeyConfStore(self.store.database)
        self.ledger = PolicyLedger(self.store.database)
        self.policies = PolicyGate(utc_now, _alert, self.ledger)
        self.policies.swap(PolicyStore(self.store.database).snapshot())
        self.tokens = Tokens(self.keyconf, build_devices(settings.keys, folder.root))
        # The processes that hold tokens serve every worker of this folder.
        self.signers = (
            build_signers("gateway", settings.keys, folder.root, signer_arguments) if folder.is_first else []
        )
        # The generation of the server configuration that everything has been brought up to.
        self.generation_in_use = self.serverconf.generation
        self.phase = Phase.STARTING

    @property
    def server_id(self) -> ServerId:
        """The identifier of this security server; its owner may change while it runs."""
        return self.serverconf.server_id

    def reload(self, conf: ServerConf | None = None) -> None:
        """Take the server configuration and the policies as they are on the disk now; ``conf`` is one just read."""
        self.serverconf = conf or self.store.load()
        self.policies.swap(PolicyStore(self.store.database).snapshot())

    async def read_and_reload(self) -> None:
        """Do as `reload`; the configuration is read in a thread, as there may be thousands of services.

        Where another change was taken meanwhile, what was read may be older than that: it is read again.
        """
        before = read = None
        while read is None or self.serverconf is not before:
            before = self.serverconf
            read = await asyncio.to_thread(self.store.load)
        self.reload(read)

    async def open_tokens(self, pin: str | None) -> None:
        """Log the tokens in whose PINs are known, and give the safe the software token's secret."""
        await open_tokens(self.tokens, self.settings.keys, pin, self.environ)
        await self.give_seal()

    async def log_secret(self) -> KeySecret | None:
        """The secret that opens the message log's keys; None while the software token is not logged in. Raises ValueError."""
        if self.settings.log.secret.is_set:
            return KeySecret.of_operator(self.settings.log.secret.read(self.environ))
        try:
            return KeySecret.of_token(
                await self.tokens.device(SOFTWARE_TOKEN_ID).derive_secret(TOKEN_PURPOSE)
            )
        except TokenFailed:
            return None

    async def give_seal(self) -> None:
        """Give the safe the software token's secret, if that token is logged in."""
        await give_seal(self.tokens, self.safe)

    def is_local_member(self, member: ClientId) -> bool:
        """Whether a member is this server's owner or has a client here."""
        return member == self.server_id.owner or any(c.id.member == member for c in self.serverconf.clients)

    def timestamping_services(self) -> list[tuple[str, str]] | None:
        """Name and URL of each timestamping service in use; None once the last one was removed."""
        if self.store.view.timestamping.are_removed():
            return None
        return [(t.name, t.url) for t in self.store.view.timestamping.all()]

    def key_context(
        self,
        configuration: Callable[[], TrustedConfiguration | None],
        verify: Callable[[x509.Certificate], Awaitable[None]],
    ) -> KeyContext:
        """The ports of key operations to this server."""
        return KeyContext(
            now=utc_now,
            new_id=lambda: secrets.token_hex(20),
            server_id=lambda: self.server_id,
            configuration=configuration,
            is_local_member=self.is_local_member,
            verify=verify,
            key_kinds=self.settings.keys.kinds(),
            has_pin_policy=lambda: self.settings.keys.enforce_pin_policy,
            activates=lambda: self.settings.keys.activate_authentication,
        )

    def close(self) -> None:
        """Close the database of the server configuration."""
        self.store.close()


def _alert(fields: Mapping[str, str]) -> None:
    log.warning("policy", extra=dict(fields))
