"""What ONIESS keeps: applications with their gates, conventions, signed policy, reports of indicators.

Spec: the domain reference 5.2 (MiembroAlta, ConvenioPortabilidad, AdopcionPolitica).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serving.database import AnyDatabase

STEPS = (
    """
    CREATE TABLE notice (
        uri TEXT PRIMARY KEY,
        sha256 TEXT NOT NULL
    );
    CREATE TABLE application (
        case_id TEXT PRIMARY KEY,
        request TEXT NOT NULL,
        state TEXT NOT NULL,
        applied_on TEXT NOT NULL,
        operation_from TEXT,
        gates TEXT NOT NULL
    );
    CREATE TABLE application_event (
        case_id TEXT NOT NULL,
        number INTEGER NOT NULL,
        at TEXT NOT NULL,
        event TEXT NOT NULL,
        PRIMARY KEY (case_id, number)
    );
    CREATE TABLE convention (
        convention_id TEXT PRIMARY KEY,
        document TEXT NOT NULL
    );
    CREATE TABLE published (
        name TEXT PRIMARY KEY,
        document BLOB NOT NULL
    );
    """,
)
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

    def add_notices(self, notices: Sequence[tuple[str, str]]) -> None:
        """Register privacy notices."""
        with self._database.transaction() as connection:
            connection.executemany(
                "INSERT INTO notice (uri, sha256) VALUES (?, ?) ON CONFLICT (uri) DO UPDATE SET sha256 = excluded.sha256",
                notices,
            )

    def notice(self, uri: str) -> str | None:
        """The digest registered for a notice."""
        rows = self._database.query("SELECT sha256 FROM notice WHERE uri = ?", (uri,))
        return str(rows[0][0]) if rows else None

    def application(self, case: str) -> Application | None:
        """An application, or None."""
        rows = self._database.query(
            "SELECT case_id, request, state, applied_on, operation_from, gates FROM application WHERE case_id = ?",
            (case,),
        )
        return _application(rows[0]) if rows else None

    def applications(self) -> list[Application]:
        """Every application."""
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
                    json.dumps(a.request, ensure_ascii=False),
                    a.state,
                    a.applied_on.isoformat(),
                    None if a.operation_from is None else a.operation_from.isoformat(),
                    json.dumps(a.gates),
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
                (document["id"], json.dumps(document, ensure_ascii=False)),
            )

    def conventions(self) -> list[dict[str, Any]]:
        """Every registered convention."""
        rows = self._database.query("SELECT document FROM convention ORDER BY convention_id")
        return [json.loads(r[0]) for r in rows]

    def publish(self, name: str, document: bytes) -> None:
        """Publish a signed document under a name."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO published (name, document) VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET document = excluded.document",
                (name, document),
            )

    def published(self, name: str) -> bytes | None:
        """A published document."""
        rows = self._database.query("SELECT document FROM published WHERE name = ?", (name,))
        return bytes(rows[0][0]) if rows else None


def _application(r: tuple[Any, ...]) -> Application:
    return Application(
        r[0],
        json.loads(r[1]),
        r[2],
        date.fromisoformat(r[3]),
        None if r[4] is None else date.fromisoformat(r[4]),
        json.loads(r[5]),
    )
