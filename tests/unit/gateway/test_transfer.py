"""Archives are handed on once each, whole, and again until it succeeds; a timestamp at once is shared by those that wait."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import cast

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.messagelog.atonce import StampedAtOnce
from gateway.messagelog.timestamper import Timestamper
from gateway.messagelog.transfer import TransferSettings, transfer_archives
from schemas.faults import Fault
from tests.logs import entry, open_log
from tests.objectstore import BUCKET, SECRET, ObjectStore, serve_objects
from tests.paths import PROJECT
from tests.programs import need


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "archive"
    made.mkdir()
    for name in ("mlog-1.zip", "mlog-2.zip.sealed", ".mlog-3.zip.tmp"):
        (made / name).write_bytes(name.encode())
    (tmp_path / "away").mkdir()
    return made


@pytest.mark.xroad("F108")
async def test_every_complete_archive_is_copied_and_given_to_the_command_once(folder: Path) -> None:
    away, told = folder.parent / "away", folder.parent / "told"
    command = ("sh", "-c", f'echo "$0" >> {told}')
    settings = TransferSettings(str(away), command=command)
    assert await transfer_archives(folder, settings) == 2
    assert await transfer_archives(folder, settings) == 0
    assert sorted(p.name for p in away.iterdir()) == ["mlog-1.zip", "mlog-2.zip.sealed"]
    assert [Path(line).name for line in told.read_text().splitlines()] == ["mlog-1.zip", "mlog-2.zip.sealed"]
    assert await transfer_archives(folder, TransferSettings()) == 0


@pytest.mark.xroad("F108")
async def test_what_could_not_be_handed_on_is_said_and_tried_again(folder: Path) -> None:
    away = folder.parent / "away"
    for settings, said in (
        (TransferSettings(command=("sh", "-c", "echo no room >&2; exit 3")), "ended with 3: no room"),
        (TransferSettings(command=("/nowhere/program",)), "cannot be run"),
        (TransferSettings(command=("sleep", "30", "#"), timeout_s=0.2), "longer than 0.2 s|ended with 1"),
        (TransferSettings(str(away / "missing")), "cannot be copied"),
    ):
        with pytest.raises(Fault, match=said):
            await transfer_archives(folder, settings)
    (away / "mlog-1.zip").write_bytes(b"another file")
    with pytest.raises(Fault, match="another content"):
        await transfer_archives(folder, TransferSettings(str(away)))
    assert (away / "mlog-1.zip").read_bytes() == b"another file"
    (away / "mlog-1.zip").write_bytes(b"mlog-1.zip")  # the same file: a crash came before the mark
    assert await transfer_archives(folder, TransferSettings(str(away))) == 2


# Hands on as a gateway does, in a process whose environment says who it is, and says what could not be.
HANDING_ON = """
import asyncio, sys
from pathlib import Path
from gateway.messagelog.transfer import TransferSettings, transfer_archives
from schemas.faults import Fault
try:
    print(asyncio.run(transfer_archives(Path(sys.argv[1]), TransferSettings(store=sys.argv[2]))))
except Fault as fault:
    print(fault.detail)
