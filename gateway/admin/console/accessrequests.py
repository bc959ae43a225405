"""Who asks for access to a service here: what for, on which legal basis; approved or declined from the same page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from gateway.admin.accessrequests import AccessRequestView
from serving.language import N_, as_it_is
from serving.web.acting import act_cell
from serving.web.blocks import (
    Column,
    Listing,
    PageLink,
    PageNote,
    PageView,
    code,
    link,
    moment,
    phrase,
    several,
    text,
)
from serving.web.formnames import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serving.language import Translatable
    from serving.web.blocks import Cell, Tone
    from serving.web.console import ConsoleRequest

LIST: Final = f"{ROOT}/peticiones"
WAITING: Final = "WAITING"
STATES: Final[dict[str, tuple[Translatable, Tone]]] = {
    WAITING: (N_("to be decided"), "caution"),
    "APPROVED": (N_("approved"), "good"),
    "DECLINED": (N_("declined"), "bad"),
}


async def requests(request: ConsoleRequest) -> PageView:
    """Requests for access: those to be decided, then the others."""
    found = await request.do("get_access_requests", list[AccessRequestView])
    waiting = [r for r in found if r.state == WAITING]
    decided = [r for r in found if r.state != WAITING]
    columns = (
        Column(N_("Asked on"), "fecha"),
        Column(N_("Who asks"), "quien"),
        Column(N_("Service"), "servicio"),
        Column(N_("What for, and on which legal basis")),
        Column(N_("State"), "estado"),
    )
    lead = N_(
        "A request came as a message that its member signed; the message log has it. Nothing is granted by asking."
    )
    return PageView(
        N_("Requests for access"),
        [
            Listing(
                N_("To be decided"),
                (*columns, Column(N_("What can be done"))),
                tuple((*_row(r), _acts(request, r)) for r in waiting),
                N_(
                    "Nobody waits for a decision. Integrators ask from the catalogue, through their own gateway."
                ),
                "pendientes",
            ),
            Listing(
                N_("Decided"),
                (*columns, Column(N_("By whom, and why"))),
                tuple((*_row(r), _decision(r)) for r in decided),
                N_("None was decided yet."),
                "decididas",
            ),
        ],
        lead=lead,
    )


def _row(access: AccessRequestView) -> tuple[Cell, ...]:
    title, tone = STATES.get(access.state, (as_it_is(access.state), "note"))
    message = f"{ROOT}/mensajes?{urlencode({'mensaje': access.message_id})}"
    return (
        several(moment(access.asked_at), link(N_("its message"), message)),
        several(code(access.client), text(access.contact) if access.contact else None),
        several(code(access.service_code), code(access.provider)),
        several(text(access.purpose), text(access.legal_basis)),
        phrase(title, tone),
    )


def _acts(request: ConsoleRequest, access: AccessRequestView) -> Cell:
    named = {"id": str(access.id)}
    judged = {"cliente": access.provider, "consumidor": access.client, "servicio": access.service_code}
    return several(
        act_cell(request, "put_access_requests_id_approve", N_("Approve"), named),
        act_cell(request, "put_access_requests_id_decline", N_("Decline"), named),
        link(N_("Rights of the service"), f"{ROOT}/derechos?{urlencode(judged)}"),
    )


def _decision(access: AccessRequestView) -> Cell:
    return several(code(access.decided_by), moment(access.decided_at), text(access.reason))


def waiting_note(found: Sequence[AccessRequestView]) -> PageNote | None:
    """A note for the first page while requests wait."""
    count = sum(r.state == WAITING for r in found)
    if not count:
        return None
    links = (PageLink(N_("Requests for access"), LIST, main=True),)
    return PageNote(N_("{count} requests for access wait for a decision.", count=count), "caution", links)
