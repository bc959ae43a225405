"""Settings of a portal: one frozen value from TOML and the environment (``SACBE_PORTAL_*``)."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import msgspec

from serving.config.oidcsettings import OidcSettings
from serving.config.settings import load_settings
from serving.errors import OperatorError
from serving.language import N_
from serving.storage.keysafe import SealSettings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ENVIRONMENT_PREFIX = "SACBE_PORTAL"


class PortalSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The settings of one portal, from TOML and the environment; an unknown key stops the start."""

    # Whose pages these are: the member's code, as 15-ISSEMYM; a guarantor's makes the guarantor's pages.
    member: str
    # The member's own gateway, as http://127.0.0.1:8080: every reading is a message through it.
    gateway: str
    # What people type, without a path. https unless this is a laptop: without TLS only loopback addresses are taken.
    public_url: str
    host: str = "127.0.0.1"
    port: int = 9080
    # TLS here, with portal.key.json and portal.pem of the data folder; false when a proxy in front ends it.
    tls: bool = False
    # What seals that key; without a secret it is in memory only, and another one after every start.
    seal: SealSettings = SealSettings()
    # Policy version in force.
    policy: str = "1.0.0"
    # For exercises: a file whose content is the time. Empty takes the machine's clock.
    clock_file: str = ""
    # The member codes that a guarantor supervises; empty: the institutes of its own entity.
    supervised: tuple[str, ...] = ()
    # How often what ONIESS publishes is fetched, in seconds.
    publication_s: float = 3600.0
    # A session ends when it was not used for so long.
    session_idle_s: Annotated[float, msgspec.Meta(gt=0)] = 900.0
    # Wrong logins of one account from one address before it is locked, and for how long.
    login_attempts: Annotated[int, msgspec.Meta(ge=1)] = 5
    login_lock_s: Annotated[float, msgspec.Meta(gt=0)] = 300.0
    # Requests from one address; 0 is no limit. Behind a proxy all have one address: let the proxy limit, and set 0 here.
    requests_per_second: Annotated[int, msgspec.Meta(ge=0)] = 20
    requests_per_minute: Annotated[int, msgspec.Meta(ge=0)] = 600
    # The member's own OpenID provider, by which those who work there log in; a role of theirs comes from its claims. A person does not.
    oidc: OidcSettings = OidcSettings()
    log_level: str = "info"

    @property
    def is_secure(self) -> bool:
        """Whether browsers come by TLS."""
        return self.public_url.startswith("https://")

    @property
    def public_host(self) -> str:
        """Host and port as a browser names them."""
        return urlsplit(self.public_url).netloc


def load(path: Path | None, environ: Mapping[str, str]) -> PortalSettings:
    """The settings of a TOML file, overridden by the environment. Raises `OperatorError`."""
    found = load_settings(PortalSettings, path, environ, ENVIRONMENT_PREFIX)
    parts = urlsplit(found.public_url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query:
        raise OperatorError(
            N_(
                "public_url must be https://HOST[:PORT] without a path, not {public_url!r}",
                public_url=found.public_url[:80],
            )
        )
    if not found.is_secure and not _is_loopback(parts.hostname):
        raise OperatorError(
            N_(
                "public_url {public_url!r} is without TLS; only a loopback address may be",
                public_url=found.public_url[:80],
            )
        )
    return found


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
