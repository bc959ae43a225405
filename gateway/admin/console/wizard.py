"""The way from an empty server to its first exchange, step by step; it goes on where it was left, for it looks at what is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.admin.clients import GatewayClientView
from gateway.admin.console.start import INITIALIZED
from gateway.admin.initialization import InitialAnchorView, InitializationStatus
from gateway.admin.keyviews import TokenView
from gateway.admin.values import TimestampingServiceView
from serving.language import N_
from serving.web.acting import act, form_of
from serving.web.blocks import (
    FactSheet,
    Heading,
    PageLink,
    PageNote,
    PageStep,
    PageView,
    StepList,
    code,
    moment,
)
from serving.web.formnames import ROOT
from serving.web.forms import BODY, FieldKind, FormField
from serving.web.operationpages import ShownField

if TYPE_CHECKING:
    from serving.web.blocks import Block
    from serving.web.console import ConsoleRequest

HERE = f"{ROOT}/asistente"


async def wizard(request: ConsoleRequest) -> PageView:
    """The steps with their state, and the form of the next one."""
    status = await request.do("get_initialization_status", InitializationStatus)
    steps = [
        PageStep(N_("Import the configuration anchor"), status.is_anchor_imported),
        PageStep(
            N_("Say who owns this server and choose its PIN"),
            status.is_server_owner_initialized and status.software_token_init_status == INITIALIZED,
        ),
    ]
    form: list[Block | None] = []
    if not status.is_anchor_imported:
        form = _anchor_form(request)
    elif not steps[1].done:
        form = await _owner_form(request, status)
    later, next_step = await _later_steps(request, ready=steps[1].done)
    steps += later
    return PageView(
        N_("Set up this server"),
        [StepList(tuple(steps)), *(form or next_step)],
        lead=N_("You may stop at any step; the page goes on where you were."),
        trail=(PageLink(N_("Start"), f"{ROOT}/"),),
    )


def _anchor_form(request: ConsoleRequest) -> list[Block | None]:
    field = ShownField(
        FormField(BODY, FieldKind.FILE, required=True), name_given=N_("The anchor file of your instance")
    )
    return [
        Heading(
            N_("Configuration anchor"),
            N_(
                "The operators of the central server give it to you. After the import its digest is shown: "
                "compare it with theirs, by another way than the file came."
            ),
        ),
        form_of(request, "post_system_anchor", N_("Import the anchor"), (field,), back=HERE),
    ]


async def _owner_form(request: ConsoleRequest, status: InitializationStatus) -> list[Block | None]:
    anchor = await request.fetch("get_system_anchor", InitialAnchorView)
    facts = None
    if anchor.value is not None:
        facts = FactSheet(
            (
                (N_("Digest of the anchor"), code(anchor.value.hash)),
                (N_("Made on"), moment(anchor.value.created_at)),
            )
        )
    classes = await request.fetch("get_member_classes", list[str], query={"current_instance": "true"})
    pin_help = (
        N_("At least ten characters of three kinds: capital and small letters, digits, others. Keep it safe.")
        if status.enforce_token_pin_policy
        else N_("Keep it safe: after each start the token waits for it.")
    )
    pin = ShownField(
        FormField("software_token_pin", FieldKind.HIDDEN, True, longest=255),
        name_given=N_("PIN of the token"),
    )
    blocks: list[Block | None] = [
        facts,
        act_note(request),
        Heading(N_("Owner, server and PIN"), pin_help),
    ]
    if status.is_server_owner_initialized:
        blocks.append(form_of(request, "post_initialization", N_("Choose the PIN"), (pin,), back=HERE))
        return blocks
    choices = tuple(classes.value or ())
    fields = (
        ShownField(
            FormField("owner_member_class", FieldKind.CHOICE if choices else FieldKind.TEXT, True, choices),
        ),
        ShownField(FormField("owner_member_code", FieldKind.TEXT, True, longest=255)),
        ShownField(FormField("security_server_code", FieldKind.TEXT, True, longest=255)),
        pin,
    )
    blocks.append(form_of(request, "post_initialization", N_("Become a security server"), fields, back=HERE))
    return blocks


def act_note(request: ConsoleRequest) -> PageNote | None:
    """The way to another anchor, for whose digest is not the one that was told."""
    link = act(request, "put_system_anchor", N_("Import another anchor"), back=HERE)
    if link is None:
        return None
    return PageNote(
        N_("Is this digest the one that the central server's operators say? If not, go no further."),
        "caution",
        (link,),
    )


def _next_step(steps: list[PageStep]) -> PageNote:
    """A note that names the first step that is not done, or says that all are."""
    next_step = next((s for s in steps if not s.done), None)
    if next_step is None:
        return PageNote(
            N_("This server is ready to exchange messages."),
            "good",
            (PageLink(N_("Clients"), f"{ROOT}/clientes"),),
        )
    return PageNote(
        N_("Next: {what}.", what=next_step.text),
        "note",
        (PageLink(N_("Go there"), next_step.href, main=True),),
    )


async def _later_steps(request: ConsoleRequest, *, ready: bool) -> tuple[list[PageStep], list[Block | None]]:
    """The steps after the identity: each is done when what it makes is there."""
    tokens = (await request.fetch("get_tokens", list[TokenView])).value or () if ready else ()
    authorities = (
        (await request.fetch("get_system_timestamping_services", list[TimestampingServiceView])).value or ()
        if ready
        else ()
    )
    clients = (
        (await request.fetch("get_clients", list[GatewayClientView], query={"internal_search": "true"})).value
        or ()
        if ready
        else ()
    )
    own_pairs = [(key, c) for token in tokens for key in token.keys for c in key.certificates]
    keys = [key for token in tokens for key in token.keys]
    ways = f"{ROOT}/llaves"
    subsystems = [c for c in clients if c.subsystem_code]
    steps = [
        PageStep(N_("Enter the PIN of the token"), any(t.logged_in for t in tokens), href=ways),
        PageStep(N_("Choose a timestamping authority"), bool(authorities), href=f"{ROOT}/servidor"),
        *(
            PageStep(text, any(k.usage == use for k in keys), href=f"{ways}/solicitud?uso={use}")
            for use, text in (
                ("SIGNING", N_("Make a key that signs messages, with its signing request")),
                ("AUTHENTICATION", N_("Make a key that connects to other servers, with its signing request")),
            )
        ),
        *(
            PageStep(
                text,
                any(k.usage == use for k, _ in own_pairs),
                N_("Send the request to the certificate authority; what it answers is imported here."),
                href=ways,
            )
            for use, text in (
                ("SIGNING", N_("Import the signing certificate")),
                ("AUTHENTICATION", N_("Import the authentication certificate")),
            )
        ),
        PageStep(
            N_("Register the authentication certificate"),
            any(k.usage == "AUTHENTICATION" and c.status == "REGISTERED" for k, c in own_pairs),
            N_("The central server's operators approve it; then use the certificate."),
            href=ways,
        ),
        PageStep(N_("Add a subsystem and register it"), any(c.status == "REGISTERED" for c in subsystems),
                 href=f"{ROOT}/cliente/nuevo"),
    ]  # fmt: skip
    if not ready:
        return [PageStep(s.text, done=False, hint=s.hint) for s in steps], []
    return steps, [_next_step(steps)]
