"""Browser sessions where they belong: in this process, or in the database that its nodes share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serving.login.sessions import Sessions

if TYPE_CHECKING:
    from serving.login.sessions import SessionStore


def open_sessions(database: str, idle_s: float) -> SessionStore:
    """The sessions of every node of a database; of this process alone where ``database`` is empty. Raises OSError."""
    if not database:
        return Sessions(idle_s)
    from serving.login.sharedsessions import SharedSessions
    from serving.storage.nodes import open_nodes

    return SharedSessions(open_nodes(database), idle_s)
