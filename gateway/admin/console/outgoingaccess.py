"""A client of this server asks another member for access: the provider, the service, what for and on which legal basis; then how it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from gateway.admin.clients import GatewayClientView
from gateway.admin.console.accessrequests import STATES
from gateway.admin.outgoingaccess import OfferedService
from schemas.accessrequests import AccessRequestState
from serving.language import N_, as_it_is
from serving.web.acting import form_of
from serving.web.blocks import (
    Column,
    FactSheet,
    Heading,
    Listing,
    PageNote,
    PageView,
    QueryField,
    QueryForm,
    code,
    link,
    moment,
    phrase,
    text,
)
from serving.web.formnames import ROOT
from serving.web.forms import FieldKind, FormField
from serving.web.operationpages import ShownField

if TYPE_CHECKING:
    from collections.abc import Mapping

    from serving.web.blocks import Block
    from serving.web.console import ConsoleRequest

ASK: Final = f"{ROOT}/pedir-acceso"
LONGEST_ID: Final = 1279
DECLINED: Final = "DECLINED"
# Fields of the request by the names that an address gives them.
_GIVEN: Final = {"purpose": "motivo", "legal_basis": "fundamento", "contact": "contacto"}


async def ask(request: ConsoleRequest) -> PageView:
    """The client and the provider; the provider's services; the request for one of them and how it stands."""
    client, provider, service = (
        request.query.get(name, "").strip()[:LONGEST_ID] for name in ("cliente", "proveedor", "servicio")
    )
    blocks: list[Block | None] = [await _question(request, client, provider, service)]
    if client and provider and service:
        # Whoever comes from the catalogue has said there what for, and on which legal basis.
        given = {n: request.query.get(q, "").strip() for n, q in _GIVEN.items()}
        blocks += await _one(request, client, provider, service, given)
    elif client and provider:
        blocks.append(await _offered(request, client, provider))
    lead = N_(
        "Your member signs the request and the provider's operators decide. Nothing is granted by asking."
    )
    return PageView(N_("Ask for access"), blocks, lead=lead)


async def _question(request: ConsoleRequest, client: str, provider: str, service: str) -> QueryForm:
    known = await request.do(
        "get_clients", list[GatewayClientView], query={"internal_search": "true", "show_members": "false"}
    )
    fields = (
        QueryField(
            "cliente",
            N_("Your client"),
            client,
            tuple((c.id, as_it_is(c.id)) for c in known if c.subsystem_code),
        ),
        QueryField(
            "proveedor",
            N_("Provider"),
            provider,
            hint=N_("INSTANCE:CLASS:MEMBER:SUBSYSTEM, as the catalogue has it."),
            required=True,
        ),
        QueryField(
            "servicio", N_("Service code"), service, hint=N_("Empty: the provider's services are listed.")
        ),
    )
    return QueryForm(fields, N_("Go on"), ASK)


async def _offered(request: ConsoleRequest, client: str, provider: str) -> Block:
    found = await request.fetch(
        "get_clients_id_offered_services", list[OfferedService], {"id": client}, {"provider": provider}
    )
    if found.value is None:
        return PageNote(found.why or N_("The provider did not answer."), "bad")

    def way(service: str) -> str:
        return f"{ASK}?{urlencode({'cliente': client, 'proveedor': provider, 'servicio': service})}"

    rows = tuple(
        (code(s.service_code), text(s.service_type), link(N_("Ask for access"), way(s.service_code)))
        for s in found.value
    )
    columns = (
        Column(N_("Service"), "servicio"),
        Column(N_("Kind"), "tipo"),
        Column(N_("What can be done")),
    )
    empty = N_("It offers no REST service. Write the code of a SOAP service above.")
    return Listing(N_("Services of the provider"), columns, rows, empty, "servicios")


async def _one(
    request: ConsoleRequest, client: str, provider: str, service: str, given: Mapping[str, str]
) -> list[Block | None]:
    """The blocks of one service's page: the state of the request for access, or the form where there is none or it was declined."""
    named = {"provider": provider, "service_code": service}
    found = await request.fetch("get_clients_id_access_requests", AccessRequestState, {"id": client}, named)
    answer = found.value
    blocks: list[Block | None] = []
    if answer is None:
        blocks.append(PageNote(N_("The provider has no request of this client that it can tell of."), "note"))
        blocks.append(None if found.why is None else PageNote(found.why, "note"))
    else:
        title, tone = STATES.get(answer.state, (as_it_is(answer.state), "note"))
        facts = (
            (N_("State"), phrase(title, tone)),
            (N_("Asked on"), moment(answer.asked_at)),
            (N_("Decided"), moment(answer.decided_at)),
            (N_("Reason"), text(answer.reason)),
        )
        blocks += [Heading(N_("How it stands")), FactSheet(facts)]
    if answer is None or answer.state == DECLINED:
        fields = tuple(
            ShownField(
                FormField(name, FieldKind.TEXT, name != "contact", longest=longest),
                given.get(name, "")[:longest],
            )
            for name, longest in (("purpose", 500), ("legal_basis", 500), ("contact", 200))
        )
        form = form_of(
            request, "post_clients_id_access_requests", N_("Ask for access"), fields, {"id": client, **named}
        )
        blocks += [Heading(N_("The request"), as_it_is(f"{provider}:{service}")), form]
    return blocks
