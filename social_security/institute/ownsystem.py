"""Periods that stay in another system of the institute: read there, over HTTP or SQL, each time they are needed, and never kept.

The institute's payroll or archive goes on as it is. A request that needs a person's periods reads them by her file number, which
leaves the institute no more than before, and holds them as long as it lasts. While the other system is down, or says what no
period can be, the request is refused with the reason; no answer is made of less than there is.

Mapping file, and what the other system answers: docs/importar.md and docs/import.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol
from urllib.parse import urlsplit

import aiohttp

from schemas.jsontext import dump_json, load_json
from serving.config.secret import SecretSource
from social_security.domain.calendars import national_day
from social_security.domain.faults import DomainError, InputError
from social_security.domain.pseudonyms import Pid, parse_pid
from social_security.importing.layouts import PERIODS, check_once, parse_period, parse_whole
from social_security.importing.mapping import (
    VERSION,
    MappingFile,
    extract_rows,
    open_engine,
    read_database,
    read_mapping,
)
from social_security.institute.stores.periods import Certified

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from social_security.institute.stores.arco import ArcoStore
    from social_security.institute.stores.cases import CaseStore
    from social_security.institute.stores.persons import PersonStore
    from social_security.wire.service import DomainRequest

log = logging.getLogger("social_security.institute.ownsystem")

MOST_ROWS: Final = 2000
MOST_BYTES: Final = 1 << 20
# Reads of a database at once; one more waits, no longer than any of them may take.
READERS: Final = 4
# Operations that look at periods; the others are answered while the other system is down.
READ_FOR: Final = frozenset((
    "consultarHistoria", "reunirHistoria", "verificarElegibilidad", "agregarEvento", "avanzarCaso", "presentarArco", "verArco",
    "avanzarArco", "consultarExpediente", "certificarPeriodo", "confirmarPeriodo",
))  # fmt: skip
# Whose the rows are is known: she was asked for.
_LAYOUT: Final = (*(name for name in PERIODS if name != "expediente"), VERSION)
_LOOPBACK: Final = frozenset(("127.0.0.1", "::1", "localhost"))


class FiledPersons(Protocol):
    """The institute's own books of whom a request can be about, as its services have them."""

    member: str
    code: str
    persons: PersonStore
    cases: CaseStore
    arco: ArcoStore

    def subject_of_token(self, token: str, at: datetime) -> Pid | None:
        """Whom a token names here; None when it is not for this institute."""
        ...


class PeriodSystem(Protocol):
    """A system that knows the periods of a file number."""

    async def rows(self, file_number: str) -> Sequence[Mapping[str, object]]:
        """The rows of a file number under the system's own names; none when it knows nothing. Raises OSError, ValueError."""
        ...

    async def close(self) -> None:
        """Close connections and end threads."""
        ...


