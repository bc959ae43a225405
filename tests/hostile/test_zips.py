"""Zips that two readers read differently, that lie, or that unpack to the moon: containers, archives and zips of containers."""

from __future__ import annotations

import io
import struct
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from certs.algorithms import DigestAlgorithm
from certs.verify.container import verify_container
from gateway.cli.archive import archive as archive_command
from gateway.cli.container import container as container_command
from gateway.messagelog.archive import (
    FIRST,
    ArchiveWriter,
    LinkingInfo,
    chain_digest,
    render_linking_info,
    verify_archive,
)
from gateway.messagelog.sealedarchive import verify_sealed_archive
from schemas.faults import BadMessage, Fault
from schemas.showing import CONTROLS
from schemas.zipreading import open_zip
from schemas.zipwriting import ZipWriter, deflated, render_zip
from serving.api.evidence import save_configuration
from serving.errors import OperatorError
from tests import worlds
from tests.paths import VECTORS

GOOD = worlds.containers()["with-body"]
AT = datetime(2026, 11, 24, 12, tzinfo=UTC)
CONFIGURATION = ["--configuration", str(VECTORS / "globalconf/good2_v3")]
FOREIGN = (VECTORS / "asic/verifier/valid-batch-ts.asice").read_bytes()
BUDGET_S = 5.0


def entries(raw: bytes = GOOD) -> list[tuple[zipfile.ZipInfo, bytes]]:
    with zipfile.ZipFile(io.BytesIO(raw)) as read:
        return [(info, read.read(info)) for info in read.infolist()]


def rebuilt(
    change: Callable[[zipfile.ZipFile], None] = lambda _: None, method: int = zipfile.ZIP_STORED
) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for info, content in entries():
            made.writestr(
                zipfile.ZipInfo(info.filename, (2026, 11, 24, 12, 0, 0)), content, compress_type=method
            )
        change(made)
    return out.getvalue()


def with_entry(name: str, content: bytes = b"", **facts: int) -> bytes:
    def add(made: zipfile.ZipFile) -> None:
        info = zipfile.ZipInfo("X" * len(name.encode()), (2026, 11, 24, 12, 0, 0))
        for fact, value in facts.items():
            setattr(info, fact, value)
        made.writestr(info, content)

    raw = rebuilt(add)
    # The library mends names that are not plain: so they are put in after it.
    return raw.replace(b"X" * len(name.encode()), name.encode())


def packed(method: int) -> bytes:
    return rebuilt(method=method)


def bomb(method: int, size: int, name: str = "attachment1") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for info, content in entries():
            if info.filename != name:
                made.writestr(zipfile.ZipInfo(info.filename, (2026, 11, 24, 12, 0, 0)), content)
        info = zipfile.ZipInfo(name, (2026, 11, 24, 12, 0, 0))
        info.compress_type = method
        with made.open(info, "w", force_zip64=True) as file:
            chunk = bytes(1 << 20)
            for _ in range(size >> 20):
                file.write(chunk)
    return out.getvalue()


def shifted(before: bytes, raw: bytes = GOOD) -> bytes:
    """Bytes in front, with every offset of the directory made right again."""
    out, place = io.BytesIO(), raw.index(b"PK\x01\x02")
    out.write(before + raw[:place])
    end = raw.rindex(b"PK\x05\x06")
    while raw[place : place + 4] == b"PK\x01\x02":
        n, x, c = struct.unpack_from("<3H", raw, place + 28)
        size = 46 + n + x + c
        (offset,) = struct.unpack_from("<L", raw, place + 42)
        out.write(
            raw[place : place + 42] + struct.pack("<L", offset + len(before)) + raw[place + 46 : place + size]
        )
        place += size
    (start,) = struct.unpack_from("<L", raw, end + 16)
    out.write(raw[end : end + 16] + struct.pack("<L", start + len(before)) + raw[end + 20 :])
    return out.getvalue()


def hidden(name: bytes = b"message.xml", content: bytes = b"forged") -> bytes:
    """A local entry, first or last, that the directory does not name."""
    head = struct.pack(
        "<4s5H3L2H",
        b"PK\x03\x04",
        20,
        0,
        0,
        0,
        0x21,
        zlib.crc32(content),
        len(content),
        len(content),
        len(name),
        0,
    )
    return head + name + content


