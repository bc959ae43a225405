"""The first page: whether messages flow and until when, what to do about it, and when each certificate ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from gateway.admin.accessrequests import AccessRequestView
from gateway.admin.console.accessrequests import waiting_note
from gateway.admin.console.expiries import ending_blocks
from gateway.admin.diagnostics import DiagnosisView
from gateway.admin.initialization import InitializationStatus
from gateway.admin.keyviews import TokenView
from gateway.health.diagnosistexts import finding_texts
from serving.language import N_
from serving.web.blocks import Column, Listing, PageLink, PageNote, PageView, code, moment, phrase, several
from serving.web.formnames import ROOT

if TYPE_CHECKING:
    from gateway.admin.diagnostics import FindingView
    from serving.web.blocks import Block, Cell, Tone
    from serving.web.console import ConsoleRequest

INITIALIZED = "INITIALIZED"
SOON = timedelta(days=30)


async def start(request: ConsoleRequest) -> PageView:
    """How the server stands, the answer first."""
    status = await request.do("get_initialization_status", InitializationStatus)
    blocks: list[Block | None] = []
    if not status.is_server_owner_initialized or status.software_token_init_status != INITIALIZED:
        link = PageLink(N_("Set it up step by step"), f"{ROOT}/asistente", main=True)
        blocks.append(
            PageNote(N_("This server has no identity yet; nothing can be exchanged."), "caution", (link,))
        )
    else:
        blocks += await finding_blocks(request)
        requests = await request.tell("get_access_requests", list[AccessRequestView])
        blocks.append(waiting_note(requests.value or ()))
    tokens = await request.tell("get_tokens", list[TokenView])
    if tokens.value is not None:
        blocks += ending_blocks(request, tokens.value, datetime.now(UTC))
    elif status.is_server_owner_initialized:
        blocks.append(PageNote(tokens.why or N_("Nothing is known of the keys."), "note"))
    return PageView(N_("Start"), blocks)


async def finding_blocks(request: ConsoleRequest) -> list[Block | None]:
    """Findings, worst first, each with its remedy; above it whether and until when messages flow."""
    found = await request.tell("get_diagnostics_findings", DiagnosisView)
    if found.value is None:
        return [PageNote(found.why or N_("Nothing is known."), "note")]
    diagnosis = found.value
    blocks: list[Block | None] = [_answer(diagnosis)]
    rows = tuple(_finding(f) for f in diagnosis.findings)
    columns = (
        Column(N_("What it concerns")),
        Column(N_("What is wrong")),
        Column(N_("What to do")),
        Column(N_("Messages stop on")),
    )
    if rows:
        blocks.append(
            Listing(N_("What was found, worst first"), columns, rows, N_("Nothing was found wrong."))
        )
    return blocks


def _finding(finding: FindingView) -> tuple[Cell, ...]:
    what, remedy = finding_texts(finding.code, {"subject": finding.subject, **finding.values})
    mark = phrase(N_("notice"), "note") if finding.severity == "notice" else phrase(N_("wrong"), "bad")
    return (
        several(mark, code(finding.subject or finding.code)),
        phrase(what),
        phrase(remedy),
        moment(finding.stops_at),
    )


def _answer(diagnosis: DiagnosisView) -> PageNote:
    if diagnosis.stops_at is None:
        tone_found = any(f.severity != "notice" for f in diagnosis.findings)
        if tone_found:
            return PageNote(N_("Something needs attention; what to do is said below."), "caution")
        return PageNote(N_("Nothing was found wrong: messages flow."), "good")
    at = datetime.fromisoformat(diagnosis.stops_at)
    now = datetime.fromisoformat(diagnosis.at)
    if at <= now:
        return PageNote(N_("Messages do not flow. What to do is said below."), "bad")
    days = (at - now).days
    tone: Tone = "bad" if at - now < SOON else "caution"
    text = N_(
        "Messages flow. If nothing is done, they stop in {days} days, on {at}.",
        days=days,
        at=f"{at:%Y-%m-%d %H:%M} UTC",
    )
    return PageNote(text, tone)
