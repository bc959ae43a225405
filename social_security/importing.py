"""An institute's own data out of CSV: affiliations and periods in bulk, and at the registry the persons they are of.

A file is read row by row and never held whole. Good rows are written in batches, each in one transaction with the count of
rows read, so that a run that was interrupted goes on where it stopped; bad rows go into the quality report, a CSV of
``fila,campo,problema,valor_sugerido``. A dry run checks every row and writes the report only.

Layouts (UTF-8, comma, header): docs/importar.md and docs/import.md.
"""

from __future__ import annotations

import csv
import hashlib
import os
import re
import sys
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from serving.language import _
from social_security.domain import pack
from social_security.domain.calendars import national_day
from social_security.domain.curp import Curp, check_digit, normalise, parse_curp
from social_security.domain.faults import DomainError, InputError
from social_security.domain.history import EARLIEST
from social_security.domain.pseudonyms import parse_pid
from social_security.institute.announcing import queue_announcements
from social_security.institute.stores.steps import STEPS
from social_security.registry.homonyms import find_homonyms
from social_security.wire.books import holds, open_books

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from serving.storage.database import AnyDatabase
    from serving.storage.transactions import Transaction
    from social_security.registry.store import RegistryStore

BATCH: Final = 5000
PERSONS: Final = ("expediente", "curp", "nivel")
PIDS: Final = ("expediente", "pid")
AFFILIATIONS: Final = ("expediente", "regimen", "estado", "desde", "hasta", "nivel")
PERIODS: Final = (
    "id_periodo", "expediente", "desde", "hasta", "tipo", "dias_descontados", "dias_reintegrados", "empleador",
    "sueldo_mensual_centavos",
)  # fmt: skip
STATES: Final = frozenset(("ACTIVA", "BAJA", "PENSIONADA", "FALLECIDA"))
_TEXT: Final = re.compile(r"[^\x00-\x1f\x7f]{1,100}")
_NUMBER: Final = re.compile(r"\d{1,13}", re.ASCII)
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
# What people and scanners take for each other.
_CONFUSED: Final = {
    "O": "0",
    "0": "O",
    "I": "1",
    "1": "I",
    "S": "5",
    "5": "S",
    "B": "8",
    "8": "B",
    "Z": "2",
    "2": "Z",
}


class QualityReport:
    """The quality report: a new file that only its owner reads."""

    def __init__(self, path: Path) -> None:
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError as err:
            raise ValueError(_("{path} is there already; a report is a new file", path=path)) from err
        self._file = os.fdopen(handle, "w", encoding="utf-8", newline="")
        self._csv = csv.writer(self._file)
        self._csv.writerow(("fila", "campo", "problema", "valor_sugerido"))
        self.count = 0

    def add(self, row: int, name: str, problem: str, suggestion: str = "") -> None:
        """Note a problem of a row; the header is row 1."""
        # A cell that a spreadsheet would take for a formula is written as text.
        cells = [f"'{c}" if c[:1] in ("=", "+", "-", "@") else c for c in (name, problem, suggestion)]
        self._csv.writerow((row, *cells))
        self.count += 1

    def close(self) -> None:
        """Write out and close the report's file."""
        self._file.close()


