"""Damaged files, and whatever else a command meets, end in one clear line; nothing printed or logged steers a terminal."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import logging
import os
import shutil
import sqlite3
import subprocess
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from central_server.app import CentralServer
from central_server.cli.main import main as central
from central_server.cli.serving import check_start
from central_server.registry.model import parse_registry
from gateway.cli.main import main as gateway
from gateway.cli.serving import read_settings
from gateway.server.nodes import server_in
from gateway.server.process import GatewayProcess
from gateway.settings.config import KeySettings
from gateway.settings.datafolder import DataFolder
from serving.cli.commands import Program, explain
from serving.config.adminsettings import AdminSettings
from serving.config.presets import has_values
from serving.config.secret import read_secret_file
from serving.config.settings import load_settings
from serving.config.textfiles import read_text_file, read_toml_file
from serving.errors import OperatorError
from serving.printable import escape_controls, safe_stream
from serving.process.telemetry import JsonFormatter
from tests.integration import centralhosting, hosting
from tests.worlds import PIN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

REMEDIES = ("restore", "remove", "stop", "free", "backup", "must be", "expected")


# Damage: how a file may come to be


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def _garbage(path: Path) -> None:
    path.write_bytes(bytes((i * 131 + 17) % 256 for i in range(5000)))


def _half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _torn(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 4 : len(data) // 2] = bytes(len(data) // 2 - len(data) // 4)
    path.write_bytes(bytes(data))


def _nested(path: Path) -> None:
    path.write_text("[" * 100_000)


def _other_json(path: Path) -> None:
    path.write_text('{"salt": 1, "master": null, "trees": [], "sealed_by": "x", "pid": "y"}')


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _other_database(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as made:
        made.executescript("CREATE TABLE step (number INTEGER PRIMARY KEY); INSERT INTO step VALUES (1);")
    made.close()


DAMAGES: tuple[Callable[[Path], None], ...] = (
    _empty,
    _zeros,
    _garbage,
    _half,
    _torn,
    _nested,
    _other_json,
    _folder,
)
DATABASES = ("admin.sqlite", "serverconf.sqlite", "log/messages.sqlite", "log/opmonitoring.sqlite")
FILES = ("token/token.json", "logkeys/keys.json", "tls/internal.key.json", "tls/internal.pem")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gateway's folder as a first start leaves it."""
    folder = tmp_path_factory.mktemp("whole") / "data"
    folder.mkdir()
    hosting.prepare(folder)
    with hosting.hosted(folder):
        pass
    for name in DATABASES:  # all of it in the file itself, so that damage to the file is damage to the data
        with contextlib.closing(sqlite3.connect(folder / name)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return folder


def copy(whole: Path, folder: Path) -> None:
    shutil.copytree(whole, folder, ignore=shutil.ignore_patterns("*-wal", "*-shm"))


async def start(folder: Path) -> str | None:
    """How a gateway's start ends, in the line a person reads; None when it runs."""
    host = None
    try:
        host = GatewayProcess(DataFolder(folder), hosting.settings(KeySettings()), PIN)
        await host.start()
    except Exception as err:
        return explain(err)
    await host.stop()
    return None


def check_line(line: str, path: Path) -> None:
    assert "\n" not in line, line
    assert "Traceback" not in line
    assert "unexpected failure" not in line, line
    assert path.name in line or str(path.parent) in line or path.stem in line, line
    assert any(word in line for word in REMEDIES), line


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda d: d.__name__[1:])
@pytest.mark.parametrize("name", DATABASES)
async def test_a_gateway_with_a_damaged_database_says_which_and_what_to_do(
    whole: Path, tmp_path: Path, name: str, damage: Callable[[Path], None]
) -> None:
    folder = tmp_path / "data"
    copy(whole, folder)
    damage(folder / name)
    line = await start(folder)
    assert line is not None
    check_line(line, folder / name)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda d: d.__name__[1:])
@pytest.mark.parametrize("name", FILES)
async def test_a_gateway_with_a_damaged_key_file_says_which_or_goes_on_without_it(
    whole: Path, tmp_path: Path, name: str, damage: Callable[[Path], None]
) -> None:
    folder = tmp_path / "data"
    copy(whole, folder)
    damage(folder / name)
    line = await start(folder)
    if line is not None:
        check_line(line, folder / name)


