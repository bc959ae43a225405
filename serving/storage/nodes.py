"""Equal nodes over one database: who they are, and whose turn a piece of work is. Sessions: `serving.login.sharedsessions`.

A lease has a holder, an end and a fencing number that grows with every change of holder. Its holder puts the end off again and
again; one that was killed does not, and after `LEASE_S` another node takes over. All times are the database's clock, so nodes
whose clocks differ agree.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from typing import TYPE_CHECKING

import msgspec
from psycopg import IsolationLevel

from serving.errors import OperatorError
from serving.language import N_
from serving.storage.postgres import LeaseInForce, PostgresDatabase, by_lease, check_durable

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from serving.storage.transactions import Transaction

SCHEMA = "nodes"
LEASE_S = 10
# How often a holder puts the end of its leases off.
RENEWAL_S = 2.5
NODE_STEPS = (
    """
    CREATE FUNCTION now_ms() RETURNS BIGINT LANGUAGE sql VOLATILE
        AS 'SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)';
    CREATE TABLE installation (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        code TEXT NOT NULL,
        moved_ms INTEGER
    );
    CREATE TABLE node (
        process TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        version TEXT NOT NULL,
        begun_ms INTEGER NOT NULL,
        seen_ms INTEGER NOT NULL
    );
    CREATE TABLE lease (
        name TEXT PRIMARY KEY,
        process TEXT NOT NULL,
        until_ms INTEGER NOT NULL,
        fencing INTEGER NOT NULL
    );
    CREATE TABLE session (
        token TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        stamp TEXT NOT NULL,
        csrf TEXT NOT NULL,
        vouched TEXT,
        used_ms INTEGER NOT NULL,
        ends_ms INTEGER
    );
    """,
    # A committed change of a table is told by the table's name: `serving.storage.listening`.
    """
    CREATE FUNCTION notify_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN PERFORM pg_notify('sacbe_changes', TG_TABLE_NAME); RETURN NULL; END
    $$
    """,
    """
    CREATE TABLE sent_form (
        sending TEXT PRIMARY KEY,
        sent_ms INTEGER NOT NULL,
        is_done INTEGER NOT NULL
    );
    """,
    """
    CREATE TABLE waiting_login (
        state TEXT PRIMARY KEY,
        nonce TEXT NOT NULL,
        verifier TEXT NOT NULL,
        browser TEXT NOT NULL,
        back TEXT NOT NULL,
        begun_ms INTEGER NOT NULL
    );
    """,
)
# A node that was not seen for so long is forgotten.
_FORGOTTEN_S = 86_400


class SeenNode(msgspec.Struct, frozen=True):
    """A process that shares the database: its node's name, its version, how long it runs and was not seen, its leases."""

    process: str
    name: str
    version: str
    runs_s: float
    unseen_s: float
    leases: tuple[str, ...]

    @property
    def is_alive(self) -> bool:
        """Whether it was seen within the life of a lease."""
        return self.unseen_s < LEASE_S


