"""Commands that ask a key for signatures: of a text, of a file, and of many digests at once."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.serialization import load_der_public_key

from certs.algorithms import SignatureAlgorithm, verify_digest_signature
from certs.edges.devices import public_bytes
from certs.edges.tokenfiles import TokenFolder
from certs.tokens.soft import SoftToken
from gateway.cli.main import main
from gateway.settings.datafolder import find_folder
from serving.login.users import LOGIN_STEPS, SCHEMA
from serving.storage.audit import AuditLog
from serving.storage.database import open_database
from tests.integration.hosting import prepare
from tests.worlds import PIN

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    prepare(folder)
    (tmp_path / "pin").write_text(PIN)
    (tmp_path / "pin").chmod(0o600)
    token = SoftToken(TokenFolder(folder / "token"))
    token.unlock(PIN)
    for kind in ("rsa-2048", "ec-p256"):
        token.generate_key(kind, kind, "sign")
    token.close()
    return folder


def key(data: Path, *arguments: str) -> Result:
    pin = str(data.parent / "pin")
    return CliRunner().invoke(main, ["key", *arguments, "--data", str(data), "--pin-file", pin])


def key_of(data: Path, kind: str) -> str:
    found = SoftToken(TokenFolder(data / "token")).key_infos()
    return next(str(i.id) for i in found if i.kind.value == kind)


def check(data: Path, key_id: str, signature: bytes, digest: bytes, algorithm: SignatureAlgorithm) -> None:
    token = SoftToken(TokenFolder(data / "token"))
    token.unlock(PIN)
    public = load_der_public_key(public_bytes(token.public_key(key_id)))  # type: ignore[arg-type]
    verify_digest_signature(public, signature, digest, algorithm, ecdsa_format="der")
    token.close()


def recorded(data: Path) -> list[dict[str, object]]:
    database = open_database(find_folder(data, {}).logins, LOGIN_STEPS, SCHEMA)
    try:
        return [json.loads(record[1]) for record in AuditLog(database).records()]
    finally:
        database.close()


@pytest.mark.xroad("F032")
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("rsa-2048", None),
        ("rsa-2048", "SHA256withRSAandMGF1"),
        ("ec-p256", None),
        ("ec-p256", "SHA256withECDSA"),
    ],
)
def test_a_text_and_a_file_are_signed_by_a_key_and_stand_on_the_audit_log(
    data: Path, kind: str, name: str | None
) -> None:
    key_id = key_of(data, kind)
    default = {"rsa-2048": "SHA512withRSA", "ec-p256": "SHA512withECDSA"}[kind]
    scheme = SignatureAlgorithm.from_jca_name(name or default)
    chosen = [] if name is None else ["--algorithm", name]
    said = key(data, "sign", key_id, "--text", "señas", *chosen)
    assert said.exit_code == 0, said.output
    digest = scheme.digest.digest("señas".encode())
    check(data, key_id, base64.b64decode(said.output), digest, scheme)
    content = bytes(range(256)) * 5000  # more than is read at once
    (data.parent / "file").write_bytes(content)
    written = data.parent / "signature"
    said = key(data, "sign", key_id, "--file", str(data.parent / "file"), "--out", str(written), *chosen)
    assert said.exit_code == 0, said.output
    check(data, key_id, written.read_bytes(), scheme.digest.digest(content), scheme)
    assert [(r["event"], r["outcome"], r["changes"]) for r in recorded(data)] == [
        ("SIGN_DATA", "done", [f"key {key_id}"])
    ] * 2


@pytest.mark.xroad("F032")
def test_many_signatures_are_made_at_once_verified_and_counted(data: Path) -> None:
    key_id = key_of(data, "ec-p256")
    said = key(data, "try", key_id, "--count", "20", "--at-once", "4", "--json")
    assert said.exit_code == 0, said.output
    (found,) = json.loads(said.output)
    assert (found["key"], found["signatures"], found["at_once"]) == (key_id, 20, 4)
    assert found["a_second"] > 0
    assert found["slowest_ms"] >= found["median_ms"] > 0
    assert [(r["event"], r["outcome"]) for r in recorded(data)] == [("TRY_KEY", "done")]


@pytest.mark.parametrize("command", [["sign", "--text", "x"], ["try", "--count", "3", "--at-once", "2"]])
def test_a_scheme_that_the_key_has_not_is_refused_in_a_line_and_recorded(
    data: Path, command: list[str]
) -> None:
    first, *rest = command
    said = key(data, first, key_of(data, "ec-p256"), *rest, "--algorithm", "SHA512withRSA")
    assert said.exit_code == 1
    assert said.output.count("\n") == 1
    assert "RSA_SHA512" in said.output
    assert recorded(data)[-1]["outcome"] == "failed"


def test_what_is_to_be_signed_is_said_once_and_the_key_exists(data: Path) -> None:
    key_id = key_of(data, "ec-p256")
    for given in ([], ["--text", "x", "--file", str(data.parent / "pin")]):
        said = key(data, "sign", key_id, *given)
        assert said.exit_code == 2
        assert "--text or --file" in said.output
    said = key(data, "sign", "0" * 40, "--text", "x")
    assert said.exit_code == 1
    assert "gateway key list" in said.output
