"""RENAPO's feed of CURP states, taken by an officer of the registry: a CSV that is read once and not kept.

Layout (UTF-8, comma, header ``curp,estado,desde,curp_vigente``): docs/importar.md and docs/import.md.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from serving.language import _
from social_security.commands.enrolment import read_curp
from social_security.commands.officers import open_registry
from social_security.domain.calendars import national_day
from social_security.domain.faults import InputError
from social_security.importing.layouts import parse_day, read_rows
from social_security.importing.quality import QualityReport
from social_security.registry.accesses import PersonAccess
from social_security.registry.curpstates import CODES, FeedOutcome, StateRow

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date


COLUMNS: Final = ("curp", "estado", "desde", "curp_vigente")


@click.command("curp-states")
@click.option("--data", required=True, type=click.Path(path_type=Path), help="folder of the registry")
@click.option(
    "--report", required=True, type=click.Path(path_type=Path), help="new file: what was found wrong, by row"
)
@click.option("--dry-run", is_flag=True, help="check every row and write the report only")
@click.argument("file", type=click.Path(path_type=Path, exists=True))
def curp_states(data: Path, report: Path, file: Path, *, dry_run: bool) -> None:
    """Take RENAPO's states of CURPs: active, historical, deceased, duplicated, cancelled. Given twice, it changes nothing."""
    now = datetime.now(UTC)
    store = open_registry(data)
    try:
        with QualityReport(report) as problems:
            rows = list(_parse(file, problems, national_day(now)))
            done = (
                FeedOutcome() if dry_run else store.take_curp_states(rows, now, lambda d: _accesses(d, now))
            )
    except ValueError as err:
        raise click.ClickException(str(err)) from err
    finally:
        store.close()
    click.echo(
        _(
            "{count} good rows, {problems} problems; {noted} states noted, {same} known already, {unknown} of nobody here, {reviews} reviews, {cases} cases for an officer",
            count=len(rows),
            problems=problems.count,
            noted=done.noted,
            same=done.same,
            unknown=done.unknown,
            reviews=done.reviews,
            cases=len(done.cases),
        )
        + (_(" (dry run)") if dry_run else "")
    )


def _parse(file: Path, problems: QualityReport, today: date) -> Iterator[StateRow]:
    for number, row in read_rows(file, COLUMNS):
        try:
            yield _row(row, today)
        except InputError as err:
            problems.add_error(number, err)


def _row(row: dict[str, str], today: date) -> StateRow:
    code = row.get("estado", "")
    if code not in CODES:
        codes = ", ".join(CODES)
        raise InputError(
            "estado",
            f"one of RENAPO's codes is expected: {codes}",
            es=f"se espera un código de RENAPO: {codes}",
        )
    since = parse_day(row, "desde")
    if since > today:
        raise InputError("desde", "the day is in the future", es="la fecha es futura")
    now_curp = read_curp(row, "curp_vigente", today) if row.get("curp_vigente") else None
    curp = read_curp(row, "curp", today)
    if now_curp == curp:
        raise InputError("curp_vigente", "it is the same CURP", es="es la misma CURP")
    return StateRow(curp, code, since, now_curp)


def _accesses(done: FeedOutcome, now: datetime) -> Iterator[PersonAccess]:
    """A line in each touched person's access log: the registry itself used her record."""
    for number, rid in enumerate(done.touched, 1):
        yield PersonAccess(
            rid, now, "Estado de la CURP según RENAPO", "MX/GOB/00-RNSS", "Oficial del registro", "PUR-IDENT",
            "mx:LGPDPPSO-16-I", ("identidad",), f"CONS-00-{now.year}-{number:08d}", str(uuid.uuid4()), "ENTREGADO",
        )  # fmt: skip
