"""Backups come back whole on an empty machine; everything else that calls itself a backup is refused."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sqlite3
import subprocess
import tarfile
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyrage
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from serving.cli.backupcommands import backup_commands
from serving.cli.serverfolder import ServerFolders
from serving.errors import OperatorError
from serving.storage.backup import (
    Content,
    Lock,
    Opener,
    fingerprint,
    make_backup,
    open_backup,
    restore_backup,
)
from serving.storage.backupkey import backup_key, public_backup_key, settle_backup_key
from serving.storage.datafolder import check_initialised, claim, exchange
from serving.storage.keysafe import KeySafe, NotAtHand, Seal
from tests.paths import readable_by_others
from tests.programs import need

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONTENT = Content("gateway", ["conf.sqlite"], ["settings.toml"], ["token"], keep=["log"])
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECRET = "correct horse battery staple"


@pytest.fixture
def server(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "token").mkdir(parents=True)
    (folder / "log").mkdir()
    (folder / "log" / "messages").write_text("evidence")
    (folder / "token" / "a.key.json").write_text("sealed")
    (folder / "settings.toml").write_text("log_level = 'info'\n")
    with contextlib.closing(sqlite3.connect(folder / "conf.sqlite")) as database:
        database.executescript("PRAGMA journal_mode=WAL; CREATE TABLE c (n); INSERT INTO c VALUES (42);")
    return folder


SAFE = KeySafe((Seal.of_token(bytes(32)),))
KEY = Ed25519PrivateKey.generate()
IDENTITY = pyrage.x25519.Identity.generate()
RECIPIENT = IDENTITY.to_public()
LOCK = Lock(recipients=[str(RECIPIENT)], signer=KEY)
OPENER = Opener(identities=[str(IDENTITY)], signer=fingerprint(KEY.public_key()))


def backup(folder: Path, lock: Lock = LOCK) -> bytes:
    return make_backup(folder, CONTENT, "MX/GOB/15/SS1", lock, NOW, "0.1.0")


def restore(folder: Path, data: bytes, opener: Opener = OPENER) -> None:
    restore_backup(folder, data, CONTENT, opener, NOW)


def number_in(folder: Path) -> int:
    with contextlib.closing(sqlite3.connect(folder / "conf.sqlite")) as database:
        return int(database.execute("SELECT n FROM c").fetchone()[0])


def altered(data: bytes, change: Callable[[list[tuple[tarfile.TarInfo, bytes]]], None]) -> bytes:
    """The backup with its entries changed by somebody who has even the server's key."""
    entries = []
    with tarfile.open(fileobj=io.BytesIO(pyrage.decrypt(data, [IDENTITY]))) as archive:
        for member in archive:
            stream = archive.extractfile(member)
            entries.append((member, b"" if stream is None else stream.read()))
    change(entries)
    signed = [
        (m, KEY.sign(b"sacbe-backup-manifest-v1\n" + entries[0][1]) if m.name == "manifest.sig" else body)
        for m, body in entries
    ]
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for member, body in signed:
            member.size = len(body) if member.isreg() else 0
            archive.addfile(member, io.BytesIO(body))
    return bytes(pyrage.encrypt(out.getvalue(), [RECIPIENT]))


