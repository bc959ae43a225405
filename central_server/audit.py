"""Appending to the audit chain inside a transaction that also makes the change.

The chain is that of `serving.audit`: its table, its digests, its verification and export.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from serving.audit import FIRST

if TYPE_CHECKING:
    from serving.audit import AuditEntry
    from serving.database import Transaction


def append_entry(sql: Transaction, entry: AuditEntry) -> int:
    """Put an entry at the end of the chain; it counts when the transaction does. The number it got."""
    text = entry.text()
    row = sql.execute("SELECT number, digest FROM audit ORDER BY number DESC LIMIT 1").fetchone()
    number, previous = (int(row[0]) + 1, str(row[1])) if row else (1, FIRST)
    digest = hashlib.sha256(f"{previous}\n{text}".encode()).hexdigest()
    sql.execute("INSERT INTO audit (number, record, digest) VALUES (?, ?, ?)", (number, text, digest))
    return number