def all_pairs(levels: Sequence[int]) -> list[tuple[int, ...]]:
    """Rows of a level for each factor, such that every two levels of every two factors stand in a row together.

    Built greedily: a row begins with a pair that is missing, and each further factor takes the level that brings most missing ones.
    """
    missing = {
        ((a, x), (b, y))
        for a, b in itertools.combinations(range(len(levels)), 2)
        for x in range(levels[a])
        for y in range(levels[b])
    }
    rows: list[tuple[int, ...]] = []
    while missing:
        row = dict(min(missing))
        for factor in range(len(levels)):
            if factor not in row:
                placed = tuple(row.items())
                row[factor] = max(
                    range(levels[factor]),
                    key=lambda level, f=factor, p=placed: sum(  # type: ignore[misc]
                        tuple(sorted(((f, level), other))) in missing for other in p
                    ),
                )
        rows.append(tuple(row[factor] for factor in range(len(levels))))
        missing -= set(itertools.combinations(sorted(row.items()), 2))
    return rows


def test_rows_of_pairs_hold_every_pair_and_are_few() -> None:
    rows = all_pairs([4] * 8)
    for a, b in itertools.combinations(range(8), 2):
        assert {(row[a], row[b]) for row in rows} == set(itertools.product(range(4), repeat=2))
    assert len(rows) < 64


PLACES = (*DATABASES, *FILES)
TOGETHER: tuple[Callable[[Path], None] | None, ...] = (None, _garbage, _folder)


@pytest.mark.parametrize("row", all_pairs([len(TOGETHER)] * len(PLACES)), ids=lambda r: "".join(map(str, r)))
async def test_of_several_damaged_files_each_is_named_until_all_are_put_back(
    whole: Path, tmp_path: Path, row: tuple[int, ...]
) -> None:
    """An operator who puts back what the start names, one after the other, has a gateway that runs."""
    folder = tmp_path / "data"
    copy(whole, folder)
    damaged = {place for place, level in zip(PLACES, row, strict=True) if level}
    for place, level in zip(PLACES, row, strict=True):
        damage = TOGETHER[level]
        if damage is not None:
            damage(folder / place)
    while (line := await start(folder)) is not None:
        named = [place for place in damaged if (folder / place).name in line]
        assert named, (line, damaged)
        named.sort(key=lambda place, said=line: said.index((folder / place).name))  # type: ignore[misc]
        check_line(line, folder / named[0])
        damaged.discard(named[0])
        put_back(whole, folder, named[0])


def put_back(whole: Path, folder: Path, place: str) -> None:
    """A file as it was before it was damaged, and nothing that belonged to the damaged one."""
    broken = folder / place
    if broken.is_dir():
        shutil.rmtree(broken)
    for left in broken.parent.glob(f"{broken.name}-*"):
        left.unlink()
    shutil.copy2(whole / place, broken)


@pytest.mark.parametrize("name", DATABASES[:3])
async def test_the_database_of_something_else_is_not_taken_for_ours(
    whole: Path, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "data"
    copy(whole, folder)
    _other_database(folder / name)
    line = await start(folder)
    assert line is not None
    check_line(line, folder / name)


async def test_a_database_that_a_newer_version_left_is_refused_with_what_to_do(
    whole: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    copy(whole, folder)
    with sqlite3.connect(folder / "serverconf.sqlite") as newer:
        newer.execute("INSERT INTO step (number) VALUES (9999)")
    newer.close()
    line = await start(folder)
    assert line is not None
    assert "newer version" in line
    assert "restore a backup" in line


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda d: d.__name__[1:])
@pytest.mark.parametrize("name", ["central.sqlite", "admin.sqlite", "published/publication.json"])
async def test_a_central_server_with_a_damaged_file_says_which_or_makes_it_anew(
    tmp_path: Path, name: str, damage: Callable[[Path], None]
) -> None:
    server = CentralServer(tmp_path / "central", centralhosting.settings())
    await centralhosting.initialise(server, tmp_path)
    await server.start()
    await server.stop()
    found = tmp_path / "central" / name
    if not found.exists():
        found = next((tmp_path / "central" / "published").glob("*.json"))
    damage(found)
    try:
        again = CentralServer(tmp_path / "central", centralhosting.settings())
        await again.start()
    except Exception as err:
        assert name.endswith(".sqlite"), explain(err)
        check_line(explain(err), found)
    else:
        assert not name.endswith(".sqlite")
        await again.stop()


def _letter_of_no_text(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"CREATE TABLE step", b"CREATE TABLE \xac\xac\xac\xac"))


