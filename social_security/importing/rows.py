"""An institute's rows in bulk: affiliations, periods, contacts and retirees out of CSV into its database.

A file is read row by row and never held whole. Good rows are written in batches, each in one transaction with the count of
rows read, so that a run that was interrupted goes on where it stopped; bad rows go into the quality report. A dry run checks
every row and writes the report only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from serving.language import _
from social_security.domain.calendars import national_day
from social_security.domain.faults import DomainError, InputError
from social_security.domain.pseudonyms import parse_pid
from social_security.importing.layouts import (
    LAYOUTS,
    PIDS,
    STATES,
    check_once,
    measure,
    parse_email,
    parse_period,
    parse_span,
    parse_text,
    parse_whole,
    read_rows,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from serving.storage.database import AnyDatabase
    from social_security.importing.quality import QualityReport

# Rows of one transaction. Each writes the pages of the index by person that it touches: nearly all of them, from some ten
# thousand rows on, however many there are. Fifty thousand take a second or two, in which a running system waits to write.
BATCH: Final = 50_000
# After how many rows whoever watches is told.
TELL_EVERY: Final = 1000
_INSERT: Final = {
    "afiliaciones": "INSERT INTO affiliation (pid, file_number, regime, state, since, until, level) "
    "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (pid) DO NOTHING",
    "periodos": "INSERT INTO period (pid, period_id, version, since, until, type, discounted, reinstated, employer, "
    "monthly_cents, state, certified_at, evidence) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (period_id, version) DO NOTHING",
    "contactos": "INSERT INTO contact (pid, value) VALUES (?, ?) ON CONFLICT (pid) DO NOTHING",
    # A name may have been rectified since it was imported; what is paid changes each year.
    "jubilados": "INSERT INTO retiree (pid, name, monthly_cents) VALUES (?, ?, ?) "
    "ON CONFLICT (pid) DO UPDATE SET monthly_cents = excluded.monthly_cents",
}
# What a person has had cancelled -> the kinds of rows that would bring it back.
_CANCELLED: Final = {
    "historia": ("periodos",),
    "periodo": ("periodos",),
    "afiliacion": ("afiliaciones",),
    "contact": ("contactos",),
}


@dataclass(frozen=True, slots=True)
class Known:
    """Persons of an institute before a run: by file number the PID, by PID the state, and what was cancelled.

    ``cancelled``: for a kind of rows and a PID the last day on which she had such data cancelled, blocked or erased by now.
    """

    people: dict[str, str]
    states: Mapping[str, str]
    cancelled: Mapping[tuple[str, str], date]


def read_known(database: AnyDatabase, pids: Path | None) -> Known:
    """The persons in the institute's database, and those of the registry's file of PIDs where it is given. Raises ValueError."""
    affiliated = database.query("SELECT file_number, pid, state FROM affiliation")
    people = {str(number): str(pid) for number, pid, _state in affiliated}
    if pids is not None:
        for number, row in read_rows(pids, PIDS):
            try:
                people[parse_text(row, "expediente")] = parse_pid(row["pid"])
            except (InputError, DomainError) as err:
                raise ValueError(_("{pids}, row {number}: {err}", pids=pids, number=number, err=err)) from err
    cancelled: dict[tuple[str, str], date] = {}
    for what, pid, day in database.query(
        "SELECT data, pid, since FROM blocked UNION ALL SELECT what, pid, day FROM suppression "
        "UNION ALL SELECT 'contact', pid, blocked_since FROM contact WHERE blocked_since IS NOT NULL"
    ):
        for kind in _CANCELLED.get(str(what), ()):
            key, on = (kind, str(pid)), date.fromisoformat(str(day))
            cancelled[key] = max(on, cancelled.get(key, on))
    return Known(people, {str(pid): str(state) for _number, pid, state in affiliated}, cancelled)


@dataclass(slots=True)
class Import:
    """One run over one file at an institute: what it knows of rows before, and what it writes."""

    code: str
    now: datetime
    report: QualityReport
    known: Known
    seen: dict[str, int] = field(default_factory=dict)
    spans: dict[str, list[tuple[date, date, int]]] = field(default_factory=dict)
    # The date of the run, and its moment as it is written to every row.
    today: date = field(init=False)
    moment: str = field(init=False)

    def __post_init__(self) -> None:
        self.today, self.moment = national_day(self.now), self.now.isoformat()

    def parser(self, kind: str) -> Callable[[int, dict[str, str]], tuple[Any, ...]]:
        """How a row of a kind becomes one of its table, the PID first; what it makes of it raises `InputError`."""
        return {
            "afiliaciones": self.affiliation,
            "periodos": self.period,
            "contactos": self.contact,
            "jubilados": self.retiree,
        }[kind]

    def affiliation(self, number: int, row: dict[str, str]) -> tuple[Any, ...]:
        """A row of the affiliation table. Raises `InputError`."""
        who = self._person(row)
        check_once(self.seen, who, number, "expediente")
        state = parse_text(row, "estado")
        if state not in STATES:
            names = ", ".join(sorted(STATES))
            raise InputError("estado", f"expected {names}", es=f"se espera {names}")
        since, until = parse_span(row, self.today)
        self._check_cancelled("afiliaciones", who, since, "desde")
        return (
            who, row["expediente"], parse_text(row, "regimen"), state, since.isoformat(),
            None if until is None else until.isoformat(), parse_whole(row, "nivel", 0, 3),
        )  # fmt: skip

    def period(self, number: int, row: dict[str, str]) -> tuple[Any, ...]:
        """A row of the period table. Raises `InputError`; overlaps and gaps are noted and do not stop it."""
        who = self._person(row)
        p = parse_period(row, self.today)
        check_once(self.seen, p.name, number, "id_periodo")
        self._check_cancelled("periodos", who, p.since, "desde")
        self.spans.setdefault(who, []).append((p.since, p.until or self.today, number))
        return (
            who, f"{self.code}:{p.name}", 1, p.since.isoformat(), None if p.until is None else p.until.isoformat(),
            p.type, p.discounted, p.reinstated, p.employer, p.monthly_cents, "CERTIFICADO", self.moment, None,
        )  # fmt: skip

    def contact(self, number: int, row: dict[str, str]) -> tuple[Any, ...]:
        """A row of the contact table. Raises `InputError`."""
        who = self._person(row)
        check_once(self.seen, who, number, "expediente")
        self._check_cancelled("contactos", who, date.min, "correo")
        return who, parse_email(row, "correo")

    def retiree(self, number: int, row: dict[str, str]) -> tuple[Any, ...]:
        """A row of the list of retirees, which is published. Raises `InputError`."""
        who = self._person(row)
        check_once(self.seen, who, number, "expediente")
        if self.known.states.get(who) != "PENSIONADA":
            raise InputError(
                "expediente",
                "not a pensioner here: only who is PENSIONADA in the affiliations is on the list that is published",
                es="no es pensionada aquí: sólo quien es PENSIONADA en las afiliaciones está en la lista que se publica",
            )
        return who, parse_text(row, "nombre"), parse_whole(row, "pension_mensual_centavos", 1, 10**12)

    def note_overlaps(self) -> None:
        """Say which periods of a person overlap, and where days lie between them: no fault by itself, but worth a look."""
        for spans in self.spans.values():
            spans.sort()
            last = spans[0]
            for span in spans[1:]:
                gap = (span[0] - last[1]).days - 1
                if gap < 0:
                    self.report.add(
                        span[2],
                        "desde",
                        f"se traslapa con la fila {last[2]}",
                        f"it overlaps with row {last[2]}",
                    )
                elif gap > 0:
                    self.report.add(
                        span[2],
                        "desde",
                        f"{gap} días sin periodo tras la fila {last[2]}",
                        f"{gap} days without a period after row {last[2]}",
                    )
                last = max(last, span, key=itemgetter(1))

    def _person(self, row: dict[str, str]) -> str:
        who = self.known.people.get(parse_text(row, "expediente"))
        if who is None:
            raise InputError(
                "expediente",
                "it has no pid: neither the file of pids nor the affiliations have it",
                es="no tiene pid: falta en el archivo de pids o en las afiliaciones",
            )
        return who

    def _check_cancelled(self, kind: str, who: str, since: date, name: str) -> None:
        """What a person has had cancelled does not come back by a file; what began later is other data."""
        day = self.known.cancelled.get((kind, who))
        if day is not None and since <= day:
            raise InputError(
                name,
                f"cancelled at the person's request since {day}: it does not come in again",
                es=f"cancelado a petición de la persona desde el {day}: no vuelve a entrar",
            )


def import_file(
    database: AnyDatabase,
    run: Import,
    kind: str,
    file: Path,
    *,
    dry_run: bool,
    tell: Callable[[int], None] = lambda _rows: None,
) -> int:
    """Import a file of a kind of `LAYOUTS`; how many rows were good. Raises ValueError when the file is none.

    What is written already stays as it is, so a file may be given twice. ``tell`` hears how many rows were read.
    """
    parse = run.parser(kind)
    digest, _lines = measure(file)
    rows = database.query(
        "SELECT rows_read FROM import_progress WHERE file_sha256 = ? AND kind = ?", (digest, kind)
    )
    done = 0 if dry_run or not rows else int(rows[0][0])
    batch: list[tuple[Any, ...]] = []
    good, number = 0, 1
    for number, row in read_rows(file, LAYOUTS[kind]):
        if number % TELL_EVERY == 0:
            tell(number)
        try:
            made = parse(number, row)
        except InputError as err:
            run.report.add_error(number, err)
            continue
        good += 1
        if number > done:
            batch.append(made)
        if len(batch) >= BATCH:
            if not dry_run:
                _write(database, kind, digest, batch, number, None)
            batch = []
    if not dry_run:
        _write(database, kind, digest, batch, number, run.now)
    run.note_overlaps()
    tell(number)
    return good


def _write(
    database: AnyDatabase,
    kind: str,
    digest: str,
    batch: list[tuple[Any, ...]],
    number: int,
    end: datetime | None,
) -> None:
    """On disk after it: the batch and how far the file was read, both or neither."""
    # By person: each page of the index by person is then visited once, and written once.
    batch.sort(key=itemgetter(0))
    with database.transaction() as connection:
        connection.executemany(_INSERT[kind], batch)
        connection.execute(
            "INSERT INTO import_progress (file_sha256, kind, rows_read, finished_at) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (file_sha256, kind) DO UPDATE SET rows_read = excluded.rows_read, finished_at = excluded.finished_at",
            (digest, kind, number, None if end is None else end.isoformat()),
        )
