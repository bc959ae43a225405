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

from schemas.jsontext import dump_json
from serving.errors import OperatorError
from serving.language import N_
from social_security.domain import pack
from social_security.domain.calendars import national_day
from social_security.domain.faults import DomainError, InputError
from social_security.domain.pseudonyms import parse_pid
from social_security.domain.states import ARCO, ARCO_ADDED
from social_security.importing.layouts import (
    LAYOUTS,
    PIDS,
    STATES,
    check_once,
    measure,
    parse_day,
    parse_email,
    parse_folio,
    parse_object,
    parse_period,
    parse_span,
    parse_text,
    parse_whole,
    read_rows,
)
from social_security.wire.wireschema import check_request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from serving.storage.database import AnyDatabase
    from social_security.importing.quality import QualityReport

# Rows of one transaction. Each writes the pages of the index by person that it touches: nearly all of them, from some ten
# thousand rows on, however many there are. Fifty thousand take a second or two, in which a running system waits to write.
BATCH: Final = 50_000
# After how many rows whoever watches is told.
PROGRESS_EVERY: Final = 1000
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
    # What she withdrew since does not come back by a file that is read again.
    "oposiciones": "INSERT INTO opposition (pid, data, folio, since) VALUES (?, ?, ?, ?) ON CONFLICT (pid, data) DO UPDATE SET "
    "folio = excluded.folio, since = excluded.since, until = NULL WHERE opposition.until < excluded.since",
    # A request that has been answered here since stays as it is.
    "solicitudes": "INSERT INTO arco (pid, folio, member, state, request, dates, refusal, committee, outcome) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (folio) DO NOTHING",
}
# What an opposition may be about, as ``datos`` and ``propositos`` of a request name it.
_USES: Final = frozenset(
    (*pack.codes()["data_categories"], "periodo", "correo", "automatizado", *pack.purposes())
)
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
    people: dict[str, str] = {}
    for number, pid, _state in affiliated:
        # A number that two persons have, since another institute's came here, leads to neither without the file of pids.
        people[str(number)] = "" if people.get(str(number), pid) != pid else str(pid)
    if pids is not None:
        for number, row in read_rows(pids, PIDS):
            try:
                people[parse_text(row, "expediente")] = parse_pid(row["pid"])
            except (InputError, DomainError) as err:
                raise OperatorError(
                    N_("{pids}, row {number}: {err}", pids=pids, number=number, err=err)
                ) from err
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
    # What a successor imports of who left: a person whose affiliation stayed behind, cancelled, has her periods all the same.
    is_handed_over: bool = False
    seen: dict[Any, int] = field(default_factory=dict)
    spans: dict[str, list[tuple[date, date, int]]] = field(default_factory=dict)
    # The date of the run, and its moment as it is written to every row.
    today: date = field(init=False)
    moment: str = field(init=False)

    def __post_init__(self) -> None:
        self.today, self.moment = national_day(self.now), self.now.isoformat()

    def parser(self, kind: str) -> Callable[[int, dict[str, str]], tuple[Any, ...]]:
        """The function that makes of a row (its number, its columns) one of the kind's table, the PID first; it raises `InputError`."""
        return {
            "afiliaciones": self.affiliation,
            "periodos": self.period,
            "contactos": self.contact,
            "jubilados": self.retiree,
            "oposiciones": self.opposition,
            "solicitudes": self.request,
        }[kind]

    def affiliation(self, number: int, row: dict[str, str]) -> tuple[Any, ...]:
        """A row of the affiliation table. Raises `InputError`."""
        who = self._person(row)
        state = parse_text(row, "estado")
        if state not in STATES:
            names = ", ".join(sorted(STATES))
            raise InputError("estado", f"expected {names}", es=f"se espera {names}")
        since, until = parse_span(row, self.today)
        self._check_cancelled("afiliaciones", who, since, "desde")
        regime, level = parse_text(row, "regimen"), parse_whole(row, "nivel", 0, 3)
        check_once(self.seen, number, {"expediente": who})
        return (
            who, row["expediente"], regime, state, since.isoformat(), None if until is None else until.isoformat(),
            level,
        )  # fmt: skip

    def period(self, number: int, row: dict[str, str]) -> tuple[Any, ...]:
        """A row of the period table. Raises `InputError`; overlaps and gaps are noted and do not stop it."""
        who = self._affiliated(row)
        p = parse_period(row, self.today)
        self._check_cancelled("periodos", who, p.since, "desde")
        check_once(self.seen, number, {"id_periodo": p.name})
        self.spans.setdefault(who, []).append((p.since, p.until or self.today, number))
        return (
            who, f"{self.code}:{p.name}", 1, p.since.isoformat(), None if p.until is None else p.until.isoformat(),
            p.type, p.discounted, p.reinstated, p.employer, p.monthly_cents, "CERTIFICADO", self.moment, None,
        )  # fmt: skip

    def contact(self, number: int, row: dict[str, str]) -> tuple[Any, ...]:
        """A row of the contact table. Raises `InputError`."""
        who = self._affiliated(row)
        self._check_cancelled("contactos", who, date.min, "correo")
        address = parse_email(row, "correo")
        check_once(self.seen, number, {"expediente": who})
        return who, address

    def retiree(self, number: int, row: dict[str, str]) -> tuple[Any, ...]:
        """A row of the list of retirees, which is published. Raises `InputError`."""
        who = self._person(row)
        if self.known.states.get(who) != "PENSIONADA":
            raise InputError(
                "expediente",
                "not a pensioner here: only who is PENSIONADA in the affiliations is on the list that is published",
                es="no es pensionada aquí: sólo quien es PENSIONADA en las afiliaciones está en la lista que se publica",
            )
        name, pension = parse_text(row, "nombre"), parse_whole(row, "pension_mensual_centavos", 1, 10**12)
        check_once(self.seen, number, {"expediente": who})
        return who, name, pension

    def opposition(self, number: int, row: dict[str, str]) -> tuple[Any, ...]:
        """A use that a person opposes. Raises `InputError`."""
        who, use = self._person(row), row.get("uso", "")
        if use not in _USES:
            raise InputError("uso", "no use that can be opposed", es="no es un uso al que se pueda oponer")
        since, folio = parse_day(row, "desde"), parse_folio(row, "folio")
        if since > self.today:
            raise InputError("desde", "the day is in the future", es="la fecha es futura")
        check_once(self.seen, number, {"uso": (who, use)})
        return who, use, folio, since.isoformat()

    def request(self, number: int, row: dict[str, str]) -> tuple[Any, ...]:
        """A request that the institute which left had still to answer, with its terms as they run. Raises `InputError`."""
        who, folio = self._person(row), parse_folio(row, "folio")
        state = row.get("estado", "")
        if state not in ARCO:
            raise InputError(
                "estado", "no state of a request that goes on", es="no es un estado de una solicitud en curso"
            )
        terms = {name: str(day) for name, day in parse_object(row, "plazos").items()}
        for name in terms:
            parse_day(terms, name)
        if not {"dia0", "limiteRespuesta"} <= set(terms):
            raise InputError(
                "plazos", "dia0 and limiteRespuesta are missing", es="faltan dia0 y limiteRespuesta"
            )
        filed = parse_object(row, "solicitud")
        try:
            check_request(
                pack.operations()["presentarArco"],
                {"pid": who} | {k: v for k, v in filed.items() if k not in ARCO_ADDED},
            )
        except DomainError as err:
            raise InputError("solicitud", err.en, es=err.es) from err
        refusal = (
            dump_json(parse_object(row, "negativa"), ensure_ascii=False) if row.get("negativa") else None
        )
        member = parse_text(row, "miembro")
        check_once(self.seen, number, {"folio": folio})
        return (
            who, folio, member, state, dump_json(filed, ensure_ascii=False),
            dump_json(terms), refusal, row.get("comite") or None, row.get("resultado") or None,
        )  # fmt: skip

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
        if who == "":
            raise InputError(
                "expediente",
                "two persons here have it: give the file of pids",
                es="lo tienen dos personas aquí: dé el archivo de pids",
            )
        if who is None:
            raise InputError(
                "expediente",
                "it has no pid: neither the file of pids nor the affiliations have it",
                es="no tiene pid: falta en el archivo de pids o en las afiliaciones",
            )
        return who

    def _affiliated(self, row: dict[str, str]) -> str:
        """Who it is about, affiliated here: the file of pids alone makes nobody this institute's."""
        who = self._person(row)
        if who not in self.known.states and not self.is_handed_over:
            raise InputError(
                "expediente",
                "not affiliated here: import the row of affiliations first (--kind afiliaciones), or say of whom it is "
                "handed over (--from)",
                es="sin afiliación aquí: importe antes su afiliación (--kind afiliaciones), o diga de quién se recibe (--from)",
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
    progress: Callable[[int], None] = lambda _rows: None,
) -> int:
    """Import a file of a kind of `LAYOUTS`; how many rows were good. Raises ValueError when the file is none.

    What is written already stays as it is, so a file may be given twice: a row that was refused comes in once what kept it out is
    mended. A run that was interrupted goes on before its first refused row, if there was one. ``progress`` takes how many rows were read.
    """
    parse = run.parser(kind)
    digest, _lines = measure(file)
    rows = database.query(
        "SELECT rows_read FROM import_progress WHERE file_sha256 = ? AND kind = ? AND finished_at IS NULL",
        (digest, kind),
    )
    done = 0 if dry_run or not rows else int(rows[0][0])
    batch: list[tuple[Any, ...]] = []
    good, number, refused = 0, 1, 0
    for number, row in read_rows(file, LAYOUTS[kind]):
        if number % PROGRESS_EVERY == 0:
            progress(number)
        try:
            made = parse(number, row)
        except InputError as err:
            run.report.add_error(number, err)
            refused = refused or number
            continue
        good += 1
        if number > done:
            batch.append(made)
        if len(batch) >= BATCH:
            if not dry_run:
                _write(database, kind, digest, batch, refused - 1 if refused else number, None)
            batch = []
    if not dry_run:
        _write(database, kind, digest, batch, number, run.now)
    run.note_overlaps()
    progress(number)
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
