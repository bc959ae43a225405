"""Certificates wanted in a file: keys and requests made once, nothing the second time, nothing of it when it is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from cryptography import x509

from gateway.cli.main import main
from gateway.clients.store import ServerConfStore
from gateway.desired.apply import apply_file
from gateway.keys.store import KeyConfStore
from serving.errors import OperatorError
from tests.integration.hosting import prepare
from tests.worlds import CONSUMER, PIN

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

CERTIFICATES = """
[[certificate]]
usage = "auth"
kind = "ec-p256"
subject = { CN = "gw.example", O = "Instituto" }
[[certificate]]
usage = "sign"
kind = "ec-p256"
"""
CLIENT = f"""
[[client]]
id = "{CONSUMER.path()}"
connection = "HTTP"
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    prepare(folder)
    (folder / "pin").write_text(PIN)
    (folder / "pin").chmod(0o600)
    return folder


def apply(data: Path, text: str, *more: str, name: str = "gateway.toml") -> Result:
    (data / name).write_text(text)
    asked = ["apply", "--data", str(data), "--pin-file", str(data / "pin"), *more, str(data / name)]
    return CliRunner().invoke(main, asked, env={"SACBE_LANG": "en"})


def there(data: Path) -> tuple[int, list[tuple[str, int]]]:
    """The generation, and every key's label with the number of its requests."""
    store = ServerConfStore(data / "serverconf.sqlite")
    keys = KeyConfStore(store.database).list_keys()
    found = store.generation(), sorted((k.label, len(k.requests)) for k in keys)
    store.close()
    return found


def test_requests_are_made_once_and_a_second_apply_changes_nothing(data: Path) -> None:
    shown = apply(data, CLIENT + CERTIFICATES, "--dry-run")
    assert shown.exit_code == 0, shown.output
    assert "+ certificate auth from" in shown.output
    assert there(data)[1] == []
    done = apply(data, CLIENT + CERTIFICATES)
    assert done.exit_code == 0, done.output
    after = there(data)
    assert after[1] == [("auth", 1), (f"sign {CONSUMER.member.path()}", 1)]
    request = x509.load_pem_x509_csr((data / "requests" / "auth.pem").read_bytes())
    assert request.is_signature_valid
    assert "CN=gw.example" in request.subject.rfc4514_string()
    assert "nothing to change" in apply(data, CLIENT + CERTIFICATES).output
    assert there(data) == after


def test_yaml_asks_for_the_same(data: Path) -> None:
    assert apply(data, CLIENT + CERTIFICATES).exit_code == 0
    text = f"""
client: [{{id: {CONSUMER.path()}, connection: HTTP}}]
certificate:
  - {{usage: auth, kind: ec-p256, subject: {{subjectAltName: gw.example}}}}
  - {{usage: sign, member: {CONSUMER.member.path()}, kind: ec-p256}}
"""
    assert "nothing to change" in apply(data, text, name="wanted.yaml").output


def test_a_request_file_that_is_gone_is_written_again_for_the_same_key(data: Path) -> None:
    apply(data, CLIENT + CERTIFICATES)
    file = data / "requests" / "sign.pem"
    before, key = there(data)[1], x509.load_pem_x509_csr(file.read_bytes()).public_key()
    file.unlink()
    assert "+ certificate sign" in apply(data, CLIENT + CERTIFICATES).output
    assert x509.load_pem_x509_csr(file.read_bytes()).public_key() == key
    assert there(data)[1] == before


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ('usage = "auth"\nmember = "MX/GOB/1"', "names no member"),
        ('usage = "sign"\nca = "Otra"', "no approved CA is named 'Otra'"),
        ('usage = "sign"\nmember = "MX"', "is not instance/class/code of a member"),
        ('usage = "sign"\nsubject = { shoe = "42" }', "shoe"),
        ('usage = "sign"\ntoken = "hsm"', "hsm"),
        ('usage = "seal"', "seal"),
    ],
)
def test_a_certificate_that_cannot_be_wanted_changes_nothing(data: Path, entry: str, reason: str) -> None:
    before = there(data)
    refused = apply(data, f"[[certificate]]\n{entry}\n")
    assert refused.exit_code == 1
    assert reason in refused.output
    assert there(data) == before


def test_a_wrong_pin_changes_nothing(data: Path) -> None:
    (data / "pin").write_text("9999")
    (data / "pin").chmod(0o600)
    before = there(data)
    refused = apply(data, CERTIFICATES)
    assert refused.exit_code == 1
    assert "pin_incorrect" in refused.output
    assert there(data) == before


def test_without_a_configuration_it_is_said_and_nothing_changes(data: Path) -> None:
    store = ServerConfStore(data / "serverconf.sqlite")
    (data / "gateway.toml").write_text('[[certificate]]\nusage = "sign"\nca = "X"\n')
    with pytest.raises(OperatorError, match="no global configuration yet"):
        apply_file(store, data / "gateway.toml", datetime.now(UTC))
    store.close()