class SharedNodes:
    """One process among those that share a database."""

    def __init__(self, address: str, name: str, version: str) -> None:
        self._address = address
        self._database = open_nodes(address)
        # Each start is another holder: what a killed process held is not this one's.
        self.process = f"{name}/{os.getpid()}/{secrets.token_hex(4)}"
        self._name = name
        self._version = version
        self._own_leases: set[str] = set()

    def begin(self) -> str:
        """Be known as a node of a durable database; the code of the installation. Raises `OperatorError`, OSError."""
        check_not_moved(self._database)
        check_durable(self._database)
        with self._database.transaction() as transaction:
            transaction.execute(
                "INSERT INTO installation (id, code) VALUES (1, ?) ON CONFLICT (id) DO NOTHING",
                (secrets.token_hex(16),),
            )
            transaction.execute(
                "DELETE FROM node WHERE seen_ms < now_ms() - ?",
                (_FORGOTTEN_S * 1000,),
            )
            self._note_seen(transaction)
        ((code,),) = self._database.query("SELECT code FROM installation")
        return str(code)

    def close(self) -> None:
        """Give every lease back and be known no more."""
        try:
            with self._database.transaction() as transaction:
                transaction.execute("UPDATE lease SET until_ms = 0 WHERE process = ?", (self.process,))
                transaction.execute("DELETE FROM node WHERE process = ?", (self.process,))
        finally:
            self._database.close()

    async def take(self, name: str) -> bool:
        """Hold a lease, or go on holding it; False while another process holds it. Raises OSError."""
        return await asyncio.to_thread(self._take, name)

    def _take(self, name: str) -> bool:
        with self._database.transaction() as transaction:
            found = transaction.execute(
                "INSERT INTO lease (name, process, until_ms, fencing) VALUES (?, ?, now_ms() + ?, 1) "
                "ON CONFLICT (name) DO UPDATE SET process = excluded.process, until_ms = excluded.until_ms, "
                "fencing = lease.fencing + CASE WHEN lease.process = excluded.process THEN 0 ELSE 1 END "
                "WHERE lease.process = excluded.process OR lease.until_ms < now_ms() RETURNING fencing",
                (name, self.process, LEASE_S * 1000),
            ).fetchall()
        (self._own_leases.add if found else self._own_leases.discard)(name)
        return bool(found)

    def working(self, name: str) -> AbstractContextManager[None]:
        """Within it every transaction asks whether the lease holds, and is refused once another node may have taken it."""
        return by_lease(LeaseInForce(self._address, name, self.process))

    async def renew(self) -> None:
        """Put the end of every lease that is held off, and be seen. One that another node took meanwhile is let go. Raises OSError."""
        await asyncio.to_thread(self._renew)

    def _renew(self) -> None:
        with self._database.transaction() as transaction:
            self._note_seen(transaction)
            kept = transaction.execute(
                "UPDATE lease SET until_ms = now_ms() + ? WHERE process = ? RETURNING name",
                (LEASE_S * 1000, self.process),
            ).fetchall()
        self._own_leases = {str(name) for (name,) in kept}

    @property
    def own_leases(self) -> frozenset[str]:
        """The leases that this process held when it last asked."""
        return frozenset(self._own_leases)

    def _note_seen(self, transaction: Transaction) -> None:
        transaction.execute(
            "INSERT INTO node (process, name, version, begun_ms, seen_ms) VALUES (?, ?, ?, now_ms(), now_ms()) "
            "ON CONFLICT (process) DO UPDATE SET seen_ms = excluded.seen_ms",
            (self.process, self._name, self._version),
        )

    @property
    def database(self) -> PostgresDatabase:
        """The database, for what else its nodes share there."""
        return self._database


def list_nodes(address: str) -> list[SeenNode]:
    """Every process that was seen within a day, by name. Raises OSError."""
    with contextlib.closing(open_nodes(address)) as database:
        leases: dict[str, list[str]] = {}
        for name, process in database.query(
            "SELECT name, process FROM lease WHERE until_ms >= now_ms() ORDER BY name"
        ):
            leases.setdefault(process, []).append(name)
        rows = database.query(
            "SELECT process, name, version, now_ms() - begun_ms, now_ms() - seen_ms FROM node ORDER BY name, process"
        )
        return [
            SeenNode(process, name, version, runs / 1000, unseen / 1000, tuple(leases.get(process, ())))
            for process, name, version, runs, unseen in rows
        ]


def check_alone(address: str) -> None:
    """Refuse while a node works on the database: what it writes from now on would stay behind. Raises `OperatorError`, OSError."""
    alive = sorted({node.name for node in list_nodes(address) if node.is_alive})
    if alive:
        raise OperatorError(
            N_(
                "the nodes {names} work on the database: stop them first; one that was killed counts for {seconds} s more. Nothing was changed",
                names=", ".join(alive),
                seconds=LEASE_S,
            )
        )


def check_not_moved(database: PostgresDatabase) -> None:
    """Refuse a database whose server went on elsewhere. Raises `OperatorError`, OSError."""
    if database.query("SELECT 1 FROM installation WHERE moved_ms IS NOT NULL"):
        raise OperatorError(
            N_(
                "the server was moved away from the database {database} to SQLite, and went on there: take node.database out of the settings and the environment, or name an empty database",
                database=database.name,
            )
        )


def note_moved(address: str) -> None:
    """Let no node begin on a database any more: the server goes on elsewhere. Raises OSError."""
    with contextlib.closing(open_nodes(address)) as database, database.transaction() as transaction:
        transaction.execute(
            "INSERT INTO installation (id, code, moved_ms) VALUES (1, ?, now_ms()) "
            "ON CONFLICT (id) DO UPDATE SET moved_ms = now_ms()",
            (secrets.token_hex(16),),
        )


def open_nodes(address: str) -> PostgresDatabase:
    """The tables that nodes share besides what they serve: leases, sessions, who runs. Raises OSError."""
    return PostgresDatabase(address, NODE_STEPS, SCHEMA, isolation=IsolationLevel.READ_COMMITTED)


def check_same(kept_code: str, kept_server: str, code: str, server: str) -> None:
    """Refuse a database that is another server's than the one a node was of. Raises `OperatorError`."""
    if kept_server and server and kept_server != server and kept_code != code:
        raise OperatorError(
            N_(
                "this data folder is of the server {kept_server}, and the database is of {server}: nodes of one database are one server; name the right database in node.database, or begin in another data folder. Nothing was changed",
                kept_server=kept_server,
                server=server,
            )
        )
