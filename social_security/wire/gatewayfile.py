"""What a member's gateway serves of its system, and to whom, as the file that ``gateway apply`` takes. Pure.

Rights are by endpoint: each operation to the subsystems whose work it is, each public reading to those and to ONIESS. The policy
decides once more for every message; without a right here nothing reaches it.

Spec: the domain reference 5.1, 5.7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from social_security.domain import pack
from social_security.wire.wsdl import services_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from social_security.domain.edition import Edition

REGISTRY: Final = "00-RNSS"
ONIESS: Final = "00-ONIESS"
DCI: Final = "dci-v1"
SERVICE: Final = "oss-v1"
_SUBSYSTEMS: Final = {REGISTRY: ("IDENT", "INDICE", "VITAL", "BITACORA"), ONIESS: ("ALTA", "GOBIERNO")}
_INSTITUTE: Final = ("AFIL", "HIST", "PORT", "EXTERNOS", "ARCO", "BITACORA", "VITAL", "SUPERV")
_GUARANTOR: Final = ("SUPERV",)
# Which subsystems of institutes may use the operations of a subsystem.
_CALLERS: Final[dict[str, tuple[str, ...]]] = {
    "IDENT": ("AFIL", "HIST", "PORT", "EXTERNOS", "ARCO"),
    "INDICE": ("AFIL", "HIST", "PORT", "EXTERNOS", "ARCO"),
    "AFIL": ("AFIL",),
    "HIST": ("HIST", "PORT"),
    "PORT": ("PORT",),
    "EXTERNOS": ("EXTERNOS",),
    "ARCO": ("ARCO",),
    "BITACORA": ("BITACORA",),
    "VITAL": ("VITAL",),
    "SUPERV": (),
    "ALTA": (),
    "GOBIERNO": ("AFIL", "PORT"),
}

_OFFICERS: Final = frozenset(("OFICIAL_REGISTRO",))


def subsystems_of(edition: Edition, code: str) -> Sequence[str]:
    """The subsystems of a member."""
    return _SUBSYSTEMS.get(code, _GUARANTOR if edition.is_guarantor(code) else _INSTITUTE)


def render_gateway(edition: Edition, code: str, url: str, callers: Sequence[str]) -> str:
    """The clients, services and rights of a member's gateway (TOML). ``url`` is its system, ``callers`` are members by code."""
    lines: list[str] = []
    for subsystem in subsystems_of(edition, code):
        lines += ["[[client]]", f'id = "{_path(edition, code)}/{subsystem}"', 'connection = "HTTP"']
        if edition.is_guarantor(code):
            continue
        allowed = _callers(edition, code, subsystem, callers)
        lines += ["[[client.service]]", f'code = "{SERVICE}"', f'url = "{url}"']
        for caller in allowed:
            for method, path in _endpoints(subsystem, own=caller.startswith(f"{_path(edition, code)}/")):
                lines += _allow(caller, method, path)
        for method, path in _for_oniess(code, subsystem):
            lines += _allow(f"{_path(edition, ONIESS)}/GOBIERNO", method, path)
        if (code, subsystem) == (REGISTRY, "IDENT"):
            # The DCI adapter decides by itself: its context is in its own envelope.
            lines += ["[[client.service]]", f'code = "{DCI}"', f'url = "{url}"']
            for caller in allowed:
                lines += _allow(caller, "POST", "/registry/sync/search")
        if code != ONIESS:
            lines += _soap_services(subsystem, url, allowed)
    return "\n".join(lines) + "\n"


def _endpoints(subsystem: str, *, own: bool) -> list[tuple[str, str]]:
    """Method and path of every reading and operation of a subsystem, once each; what officers do is for their ``own`` member alone."""
    found = [("GET", "/estado")]
    found += [("GET", e["path"]) for e in pack.services()["public"] if e["subsystem"] == subsystem]
    found += [
        (o.method, _pattern(o.path))
        for o in pack.operations().values()
        if o.subsystem == subsystem and (own or o.roles != _OFFICERS)
    ]
    return list(dict.fromkeys(found))


def _soap_services(subsystem: str, url: str, allowed: Sequence[str]) -> list[str]:
    """The subsystem's services over SOAP; rights to them are whole."""
    lines: list[str] = []
    for name in services_of(subsystem):
        lines += ["[[client.service]]", f'code = "{name}"', 'version = "v1"', 'type = "WSDL"']
        lines += [f'url = "{url}/soap"']
        for caller in allowed:
            lines += ["[[client.service.allow]]", f'subject = "{caller}"']
    return lines


def _for_oniess(code: str, subsystem: str) -> list[tuple[str, str]]:
    """The endpoints (method, path) of a subsystem that ONIESS may call: public reading, and notices of measures."""
    if code == ONIESS:
        return []
    if subsystem == ("INDICE" if code == REGISTRY else "ARCO"):
        reads = [("GET", e["path"]) for e in pack.services()["public"] if e["subsystem"] == subsystem]
        return [*reads, ("POST", "/membresias")] if code == REGISTRY else reads
    return [("POST", "/medidas")] if subsystem == "SUPERV" else []


def _callers(edition: Edition, code: str, subsystem: str, members: Sequence[str]) -> list[str]:
    """The subsystems of ``members`` that may use one of ``code``'s."""
    institutes = [c for c in members if not c.startswith("00-") and not edition.is_guarantor(c)]
    callers = [
        f"{_path(edition, c)}/{calling}" for c in institutes for calling in _CALLERS.get(subsystem, ())
    ]
    guarantors = [f"{_path(edition, c)}/SUPERV" for c in members if edition.is_guarantor(c)]
    if (code, subsystem) == (REGISTRY, "IDENT"):
        callers.append(f"{_path(edition, REGISTRY)}/IDENT")
    if subsystem in ("SUPERV", "ARCO"):
        callers += guarantors
    if subsystem == "VITAL" and code != REGISTRY:
        callers.append(f"{_path(edition, REGISTRY)}/IDENT")
    if subsystem in ("ALTA", "GOBIERNO"):
        callers.append(f"{_path(edition, ONIESS)}/ALTA")
    if subsystem == "GOBIERNO":
        callers += [f"{_path(edition, REGISTRY)}/IDENT", *guarantors]
    return callers


def _path(edition: Edition, code: str) -> str:
    return edition.members[code].path


def _pattern(path: str) -> str:
    return "/".join("*" if part.startswith("{") else part for part in path.split("/"))


def _allow(subject: str, method: str, path: str) -> list[str]:
    return [
        "[[client.service.allow]]",
        f'subject = "{subject}"',
        f'method = "{method}"',
        f'path = "{path}"',
    ]
