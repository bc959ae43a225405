"""Applications of external beneficiaries in the institute's database, and when each came to which state."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from schemas.jsontext import dump_json, load_json
from social_security.domain.pseudonyms import Pid

if TYPE_CHECKING:
    from serving.storage.database import AnyDatabase


ADMISSION_STEP = """
    CREATE TABLE admission (
        case_id TEXT PRIMARY KEY,
        pid TEXT NOT NULL,
        member TEXT NOT NULL,
        request TEXT NOT NULL,
        state TEXT NOT NULL,
        deadline TEXT NOT NULL,
        renewals INTEGER NOT NULL,
        refusal TEXT,
        receipt TEXT
    );
"""


ADMISSION_TIMES_STEP = """
    CREATE TABLE admission_event (
        case_id TEXT NOT NULL,
        state TEXT NOT NULL,
        at TEXT NOT NULL
    );
    CREATE INDEX admission_event_case ON admission_event (case_id);
"""


_COLUMNS = "case_id, pid, member, request, state, deadline, renewals, refusal, receipt"


@dataclass(frozen=True, slots=True)
class Admission:
    """One application for admission, with its state and the last day of its running term."""

    case: str
    pid: Pid
    member: str
    request: dict[str, Any]
    state: str
    deadline: date
    renewals: int = 0
    refusal: dict[str, Any] | None = None
    receipt: dict[str, Any] | None = None


class AdmissionStore:
    """The applications in the institute's database."""

    def __init__(self, database: AnyDatabase) -> None:
        self._database = database

    def admission(self, case: str) -> Admission | None:
        """The application of a case, or None when there is none."""
        rows = self._database.query(f"SELECT {_COLUMNS} FROM admission WHERE case_id = ?", (case,))
        return _admission(rows[0]) if rows else None

    def all(self) -> list[Admission]:
        """Every application, in the order of case ids."""
        return [
            _admission(r) for r in self._database.query(f"SELECT {_COLUMNS} FROM admission ORDER BY case_id")
        ]

    def times(self) -> list[tuple[str, str, datetime]]:
        """Case, state and when, of everything that happened."""
        return [
            (str(r[0]), str(r[1]), datetime.fromisoformat(r[2]))
            for r in self._database.query("SELECT case_id, state, at FROM admission_event ORDER BY at")
        ]

    def save(self, a: Admission, at: datetime) -> None:
        """Write an application's state, and the event that led to it, in one transaction."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO admission_event (case_id, state, at) VALUES (?, ?, ?)",
                (a.case, a.state, at.isoformat()),
            )
            connection.execute(
                f"INSERT INTO admission ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (case_id) DO UPDATE SET state = excluded.state, deadline = excluded.deadline, "
                "renewals = excluded.renewals, refusal = excluded.refusal, receipt = excluded.receipt",
                (
                    a.case,
                    a.pid,
                    a.member,
                    dump_json(a.request),
                    a.state,
                    a.deadline.isoformat(),
                    a.renewals,
                    None if a.refusal is None else dump_json(a.refusal, ensure_ascii=False),
                    None if a.receipt is None else dump_json(a.receipt, ensure_ascii=False),
                ),
            )


def _admission(r: tuple[Any, ...]) -> Admission:
    return Admission(
        r[0],
        Pid(r[1]),
        r[2],
        load_json(r[3]),
        r[4],
        date.fromisoformat(r[5]),
        int(r[6]),
        None if r[7] is None else load_json(r[7]),
        None if r[8] is None else load_json(r[8]),
    )
