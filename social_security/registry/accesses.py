"""The registry's part of a person's access log: who used her record here, for what, and how it ended.

A row holds no value of hers; the person is her internal id, which never leaves.

Spec: the domain reference 4.7, 5.2 (RegistroAcceso); F21.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from serving.storage.database import AnyDatabase
    from serving.storage.transactions import Transaction
    from social_security.domain.pseudonyms import Rid

ACCESS_STEP = """
    CREATE TABLE person_access (
        id INTEGER PRIMARY KEY,
        rid BLOB NOT NULL,
        at TEXT NOT NULL,
        action TEXT NOT NULL,
        receiver TEXT NOT NULL,
        receiver_system TEXT NOT NULL,
        purpose TEXT NOT NULL,
        basis TEXT NOT NULL,
        categories TEXT NOT NULL,
        case_id TEXT NOT NULL,
        message_id TEXT NOT NULL,
        outcome TEXT NOT NULL
    );
    CREATE INDEX person_access_rid ON person_access (rid, at);
"""


@dataclass(frozen=True, slots=True)
class PersonAccess:
    """One use of a person's record at the registry: what was done, by whom, why, and how it ended; never a value."""

    rid: Rid
    at: datetime
    action: str
    receiver: str
    receiver_system: str
    purpose: str
    basis: str
    categories: tuple[str, ...]
    case: str
    message_id: str
    outcome: str


class AccessStore:
    """The rows in the registry's database."""

    def __init__(self, database: AnyDatabase) -> None:
        self._database = database

    def add(self, *accesses: PersonAccess) -> None:
        """Append rows of persons' access logs at the registry, in one transaction."""
        with self._database.transaction() as connection:
            self.put(connection, accesses)

    @staticmethod
    def put(connection: Transaction, accesses: Iterable[PersonAccess]) -> None:
        """Append rows within the transaction of what they are about: neither is on disk without the other."""
        connection.executemany(
            "INSERT INTO person_access (rid, at, action, receiver, receiver_system, purpose, basis, categories, "
            "case_id, message_id, outcome) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    access.rid,
                    access.at.astimezone(UTC).isoformat(),
                    access.action,
                    access.receiver,
                    access.receiver_system,
                    access.purpose,
                    access.basis,
                    ",".join(access.categories),
                    access.case,
                    access.message_id,
                    access.outcome,
                )
                for access in accesses
            ],
        )

    def page(
        self,
        rid: Rid,
        start: datetime | None,
        end: datetime | None,
        offset: int,
        limit: int,
        message_ids: Sequence[str] = (),
    ) -> tuple[int, list[PersonAccess]]:
        """One page of a person's access rows, newest first, and how many there are; ``message_ids``: of these alone."""
        first = "" if start is None else start.astimezone(UTC).isoformat()
        last = "9999" if end is None else end.astimezone(UTC).isoformat()
        where = "rid = ? AND at >= ? AND at <= ?"
        if message_ids:
            where += f" AND message_id IN ({', '.join('?' * len(message_ids))})"
        values = (rid, first, last, *message_ids)
        ((total,),) = self._database.query(f"SELECT count(*) FROM person_access WHERE {where}", values)
        rows = self._database.query(
            "SELECT at, action, receiver, receiver_system, purpose, basis, categories, case_id, message_id, outcome "
            f"FROM person_access WHERE {where} ORDER BY at DESC, id DESC LIMIT ? OFFSET ?",
            (*values, limit, offset),
        )
        return int(total), [
            PersonAccess(
                rid,
                datetime.fromisoformat(str(at)),
                str(action),
                str(receiver),
                str(system),
                str(purpose),
                str(basis),
                tuple(c for c in str(categories).split(",") if c),
                str(case),
                str(message_id),
                str(outcome),
            )
            for at, action, receiver, system, purpose, basis, categories, case, message_id, outcome in rows
        ]
