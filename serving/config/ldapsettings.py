"""Which LDAP directory may say who an administrator is, and what its groups are worth here. Times are seconds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import msgspec

from serving.config.oidcsettings import ALL
from serving.config.secret import SecretSource
from serving.errors import OperatorError
from serving.language import N_

if TYPE_CHECKING:
    from collections.abc import Collection

PORTS = {"ldaps": 636, "ldap": 389}
_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")


class LdapSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An LDAP directory; without a URL there is none. Users of the server's own go before it."""

    # ldaps://HOST[:636], or ldap://HOST[:389], which goes on in TLS (StartTLS) before anything else is said.
    url: str = ""
    # A file with CA certificates for the directory's TLS, where the system does not know them.
    trusted_ca: str = ""
    # As whom entries are looked up; empty: as nobody.
    bind_dn: str = ""
    bind_password: SecretSource = SecretSource()
    # Below what people are, which attribute is the name they type, and what else their entries have: `{ objectClass = "person" }`.
    user_base: str = ""
    user_attribute: str = "uid"
    user_has: dict[str, str] = {}
    # Groups are the values of this attribute of a person's entry, or, where a base is given, the entries below it of which the person's
    # name (DN) is a member.
    groups_attribute: str = "memberOf"
    group_base: str = ""
    group_member_attribute: str = "member"
    # DN of a group -> roles here, or all. A group that is not named gives nothing; without a role nobody gets in.
    roles: dict[str, tuple[str, ...]] = {}
    # How long the directory may take for a whole login.
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=120)] = 10.0
    # A session ends after so long whatever happens, so that what the directory took away is gone here too.
    session_s: Annotated[float, msgspec.Meta(gt=0)] = 28_800.0

    @property
    def is_set(self) -> bool:
        """Whether there is a directory."""
        return bool(self.url)

    def place(self) -> tuple[str, int, bool]:
        """Host, port, and whether TLS begins with the connection."""
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or PORTS[parts.scheme], parts.scheme == "ldaps"

    def check(self, known: Collection[str]) -> None:
        """Refuse what cannot work; ``known`` are the roles of this server. Raises `OperatorError`."""
        for name in ("user_base", "roles"):
            if not getattr(self, name):
                raise OperatorError(N_("admin.ldap.{name} is needed for logins with a directory", name=name))
        try:
            parts = urlsplit(self.url)
            whole = parts.scheme in PORTS and parts.hostname and parts.port != 0
        except ValueError:
            whole = False
        if not whole or parts.path.strip("/") or parts.query or parts.fragment or parts.username:
            raise OperatorError(
                N_(
                    "admin.ldap.url must be ldaps://HOST[:PORT] or ldap://HOST[:PORT], not {url!r}",
                    url=self.url[:200],
                )
            )
        if self.bind_dn and not self.bind_password.is_set:
            raise OperatorError(N_("admin.ldap.bind_password is needed for admin.ldap.bind_dn"))
        for name in (self.user_attribute, self.groups_attribute, self.group_member_attribute, *self.user_has):
            if not _ATTRIBUTE.fullmatch(name):
                raise OperatorError(
                    N_(
                        "admin.ldap names the attribute {name!r}, which is no name of an attribute",
                        name=name[:80],
                    )
                )
        named = {role for roles in self.roles.values() for role in roles}
        if unknown := sorted(named - {*known, ALL}):
            raise OperatorError(
                N_(
                    "admin.ldap.roles names unknown roles: {unknown}; there are {known}, {all}",
                    unknown=", ".join(unknown),
                    known=", ".join(sorted(known)),
                    all=ALL,
                )
            )
