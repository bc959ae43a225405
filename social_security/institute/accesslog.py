"""Who looked at my data: the person's own view of the access log, and the guarantor's, which hides nothing.

A hidden row appears to the person the day after its end date. Nobody's name is in it: the acting user stays a local id at
the institute, which the guarantor sees and the person does not.

Spec: the domain reference 4.7, 5.2 (RegistroAcceso), 5.7; S09.
"""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from social_security.domain.faults import DomainError, concerning
from social_security.domain.ranges import parse_days, parse_moments
from social_security.institute.refusedattempts import take_refusals
from social_security.wire.recordproofs import AccessLine, check_proofs, gather_proofs
from social_security.wire.service import DomainAnswer, DomainRequest

if TYPE_CHECKING:
    from social_security.domain.edition import Edition
    from social_security.institute.services import InstituteServices

MAX_ROWS = 1000


class Used(Protocol):
    """A row of an access log as it is shown, at an institute and at the registry alike."""

    @property
    def at(self) -> datetime:
        """When the data were asked for, aware."""
        ...

    @property
    def action(self) -> str:
        """The operation by which the data were asked for."""
        ...

    @property
    def receiver(self) -> str:
        """The member that received the data."""
        ...

    @property
    def receiver_system(self) -> str:
        """The receiving member's system (its subsystem's code)."""
        ...

    @property
    def purpose(self) -> str:
        """The code of the purpose, as ``PUR-HIST``."""
        ...

    @property
    def basis(self) -> str:
        """The legal basis named first."""
        ...

    @property
    def categories(self) -> tuple[str, ...]:
        """Kinds of data that left."""
        ...

    @property
    def case(self) -> str:
        """The case for which the data were asked."""
        ...

    @property
    def message_id(self) -> str:
        """The id of the message between gateways that asked."""
        ...

    @property
    def outcome(self) -> str:
        """The outcome, as ``NEGADO`` for a refusal."""
        ...


async def find_usage(services: InstituteServices, request: DomainRequest) -> DomainAnswer:
    """``findUsage``: one page of the person's accesses, newest first, and how many there are; the gateway's refusals too.

    With ``proofs`` also the proofs out of the gateway's signed log: of the messages that it names, or of all on the page.
    """
    subject = services.subject(request)
    body = request.body
    with concerning(subject.pid):
        await take_refusals(services)
        start, end = parse_moments(body, "periodStart", "periodEnd")
        check_proofs(body)
    total, rows = services.persons.accesses(
        subject.pid,
        today=request.today,
        start=start,
        end=end,
        offset=body.get("offset", 0),
        limit=body.get("limit", MAX_ROWS),
    )
    answer: dict[str, Any] = {
        "totalUsages": total,
        "usages": [render_usage(services.edition, a) for a in rows],
    }
    if "proofs" in body:
        chosen = body["proofs"]
        if chosen:
            _, rows = services.persons.accesses(subject.pid, today=request.today, message_ids=chosen)
        answer["proofs"] = await gather_proofs(
            services.gateway, [AccessLine(a.action, a.message_id, a.at) for a in rows]
        )
    return DomainAnswer(answer, categories=("bitacora",), subject=subject.pid)


async def inspect(services: InstituteServices, request: DomainRequest) -> DomainAnswer:
    """``inspeccion``: metadata of every access in a range, for the guarantor of this state, by case only. Raises `DomainError` (SS-210, SS-205)."""
    body = request.body
    if request.context.member not in (services.guarantor, "MX/GAR/00-SABG"):
        raise DomainError("SS-210", "sólo la autoridad garante competente", "the competent guarantor only")
    if body["caso"] != request.context.case:
        raise DomainError(
            "SS-205", "sin caso no hay inspección", "no inspection without its case", field="caso"
        )
    first, last = parse_days(body)
    await take_refusals(services)
    rows = services.persons.accesses_between(
        datetime.combine(first, time.min, services.zone),
        datetime.combine(last + timedelta(days=1), time.min, services.zone),
    )
    shown = [
        render_usage(services.edition, a)
        | {"localUser": a.local_user, "pid": a.pid, "hiddenBasis": a.hidden_basis}
        for a in rows[:MAX_ROWS]
    ]
    return DomainAnswer(
        {"caso": body["caso"], "total": len(rows), "registros": shown}, categories=("bitacora",)
    )


def render_usage(edition: Edition, a: Used) -> dict[str, Any]:
    """One row as ``findUsage`` shows it (Data Tracker shape)."""
    code = a.receiver.rpartition("/")[2]
    return {
        "logtime": a.at.isoformat(),
        "action": a.action,
        "receiverCode": a.receiver,
        "receiverName": edition.members[code].full_name if code in edition.members else code,
        "receiverSystem": a.receiver_system,
        "purpose": a.purpose,
        "legalBasis": a.basis,
        "categories": list(a.categories),
        "caseId": a.case,
        "messageId": a.message_id,
        "outcome": a.outcome,
    }
