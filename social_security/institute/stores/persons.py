"""What an institute keeps of its persons under its own PID: affiliations, pair pseudonyms, seen tokens, access rows.

File numbers are local and never leave. Cases of portability, admission and ARCO have stores of their own over the same
database (`steps` of each module are applied in one list, see `social_security.institute.services`).

Spec: the domain reference 5.2 (Afiliacion, RegistroAcceso).
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from schemas.jsontext import dump_json, load_json
from social_security.domain.pseudonyms import Pid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serving.storage.database import AnyDatabase
    from serving.storage.transactions import Transaction

STEPS = (
    """
    CREATE TABLE affiliation (
        pid TEXT PRIMARY KEY,
        file_number TEXT NOT NULL,
        regime TEXT NOT NULL,
        state TEXT NOT NULL,
        since TEXT NOT NULL,
        until TEXT,
        level INTEGER NOT NULL
    );
    CREATE TABLE pair (
        pidp TEXT PRIMARY KEY,
        member TEXT NOT NULL,
        purpose TEXT NOT NULL,
        pid TEXT NOT NULL,
        level INTEGER NOT NULL
    );
    CREATE TABLE seen_token (
        token_id TEXT PRIMARY KEY,
        expires TEXT NOT NULL
    );
    CREATE TABLE notice (
        uri TEXT PRIMARY KEY,
        sha256 TEXT NOT NULL
    );
    CREATE TABLE access (
        id INTEGER PRIMARY KEY,
        pid TEXT NOT NULL,
        at TEXT NOT NULL,
        action TEXT NOT NULL,
        receiver TEXT NOT NULL,
        receiver_system TEXT NOT NULL,
        purpose TEXT NOT NULL,
        bases TEXT NOT NULL,
        categories TEXT NOT NULL,
        case_id TEXT NOT NULL,
        message_id TEXT NOT NULL,
        local_user TEXT NOT NULL,
        outcome TEXT NOT NULL,
        code TEXT,
        hidden_basis TEXT,
        hidden_until TEXT
    );
    CREATE INDEX access_pid ON access (pid, at);
    CREATE INDEX access_at ON access (at);
    """,
)


@dataclass(frozen=True, slots=True)
class Affiliation:
    """A person's standing at the institute. ``state`` never says why."""

    pid: Pid
    file_number: str
    regime: str
    state: str
    since: date
    until: date | None
    level: int


@dataclass(frozen=True, slots=True)
class Access:
    """One row of the access log: what left, to whom, why, and how it ended; never a value."""

    pid: Pid
    at: datetime
    action: str
    receiver: str
    receiver_system: str
    purpose: str
    bases: str
    categories: tuple[str, ...]
    case: str
    message_id: str
    local_user: str
    outcome: str
    code: str | None
    hidden_basis: str | None
    hidden_until: date | None

    @property
    def basis(self) -> str:
        """The legal basis named first."""
        return self.bases.partition(",")[0]


