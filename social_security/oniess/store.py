"""What ONIESS keeps: applications with their gates, conventions, signed policy, reports of indicators.

Spec: the domain reference 5.2 (MiembroAlta, ConvenioPortabilidad, AdopcionPolitica).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from schemas.jsontext import dump_json, load_json
from social_security.oniess.enforcement import Measure
from social_security.wire.outbox import Outbox, OutboxItem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from serving.storage.database import AnyDatabase

REQUIREMENTS = ("consejo", "opinion_hacienda", "reglas", "recursos", "actuario")


@dataclass(frozen=True, slots=True)
class Application:
    """One institute on its way in."""

    case: str
    request: dict[str, Any]
    state: str
    applied_on: date
    operation_from: date | None
    gates: dict[str, dict[str, Any]] = field(default_factory=dict)

    def gate_states(self) -> dict[str, str]:
        """Each gate with its state only."""
        return {name: gate["estado"] for name, gate in self.gates.items()}


class OniessStore:
    """Reads and writes ONIESS's database."""

    def __init__(self, database: AnyDatabase) -> None:
        self._database = database

    def application(self, case: str) -> Application | None:
        """The application of a case, or None when there is none."""
        rows = self._database.query(
            "SELECT case_id, request, state, applied_on, operation_from, gates FROM application WHERE case_id = ?",
            (case,),
        )
        return _application(rows[0]) if rows else None

    def applications(self) -> list[Application]:
        """Every application, in the order of case ids."""
        rows = self._database.query(
            "SELECT case_id, request, state, applied_on, operation_from, gates FROM application ORDER BY case_id"
        )
        return [_application(r) for r in rows]

    def save(self, a: Application, at: datetime, event: str) -> None:
        """Write an application and the event that led to it."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO application (case_id, request, state, applied_on, operation_from, gates) "
                "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (case_id) DO UPDATE SET state = excluded.state, "
                "operation_from = excluded.operation_from, gates = excluded.gates",
                (
                    a.case,
                    dump_json(a.request, ensure_ascii=False),
                    a.state,
                    a.applied_on.isoformat(),
                    None if a.operation_from is None else a.operation_from.isoformat(),
                    dump_json(a.gates),
                ),
            )
            ((number,),) = connection.execute(
                "SELECT count(*) FROM application_event WHERE case_id = ?", (a.case,)
            ).fetchall()
            connection.execute(
                "INSERT INTO application_event (case_id, number, at, event) VALUES (?, ?, ?, ?)",
                (a.case, number + 1, at.isoformat(), event),
            )

    def events(self, case: str) -> list[tuple[str, str]]:
        """The path of an application, to be replayed: when, what."""
        rows = self._database.query(
            "SELECT at, event FROM application_event WHERE case_id = ? ORDER BY number", (case,)
        )
        return [(str(r[0]), str(r[1])) for r in rows]

    def register_convention(self, document: dict[str, Any]) -> None:
        """Register a convention whose five conditions are met. Raises ValueError with those that are not."""
        missing = [r for r in REQUIREMENTS if not document.get("requirements", {}).get(r)]
        if missing:
            raise ValueError(f"the convention lacks {', '.join(missing)}")
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO convention (convention_id, document) VALUES (?, ?) "
                "ON CONFLICT (convention_id) DO UPDATE SET document = excluded.document",
                (document["id"], dump_json(document, ensure_ascii=False)),
            )

    def conventions(self) -> list[dict[str, Any]]:
        """The documents of every registered convention, in the order of their ids."""
        rows = self._database.query("SELECT document FROM convention ORDER BY convention_id")
        return [load_json(r[0]) for r in rows]

    def publish(self, name: str, document: bytes) -> None:
        """Publish a signed document under a name."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO published (name, document) VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET document = excluded.document",
                (name, document),
            )

    def published(self, name: str) -> bytes | None:
        """The bytes of a published document, or None when there is none of that name."""
        rows = self._database.query("SELECT document FROM published WHERE name = ?", (name,))
        return bytes(rows[0][0]) if rows else None

    @property
    def database(self) -> AnyDatabase:
        """The database, which the outbox shares."""
        return self._database

    # Members, and what is read of them

    def add_members(self, paths: Sequence[str]) -> None:
        """Enter members that ONIESS reads from now on; one that had left is a member again."""
        with self._database.transaction() as connection:
            connection.executemany(
                "INSERT INTO member (path) VALUES (?) ON CONFLICT (path) DO UPDATE SET state = 'ACTIVA', "
                "since = NULL, successor = NULL WHERE member.state = 'BAJA'",
                [(p,) for p in paths],
            )

    def members(self) -> list[str]:
        """The members ONIESS reads: all but those that have left."""
        rows = self._database.query("SELECT path FROM member WHERE state <> 'BAJA' ORDER BY path")
        return [str(r[0]) for r in rows]

    def active_members(self) -> list[str]:
        """The members that are neither suspended nor gone."""
        rows = self._database.query("SELECT path FROM member WHERE state = 'ACTIVA' ORDER BY path")
        return [str(r[0]) for r in rows]

    def member_number(self, path: str) -> int:
        """The number of the row of a member; its path must be known."""
        ((number,),) = self._database.query("SELECT number FROM member WHERE path = ?", (path,))
        return int(number)

    def keep_readings(self, what: str, answers: Mapping[str, Mapping[str, Any]]) -> None:
        """Keep the last reading of each member."""
        with self._database.transaction() as connection:
            connection.executemany(
                "INSERT INTO reading (what, member, body) VALUES (?, ?, ?) "
                "ON CONFLICT (what, member) DO UPDATE SET body = excluded.body",
                [(what, member, dump_json(body, ensure_ascii=False)) for member, body in answers.items()],
            )

    def readings(self, what: str) -> dict[str, dict[str, Any]]:
        """The last reading of each member."""
        rows = self._database.query("SELECT member, body FROM reading WHERE what = ?", (what,))
        return {str(r[0]): load_json(r[1]) for r in rows}

    def count_probe(self, month: str, member: str, *, is_up: bool) -> None:
        """Note whether a member answered."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO probe (month, member, up, asked) VALUES (?, ?, ?, 1) ON CONFLICT (month, member) "
                "DO UPDATE SET up = probe.up + excluded.up, asked = probe.asked + 1",
                (month, member, int(is_up)),
            )

    def probes(self, month: str) -> tuple[int, int]:
        """The probes of a month (``2026-11``): those that were answered, and all."""
        ((up, probed),) = self._database.query(
            "SELECT coalesce(sum(up), 0), coalesce(sum(asked), 0) FROM probe WHERE month = ?", (month,)
        )
        return int(up), int(probed)

    def set_cost(self, month: str, cents: int) -> None:
        """Enter what the platform cost in a month."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO cost (month, cents) VALUES (?, ?) "
                "ON CONFLICT (month) DO UPDATE SET cents = excluded.cents",
                (month, cents),
            )

    def cost(self, month: str) -> int | None:
        """The platform's cost of a month, in centavos; None when nobody has entered it."""
        rows = self._database.query("SELECT cents FROM cost WHERE month = ?", (month,))
        return int(rows[0][0]) if rows else None

    # Measures

    def take_measure(
        self,
        member: str,
        measure: Measure,
        violations: int,
        at: datetime,
        notice: OutboxItem,
        order: bytes | None,
    ) -> None:
        """Note a measure and queue what the member is told, in one transaction."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO measure (member, measure, violations, taken_at, proposed_order) VALUES (?, ?, ?, ?, ?)",
                (member, measure.name, violations, at.isoformat(), order),
            )
            Outbox.put(connection, [notice])

    def measures(self, member: str) -> set[Measure]:
        """The measures taken about a member."""
        rows = self._database.query("SELECT measure FROM measure WHERE member = ?", (member,))
        return {Measure[str(r[0])] for r in rows}

    def all_measures(self) -> list[dict[str, Any]]:
        """Every measure, with whether the member has acknowledged it."""
        rows = self._database.query(
            "SELECT measure.member, measure.measure, measure.violations, measure.taken_at FROM measure "
            "ORDER BY measure.taken_at, measure.member, measure.violations"
        )
        return [
            {
                "miembro": r[0],
                "medida": Measure[str(r[1])].value,
                "violaciones": int(r[2]),
                "tomadaEl": r[3],
            }
            for r in rows
        ]

    def proposed_orders(self) -> dict[str, bytes]:
        """Orders of suspension that the governing body may sign, by member."""
        rows = self._database.query(
            "SELECT member, proposed_order FROM measure WHERE proposed_order IS NOT NULL ORDER BY member"
        )
        return {str(r[0]): bytes(r[1]) for r in rows}


def _application(r: tuple[Any, ...]) -> Application:
    return Application(
        r[0],
        load_json(r[1]),
        r[2],
        date.fromisoformat(r[3]),
        None if r[4] is None else date.fromisoformat(r[4]),
        load_json(r[5]),
    )
