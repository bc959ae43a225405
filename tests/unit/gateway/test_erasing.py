"""Erasing on an order: the content is gone from every copy, what the record proves stays, and it is said by whose order."""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
import zipfile
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest

from certs.verify.container import Verdict, verify_container
from gateway.messagelog.archive import verify_archive
from gateway.messagelog.erasure import Eraser, Selection
from gateway.messagelog.export import write_record
from gateway.messagelog.keys import LogKeys
from gateway.messagelog.record import ErasureOrder, LogRecord
from gateway.messagelog.retention import Retention, RetentionSettings
from gateway.messagelog.sealedarchive import open_archive, verify_sealed_archive
from gateway.messagelog.steps import DATABASE
from gateway.messagelog.store import MessageLog
from schemas.faults import Fault
from tests import worlds
from tests.logs import (
    SECRET,
    append_message,
    append_signed,
    body_files,
    open_keys,
    open_log,
    soap_messages,
    stamp_alone,
)
from tests.worlds import CONSUMER, NOW

if TYPE_CHECKING:
    from pathlib import Path

ORDER = ErasureOrder("ARCO-2026-17", "Comité de Transparencia", "ana", NOW)


def container(log: MessageLog, record: LogRecord, *, digests_only: bool = False) -> io.BytesIO:
    out = io.BytesIO()
    write_record(out, record, log.reader, digests_only=digests_only)
    out.seek(0)
    return out


def verdict_of(log: MessageLog, number: int, *, digests_only: bool = False) -> Verdict:
    record = log.reader.record(number)
    return verify_container(container(log, record, digests_only=digests_only), worlds.world().configuration)


def erase(folder: Path, selection: Selection, keys: LogKeys | None = None) -> list[int]:
    """Another process carries out an order."""
    eraser = Eraser(folder, keys or open_keys(folder))
    try:
        found = eraser.find(selection)
        eraser.erase(found, ORDER)
    finally:
        eraser.close()
    return found


