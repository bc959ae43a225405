"""The commands of ``central-server``: their language, lists as JSON, and both audit logs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from central_server.cli.folder import utc_now
from central_server.cli.main import main
from central_server.datafolder import BACKUP_CONTENT
from central_server.store.records import CentralStore
from central_server.store.sources import note_publication
from certs.tokens.port import KeyId
from serving.login.users import Logins
from serving.storage.audit import AuditEntry, AuditLog
from serving.storage.backup import Lock, Opener, make_backup, restore_backup
from tests.paths import PROJECT
from tests.unit.central_server.test_store import NOW

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result


def run(data: Path, *words: str, status: int = 0, **environment: str) -> Result:
    done = CliRunner().invoke(
        main,
        [*words, "--data", str(data)],
        env={"SACBE_LANG": "en", "SACBE_PIN": "Secret1234", **environment},
    )
    assert done.exit_code == status, done.output
    return done


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("central") / "data"
    run(data, "init", "--kind", "ec-p256")
    logins = Logins(data / "admin.sqlite")
    log = AuditLog(logins.database)
    log.append(AuditEntry(NOW, "ana", "10.0.0.1", "FORM_LOGIN", "done"))
    log.append(AuditEntry(NOW, "leo", "10.0.0.2", "FORM_LOGIN", "refused", detail={"reason": "wrong"}))
    logins.close()
    return data


def test_commands_speak_the_language_that_is_asked_for(tmp_path: Path) -> None:
    said = run(tmp_path / "es", "init", "--kind", "ec-p256", SACBE_LANG="es").output
    assert "servidor central creado" in said
    said = run(tmp_path / "es", "anchor", "internal", SACBE_LANG="es", status=1).output
    assert "todavía no hay ancla" in said
    assert "there is no anchor yet" in run(tmp_path / "es", "anchor", "internal", status=1).output


def test_init_makes_the_pin_file_that_is_not_there(tmp_path: Path) -> None:
    pin = tmp_path / "pin"
    said = run(tmp_path / "data", "init", "--kind", "ec-p256", "--pin-file", str(pin)).output
    assert f"new PIN in {pin}" in said
    assert pin.stat().st_mode & 0o077 == 0
    first = pin.read_text()
    run(tmp_path / "data", "key", "add", "internal", "--pin-file", str(pin))
    assert pin.read_text() == first


def test_a_folder_nothing_was_made_in_is_not_served_and_not_made(tmp_path: Path) -> None:
    assert "correct --data" in run(tmp_path / "typo", "serve", status=1).output
    assert not (tmp_path / "typo").exists()


@pytest.mark.parametrize(
    "program", ["central_server.cli.main", "gateway.cli.main", "social_security.__main__"]
)
def test_commands_need_no_client_of_postgresql_where_no_database_is_named(program: str) -> None:
    asked = f"import sys, {program}; sys.exit('psycopg' in sys.modules)"
    subprocess.run([sys.executable, "-c", asked], check=True, env={**os.environ, "PYTHONPATH": str(PROJECT)})


def test_keys_are_listed_as_lines_of_json(made: Path) -> None:
    keys = [json.loads(line) for line in run(made, "key", "list", "--json").output.splitlines()]
    assert [(k["source"], k["active"], k["token"]) for k in keys] == [
        ("internal", True, "0"),
        ("external", True, "0"),
    ]
    assert run(made, "key", "list").output.count("active  token 0") == 2


def test_a_key_signs_only_once_every_gateway_that_runs_can_have_met_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    run(data, "init", "--kind", "ec-p256")
    second = run(data, "key", "add", "internal", "--kind", "ec-p256").output.strip()
    assert "not published yet" in run(data, "key", "activate", second, status=1).output
    store = CentralStore(data / "central.sqlite")
    try:
        with store.database.transaction() as sql:
            sql.execute(
                "INSERT INTO node (name, address, published_at) VALUES (?, ?, NULL)", (store.node, "cs.mx")
            )
            note_publication(sql, store.node, utc_now(), (KeyId(second),), timedelta(days=1))
        refused = run(data, "key", "activate", second, status=1).output
        assert "not before" in refused
        assert "--force" in refused
        with store.database.transaction() as sql:
            sql.execute("UPDATE signing_key SET published_at = ? WHERE key_id = ?", (NOW.isoformat(), second))
    finally:
        store.close()
    said = run(data, "key", "activate", second, SACBE_LANG="es").output
    assert f"{NOW:%Y-%m-%d %H:%M:%S} UTC" in said
    assert "replace-anchor" in said
    again = run(data, "key", "activate", second, status=1, SACBE_LANG="es").output
    assert again == f"Error: la llave {second} ya firma\n"
    third = run(data, "key", "list", "--json").output
    first = next(
        k["id"] for k in map(json.loads, third.splitlines()) if k["source"] == "internal" and not k["active"]
    )
    run(data, "key", "activate", first, "--force")


def test_a_key_that_is_not_there_is_named_in_words(made: Path) -> None:
    for words in (("activate", "nope"), ("delete", "nope")):
        assert run(made, "key", *words, status=1, SACBE_LANG="es").output == (
            "Error: no hay ninguna llave de firma nope; central-server key list muestra las que hay\n"
        )


def test_a_key_on_a_token_that_is_not_set_up_is_refused(made: Path) -> None:
    assert (
        "there is no such token: hsm"
        in run(made, "key", "add", "internal", "--token", "hsm", status=1).output
    )


def test_a_key_that_is_not_there_is_refused_in_the_reader_s_language(made: Path) -> None:
    printed = run(made, "key", "activate", "other", status=1, SACBE_LANG="es").output
    assert "no hay ninguna llave de firma other" in printed


def test_a_backup_brings_back_who_may_call_the_management_service_and_further_profiles(
    made: Path, tmp_path: Path
) -> None:
    phrase, restored = "correct horse battery staple", tmp_path / "restored"
    (made / "management-gateway.pem").write_text("certificate")
    (made / "profiles.toml").write_text("# none\n")
    backup = make_backup(made, BACKUP_CONTENT, "MX", Lock(passphrase=phrase), NOW, "test")
    restore_backup(restored, backup, BACKUP_CONTENT, Opener(passphrase=phrase), NOW)
    assert (restored / "management-gateway.pem").read_text() == "certificate"
    assert (restored / "profiles.toml").read_text() == "# none\n"


@pytest.mark.xroad("F129")
def test_users_are_made_listed_and_forgotten(made: Path, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("Secret1234")
    password.chmod(0o600)
    role = "XROAD_SECURITY_OFFICER"
    run(made, "user", "add", "--role", role, "--password-file", str(password), "ana")
    users = [json.loads(line) for line in run(made, "user", "list", "--json").output.splitlines()]
    assert users == [{"name": "ana", "roles": [role], "clients": []}]
    wrong = ("user", "add", "--role", "KING", "--password-file", str(password), "ana")
    assert "roles desconocidos: KING" in run(made, *wrong, status=1, SACBE_LANG="es").output
    run(made, "user", "remove", "ana")
    assert run(made, "user", "list").output == ""


def test_both_audit_logs_are_listed_verified_and_exported(made: Path) -> None:
    rows = [json.loads(line) for line in run(made, "audit", "list", "--json").output.splitlines()]
    seen = [(r["log"], r["event"], r["outcome"]) for r in rows]
    assert ("calls", "FORM_LOGIN", "refused") in seen
    assert ("registry", "GENERATE_KEY", "done") in seen
    assert [r["at"] for r in rows] == sorted(r["at"] for r in rows)
    calls = run(made, "audit", "list", "--log", "calls", "--last", "1").output
    assert ("leo" in calls, "ana" in calls) == (True, False)
    verified = run(made, "audit", "verify").output.splitlines()
    assert [line.partition(":")[0] for line in verified[::2]] == ["registry", "calls"]
    head = verified[3]
    run(made, "audit", "verify", "--log", "calls", "--head", head)
    assert "--log: registry, calls" in run(made, "audit", "verify", "--head", head, status=1).output
    exported = run(made, "audit", "export", "--log", "calls").output.splitlines()
    assert json.loads(exported[-1])["digest"] == head
    registry = run(made, "audit", "export").output.splitlines()
    assert json.loads(registry[0])["record"]["event"] == "GENERATE_KEY"


def test_a_changed_record_of_either_log_is_found(made: Path, tmp_path: Path) -> None:
    run(tmp_path / "data", "init", "--kind", "ec-p256")
    logins = Logins(tmp_path / "data" / "admin.sqlite")
    AuditLog(logins.database).append(AuditEntry(NOW, "ana", "", "FORM_LOGIN", "done"))
    with logins.database.transaction() as sql:
        sql.execute("UPDATE audit SET record = replace(record, 'ana', 'eva')")
    logins.close()
    found = run(tmp_path / "data", "audit", "verify", status=1).output
    assert "record 1 is not what was written" in found


def test_no_instance_is_trusted_at_first(made: Path) -> None:
    assert run(made, "trusted", "list", "--json").output == ""


def test_a_backup_of_an_empty_folder_is_refused_and_nothing_is_made_there(tmp_path: Path) -> None:
    (tmp_path / "passphrase").write_text("una frase de paso")
    (tmp_path / "passphrase").chmod(0o600)
    words = ("backup", "create", "--passphrase-file", str(tmp_path / "passphrase"), str(tmp_path / "b.age"))
    assert "there is no server in" in run(tmp_path / "data", *words, status=1).output
    assert not (tmp_path / "data" / "central.sqlite").exists()


def test_a_second_founding_proves_the_pin_that_it_is_given_and_makes_no_other(tmp_path: Path) -> None:
    made, pin, wrong = tmp_path / "central", tmp_path / "pin", tmp_path / "wrong"
    words: tuple[str, ...] = (
        "bootstrap",
        "--instance",
        "XX",
        "--address",
        "c.example",
        "--owner",
        "GOV/1",
        "--name",
        "Owner",
    )
    words = (*words, "--kind", "ec-p256")
    run(made, *words, "--pin-file", str(pin))
    assert "the PIN is wrong" in _refused_pin(made, words, wrong, "another PIN")
    wrong.unlink()
    assert (
        "is not there, and there is a PIN already"
        in run(made, *words, "--pin-file", str(wrong), status=1).output
    )
    assert not wrong.exists()
    run(made, *words, "--pin-file", str(pin))
    run(made, *words)


def test_a_pin_that_others_can_read_is_refused_before_a_folder_is_made(tmp_path: Path) -> None:
    words = ("bootstrap", "--instance", "XX", "--address", "c.example", "--owner", "GOV/1", "--name", "Owner")
    (tmp_path / "pin").write_text("some PIN\n")
    (tmp_path / "pin").chmod(0o644)
    said = run(tmp_path / "central", *words, "--pin-file", str(tmp_path / "pin"), status=1).output
    assert "can be read by others" in said
    assert not (tmp_path / "central").exists()


def test_a_member_of_another_instance_class_or_name_is_not_taken_for_one_that_is_there(
    tmp_path: Path,
) -> None:
    made = tmp_path / "central"
    pin, owner = ("--pin-file", str(tmp_path / "pin")), ("--owner", "GOV/1", "--name", "Owner")
    run(made, "bootstrap", *pin, "--instance", "XX", "--address", "c.example", *owner, "--kind", "ec-p256")
    said = run(made, "member", "add", "YY/GOV/7", "--name", "New", status=1).output
    assert "YY/GOV/7 is not of this registry's instance, XX" in said
    said = run(made, "member", "add", "XX/COM/7", "--name", "New", status=1).output
    assert "there is no member class COM; there are: GOV" in said
    assert "already, as Owner" in run(made, "member", "add", "XX/GOV/1", "--name", "Other").output
    assert [m["name"] for m in json.loads(run(made, "member", "list", "--json").output)] == ["Owner", ""]


def _refused_pin(made: Path, words: tuple[str, ...], file: Path, pin: str) -> str:
    file.write_text(f"{pin}\n")
    file.chmod(0o600)
    return str(run(made, *words, "--pin-file", str(file), status=1).output)


def test_admit_adds_the_member_says_what_is_missing_and_may_be_run_again(tmp_path: Path) -> None:
    made = tmp_path / "central"
    pin, owner = ("--pin-file", str(tmp_path / "pin")), ("--owner", "GOV/1", "--name", "Owner")
    run(made, "bootstrap", *pin, "--instance", "XX", "--address", "c.example", *owner, "--kind", "ec-p256")
    asked = ("member", "admit", "XX/GOV/77", "--name", "New", "--subsystem", "A", "--subsystem", "B")
    for _ in range(2):
        said = run(made, *asked, "--wait", "0", status=1).output
        assert "XX/GOV/77 is in the registry" in said
        assert "not registered yet: XX/GOV/77/A, XX/GOV/77/B; run this command again" in said
    members = json.loads(run(made, "member", "list", "--json").output)
    assert [m["name"] for m in members if m["id"] == "XX/GOV/77"] == ["New"]
