"""The leakage test: after a whole run no CURP stands in what the processes wrote, outside what is sealed.

Log lines and every column of every database are searched for the telling middle of a CURP too. Then every file of every
gateway and of the central server, byte for byte (write-ahead logs, free pages, spools, bodies, archives, records of
operation, audit logs, keys): whole CURPs in either case, spread over UTF-16, percent-encoded, and those of the scenarios'
persons in base64. No file and no table is let pass.
"""

from __future__ import annotations

import base64
import re
import sqlite3
import time
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from benchmarks.scenarios.stage import PERSONS, Outcome
from social_security.domain.curp import LEAK, STATES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from benchmarks.country import Country

_PLACES = "|".join(STATES)
_UPPER = (
    rf"[A-Z][AEIOUX][A-Z]{{2}}\d{{2}}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])[HMX](?:{_PLACES})"
    rf"[B-DF-HJ-NP-TV-Z]{{3}}[0-9A-Z]\d"
)
# One case at a time: in megabytes of base64 a pattern for both at once would find what is none.
_WHOLE = tuple(re.compile(p.encode("ascii")) for p in (_UPPER, _UPPER.lower().replace(r"\d", "[0-9]")))


def scan(country: Country) -> Outcome:
    """Look through everything the processes wrote."""
    outcome = Outcome("SCAN", "No CURP in any log, database or file of a gateway")
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
    known = sorted({str(p["curp"]) for p in PERSONS.values()})
    for file in _files(country):
        outcome.checks += 1
        spelling = find_spelling(file.read_bytes(), known)
        if spelling is not None:
            outcome.failures.append(f"{file.relative_to(country.folder)}: a CURP {spelling}")
    outcome.took_s = time.monotonic() - started
    return outcome


def find_spelling(data: bytes, known: Iterable[str]) -> str | None:
    """In which spelling a CURP stands in bytes; ``known`` ones are looked for in base64 too."""
    for spelling, shown in (
        ("in clear", data),
        ("in UTF-16", data.replace(b"\0", b"")),
        ("percent-encoded", unquote_to_bytes(unquote_to_bytes(data)) if b"%" in data else b""),
    ):
        if any(pattern.search(shown) for pattern in _WHOLE):
            return spelling
    for curp in known:
        if any(text in data for text in in_base64(curp.encode("ascii"))):
            return "in base64"
    return None


def in_base64(content: bytes) -> tuple[bytes, ...]:
    """What surely stands in base64 of anything that holds the content, at each of the three places it can begin."""
    found = []
    for before in range(3):
        text = base64.b64encode(bytes(before) + content)
        # The first characters carry bits of what stands before, the last ones of what stands after.
        first = -(-before * 8 // 6)
        last = (before + len(content)) * 8 // 6
        found.append(text[first:last])
    return tuple(found)


def _files(country: Country) -> Iterator[Path]:
    federation = country.federation
    folders = [federation.folder / "central", *(federation.data(spec) for spec in federation.gateways)]
    for folder in folders:
        yield from (p for p in sorted(folder.rglob("*")) if p.is_file() and not p.is_socket())


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