class PersonStore:
    """Persons and accesses in the institute's database."""

    def __init__(self, database: AnyDatabase) -> None:
        self._database = database

    def save_affiliation(self, a: Affiliation) -> None:
        """Write an affiliation, new or changed."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO affiliation (pid, file_number, regime, state, since, until, level) "
                "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (pid) DO UPDATE SET regime = excluded.regime, "
                "state = excluded.state, since = excluded.since, until = excluded.until, level = excluded.level",
                (
                    a.pid,
                    a.file_number,
                    a.regime,
                    a.state,
                    a.since.isoformat(),
                    None if a.until is None else a.until.isoformat(),
                    a.level,
                ),
            )

    def pid_of_file(self, number: str) -> Pid | None:
        """Whose a file number is, or None."""
        rows = self._database.query("SELECT pid FROM affiliation WHERE file_number = ?", (number,))
        return Pid(rows[0][0]) if rows else None

    def affiliation(self, pid: Pid) -> Affiliation | None:
        """The affiliation of a person."""
        rows = self._database.query(
            "SELECT pid, file_number, regime, state, since, until, level FROM affiliation WHERE pid = ?",
            (pid,),
        )
        if not rows:
            return None
        found, number, regime, state, since, until, level = rows[0]
        return Affiliation(
            Pid(found),
            number,
            regime,
            state,
            date.fromisoformat(since),
            None if until is None else date.fromisoformat(until),
            int(level),
        )

    def files_of(self, pid: Pid) -> list[Pid]:
        """The pseudonyms under which this institute has a person: this one first, and those of records that are one with hers."""
        rows = self._database.query(
            "WITH RECURSIVE hers (pid) AS (SELECT CAST(? AS TEXT) UNION "
            "SELECT CASE WHEN s.pid = h.pid THEN s.other ELSE s.pid END FROM same_person s JOIN hers h "
            "ON s.pid = h.pid OR s.other = h.pid) SELECT pid FROM hers WHERE pid <> ? ORDER BY pid",
            (pid, pid),
        )
        return [pid, *(Pid(r[0]) for r in rows)]

    def remember_pair(self, pidp: Pid, member: str, purpose: str, pid: Pid, level: int) -> None:
        """Note that a member speaks of this person as ``pidp``."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO pair (pidp, member, purpose, pid, level) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (pidp) DO UPDATE SET level = excluded.level",
                (pidp, member, purpose, pid, level),
            )

    def pair(self, pidp: Pid, member: str, purpose: str) -> tuple[Pid, int] | None:
        """The person and level behind a pair pseudonym that this member may use for this purpose."""
        rows = self._database.query(
            "SELECT pid, level FROM pair WHERE pidp = ? AND member = ? AND purpose = ?",
            (pidp, member, purpose),
        )
        return (Pid(rows[0][0]), int(rows[0][1])) if rows else None

    def take_token(self, token_id: str, expires: datetime) -> bool:
        """Note a single-use token; False when it has been used already."""
        with self._database.transaction() as connection:
            done = connection.execute(
                "INSERT INTO seen_token (token_id, expires) VALUES (?, ?) ON CONFLICT (token_id) DO NOTHING",
                (token_id, expires.isoformat()),
            )
            return done.rowcount == 1

    def paired(self, pidp: Pid, member: str) -> Pid | None:
        """The person behind a pair pseudonym of a member, whatever it was made for."""
        rows = self._database.query("SELECT pid FROM pair WHERE pidp = ? AND member = ?", (pidp, member))
        return Pid(rows[0][0]) if rows else None

    @staticmethod
    def hold_back(connection: Transaction, message_id: str, code: str) -> None:
        """Turn the row of an answer that the gateway did not let out: nothing left."""
        connection.execute(
            "UPDATE access SET outcome = 'NEGADO', code = ?, categories = '[]' WHERE message_id = ?",
            (code, message_id),
        )

    def add_access(self, a: Access, connection: Transaction | None = None) -> None:
        """Append an access row, as part of a transaction where one is given."""
        with contextlib.nullcontext(connection) if connection else self._database.transaction() as into:
            into.execute(
                "INSERT INTO access (pid, at, action, receiver, receiver_system, purpose, bases, categories, case_id, "
                "message_id, local_user, outcome, code, hidden_basis, hidden_until) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    a.pid,
                    a.at.isoformat(),
                    a.action,
                    a.receiver,
                    a.receiver_system,
                    a.purpose,
                    a.bases,
                    dump_json(a.categories),
                    a.case,
                    a.message_id,
                    a.local_user,
                    a.outcome,
                    a.code,
                    a.hidden_basis,
                    None if a.hidden_until is None else a.hidden_until.isoformat(),
                ),
            )

    def refusals_by_code(self) -> dict[str, int]:
        """The number of refused requests by code; never of whom."""
        rows = self._database.query(
            "SELECT code, count(*) FROM access WHERE outcome = 'NEGADO' AND code IS NOT NULL GROUP BY code"
        )
        return {str(r[0]): int(r[1]) for r in rows}

    def accesses(
        self,
        pid: Pid,
        *,
        today: date,
        start: datetime | None = None,
        end: datetime | None = None,
        offset: int = 0,
        limit: int = 1000,
        with_hidden: bool = False,
        message_ids: Sequence[str] = (),
    ) -> tuple[int, list[Access]]:
        """The number of accesses the person may see in a range, and one page of them, newest first; ``message_ids``: of these alone."""
        where = "pid = ? AND at >= ? AND at <= ? AND (? = 1 OR hidden_until IS NULL OR hidden_until < ?)"
        if message_ids:
            where += f" AND message_id IN ({', '.join('?' * len(message_ids))})"
        values = (
            pid,
            "" if start is None else start.astimezone(UTC).isoformat(),
            "9999" if end is None else end.astimezone(UTC).isoformat(),
            int(with_hidden),
            today.isoformat(),
            *message_ids,
        )
        ((total,),) = self._database.query(f"SELECT count(*) FROM access WHERE {where}", values)
        rows = self._database.query(
            "SELECT pid, at, action, receiver, receiver_system, purpose, bases, categories, case_id, message_id, "
            f"local_user, outcome, code, hidden_basis, hidden_until FROM access WHERE {where} "
            "ORDER BY at DESC, id DESC LIMIT ? OFFSET ?",
            (*values, limit, offset),
        )
        return int(total), [_access(r) for r in rows]

    def accesses_between(self, start: datetime, end: datetime) -> list[Access]:
        """Every access in a range, hidden ones too, oldest first: for the guarantor."""
        rows = self._database.query(
            "SELECT pid, at, action, receiver, receiver_system, purpose, bases, categories, case_id, message_id, "
            "local_user, outcome, code, hidden_basis, hidden_until FROM access WHERE at >= ? AND at < ? ORDER BY id",
            (start.astimezone(UTC).isoformat(), end.astimezone(UTC).isoformat()),
        )
        return [_access(r) for r in rows]

    def count_accesses(self, start: datetime, end: datetime) -> list[tuple[str, str, str, int]]:
        """Purpose, outcome, receiver and the number of such accesses in a range; hidden ones count, persons do not show."""
        rows = self._database.query(
            "SELECT purpose, outcome, receiver, count(*) FROM access WHERE at >= ? AND at < ? "
            "GROUP BY purpose, outcome, receiver ORDER BY purpose, outcome, receiver",
            (start.astimezone(UTC).isoformat(), end.astimezone(UTC).isoformat()),
        )
        return [(p, o, r, int(n)) for p, o, r, n in rows]


def _access(row: tuple[str | None, ...]) -> Access:
    pid, at, action, receiver, system, purpose, bases, categories, case, message, user, outcome = (
        v or "" for v in row[:12]
    )
    return Access(
        Pid(pid),
        datetime.fromisoformat(at),
        action,
        receiver,
        system,
        purpose,
        bases,
        tuple(load_json(categories)),
        case,
        message,
        user,
        outcome,
        row[12],
        row[13],
        None if row[14] is None else date.fromisoformat(row[14]),
    )
