"""Reading from a standby of the database, as long as it is close behind; from the primary otherwise.

For what may be some seconds old and is much: searches, containers of messages, the audit log. Changes, and whatever must be
current, are the primary's. How far the standby is behind is counted by the primary's clock alone: every node notes there every few
seconds that it was seen (`serving.storage.nodes.RENEWAL_S`), and the newest such note that the standby shows was made then.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from typing import TYPE_CHECKING, Any

import msgspec
import psycopg
import psycopg.sql

from serving.storage.postgres import (
    connection_settings,
    read_rows,
    shown_address,
    unusable,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from serving.storage.database import AnyDatabase
    from serving.storage.transactions import Transaction

log = logging.getLogger("serving.replica")

# How long an answer about the standby's distance holds.
LOOK_S = 1.0
# One that cannot be reached is left alone for so long: whoever reads waits for the attempt.
RETRY_S = 15.0


class Replica(msgspec.Struct, frozen=True):
    """The address of a standby, with its password, and how many seconds it may be behind."""

    address: str
    lag_s: float


class ReplicaDatabase:
    """One schema, read from a standby while it follows closely, and else from the primary; changed at the primary."""

    def __init__(
        self, primary: AnyDatabase, schema: str, replica: Replica, *, look_s: float = LOOK_S
    ) -> None:
        self.primary = primary
        self.place = primary.place
        self._schema = schema
        self._replica = replica
        self._look_s = look_s
        self._lock = threading.RLock()
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        # When it is looked again how far the standby is behind, on the monotonic clock.
        self._look_at = 0.0
        self._reason = ""

    @property
    def reason(self) -> str:
        """Why the primary is read, for a person; empty while the standby is, or nothing was read yet."""
        return self._reason

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a question, at most the replica's bound old. Raises OSError while the primary cannot be reached either."""
        with self._lock:
            try:
                if self._follows():
                    return read_rows(self._connected(), sql, parameters)
            except (
                psycopg.OperationalError
            ) as err:  # lost, or it took back what was read (a conflict with replay)
                self._let_go()
                self._look_at = time.monotonic() + RETRY_S
                self._note(str(unusable(shown_address(self._replica.address), err)))
        return self.primary.query(sql, parameters)

    def transaction(self) -> AbstractContextManager[Transaction]:
        """A transaction at the primary."""
        return self.primary.transaction()

    def close(self) -> None:
        """Close the connections to both."""
        with self._lock:
            self._let_go()
        self.primary.close()

    def _follows(self) -> bool:
        now = time.monotonic()
        if now >= self._look_at:
            self._note(self._look())
            self._look_at = now + self._look_s
        return not self._reason

    def _look(self) -> str:
        """Why the standby is not to be read now; empty when it is. Raises OSError of the primary."""
        found = read_rows(self._connected(), "SELECT max(seen_ms) FROM nodes.node", ())
        ((now_ms,),) = self.primary.query("SELECT nodes.now_ms()")
        behind_s = None if found[0][0] is None else (now_ms - found[0][0]) / 1000
        if behind_s is not None and behind_s <= self._replica.lag_s:
            return ""
        distance = "shows no node" if behind_s is None else f"is {behind_s:.0f} s behind"
        return (
            f"the replica {shown_address(self._replica.address)} {distance}; expected at most {self._replica.lag_s:g} s "
            "(node.replica_lag_s): see that it follows the primary (pg_stat_replication)"
        )

    def _note(self, reason: str) -> None:
        if bool(reason) != bool(self._reason):
            if reason:
                log.warning("the primary is read", extra={"event": "replica_left", "reason": reason})
            else:
                log.info("the replica is read", extra={"event": "replica_read"})
        self._reason = reason

    def _connected(self) -> psycopg.Connection[tuple[Any, ...]]:
        if self._connection is None or self._connection.closed:
            settings = {**connection_settings(self._replica.address), "target_session_attrs": "any"}
            connection = psycopg.connect(self._replica.address, **settings)
            connection.execute("SET default_transaction_read_only = on")
            name = psycopg.sql.Identifier(self._schema)
            connection.execute(psycopg.sql.SQL("SET search_path TO {}").format(name))
            self._connection = connection
        return self._connection

    def _let_go(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                self._connection.close()
        self._connection = None