async def test_content_is_gone_from_copies_too_and_the_rest_still_proves(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    log = open_log(folder)
    ids = [await append_signed(log, tmp_path, size=size, message_id=f"q{size}") for size in (10, 100_000, 20)]
    await stamp_alone(log, *ids)
    shutil.copytree(folder, tmp_path / "copy")
    assert erase(folder, Selection(message_id="q100000")) == [2]
    record = log.reader.record(2)
    with pytest.raises(Fault, match="erased by order ARCO-2026-17"):
        log.reader.open_message(record)
    assert await log.verify_chain() is None
    assert body_files(log) == []
    assert [verdict_of(log, n).is_valid for n in (1, 3)] == [True, True]
    verdict = verdict_of(log, 2)
    assert verdict.is_proved
    assert not verdict.is_valid
    assert verdict.signer == CONSUMER.member
    assert verdict.withheld is not None
    for said in ("erased", "ARCO-2026-17", "Comité de Transparencia", "ana", "/message.xml", "/attachment1"):
        assert said in verdict.withheld.says()
    copy = MessageLog.open(tmp_path / "copy", open_keys(folder))
    with pytest.raises(Fault, match="destroyed"):
        copy.reader.open_message(copy.reader.record(2))
    assert copy.reader.open_message(copy.reader.record(3)).startswith(b"POST")
    await copy.close()
    await log.close()


async def test_an_order_takes_what_it_selects_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    log = open_log(folder)
    other = CONSUMER.member.subsystem("OTRO")
    for owner, days in ((CONSUMER, 9), (other, 9), (CONSUMER, 1), (other, 1)):
        await append_signed(log, tmp_path, owner=owner, days_ago=days)
    eraser = Eraser(folder, log.keys)
    with pytest.raises(ValueError, match="an order names"):
        eraser.find(Selection())
    assert eraser.find(Selection(owner=other.path())) == [2, 4]
    assert eraser.find(Selection(until=log.reader.record(3).at)) == [1, 2]
    assert eraser.find(Selection(owner=CONSUMER.path(), since=log.reader.record(3).at, until=NOW)) == [3]
    assert eraser.find(Selection(records=(1, 99))) == [1]
    with pytest.raises(Fault, match="no record"):
        eraser.erase([], ORDER)
    eraser.erase([2], ORDER)
    assert eraser.find(Selection(owner=other.path())) == [4]
    eraser.close()
    await log.close()


class Crash(Exception):
    """The process dies here."""


class DyingKeys(LogKeys):
    """Keys of a process that is killed before, or just after, keys are destroyed."""

    before = True

    def destroy(self, ranges: object) -> None:
        if not self.before:
            super().destroy(ranges)  # type: ignore[arg-type]
        raise Crash


@pytest.mark.parametrize("before", [True, False])
async def test_an_order_that_was_interrupted_is_completed_at_the_next_start(
    tmp_path: Path, *, before: bool
) -> None:
    folder = tmp_path / "log"
    log = open_log(folder)
    ids = [await append_signed(log, tmp_path, size=100_000) for _ in range(2)]
    await stamp_alone(log, *ids)
    dying = DyingKeys(tmp_path / "log-keys")
    dying.open(SECRET, may_make=False)
    dying.before = before
    with pytest.raises(Crash):
        erase(folder, Selection(records=(1,)), dying)
    with pytest.raises(Fault, match="erased by order"):
        log.reader.open_message(log.reader.record(1))
    await log.close()
    log = open_log(folder)
    with sqlite3.connect(folder / DATABASE) as reader:
        assert reader.execute("SELECT is_done FROM erasure").fetchall() == [(1,)]
        assert reader.execute("SELECT length(message) FROM record ORDER BY id").fetchone() == (0,)
    assert len(body_files(log)) == 1
    assert await log.verify_chain() is None
    assert verdict_of(log, 2).is_valid
    assert verdict_of(log, 1).is_proved
    await log.close()


async def test_digests_alone_are_given_for_content_that_is_there(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log")
    await append_signed(log, tmp_path, size=1000)
    await stamp_alone(log, 1)
    verdict = verdict_of(log, 1, digests_only=True)
    assert (verdict.is_proved, verdict.is_valid) == (True, False)
    with zipfile.ZipFile(container(log, log.reader.record(1), digests_only=True)) as opened:
        assert not {"message.xml", "attachment1"} & set(opened.namelist())
        assert json.loads(opened.read("META-INF/withheld.json"))["reason"] == "left-out"
    await log.close()


@pytest.mark.parametrize("change", ["digest", "client", "part", "order", "format", "more"])
async def test_what_a_container_says_it_withholds_is_held_against_the_signature(
    tmp_path: Path, change: str
) -> None:
    log = open_log(tmp_path / "log")
    await append_signed(log, tmp_path)
    await stamp_alone(log, 1)
    source = container(log, log.reader.record(1), digests_only=True)
    changed = io.BytesIO()
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "META-INF/withheld.json":
                said = json.loads(content)
                match change:
                    case "digest":
                        said["parts"][0]["sha512"] = "00" * 64
                    case "client":
                        said["client"] = "MX/GOB/OTHER/S"
                    case "part":
                        said["parts"].pop()
                    case "order":
                        said["reason"] = "erased"
                    case "format":
                        said["format"] = "another"
                    case _:
                        said["parts"].append({**said["parts"][0], "uri": "/attachment7"})
                content = json.dumps(said).encode()
            new.writestr(name, content)
    verdict = verify_container(changed, worlds.world().configuration)
    assert not verdict.is_proved
    await log.close()


@pytest.mark.parametrize("attachments", [(), (b"a" * 10,), (b"a" * 10, b"b" * 100_000)])
async def test_soap_evidence_verifies_before_and_after_erasing(
    tmp_path: Path, attachments: tuple[bytes, ...]
) -> None:
    folder = tmp_path / "log"
    log = open_log(folder)
    request, answer = soap_messages(attachments)
    await append_message(log, tmp_path, request, attachments)
    await append_message(log, tmp_path, answer)
    await stamp_alone(log, 1, 2)
    for number in (1, 2):
        assert verdict_of(log, number).is_valid
        assert verdict_of(log, number, digests_only=True).is_proved
    erase(folder, Selection(message_id="s1"))
    for number in (1, 2):
        verdict = verdict_of(log, number)
        assert (verdict.is_proved, verdict.is_valid, verdict.message_id) == (True, False, "s1")
    await log.close()


async def archived(log: MessageLog, folder: Path, count: int) -> Path:
    for number in range(count):
        await append_signed(
            log, folder, size=(10, 100_000)[number % 2], message_id=f"q{number + 1}", days_ago=40
        )
    await stamp_alone(log, *range(1, count + 1))
    keeper = Retention(log, folder / "log", lambda: NOW, RetentionSettings())
    (path,) = await keeper.archive()
    assert path.name.endswith(".zip.sealed")
    return path


@pytest.mark.xroad("F107")
async def test_a_sealed_archive_proves_itself_and_opens_to_the_archive_of_x_road(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log")
    path = await archived(log, tmp_path, 3)
    assert b"curp=1" not in path.read_bytes()
    trust = worlds.world().configuration

    def proved(name: str, source: object) -> None:
        assert verify_container(source, trust).is_proved, name  # type: ignore[arg-type]

    def valid(name: str, source: object) -> None:
        assert verify_container(source, trust).is_valid, name  # type: ignore[arg-type]

    with path.open("rb") as file:
        outside = verify_sealed_archive(file, "", proved)
        inside = verify_sealed_archive(file, "", proved, log.keys.record_key)
        opened = io.BytesIO()
        assert open_archive(file, opened, log.keys.record_key) == []
    plain = verify_archive(opened, "", valid)
    assert outside == inside == msgspec.structs.replace(plain, containers=list(plain.containers))
    await log.close()


async def test_erasing_reaches_archives_of_records_that_left_the_log(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log")
    path = await archived(log, tmp_path, 3)
    keeper = Retention(log, tmp_path / "log", lambda: NOW, RetentionSettings())
    assert await keeper.remove_old() == 3
    assert erase(tmp_path / "log", Selection(records=(2,))) == [2]
    assert erase(tmp_path / "log", Selection(records=(1, 2, 4))) == [1]
    with path.open("rb") as file:
        verdict = verify_sealed_archive(file, "", None, log.keys.record_key)
        opened = io.BytesIO()
        erased = open_archive(file, opened, log.keys.record_key)
    assert erased == verdict.erased == verdict.containers[:2]
    with zipfile.ZipFile(opened) as archive:
        states = []
        for name in verdict.containers:
            one = verify_container(io.BytesIO(archive.read(name)), worlds.world().configuration)
            states.append((one.is_proved, one.is_valid))
    assert states == [(True, False), (True, False), (True, True)]
    assert await append_signed(log, tmp_path) == 4
    await log.close()


async def test_keys_go_at_the_end_of_retention_and_not_before(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log")
    path = await archived(log, tmp_path, 3)
    await append_signed(log, tmp_path)
    folder = tmp_path / "log"

    def keeper(days_later: int, *, destroy: int) -> Retention:
        settings = RetentionSettings(destroy_keys_days=destroy)
        return Retention(log, folder, lambda: NOW + timedelta(days=days_later), settings)

    assert await keeper(0, destroy=30).destroy_old_keys() == 0  # still in the log
    assert await keeper(0, destroy=0).remove_old() == 3
    for days_later, destroy in ((10_000, 0), (59, 100)):
        assert await keeper(days_later, destroy=destroy).destroy_old_keys() == 0
    assert await keeper(61, destroy=100).destroy_old_keys() == 3
    assert await keeper(61, destroy=100).destroy_old_keys() == 0
    with path.open("rb") as file:
        verdict = verify_sealed_archive(file, "", None, log.keys.record_key)
    assert verdict.erased == verdict.containers
    assert log.reader.open_message(log.reader.record(4)).startswith(b"POST")
    assert await log.verify_chain() is None
    await log.close()


async def test_a_record_erased_before_it_is_archived_stands_there_by_its_digests(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log")
    for _ in range(2):
        await append_signed(log, tmp_path)
    await stamp_alone(log, 1, 2)
    erase(tmp_path / "log", Selection(records=(1,)))
    (path,) = await Retention(log, tmp_path / "log", lambda: NOW, RetentionSettings()).archive()
    with path.open("rb") as file:
        verdict = verify_sealed_archive(file, "", None, log.keys.record_key)
        opened = io.BytesIO()
        open_archive(file, opened, log.keys.record_key)
    assert verdict.erased == verdict.containers[:1]
    assert verify_archive(opened, "").last_digest == verdict.last_digest
    await log.close()


@pytest.mark.parametrize("change", ["swap", "digest", "missing", "extra", "order"])
async def test_a_sealed_archive_that_was_touched_is_refused(tmp_path: Path, change: str) -> None:
    log = open_log(tmp_path / "log")
    path = await archived(log, tmp_path, 2)
    changed = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(changed, "w") as new:
        names = old.namelist()
        seals = json.loads(old.read("seals.json"))
        content = {n: old.read(n) for n in names}
        first, second = (s["container"] + ".sealed" for s in seals)
        match change:
            case "swap":
                content[first], content[second] = content[second], content[first]
            case "digest":
                seals[0]["digest"] = "00" * 64
            case "missing":
                del content[first]
            case "extra":
                content["more.asice"] = b"x"
            case _:
                seals.reverse()
        content["seals.json"] = json.dumps(seals).encode()
        for name, data in content.items():
            new.writestr(name, data)
    with pytest.raises(Fault):
        verify_sealed_archive(changed, "", None, log.keys.record_key)
    await log.close()
