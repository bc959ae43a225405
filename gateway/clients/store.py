"""The server's configuration on disk: clients, services, rights, groups. Keys share its database: see `gateway.keyconf`.

One database, changed in whole transactions: a crash leaves the configuration before or after a change, never
between. Every change raises the generation; a running gateway watches it and takes the new snapshot.

`ServerConfStore.view` reads the tables one by one; ``with store.change() as tables`` reads and changes them in one
transaction, all or nothing. The tables are in `clients`, `descriptions` and `rights`.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from gateway.clients.access_request_table import AccessRequestTable
from gateway.clients.client_table import ClientTable, Requests, TimestampingServices
from gateway.clients.description_table import DescriptionTable
from gateway.clients.model import ConnectionType
from gateway.clients.replacing import replace_all
from gateway.clients.right_table import Endpoints, LocalGroupTable, RightTable
from gateway.clients.snapshot import build_snapshot
from gateway.clients.tables import Tables
from gateway.keys.store import insert_request
from gateway.migrations.serverconf import STEPS
from schemas.identifiers import ServerId, check_identifier
from serving.errors import OperatorError
from serving.language import N_
from serving.storage.database import CheckedDatabase, open_database

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from gateway.clients.access_request_table import AccessPlea, AccessRequestRecord
    from gateway.clients.model import ServerConf
    from gateway.clients.records import Document, TimestampingService
    from gateway.keys.model import SigningRequest
    from gateway.rows import Run
    from schemas.identifiers import ClientId
    from serving.storage.database import AnyDatabase
    from serving.storage.transactions import Transaction


class ServerConfStore:
    """Reads and changes the configuration. Use from one thread at a time."""

    def __init__(self, where: str | Path) -> None:
        self.where = where
        self._database: AnyDatabase = CheckedDatabase(open_database(where, STEPS))
        self._loaded: ServerConf | None = None

    @property
    def database(self) -> AnyDatabase:
        """The database, which keys and certificates share."""
        return self._database

    def close(self) -> None:
        """Close the database of the server configuration."""
        self._database.close()

    def initialise(
        self, server_id: ServerId, anchor: bytes, *, owner_added_at: datetime | None = None
    ) -> None:
        """Set the server's identifier and its configuration anchor, once; its owner becomes a client when a time is given.

        Raises `BadMessage` for an identifier that can be none.
        """
        check_identifier(server_id, "security server")
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO server (id, server_id, anchor, generation) VALUES (1, ?, ?, 1)",
                (server_id.path(), anchor),
            )
            if owner_added_at is not None:
                clients = _tables(_runner(connection)).clients
                clients.add(server_id.owner, ConnectionType.HTTPS, owner_added_at)

    def replace_anchor(self, anchor: bytes) -> None:
        """Trust another anchor from the next start on."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE server SET anchor = ?, generation = generation + 1", (anchor,))

    def is_initialised(self) -> bool:
        """Whether `initialise` has been done."""
        return bool(self._database.query("SELECT 1 FROM server"))

    def anchor(self) -> bytes:
        """The configuration anchor, as imported."""
        return bytes(self._server_row()[1])

    def server_id(self) -> ServerId:
        """The identifier of this security server, once it is initialised."""
        return ServerId(*str(self._server_row()[0]).split("/"))

    def generation(self) -> int:
        """A number that grows with every change."""
        return int(self._server_row()[2])

    def _server_row(self) -> tuple[str, bytes, int]:
        rows = self._database.query("SELECT server_id, anchor, generation FROM server")
        if not rows:
            raise OperatorError(N_("this data directory holds no gateway yet; run 'gateway init' first"))
        return rows[0][0], rows[0][1], rows[0][2]

    @property
    def view(self) -> Tables:
        """The tables to read from; two questions may be answered from before and after another's change."""
        return _tables(self._database.query)

    @contextlib.contextmanager
    def change(self) -> Iterator[Tables]:
        """The tables in one transaction, which is undone by any exception. A change raises the generation."""
        with self._database.transaction() as connection:
            yield _tables(_runner(connection))
            connection.execute("UPDATE server SET generation = generation + 1")

    def note_registered(self, listed: Collection[ClientId]) -> None:
        """Remember that the global configuration listed these clients here; this is no change of the configuration."""
        with self._database.transaction() as connection:
            _tables(_runner(connection)).clients.note_registered(listed)

    def add_access_request(self, plea: AccessPlea, now: datetime) -> AccessRequestRecord:
        """Keep a client's request for access; this is no change of the configuration. Refused as `AccessRequestTable.add` does."""
        with self._database.transaction() as connection:
            return _tables(_runner(connection)).access_requests.add(plea, now)

    def rename_server(self, server_id: ServerId) -> None:
        """Be known by another identifier: the server has another owner."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE server SET server_id = ?, generation = generation + 1", (server_id.path(),)
            )

    def load(self) -> ServerConf:
        """One snapshot of everything an exchange needs; the one made last while nothing has changed.

        May be called from another thread. The generation is read first: what is changed meanwhile is read again next time.
        """
        server_id, generation = self.server_id(), self.generation()
        loaded = self._loaded
        if loaded is None or (loaded.server_id, loaded.generation) != (server_id, generation):
            loaded = self._loaded = build_snapshot(self.view, server_id, generation)
        return loaded

    def replace(
        self,
        desired: ServerConf,
        now: datetime,
        documents: Mapping[str, Document] | None = None,
        timestamping: Sequence[TimestampingService] | None = None,
        requests: Sequence[SigningRequest] = (),
        *,
        since: int,
    ) -> None:
        """Make clients, services, rights and groups exactly those of ``wanted``, in one transaction.

        What stays keeps its ids and dates. ``documents`` are the descriptions' documents, by digest; ``requests`` are new
        signing requests to keep. ``since`` is the generation that ``desired`` was compared with: what somebody else changed
        after it would be undone unseen. Raises `OperatorError` then, and changes nothing.
        """
        with self._database.transaction() as connection:
            if connection.execute("SELECT generation FROM server").fetchall() != [(since,)]:
                raise OperatorError(
                    N_(
                        "the configuration was changed by somebody else while the file was compared with it; nothing was "
                        "done: look at what would change now (--dry-run), and apply it again"
                    )
                )
            tables = _tables(_runner(connection))
            replace_all(tables, desired, documents or {}, now)
            if timestamping is not None:
                tables.timestamping.set_all(timestamping, now)
            for request in requests:
                insert_request(connection, request)
            connection.execute("UPDATE server SET generation = generation + 1")


def _runner(transaction: Transaction) -> Run:
    def run(sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        rows = transaction.execute(sql, tuple(parameters))
        return rows.fetchall() if sql.startswith("SELECT") or " RETURNING " in sql else []

    return run


def _tables(rows: Run) -> Tables:
    return Tables(
        ClientTable(rows),
        DescriptionTable(rows),
        Endpoints(rows),
        RightTable(rows),
        LocalGroupTable(rows),
        Requests(rows),
        TimestampingServices(rows),
        AccessRequestTable(rows),
    )
