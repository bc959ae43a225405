"""The leakage test: after a whole run no CURP stands in a log line, a metric, an address, or a database in the clear.

Message logs are no exception: what they hold of a message is sealed. Only a container that somebody downloads holds it open.
"""

from __future__ import annotations

import sqlite3
import time
from typing import TYPE_CHECKING

from benchmarks.scenarios.stage import Outcome
from social_security.curp import LEAK

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.country import Country


def scan(country: Country) -> Outcome:
    """Look through everything the processes wrote."""
    outcome = Outcome("SCAN", "No CURP in logs and databases, message logs included")
    started = time.monotonic()
    for file in sorted(country.folder.glob("*.log")):
        outcome.checks += 1
        found = LEAK.search(file.read_text("utf-8", "replace"))
        if found is not None:
            outcome.failures.append(f"{file.name}: a CURP pattern at byte {found.start()}")
    for file in sorted(country.folder.rglob("*.sqlite")):
        for table, column in _columns(file):
            outcome.checks += 1
            if _leaks(file, table, column):
                outcome.failures.append(
                    f"{file.relative_to(country.folder)}: {table}.{column} holds a CURP pattern"
                )
    outcome.took_s = time.monotonic() - started
    return outcome


def _columns(file: Path) -> Iterator[tuple[str, str]]:
    connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    try:
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for row in connection.execute(f"PRAGMA table_info({table})").fetchall():
                yield table, row[1]
    finally:
        connection.close()


def _leaks(file: Path, table: str, column: str) -> bool:
    connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    try:
        for (value,) in connection.execute(f'SELECT "{column}" FROM "{table}"'):
            text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
            if LEAK.search(text):
                return True
    finally:
        connection.close()
    return False