def read_rows(file: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a CSV with exactly these columns, numbered as a spreadsheet shows them. Raises ValueError."""
    with file.open(encoding="utf-8-sig", newline="") as opened:
        reader = csv.reader(opened, strict=True)
        try:
            header = next(reader, [])
            if header != list(columns):
                raise ValueError(
                    _(
                        "{file}: the header is {names}; expected {names2}",
                        file=file,
                        names=",".join(header)[:200],
                        names2=",".join(columns),
                    )
                )
            for number, cells in enumerate(reader, 2):
                # A row of another width keeps its number and is told by its parser as one that lacks a field.
                whole = [c.strip() for c in cells] if len(cells) == len(columns) else []
                yield number, dict(zip(columns, whole, strict=False))
        except (csv.Error, UnicodeDecodeError) as err:
            raise ValueError(_("{file}: not a CSV in UTF-8 ({err})", file=file, err=err)) from err


def suggest_curp(text: str, today: date) -> str:
    """The one CURP that a mistyped one stands for, when a single confusion or its check digit explains it; else empty."""
    value = normalise(text)
    if len(value) != 18:
        return ""
    found = set()
    for place, letter in enumerate(value):
        if letter in _CONFUSED:
            found.add(value[:place] + _CONFUSED[letter] + value[place + 1 :])
    right = {c for c in found if _is_curp(c, today)}
    if not right and value[:17].isascii():
        try:
            digit = f"{value[:17]}{check_digit(value[:17])}"
        except ValueError:
            return ""
        right = {digit} if _is_curp(digit, today) else set()
    return right.pop() if len(right) == 1 else ""


def _is_curp(value: str, today: date) -> bool:
    try:
        parse_curp(value, today)
    except DomainError:
        return False
    return True


def import_persons(
    store: RegistryStore, member: str, file: Path, out: Path, report_file: Path, today: date, *, dry_run: bool
) -> str:
    """Enrol the persons of ``expediente,curp,nivel`` and write ``expediente,pid``; what was done. Raises ValueError."""
    if out.exists():
        raise ValueError(_("{out} is there already; it is a new file", out=out))
    report = QualityReport(report_file)
    seen_files: dict[str, int] = {}
    seen_curps: dict[bytes, int] = {}
    seen_names: dict[bytes, int] = {}
    made = known = 0
    lines: list[tuple[str, str]] = []
    try:
        for number, row in read_rows(file, PERSONS):
            try:
                number_text = _text(row, "expediente")
                curp = _curp(row, today)
                level = _whole(row, "nivel", 0, 3)
                digest = hashlib.sha256(curp.value.encode()).digest()
                _once(seen_files, number_text, number, "expediente")
                _once(seen_curps, digest, number, "curp")
            except InputError as err:
                report.add(number, err.subject, str(err), err.suggestion)
                continue
            namesake = hashlib.sha256(curp.value[:16].encode()).digest()
            _note_homonyms(store, member, curp, number, seen_names.setdefault(namesake, number), report)
            person = store.find_by_curp(curp)
            made, known = made + (person is None), known + (person is not None)
            if not dry_run:
                rid = store.enrol(curp, level, today) if person is None else person.rid
                lines.append((number_text, store.link(rid, member, today)))
    finally:
        report.close()
    if not dry_run:
        handle = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as opened:
            csv.writer(opened).writerows((PIDS, *lines))
    return (
        f"{made} new persons, {known} known already, {report.count} problems{' (dry run)' if dry_run else ''}"
    )


def _note_homonyms(
    store: RegistryStore, member: str, curp: Curp, number: int, first: int, report: QualityReport
) -> None:
    """Say of whom there is a namesake born on the same day and place under another CURP; the row comes in all the same.

    Of whom the registry knows, the report says whether another institute holds her, not which.
    """
    if first != number:
        report.add(
            number,
            "curp",
            f"posible homónima de la fila {first}: mismo nombre, fecha, sexo y entidad, otra CURP",
        )
    for rid in find_homonyms(store, curp):
        holders = store.linked(rid)
        others = [m for m in holders if m != member]
        where = "de otro instituto" if others else "de este instituto" if holders else "sin instituto"
        report.add(
            number,
            "curp",
            f"en el registro hay una homónima {where}, con otra CURP: compare documentos antes de afiliar",
        )


@dataclass(slots=True)
class Import:
    """One run over one file at an institute: what it knows of rows before, and what it writes."""

    code: str
    now: datetime
    report: QualityReport
    people: dict[str, str]
    seen: dict[str, int] = field(default_factory=dict)
    spans: dict[str, list[tuple[date, date, int]]] = field(default_factory=dict)
    # The date of the run, and its moment as it is written to every row.
    today: date = field(init=False)
    moment: str = field(init=False)

    def __post_init__(self) -> None:
        self.today, self.moment = national_day(self.now), self.now.isoformat()

    def affiliation(self, number: int, row: dict[str, str]) -> tuple[Any, ...]:
        """A row of the affiliation table. Raises `InputError`."""
        who = self._person(row)
        _once(self.seen, who, number, "expediente")
        state = _text(row, "estado")
        if state not in STATES:
            raise InputError("estado", f"se espera {', '.join(sorted(STATES))}")
        since, until = self._span(row)
        return (
            who, row["expediente"], _text(row, "regimen"), state, since.isoformat(),
            None if until is None else until.isoformat(), _whole(row, "nivel", 0, 3),
        )  # fmt: skip

    def period(self, number: int, row: dict[str, str]) -> tuple[Any, ...]:
        """A row of the period table. Raises `InputError`; overlaps and gaps are noted and do not stop it."""
        name = _text(row, "id_periodo")
        who = self._person(row)
        _once(self.seen, name, number, "id_periodo")
        since, until = self._span(row)
        last = until or self.today
        days = last.toordinal() - since.toordinal() + 1
        discounted = _whole(row, "dias_descontados", 0, days)
        reinstated = _whole(row, "dias_reintegrados", 0, discounted)
        self.spans.setdefault(who, []).append((since, last, number))
        return (
            f"{self.code}:{name}", 1, who, since.isoformat(), None if until is None else until.isoformat(),
            _text(row, "tipo"), discounted, reinstated, _text(row, "empleador"),
            _whole(row, "sueldo_mensual_centavos", 0, 10**12), "CERTIFICADO", self.moment, None,
        )  # fmt: skip

    def note_overlaps(self) -> None:
        """Say which periods of a person overlap, and where days lie between them: no fault by itself, but worth a look."""
        for spans in self.spans.values():
            spans.sort()
            last = spans[0]
            for span in spans[1:]:
                if span[0] <= last[1]:
                    self.report.add(span[2], "desde", f"se traslapa con la fila {last[2]}")
                elif (span[0] - last[1]).days > 1:
                    self.report.add(
                        span[2],
                        "desde",
                        f"{(span[0] - last[1]).days - 1} días sin periodo tras la fila {last[2]}",
                    )
                last = max(last, span, key=lambda s: s[1])

    def _person(self, row: dict[str, str]) -> str:
        who = self.people.get(_text(row, "expediente"))
        if who is None:
            raise InputError("expediente", "no tiene pid: falta en el archivo de pids o en las afiliaciones")
        return who

    def _span(self, row: dict[str, str]) -> tuple[date, date | None]:
        since = parse_day(row, "desde")
        until = parse_day(row, "hasta") if row.get("hasta") else None
        if since > self.today or (until is not None and until > self.today):
            raise InputError("hasta" if since <= self.today else "desde", "la fecha es futura")
        if until is not None and until < since:
            raise InputError("hasta", "termina antes de empezar", f"{until},{since}")
        if since < EARLIEST:
            raise InputError("desde", f"anterior a {EARLIEST.year}")
        return since, until


_INSERT: Final = {
    "afiliaciones": "INSERT INTO affiliation (pid, file_number, regime, state, since, until, level) "
    "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (pid) DO NOTHING",
    "periodos": "INSERT INTO period (period_id, version, pid, since, until, type, discounted, reinstated, employer, "
    "monthly_cents, state, certified_at, evidence) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (period_id, version) DO NOTHING",
}


def import_file(
    database: AnyDatabase,
    run: Import,
    kind: str,
    file: Path,
    *,
    dry_run: bool,
    tell: Callable[[int], None] = lambda _rows: None,
) -> int:
    """Import ``afiliaciones`` or ``periodos``; how many rows were good. Raises ValueError when the file is none.

    What is written already stays as it is, so a file may be given twice. ``tell`` hears of the rows read, batch by batch.
    """
    parse = run.affiliation if kind == "afiliaciones" else run.period
    digest = _digest(file)
    rows = database.query(
        "SELECT rows_read FROM import_progress WHERE file_sha256 = ? AND kind = ?", (digest, kind)
    )
    done = 0 if dry_run or not rows else int(rows[0][0])
    good, batch, number = 0, [], 1
    for number, row in read_rows(file, AFFILIATIONS if kind == "afiliaciones" else PERIODS):
        try:
            made = parse(number, row)
        except InputError as err:
            run.report.add(number, err.subject, str(err), err.suggestion)
            continue
        good += 1
        if number > done:
            batch.append(made)
        if len(batch) >= BATCH:
            if not dry_run:
                _write(database, kind, digest, batch, number, None)
            batch = []
            tell(number)
    if not dry_run:
        _write(database, kind, digest, batch, number, run.now)
    run.note_overlaps()
    tell(number)
    return good


def _write(
    database: AnyDatabase,
    kind: str,
    digest: str,
    batch: Sequence[tuple[Any, ...]],
    number: int,
    end: datetime | None,
) -> None:
    """On disk after it: the batch and how far the file was read, both or neither."""
    with database.transaction() as connection:
        connection.executemany(_INSERT[kind], batch)
        _note_progress(connection, digest, kind, number, end)


def _note_progress(
    connection: Transaction, digest: str, kind: str, number: int, end: datetime | None
) -> None:
    connection.execute(
        "INSERT INTO import_progress (file_sha256, kind, rows_read, finished_at) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (file_sha256, kind) DO UPDATE SET rows_read = excluded.rows_read, finished_at = excluded.finished_at",
        (digest, kind, number, None if end is None else end.isoformat()),
    )


def read_people(database: AnyDatabase, pids: Path | None) -> dict[str, str]:
    """The PID of each file number: of the registry's file, and of the affiliations that are here. Raises ValueError."""
    found = {str(r[0]): str(r[1]) for r in database.query("SELECT file_number, pid FROM affiliation")}
    if pids is not None:
        for number, row in read_rows(pids, PIDS):
            try:
                found[_text(row, "expediente")] = parse_pid(row["pid"])
            except (InputError, DomainError) as err:
                raise ValueError(_("{pids}, row {number}: {err}", pids=pids, number=number, err=err)) from err
    return found


@click.command("import")
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path, exists=True),
    help="folder of the institute's system",
)
@click.option("--member", required=True, help="this institute, as 15-ISSEMYM")
@click.option("--kind", required=True, type=click.Choice(("afiliaciones", "periodos")))
@click.option(
    "--pids",
    type=click.Path(path_type=Path, exists=True),
    help="the registry's expediente,pid, for afiliaciones",
)
@click.option(
    "--report", required=True, type=click.Path(path_type=Path), help="new file: what was found wrong, by row"
)
@click.option("--dry-run", is_flag=True, help="check every row and write the report only")
@click.argument("file", type=click.Path(path_type=Path, exists=True))
def import_rows(
    data: Path, member: str, kind: str, pids: Path | None, report: Path, file: Path, *, dry_run: bool
) -> None:
    """Import affiliations or periods out of a CSV. May be run again: what is there stays, what is missing is added."""
    if member not in pack.members():
        raise click.ClickException(
            _("{member} is no member's code; expected one as 15-ISSEMYM", member=member[:40])
        )
    if not holds(data, "institute"):
        raise click.ClickException(
            _("{data} is no institute's system; make it with `social_security init`", data=data)
        )
    database = open_books(data, "institute", STEPS)
    try:
        quality = QualityReport(report)
        try:
            run = Import(member, datetime.now(UTC), quality, read_people(database, pids))
            good = import_file(
                database,
                run,
                kind,
                file,
                dry_run=dry_run,
                tell=lambda rows: click.echo(f"{rows - 1} rows", err=True),
            )
            queued = 0 if dry_run else queue_announcements(database, member, run.today)
        finally:
            quality.close()
    except ValueError as err:
        raise click.ClickException(str(err)) from err
    finally:
        database.close()
    click.echo(
        _(
            "{good} good rows, {count} problems in {report}; the registry will be told of {told} persons",
            good=good,
            count=quality.count,
            report=report,
            told=queued,
        )
        + (_(" (dry run)") if dry_run else "")
    )
    sys.exit(0 if quality.count == 0 else 3)


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _text(row: dict[str, str], name: str) -> str:
    value = row.get(name, "")
    if _TEXT.fullmatch(value) is None:
        raise InputError(name, "falta, o no es un texto de a lo más 100 caracteres")
    return value


