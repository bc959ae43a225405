"""The cases of portability as the registry knows them: which one holds a person's benefit, and since when she applied.

Spec: the domain reference 5.5 (Portability, guards): one open case a benefit and person.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

from social_security.domain.pseudonyms import Rid

if TYPE_CHECKING:
    from serving.storage.database import AnyDatabase
    from serving.storage.transactions import Transaction

ENDED = frozenset(("CERRADO", "NEGADO"))


@dataclass(frozen=True, slots=True)
class CaseEntry:
    """A case that some member has told the registry of."""

    case: str
    member: str
    rid: Rid
    benefit: str | None
    state: str
    # By which pseudonym its member knows the person; None in cases that are read.
    pid: str | None = None
    # The date where its member is when it registers the case; None in cases that are read.
    applied: date | None = None


@dataclass(frozen=True, slots=True)
class CaseRegistration:
    """The outcome of registering a case: another one is the ``holder`` of its benefit, or it counts from a ``first_day``.

    ``first_day``: when she applied first, of a case that goes on with one that ended because its institute left; else None.
    """

    holder: str | None = None
    first_day: date | None = None


def find_case(database: AnyDatabase, case: str) -> CaseEntry | None:
    """A case some member registered."""
    rows = database.query(
        "SELECT case_id, member, rid, benefit, state FROM case_entry WHERE case_id = ?", (case,)
    )
    return _entry(rows[0]) if rows else None


def register_case(
    database: AnyDatabase, entry: CaseEntry, at: datetime, held_until: date | None, *, is_left: bool = False
) -> CaseRegistration:
    """Register a case or its new state, unless another one holds the benefit: that one is named and nothing written.

    One transaction: of two institutes that ask at the same time, exactly one gets it. An open case holds the benefit until
    ``held_until`` unless it is registered again before; None holds it without end. ``is_left``: it ends because somebody in
    it has left, so the case that goes on with the same benefit keeps the day on which she applied.
    """
    with database.transaction() as connection:
        if entry.benefit is not None and entry.state not in ENDED:
            rows = connection.execute(
                "SELECT case_id FROM case_entry WHERE rid = ? AND benefit = ? AND case_id <> ? "
                "AND state NOT IN ('CERRADO', 'NEGADO') AND (held_until IS NULL OR held_until >= ?) "
                "ORDER BY at, case_id LIMIT 1",
                (entry.rid, entry.benefit, entry.case, at.date().isoformat()),
            ).fetchall()
            if rows:
                return CaseRegistration(holder=str(rows[0][0]))
        first = _first_day(connection, entry, is_left=is_left)
        connection.execute(
            "INSERT INTO case_entry (case_id, member, rid, benefit, state, at, held_until, first_day, pid, applied) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (case_id) DO UPDATE SET state = excluded.state, "
            "held_until = excluded.held_until, benefit = coalesce(excluded.benefit, case_entry.benefit), "
            "first_day = excluded.first_day",
            (
                entry.case,
                entry.member,
                entry.rid,
                entry.benefit,
                entry.state,
                at.isoformat(),
                None if held_until is None else held_until.isoformat(),
                first,
                entry.pid,
                None if entry.applied is None else entry.applied.isoformat(),
            ),
        )
    return CaseRegistration(first_day=None if first is None else date.fromisoformat(first))


def _entry(row: tuple[object, ...]) -> CaseEntry:
    case, member, rid, benefit, state = row
    if not isinstance(rid, bytes):
        raise TypeError("rid is stored as bytes")
    return CaseEntry(str(case), str(member), Rid(rid), None if benefit is None else str(benefit), str(state))


def _first_day(connection: Transaction, entry: CaseEntry, *, is_left: bool) -> str | None:
    """The first day that a case is to be kept with. What a new one takes over from those before it, no later one takes again."""
    own = connection.execute(
        "SELECT state, first_day, coalesce(applied, at) FROM case_entry WHERE case_id = ?", (entry.case,)
    ).fetchall()
    if own:
        ((state, first, at),) = own
        if entry.state not in ENDED or state in ENDED:
            return None if first is None else str(first)
        # It ends anew, by somebody's leaving: whoever goes on with it may take its first day.
        connection.execute("UPDATE case_entry SET taken_by = NULL WHERE case_id = ?", (entry.case,))
        return (str(first or at)[:10]) if is_left else None
    if entry.state in ENDED or entry.benefit is None:
        return None
    before = connection.execute(
        "SELECT case_id, first_day FROM case_entry WHERE rid = ? AND benefit = ? AND first_day IS NOT NULL "
        "AND taken_by IS NULL AND state IN ('CERRADO', 'NEGADO') AND substr(case_id, 1, 4) = ?",
        (entry.rid, entry.benefit, entry.case[:4]),
    ).fetchall()
    for case, _day in before:
        connection.execute("UPDATE case_entry SET taken_by = ? WHERE case_id = ?", (entry.case, case))
    return min((str(day) for _case, day in before), default=None)