@pytest.mark.parametrize(
    "damage", [_zeros, _garbage, _nested, _letter_of_no_text], ids=lambda d: d.__name__[1:]
)
def test_what_is_tried_before_a_central_server_starts_names_the_damaged_file(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    path = tmp_path / "central.sqlite"
    path.touch()
    _other_database(path)
    damage(path)
    with pytest.raises(sqlite3.DatabaseError) as refused:
        next(check_start(tmp_path, centralhosting.settings(), None))
    check_line(explain(refused.value), path)


@pytest.mark.parametrize(
    "damage", [_zeros, _garbage, _half, _letter_of_no_text], ids=lambda d: d.__name__[1:]
)
@pytest.mark.parametrize(
    "reader", [server_in, lambda data: read_settings(data, None)], ids=["server", "settings"]
)
def test_what_is_read_before_a_gateway_starts_names_the_damaged_file(
    whole: Path, tmp_path: Path, reader: Callable[[Path], object], damage: Callable[[Path], None]
) -> None:
    folder = tmp_path / "data"
    copy(whole, folder)
    damage(folder / "serverconf.sqlite")
    with pytest.raises(sqlite3.DatabaseError) as refused:
        reader(folder)
    check_line(explain(refused.value), folder / "serverconf.sqlite")


# Commands


def run(program: click.Command, *arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(program, list(arguments))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


@pytest.mark.parametrize(
    "arguments",
    [
        ("service", "list"),
        ("client", "list"),
        ("right", "list"),
        ("token", "list"),
        ("user", "list"),
        ("user", "add", "ana", "--role", "XROAD_SYSTEM_ADMINISTRATOR"),
        ("audit", "list"),
        ("diagnose",),
        ("log", "verify"),
        ("settings", "list"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("damage", [_garbage, _half, _folder], ids=lambda d: d.__name__[1:])
def test_a_command_on_a_damaged_folder_ends_with_a_line_and_a_status(
    whole: Path, tmp_path: Path, arguments: tuple[str, ...], damage: Callable[[Path], None]
) -> None:
    folder = tmp_path / "data"
    copy(whole, folder)
    for name in DATABASES:
        damage(folder / name)
    status, output = run(gateway, *arguments, "--data", str(folder))
    assert status != 0
    assert "Traceback" not in output


def test_a_central_command_on_a_damaged_folder_ends_with_a_line_and_a_status(tmp_path: Path) -> None:
    folder = tmp_path / "central"
    folder.mkdir()
    (folder / "central.sqlite").write_bytes(b"no database" * 1000)
    for arguments in (("member", "list"), ("anchor", "internal"), ("request", "list"), ("key", "list")):
        status, output = run(central, *arguments, "--data", str(folder))
        assert status != 0, arguments
        assert "Traceback" not in output
        assert "central.sqlite" in output, output


def a_program(error: BaseException) -> click.Command:
    @click.group(cls=Program)
    def program() -> None: ...

    @program.command()
    def work() -> None:
        raise error

    return program


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ModuleNotFoundError("No module named 'pkcs11'", name="pkcs11"), "sacbe[hsm]"),
        (ModuleNotFoundError("No module named 'psycopg'", name="psycopg"), "sacbe[postgres]"),
        (ModuleNotFoundError("No module named 'acme'", name="acme.client"), "sacbe[acme]"),
        (ModuleNotFoundError("No module named 'lxml'", name="lxml"), "lxml"),
        (RecursionError("maximum recursion depth exceeded"), "nested"),
        (MemoryError(), "memory"),
        (PermissionError(13, "Permission denied", "/data/serverconf.sqlite"), "/data/serverconf.sqlite"),
        (IsADirectoryError(21, "Is a directory", "/data/pin"), "/data/pin"),
        (sqlite3.OperationalError("attempt to write a readonly database"), "readonly"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), "cannot be read"),
        (KeyError("salt"), "salt"),
        (AssertionError("inner"), "AssertionError"),
        (ZeroDivisionError(), "ZeroDivisionError"),
        (ExceptionGroup("several", [ValueError("the first of them")]), "the first of them"),
        (ValueError("a name with \x1b[2J in it"), "\\x1b[2J"),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, BaseException) else "",
)
def test_whatever_a_command_raises_is_one_line_that_says_what_to_do(error: BaseException, words: str) -> None:
    status, output = run(a_program(error), "work")
    assert status == 1
    assert words in output
    assert "Traceback" not in output
    assert output.count("\n") == 1
    assert "\x1b" not in output


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a = 1\n# \xf1\n", "line 2: the text is not UTF-8"),
        (b"\xff\xfea\x00", "line 1: the text is not UTF-8"),
        (b"\xed\xa0\x80", "line 1: the text is not UTF-8"),
        (b"a = ", "is not TOML"),
        (b"a = " + b"[" * 100_000, "is not TOML"),
        (b"\x00", "is not TOML"),
        (b"a = " + b"9" * 5000, "is not TOML"),
        (b"a = {b = [" + b"9" * 400 + b"]}", "the number at a.b[0]"),
        (b"a = nan", "the number at a is none"),
        (b"a = -inf", "the number at a is none"),
    ],
    ids=["latin-1", "utf-16", "surrogate", "cut", "deep", "nul", "digits", "large", "nan", "inf"],
)
def test_a_text_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "settings.toml"
    file.write_bytes(content)
    for read in (read_toml_file, lambda path: load_settings(AdminSettings, path, {}, "NONE"), has_values):
        with pytest.raises(OperatorError) as refused:
            read(file)
        line = explain(refused.value)
        assert str(file) in line and said in line


