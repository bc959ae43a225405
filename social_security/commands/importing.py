"""``social_security import``: an institute's affiliations, periods, contacts and retirees out of CSV files."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from serving.cli.progress import advancing, working
from serving.language import _
from social_security.importing.layouts import LAYOUTS, measure
from social_security.importing.quality import QualityReport
from social_security.importing.rows import Import, import_file, read_known
from social_security.institute.announcing import queue_announcements
from social_security.institute.stores.steps import STEPS
from social_security.wire.books import holds, open_books, settings_in
from social_security.wire.publication import edition_in

if TYPE_CHECKING:
    from serving.storage.database import AnyDatabase


@click.command("import")
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path, exists=True),
    help="folder of the institute's system",
)
@click.option("--member", required=True, help="this institute, as 15-ISSEMYM")
@click.option("--kind", required=True, type=click.Choice(tuple(LAYOUTS)))
@click.option(
    "--pids",
    type=click.Path(path_type=Path, exists=True),
    help="the registry's expediente,pid, for afiliaciones, and for what is handed over",
)
@click.option(
    "--from",
    "leaving",
    default="",
    help="the member that has left and hands this over, as 30-IPE",
)
@click.option(
    "--report", required=True, type=click.Path(path_type=Path), help="new file: what was found wrong, by row"
)
@click.option("--dry-run", is_flag=True, help="check every row and write the report only")
@click.argument("file", type=click.Path(path_type=Path, exists=True))
def import_rows(
    data: Path,
    member: str,
    kind: str,
    pids: Path | None,
    leaving: str,
    report: Path,
    file: Path,
    *,
    dry_run: bool,
) -> None:
    """Import affiliations, periods, contacts or retirees out of a CSV. May be run again: what is missing is added."""
    for code in (member, leaving or member):
        if code not in edition_in(data).members:
            raise click.ClickException(
                _("{member} is no member's code; expected one as 15-ISSEMYM", member=code[:40])
            )
    if leaving == member:
        raise click.ClickException(_("--from is the member that has left, not this institute"))
    if not holds(data, "institute"):
        raise click.ClickException(
            _("{data} is no institute's system; make it with `social_security init`", data=data)
        )
    database = open_books(data, "institute", STEPS)
    try:
        with QualityReport(report) as quality:
            run = Import(member, datetime.now(UTC), quality, read_known(database, pids), bool(leaving))
            found = settings_in(data)
            elsewhere = found is not None and bool(found.periods_from)
            if elsewhere and kind == "periodos":
                raise ValueError(
                    _(
                        "periods_from is set: the periods stay in that system and are read there; none are imported"
                    )
                )
            good, queued = _run(database, run, kind, file, dry_run=dry_run, elsewhere=elsewhere)
    except ValueError as err:
        raise click.ClickException(str(err)) from err
    finally:
        database.close()
    click.echo(
        _(
            "{good} good rows, {count} problems in {report}; the registry will be told of {queued} persons",
            good=good,
            count=quality.count,
            report=report,
            queued=queued,
        )
        + (_(" (dry run)") if dry_run else "")
    )
    sys.exit(0 if quality.count == 0 else 3)


def _run(
    database: AnyDatabase, run: Import, kind: str, file: Path, *, dry_run: bool, elsewhere: bool
) -> tuple[int, int]:
    """The number of good rows, and of persons that the registry will be told of. Raises ValueError."""
    with advancing(_("Rows"), measure(file)[1]) as progress:
        good = import_file(database, run, kind, file, dry_run=dry_run, progress=progress)
    if dry_run:
        return good, 0
    with working(_("Queueing what the registry is told")):
        return good, queue_announcements(database, run.code, run.today, are_periods_elsewhere=elsewhere)
