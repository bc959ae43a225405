"""Archives: what is written is verified, and whatever is moved, changed, added or taken out shows."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import IO

import pytest
from click.testing import CliRunner

from certs.algorithms import DigestAlgorithm
from gateway.cli.archive import archive as command
from gateway.messagelog.archive import (
    FIRST,
    LINKING_INFO,
    ArchiveLink,
    ArchiveWriter,
    Grouping,
    LinkingInfo,
    archive_file_name,
    parse_linking_info,
    render_linking_info,
    verify_archive,
)
from schemas.faults import BadMessage, Fault, NotProved
from tests.worlds import CONSUMER, NOW

ENTRIES = {"a-request-1.asice": b"one", "a-response-2.asice": b"two", "b-request-3.asice": b"three"}


def _write_to(content: bytes, file: IO[bytes]) -> None:
    file.write(content)


def write(entries: dict[str, bytes], previous: ArchiveLink = FIRST) -> tuple[bytes, ArchiveLink]:
    out = io.BytesIO()
    writer = ArchiveWriter(out, previous)
    for n, (name, content) in enumerate(entries.items()):
        writer.add(name, NOW + timedelta(minutes=n), partial(_write_to, content))
    assert writer.size_bytes == sum(len(c) for c in entries.values())
    link = writer.finish("MX/GOB/1")
    return out.getvalue(), link


def changed(raw: bytes, change: Callable[[dict[str, bytes]], None]) -> io.BytesIO:
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    change(entries)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return out


def test_what_is_written_verifies_and_gives_its_link() -> None:
    raw, link = write(ENTRIES)
    seen: dict[str, bytes] = {}
    verdict = verify_archive(io.BytesIO(raw), "", lambda name, file: seen.update({name: file.read()}))
    assert verdict.last_digest == link.digest
    assert seen == ENTRIES
    assert link.file_name == f"mlog-MX_GOB_1-20261124120000-20261124120200-{link.digest[:16]}.zip"


def test_a_second_archive_follows_the_first() -> None:
    _, first = write(ENTRIES)
    raw, _ = write({"c-request-4.asice": b"four"}, first)
    assert verify_archive(io.BytesIO(raw), first.digest).previous == first
    assert verify_archive(io.BytesIO(raw), None).previous == first
    with pytest.raises(NotProved, match="follows the one"):
        verify_archive(io.BytesIO(raw), "")


def take_out(entries: dict[str, bytes]) -> None:
    del entries["a-response-2.asice"]


def alter(entries: dict[str, bytes]) -> None:
    entries["a-request-1.asice"] = b"One"


def put_in(entries: dict[str, bytes]) -> None:
    entries["z-request-9.asice"] = b"nine"


def swap(entries: dict[str, bytes]) -> None:
    entries["a-request-1.asice"], entries["a-response-2.asice"] = b"two", b"one"


def reorder(entries: dict[str, bytes]) -> None:
    entries["a-request-1.asice"] = entries.pop("a-request-1.asice")


def add_stranger(entries: dict[str, bytes]) -> None:
    entries["readme.txt"] = b"hello"


def forget_linking_info(entries: dict[str, bytes]) -> None:
    del entries[LINKING_INFO]


CHANGES = (take_out, alter, put_in, swap, reorder, add_stranger, forget_linking_info)


@pytest.mark.parametrize("change", CHANGES, ids=lambda c: c.__name__)
def test_a_changed_archive_is_refused(change: Callable[[dict[str, bytes]], None]) -> None:
    raw, _ = write(ENTRIES)
    with pytest.raises(Fault):
        verify_archive(changed(raw, change), "")


def test_every_flipped_byte_of_content_is_refused() -> None:
    raw, _ = write(ENTRIES)
    for content in ENTRIES.values():
        at = raw.index(content)
        flipped = raw[:at] + bytes((raw[at] ^ 1,)) + raw[at + 1 :]
        with pytest.raises(Fault):
            verify_archive(io.BytesIO(flipped), "")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff",
        b"- - SHA-512",
        b"- - MD5\nx a.asice",
        b"- - SHA-1\nx a.asice",
        b"- -\n",
        b"- - SHA-512\nx\n",
        b"- - SHA-512\nx y z\n",
        b"- - SHA-512\nx a.asice\ny a.asice\n",
    ],
)
def test_linking_info_that_says_something_else_is_refused(raw: bytes) -> None:
    if raw == b"- - SHA-512":
        assert parse_linking_info(raw).entries == ()
        return
    with pytest.raises(BadMessage) as caught:
        parse_linking_info(raw)
    assert caught.value.code == "malformed_hash_chain"


def test_linking_info_is_read_as_it_was_written() -> None:
    info = LinkingInfo(
        ArchiveLink("ab", "mlog-x.zip"), DigestAlgorithm.SHA256, (("cd", "a.asice"), ("ef", "b.asice"))
    )
    assert parse_linking_info(render_linking_info(info)) == info


def test_groups_and_file_names() -> None:
    assert Grouping.NONE.name_for(CONSUMER) == ""
    assert Grouping.MEMBER.name_for(CONSUMER) == "MX/GOB/15-ISSEMYM"
    assert Grouping.SUBSYSTEM.name_for(CONSUMER) == CONSUMER.path()
    assert (
        archive_file_name("", NOW, NOW, "0" * 128)
        == "mlog-20261124120000-20261124120000-0000000000000000.zip"
    )
    assert "/" not in archive_file_name("a/b:c*d?\x01", NOW, NOW, "0")
    assert len(archive_file_name("ñ" * 500, NOW, NOW, "0" * 128).encode()) < 200


def test_the_command_exits_by_the_verdict(tmp_path: Path) -> None:
    first_raw, first = write(ENTRIES)
    second_raw, _ = write({"c-request-4.asice": b"four"}, first)
    one, two = tmp_path / "one.zip", tmp_path / "two.zip"
    one.write_bytes(first_raw)
    two.write_bytes(second_raw)
    run = CliRunner().invoke
    assert run(command, ["verify", "--first", str(one), str(two)]).exit_code == 0
    assert run(command, ["verify", "--previous", first.digest, str(two)]).exit_code == 0
    assert run(command, ["verify", "--first", str(two)]).exit_code == 1
    assert run(command, ["verify", str(two), str(one)]).exit_code == 1
    assert run(command, ["verify", str(tmp_path / "none.zip")]).exit_code == 2
    assert run(command, ["verify", "--first", "--previous", "00", str(one)]).exit_code == 2
    shown = run(command, ["verify", "--json", "--first", str(one)])
    assert json.loads(shown.stdout)["last_digest"] == first.digest