"""


async def hand_on(folder: Path, address: str, environment: dict[str, str]) -> str:
    pytest.importorskip("obstore")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", HANDING_ON, str(folder), address),
        env={**os.environ, **environment},
        cwd=PROJECT,
        stdout=asyncio.subprocess.PIPE,
    )
    return (await process.communicate())[0].decode()


@pytest.mark.xroad("F108")
async def test_an_object_store_is_given_every_archive_once_and_never_replaces_one(folder: Path) -> None:
    address, sent = f"s3://{BUCKET}/a b/%23", folder / ".sent"
    async with serve_objects(ObjectStore()) as store:
        assert await hand_on(folder, address, store.environment()) == "2\n"
        assert await hand_on(folder, address, store.environment()) == "0\n"
        put = {"a b/%23/.write-once", "a b/%23/mlog-1.zip", "a b/%23/mlog-2.zip.sealed"}
        assert (set(store.puts), len(store.puts)) == (put, 3)
        assert store.objects["a b/%23/mlog-2.zip.sealed"] == b"mlog-2.zip.sealed"
        # A crash between the store and the mark: it is there, and it is the same.
        (sent / "mlog-1.zip").unlink()
        assert await hand_on(folder, address, store.environment()) == "1\n"
        # Another archive of the name: what was there stays.
        (sent / "mlog-1.zip").unlink()
        (folder / "mlog-1.zip").write_bytes(b"written again")
        assert "mlog-1.zip is in the store already, with another content" in await hand_on(
            folder, address, store.environment()
        )
        assert store.objects["a b/%23/mlog-1.zip"] == b"mlog-1.zip"
        assert not (sent / "mlog-1.zip").exists()


@pytest.mark.xroad("F108")
async def test_a_store_that_would_replace_objects_or_does_not_know_us_is_given_nothing(folder: Path) -> None:
    async with serve_objects(ObjectStore(ignores_conditions=True)) as store:
        told = await hand_on(folder, f"s3://{BUCKET}/sacbe", store.environment())
        assert "takes a second object of the same name: it is not write-once" in told
        assert set(store.objects) == {"sacbe/.write-once"}
    async with serve_objects(ObjectStore()) as store:
        for address, secret, said in (
            (f"s3://{BUCKET}", "another secret", "SignatureDoesNotMatch"),
            ("s3://no-such-bucket/x", SECRET, "NoSuchBucket"),
            ("nowhere://bucket/x", SECRET, "nowhere"),
        ):
            told = await hand_on(folder, address, store.environment(secret))
            assert "the archive mlog-1.zip was not handed on" in told
            assert said in told
            assert "Debug" not in told, told
        assert store.objects == {}
        environment = store.environment()
    told = await hand_on(folder, f"s3://{BUCKET}", environment)  # nobody listens there any more
    assert "cannot be written" in told
    assert not any((folder / ".sent").iterdir())


@pytest.mark.xroad("F108")
async def test_the_sample_command_sends_each_archive_whole_and_fails_with_its_server(folder: Path) -> None:
    need("curl", package="curl")
    taken: dict[str, bytes] = {}

    async def take(request: web.Request) -> web.Response:
        if request.match_info["name"] in taken:
            raise web.HTTPConflict(text="twice")
        taken[request.match_info["name"]] = await request.read()
        return web.Response(status=201)

    app = web.Application()
    app.router.add_put("/sacbe/{name}", take)
    async with TestServer(app, host="127.0.0.1") as server:
        sample = str(PROJECT / "deploy" / "samples" / "archive-transfer")
        settings = TransferSettings(command=(sample, str(server.make_url("/sacbe/"))))
        assert await transfer_archives(folder, settings) == 2
        assert await transfer_archives(folder, settings) == 0
        assert taken == {name: name.encode() for name in ("mlog-1.zip", "mlog-2.zip.sealed")}
        (folder / "mlog-4.zip").write_bytes(b"4")
        with pytest.raises(Fault, match="404"):
            await transfer_archives(folder, TransferSettings(command=(sample, str(server.make_url("/no")))))
    with pytest.raises(Fault, match="ended with 7"):  # nobody is there
        await transfer_archives(folder, settings)


class Round:
    """Stands in for the authority: a round takes all that were logged by its beginning."""

    def __init__(self) -> None:
        self.rounds: list[int] = []
        self.lock = asyncio.Lock()
        self.waiting: list[int] = []

    async def stamp_with_others(self, number: int) -> None:
        self.waiting.append(number)
        async with self.lock:
            if number in self.waiting:
                await asyncio.sleep(0)
                self.rounds.append(len(self.waiting))
                self.waiting.clear()


@pytest.mark.xroad("F101")
async def test_a_timestamp_at_once_comes_before_the_message_leaves_if_the_settings_say_so(
    tmp_path: Path,
) -> None:
    log, rounds, wanted = open_log(tmp_path / "log"), Round(), [False]
    at_once = StampedAtOnce(log, cast("Timestamper", rounds), lambda: wanted[0])
    await at_once.append(entry("m0"))
    assert rounds.rounds == []
    wanted[0] = True
    await asyncio.gather(*(at_once.append(entry(f"m{n}")) for n in range(1, 9)))
    assert sum(rounds.rounds) == 8
    assert len(rounds.rounds) < 8
    await log.close()
