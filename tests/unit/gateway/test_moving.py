"""A gateway moved from SQLite to PostgreSQL and back: row for row the same, and every message opens there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from certs.edges.tokenfiles import TokenFolder
from certs.tokens.soft import SoftToken
from gateway.clients.model import ConnectionType
from gateway.clients.store import ServerConfStore
from gateway.messagelog.keys import LogKeys
from gateway.messagelog.store import MessageLog
from gateway.server.moving import PARTS, move_gateway
from gateway.settings.datafolder import DataFolder
from serving.errors import OperatorError
from serving.login.users import Logins
from serving.storage.moving import MOVED, set_aside
from tests.logs import SECRET, append_signed, stamp_alone
from tests.worlds import CONSUMER, CONSUMER_SERVER, NOW, PIN

if TYPE_CHECKING:
    from tests.postgres import Cluster

pytestmark = pytest.mark.processes
LARGE = 3_000_000


def open_log(folder: DataFolder) -> MessageLog:
    keys = LogKeys(folder.message_log_keys)
    keys.open(SECRET, may_make=True)
    return MessageLog.open(folder.message_log, keys)


@pytest.fixture
async def gateway(tmp_path: Path) -> DataFolder:
    """A stopped gateway with an administrator, a client and some messages, one of them large."""
    folder = DataFolder(tmp_path / "data")
    folder.root.mkdir()
    store = ServerConfStore(folder.serverconf)
    store.initialise(CONSUMER_SERVER, b"anchor")
    with store.change() as tables:
        tables.clients.add(CONSUMER, ConnectionType.HTTP, NOW)
    store.close()
    SoftToken.create(TokenFolder(folder.token), PIN).close()
    logins = Logins(folder.logins)
    logins.save_user("ana", "a long password", ["SECURITY_OFFICER"])
    logins.make_api_key(["SECURITY_OFFICER"], "ana")
    logins.close()
    log = open_log(folder)
    ids = [await append_signed(log, tmp_path, size=size, message_id=f"q{size}") for size in (10, LARGE, 20)]
    await stamp_alone(log, *ids[:2])
    await log.close()
    return folder


@pytest.mark.xroad("F007", "F008")
async def test_a_moved_gateway_has_everything_and_goes_on(
    gateway: DataFolder, postgres: Cluster, tmp_path: Path
) -> None:
    there = DataFolder(gateway.root, postgres.new_database())
    lines = list(move_gateway(gateway, there))
    assert "message log, chain of 3 records: whole" in lines
    set_aside(gateway.root, PARTS)
    assert not any((gateway.root / part.path).exists() for part in PARTS)
    assert (gateway.root / f"log/messages.sqlite{MOVED}").exists()
    store, logins = ServerConfStore(there.serverconf), Logins(there.logins)
    assert store.load().client(CONSUMER) is not None
    assert logins.verify_password("ana", "a long password") is not None
    # Numbers that the database gives go on after those that were copied.
    assert logins.make_api_key(["SECURITY_OFFICER"], "ana")[0].id == 2
    store.close()
    logins.close()
    log = open_log(there)
    (record,) = await log.find(CONSUMER, f"q{LARGE}")
    assert sum(map(len, log.reader.open_body(record, record.attachments[0]))) == LARGE
    assert await append_signed(log, tmp_path) == 4
    assert await log.verify_chain() is None
    await log.close()
    back = DataFolder(tmp_path / "back")
    (back.root / "log").mkdir(parents=True)
    list(move_gateway(there, back))
    log = open_log(back)
    assert await append_signed(log, tmp_path, message_id="last") == 5
    assert await log.verify_chain() is None
    await log.close()


async def test_a_move_that_was_stopped_goes_on_with_the_same_command(
    gateway: DataFolder, postgres: Cluster
) -> None:
    there = DataFolder(gateway.root, postgres.new_database())
    whole = len(list(move_gateway(gateway, DataFolder(gateway.root, postgres.new_database()))))
    for stopped_after in range(1, whole - 2, 5):
        moving = move_gateway(gateway, there)
        for _ in range(stopped_after):
            next(moving)
        moving.close()
    assert len(list(move_gateway(gateway, there))) == whole
    with pytest.raises(OperatorError, match=r"the target holds the server .* already"):
        list(move_gateway(gateway, there))


@pytest.mark.xroad("F008")
async def test_a_copy_that_differs_is_found_and_nothing_is_switched(
    gateway: DataFolder, postgres: Cluster
) -> None:
    there = DataFolder(gateway.root, postgres.new_database())
    moving = move_gateway(gateway, there)
    for line in moving:
        if line.startswith("message log, record:"):
            break
    moving.close()
    database = PARTS[0].open(there.root, there.database)
    database.query("UPDATE record SET service = 'MX/GOB/other' WHERE id = 2")
    database.close()
    with pytest.raises(OperatorError, match="the copy of the table record is not what was copied"):
        list(move_gateway(gateway, there))
