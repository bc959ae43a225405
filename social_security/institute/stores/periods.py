"""Certified periods in the institute's database; a correction is another version, and none is lost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Protocol

from social_security.domain.history import Period, count_words
from social_security.domain.pseudonyms import Pid

if TYPE_CHECKING:
    from serving.storage.database import AnyDatabase


HISTORY_STEP = """
    CREATE TABLE period (
        period_id TEXT NOT NULL,
        version INTEGER NOT NULL,
        pid TEXT NOT NULL,
        since TEXT NOT NULL,
        until TEXT,
        type TEXT NOT NULL,
        discounted INTEGER NOT NULL,
        reinstated INTEGER NOT NULL,
        employer TEXT NOT NULL,
        monthly_cents INTEGER NOT NULL,
        state TEXT NOT NULL,
        certified_at TEXT NOT NULL,
        evidence TEXT,
        PRIMARY KEY (period_id, version)
    );
    CREATE INDEX period_pid ON period (pid);
"""


_COLUMNS = (
    "period_id, version, pid, since, until, type, discounted, reinstated, employer, monthly_cents, state, "
    "certified_at, evidence"
)


@dataclass(frozen=True, slots=True)
class Certified:
    """One version of a period as the institute certifies it."""

    period_id: str
    version: int
    pid: Pid
    since: date
    until: date | None
    type: str
    discounted: int
    reinstated: int
    employer: str
    monthly_cents: int
    state: str
    certified_at: datetime
    evidence: str | None = None

    @property
    def days(self) -> int:
        """The days that a closed period certifies; an open one has a number only on a day (`counted`)."""
        closed = None if self.until is None else self.counted("", self.until)
        return 0 if closed is None else closed.days

    def counted(self, institute: str, day: date) -> Period | None:
        """The period as it counts on a day: an open one up to that day; None when it begins after it."""
        until = self.until if self.until is not None else day
        if until < self.since:
            return None
        return Period(institute, self.since, until, self.discounted, self.reinstated)

    def to_json(self, day: date, *, with_pay: bool) -> dict[str, Any]:
        """``Periodo`` of the service description; an open period is counted up to ``day``, and says so."""
        counted = self.counted("", day)
        body: dict[str, Any] = {
            "idPeriodo": self.period_id,
            "version": self.version,
            "desde": self.since.isoformat(),
            "tipo": self.type,
            "dias": 0 if counted is None else counted.days,
            "diasDescontados": self.discounted,
            "diasReintegrados": self.reinstated,
            "empleador": {"clave": self.employer},
            "estado": self.state,
            "certificadoEl": self.certified_at.isoformat(),
        }
        if self.until is not None:
            body["hasta"] = self.until.isoformat()
        elif counted is not None:
            body["contadoHasta"] = counted.until.isoformat()
        if counted is not None:
            body["computo"] = count_words(counted)
        if with_pay:
            body["sueldoBase"] = {"centavos": self.monthly_cents, "moneda": "MXN", "frecuencia": "MENSUAL"}
        return body


class Periods(Protocol):
    """The port to an institute's certified periods: in its database, or in another system of its own for one request."""

    def served(self, pid: Pid) -> list[Certified]:
        """The person's periods that are certified now: replaced ones are left out."""
        ...

    def every(self, pid: Pid) -> list[Certified]:
        """Every version, replaced ones too."""
        ...

    def any(self) -> bool:
        """Whether the institute certifies anything at all."""
        ...

    def add(self, period: Certified) -> None:
        """Keep a newly certified period; its id must be new."""
        ...

    def correct(self, period: Certified, better: Certified) -> Certified:
        """Replace a version of a period by the next."""
        ...

    def new_id(self, code: str) -> str:
        """The number of a period that is certified for the first time."""
        ...


class PeriodStore:
    """The periods in the institute's database."""

    def __init__(self, database: AnyDatabase) -> None:
        self._database = database

    def add(self, period: Certified) -> None:
        """Keep a newly certified period; its id must be new."""
        with self._database.transaction() as connection:
            connection.execute(
                f"INSERT INTO period ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                _row(period),
            )

    def correct(self, period: Certified, better: Certified) -> Certified:
        """Replace a version of a period by the next; the former one is kept as ``SUSTITUIDO``."""
        made = replace(better, period_id=period.period_id, version=period.version + 1)
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE period SET state = 'SUSTITUIDO' WHERE period_id = ? AND version = ?",
                (period.period_id, period.version),
            )
            connection.execute(
                f"INSERT INTO period ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                _row(made),
            )
        return made

    def new_id(self, code: str) -> str:
        """The number of a period that is certified for the first time."""
        ((count,),) = self._database.query("SELECT count(DISTINCT period_id) FROM period")
        taken, number = True, int(count)
        while taken:
            number += 1
            made = f"{code}:P-{number:06d}"
            taken = bool(self._database.query("SELECT 1 FROM period WHERE period_id = ?", (made,)))
        return made

    def served(self, pid: Pid) -> list[Certified]:
        """The person's periods that are certified now: replaced ones are left out."""
        return [p for p in self.every(pid) if p.state != "SUSTITUIDO"]

    def any(self) -> bool:
        """Whether the institute certifies anything at all."""
        return bool(self._database.query("SELECT 1 FROM period LIMIT 1"))

    def every(self, pid: Pid) -> list[Certified]:
        """Every version, replaced ones too."""
        rows = self._database.query(
            f"SELECT {_COLUMNS} FROM period WHERE pid = ? ORDER BY since, period_id, version",
            (pid,),
        )
        return [
            Certified(
                r[0],
                int(r[1]),
                Pid(r[2]),
                date.fromisoformat(r[3]),
                None if r[4] is None else date.fromisoformat(r[4]),
                r[5],
                int(r[6]),
                int(r[7]),
                r[8],
                int(r[9]),
                r[10],
                datetime.fromisoformat(r[11]),
                r[12],
            )
            for r in rows
        ]


def _row(p: Certified) -> tuple[object, ...]:
    return (
        p.period_id,
        p.version,
        p.pid,
        p.since.isoformat(),
        None if p.until is None else p.until.isoformat(),
        p.type,
        p.discounted,
        p.reinstated,
        p.employer,
        p.monthly_cents,
        p.state,
        p.certified_at.isoformat(),
        p.evidence,
    )
