"""The message log: records found, one record with what its container proves, and the container itself, for a reason that is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from gateway.admin.messages import RecordDetail, RecordPage
from gateway.admin.verdicts import VerdictView
from serving.language import N_, as_it_is
from serving.web.acting import act
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
    link,
    moment,
    number,
    phrase,
    several,
    text,
)
from serving.web.formnames import ROOT
from serving.web.pages import USUAL_ZONE, chosen_zone, utc_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.admin.messages import RecordView
    from gateway.admin.verdicts import VerdictStepView
    from serving.language import Translatable
    from serving.web.blocks import Block, Cell, Tone
    from serving.web.console import ConsoleRequest

LIST: Final = f"{ROOT}/mensajes"
PER_PAGE: Final = 50
LONGEST: Final = 1_000
SIDES: Final[dict[str, Translatable]] = {"consumer": N_("as consumer"), "provider": N_("as provider")}
# Name in the address -> name of the operation's field.
SOUGHT: Final = {"cliente": "client", "servicio": "service", "mensaje": "message_id", "lado": "side"}
STEPS: Final[dict[int, Translatable]] = {
    1: N_("container"),
    2: N_("message"),
    3: N_("coverage"),
    4: N_("timestamp"),
    5: N_("signature"),
    6: N_("certificate path and OCSP"),
    7: N_("bodies"),
}
OUTCOMES: Final[dict[str, tuple[Translatable, Tone]]] = {
    "valid": (N_("proved"), "good"),
    "warning": (N_("proved, with a remark"), "caution"),
    "invalid": (N_("not proved"), "bad"),
}


def record_page(record: int) -> str:
    """The address of a record's page."""
    return f"{ROOT}/mensaje?{urlencode({'numero': record})}"


async def messages(request: ConsoleRequest) -> PageView:
    """Records that match, the newest first."""
    zone = chosen_zone(request.http, USUAL_ZONE)
    page = await request.do("get_message_log_newest_records", RecordPage, query=_sought(request.query, zone))
    kept = {
        n: v for n, v in request.query.items() if n not in ("antes", "hecho", "csv", "lang", "zona") and v
    }
    follows = "" if page.before is None else f"?{urlencode({**kept, 'antes': page.before})}"
    listing = Listing(
        N_("Messages, the newest first"),
        (
            Column(N_("When")),
            Column(N_("Message")),
            Column(N_("Who asks")),
            Column(N_("Service")),
            Column(N_("This server's part")),
            Column(N_("Proof")),
        ),
        tuple(_row(r) for r in page.records),
        N_("No message was found among those looked at; older ones may follow.")
        if page.before is not None
        else N_("No message matches. Messages of other servers are in their own logs."),
        "mensajes",
        follows=follows,
        begins=f"?{urlencode(kept)}" if "antes" in request.query else "",
        searchable=False,
    )
    links = (act(request, "post_message_log_verdicts", N_("Verify a container from elsewhere"), back=LIST),)
    lead = N_("Who asked whom, when, and what proves it. A message's content is in its container alone.")
    return PageView(N_("Messages"), [_form(request.query, zone), listing], links, lead=lead)


def _form(query: Mapping[str, str], zone: str) -> QueryForm:
    fields = {n: query.get(n, "").strip()[:LONGEST] for n in (*SOUGHT, "desde", "hasta", "estado")}
    sides = (("", N_("both")), *SIDES.items())
    hint = N_("As INSTANCE/CLASS/MEMBER/SUBSYSTEM, or the beginning of it up to a slash.")
    return QueryForm(
        (
            QueryField("desde", N_("From"), fields["desde"], kind="datetime-local",
                       hint=N_("In the zone {zone}.", zone=zone)),
            QueryField("hasta", N_("Until"), fields["hasta"], kind="datetime-local"),
            QueryField("cliente", N_("Who asks"), fields["cliente"], hint=hint),
            QueryField("servicio", N_("Service"), fields["servicio"]),
            QueryField("lado", N_("This server's part"), fields["lado"], sides),
            QueryField("mensaje", N_("Message id"), fields["mensaje"]),
            QueryField("estado", N_("Status of the answer"), fields["estado"],
                       hint=N_("Of REST, as 200 or 404; each answer has to be opened, so this takes longer.")),
        ),
        N_("Find"),
        LIST,
    )  # fmt: skip


def _sought(query: Mapping[str, str], zone: str) -> dict[str, str]:
    """The operation's query from the page's address. Raises `Problem` for a time that is none."""
    found = {"limit": str(PER_PAGE)}
    for name, term in SOUGHT.items():
        if value := query.get(name, "").strip()[:LONGEST]:
            found[term] = value.replace(":", "/") if term in ("client", "service") else value
    for name, term in (("desde", "since"), ("hasta", "until")):
        if value := query.get(name, "").strip():
            found[term] = utc_of(value, zone)
    if status := query.get("estado", "").strip():
        found["status"] = status
    if before := query.get("antes", ""):
        found["before"] = before
    return found


def _row(record: RecordView) -> tuple[Cell, ...]:
    kind = N_("answer") if record.is_response else N_("request")
    return (
        moment(record.at),
        several(
            link(record.message_id, record_page(record.record)),
            phrase(kind),
            phrase(N_("no. {number}", number=f"{record.record:,}")),
        ),
        code(record.client),
        code(record.service),
        phrase(SIDES.get(record.side, as_it_is(record.side))),
        _proof(record),
    )


