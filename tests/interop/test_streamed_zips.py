"""Every zip that is made here, in every way, opens in the JDK's streaming reader, from the front and without its directory."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from certs.edges.configurationfiles import render_verificationconf
from gateway.messagelog.export import asic_download, write_record
from gateway.messagelog.retention import Retention, RetentionSettings
from gateway.messagelog.sealedarchive import open_archive
from tests import worlds
from tests.interop.conftest import call
from tests.logs import append_message, append_signed, open_log, stamp_alone
from tests.worlds import CONSUMER, NOW

if TYPE_CHECKING:
    from gateway.messagelog.store import MessageLog
    from gateway.messagelog.timestamper import Timestamper

SOURCE = Path(__file__).with_name("StreamedZips.java")
SIZES = {"small": 300, "of-300-kb": 300_000, "of-3-mb": 3_000_000}


async def downloaded(log: MessageLog, *flags: str) -> bytes:
    owner = zip(
        ("xRoadInstance", "memberClass", "memberCode", "subsystemCode"), CONSUMER.components, strict=True
    )
    query = {**dict(owner), "queryId": "s1", **dict.fromkeys(flags, "")}
    found = await asic_download(log, cast("Timestamper", None), query)
    return b"".join([chunk async for chunk in found.chunks])


async def of_a_log(tmp: Path, size: int) -> dict[str, bytes]:
    """What a message log gives out and archives, with a body of a size."""
    log, world, body = open_log(tmp / "log"), worlds.world(), b"b" * size
    asked = world.request(body=body, message_id="s1")
    ids = [
        await append_message(log, tmp, asked, (body,)),
        await append_message(log, tmp, world.response(asked)),
        await append_signed(log, tmp),
    ]
    await stamp_alone(log, *ids)
    made = {
        "asic": await downloaded(log),
        "asic-unique": await downloaded(log, "unique", "requestOnly"),
        "asic-digests": await downloaded(log, "digestsOnly"),
    }
    alone = io.BytesIO()
    write_record(alone, log.reader.record(ids[0]), log.reader)
    made["container"] = alone.getvalue()
    for seal in (True, False):
        keeper = Retention(log, tmp / "log", lambda: NOW, RetentionSettings(seal=seal))
        (path,) = await keeper.archive()
        made["sealed-archive" if seal else "archive"] = path.read_bytes()
        if seal:
            opened = io.BytesIO()
            open_archive(io.BytesIO(made["sealed-archive"]), opened, log.keys.record_key)
            made["opened-archive"] = opened.getvalue()
            more = await append_message(log, tmp, world.request(body=body, message_id="s2"), (body,))
            await stamp_alone(log, more)
    await log.close()
    return made


@pytest.fixture
async def zips(tmp_path: Path) -> dict[str, bytes]:
    made = {f"container-{name}": raw for name, raw in worlds.containers().items()}
    made["verificationconf"] = render_verificationconf(worlds.world().configuration)
    for name, size in SIZES.items():
        (tmp_path / name).mkdir()
        made |= {f"{way}-{name}": raw for way, raw in (await of_a_log(tmp_path / name, size)).items()}
    return made


def told(raw: bytes) -> tuple[int, int]:
    """Entries and bytes by the directory, those of containers inside too."""

    def walk(content: bytes) -> Iterator[tuple[int, int]]:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in archive.namelist():
                inner = archive.read(name)
                yield 1, len(inner)
                if name.endswith(".asice"):
                    yield from walk(inner)

    found = list(walk(raw))
    return len(found), sum(size for _, size in found)


async def test_every_zip_we_make_is_read_from_the_front(zips: dict[str, bytes], tmp_path: Path) -> None:
    late = io.BytesIO()
    with zipfile.ZipFile(late, "w") as made, made.open("mimetype", "w") as entry:
        entry.write(b"x")
    cheat = bytearray(late.getvalue())
    cheat[6] |= 8  # as containers were written once: stored, and the sizes to follow
    given = {**zips, "stored-with-sizes-to-follow": bytes(cheat)}
    paths = []
    for name, raw in given.items():
        paths.append(tmp_path / f"{name}.zip")
        paths[-1].write_bytes(raw)
    run = call("java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", SOURCE, *paths)
    assert run.returncode == 0, run.stderr
    said = dict(zip(given, run.stdout.splitlines(), strict=True))
    assert said.pop("stored-with-sizes-to-follow").startswith("broken: only DEFLATED entries")
    assert said == {name: "{} {} 0".format(*told(raw)) for name, raw in zips.items()}
