"""What of a registry can be published: one row at fault never stops the configuration of everybody else.

Entrances refuse what XML cannot carry (`schemas.names`); rows written before they did, or into the tables by hand, are
dealt with here. Pure. In the order of what is safe:

- a name, description, notice or address at fault is published with U+FFFD where a character cannot be;
- a code at fault names nobody that others could name: its member, subsystem, server, group or class is left out, and with
  a member all that is its own;
- of a trust service, names and addresses as above, and an ACME server at fault is left out; a profile at fault changes
  what certificates mean, so nothing is published (`ValueError`), as with the instance or the management service.

Every row at fault is named.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import msgspec

from schemas.names import not_in_xml, spelled, without_unprintable
from serving.errors import OperatorError
from serving.language import N_

if TYPE_CHECKING:
    from collections.abc import Iterable

    from central_server.registry.model import RegisteredServer, Registry
    from schemas.globalconf.shared import ApprovedCa, ApprovedTsa, CaInfo, GlobalGroup, Member, MemberClass
    from schemas.identifiers import ClientId
    from serving.language import Text, Translatable

# What a code names, in the sentence that says it is left out.
_LEFT_OUT: Final = {
    "member": N_("member {code} holds {found} in its code and is left out; remove it"),
    "subsystem": N_("subsystem {code} holds {found} in its code and is left out; remove it"),
    "class": N_("member class {code} holds {found} in its code and is left out; remove it"),
    "server": N_("security server {code} holds {found} in its code and is left out; remove it"),
    "group": N_("global group {code} holds {found} in its code and is left out; remove it"),
}


def publishable(registry: Registry) -> tuple[Registry, tuple[Translatable, ...]]:
    """The registry as XML can carry it, and every row at fault, in words. Raises `ValueError` when that cannot be."""
    _check_whole(N_("the instance"), registry.instance)
    _check_whole(N_("the provider of the management services"), registry.management_service.path())
    mending = _Mending()
    members = tuple(mending.member(m) for m in registry.members if mending.keeps("member", m.id.components))
    return (
        replace(
            registry,
            address=mending.text(N_("the central server's address"), registry.address),
            member_classes=tuple(
                mending.member_class(c) for c in registry.member_classes if mending.keeps("class", (c.code,))
            ),
            members=members,
            servers=tuple(
                mending.server(s) for s in registry.servers if mending.keeps("server", s.id.components)
            ),
            groups=tuple(
                mending.group(g) for g in registry.groups if mending.keeps("group", g.id.components)
            ),
            cas=tuple(mending.ca(ca) for ca in registry.cas),
            tsas=tuple(mending.tsa(tsa) for tsa in registry.tsas),
            sources=tuple(
                msgspec.structs.replace(s, address=mending.text(N_("a node's address"), s.address))
                for s in registry.sources
            ),
        ),
        tuple(mending.faults),
    )


def _check_whole(what: Text, text: str) -> None:
    found = not_in_xml(text)
    if found:
        raise OperatorError(
            N_(
                "{what}, {text!r}, holds {found}, which XML cannot carry; correct it",
                what=what,
                text=text,
                found=spelled(found),
            )
        )


def _fits_xml(client: ClientId) -> bool:
    return not any(not_in_xml(component) for component in client.components)


class _Mending:
    """Mends texts and notes what it mended."""

    def __init__(self) -> None:
        self.faults: list[Translatable] = []

    def text(self, what: Text, text: str) -> str:
        """The text with U+FFFD for what XML cannot carry."""
        found = not_in_xml(text)
        if found:
            self.faults.append(
                N_(
                    "{what} holds {found} and is published with U+FFFD instead; correct it",
                    what=what,
                    found=spelled(found),
                )
            )
        return without_unprintable(text)

    def optional(self, what: Text, text: str | None) -> str | None:
        """The same for a text that may be absent."""
        return None if text is None else self.text(what, text)

    def keeps(self, what: str, codes: Iterable[str]) -> bool:
        """Whether what these codes name can be published."""
        named = tuple(codes)
        found = not_in_xml("".join(named))
        if found:
            values = {"code": repr("/".join(named)), "found": spelled(found)}
            self.faults.append(msgspec.structs.replace(_LEFT_OUT[what], values=values))
        return not found

    def member_class(self, found: MemberClass) -> MemberClass:
        return msgspec.structs.replace(
            found,
            description=self.text(
                N_("member class {code}: the description", code=found.code), found.description
            ),
        )

    def member(self, found: Member) -> Member:
        where = found.id.path()
        return msgspec.structs.replace(
            found,
            class_description=without_unprintable(found.class_description),
            name=self.text(N_("member {code}: the name", code=where), found.name),
            subsystems=tuple(
                msgspec.structs.replace(
                    s, name=self.optional(N_("subsystem {code}: the name", code=f"{where}/{s.code}"), s.name)
                )
                for s in found.subsystems
                if self.keeps("subsystem", (*found.id.components, s.code))
            ),
        )

    def server(self, found: RegisteredServer) -> RegisteredServer:
        where = found.id.path()
        return replace(
            found,
            address=self.text(N_("security server {code}: the address", code=where), found.address),
            maintenance=self.optional(
                N_("security server {code}: the notice", code=where), found.maintenance
            ),
            clients=tuple(c for c in found.clients if _fits_xml(c)),
        )

    def group(self, found: GlobalGroup) -> GlobalGroup:
        return msgspec.structs.replace(
            found,
            description=self.text(
                N_("global group {code}: the description", code=found.id.group_code), found.description
            ),
            members=frozenset(c for c in found.members if _fits_xml(c)),
        )

    def ca(self, found: ApprovedCa) -> ApprovedCa:
        named = repr(found.name)
        _check_whole(N_("certification service {name}: the profile", name=named), found.profile)
        acme = found.acme_server
        if acme is not None:
            texts = (
                acme.directory_url,
                acme.ip_address,
                acme.authentication_profile_id,
                acme.signing_profile_id,
            )
            if any(not_in_xml(t or "") for t in texts):
                self.faults.append(
                    N_(
                        "certification service {name}: the ACME server holds what XML cannot carry and is left out",
                        name=named,
                    )
                )
                acme = None
        return msgspec.structs.replace(
            found,
            name=self.text(N_("certification service {name}: the name", name=named), found.name),
            top=self._responders(named, found.top),
            intermediates=tuple(self._responders(named, i) for i in found.intermediates),
            default_csr_format=self.optional(
                N_("certification service {name}: the CSR format", name=named), found.default_csr_format
            ),
            acme_server=acme,
        )

    def _responders(self, named: str, found: CaInfo) -> CaInfo:
        return msgspec.structs.replace(
            found,
            ocsp=tuple(
                msgspec.structs.replace(
                    o, url=self.text(N_("certification service {name}: an address", name=named), o.url)
                )
                for o in found.ocsp
            ),
        )

    def tsa(self, found: ApprovedTsa) -> ApprovedTsa:
        named = repr(found.name)
        return msgspec.structs.replace(
            found,
            name=self.text(N_("timestamping authority {name}: the name", name=named), found.name),
            url=self.text(N_("timestamping authority {name}: the address", name=named), found.url),
        )
