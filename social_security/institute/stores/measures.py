"""Measures that ONIESS notified, in the institute's database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from serving.storage.database import AnyDatabase


MEASURE_STEP = """
    CREATE TABLE measure (
        measure_id TEXT PRIMARY KEY,
        measure TEXT NOT NULL,
        violations INTEGER NOT NULL,
        due TEXT,
        received_at TEXT NOT NULL
    );
"""


class MeasureStore:
    """The measures that ONIESS notified to this institute, kept in its database."""

    def __init__(self, database: AnyDatabase) -> None:
        self._database = database

    def add(self, body: Mapping[str, Any], at: datetime) -> None:
        """Keep a measure; one that is there stays as it is."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO measure (measure_id, measure, violations, due, received_at) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (measure_id) DO NOTHING",
                (body["idMedida"], body["medida"], body["violaciones"], body.get("plazo"), at.isoformat()),
            )

    def all(self) -> list[tuple[str, str, int]]:
        """Id, measure and number of violations, first received first."""
        rows = self._database.query(
            "SELECT measure_id, measure, violations FROM measure ORDER BY received_at, measure_id"
        )
        return [(str(r[0]), str(r[1]), int(r[2])) for r in rows]
