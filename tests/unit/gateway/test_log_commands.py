"""``gateway log`` and ``gateway archive open``: by PIN, only on an order, audited, in both languages."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import zipfile
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from certs.edges.tokenfiles import TokenFolder
from certs.tokens.soft import SoftToken
from certs.transparency import NoteSigner, verify_entry
from certs.verify.container import verify_container
from gateway.cli.main import main
from gateway.messagelog.committed import CommittedReader, signature_digest
from gateway.messagelog.keys import TOKEN_PURPOSE, KeySecret, LogKeys
from gateway.messagelog.retention import Retention
from gateway.messagelog.store import MessageLog
from gateway.settings.datafolder import DataFolder
from gateway.transparency.builder import LogBuilder
from gateway.transparency.files import TransparencyFiles
from gateway.transparency.logloop import FOLDER, KEY_FILE
from schemas.faults import Fault
from schemas.transparency.notes import ED25519
from schemas.transparency.proofs import parse_inclusion_proof
from serving.cli.safecommands import open_folder_safe
from serving.login.users import Logins
from serving.storage.audit import AuditLog
from serving.storage.keysafe import SealSettings
from serving.web.witnessing import kept_note_key
from tests import worlds
from tests.logs import append_signed, open_gateway_log, stamp_alone

if TYPE_CHECKING:
    from pathlib import Path

PIN = "135790"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A gateway's folder with three logged, stamped and archived messages."""
    folder = tmp_path / "data"
    token = SoftToken.create(TokenFolder(folder / "token"), PIN)
    keys = LogKeys(DataFolder(folder).log_keys)
    keys.open(KeySecret.of_token(token.derive_secret(TOKEN_PURPOSE)), may_make=True)
    token.close()

    async def fill() -> None:
        log = MessageLog.open(DataFolder(folder).log, keys)
        for number in range(3):
            await append_signed(log, tmp_path, message_id=f"q{number}", size=100_000)
        await stamp_alone(log, 1, 2, 3)
        await Retention(log, DataFolder(folder).log, lambda: datetime.now(UTC)).archive()
        await log.close()

    asyncio.run(fill())
    return folder


def run(data: Path, *words: str, language: str = "en", pin: str = PIN) -> Result:
    environment = {"SACBE_LANG": language, "SACBE_PIN": pin}
    return CliRunner().invoke(main, [*words, "--data", str(data)], env=environment)


ORDER = ("--order", "ARCO-17", "--authority", "Comité", "--by", "ana", "--yes")


@pytest.mark.parametrize(
    ("language", "said"),
    [("es", "nada se borra sin una orden"), ("en", "nothing is erased without an order")],
)
def test_nothing_is_erased_without_an_order(data: Path, language: str, said: str) -> None:
    for some in ((), ("--order", "ARCO-17"), ("--order", " ", "--authority", "Comité")):
        result = run(data, "log", "erase", "--record", "1", "--yes", *some, language=language)
        assert result.exit_code == 1
        assert said in result.output
    assert run(data, "log", "erase", *ORDER).exit_code == 1  # which records, nobody said


def test_an_order_is_carried_out_listed_and_audited(data: Path) -> None:
    shown = run(data, "log", "erase", "--message-id", "q1", "--dry-run")
    assert (shown.exit_code, "1 records: 2" in shown.output) == (0, True)
    assert "borrado 1 hecho" in run(data, "log", "erase", "--message-id", "q1", *ORDER, language="es").output
    again = run(data, "log", "erase", "--message-id", "q1", *ORDER)
    assert (again.exit_code, "no record whose content is there" in again.output) == (1, True)
    listed = run(data, "log", "erasures").output
    assert all(word in listed for word in ("ARCO-17", "Comité", "ana", "1 records, done"))
    assert "the chain is whole" in run(data, "log", "verify").output
    logins = Logins(data / "admin.sqlite")
    (text,) = [t for _, t, _ in AuditLog(logins.database).records() if "MESSAGE_LOG_ERASE" in t]
    logins.close()
    assert all(word in text for word in ("ARCO-17", "Comité", "records 2"))


def test_without_yes_somebody_is_asked(data: Path) -> None:
    result = CliRunner().invoke(
        main,
        ["log", "erase", "--data", str(data), "--record", "1", *ORDER[:-1]],
        env={"SACBE_PIN": PIN, "SACBE_LANG": "en"},
        input="n\n",
    )
    assert result.exit_code == 1
    assert "Erase?" in result.output
    assert run(data, "log", "erasures").output == ""


def test_a_wrong_pin_opens_nothing(data: Path) -> None:
    for command in (("erase", "--record", "1", *ORDER), ("verify",), ("rekey",), ("new-keys",)):
        result = run(data, "log", *command, pin="000000")
        assert (result.exit_code, "PIN is wrong" in result.output) == (1, True)


