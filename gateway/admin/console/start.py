"""The first page: whether messages flow and until when, what to do about it, and when each certificate ends."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gateway.admin.accessrequests import AccessRequestView
from gateway.admin.console.accessrequests import waiting_note
from gateway.admin.console.expiries import ending_blocks
from gateway.admin.diagnostics import DiagnosisView
from gateway.admin.initialization import InitializationStatus
from gateway.admin.keyviews import TokenView
from gateway.health.diagnosing import TLS
from gateway.health.diagnosistexts import end_texts, finding_texts
from serving.language import N_
from serving.web.blocks import Column, Listing, PageLink, PageNote, PageView, code, moment, phrase, several
from serving.web.codewords import SOON, time_left
from serving.web.commonviews import MessageNeed, needs_listing
from serving.web.formnames import ROOT
from serving.web.pages import USUAL_ZONE, chosen_zone, moment_text

if TYPE_CHECKING:
    from gateway.admin.diagnostics import FindingView
    from serving.language import Translatable
    from serving.web.blocks import Block, Cell
    from serving.web.console import ConsoleRequest

INITIALIZED = "INITIALIZED"


async def start(request: ConsoleRequest) -> PageView:
    """The first page: what was found wrong and until when messages flow, requests that wait, certificates that end; before that, the set-up."""
    status = await request.do("get_initialization_status", InitializationStatus)
    blocks: list[Block | None] = []
    if not status.is_server_owner_initialized or status.software_token_init_status != INITIALIZED:
        link = PageLink(N_("Set it up step by step"), f"{ROOT}/asistente", main=True)
        blocks.append(
            PageNote(N_("This server has no identity yet; nothing can be exchanged."), "caution", (link,))
        )
    else:
        blocks += await finding_blocks(request)
        requests = await request.fetch("get_access_requests", list[AccessRequestView])
        blocks.append(waiting_note(requests.value or ()))
    tokens = await request.fetch("get_tokens", list[TokenView])
    if tokens.value is not None:
        blocks += ending_blocks(request, tokens.value, datetime.now(UTC))
    elif status.is_server_owner_initialized:
        blocks.append(PageNote(tokens.why or N_("Nothing is known of the keys."), "note"))
    return PageView(N_("Start"), blocks)


async def finding_blocks(request: ConsoleRequest) -> list[Block | None]:
    """Findings, worst first, each with its remedy; above it whether and until when messages flow."""
    found = await request.fetch("get_diagnostics_findings", DiagnosisView)
    if found.value is None:
        return [PageNote(found.why or N_("Nothing is known."), "note")]
    diagnosis = found.value
    blocks: list[Block | None] = [_answer(request, diagnosis)]
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
    needs = [
        MessageNeed(what, e.until, e.is_renewed, remedy)
        for e in diagnosis.ends
        for what, remedy in [end_texts(e.kind, _purpose(e.subject))]
    ]
    blocks.append(needs_listing(needs, datetime.fromisoformat(diagnosis.at)))
    return blocks


def _purpose(subject: str) -> Translatable:
    """A certificate's purpose (signing, authentication) in words."""
    return N_("connections (TLS)") if subject == TLS else N_("signatures of {member}", member=subject)


def _finding(finding: FindingView) -> tuple[Cell, ...]:
    what, remedy = finding_texts(finding.code, {"subject": finding.subject, **finding.values})
    mark = phrase(N_("notice"), "note") if finding.severity == "notice" else phrase(N_("wrong"), "bad")
    return (
        several(mark, code(finding.subject) if finding.subject else None),
        phrase(what),
        phrase(remedy),
        moment(finding.stops_at),
    )


def _answer(request: ConsoleRequest, diagnosis: DiagnosisView) -> PageNote:
    zone = chosen_zone(request.http, USUAL_ZONE)
    now = datetime.fromisoformat(diagnosis.at)

    def when(at: datetime) -> str:
        return moment_text(at, request.language, zone)

    if diagnosis.stops_at is not None:
        at = datetime.fromisoformat(diagnosis.stops_at)
        if at <= now:
            return PageNote(N_("Messages do not flow. What to do is said below."), "bad")
        text = N_(
            "Messages flow. If nothing is done, they stop on {at}: {left}.",
            at=when(at),
            left=time_left(at - now),
        )
        return PageNote(text, "bad" if at - now < SOON else "caution")
    if any(f.severity != "notice" for f in diagnosis.findings):
        return PageNote(N_("Something needs attention; what to do is said below."), "caution")
    by_hand = next((e for e in diagnosis.ends if not e.is_renewed), None)
    if by_hand is None:
        return PageNote(N_("Nothing was found wrong: messages flow."), "good")
    at = datetime.fromisoformat(by_hand.until)
    what, _ = end_texts(by_hand.kind, _purpose(by_hand.subject))
    text = N_(
        "Messages flow. The first that must be renewed by hand ends on {at} ({left}): {what}.",
        at=when(at),
        left=time_left(at - now),
        what=what,
    )
    return PageNote(text, "good")
