"""What happens now: diagnosis with tests of connections, and traffic over time, by service, by peer, by outcome, with latencies."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from gateway.admin.console.start import finding_blocks
from gateway.admin.diagnostics import CaOcspDiagnostics, GlobalConfDiagnostics, TimestampingDiagnostics
from gateway.admin.traffic import OperationalDataInterval, TrafficSummary
from serving.language import N_
from serving.web.acting import act, download
from serving.web.blocks import (
    Column,
    Heading,
    Listing,
    PageNote,
    PageView,
    Picture,
    QueryField,
    QueryForm,
    code,
    moment,
    number,
    phrase,
    several,
    text,
)
from serving.web.codewords import failure_text, word
from serving.web.drawings import Amount, draw_amounts, draw_lines
from serving.web.formnames import ROOT
from serving.web.pages import USUAL_ZONE, chosen_zone

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.admin.diagnostics import OcspResponderDiagnostics
    from gateway.admin.traffic import ExchangeGroupView
    from serving.language import Translatable
    from serving.web.blocks import Block, Cell
    from serving.web.console import ConsoleRequest

# Name in the address -> what it is called, its length, and the minutes of one column.
RANGES: Final[dict[str, tuple[Translatable, timedelta, int]]] = {
    "1h": (N_("the last hour"), timedelta(hours=1), 2),
    "24h": (N_("the last 24 hours"), timedelta(hours=24), 30),
    "7d": (N_("the last 7 days"), timedelta(days=7), 240),
}
SIDES: Final = (("", N_("both")), ("Client", N_("as consumer")), ("Producer", N_("as provider")))


async def diagnosis(request: ConsoleRequest) -> PageView:
    """Findings, how each part that others provide answers, and tests of connections."""
    blocks: list[Block | None] = [
        *await finding_blocks(request),
        await _configuration(request),
        await _responders(request),
        await _timestamping(request),
        Heading(
            N_("Tests"),
            N_("Each calls the other side now and says how it went."),
            (
                act(
                    request, "get_diagnostics_global_conf_status", N_("Sources of the configuration"), back=""
                ),
                act(
                    request,
                    "get_diagnostics_auth_cert_req_status",
                    N_("Registration at the central server"),
                    back="",
                ),
                act(
                    request,
                    "get_diagnostics_other_security_server_status",
                    N_("Another security server"),
                    back="",
                ),
                act(request, "put_mail_send_test_mail", N_("A test mail"), back=""),
                act(request, "get_diagnostics_proxy_memory_usage_status", N_("Memory"), back=""),
                act(
                    request,
                    "get_diagnostics_message_log_encryption_status",
                    N_("How the message log is kept"),
                    back="",
                ),
            ),
        ),
    ]
    links = (download(request, "get_diagnostics_info_download", N_("A report as a file")),)
    return PageView(N_("Diagnosis"), blocks, links)


STATE_COLUMNS = (
    Column(N_("Who")),
    Column(N_("State")),
    Column(N_("Last asked")),
    Column(N_("Asked again")),
    Column(N_("What went wrong")),
)


def _state_row(
    name: Cell, found: GlobalConfDiagnostics | OcspResponderDiagnostics | TimestampingDiagnostics
) -> tuple[Cell, ...]:
    error = found.error
    next_update = None if isinstance(found, TimestampingDiagnostics) else found.next_update_at
    return (
        name,
        word(found.status_class),
        moment(found.prev_update_at),
        moment(next_update),
        phrase(failure_text(error.code, error.metadata or ())) if error else text(""),
    )


async def _configuration(request: ConsoleRequest) -> Listing | None:
    found = await request.fetch("get_diagnostics_globalconf", GlobalConfDiagnostics)
    if found.value is None:
        return None
    row = _state_row(code(found.value.last_successful_url), found.value)
    return Listing(N_("Global configuration"), STATE_COLUMNS, (row,), N_("There is none yet."))


async def _responders(request: ConsoleRequest) -> Listing | None:
    found = await request.fetch("get_diagnostics_ocsp_responders", list[CaOcspDiagnostics])
    if found.value is None:
        return None
    rows = tuple(
        _state_row(several(code(r.url), text(ca.distinguished_name)), r)
        for ca in found.value
        for r in ca.ocsp_responders
    )
    return Listing(N_("OCSP responders"), STATE_COLUMNS, rows, N_("The configuration names no responder."))


async def _timestamping(request: ConsoleRequest) -> Listing | None:
    found = await request.fetch("get_diagnostics_timestamping_services", list[TimestampingDiagnostics])
    if found.value is None:
        return None
    rows = tuple(_state_row(code(t.url), t) for t in found.value)
    return Listing(
        N_("Timestamping authorities"),
        STATE_COLUMNS,
        rows,
        N_("None is chosen: choose one on the page of this server."),
    )


async def traffic(request: ConsoleRequest) -> PageView:
    """Exchanges over a time: how many and how they went, how long they took, by service and by peer."""
    query = request.query
    chosen = query.get("tiempo", "")
    label, length, minutes = RANGES.get(chosen, RANGES["24h"])
    side, service = query.get("lado", ""), query.get("servicio", "").strip()[:1000]
    now = datetime.now(UTC)
    values = {
        "records_from": f"{now - length:%Y-%m-%dT%H:%M:%SZ}",
        "records_to": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "interval": str(minutes),
        "security_server_type": side if side in ("Client", "Producer") else "",
        "service_id": service,
    }
    form = QueryForm(
        (
            QueryField("tiempo", N_("Time"), chosen or "24h", tuple((n, r[0]) for n, r in RANGES.items())),
            QueryField("lado", N_("This server's part"), side, SIDES),
            QueryField("servicio", N_("Service"), service,
                       hint=N_("As INSTANCE:CLASS:MEMBER:SUBSYSTEM:CODE; empty is every one.")),
        ),
        N_("Show"),
        f"{ROOT}/trafico",
    )  # fmt: skip
    counts = await request.fetch(
        "get_diagnostics_operational_monitoring", list[OperationalDataInterval], query=values
    )
    if counts.value is None:
        return PageView(N_("Traffic"), [form, PageNote(counts.why or N_("Nothing is known."))])
    summary = await request.fetch("get_diagnostics_traffic_summary", TrafficSummary, query=values)
    zone = ZoneInfo(chosen_zone(request.http, USUAL_ZONE))
    blocks: list[Block | None] = [form, *_over_time(request, counts.value, label, zone, minutes)]
    if summary.value is not None and any(c.success_count or c.failure_count for c in counts.value):
        blocks += _summary(request, summary.value, zone, minutes)
    return PageView(N_("Traffic"), blocks, lead=N_("Exchanges of {time}.", time=label))


def _hour(at: str, zone: ZoneInfo, minutes: int) -> str:
    there = datetime.fromisoformat(at).astimezone(zone)
    return f"{there:%d/%m %Hh}" if minutes >= 240 else f"{there:%H:%M}"


def _over_time(
    request: ConsoleRequest,
    found: Sequence[OperationalDataInterval],
    label: Translatable,
    zone: ZoneInfo,
    minutes: int,
) -> list[Block | None]:
    good, bad = sum(c.success_count for c in found), sum(c.failure_count for c in found)
    if not good + bad:
        return [PageNote(N_("No exchange in {time}.", time=label))]
    share = 100 * good / (good + bad)
    answer = PageNote(
        N_(
            "{good} exchanges succeeded, {bad} failed: {share} % succeeded.",
            good=f"{good:,}",
            bad=f"{bad:,}",
            share=f"{share:.1f}",
        ),
        "good" if bad * 100 < good else "caution",
    )
    amounts = [
        Amount(_hour(c.interval_start_time, zone, minutes), c.success_count, c.failure_count) for c in found
    ]
    title = request.translate(N_("Exchanges over time; failures on top, hatched"))
    rows = tuple(
        (moment(c.interval_start_time), number(c.success_count), number(c.failure_count))
        for c in found
        if c.success_count or c.failure_count
    )
    columns = (
        Column(N_("From"), "desde"),
        Column(N_("Succeeded"), "bien", right=True),
        Column(N_("Failed"), "mal", right=True),
    )
    return [
        answer,
        Picture(
            draw_amounts(amounts, title),
            N_("Solid: succeeded. Hatched: failed. The list below has the numbers."),
        ),
        Listing(
            N_("Exchanges over time"),
            columns,
            rows,
            N_("There are none."),
            "tiempo",
            per_page=12,
            searchable=False,
        ),
    ]


def _summary(
    request: ConsoleRequest, found: TrafficSummary, zone: ZoneInfo, minutes: int
) -> list[Block | None]:
    columns = (
        Column(N_("Which"), "cual"),
        Column(N_("Exchanges"), "cuantos", right=True),
        Column(N_("Failed"), "mal", right=True),
        Column(N_("Half within"), "p50", right=True),
        Column(N_("95 % within"), "p95", right=True),
        Column(N_("99 % within"), "p99", right=True),
    )

    def rows(groups: Sequence[ExchangeGroupView]) -> tuple[tuple[Cell, ...], ...]:
        return tuple(
            (
                code(g.name) if g.name else phrase(N_("without a fault"), "good"),
                number(g.count),
                number(g.failed),
                number(g.p50_ms, "ms"),
                number(g.p95_ms, "ms"),
                number(g.p99_ms, "ms"),
            )
            for g in groups
        )

    times = [_hour(g.name, zone, minutes) for g in found.over_time]
    lines = [(n, [getattr(g, f"p{n}_ms") for g in found.over_time]) for n in ("50", "95", "99")]
    title = request.translate(N_("Latency over time, in milliseconds"))
    picture = Picture(
        draw_lines(times, [(f"{n} %", values) for n, values in lines], title, "ms"),
        N_("Half, 95 and 99 of a hundred exchanges took at most so long."),
    )
    note = None
    if found.is_cut:
        note = PageNote(
            N_(
                "Latencies and lists below are of the newest {count} exchanges alone.",
                count=f"{found.count:,}",
            )
        )
    empty = N_("There are none.")
    return [
        Heading(N_("How long they took")),
        note,
        picture if found.over_time else None,
        Listing(N_("By service"), columns, rows(found.by_service), empty, "servicios"),
        Listing(N_("By peer"), columns, rows(found.by_peer), empty, "pares"),
        Listing(N_("By outcome"), columns, rows(found.by_outcome), empty, "resultados"),
    ]
