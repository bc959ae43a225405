"""Look-ups of persons as the registry counts them: by account and day for the quota, by case and month for the indicators."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import date

    from serving.storage.database import AnyDatabase


def count_lookup(database: AnyDatabase, account: str, member: str, case: str, day: date) -> int:
    """Count a look-up of an account, and for which case it was; how many it is today."""
    with database.transaction() as connection:
        connection.execute(
            "INSERT INTO lookup_case (month, member, case_id, count) VALUES (?, ?, ?, 1) "
            "ON CONFLICT (month, member, case_id) DO UPDATE SET count = lookup_case.count + 1",
            (day.isoformat()[:7], member, case),
        )
        ((count,),) = connection.execute(
            "INSERT INTO lookup (account, day, count) VALUES (?, ?, 1) "
            "ON CONFLICT (account, day) DO UPDATE SET count = lookup.count + 1 RETURNING count",
            (account, day.isoformat()),
        ).fetchall()
    return int(count)


def lookups_without_outcome(database: AnyDatabase, month: str) -> tuple[int, int]:
    """Look-ups of a month for cases that nobody has registered since, and all look-ups."""
    ((without, every),) = database.query(
        "SELECT coalesce(sum(CASE WHEN case_entry.case_id IS NULL THEN lookup_case.count ELSE 0 END), 0), "
        "coalesce(sum(lookup_case.count), 0) FROM lookup_case "
        "LEFT JOIN case_entry ON case_entry.case_id = lookup_case.case_id WHERE lookup_case.month = ?",
        (month,),
    )
    return int(without), int(every)