def test_a_text_file_of_an_editor_of_windows_is_read_as_any_other(tmp_path: Path) -> None:
    file, pin = tmp_path / "settings.toml", tmp_path / "pin"
    file.write_bytes(b"\xef\xbb\xbfa = 1\r\nb = 2\r\n")
    assert read_toml_file(file) == {"a": 1, "b": 2}
    pin.write_bytes(b"\xef\xbb\xbfSecreto-1234\r\n")
    pin.chmod(0o600)
    assert read_secret_file(pin) == "Secreto-1234"


@pytest.mark.parametrize("text", ["a = " + "[" * 100_000, "a = " + "9" * 5000, "ca = nan", "\x00"])
def test_a_registry_file_that_is_none_is_refused_in_a_line(text: str) -> None:
    with pytest.raises(OperatorError, match="is not TOML"):
        parse_registry(text, lambda _name: b"")


def test_a_text_file_without_an_end_is_refused_before_memory_is() -> None:
    with pytest.raises(OperatorError, match="/dev/zero has more than 64 MiB"):
        read_text_file(Path("/dev/zero"))


def test_what_a_library_tells_programmers_of_a_file_is_not_told_to_whoever_gave_it() -> None:
    @click.group(cls=Program)
    def program() -> None: ...

    @program.command()
    def work() -> None:
        warnings.warn("a serial number below zero", UserWarning, stacklevel=1)
        click.echo("done")

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert run(program, "work") == (0, "done\n")
    assert told == []


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8"])
def test_a_terminal_that_cannot_carry_a_letter_gets_its_escape(encoding: str) -> None:
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            "import click\nfrom serving.cli.commands import Program\n"
            "@click.group(cls=Program)\ndef p(): pass\n"
            "@p.command()\ndef w(): click.echo('sellado ✓ ñ \\u202e\\x9b')\np(['w'])",
        ],
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
        capture_output=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    assert told.stderr == b""
    assert b"\\u202e\\x9b" in told.stdout
    assert b"\x9b" not in told.stdout.replace("\u2713".encode(), b"")


def test_a_reader_that_goes_away_ends_a_command_without_a_word() -> None:
    made = subprocess.Popen(
        [sys.executable, "-m", "gateway", "settings", "table"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert made.stdout is not None
    assert made.stderr is not None
    made.stdout.close()
    assert made.stderr.read() == b""
    made.wait()
    made.stderr.close()


# What is printed and logged

STEERING = [
    *range(0x20),
    0x7F,
    *range(0x80, 0xA0),
    0x200E,
    0x202E,
    0x2028,
    0x2066,
    0x2069,
    0xFEFF,
    0xD800,
    0xE0041,
]


@pytest.mark.parametrize("code", [c for c in STEERING if chr(c) not in "\t\n"], ids=lambda c: f"{c:x}")
def test_a_character_that_steers_a_terminal_is_escaped_wherever_it_is_written(code: int) -> None:
    text = f"before{chr(code)}after"
    assert chr(code) not in escape_controls(text)
    record = logging.LogRecord("area", logging.INFO, "", 0, "said %s", (text,), None)
    record.name_of_a_stranger = {"nested": [text]}
    line = JsonFormatter().format(record)
    assert chr(code) not in line
    assert json.loads(line)["name_of_a_stranger"]["nested"][0] == escape_controls(text)
    raw = io.BytesIO()
    clear = io.TextIOWrapper(raw, encoding="utf-8")
    stream = safe_stream(clear)
    stream.write(text)
    stream.flush()
    assert chr(code).encode("utf-8", "surrogatepass") not in raw.getvalue()
    clear.detach()


@given(st.text())
def test_escaping_twice_changes_nothing_and_plain_text_stays(text: str) -> None:
    once = escape_controls(text)
    assert escape_controls(once) == once
    once.encode("utf-8")
    plain = "".join(c for c in text if c.isprintable())
    assert escape_controls("Año nuevo: 100 %, 日本") == "Año nuevo: 100 %, 日本"
    assert len(once) >= len(plain)


@given(
    st.recursive(st.none() | st.integers() | st.floats() | st.text() | st.binary(), st.lists, max_leaves=5)
)
def test_every_log_line_is_one_line_of_json_whatever_its_fields_hold(value: object) -> None:
    record = logging.LogRecord("area", logging.INFO, "", 0, "said", (), None)
    record.field = value
    line = JsonFormatter().format(record)
    assert "\n" not in line
    json.loads(line)
