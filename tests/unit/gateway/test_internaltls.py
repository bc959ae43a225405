"""The internal TLS certificate: the same over restarts, replaced only by a certificate of its own key."""

from __future__ import annotations

import io
import tarfile
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from gateway.edges.internaltls import (
    InternalTls,
    export_certificate,
    kept_chain,
    open_internal_tls,
    replace_kept_chain,
)
from gateway.settings.config import Systems
from serving.config.secret import SecretSource
from serving.errors import Refused
from serving.storage.keysafe import KeySafe, Seal
from serving.storage.selfsigned import self_signed

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def issue(request: bytes) -> x509.Certificate:
    """What a CA makes of a request."""
    asked = x509.load_der_x509_csr(request)
    key = ec.generate_private_key(ec.SECP256R1())
    return (
        x509.CertificateBuilder()
        .subject_name(asked.subject)
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "CA")]))
        .public_key(asked.public_key())
        .serial_number(7)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=9))
        .sign(key, hashes.SHA256())
    )


def refused(tls: InternalTls, content: bytes) -> str:
    with pytest.raises(Refused) as found:
        tls.import_certificate(content)
    return found.value.code


def safe() -> KeySafe:
    return KeySafe((Seal.of_token(bytes(32)),))


def opened(folder: Path, address: str = "gw.institute.mx") -> InternalTls:
    return InternalTls(folder, safe(), address, NOW)


def test_the_pair_is_made_once_and_then_kept(tmp_path: Path) -> None:
    made = opened(tmp_path).current
    again = opened(tmp_path, "another.name").current
    assert again.chain == made.chain == kept_chain(tmp_path)
    assert (tmp_path / "internal.key.json").stat().st_mode & 0o777 == 0o600
    names = made.chain[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["gw.institute.mx"]


def test_a_passphrase_of_its_own_seals_the_key(tmp_path: Path) -> None:
    def opened_with(secret: str) -> InternalTls:
        systems = Systems(tls_passphrase=SecretSource(environment="S"))
        return open_internal_tls(systems, tmp_path, safe(), {"S": secret})

    made = opened_with("a long secret").current
    assert opened_with("a long secret").current.chain == made.chain
    with pytest.raises(ValueError, match="does not open"):
        opened_with("another secret")


def test_a_pair_that_an_earlier_version_sealed_with_the_passphrase_is_taken_in(tmp_path: Path) -> None:
    key, chain = self_signed("gw")
    how = BestAvailableEncryption(b"a long secret")
    (tmp_path / "internal.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how))
    (tmp_path / "internal.pem").write_bytes(chain[0].public_bytes(Encoding.PEM))
    systems = Systems(tls_passphrase=SecretSource(environment="S"))
    taken = open_internal_tls(systems, tmp_path, KeySafe(), {"S": "a long secret"})
    assert taken.current.chain == chain
    assert not (tmp_path / "internal.key").exists()


def test_without_a_seal_nothing_is_made_anew_or_imported(tmp_path: Path) -> None:
    tls = InternalTls(tmp_path, KeySafe(), "gw", NOW)
    with pytest.raises(Refused, match="log in to the software token") as found:
        tls.make("gw", NOW)
    assert found.value.code == "action_not_possible"
    issued = issue(tls.request("CN=gw")).public_bytes(Encoding.DER)
    assert refused(tls, issued) == "action_not_possible"
    with pytest.raises(ValueError, match="no internal TLS certificate yet"):
        kept_chain(tmp_path)


@pytest.mark.xroad("F056")
def test_a_certificate_of_the_key_takes_over(tmp_path: Path) -> None:
    tls = opened(tmp_path)
    request = tls.request("CN=gw.institute.mx,O=Institute")
    issued = issue(request)
    assert tls.import_certificate(issued.public_bytes(Encoding.PEM)) == issued
    assert tls.settle()
    assert tls.current.chain == (issued,) == kept_chain(tmp_path)
    assert refused(tls, issued.public_bytes(Encoding.DER)) == "certificate_already_exists"


def test_another_keys_certificate_and_rubbish_are_refused(tmp_path: Path) -> None:
    tls, other = opened(tmp_path / "a"), opened(tmp_path / "b")
    kept = tls.make("gw", NOW).chain
    foreign = other.make("gw", NOW).chain[0].public_bytes(Encoding.DER)
    assert refused(tls, foreign) == "key_not_found"
    assert refused(tls, b"rubbish") == "invalid_certificate"
    assert (
        refused(tls, b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----") == "invalid_certificate"
    )
    assert not tls.settle()
    assert tls.current.chain == kept


def test_a_certificate_replaced_on_disk_is_taken_from_there(tmp_path: Path) -> None:
    tls = opened(tmp_path)
    issued = issue(tls.request("CN=gw"))
    assert replace_kept_chain(tmp_path, issued.public_bytes(Encoding.DER)) == issued
    assert tls.settle()
    assert tls.current.chain == (issued,)


@pytest.mark.parametrize("name", ["", "no name", "CN"])
@pytest.mark.xroad("F056")
def test_a_request_needs_a_name(tmp_path: Path, name: str) -> None:
    tls = opened(tmp_path)
    with pytest.raises(Refused) as found:
        tls.request(name)
    assert found.value.code == "invalid_distinguished_name"


@pytest.mark.xroad("F056")
def test_the_export_holds_the_certificate_twice_and_no_key(tmp_path: Path) -> None:
    certificate = opened(tmp_path).current.chain[0]
    with tarfile.open(fileobj=io.BytesIO(export_certificate(certificate, NOW))) as archive:
        found = {e.name: archive.extractfile(e).read() for e in archive}  # type: ignore[union-attr]
    assert found == {
        "cert.pem": certificate.public_bytes(Encoding.PEM),
        "cert.cer": certificate.public_bytes(Encoding.DER),
    }
