"""``gateway audit``: evidence verified in bulk, a report for a court, two sides compared. No gateway is needed, running or not."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import sys
import tempfile
from collections import Counter
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

import click

from gateway.cli.apikeys import WHERE
from schemas.showing import shown, shown_json
from serving.cli.commands import report_errors
from serving.cli.usercommands import audit_commands
from serving.language import N_, Text, _, language_of
from serving.storage.objects import is_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.audit.evidence import EvidenceUnit
    from gateway.audit.judging import Judgement

P = ParamSpec("P")
# What is counted at the end, as it is said there; lines and files for programs have the keys.
VERDICTS = {
    "valid": N_("{count} valid"),
    "proved": N_("{count} proved"),
    "invalid": N_("{count} invalid"),
    "unchecked": N_("{count} unchecked"),
}

_FOLDER = _("folder with the verification configuration, or the zip of GET /verificationconf")
CONFIGURATION = click.option("--configuration", type=click.Path(path_type=Path, exists=True), help=_FOLDER)
NEEDED_CONFIGURATION = click.option(
    "--configuration", required=True, type=click.Path(path_type=Path, exists=True), help=_FOLDER
)
PATHS = click.argument("paths", nargs=-1, type=click.Path(path_type=str, allow_dash=True))


def audit_group() -> click.Group:
    """``gateway audit``: of evidence, and of what administrators did (``list``, ``export``, and ``verify`` without paths)."""
    group = audit_commands(WHERE)
    group.help = _(
        "Audit: evidence (verify PATHS, report, reconcile; no gateway is needed) and what administrators did."
    )
    of_administrators = group.commands["verify"]

    def either(**given: Any) -> None:
        if given["paths"]:
            if given["configuration"] is None:
                raise click.UsageError(_("--configuration FOLDER is missing"))
            chosen = verify
        else:
            chosen = of_administrators
        click.get_current_context().invoke(chosen, **{p.name: given[p.name] for p in chosen.params if p.name})

    params = [*of_administrators.params, *verify.params]
    group.add_command(click.Command("verify", params=params, callback=either, help=verify.help))
    group.add_command(report_html)
    group.add_command(reconcile)
    group.add_command(omitted)
    group.add_command(proof)
    return group


def _exits_unchecked(command: Callable[P, None]) -> Callable[P, None]:
    """Exit 2 on what hindered the whole of it: 1 says that evidence is wrong."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except click.ClickException as err:
            err.show()
            sys.exit(2)

    return run