class HttpPeriods:
    """Over HTTP: POST ``{"expediente": ...}``, answered by ``{"periodos": [{...}]}``; 404 knows nothing of the file number."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._headers = {"Content-Type": "application/json"} | (
            {"Authorization": f"Bearer {token}"} if token else {}
        )
        self._session: aiohttp.ClientSession | None = None

    async def rows(self, file_number: str) -> Sequence[Mapping[str, object]]:
        """The objects of ``periodos``. Raises OSError for any status but 200 and 404, ValueError for another answer."""
        if self._session is None:
            self._session = aiohttp.ClientSession(headers=self._headers)
        try:
            # In the body: an address would stand in logs of everything on the way.
            posting = self._session.post(
                self._url, data=dump_json({"expediente": file_number}), allow_redirects=False
            )
            async with posting as answer:
                if answer.status == 404:
                    return []
                if answer.status != 200:
                    raise OSError(f"HTTP {answer.status}")
                return _periods_in(await _bounded(answer.content))
        except aiohttp.ClientError as err:
            raise OSError(type(err).__name__) from err

    async def close(self) -> None:
        """Close the connections to the own system."""
        if self._session is not None:
            await self._session.close()


async def _bounded(content: aiohttp.StreamReader) -> bytes:
    found = bytearray()
    async for block in content.iter_any():
        found += block
        if len(found) > MOST_BYTES:
            raise ValueError(f"more than {MOST_BYTES} bytes")
    return bytes(found)


def _periods_in(body: bytes) -> Sequence[Mapping[str, object]]:
    value: Any = load_json(body)
    rows = value.get("periodos") if isinstance(value, dict) else None
    if not isinstance(rows, list) or not all(isinstance(r, dict) for r in rows):
        raise ValueError('{"periodos": [{...}]} is expected')
    return rows


class SqlPeriods:
    """Out of an SQL database: one SELECT with ``:expediente``, on a connection of its own, in a thread."""

    def __init__(self, url: str, password: str, sql: str) -> None:
        if ":expediente" not in sql:
            raise ValueError("[periodos]: sql asks for one person: WHERE ... = :expediente")
        # Here, so that a missing extra or driver stops the start, and no request waits for either to be loaded.
        open_engine(url, password).dispose()
        self._url, self._password, self._sql = url, password, sql
        self._threads = ThreadPoolExecutor(READERS, "own-system")

    async def rows(self, file_number: str) -> Sequence[Mapping[str, object]]:
        """The rows of the query. Raises OSError with what the database says."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._read, file_number)

    def _read(self, file_number: str) -> list[Mapping[str, object]]:
        found: list[Mapping[str, object]] = []
        try:
            with contextlib.closing(
                read_database(self._url, self._password, self._sql, {"expediente": file_number})
            ) as rows:
                for row in rows:
                    found.append(row)
                    if len(found) > MOST_ROWS:
                        break
        except ValueError as err:
            raise OSError(str(err)) from err
        return found

    async def close(self) -> None:
        """Begin no further read; one that hangs is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class OwnSystem:
    """The other system with its mapping: what it says of a person, as periods that this institute certifies."""

    def __init__(self, system: PeriodSystem, mapping: MappingFile) -> None:
        self._system = system
        self._table = mapping.tables["periodos"]
        self._timeout_s = mapping.timeout_s

    async def close(self) -> None:
        """Close the institute's own system."""
        await self._system.close()

    async def read_for(self, services: FiledPersons, request: DomainRequest) -> ReadPeriods:
        """The periods of whom a request may be about, or why they cannot be had."""
        read: dict[Pid, list[Certified] | DomainError] = {}
        for pid in _subjects(services, request):
            affiliation = services.persons.affiliation(pid)
            if affiliation is None:
                read[pid] = []
                continue
            try:
                read[pid] = await self.read(services.code, pid, affiliation.file_number, request.now)
            except DomainError as refused:
                read[pid] = refused
        return ReadPeriods(read)

    async def read(self, code: str, pid: Pid, file_number: str, now: datetime) -> list[Certified]:
        """The periods of a file number, as this institute certifies them at a moment.

        Raises SS-901 when the system does not answer in time or as it should, SS-303 when what it says is no period.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                rows = await self._system.rows(file_number)
            return self._parse(rows, code, pid, now)
        except OSError as err:  # a TimeoutError is one
            log.warning(
                "no answer", extra={"event": "own_system_failed", "reason": str(err) or type(err).__name__}
            )
            is_late = isinstance(err, TimeoutError)
            raise DomainError(
                "SS-901",
                "el sistema del instituto donde están los periodos no "
                + (f"respondió en {self._timeout_s:g} s" if is_late else "los da en este momento"),
                "the institute's system that has the periods "
                + (f"did not answer within {self._timeout_s:g} s" if is_late else "does not give them now"),
            ) from err
        except ValueError as err:
            name = err.subject if isinstance(err, InputError) else "periodos"
            log.warning("no period", extra={"event": "own_system_failed", "reason": f"{name}: {err}"})
            raise DomainError(
                "SS-303",
                f"el sistema del instituto dice lo que ningún periodo puede ser ({name})",
                f"the institute's system says what no period can be ({name})",
            ) from err

    def _parse(
        self, rows: Sequence[Mapping[str, object]], code: str, pid: Pid, now: datetime
    ) -> list[Certified]:
        if len(rows) > MOST_ROWS:
            raise ValueError(f"more than {MOST_ROWS} periods")
        seen, made = dict[Any, int](), []
        given = ({VERSION: 1, **row} for row in rows)
        for number, cells in enumerate(extract_rows(given, _LAYOUT, self._table), 1):
            row = dict(zip(_LAYOUT, cells, strict=True))
            p = parse_period(row, national_day(now))
            version = parse_whole(row, VERSION, 1, 10**6)
            check_once(seen, number, {"id_periodo": p.name})
            made.append(
                Certified(
                    f"{code}:{p.name}", version, pid, p.since, p.until, p.type, p.discounted,
                    p.reinstated, p.employer, p.monthly_cents, "CERTIFICADO", now,
                )
            )  # fmt: skip
        return sorted(made, key=lambda p: (p.since, p.period_id))


def _subjects(services: FiledPersons, request: DomainRequest) -> set[Pid]:
    """Whom a request may be about: by token, by pseudonym, by case or by folio. What is wrong with any of them its act says."""
    found: set[Pid | None] = set()
    body, context = request.body, request.context
    if "testigo" in body:
        found.add(services.subject_of_token(body["testigo"], request.now))
    if "pid" in body:
        with contextlib.suppress(DomainError):
            pid = parse_pid(body["pid"])
            found |= {
                pid if context.member == services.member else services.persons.paired(pid, context.member)
            }
    case, filed = services.cases.case(context.case), services.arco.request(context.case)
    found |= {None if case is None else case.pid, None if filed is None else filed.pid}
    return {one for pid in found if pid is not None for one in services.persons.files_of(pid)}


class ReadPeriods:
    """The periods of one request's persons as the other system has just said them. They change there, not here."""

    def __init__(self, read: Mapping[Pid, list[Certified] | DomainError]) -> None:
        self._read = read

    def served(self, pid: Pid) -> list[Certified]:
        """The person's periods. Raises SS-901 or SS-303 where they cannot be had."""
        found = self._read.get(pid)
        if isinstance(found, list):
            return found
        if found is None:
            found = DomainError("SS-901", "los periodos no se leyeron", "the periods were not read")
        raise found

    def every(self, pid: Pid) -> list[Certified]:
        """The same: earlier versions are the other system's."""
        return self.served(pid)

    def any(self) -> bool:
        """An institute that names such a system certifies by it."""
        return True

    def add(self, period: Certified) -> None:
        """Raises SS-400: a period is certified in the other system."""
        _change_there()

    def correct(self, period: Certified, better: Certified) -> Certified:
        """Raises SS-400: a period is corrected in the other system."""
        _change_there()

    def new_id(self, code: str) -> str:
        """Raises SS-400: a period is certified in the other system."""
        _change_there()


def _change_there() -> NoReturn:
    raise DomainError(
        "SS-400",
        "los periodos de este instituto están en otro sistema suyo: corrija ahí y después repita este paso",
        "this institute's periods are in another system of its own: correct them there, then repeat this step",
    )


def open_own_system(file: Path) -> OwnSystem:
    """The system that a mapping file names. Raises ValueError saying what is wrong in it."""
    mapping = read_mapping(file)
    if "periodos" not in mapping.tables:
        raise ValueError(f"{file} lacks the section [periodos]")
    password = SecretSource(file=mapping.password_file).read({}) if mapping.password_file else ""
    if not mapping.is_http:
        return OwnSystem(SqlPeriods(mapping.url, password, mapping.tables["periodos"].sql), mapping)
    if mapping.url.startswith("http://") and urlsplit(mapping.url).hostname not in _LOOPBACK:
        raise ValueError(
            f"{file}: persons' data crosses a network by https:// only; http:// reaches this machine alone"
        )
    return OwnSystem(HttpPeriods(mapping.url, password), mapping)
