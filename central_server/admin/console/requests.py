"""Management requests: those to be decided, all others, and one with what its approval would create."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from central_server.admin.requests import PagedRequests, RequestDetails
from central_server.admin.values import ClientView
from serving.language import N_
from serving.web.acting import act, form_of
from serving.web.blocks import (
    Column,
    FactSheet,
    Heading,
    Listing,
    PageLink,
    PageNote,
    PageView,
    QueryField,
    QueryForm,
    code,
    day,
    link,
    moment,
    several,
    text,
)
from serving.web.codewords import word, word_of
from serving.web.formnames import ROOT
from serving.web.listing import server_page

if TYPE_CHECKING:
    from central_server.admin.requests import RequestListItem
    from serving.language import Text, Translatable
    from serving.web.blocks import Block, Cell
    from serving.web.console import ConsoleRequest

LIST: Final = f"{ROOT}/solicitudes"
PER_PAGE: Final = 25
# The list of these stands first, so that its names in the address are plain.
FIRST: Final = "waiting"
OPEN: Final = ("WAITING", "SUBMITTED FOR APPROVAL")
STATES: Final = ("SUBMITTED FOR APPROVAL", "WAITING", "APPROVED", "DECLINED", "REVOKED")
SORTS: Final = ("id", "created_at", "type", "security_server_owner", "security_server_id", "status")
_ONE: Final = "management_requests_management_request_id"


async def requests(request: ConsoleRequest) -> PageView:
    """Requests by state, the open ones first of all."""
    state = request.query.get("estado", "")
    blocks: list[Block | None] = []
    if state not in STATES:
        blocks += [await _listing(request, s, s.partition(" ")[0].lower()) for s in OPEN]
        if all(isinstance(b, Listing) and not b.total for b in blocks):
            blocks = [PageNote(N_("Nothing to be decided."), "good")]
    else:
        blocks.append(await _listing(request, state, "solicitudes"))
    choices = (("", N_("to be decided, and waiting")), *((s, word_of(s) or N_("all")) for s in STATES))
    form = QueryForm((QueryField("estado", N_("State"), state, choices),), N_("Show"), LIST)
    lead = N_(
        "What the institutes' servers ask to have registered. Where four eyes are required, two different people decide."
    )
    return PageView(N_("Requests"), [form, *blocks], lead=lead)


async def _listing(request: ConsoleRequest, state: str, name: str) -> Listing:
    prefix = "" if name in (FIRST, "solicitudes") else f"{name}."
    asks = {**server_page(request.query, SORTS, PER_PAGE, prefix), "status": state}
    found = await request.do("get_management_requests", PagedRequests, query=asks)
    columns = (
        Column(N_("Number"), "id"),
        Column(N_("What is asked for"), "type"),
        Column(N_("Server"), "security_server_id"),
        Column(N_("Client")),
        Column(N_("Asked"), "created_at"),
        Column(N_("State"), "status"),
    )
    rows = tuple(_row(r) for r in found.items)
    caption = N_("Requests: {state}", state=word_of(state) or state)
    return Listing(
        caption,
        columns,
        rows,
        N_("No request is in this state; security servers send them."),
        name,
        found.paging_metadata.total_items,
        PER_PAGE,
    )


def _row(found: RequestListItem) -> tuple[Cell, ...]:
    client = found.client_id
    owner = found.client_owner_name or ""
    return (
        link(str(found.id), f"{ROOT}/solicitud?id={found.id}"),
        word(found.type),
        several(text(found.security_server_owner), code(found.security_server_id.encoded_id)),
        several(text(owner), code(client.encoded_id)) if client else text(""),
        moment(found.created_at),
        word(found.status),
    )


async def one_request(request: ConsoleRequest) -> PageView:
    """One request, what its approval would create, and the two decisions."""
    identifier = request.query.get("id", "")[:20]
    found = await request.do(f"get_{_ONE}", RequestDetails, {"management_request_id": identifier})
    client, details = found.client_id, found.certificate_details
    pairs: list[tuple[Translatable, Cell]] = [
        (N_("What is asked for"), word(found.type)),
        (N_("Server"), several(text(found.security_server_owner), code(found.security_server_id.encoded_id))),
    ]
    if client:
        names = " ".join(n for n in (found.client_owner_name, found.client_subsystem_name) if n)
        pairs.append((N_("Client"), several(text(names), code(client.encoded_id))))
    if found.address:
        pairs.append((N_("Address"), code(found.address)))
    pairs += [
        (N_("Comes from"), word(found.origin)),
        (N_("Asked"), moment(found.created_at)),
        (N_("State"), word(found.status)),
    ]
    if found.comments:
        pairs.append((N_("Comment"), text(found.comments)))
    if details:
        by = details.issuer_distinguished_name
        pairs += [
            (N_("Certificate"), several(text(details.subject_distinguished_name), code(details.hash))),
            (N_("By"), text(by)),
            (N_("Ends on"), day(details.not_after)),
        ]
    blocks: list[Block | None] = [FactSheet(tuple(pairs))]
    if found.status in OPEN:
        blocks += await _decision(request, found)
    trail = (PageLink(N_("Requests"), LIST),)
    return PageView(N_("Request {number}", number=found.id), blocks, trail=trail)


async def _decision(request: ConsoleRequest, found: RequestDetails) -> list[Block | None]:
    settled = {"management_request_id": str(found.id)}
    owner = _member_of(found)
    known = await request.fetch("get_members_member_id", ClientView, {"member_id": owner})
    is_new = known.value is None
    blocks: list[Block | None] = [Heading(N_("Decide"))]
    if found.first_approval:
        text_found = N_(
            "{name} approved it; another person's approval is missing.", name=found.first_approval
        )
        blocks.append(PageNote(text_found, "caution"))
    if is_new:
        note = N_(
            "The member {member} is not in the registry: approving would create it. Check that it may join.",
            member=owner,
        )
        blocks.append(PageNote(note, "bad"))
    blocks.append(PageNote(N_("Approving: {what}.", what=_creation(found))))
    label = N_("Approve, and create the member {member}", member=owner) if is_new else N_("Approve request")
    blocks.append(form_of(request, f"post_{_ONE}_approval", label, (), settled, LIST))
    decline = act(request, f"delete_{_ONE}", N_("Decline, with a reason"), settled, back=LIST)
    if decline is not None:
        blocks.append(PageNote(N_("The institute is told the reason."), "note", (decline,)))
    return blocks


def _member_of(found: RequestDetails) -> str:
    """The member that an approval would create, if it is not there: the client's, else the server's owner."""
    whose = found.client_id or found.security_server_id
    return f"{whose.instance_id}:{whose.member_class}:{whose.member_code}"


def _creation(found: RequestDetails) -> Text:
    server = found.security_server_id.encoded_id
    client = "—" if found.client_id is None else found.client_id.encoded_id
    match found.type:
        case "AUTH_CERT_REGISTRATION_REQUEST":
            return N_("other servers connect to {server} by this certificate, at {address}", server=server,
                      address=found.address or "—")  # fmt: skip
        case "CLIENT_REGISTRATION_REQUEST":
            return N_("{client} becomes a client of {server} and may be called there",
                      client=client, server=server)  # fmt: skip
        case "OWNER_CHANGE_REQUEST":
            return N_("{client} becomes the owner of {server}", client=client, server=server)
        case _:
            return N_("what is asked for stands in the next configuration")
