"""The privacy notices that a system has registered, by address and digest; every request names one (SS-204).

Institutes, the registry and ONIESS keep the same table ``notice`` (uri, sha256), each in its own database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from social_security.domain.faults import DomainError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serving.storage.database import AnyDatabase
    from social_security.wire.context import MessageContext


def add_notices(database: AnyDatabase, notices: Sequence[tuple[str, str]]) -> None:
    """Register notices: pairs of address and SHA-256 in hex; one that is there takes the new digest."""
    with database.transaction() as connection:
        connection.executemany(
            "INSERT INTO notice (uri, sha256) VALUES (?, ?) ON CONFLICT (uri) DO UPDATE SET sha256 = excluded.sha256",
            notices,
        )


def check_notice(database: AnyDatabase, context: MessageContext) -> None:
    """Refuse a request whose privacy notice is not registered here with the digest it names (SS-204)."""
    rows = database.query("SELECT sha256 FROM notice WHERE uri = ?", (context.notice.uri,))
    if not rows or str(rows[0][0]) != context.notice.sha256:
        raise DomainError("SS-204", field="X-OSS-Aviso")