def hidden_behind() -> bytes:
    place, end = GOOD.index(b"PK\x01\x02"), GOOD.rindex(b"PK\x05\x06")
    more = hidden()
    moved = GOOD[:place] + more + GOOD[place:]
    end += len(more)
    (start,) = struct.unpack_from("<L", moved, end + 16)
    return moved[: end + 16] + struct.pack("<L", start + len(more)) + moved[end + 20 :]


def central(
    field: int, form: str, value: int, which: bytes = b"message.xml", raw: bytes | None = None
) -> bytes:
    """Another value in the directory's entry of a file."""
    data = bytearray(raw or rebuilt())
    place = data.rindex(which) - 46
    struct.pack_into(form, data, place + field, value)
    return bytes(data)


def local(field: int, form: str, value: int, which: bytes = b"message.xml") -> bytes:
    data = bytearray(rebuilt())
    struct.pack_into(form, data, data.index(which) - 30 + field, value)
    return bytes(data)


def both(field: int, form: str, value: int) -> bytes:
    """The same lie in both headers."""
    return central(field + 2, form, value, raw=local(field, form, value))


def end(field: int, form: str, value: int) -> bytes:
    data = bytearray(rebuilt())
    struct.pack_into(form, data, data.rindex(b"PK\x05\x06") + field, value)
    return bytes(data)


def renamed(which: bytes, name: bytes, *, in_directory: bool) -> bytes:
    data = rebuilt()
    place = data.rindex(which) if in_directory else data.index(which)
    return data[:place] + name + data[place + len(name) :]


def commented(comment: bytes) -> bytes:
    return rebuilt(lambda made: setattr(made, "comment", comment))


def two_names_in_unicode_path() -> bytes:
    extra = struct.pack("<HHBL", 0x7075, 5 + 4, 1, zlib.crc32(b"attachment2")) + b"evil"
    return with_entry("attachment2", b"x", extra=extra)  # type: ignore[arg-type]