def _proof(record: RecordView) -> Cell:
    stamped = (
        phrase(N_("timestamped"), "good") if record.timestamped else phrase(N_("no timestamp yet"), "caution")
    )
    return several(stamped, phrase(N_("content erased"), "note") if record.erased else None)


async def message(request: ConsoleRequest) -> PageView:
    """One record; with ``?verificar=1`` each step of the proof."""
    named = {"id": request.query.get("numero", "")[:20] or "0"}
    found = await request.do("get_message_log_records_id", RecordDetail, named)
    record = found.record
    blocks: list[Block | None] = [FactSheet(_facts(found)), _bodies(found)]
    if "verificar" in request.query:
        blocks += await _verdict(request, named)
    links = (
        PageLink(N_("Verify step by step"), f"{record_page(record.record)}&verificar=1", main=True)
        if record.timestamped
        else None,
        _download(request, record, N_("Download its container"), digests_only=False)
        if record.erased is None
        else None,
        _download(request, record, N_("Download its proof without content"), digests_only=True),
        PageLink(N_("Request and answer of this id"), f"{LIST}?{urlencode({'mensaje': record.message_id})}"),
    )
    trail = (PageLink(N_("Messages"), LIST),)
    kind = N_("Answer") if record.is_response else N_("Request")
    return PageView(kind, blocks, links, trail, code=record.message_id)


def _facts(found: RecordDetail) -> tuple[tuple[Translatable, Cell], ...]:
    record = found.record
    facts: list[tuple[Translatable, Cell]] = [
        (N_("Written on"), moment(record.at)),
        (N_("Number in the log"), number(record.record)),
        (N_("Who asks"), code(record.client)),
        (N_("Service"), code(record.service)),
        (
            N_("This server's part"),
            several(phrase(SIDES.get(record.side, as_it_is(record.side))), code(found.owner)),
        ),
        (N_("Protocol"), code(record.protocol)),
        (N_("Proof"), _proof(record)),
        (N_("SHA-512 of the message"), code(found.message_sha512)),
    ]
    if found.request_id:
        facts.append((N_("Exchange"), code(found.request_id)))
    if found.status is not None:
        facts.append((N_("Status of the answer"), number(found.status)))
    if record.erased is not None:
        order = several(code(record.erased), text(found.erased_by), moment(found.erased_at))
        facts.append((N_("Content erased by order"), order))
    return tuple(facts)


def _bodies(found: RecordDetail) -> Listing | None:
    if not found.bodies:
        return None
    rows = tuple(
        (
            number(b.number),
            number(b.size_bytes, "B"),
            code(b.sha512),
            phrase(N_("yes"), "good") if b.is_kept else phrase(N_("no"), "caution"),
        )
        for b in found.bodies
    )
    columns = (
        Column(N_("Body")),
        Column(N_("Length"), right=True),
        Column(N_("SHA-512")),
        Column(N_("In the log")),
    )
    return Listing(N_("Bodies of the message"), columns, rows, N_("There are none."))


def _download(
    request: ConsoleRequest, record: RecordView, label: Translatable, *, digests_only: bool
) -> PageLink | None:
    """To the operation that hands out containers, which asks why; this record's alone."""
    settled = {"id": str(record.record), "digests_only": "true" if digests_only else "false"}
    return act(
        request, "post_message_log_records_id_container", label, settled, back=record_page(record.record)
    )


async def _verdict(request: ConsoleRequest, named: Mapping[str, str]) -> list[Block | None]:
    outcome = await request.fetch("get_message_log_records_id_verdict", VerdictView, named)
    if outcome.value is None:
        return [PageNote(outcome.why or N_("It was not verified."), "bad")]
    found = outcome.value
    rows = tuple(_step(s) for s in found.steps)
    columns = (Column(N_("No."), right=True), Column(N_("Step")), Column(N_("Outcome")), Column(N_("Detail")))
    facts: list[tuple[Translatable, Cell]] = []
    if found.signer is not None:
        facts.append((N_("Signed by"), code(found.signer)))
    if found.timestamp is not None:
        facts.append((N_("Existed on"), moment(found.timestamp)))
    return [
        Heading(
            N_("What its container proves"),
            N_("The same steps as those of “gateway container verify”, by the configuration that holds now."),
        ),
        _answer(found),
        FactSheet(tuple(facts)) if facts else None,
        Listing(N_("Steps of the proof"), columns, rows, N_("No step was taken.")),
    ]


def _answer(found: VerdictView) -> PageNote:
    if found.is_valid:
        return PageNote(
            N_("Proved: it was signed by whom it says, existed at that time, and is whole."), "good"
        )
    if found.is_proved:
        text = N_("Proved by digests alone, for content is withheld: {why}", why=found.withheld or "")
        return PageNote(text, "caution")
    return PageNote(N_("Not proved: {code}.", code=found.code or "?"), "bad")


def _step(step: VerdictStepView) -> tuple[Cell, ...]:
    outcome, tone = OUTCOMES.get(step.outcome, (as_it_is(step.outcome), "note"))
    return (
        number(step.number),
        phrase(STEPS.get(step.number, as_it_is(step.title))),
        phrase(outcome, tone),
        several(text(step.detail), code(step.code) if step.code else None),
    )
