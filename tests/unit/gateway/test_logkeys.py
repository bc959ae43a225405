"""The keys of a message log: nothing is in clear on the disk, and without the right keys nothing is taken or read."""

from __future__ import annotations

import asyncio
import hmac
import sqlite3
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from gateway.messagelog.keys import KeySecret, LogKeys
from gateway.messagelog.keytree import BITS, Destroyed, new_tree
from gateway.messagelog.record import FIRST_CHAIN_VALUE, chain_value
from gateway.messagelog.rows import DIGESTED, MESSAGE_PLACE
from gateway.messagelog.spool import SpoolFolder
from gateway.messagelog.steps import DATABASE, STEPS
from gateway.messagelog.store import MessageLog
from schemas.faults import Fault
from schemas.transparency.records import record_digest
from serving.storage.database import apply_steps, connect
from tests.logs import NOW, OWNER, SECRET, body_files, entry, open_keys, open_log

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.messagelog.spool import Spool

CURP = b"GOMC850101MMCMRR07"
RAW = b"GET\r\n/r1/MX/GOB/A/S/echo/persona?curp=" + CURP + b"\r\n"


def holders(folder: Path, what: bytes = CURP) -> list[str]:
    """The files below a folder in which bytes stand."""
    return [p.name for p in sorted(folder.rglob("*")) if p.is_file() and what in p.read_bytes()]


