"""The context of a message: who asks, for what, on which basis, for which case; read from the signed headers.

Pure. The gateway has proved the headers belong to the message and decided by policy; here they are read once more and
held against the operation, because a system must not depend on its gateway's settings. ``X-OSS-Rol`` carries what the
XML schema calls ``rolSolicitante``; the REST description lacked it.

Spec: the domain reference 5.1, 5.3, 5.9.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from social_security.domain import pack
from social_security.domain.faults import DomainError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from social_security.domain.pack import PackOperation

_CLIENT: Final = re.compile(r"(MX(?:-TEST)?/(?:GOB|GAR|EXT)/\d{2}-[A-Z0-9]{2,24})/([A-Z0-9]{2,24})", re.ASCII)
_USER: Final = re.compile(r"MX-\d{2}-[A-Z0-9]{2,24}:[A-Za-z0-9._-]{1,40}", re.ASCII)
_CASE: Final = re.compile(r"(PORT|ARCO|EXT|ALTA|NEG|CONS)-(\d{2})-20\d{2}-\d{8}", re.ASCII)
_BASIS: Final = re.compile(r"mx:[A-Z0-9]+(-[0-9A-Z]+){1,4}", re.ASCII)
_NOTICE: Final = re.compile(r"(https://[^ ;]+);sha256=([0-9a-f]{64})", re.ASCII)
_HIDDEN: Final = re.compile(r"(mx:[A-Z0-9]+(?:-[0-9A-Z]+){1,4});hasta=(\d{4}-\d{2}-\d{2})", re.ASCII)


@dataclass(frozen=True, slots=True)
class PrivacyNotice:
    """The privacy notice under which data leaves: address and digest of its text."""

    uri: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Hidden:
    """An access that the person does not see before a date; the guarantor always does."""

    basis: str
    until: date


@dataclass(frozen=True, slots=True)
class MessageContext:
    """Everything a message says about why it is sent. ``member`` is ``MX/GOB/15-ISSEMYM``, ``user`` a local id."""

    member: str
    subsystem: str
    message_id: str
    user: str
    case: str
    purpose: str
    bases: frozenset[str]
    reason: str
    system: str
    role: str
    notice: PrivacyNotice
    policy: str
    hidden: Hidden | None = None

    @property
    def case_type(self) -> str:
        """The kind of case, as ``PORT``."""
        return self.case.partition("-")[0]


def _text(value: str) -> str:
    """A header's value: bytes that are no UTF-8 (lone surrogates here) are the Latin-1 that older clients send (RFC 9110 5.5)."""
    if not any("\udc80" <= c <= "\udcff" for c in value):
        return value
    return value.encode("utf-8", "surrogateescape").decode("latin-1")


def parse_context(headers: Mapping[str, str]) -> MessageContext:
    """The context out of a request's headers (any case). Raises `DomainError` SS-200 or SS-207."""
    values = {name.lower(): _text(value).strip() for name, value in headers.items()}
    client = _matched(values, "X-Road-Client", _CLIENT)
    notice = _matched(values, "X-OSS-Aviso", _NOTICE)
    bases = tuple(b.strip() for b in _needed(values, "X-OSS-Fundamento").split(","))
    if len(bases) > 4 or not all(_BASIS.fullmatch(b) for b in bases):
        raise _missing("X-OSS-Fundamento", "mx:LEY-ARTICULO")
    return MessageContext(
        member=client[1],
        subsystem=client[2],
        message_id=_needed(values, "X-Road-Id"),
        user=_matched(values, "X-Road-UserId", _USER)[0],
        case=_matched(values, "X-Road-Issue", _CASE)[0],
        purpose=_needed(values, "X-OSS-Proposito"),
        bases=frozenset(bases),
        reason=unquote(_needed(values, "X-OSS-Motivo")),
        system=_needed(values, "X-OSS-Sistema"),
        role=_needed(values, "X-OSS-Rol"),
        notice=PrivacyNotice(notice[1], notice[2]),
        policy=_needed(values, "X-OSS-Politica"),
        hidden=_hidden(values.get("x-oss-oculto")),
    )


def check_context(operation: PackOperation, context: MessageContext, policy_in_force: str) -> None:
    """Refuse a context that the operation does not allow, in the order of the policy's evaluation."""
    if context.policy != policy_in_force:
        raise DomainError(
            "SS-203",
            f"vigente {policy_in_force}, recibida {context.policy[:20]}",
            f"in force is {policy_in_force}, {context.policy[:20]} came",
            field="X-OSS-Politica",
        )
    purpose = pack.purposes().get(context.purpose)
    if purpose is None or context.purpose not in operation.purposes:
        raise DomainError(
            "SS-201",
            f"{operation.name} admite {', '.join(sorted(operation.purposes))}",
            f"{operation.name} takes {', '.join(sorted(operation.purposes))}",
            field="X-OSS-Proposito",
        )
    if context.role not in operation.roles:
        raise DomainError(
            "SS-210",
            f"{operation.name} no admite el rol {context.role[:30]}",
            f"{operation.name} does not take the role {context.role[:30]}",
            field="X-OSS-Rol",
        )
    if not any(bases <= context.bases for bases in purpose.legal_bases):
        allowed = " o ".join(" y ".join(sorted(b)) for b in purpose.legal_bases)
        raise DomainError("SS-202", f"se requiere {allowed}", f"needed: {allowed}", field="X-OSS-Fundamento")
    if context.case_type not in purpose.case_types:
        raise DomainError(
            "SS-200",
            f"{context.purpose} requiere un caso {'/'.join(sorted(purpose.case_types))}",
            f"{context.purpose} needs a case of type {'/'.join(sorted(purpose.case_types))}",
            field="X-Road-Issue",
        )


def _hidden(value: str | None) -> Hidden | None:
    if value is None:
        return None
    match = _HIDDEN.fullmatch(value)
    try:
        if match is not None:
            return Hidden(match[1], date.fromisoformat(match[2]))
    except ValueError:
        pass
    raise DomainError(
        "SS-207",
        "se espera fundamento;hasta=AAAA-MM-DD",
        "basis;hasta=YYYY-MM-DD is expected",
        field="X-OSS-Oculto",
    )


def _needed(values: Mapping[str, str], name: str) -> str:
    value = values.get(name.lower(), "")
    if not value:
        raise _missing(name, "un valor")
    return value


def _matched(values: Mapping[str, str], name: str, pattern: re.Pattern[str]) -> re.Match[str]:
    match = pattern.fullmatch(_needed(values, name))
    if match is None:
        raise _missing(name, "la forma de la descripción del servicio")
    return match


def _missing(name: str, expected: str) -> DomainError:
    return DomainError(
        "SS-200",
        f"{name} falta o no tiene {expected}",
        f"{name} is missing or not of the form described",
        field=name,
    )