def _whole(row: dict[str, str], name: str, least: int, most: int) -> int:
    value = row.get(name, "")
    if _NUMBER.fullmatch(value) is None or not least <= int(value) <= most:
        raise InputError(name, f"se espera un entero de {least} a {most}")
    return int(value)


def parse_day(row: dict[str, str], name: str) -> date:
    """The day in a column, as ``2026-04-30``. Raises `InputError`, with a suggestion for 30/04/2026."""
    value = row.get(name, "")
    try:
        if _DAY.fullmatch(value):
            return date.fromisoformat(value)
    except ValueError:
        pass
    swapped = re.fullmatch(r"(\d{2})[/-](\d{2})[/-](\d{4})", value, re.ASCII)
    raise InputError(
        name,
        "se espera AAAA-MM-DD, un día que exista",
        "" if swapped is None else f"{swapped[3]}-{swapped[2]}-{swapped[1]}",
    )


def _curp(row: dict[str, str], today: date) -> Any:
    text = row.get("curp", "")
    try:
        return parse_curp(text, today)
    except DomainError as err:
        raise InputError("curp", err.es, suggest_curp(text, today)) from err


def _once(seen: dict[Any, int], key: Any, number: int, name: str) -> None:
    before = seen.setdefault(key, number)
    if before != number:
        raise InputError(name, f"repetido: está en la fila {before}")
