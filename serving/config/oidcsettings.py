"""Which OpenID provider may say who an administrator is, and what its claims are worth here. Times are seconds."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import msgspec

from serving.config.secret import SecretSource
from serving.errors import OperatorError
from serving.language import N_

if TYPE_CHECKING:
    from collections.abc import Collection

ALL = "all"
CALLBACK = "/login/oidc/callback"
# Signatures by a public key alone: a shared secret or none would let somebody else than the provider sign.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519")


class OidcSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An OpenID provider; without an issuer there is none."""

    # The provider's issuer URL, exactly as it writes it; ``/.well-known/openid-configuration`` below it is read.
    issuer: str = ""
    client_id: str = ""
    # Unset: a public client, which proves itself by PKCE alone.
    client_secret: SecretSource = SecretSource()
    # How browsers reach this server: https://HOST:4000. The provider must know this with /login/oidc/callback behind it.
    public_url: str = ""
    scope: str = "openid profile"
    # The claim that names the person in the audit log; and the one with roles or groups, its path written with dots.
    name_claim: str = "sub"
    roles_claim: str = "roles"
    # Value of that claim -> roles here, or all. A value that is not named gives nothing; without a role nobody gets in.
    roles: dict[str, tuple[str, ...]] = {}
    # A claim with the clients (INST:CLASS:CODE[:SUB]) a login is narrowed to; empty: logins are not narrowed.
    clients_claim: str = ""
    # A file with CA certificates for the provider's own TLS, where the system does not know them.
    trusted_ca: str = ""
    # How far the clocks may be apart.
    leeway_s: Annotated[float, msgspec.Meta(ge=0, le=300)] = 30.0
    # How long a person may take at the provider.
    login_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 300.0
    # A session ends after so long whatever happens, so that what the provider took away is gone here too.
    session_s: Annotated[float, msgspec.Meta(gt=0)] = 28_800.0
    # The provider's keys are read again after so long, and when a token names one that is not known.
    keys_s: Annotated[float, msgspec.Meta(gt=0)] = 600.0

    @property
    def is_set(self) -> bool:
        """Whether there is a provider."""
        return bool(self.issuer)

    @property
    def redirect_url(self) -> str:
        """The address that the provider sends people back to."""
        return self.public_url.rstrip("/") + CALLBACK

    def check(self, known: Collection[str]) -> None:
        """Refuse what cannot work; ``known`` are the roles of this server. Raises `OperatorError`."""
        for name in ("issuer", "client_id", "public_url", "roles"):
            if not getattr(self, name):
                raise OperatorError(
                    N_("admin.oidc.{name} is needed for logins with an OpenID provider", name=name)
                )
        check_url(self.issuer, "admin.oidc.issuer")
        check_url(self.public_url, "admin.oidc.public_url")
        if "openid" not in self.scope.split():
            raise OperatorError(N_("admin.oidc.scope must hold openid, or the provider gives no identity"))
        named = {role for roles in self.roles.values() for role in roles}
        if unknown := sorted(named - {*known, ALL}):
            raise OperatorError(
                N_(
                    "admin.oidc.roles names unknown roles: {unknown}; there are {known}, {all}",
                    unknown=", ".join(unknown),
                    known=", ".join(sorted(known)),
                    all=ALL,
                )
            )


def check_url(url: str, what: str) -> None:
    """Refuse a URL that is not HTTPS; this machine itself may be reached without. Raises `OperatorError`."""
    parts = urlsplit(url)
    local = parts.scheme == "http" and _is_loopback(parts.hostname or "")
    if not (local or (parts.scheme == "https" and parts.hostname)) or parts.fragment:
        raise OperatorError(N_("{what} must be an https URL, not {url!r}", what=what, url=url[:200]))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