def manifest_with(**changes: object) -> Callable[[list[tuple[tarfile.TarInfo, bytes]]], None]:
    def change(entries: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        entries[0] = (entries[0][0], json.dumps({**json.loads(entries[0][1]), **changes}).encode())

    return change


@pytest.mark.xroad("F139")
def test_a_backup_of_a_live_server_comes_back_on_an_empty_machine(server: Path, tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(server / "conf.sqlite")) as live:
        live.execute("INSERT INTO c VALUES (43)")  # under way, not committed: not in the backup
        data = backup(server)
    restore(tmp_path / "fresh", data)
    assert number_in(tmp_path / "fresh") == 42
    assert (tmp_path / "fresh" / "token" / "a.key.json").read_text() == "sealed"
    assert not (tmp_path / "fresh" / "log").exists()


def test_restoring_keeps_the_message_log_and_sets_the_old_data_aside(server: Path) -> None:
    data = backup(server)
    (server / "settings.toml").write_text("log_level = 'debug'\n")
    restore(server, data)
    assert (server / "log" / "messages").read_text() == "evidence"
    assert "info" in (server / "settings.toml").read_text()
    assert "debug" in (server / "before-20260301-120000" / "settings.toml").read_text()


def test_nothing_of_the_server_stands_in_clear_in_a_backup(server: Path) -> None:
    data = backup(server)
    assert b"sealed" not in data
    assert b"conf.sqlite" not in data
    with pytest.raises(OperatorError, match="never written in clear"):
        backup(server, Lock())


@pytest.mark.parametrize("position", [0, 0.3, 0.6, 1])
def test_one_flipped_byte_is_refused(server: Path, position: float) -> None:
    data = bytearray(backup(server))
    data[int(position * (len(data) - 1))] ^= 1
    with pytest.raises(OperatorError):
        restore(server, bytes(data))
    assert number_in(server) == 42


def test_a_cut_file_and_another_identity_are_refused(server: Path) -> None:
    data = backup(server)
    with pytest.raises(OperatorError, match="cut off"):
        restore(server, data[:-100])
    stranger = pyrage.x25519.Identity.generate()
    with pytest.raises(OperatorError, match="identity is another one"):
        restore(server, data, Opener(identities=[str(stranger)], signer=OPENER.signer))


def test_a_passphrase_alone_opens_what_it_closed(server: Path, tmp_path: Path) -> None:
    data = backup(server, Lock(passphrase=SECRET))
    with pytest.raises(OperatorError, match="passphrase"):
        restore(server, data, Opener(passphrase="another"))
    restore(tmp_path / "fresh", data, Opener(passphrase=SECRET))
    assert number_in(tmp_path / "fresh") == 42


def hostile(
    name: str, kind: bytes = tarfile.REGTYPE
) -> Callable[[list[tuple[tarfile.TarInfo, bytes]]], None]:
    def change(entries: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, "/etc/passwd"
        entries.append((info, b"x" if kind == tarfile.REGTYPE else b""))

    return change


HOSTILE = {
    "an entry that climbs": (hostile("../evil"), "does not list once"),
    "an absolute entry": (hostile("/etc/cron.d/evil"), "does not list once"),
    "an entry twice": (hostile("settings.toml"), "does not list once"),
    "a link": (hostile("token/link", tarfile.SYMTYPE), "does not list once"),
    "an entry taken out": (lambda entries: entries.pop(), "lacks"),
    "an entry changed": (
        lambda entries: entries.append((entries.pop()[0], b"other")),
        "not what the manifest says",
    ),
    "another kind": (manifest_with(kind="central server"), "one of a gateway was expected"),
    "another version": (manifest_with(version=2), "version 1 is understood"),
    "an unknown field": (manifest_with(extra=1), "manifest cannot be read"),
    "a listed name that climbs": (
        manifest_with(entries=[{"name": "token/../../x", "size": 1, "sha256": "", "mode": 384}]),
        "has not",
    ),
    "a listed name outside": (
        manifest_with(entries=[{"name": "log/messages", "size": 1, "sha256": "", "mode": 384}]),
        "has not",
    ),
    "no manifest first": (lambda entries: entries.reverse(), "does not begin with"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_archive_is_refused_and_changes_nothing(server: Path, what: str) -> None:
    change, reason = HOSTILE[what]
    data = altered(backup(server), change)
    before = sorted(p.relative_to(server.parent) for p in server.parent.rglob("*") if "lock" not in p.name)
    with pytest.raises(OperatorError, match=reason):
        restore(server, data)
    after = sorted(p.relative_to(server.parent) for p in server.parent.rglob("*") if "lock" not in p.name)
    assert after == before


def test_a_private_key_in_clear_ends_the_making(server: Path) -> None:
    (server / "token" / "admin.key").write_text(
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"
    )
    with pytest.raises(OperatorError, match=r"token/admin\.key is a private key in clear"):
        backup(server)


def test_a_link_in_the_place_of_a_listed_file_is_refused(server: Path) -> None:
    def change(entries: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        entries[-1][0].type, entries[-1][0].linkname = tarfile.SYMTYPE, "/etc/passwd"

    with pytest.raises(OperatorError, match="no plain file"):
        restore(server, altered(backup(server), change))


def test_a_damaged_database_is_refused(server: Path) -> None:
    (server / "conf.sqlite").unlink()
    for suffix in ("-wal", "-shm"):
        server.joinpath(f"conf.sqlite{suffix}").unlink(missing_ok=True)
    (server / "conf.sqlite").write_bytes(b"SQLite format 3\0" + b"\1" * 4096)
    with pytest.raises((OperatorError, sqlite3.DatabaseError)):
        restore(server, backup(server))


class TestRecipients:
    def test_whoever_restores_says_which_server_must_have_signed(self, server: Path) -> None:
        data = backup(server)
        assert open_backup(data, CONTENT, OPENER)[0].server == "MX/GOB/15/SS1"
        with pytest.raises(OperatorError, match="by its backup key's fingerprint"):
            open_backup(data, CONTENT, Opener(identities=[str(IDENTITY)]))

    def test_a_backup_that_somebody_else_encrypted_is_refused(self, server: Path, tmp_path: Path) -> None:
        data = backup(server, Lock(recipients=[str(RECIPIENT)], signer=backup_key(tmp_path / "theirs", SAFE)))
        with pytest.raises(OperatorError, match="was expected"):
            open_backup(data, CONTENT, OPENER)

    def test_a_manifest_changed_after_signing_is_refused(self, server: Path) -> None:
        def change(entries: list[tuple[tarfile.TarInfo, bytes]]) -> None:
            entries[1][0].name = "manifest.sig "

        with pytest.raises(OperatorError, match="not signed"):
            open_backup(altered(backup(server), change), CONTENT, OPENER)

    def test_the_backup_key_is_made_once_and_its_fingerprint_needs_no_seal(self, tmp_path: Path) -> None:
        first, second = backup_key(tmp_path, SAFE), backup_key(tmp_path, SAFE)
        names = {fingerprint(key.public_key()) for key in (first, second)}
        assert names == {fingerprint(public_backup_key(tmp_path, KeySafe()))}
        with pytest.raises(NotAtHand, match="log in to it"):
            backup_key(tmp_path, KeySafe())

    def test_a_backup_key_of_an_earlier_version_is_sealed_and_stays_the_same(self, tmp_path: Path) -> None:
        (tmp_path / "backup.key").write_bytes(KEY.private_bytes_raw())
        settle_backup_key(tmp_path, KeySafe())
        assert (tmp_path / "backup.key").exists()  # better in clear than lost
        assert backup_key(tmp_path, SAFE).private_bytes_raw() == KEY.private_bytes_raw()
        assert not (tmp_path / "backup.key").exists()
        assert all(KEY.private_bytes_raw() not in p.read_bytes() for p in tmp_path.iterdir())

    def test_the_age_command_opens_it(self, server: Path, tmp_path: Path) -> None:
        age = need("age", package="age")
        (tmp_path / "identity").write_text(str(IDENTITY))
        (tmp_path / "b.age").write_bytes(backup(server))
        opened = subprocess.run(
            [age, "-d", "-i", str(tmp_path / "identity"), str(tmp_path / "b.age")],
            capture_output=True,
            check=True,
        )
        with tarfile.open(fileobj=io.BytesIO(opened.stdout)) as archive:
            assert archive.getnames()[:2] == ["manifest.json", "manifest.sig"]


class TestClaim:
    def test_a_second_process_is_refused(self, server: Path) -> None:
        with claim(server), pytest.raises(OperatorError, match="stop that server first"), claim(server):
            raise AssertionError("claimed twice")

    def test_a_running_server_is_not_restored_over(self, server: Path) -> None:
        data = backup(server)
        with claim(server), pytest.raises(OperatorError):
            restore(server, data)

    @pytest.mark.parametrize("done", range(6))
    def test_an_exchange_cut_short_is_completed_at_the_next_claim(self, tmp_path: Path, done: int) -> None:
        data = tmp_path / "data"
        fresh, aside = data / ".fresh", data / "before-1"
        (data / "log").mkdir(parents=True)
        fresh.mkdir()
        for name in ("old", "both"):
            (data / name).write_text("old")
        for name in ("new", "both"):
            (fresh / name).write_text("new")
        journal: dict[str, object] = {"fresh": fresh.name, "aside": aside.name, "keep": ["log"]}
        if done:  # the crash came after the second journal
            journal |= {"leaving": ["both", "old"], "coming": ["both", "new"]}
            aside.mkdir()
        (data / ".exchange.json").write_text(json.dumps(journal))
        moves = [(data, aside, "both"), (data, aside, "old"), (fresh, data, "both"), (fresh, data, "new")]
        for source, target, name in moves[: max(0, done - 1)]:  # as far as the crash let it come
            (source / name).rename(target / name)
        with claim(data):
            assert sorted(p.name for p in data.iterdir()) == [".lock", "before-1", "both", "log", "new"]
        assert ((data / "both").read_text(), (aside / "both").read_text()) == ("new", "old")
        assert sorted(p.name for p in aside.iterdir()) == ["both", "old"]

    def test_an_exchange_onto_nothing_leaves_nothing_aside(self, tmp_path: Path) -> None:
        data = tmp_path / "data"
        (data / "fresh").mkdir(parents=True)
        (data / "fresh" / "new").touch()
        exchange(data, data / "fresh", data / "before-1", ["log"])
        assert [p.name for p in data.iterdir()] == ["new"]

    def test_a_second_restore_leaves_what_the_first_set_aside(self, server: Path) -> None:
        data = backup(server)
        for hour in (1, 2):
            restore_backup(server, data, CONTENT, OPENER, NOW.replace(hour=hour))
        found = sorted(p.name for p in server.iterdir())
        assert found == [".lock", "before-20260301-010000", "before-20260301-020000", *["conf.sqlite", "log"],
                         "settings.toml", "token"]  # fmt: skip

    def test_nothing_is_written_beside_the_folder(self, server: Path) -> None:
        data = backup(server)
        server.parent.chmod(0o500)
        try:
            restore(server, data)
            assert [p.name for p in server.parent.iterdir()] == ["data"]
        finally:
            server.parent.chmod(0o700)

    def test_what_others_could_read_is_made_private(self, server: Path) -> None:
        server.chmod(0o755)
        (server / "token").chmod(0o750)
        (server / "settings.toml").chmod(0o644)
        outside = server.parent / "shared"
        outside.touch()
        outside.chmod(0o644)
        (server / "link").symlink_to(outside)
        before = os.umask(0o022)
        try:
            with claim(server):
                (server / "later").touch()
                assert readable_by_others(server) == []
        finally:
            os.umask(before)
        assert outside.stat().st_mode & 0o777 == 0o644


class TestFounded:
    def test_a_folder_that_no_server_was_made_in_is_refused_and_not_made(self, tmp_path: Path) -> None:
        with pytest.raises(OperatorError, match="correct --data, or run init"):
            check_initialised(tmp_path / "typo", ["central.sqlite"], "run init")
        assert not (tmp_path / "typo").exists()

    @pytest.mark.parametrize("mark", ["central.sqlite", ".exchange.json"])
    def test_a_folder_with_a_server_or_half_of_a_restore_is_taken(self, tmp_path: Path, mark: str) -> None:
        (tmp_path / mark).touch()
        check_initialised(tmp_path, ["central.sqlite"], "run init")


def test_who_keeps_the_state_in_a_shared_database_is_told_that_no_backup_of_the_folder_holds_it(
    server: Path, tmp_path: Path
) -> None:
    (tmp_path / "phrase").write_text(SECRET)
    (tmp_path / "phrase").chmod(0o600)
    folders = ServerFolders("data", ("settings.toml",), "SACBE_NO_DATABASE", "gateway init")
    command = backup_commands(CONTENT, folders, lambda _data: "MX/GOB/1/SS", lambda *_where: SAFE)
    words = ["create", "--data", str(server), "--passphrase-file", str(tmp_path / "phrase")]
    line = "no database is in it"
    assert (
        line
        not in CliRunner().invoke(command, [*words, str(tmp_path / "whole")], catch_exceptions=False).output
    )
    (server / "conf.sqlite").rename(server / "conf.sqlite.moved")
    assert (
        line in CliRunner().invoke(command, [*words, str(tmp_path / "bare")], catch_exceptions=False).output
    )