async def spool(folder: Path, size: int) -> Spool:
    made = SpoolFolder(folder / "spool").new()
    await made.write(CURP * (size // len(CURP)))
    await made.finish()
    return made


def test_a_records_key_is_the_hmac_of_its_way_down_the_tree() -> None:
    root, leaf = bytes(range(32)), 0b1010_0000_1111_0101_0000_0011
    key = root
    for depth in range(BITS):
        key = hmac.digest(key, b"sacbe log key %d" % (leaf >> (BITS - 1 - depth) & 1), "sha256")
    assert new_tree(7, NOW, root).key(7 + leaf) == key


@pytest.mark.xroad("F104")
async def test_nothing_of_a_message_or_its_bodies_is_on_the_disk_in_clear(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    log = open_log(folder)
    small, large = await spool(folder, 900), await spool(folder, 900_000)
    assert holders(folder) == []
    await log.append(entry("m", small, large, raw=RAW))
    assert holders(folder) == []
    (found,) = await log.find(OWNER, "m")
    assert log.reader.open_message(found) == RAW
    assert [len(b"".join(log.reader.open_body(found, a))) for a in found.attachments] == [900, 900_000]
    large.discard()
    await log.close()
    assert holders(tmp_path) == []


async def test_wrong_keys_refuse_to_begin_and_nothing_is_taken(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    log = open_log(folder)
    await log.append(entry())
    await log.close()
    again = MessageLog.open(folder, LogKeys(tmp_path / "log-keys"))
    with pytest.raises(Fault, match="software token"):
        again.unlock(KeySecret.of_token(b"x" * 32))
    with pytest.raises(Fault, match="do not open"):
        await again.append(entry("other"))
    with pytest.raises(Fault, match="log rekey"):
        again.unlock(KeySecret.of_operator("an operator's secret"))
    again.unlock(SECRET)
    assert await again.append(entry("other")) == 2
    await again.close()


async def test_missing_keys_of_a_sealed_log_are_never_made_anew(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    log = open_log(folder)
    await log.append(entry())
    await log.close()
    (tmp_path / "log-keys" / "keys.json").rename(tmp_path / "kept")
    again = MessageLog.open(folder, LogKeys(tmp_path / "log-keys"))
    with pytest.raises(Fault, match="missing"):
        again.unlock(SECRET)
    (tmp_path / "other-keys").mkdir()
    others = LogKeys(tmp_path / "other-keys")
    others.open(SECRET, may_make=True)
    others.prepare(1, NOW)
    with pytest.raises(Fault, match="does not open"):
        MessageLog.open(folder, others)
    assert not (tmp_path / "log-keys" / "keys.json").exists()
    await again.close()


async def test_keys_that_vanish_stop_the_log_and_nothing_is_written_in_clear(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    log = open_log(folder)
    key_file = tmp_path / "log-keys" / "keys.json"
    key_file.rename(tmp_path / "kept")
    with pytest.raises(Fault, match="keys are gone"):
        await log.append(entry("m", raw=RAW))
    assert holders(tmp_path) == []
    (tmp_path / "kept").rename(key_file)
    assert await log.append(entry("m", raw=RAW)) == 1
    await log.close()


async def test_a_closed_log_says_what_it_waits_for(tmp_path: Path) -> None:
    log = MessageLog.open(tmp_path / "log", LogKeys(tmp_path / "keys"))
    with pytest.raises(Fault, match="software token is logged in"):
        log.check_accepting(NOW)
    await log.close()


def test_an_operators_secret_seals_and_can_be_changed(tmp_path: Path) -> None:
    first, second = (KeySecret.of_operator(text) for text in ("first secret", "second secret"))
    keys = LogKeys(tmp_path)
    keys.open(first, may_make=True)
    keys.prepare(1, NOW)
    key = keys.record_key(1)
    keys.reseal(second)
    with pytest.raises(Fault, match="do not open"):
        LogKeys(tmp_path).open(first, may_make=True)
    other = LogKeys(tmp_path)
    other.open(second, may_make=False)
    assert other.record_key(1) == key


def test_a_key_destroyed_by_another_process_is_gone_here_too(tmp_path: Path) -> None:
    here, there = open_keys(tmp_path / "log"), open_keys(tmp_path / "log")
    here.prepare(1, NOW)
    kept = here.record_key(2)
    there.destroy([(1, 1)])
    with pytest.raises(Destroyed):
        here.record_key(1)
    here.retire()
    for keys in (here, there):
        with pytest.raises(Destroyed):
            keys.record_key(1)
        assert keys.record_key(2) == kept


def test_a_new_tree_begins_with_a_new_period(tmp_path: Path) -> None:
    keys = open_keys(tmp_path / "log")
    keys.prepare(1, NOW)
    old = [keys.record_key(n) for n in (1, 7, 8)]
    keys.prepare(8, NOW + timedelta(days=31))
    assert [keys.record_key(n) for n in (1, 7)] == old[:2]
    assert keys.record_key(8) != old[2]


def clear_log(folder: Path, count: int) -> None:
    """A log as the version before sealing wrote it, its pages still in the write-ahead log."""
    (folder / "bodies").mkdir(parents=True)
    (folder / "bodies" / "b1-q").write_bytes(CURP * 50_000)
    connection = connect(folder / DATABASE)
    apply_steps(connection, STEPS[:2])
    for number in range(1, count + 1):
        connection.execute(
            "INSERT INTO record VALUES (?, ?, 'r', 0, 'consumer', ?, 'c', 's', 'REST', ?, x'01', NULL, NULL, 1000, x'02')",
            (number, f"m{number}", OWNER.path(), RAW),
        )
    connection.execute("INSERT INTO attachment VALUES (1, 1, 18, x'03', ?, NULL)", (CURP,))
    connection.execute("INSERT INTO attachment VALUES (1, 2, 900000, x'04', NULL, 'b1-q')")
    connection.execute(
        "INSERT INTO record VALUES (999, 'gone', 'r', 0, 'consumer', 'o', 'c', 's', 'REST', ?, x'01', NULL, "
        "NULL, 1000, x'02')",
        (RAW * 3000,),
    )
    connection.execute("DELETE FROM record WHERE id = 999")
    connection.close()


async def test_a_clear_log_is_sealed_in_place_down_to_freed_pages(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    clear_log(folder, 450)
    assert holders(folder) != []
    log = open_log(folder)
    assert holders(folder) == []
    (found,) = await log.find(OWNER, "m1")
    assert log.reader.open_message(found) == RAW
    assert [b"".join(log.reader.open_body(found, a)) for a in found.attachments] == [CURP, CURP * 50_000]
    (last,) = await log.find(OWNER, "m450")
    assert log.reader.open_message(last) == RAW
    await log.close()


class Crash(Exception):
    """The process dies here."""


class DyingKeys(LogKeys):
    """Keys of a process that is killed when it asks for so many of them."""

    left = 0

    def record_key(self, record_id: int) -> bytes:
        if not self.left:
            raise Crash
        self.left -= 1
        return super().record_key(record_id)


@pytest.mark.parametrize("after", [1, 150, 201, 449])
async def test_sealing_that_was_interrupted_goes_on_at_the_next_start(tmp_path: Path, after: int) -> None:
    folder = tmp_path / "log"
    clear_log(folder, 450)
    keys = DyingKeys(tmp_path / "log-keys")
    keys.open(SECRET, may_make=True)
    keys.left = after
    with pytest.raises(Crash):
        MessageLog.open(folder, keys)
    log = open_log(folder)
    assert holders(folder) == []
    for name in ("m1", "m200", "m450"):
        (found,) = await log.find(OWNER, name)
        assert log.reader.open_message(found) == RAW
    assert len(body_files(log)) == 1
    await log.close()


async def test_the_chain_of_a_log_that_was_sealed_in_place_still_holds(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    log = open_log(folder)
    for number in range(3):
        await log.append(entry(f"m{number}", raw=RAW))
    await log.close()
    _as_before(folder, tmp_path)
    log = open_log(folder)
    await log.append(entry("new", raw=RAW))
    assert await log.verify_chain() is None
    with sqlite3.connect(folder / DATABASE) as writer:
        writer.execute("UPDATE record SET signature = x'00' WHERE id = 2")
    assert await log.verify_chain() == 2
    await log.close()


def _as_before(folder: Path, tmp_path: Path) -> None:
    """Put the records back as the version before wrote them: clear, and chained over the message itself."""
    connection = connect(folder / DATABASE)
    chain = FIRST_CHAIN_VALUE
    for number, *row in connection.execute(f"SELECT id, {DIGESTED} FROM record ORDER BY id").fetchall():
        row[MESSAGE_PLACE] = RAW
        chain = chain_value(chain, record_digest(row))
        connection.execute(
            "UPDATE record SET message = ?, form = 0, links = 1, message_digest = NULL, chain = ? WHERE id = ?",
            (RAW, chain, number),
        )
    connection.execute("DELETE FROM sealed")
    connection.close()
    (tmp_path / "log-keys" / "keys.json").unlink()


async def test_many_together_are_sealed_each_under_its_own_key(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log")
    await asyncio.gather(*(log.append(entry(f"m{n}", raw=RAW + b"%d" % n)) for n in range(150)))
    records = await log.reader.by_ids(list(range(1, 151)))
    assert [log.reader.open_message(r) for r in records] == [RAW + b"%d" % n for n in range(150)]
    with sqlite3.connect(tmp_path / "log" / DATABASE) as writer:
        writer.execute("UPDATE record SET message = (SELECT message FROM record WHERE id = 3) WHERE id = 4")
    assert await log.verify_chain() == 4
    await log.close()
