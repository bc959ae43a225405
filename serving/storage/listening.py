"""Changes that are told by the database: LISTEN, and triggers that NOTIFY when a change is committed.

Triggers, so that whoever changes a table tells it: a node of this version, of the one before it, a command, psql. A connection
that is lost is opened again by the loop (`ChangeListener.loop`), and everything is looked at once then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from serving.process.loops import Loop
from serving.storage.postgres import connection_settings, shown_address, unusable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from serving.process.changes import Changes
    from serving.storage.database import AnyDatabase

CHANNEL = "sacbe_changes"
# How long nothing may be told before the connection is tried.
SILENCE_S = 20.0
_RETRY_S = 1.0
_TRIGGER = "notify_change"
_TRIGGERS_LOCK = 0x5ACBE108


def notify_changes(database: AnyDatabase, tables: Iterable[str]) -> None:
    """Have committed changes of tables told by their names, without the schema they are given with. Raises OSError.

    The function ``nodes.notify_change`` is of `serving.storage.nodes.NODE_STEPS`.
    """
    with database.transaction() as transaction:
        # Two nodes that start together: the second one finds what the first one made.
        transaction.execute("SELECT pg_advisory_xact_lock(?)", (_TRIGGERS_LOCK,))
        for table in tables:
            if transaction.execute(
                "SELECT 1 FROM pg_trigger WHERE tgrelid = CAST(? AS regclass) AND tgname = ?",
                (table, _TRIGGER),
            ).fetchone():
                continue
            transaction.execute(
                f"CREATE TRIGGER {_TRIGGER} AFTER INSERT OR UPDATE OR DELETE ON {table} "
                f"FOR EACH STATEMENT EXECUTE FUNCTION nodes.notify_change()"
            )


class ChangeListener:
    """Listens at a database that nodes share and tells this process's `Changes` what it hears."""

    def __init__(self, address: str, changes: Changes) -> None:
        self._address = address
        self._changes = changes
        self._connection: psycopg.AsyncConnection[tuple[Any, ...]] | None = None

    def loop(self) -> Loop:
        """The loop that listens for as long as it runs; a lost connection is a failed round, and opened again."""
        return Loop("changes", self.listen, lambda: 0.0, retry_s=lambda _failures: _RETRY_S)

    async def listen(self) -> None:
        """Be connected, or wait for one word, or for `SILENCE_S`. Raises OSError when the database is lost."""
        try:
            if self._connection is None:
                self._connection = await _listening(self._address)
                self._changes.begin_notifying()
                return
            response = False
            async for notify in self._connection.notifies(timeout=SILENCE_S, stop_after=1):
                response = True
                self._changes.notify(notify.payload)
            if not response:
                await self._connection.execute("SELECT 1")
        except psycopg.Error as err:
            await self.close()
            raise unusable(shown_address(self._address), err) from err

    async def close(self) -> None:
        """Listen no more; whoever looks for changes looks often again."""
        self._changes.end_notifying()
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


async def _listening(address: str) -> psycopg.AsyncConnection[tuple[Any, ...]]:
    connection = await psycopg.AsyncConnection.connect(address, **connection_settings(address))
    try:
        await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(CHANNEL)))
    except BaseException:
        await connection.close()
        raise
    return connection
