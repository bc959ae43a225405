"""Refusals of the institute's gateway as rows of the persons' access logs.

Whom an attempt was about is read from its pseudonym or sealed token, whatever the attempt lacked otherwise. An answer that
the gateway held back turns the row that this system wrote for it: nothing left after all. What asked to be hidden and was
refused is not hidden: the order it named was not shown to hold.

Spec: the domain reference 5.2 (RegistroAcceso); S09, S10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from social_security.domain import pack
from social_security.domain.faults import DomainError
from social_security.domain.pseudonyms import Pid, parse_pid
from social_security.institute.stores.persons import Access

if TYPE_CHECKING:
    from serving.storage.transactions import Transaction
    from social_security.institute.services import InstituteServices
    from social_security.wire.gatewayrefusals import GatewayRefusal

_SHORTEST = "no declarado"


async def take_refusals(services: InstituteServices) -> None:
    """Bring the access logs up to date with the gateway. Raises `DomainError` SS-901 when it does not tell."""

    def note(connection: Transaction, refusal: GatewayRefusal) -> None:
        if refusal.reason == "answer_fields":
            services.persons.hold_back(connection, refusal.message_id, refusal.code)
            return
        pid = _subject(services, refusal)
        if pid is not None:
            services.persons.add_access(_row(pid, refusal), connection)

    await services.gateway_refusals.take(note)


def _subject(services: InstituteServices, refusal: GatewayRefusal) -> Pid | None:
    """The person's own PID here; None when the attempt names nobody this institute knows."""
    # Over SOAP the same stands below ``persona``.
    claims = {name.removeprefix("persona."): value for name, value in refusal.claims.items()}
    if "testigo" in claims:
        return services.subject_of_token(claims["testigo"], refusal.at)
    try:
        pid = parse_pid(claims.get("pid", ""))
    except DomainError:
        return None
    if refusal.member == services.member:
        return pid if services.persons.affiliation(pid) is not None else None
    return services.persons.paired(pid, refusal.member)


def _row(pid: Pid, refusal: GatewayRefusal) -> Access:
    claims = refusal.claims
    purpose = claims.get("X-OSS-Proposito", "")
    return Access(
        pid,
        refusal.at,
        refusal.action,
        refusal.member,
        claims.get("X-OSS-Sistema", _SHORTEST),
        purpose if purpose in pack.purposes() else _SHORTEST,
        claims.get("X-OSS-Fundamento", "") or _SHORTEST,
        (),
        claims.get("X-Road-Issue", ""),
        refusal.message_id,
        claims.get("X-Road-UserId", ""),
        "NEGADO",
        refusal.code,
        None,
        None,
    )
