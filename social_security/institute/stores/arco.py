"""ARCO and public-information requests as they are kept: state, terms, refusal, and the events that led there.

Each event is also handed to the national platform's adapter, where one is set: as a notice in the same transaction.

Spec: the domain reference 5.2 (SolicitudArco, Negativa), F22.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from schemas.jsontext import dump_json, load_json
from social_security.domain.pseudonyms import Pid
from social_security.wire.outbox import Outbox, OutboxItem

if TYPE_CHECKING:
    from collections.abc import Callable

    from serving.storage.database import AnyDatabase

ARCO_STEP = """
    CREATE TABLE arco (
        folio TEXT PRIMARY KEY,
        pid TEXT NOT NULL,
        member TEXT NOT NULL,
        state TEXT NOT NULL,
        request TEXT NOT NULL,
        dates TEXT NOT NULL,
        refusal TEXT,
        committee TEXT,
        outcome TEXT
    );
    CREATE TABLE arco_event (
        folio TEXT NOT NULL,
        number INTEGER NOT NULL,
        state TEXT NOT NULL,
        at TEXT NOT NULL,
        sender TEXT NOT NULL,
        PRIMARY KEY (folio, number)
    );
"""
INFORMATION = "INFORMACION"


@dataclass(frozen=True, slots=True)
class ArcoRequest:
    """One request at one member. ``dates`` are its terms by name of the service description."""

    folio: str
    pid: Pid
    member: str
    state: str
    request: dict[str, Any]
    dates: dict[str, str] = field(default_factory=dict)
    refusal: dict[str, Any] | None = None
    committee: str | None = None
    outcome: str | None = None

    def day(self, name: str) -> date | None:
        """The last day of a named term of the request, or None when that term does not run."""
        return date.fromisoformat(self.dates[name]) if name in self.dates else None


class ArcoStore:
    """The requests in the institute's database."""

    def __init__(
        self,
        database: AnyDatabase,
        exports: Callable[[ArcoRequest, int], list[OutboxItem]] = lambda _r, _n: [],
    ) -> None:
        self._database = database
        self._exports = exports

    def request(self, folio: str) -> ArcoRequest | None:
        """The request with a folio, or None when there is none."""
        rows = self._database.query(
            "SELECT folio, pid, member, state, request, dates, refusal, committee, outcome FROM arco WHERE folio = ?",
            (folio,),
        )
        return _request(rows[0]) if rows else None

    def all(self) -> list[ArcoRequest]:
        """Every request, in the order of folios."""
        rows = self._database.query(
            "SELECT folio, pid, member, state, request, dates, refusal, committee, outcome FROM arco ORDER BY folio"
        )
        return [_request(r) for r in rows]

    def save(
        self, r: ArcoRequest, at: datetime, sender: str, notices: list[OutboxItem] | None = None
    ) -> None:
        """Write the request's new state and the event that led to it, with what must be told to others."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO arco (folio, pid, member, state, request, dates, refusal, committee, outcome) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (folio) DO UPDATE SET state = excluded.state, request = excluded.request, "
                "dates = excluded.dates, refusal = excluded.refusal, committee = excluded.committee, "
                "outcome = excluded.outcome",
                (
                    r.folio,
                    r.pid,
                    r.member,
                    r.state,
                    dump_json(r.request, ensure_ascii=False),
                    dump_json(r.dates),
                    None if r.refusal is None else dump_json(r.refusal, ensure_ascii=False),
                    r.committee,
                    r.outcome,
                ),
            )
            ((number,),) = connection.execute(
                "SELECT count(*) FROM arco_event WHERE folio = ?", (r.folio,)
            ).fetchall()
            connection.execute(
                "INSERT INTO arco_event (folio, number, state, at, sender) VALUES (?, ?, ?, ?, ?)",
                (r.folio, number + 1, r.state, at.isoformat(), sender),
            )
            Outbox.put(connection, [*(notices or []), *self._exports(r, number + 1)])

    def events(self) -> list[tuple[str, str, datetime]]:
        """Folio, state and when, of everything that happened, oldest first."""
        rows = self._database.query("SELECT folio, state, at FROM arco_event ORDER BY at, folio, number")
        return [(str(r[0]), str(r[1]), datetime.fromisoformat(r[2])) for r in rows]

    def refusals_by_cause(self, scope: str = "ARCO") -> dict[str, int]:
        """The number of refusals by cause, of ARCO or of public information; never of whom."""
        counts: dict[str, int] = {}
        for request in self.all():
            is_information = request.request["derecho"] == INFORMATION
            if request.refusal is not None and is_information == (scope == INFORMATION):
                cause = str(request.refusal.get("causa", request.refusal["codigo"]))
                counts[cause] = counts.get(cause, 0) + 1
        return counts


def _request(r: tuple[Any, ...]) -> ArcoRequest:
    return ArcoRequest(
        r[0],
        Pid(r[1]),
        r[2],
        r[3],
        load_json(r[4]),
        load_json(r[5]),
        None if r[6] is None else load_json(r[6]),
        r[7],
        r[8],
    )
