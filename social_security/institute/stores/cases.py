"""Portability cases and the hash-chained events of each, in the institute's database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from schemas.jsontext import dump_json, load_json
from social_security.domain import eventchain
from social_security.domain import states as machines
from social_security.domain.pseudonyms import Pid
from social_security.wire.outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serving.storage.database import AnyDatabase
    from social_security.wire.outbox import OutboxItem


PORTABILITY_STEP = """
    CREATE TABLE port_case (
        case_id TEXT PRIMARY KEY,
        pid TEXT NOT NULL,
        responsible TEXT NOT NULL,
        counterparties TEXT NOT NULL,
        convention TEXT NOT NULL,
        benefit TEXT NOT NULL,
        state TEXT NOT NULL,
        deadline TEXT
    );
    CREATE TABLE port_event (
        case_id TEXT NOT NULL REFERENCES port_case (case_id),
        sequence INTEGER NOT NULL,
        event TEXT NOT NULL,
        hash TEXT NOT NULL,
        sender TEXT NOT NULL,
        PRIMARY KEY (case_id, sequence)
    );
"""


# When she applied: the term counts from it, and so does what she is paid. NULL in cases from before this step.
PORTABILITY_PRESENTED_STEP = "ALTER TABLE port_case ADD COLUMN presented TEXT"
PORTABILITY_TIMES_STEP = "ALTER TABLE port_event ADD COLUMN at TEXT"


@dataclass(frozen=True, slots=True)
class Case:
    """A case as this participant holds it."""

    case: str
    pid: Pid
    responsible: str
    counterparties: tuple[str, ...]
    convention: str
    benefit: str
    state: str
    deadline: date | None
    sequence: int
    last_hash: str
    # When she applied; of a case opened anew because somebody had left, when she applied the first time.
    presented: date | None = None

    @property
    def participants(self) -> tuple[str, ...]:
        """The members in the case: the responsible institute first, then the counterparties."""
        return (self.responsible, *self.counterparties)

    @property
    def is_open(self) -> bool:
        """Whether anything may still happen."""
        return self.state not in machines.CLOSED

    def to_json(self) -> dict[str, Any]:
        """``CasoPortabilidad`` of the service description."""
        body: dict[str, Any] = {
            "caso": self.case,
            "estado": self.state,
            "responsable": self.responsible,
            "contrapartes": list(self.counterparties),
            "ultimaSecuencia": self.sequence,
            "ultimoHash": self.last_hash,
            "convenio": self.convention,
            "beneficio": self.benefit,
        }
        if self.deadline is not None:
            body["fechaLimite"] = self.deadline.isoformat()
        if self.presented is not None:
            body["presentadaEl"] = self.presented.isoformat()
        return body


@dataclass(frozen=True, slots=True)
class Logged:
    """An event with who sent it."""

    event: dict[str, Any]
    hash: str
    sender: str


class CaseStore:
    """The cases and their chains in the institute's database."""

    def __init__(self, database: AnyDatabase) -> None:
        self._database = database

    def case(self, case: str) -> Case | None:
        """The case with an id, with the number and hash of its last event; None when there is none."""
        rows = self._database.query(
            "SELECT case_id, pid, responsible, counterparties, convention, benefit, state, deadline, presented FROM port_case "
            "WHERE case_id = ?",
            (case,),
        )
        if not rows:
            return None
        r = rows[0]
        events = self.events(case)
        return Case(
            r[0],
            Pid(r[1]),
            r[2],
            tuple(load_json(r[3])),
            r[4],
            r[5],
            r[6],
            None if r[7] is None else date.fromisoformat(r[7]),
            len(events),
            events[-1].hash if events else eventchain.START,
            None if r[8] is None else date.fromisoformat(r[8]),
        )

    def cases_of(self, pid: Pid) -> list[Case]:
        """The person's cases at this institute, in the order of case ids."""
        rows = self._database.query("SELECT case_id FROM port_case WHERE pid = ? ORDER BY case_id", (pid,))
        return [c for c in (self.case(r[0]) for r in rows) if c is not None]

    def all(self) -> list[Case]:
        """Every case, in the order of case ids."""
        rows = self._database.query("SELECT case_id FROM port_case ORDER BY case_id")
        return [c for c in (self.case(r[0]) for r in rows) if c is not None]

    def events(self, case: str) -> list[Logged]:
        """The chain, first event first."""
        rows = self._database.query(
            "SELECT event, hash, sender FROM port_event WHERE case_id = ? ORDER BY sequence", (case,)
        )
        return [Logged(load_json(r[0]), r[1], r[2]) for r in rows]

    def times(self, case: str) -> dict[str, datetime]:
        """When each state was reached first, by state."""
        rows = self._database.query(
            "SELECT event, at FROM port_event WHERE case_id = ? AND at IS NOT NULL ORDER BY sequence DESC",
            (case,),
        )
        return {load_json(r[0])["estadoNuevo"]: datetime.fromisoformat(r[1]) for r in rows}

    def end_copy(self, case: str, state: str) -> None:
        """Note that a case has ended at its responsible institute, whose last events never came here."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE port_case SET state = ? WHERE case_id = ?", (state, case))

    def append(
        self,
        case: Case,
        event: dict[str, Any],
        digest: str,
        sender: str,
        at: datetime,
        notices: Sequence[OutboxItem] = (),
        before: Sequence[Logged] = (),
    ) -> None:
        """Take an event, the state it leads to, and whom to tell of it, in one transaction; ``before`` is the chain of a case joined."""
        kept = {k: v for k, v in event.items() if k not in ("testigo", "pid", "antecedentes")}
        appended = [*before, Logged(kept, digest, sender)]
        # All three on disk together: a crash leaves the case before the event, and its sender sends it again.
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO port_case (case_id, pid, responsible, counterparties, convention, benefit, state, deadline, presented) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (case_id) DO UPDATE SET state = excluded.state, "
                "counterparties = excluded.counterparties, deadline = excluded.deadline",
                (
                    case.case,
                    case.pid,
                    case.responsible,
                    dump_json(case.counterparties),
                    case.convention,
                    case.benefit,
                    case.state,
                    None if case.deadline is None else case.deadline.isoformat(),
                    None if case.presented is None else case.presented.isoformat(),
                ),
            )
            Outbox.put(connection, notices)
            connection.executemany(
                "INSERT INTO port_event (case_id, sequence, event, hash, sender, at) VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (
                        case.case,
                        e.event["secuencia"],
                        dump_json(e.event, ensure_ascii=False),
                        e.hash,
                        e.sender,
                        at.isoformat(),
                    )
                    for e in appended
                ],
            )
