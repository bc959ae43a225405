"""How fast an institute's own data comes in: ``python -m benchmarks.imports [PERIODS] [PERSONS]`` (1,000,000 of 200,000).

Synthetic affiliations and periods are written as CSV, then imported by the same command as an institute's, into SQLite, with the
quality report and the queue of announcements. Told: rows a second by the clock and by processor time, of each file.
"""

from __future__ import annotations

import csv
import os
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from click.testing import CliRunner

from serving.storage.database import Database
from social_security.__main__ import main
from social_security.domain.pseudonyms import Rid, institute_pid
from social_security.importing.layouts import AFFILIATIONS, PERIODS, PIDS
from social_security.institute.stores.steps import STEPS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MEMBER = "15-ISSEMYM"
# One person's periods follow each other: each begins where the one before ended, after a gap in every third.
FIRST, LENGTH = date(1990, 1, 1), 400


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    """A file of a documented layout."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
    return path


def period(number: int, persons: int) -> tuple[object, ...]:
    """The row of a period: the ``number // persons``-th of its person."""
    turn, who = divmod(number, persons)
    since = FIRST + timedelta(days=turn * (LENGTH + turn % 3))
    until = since + timedelta(days=LENGTH - 1)
    return (
        f"P{number}",
        f"E{who}",
        since,
        until,
        "11",
        turn % 5,
        0,
        f"{who % 300:04d}",
        1_250_000 + number % 997,
    )


def time_import(kind: str, folder: Path, file: Path, rows: int, *more: str) -> str:
    """Import one file; what it took, in words."""
    report = file.with_suffix(".report.csv")
    arguments = [
        "import",
        "--data",
        str(folder),
        "--member",
        MEMBER,
        "--kind",
        kind,
        "--report",
        str(report),
        *more,
        str(file),
    ]
    began, worked = time.perf_counter(), time.process_time()
    done = CliRunner().invoke(main, arguments)
    took, busy = time.perf_counter() - began, time.process_time() - worked
    if done.exit_code not in (0, 3):
        raise SystemExit(done.output)
    return (
        f"{kind}: {rows:,} rows in {took:.1f} s = {rows / took:,.0f} a second; "
        f"{busy:.1f} s of processor time = {rows / busy:,.0f} a processor second"
    )


def run(periods: int, persons: int, folder: Path) -> None:
    """Write both files, import them, and print what each took."""
    Database(folder / "institute.sqlite", STEPS).close()
    pids = [
        institute_pid(bytes(32), "1", Rid(number.to_bytes(16, "big")), MEMBER) for number in range(persons)
    ]
    known = write_csv(folder / "pids.csv", PIDS, ((f"E{n}", p) for n, p in enumerate(pids)))
    rows = ((f"E{n}", "regimen", "BAJA", FIRST, "2020-01-01", 2) for n in range(persons))
    file = write_csv(folder / "afiliaciones.csv", AFFILIATIONS, rows)
    print(time_import("afiliaciones", folder, file, persons, "--pids", str(known)), flush=True)
    file = write_csv(folder / "periodos.csv", PERIODS, (period(n, persons) for n in range(periods)))
    print(time_import("periodos", folder, file, periods), flush=True)
    print(f"load of the machine: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    given = [int(a) for a in sys.argv[1:]]
    with tempfile.TemporaryDirectory(prefix="sacbe-import-") as place:
        run(given[0] if given else 1_000_000, given[1] if len(given) > 1 else 200_000, Path(place))