def test_archives_are_verified_without_keys_and_opened_with_them(data: Path, tmp_path: Path) -> None:
    (path,) = (data / "log" / "archive").glob("*.sealed")
    assert run(data, "log", "erase", "--record", "2", *ORDER).exit_code == 0
    outside = CliRunner().invoke(main, ["archive", "verify", "--first", str(path)])
    assert (outside.exit_code, "VALID" in outside.output, "erased" in outside.output) == (0, True, False)
    inside = run(data, "archive", "verify", "--first", str(path))
    assert (inside.exit_code, "erased: q1-request-2.asice" in inside.output) == (0, True)
    opened = run(data, "archive", "open", "--out", str(tmp_path / "out"), str(path))
    assert "q1-request-2.asice: erased" in opened.output
    (plain,) = (tmp_path / "out").iterdir()
    assert plain.name == path.name.removesuffix(".sealed")
    assert plain.stat().st_mode & 0o077 == 0


def test_keys_can_be_sealed_anew_and_new_records_get_new_ones(data: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("an operator's long secret\n")
    secret.chmod(0o600)
    assert run(data, "log", "new-keys").exit_code == 0
    assert run(data, "log", "rekey", "--new-secret-file", str(secret)).exit_code == 0
    with pytest.raises(Fault, match=r"sealed by log\.secret"):
        open_gateway_log(data, PIN)
    settings = tmp_path / "settings.toml"
    settings.write_text(f'[log]\nsecret = {{file = "{secret}"}}\n')
    assert run(data, "log", "verify", "--settings", str(settings)).exit_code == 0
    assert run(data, "log", "rekey", "--settings", str(settings)).exit_code == 0

    async def go_on() -> int | None:
        log = open_gateway_log(data, PIN)
        await append_signed(log, tmp_path)
        try:
            return await log.verify_chain()
        finally:
            await log.close()

    assert asyncio.run(go_on()) is None


def follow(data: Path) -> TransparencyFiles:
    """The transparency log of what is logged, as a gateway keeps it."""
    files = TransparencyFiles(DataFolder(data).log / FOLDER)
    files.folder.mkdir(exist_ok=True)
    key = kept_note_key(files.folder / KEY_FILE, open_folder_safe(data, SealSettings(), lambda: PIN))
    log = open_gateway_log(data, PIN)
    LogBuilder(files, CommittedReader(log.reader), key, "MX/GOB/A/SS1", lambda: datetime.now(UTC)).catch_up()
    asyncio.run(log.close())
    return files


def test_a_log_is_proved_against_a_checkpoint_and_its_archives(data: Path, tmp_path: Path) -> None:
    files = follow(data)
    kept = tmp_path / "kept.checkpoint"
    kept.write_bytes((files.folder / "checkpoint").read_bytes())
    (archive,) = (DataFolder(data).log / "archive").iterdir()
    words = ("log", "verify", "--checkpoint", str(kept), "--archive", str(archive))
    whole = run(data, *words)
    assert whole.exit_code == 0, whole.output
    for said in ("the chain is whole", "MX/GOB/A/SS1: 3 records, from ", "head 4 ", "everything agrees"):
        assert said in whole.output
    found = json.loads(run(data, *words, "--json").output)
    assert (found["size"], found["records"], found["containers"], found["differences"]) == (4, 3, 3, [])
    with closing(sqlite3.connect(DataFolder(data).log / "messages.sqlite")) as database:
        database.execute("PRAGMA foreign_keys = OFF")
        database.execute("DELETE FROM record WHERE id = 3")
        database.commit()
    result = run(data, *words)
    assert result.exit_code == 1
    assert "TRUNCATED: records 3 to 3 were deleted" in result.output


def test_records_are_found_and_handed_out_with_the_proof_that_they_are_in_the_log(
    data: Path, tmp_path: Path
) -> None:
    files = follow(data)
    note = files.read_checkpoint()
    assert note is not None
    client = worlds.CONSUMER.path()
    member = client.rsplit("/", 1)[0]
    for words, count in (
        ((), 3),
        (("--id", "q1"), 1),
        (("--client", client, "--side", "consumer"), 3),
        (("--client", member), 3),
        (("--client", client[:-1]), 0),
        (("--side", "provider"), 0),
        (("--since", "2020-01-01", "--until", "2021-01-01"), 0),
        (("--since", "2020-01-01T00:00:00Z"), 3),
        (("--status", "200"), 0),
    ):
        result = run(data, "log", "find", *words)
        assert result.output.splitlines()[-1] == f"{count} records", (words, result.output)
    out = tmp_path / "out"
    result = run(data, "log", "find", "--id", "q2", "--export", str(out), "--checkpoint", "--json")
    assert result.exit_code == 0, result.output
    container, proof = sorted(out.iterdir())
    with container.open("rb") as source:
        assert verify_container(source, worlds.world().configuration).is_valid
    safe = open_folder_safe(data, SealSettings(), lambda: PIN)
    key = NoteSigner("MX/GOB/A/SS1", kept_note_key(files.folder / KEY_FILE, safe)).verifier(ED25519)
    opening, head = verify_entry(parse_inclusion_proof(proof.read_bytes()), key)
    assert (opening.number, head.size) == (3, 4)
    with zipfile.ZipFile(container) as opened:
        assert opening.signature_digest == signature_digest(opened.read("META-INF/signatures.xml"))