UNREADABLE: dict[str, Callable[[], bytes]] = {
    # As found.
    "a-script-in-front": lambda: b"#!/bin/sh\nexit\n" + GOOD,
    "a-script-in-front-and-offsets-made-right": lambda: shifted(b"#!/bin/sh\nexit\n"),
    "bytes-behind": lambda: GOOD + b"more",
    "another-zip-in-front": lambda: rebuilt() + GOOD,
    "another-zip-in-front-and-offsets-made-right": lambda: shifted(rebuilt()),
    "hidden-entry-in-front": lambda: shifted(hidden()),
    "hidden-entry-behind": hidden_behind,
    "folder-that-climbs": lambda: with_entry("../../evil/"),
    "nul-in-a-name": lambda: with_entry("message.xml\0.exe", b"x"),
    "symlink": lambda: with_entry("attachment2", b"/etc/passwd", external_attr=0o120777 << 16),
    "size-in-the-directory-lies": lambda: central(24, "<L", 5),
    "packed-size-in-the-directory-lies": lambda: central(20, "<L", 5),
    "bzip2": lambda: packed(zipfile.ZIP_BZIP2),
    "lzma": lambda: packed(zipfile.ZIP_LZMA),
    "bzip2-bomb-of-64-mib": lambda: bomb(zipfile.ZIP_BZIP2, 64 << 20),
    "lzma-bomb-of-32-mib": lambda: bomb(zipfile.ZIP_LZMA, 32 << 20),
    # Of their kind.
    "one-byte-in-front": lambda: b"M" + GOOD,
    "one-byte-behind": lambda: GOOD + b"\0",
    "a-comment-of-a-script": lambda: commented(b"\n#!/bin/sh\nrm -rf /\n"),
    "a-comment-with-an-end-in-it": lambda: commented(GOOD[-22 - 40 :]),
    "a-comment-with-another-directory": lambda: commented(b"PK\x05\x06" + bytes(18)),
    "a-long-comment": lambda: commented(b"a" * 60_000),
    "a-comment-of-other-words": lambda: commented(b"mimetype=text/plain"),
    "two-ends": lambda: GOOD + GOOD[GOOD.rindex(b"PK\x05\x06") :],
    "itself-behind": lambda: GOOD + GOOD,
    "bytes-between": lambda: GOOD.replace(b"PK\x01\x02", b"junkPK\x01\x02", 1),
    "crc-in-the-directory-lies": lambda: central(16, "<L", 5),
    "crc-in-the-header-lies": lambda: local(14, "<L", 5),
    "crc-lies-in-both": lambda: both(14, "<L", 5),
    "size-in-the-header-lies": lambda: local(22, "<L", 5),
    "size-lies-in-both": lambda: both(22, "<L", 5),
    "packed-size-in-the-header-lies": lambda: local(18, "<L", 5),
    "method-in-the-header-lies": lambda: local(8, "<H", 8),
    "method-in-the-directory-lies": lambda: central(10, "<H", 8),
    "method-lies-in-both": lambda: both(8, "<H", 8),
    "flags-in-the-header-lie": lambda: local(6, "<H", 8),
    "flags-in-the-directory-lie": lambda: central(8, "<H", 8),
    "encrypted": lambda: both(6, "<H", 1),
    "sizes-follow-but-do-not": lambda: both(6, "<H", 8),
    "patched": lambda: both(6, "<H", 0x20),
    "masked": lambda: both(6, "<H", 0x2000),
    "a-newer-version-in-both": lambda: both(4, "<H", 63),
    "a-newer-version-in-the-header": lambda: local(4, "<H", 46),
    "a-newer-version-in-the-directory": lambda: central(6, "<H", 0xFFFF),
    "another-time": lambda: local(10, "<H", 1),
    "another-name-in-the-directory": lambda: renamed(b"message.xml", b"massage.xml", in_directory=True),
    "another-name-in-the-header": lambda: renamed(b"message.xml", b"massage.xml", in_directory=False),
    "on-another-disk": lambda: central(34, "<H", 1),
    "offset-of-another": lambda: central(42, "<L", 0),
    "offset-beyond": lambda: central(42, "<L", 0x7FFFFFFF),
    "offset-of-64-bits": lambda: central(42, "<L", 0xFFFFFFFF),
    "size-of-64-bits": lambda: central(24, "<L", 0xFFFFFFFF),
    "disk-of-64-bits": lambda: central(34, "<H", 0xFFFF),
    "an-entry-comment": lambda: with_entry("attachment2", b"x", comment=b"PK"),  # type: ignore[arg-type]
    "one-entry-fewer": lambda: end(10, "<H", 5),
    "one-entry-fewer-here": lambda: end(8, "<H", 5),
    "many-entries": lambda: end(10, "<H", 65_535),
    "directory-elsewhere": lambda: end(16, "<L", 0),
    "directory-beyond": lambda: end(16, "<L", 0xFFFFFFFF),
    "directory-smaller": lambda: end(12, "<L", 40),
    "end-on-another-disk": lambda: end(4, "<H", 1),
    "64-bit-end-that-is-not-there": lambda: end(10, "<H", 0xFFFF),
    "block-device": lambda: with_entry("attachment2", b"x", external_attr=0o060777 << 16),
    "pipe": lambda: with_entry("attachment2", b"x", external_attr=0o010777 << 16),
    "socket": lambda: with_entry("attachment2", b"x", external_attr=0o140777 << 16),
    "folder-mode-of-a-file": lambda: with_entry("attachment2", b"x", external_attr=0o040777 << 16),
    "folder-bit-of-a-file": lambda: with_entry("attachment2", b"x", external_attr=0x10),
    "file-mode-of-a-folder": lambda: with_entry("META-INF/", b"", external_attr=0o100777 << 16),
    "symlink-of-a-dos-writer": lambda: with_entry(
        "attachment2", b"/etc", external_attr=0o120777 << 16, create_system=0
    ),
    "a-name-in-an-extra-field": two_names_in_unicode_path,
    "a-broken-extra-field": lambda: with_entry("attachment2", b"x", extra=b"\x55\x54\xff\x00\x01"),  # type: ignore[arg-type]
    "truncated": lambda: GOOD[:-1],
    "half": lambda: GOOD[: len(GOOD) // 2],
    "an-end-alone": lambda: GOOD[-22:],
    "empty": lambda: render_zip([], AT),
    "nothing": lambda: b"",
    "text": lambda: b"hello" * 100,
    "deflated-bomb-of-300-mib": lambda: bomb(zipfile.ZIP_DEFLATED, 300 << 20),
    "deflated-signature-of-64-mib": lambda: bomb(zipfile.ZIP_DEFLATED, 64 << 20, "META-INF/signatures.xml"),
    "5000-entries": lambda: render_zip([(f"attachment{n}", b"") for n in range(1, 5001)], AT),
}
NAMES = (
    "/etc/passwd",
    "../message.xml",
    "..",
    "a/../../b",
    "./attachment1",
    "a//b",
    "META-INF/../message.xml",
    "C:/windows/evil",
    "C:evil",
    "attachment2:stream",
    "..\\..\\evil",
    "a\\b",
    "message.xml ",
    "message.xml.",
    "attachment2/. /b",
    " message.xml",
    "a\nb",
    "a\x1b[2Jb",
    "a\x9bb",
    "a\u202egpj.exe",
    "a\u200bb",
    "a\ufeffb",
    "META-INF/x\0/",
    "a" * 600,
    "attachment0",
    "attachment01",
    "attachment-1",
    "attachment\u0661",
    "attachment",
    "attachment1.exe",
    "attachment" + "9" * 5000,
    "attachment9999999",
    "__MACOSX/x",
    "Message.xml",
    "MESSAGE.XML",
    "meta-inf/signatures.xml",
    "META-INF/signatures1.xml",
)


def at_once(began: float) -> bool:
    return time.process_time() - began < BUDGET_S


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", UNREADABLE)
def test_a_container_that_is_no_plain_zip_is_invalid(name: str) -> None:
    raw = UNREADABLE[name]()
    tracemalloc.start()
    began = time.process_time()
    verdict = verify_container(io.BytesIO(raw), worlds.world().configuration)
    assert at_once(began)
    assert tracemalloc.get_traced_memory()[1] < 64 << 20
    tracemalloc.stop()
    assert not verdict.is_proved
    assert verdict.code not in (None, "internal_error")


@pytest.mark.parametrize("name", NAMES)
def test_a_container_with_a_name_that_is_none_of_its_own_is_invalid(name: str) -> None:
    verdict = verify_container(io.BytesIO(with_entry(name, b"x")), worlds.world().configuration)
    assert not verdict.is_proved
    assert CONTROLS.search(verdict.steps[-1].detail) is None
    assert verdict.code not in (None, "internal_error")


def test_a_name_that_is_there_twice_is_refused() -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        raw = rebuilt(lambda made: made.writestr("message.xml", b"second"))
    assert not verify_container(io.BytesIO(raw), worlds.world().configuration).is_proved


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_plain_zip_by_another_writer_is_valid(method: int) -> None:
    assert verify_container(io.BytesIO(rebuilt(method=method)), worlds.world().configuration).is_valid


class Pipe(io.BytesIO):
    """A file that nobody can go back in."""

    def seekable(self) -> bool:
        return False

    def seek(self, offset: int, whence: int = 0, /) -> int:
        raise io.UnsupportedOperation

    def tell(self) -> int:
        raise io.UnsupportedOperation


def test_sizes_that_follow_the_data_are_read_when_they_are_true() -> None:
    out = Pipe()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for info, content in entries():
            made.writestr(info.filename, content)
    raw = out.getvalue()
    assert b"PK\x07\x08" in raw
    assert verify_container(io.BytesIO(raw), worlds.world().configuration).is_valid
    place = raw.index(b"PK\x07\x08")
    for lie in (raw[:place] + b"PK\x07\x09" + raw[place + 4 :], raw[: place + 4] + b"\0" + raw[place + 5 :]):
        assert not verify_container(io.BytesIO(lie), worlds.world().configuration).is_proved


@pytest.mark.parametrize(
    "content", [b"application/vnd.etsi.asic-e+zip\n", b" application/vnd.etsi.asic-e+zip"]
)
def test_a_mimetype_that_is_not_exact_is_refused(content: bytes) -> None:
    verdict = verify_container(worlds.rezipped(GOOD, {"mimetype": content}), worlds.world().configuration)
    assert verdict.code == "asic_invalid_mime_type"


def test_a_layout_that_the_standard_does_not_ask_for_is_remarked_on() -> None:
    made = [(i.filename, c) for i, c in entries() if i.filename != "META-INF/manifest.xml"]
    raw = render_zip(made[1:] + made[:1], AT)
    verdict = verify_container(io.BytesIO(raw), worlds.world().configuration)
    assert verdict.is_valid
    assert "mimetype is not the first entry" in verdict.steps[0].detail
    assert "META-INF/manifest.xml is not there" in verdict.steps[0].detail


# Archives


def archive_of(names: list[str], content: bytes = GOOD) -> bytes:
    out = io.BytesIO()
    writer = ArchiveWriter(out, FIRST)
    for name in names:
        writer.add(name, AT, lambda file: file.write(content))
    writer.finish("")
    return out.getvalue()


@pytest.mark.parametrize(
    "name",
    [
        "../../evil.asice",
        "/etc/cron.d/evil.asice",
        "a/b.asice",
        "..\\evil.asice",
        "C:evil.asice",
        "a\0.asice",
        "a\x1b[2J.asice",
        "a\u202e.asice",
        "a\n.asice",
        ".asice/x",
        "x.zip",
        "x.asice ",
    ],
)
def test_an_archive_whose_containers_have_other_than_plain_names_is_refused(name: str) -> None:
    with pytest.raises(Fault) as caught:
        verify_archive(io.BytesIO(archive_of([name])), "")
    assert CONTROLS.search(caught.value.detail) is None


ARCHIVE = archive_of(["a-request-1.asice", "a-response-2.asice"])


@pytest.mark.parametrize(
    "raw",
    [
        b"#!/bin/sh\n" + ARCHIVE,
        ARCHIVE + b"x",
        ARCHIVE + ARCHIVE,
        shifted(b"MZ", ARCHIVE),
        shifted(hidden(b"evil.asice"), ARCHIVE),
        ARCHIVE[:-1],
        b"",
    ],
    ids=["prefix", "suffix", "two", "prefix-made-right", "hidden", "short", "nothing"],
)
def test_an_archive_that_two_readers_read_differently_is_refused(raw: bytes) -> None:
    assert verify_archive(io.BytesIO(ARCHIVE), "").containers
    for verify in (verify_archive, verify_sealed_archive):
        with pytest.raises(BadMessage):
            verify(io.BytesIO(raw), "")


@pytest.mark.parametrize("lines", [2_000_000, 100_000])
def test_linking_info_of_more_lines_than_there_are_containers_is_not_read(lines: int) -> None:
    info = b"- - SHA-512\n" + b"%s a.asice\n" % (b"0" * 16) * lines
    raw = render_zip([("a.asice", b"x"), ("linkinginfo", info)], AT, deflated)
    tracemalloc.start()
    began = time.process_time()
    with pytest.raises(BadMessage, match="at most"):
        verify_archive(io.BytesIO(raw), "")
    assert at_once(began)
    assert tracemalloc.get_traced_memory()[1] < 32 << 20
    tracemalloc.stop()


def test_a_bomb_in_an_archive_is_not_unpacked() -> None:
    for method, size in (
        (zipfile.ZIP_BZIP2, 16 << 20),
        (zipfile.ZIP_LZMA, 16 << 20),
        (zipfile.ZIP_DEFLATED, 300 << 20),
    ):
        began = time.process_time()
        with pytest.raises(BadMessage):
            verify_archive(io.BytesIO(bomb(method, size, "b-request-3.asice")), "")
        assert at_once(began)


# The commands


def run(command: object, files: list[bytes], tmp: Path, *more: str) -> Result:
    paths = []
    for number, raw in enumerate(files):
        paths.append(tmp / f"{number}.zip")
        paths[-1].write_bytes(raw)
    return CliRunner().invoke(command, ["verify", *CONFIGURATION, *more, *map(str, paths)])  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("mode", [(), ("--json",)])
def test_no_input_gets_a_traceback_out_of_the_commands(mode: tuple[str, ...], tmp_path: Path) -> None:
    cheap = [make() for name, make in UNREADABLE.items() if "bomb" not in name and "mib" not in name]
    for command in (container_command, archive_command):
        said = run(command, cheap, tmp_path, *mode)
        assert said.exit_code == 1, said.output
        assert "Traceback" not in said.output
        assert isinstance(said.exception, SystemExit)


def test_the_zip_that_asic_hands_out_is_verified_container_by_container(tmp_path: Path) -> None:
    both = render_zip([("q-request-1.asice", FOREIGN), ("q-response-2.asice", FOREIGN)], AT)
    said = run(container_command, [both], tmp_path)
    assert said.exit_code == 0, said.output
    assert said.output.count("VALID") == 2
    assert "q-response-2.asice: VALID" in said.output
    bad = render_zip([("q-request-1.asice", FOREIGN), ("q-response-2.asice", FOREIGN[:-3])], AT)
    assert run(container_command, [bad], tmp_path).exit_code == 1
    for broken in (b"#!" + both, both + both, render_zip([("../q.asice", FOREIGN)], AT)):
        assert run(container_command, [broken], tmp_path).exit_code == 1


def test_what_a_stranger_wrote_does_not_command_the_terminal(tmp_path: Path) -> None:
    names = ["a\x1b[2J.asice", "b\u202ecod.asice", "c\x9b31m.asice"]
    made = [archive_of([name]) for name in names] + [with_entry(name, b"x") for name in names]
    digest = chain_digest("", b"\0" * 64, DigestAlgorithm.SHA512)
    info = LinkingInfo(FIRST, DigestAlgorithm.SHA512, ((digest, "d\x1b]0;x.asice"),))
    made.append(render_zip([("d.asice", b"x"), ("linkinginfo", render_linking_info(info))], AT))
    for command in (container_command, archive_command):
        for mode in ((), ("--json",)):
            said = run(command, made, tmp_path, *mode)
            assert said.exit_code == 1
            assert CONTROLS.search(said.output.replace("\n", "")) is None, said.output


# A verification configuration that somebody uploads


@pytest.mark.parametrize("name", ["../x", "/x", "a\\b", "C:x", "a\0b", "x/"])
def test_a_configuration_with_names_that_climb_is_not_unpacked(name: str, tmp_path: Path) -> None:
    with pytest.raises(OperatorError):
        save_configuration(with_entry(name, b"x"), tmp_path / "configuration")
    assert not (tmp_path / "x").exists()
    assert not (tmp_path / "configuration").exists()


def test_a_configuration_that_unpacks_to_the_moon_is_not_unpacked(tmp_path: Path) -> None:
    for method, size in ((zipfile.ZIP_BZIP2, 8 << 20), (zipfile.ZIP_DEFLATED, 80 << 20)):
        with pytest.raises(OperatorError):
            save_configuration(bomb(method, size), tmp_path / "configuration")


# Our own


def test_what_is_written_here_is_read_here_whatever_its_size() -> None:
    large = bytes(range(256)) * 8192
    for out in (io.BytesIO(), Pipe()):
        writer = ZipWriter(out)
        writer.add("a", b"x" * 1000, AT, deflated)
        writer.add_stream("b\u00f1", lambda file: [file.write(large) for _ in range(3)], AT)
        writer.add_stream("c", lambda file: file.write(b"small"), AT)
        writer.add_chunks("d", [large] * 2, AT)
        writer.close()
        written = io.BytesIO(out.getvalue())
        read = open_zip(written)
        sizes = {name: sum(map(len, read.chunks(name))) for name in read.names}
        assert sizes == {"a": 1000, "b\u00f1": 3 * len(large), "c": 5, "d": 2 * len(large)}
        with zipfile.ZipFile(written) as other:
            assert other.testzip() is None
            assert not any(i.flag_bits & 8 for i in other.infolist())
        with read.open("b\u00f1") as window:
            window.seek(-4, io.SEEK_END)
            assert window.read() == large[-4:]


def test_chunks_that_can_be_drawn_once_are_not_written_when_they_are_many() -> None:
    with pytest.raises(ValueError, match="only once"):
        ZipWriter(io.BytesIO()).add_chunks("a", iter([bytes(2 << 20)]), AT)
