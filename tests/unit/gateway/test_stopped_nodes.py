"""A node that is stopped (SIGSTOP, a machine that is suspended) while it has the lock of a shared message log."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import psycopg
import pytest

from gateway.messagelog.keys import LogKeys
from gateway.messagelog.partitions import LOG_LOCK
from gateway.messagelog.store import MessageLog
from gateway.settings.datafolder import DataFolder
from serving.storage.postgres import PostgresDatabase
from tests.logs import SECRET, append_signed

if TYPE_CHECKING:
    from pathlib import Path

    from tests.postgres import Cluster


@pytest.mark.processes
def test_a_node_that_stands_still_after_an_answer_loses_the_log_s_lock(postgres: Cluster) -> None:
    """It fetches what it asked for under the lock, and says nothing more; its own bound is all that ends it."""
    address, lock = postgres.new_database(), "SELECT pg_advisory_xact_lock(?)"
    session = {"idle_in_transaction_session_timeout": "100ms"}
    stopped = PostgresDatabase(address, (), "stopped", session=session)
    other = PostgresDatabase(address, (), "stopped", session={"lock_timeout": "90s"})
    with pytest.raises(ConnectionError), stopped.pipelined() as transaction:
        transaction.execute(lock, (1,))
        assert transaction.execute("SELECT 1").fetchall() == [(1,)]
        other.query("SELECT pg_advisory_lock(1)")
        transaction.execute("SELECT 2").fetchall()
    stopped.close()
    other.close()


@pytest.mark.processes
@pytest.mark.parametrize("is_ended", [False, True])
async def test_a_node_that_stands_still_in_the_middle_of_sending_loses_the_log_s_lock(
    postgres: Cluster, tmp_path: Path, is_ended: bool
) -> None:
    """What it sent is not ended, so the server waits for more and bounds nothing: the node that waits for the lock ends it."""
    folder = DataFolder(tmp_path, postgres.new_database())
    keys = LogKeys(folder.message_log_keys)
    keys.open(SECRET, may_make=True)
    log = MessageLog.open(folder.message_log, keys)
    await append_signed(log, tmp_path)
    with (
        psycopg.connect(folder.database) as stopped,
        contextlib.suppress(psycopg.OperationalError),
        stopped.pipeline() as pipeline,
    ):
        stopped.execute("BEGIN")
        # Fetched without a Sync, as a batch's rows are sent.
        stopped.execute("SELECT pg_advisory_xact_lock(%s)", (LOG_LOCK,)).fetchall()
        if is_ended:  # and then goes on sending, as a batch's rows follow what was read for it
            pipeline.sync()
            stopped.execute("CREATE TABLE begun (id integer)")
            stopped.execute("SELECT 1").fetchall()
        assert await append_signed(log, tmp_path) == 2
    assert await log.verify_chain() is None
    await log.close()