@click.command(
    help="With paths, verify containers, zips of /asic, archives and whole folders (- is standard input) on all cores. With --report a run goes on where it ended. Exit 0 all valid, 1 any invalid, 2 any unchecked, 3 none worse than withheld. Without paths, prove the audit log of --data."
)
@CONFIGURATION
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    help="SQLite file, for Datasette",
)
@click.option("--csv", "csv_file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="a line of JSON a container")
@click.option("--summary", is_flag=True, help="only the count")
@click.option("--jobs", type=click.IntRange(0, 512), default=0, help="processes; 0 all cores")
@click.option(
    "--dask",
    help="verify on the workers of a Dask scheduler, by its address; 'local' for processes of this machine",
)
@PATHS
@click.pass_context
@_exits_unchecked
@report_errors
def verify(
    context: click.Context,
    /,
    configuration: Path,
    report: Path | None,
    csv_file: Path | None,
    paths: tuple[str, ...],
    *,
    as_json: bool,
    summary: bool,
    **workers: Any,
) -> None:
    """Verify containers in bulk, and report on each; ``workers`` says how many, and of which Dask scheduler."""
    from gateway.audit.evidence import find_units
    from gateway.audit.running import judge_all
    from gateway.audit.writing import CsvReport, SqliteReport, render_metadata

    with contextlib.ExitStack() as stack:
        sqlite = None if report is None else stack.enter_context(contextlib.closing(SqliteReport(report)))
        table = None
        if csv_file is not None:
            table = CsvReport(stack.enter_context(csv_file.open("w", newline="", encoding="utf-8")))
        units = find_units(stack.enter_context(_paths(paths)))
        left = units if sqlite is None else sqlite.left(units)
        progressed = stack.enter_context(_progress())
        counts: Counter[str] = Counter()
        dask, jobs = workers["dask"], workers["jobs"]
        if dask is None:
            judged = judge_all(left, configuration, jobs)
        else:
            from gateway.audit.daskpool import judge_on_dask

            judged = judge_on_dask(left, configuration, dask, jobs)
        for unit, judgements in judged:
            counts.update(j.verdict for j in judgements)
            if sqlite is not None:
                sqlite.add(unit, judgements)
            if table is not None:
                table.add(judgements)
            if not summary:
                for judgement in judgements:
                    _show(judgement, as_json=as_json)
            progressed(unit, len(judgements))
        if sqlite is not None and report is not None:
            counts = sqlite.verdicts()  # those of the runs before this one, too
            about = f"{shown(str(configuration))}, {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}, Sacbé {version('sacbe')}"
            report.with_suffix(".metadata.json").write_text(render_metadata(about), encoding="utf-8")
    click.echo(_counted(counts), err=as_json and not summary)
    context.exit(_exit_code(counts))


@click.command(
    "report",
    help="An HTML report that a court can read, with each step of the proof and how to repeat it.",
)
@NEEDED_CONFIGURATION
@click.option("--out", required=True, type=click.Path(path_type=Path))
@click.option("--lang", "report_language", type=click.Choice(["es", "en"]), default="es", show_default=True)
@click.option("--zone", default="America/Mexico_City", show_default=True, help="time zone")
@PATHS
@report_errors
def report_html(
    configuration: Path, out: Path, report_language: str, zone: str, paths: tuple[str, ...]
) -> None:
    """Write a report for people."""
    from gateway.audit.evidence import find_units
    from gateway.audit.htmlreport import ReportContext, render_report
    from gateway.audit.judging import judge_unit, load_trust

    trust = load_trust(configuration)
    with _paths(paths) as found:
        judgements = [j for unit in find_units(found) for j in judge_unit(unit, trust)]
    context = ReportContext(report_language, datetime.now(UTC), version("sacbe"), zone, configuration)
    out.write_text(render_report(judgements, trust, context), encoding="utf-8")
    click.echo(str(out))


@click.command(
    help="Compare the evidence of two sides: what one lacks, digests that differ, answers without requests. Exit 1 when they disagree."
)
@click.option("--work", type=click.Path(path_type=Path), help="a file to work in")
@click.option("--json", "as_json", is_flag=True)
@click.argument("a", type=click.Path(path_type=Path, exists=True))
@click.argument("b", type=click.Path(path_type=Path, exists=True))
@click.pass_context
@_exits_unchecked
@report_errors
def reconcile(context: click.Context, /, work: Path | None, a: Path, b: Path, *, as_json: bool) -> None:
    """Compare the evidence of two sides, and print where they disagree."""
    from gateway.audit.reconciling import reconcile as compare

    found = compare(a, b, work)
    for difference in found.disagreements:
        if as_json:
            value = {
                "what": difference.what,
                "message_id": difference.message_id,
                "is_response": difference.is_response,
                "where": difference.where,
            }
            click.echo(shown_json(value))
        else:
            direction = _("answer") if difference.is_response else _("request")
            what = _("{what}", what=difference.words)
            click.echo(f"{what}: {shown(difference.message_id)} ({direction}) {shown(difference.where)}")
    for line in found.unread:
        click.echo(f"{_('could not be read')}: {shown(line, 500)}", err=True)
    counts = f"A {found.counts[0]}, B {found.counts[1]}"
    click.echo(
        _("{counts}; differences: {count}", counts=counts, count=len(found.disagreements)),
        err=as_json,
    )
    context.exit(1 if found.disagreements else 2 if found.unread else 0)


@click.command(
    help="Find exchanges about a person that a list of accesses leaves out. LIST are the containers of the answers that keep the list, all its pages; PATHS the evidence of those who asked its keeper. Exit 1 when one is left out."
)
@NEEDED_CONFIGURATION
@click.option(
    "--list",
    "lists",
    required=True,
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="container of a page of the list",
)
@click.option(
    "--word", "words", required=True, multiple=True, help="an identifier of the person, as messages have it"
)
@click.option(
    "--name", default="messageId", show_default=True, help="the field of the list that has a message's id"
)
@click.option("--json", "as_json", is_flag=True, help="a line of JSON an exchange")
@PATHS
@click.pass_context
@_exits_unchecked
@report_errors
def omitted(
    context: click.Context,
    /,
    configuration: Path,
    lists: tuple[Path, ...],
    words: tuple[str, ...],
    name: str,
    paths: tuple[str, ...],
    *,
    as_json: bool,
) -> None:
    """Search the evidence of other sides for what a list leaves out."""
    from gateway.audit.judging import load_trust
    from gateway.audit.omitting import find_omitted, read_lists

    trust = load_trust(configuration)
    listed = read_lists(lists, name, trust)
    with _paths(paths) as sources:
        found = find_omitted(sources, listed, words, trust)
    for one in found.omitted:
        if as_json:
            value = {
                "message_id": one.message_id,
                "client": one.client,
                "service": one.service,
                "signed_at": one.signed_at.isoformat(),
                "certain": one.is_certain,
                "where": one.place,
            }
            click.echo(shown_json(value))
        else:
            kind = _("left out") if one.is_certain else _("perhaps later than the list")
            about = f"{one.signed_at:%Y-%m-%d %H:%M:%S %z} {shown(one.client)} -> {shown(one.service)}"
            click.echo(f"{kind}: {shown(one.message_id)}  {about}  {shown(one.place)}")
    for line in found.unread:
        click.echo(f"{_('could not be read')}: {shown(line, 500)}", err=True)
    left_out = sum(one.is_certain for one in found.omitted)
    click.echo(
        _("{about} exchanges about the person; left out: {count}", about=found.about, count=left_out),
        err=as_json,
    )
    context.exit(1 if left_out else 2 if found.unread else 0)


@click.command(
    help="Verify proofs that records are in a transparency log (*.record-proof.json), offline, by the keys of the verification configuration. Exit 1 when one fails."
)
@NEEDED_CONFIGURATION
@click.option("--json", "as_json", is_flag=True, help="a line of JSON a proof")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.pass_context
@report_errors
def proof(context: click.Context, /, configuration: Path, files: tuple[Path, ...], *, as_json: bool) -> None:
    """Verify proofs of records, and print what each proves."""
    from certs.edges.configurationfiles import load_configuration_folder
    from certs.transparency import appointments_in
    from gateway.audit.recordproofs import judge_proofs

    appointments = appointments_in(load_configuration_folder(configuration, strict=False))
    judged = [judgement for file in files for judgement in judge_proofs(file, appointments)]
    for judgement in judged:
        if as_json:
            click.echo(shown_json(judgement.row()))
        elif judgement.proved is None:
            click.echo(f"INVALID   {shown(judgement.file)}  {shown(judgement.reason, 300)}")
        else:
            click.echo(f"PROVED    {shown(judgement.file)}")
            for line in judgement.lines():
                click.echo(f"          {shown(line, 400)}")
    context.exit(1 if any(j.proved is None for j in judged) else 0)


@contextlib.contextmanager
def _paths(paths: tuple[str, ...]) -> Iterator[list[Path | str]]:
    """The paths, with standard input kept in a file for as long as it is needed."""
    with tempfile.TemporaryDirectory() as folder:
        found: list[Path | str] = []
        for path in paths:
            if path != "-":
                found.append(path if is_address(path) else Path(path))
                continue
            kept = Path(folder) / "stdin.zip"
            with kept.open("wb") as file:
                shutil.copyfileobj(sys.stdin.buffer, file)
            found.append(kept)
        yield found


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[EvidenceUnit, int], None]]:
    """A line at a terminal with how many are done and how fast; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _unit, _count: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.completed:.0f} · {task.speed:.0f}/s {task.description}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda unit, count: progress.update(task, advance=count, description=shown(unit.path, 60))


def _show(judgement: Judgement, *, as_json: bool) -> None:
    if as_json:
        steps = [{"number": n, "title": t, "outcome": o, "detail": d} for n, t, o, d in judgement.steps]
        click.echo(shown_json({**judgement.row(), "steps": steps}))
        return
    where = shown(judgement.file) + (f": {shown(judgement.container)}" if judgement.container else "")
    line = judgement.code or f"{judgement.message_id} {judgement.signer} {judgement.timestamp}"
    click.echo(f"{judgement.verdict.upper():<9} {where}  {shown(line, 300)}")


def _counted(counts: Counter[str]) -> str:
    total = sum(counts.values())
    words = (Text(word.message, {"count": counts[verdict]}) for verdict, word in VERDICTS.items())
    line = ", ".join(word.into(language_of(os.environ)) for word in words)
    return _("{total} containers: {verdicts}", total=total, verdicts=line)


def _exit_code(counts: Counter[str]) -> int:
    if counts["invalid"]:
        return 1
    if counts["unchecked"] or not counts:
        return 2
    return 3 if counts["proved"] else 0
