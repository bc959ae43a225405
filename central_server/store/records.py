"""The store's one door: read records, or change them in one transaction together with the audit rows that say so.

A change carries who makes it and when. Every change moves the generation on, which is how a running node sees that it
must publish. An audit row stands in the same transaction as what it tells of: after a crash there are both or neither.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from central_server.registry.refusals import RegistryCode, refuse
from central_server.store.steps import STEPS
from schemas.names import check_kept
from serving.errors import OperatorError
from serving.language import N_
from serving.storage.audit import AuditEntry, append_text
from serving.storage.damage import reading_row
from serving.storage.database import keeps_texts, open_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from serving.language import Translatable
    from serving.storage.database import AnyDatabase
    from serving.storage.transactions import Transaction

T = TypeVar("T")
DEFAULT_NODE = "node_0"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who changes something, and from where."""

    name: str
    address: str = ""


OPERATOR = Actor("operator", "command line")


def read_row(
    records: Records, table: str, row: tuple[Any, ...], build: Callable[[Any], T], key: str = "id"
) -> T:
    """The value of a row, whose first column is its ``key``. Raises `OperatorError` that says where it stands and what to do."""
    with reading_row(records.place, table, key, row[0]):
        return build(row)


def read_rows(
    records: Records,
    table: str,
    rows: Iterable[tuple[Any, ...]],
    build: Callable[[Any], T],
    faults: list[Translatable] | None = None,
    key: str = "id",
) -> list[T]:
    """A value of every row. A row that is none is said in ``faults`` and left out; without ``faults`` it raises as `read_row`."""
    found = []
    for row in rows:
        try:
            found.append(read_row(records, table, row, build, key))
        except OperatorError as err:
            if faults is None:
                raise
            faults.append(N_("{problem}; it is left out", problem=err.text))
    return found


class Records:
    """Statements over the store, with the instance they speak of; in a change also who makes it and when."""

    def __init__(
        self,
        run: Callable[[str, Sequence[Any]], list[tuple[Any, ...]]],
        node: str,
        change: tuple[Actor, datetime] | None = None,
        *,
        place: str,
    ) -> None:
        """``place`` is where the rows are kept, for whoever must mend one."""
        self.place = place
        self._run = run
        self._change = change
        self._instance: str | None = None
        self.node = node
        self.entries: list[AuditEntry] = []

    def rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Run a statement; the rows it gives."""
        return self._run(sql, parameters)

    def row(self, sql: str, *parameters: Any) -> tuple[Any, ...] | None:
        """The first row of a statement, or None."""
        found = self._run(sql, parameters)
        return found[0] if found else None

    def insert(self, table: str, **values: Any) -> int:
        """Insert a row into a table that numbers its rows; the number."""
        columns, marks = ", ".join(values), ", ".join("?" * len(values))
        found = self.row(
            f"INSERT INTO {table} ({columns}) VALUES ({marks}) RETURNING id",
            *values.values(),
        )
        return int(found[0]) if found else 0

    @property
    def at(self) -> str:
        """When the change is made, as the tables keep it."""
        return self._made()[1].isoformat(timespec="milliseconds")

    @property
    def now(self) -> datetime:
        """When the change is made."""
        return self._made()[1]

    @property
    def actor(self) -> Actor:
        """Whoever makes the change of this transaction."""
        return self._made()[0]

    def _made(self) -> tuple[Actor, datetime]:
        if self._change is None:
            raise RuntimeError("these records are for reading")
        return self._change

    def note(
        self,
        event: str,
        target: str,
        *,
        before: Iterable[str] = (),
        after: Iterable[str] = (),
        **detail: object,
    ) -> None:
        """Say in the audit log what is different now."""
        actor, at = self._made()
        old, new = list(before), list(after)
        changes = (*(f"- {x}" for x in old if x not in new), *(f"+ {x}" for x in new if x not in old))
        self.entries.append(
            AuditEntry(at, actor.name, actor.address, event, "done", target, dict(detail), changes)
        )

    @property
    def instance(self) -> str:
        """The instance identifier. Raises `Refused` before the central server is initialised."""
        if self._instance is None:
            self._instance = self.parameter("instance")
        if self._instance is None:
            raise refuse(RegistryCode.SERVER_NOT_INITIALIZED, N_("initialise the central server first"))
        return self._instance

    def parameter(self, name: str) -> str | None:
        """The value of a system parameter; None when it has none."""
        found = self.row("SELECT value FROM parameter WHERE name = ?", name)
        return None if found is None else str(found[0])

    def set_parameter(self, name: str, value: str) -> None:
        """Keep the value of a system parameter."""
        self.rows(
            "INSERT INTO parameter (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            name,
            value,
        )


class CentralStore:
    """The central server's database, seen from one node."""

    def __init__(self, where: str | Path, node: str = DEFAULT_NODE) -> None:
        self.database: AnyDatabase = open_database(where, STEPS)
        self.node = node

    def close(self) -> None:
        """Close the database of the registry."""
        self.database.close()

    def read(self) -> Records:
        """The registry's records, for reading only."""
        return Records(self.database.query, self.node, place=self.database.place)

    @contextlib.contextmanager
    def change(self, actor: Actor, at: datetime, *, publishes: bool = True) -> Iterator[Records]:
        """One transaction: everything in it happens, with its audit rows, or nothing does.

        ``publishes`` is off for what no configuration shows. A text that may be kept nowhere is refused (`BadMessage`).
        """
        with self.database.transaction() as sql:
            records = self._records(sql, actor, at)
            yield records
            for entry in records.entries:
                append_text(sql, entry.text())
            if publishes:
                generation = int(records.parameter("generation") or 0)
                records.set_parameter("generation", str(generation + 1))

    @contextlib.contextmanager
    def rehearse(self, actor: Actor, at: datetime) -> Iterator[Records]:
        """A change of which nothing stays, no audit row either. Refuses all that `change` refuses."""
        with self.database.transaction() as sql:
            sql.execute("SAVEPOINT rehearsal")
            yield self._records(sql, actor, at)
            # The transaction that is committed now is empty; a crash before it leaves the same.
            sql.execute("ROLLBACK TO SAVEPOINT rehearsal")

    def _records(self, sql: Transaction, actor: Actor, at: datetime) -> Records:
        def run(statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
            if keeps_texts(statement):
                check_kept(parameters)
            result = sql.execute(statement, tuple(parameters))
            gives = statement.lstrip()[:6].upper() == "SELECT" or " RETURNING " in statement
            return list(result.fetchall()) if gives else []

        return Records(run, self.node, (actor, at), place=self.database.place)

    def generation(self) -> int:
        """A number that grows with every change; 0 before the first."""
        return int(self.read().parameter("generation") or 0)
