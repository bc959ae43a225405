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
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.internaltls import InternalTls
from gateway.serverconf.records import Refusal

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
    with pytest.raises(Refusal) as found:
        tls.import_certificate(content)
    return found.value.code


def test_the_pair_is_made_once_and_then_kept(tmp_path: Path) -> None:
    made = InternalTls(tmp_path).load_or_make("gw.institute.mx", NOW)
    again = InternalTls(tmp_path).load_or_make("another.name", NOW)
    assert again.chain == made.chain
    assert (tmp_path / "internal.key").stat().st_mode & 0o777 == 0o600
    names = made.chain[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["gw.institute.mx"]


def test_a_passphrase_seals_the_key(tmp_path: Path) -> None:
    InternalTls(tmp_path, "secret").make("gw", NOW)
    assert b"ENCRYPTED" in (tmp_path / "internal.key").read_bytes()
    InternalTls(tmp_path, "secret").load()
    for wrong in ("other", None):
        with pytest.raises(ValueError, match="internal TLS key"):
            InternalTls(tmp_path, wrong).load()


def test_a_certificate_of_the_key_takes_over(tmp_path: Path) -> None:
    tls = InternalTls(tmp_path)
    tls.make("gw", NOW)
    request = tls.request("CN=gw.institute.mx,O=Institute")
    issued = issue(request)
    assert tls.import_certificate(issued.public_bytes(Encoding.PEM)) == issued
    assert tls.load().chain == (issued,)
    assert refused(tls, issued.public_bytes(Encoding.DER)) == "certificate_already_exists"


def test_another_keys_certificate_and_rubbish_are_refused(tmp_path: Path) -> None:
    tls, other = InternalTls(tmp_path / "a"), InternalTls(tmp_path / "b")
    kept = tls.make("gw", NOW).chain
    foreign = other.make("gw", NOW).chain[0].public_bytes(Encoding.DER)
    assert refused(tls, foreign) == "key_not_found"
    assert refused(tls, b"rubbish") == "invalid_certificate"
    assert (
        refused(tls, b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----") == "invalid_certificate"
    )
    assert tls.load().chain == kept


@pytest.mark.parametrize("name", ["", "no name", "CN"])
def test_a_request_needs_a_name(tmp_path: Path, name: str) -> None:
    tls = InternalTls(tmp_path)
    tls.make("gw", NOW)
    with pytest.raises(Refusal) as found:
        tls.request(name)
    assert found.value.code == "invalid_distinguished_name"


def test_the_export_holds_the_certificate_twice_and_no_key(tmp_path: Path) -> None:
    tls = InternalTls(tmp_path)
    certificate = tls.make("gw", NOW).chain[0]
    with tarfile.open(fileobj=io.BytesIO(tls.export(NOW))) as archive:
        found = {e.name: archive.extractfile(e).read() for e in archive}  # type: ignore[union-attr]
    assert found == {
        "cert.pem": certificate.public_bytes(Encoding.PEM),
        "cert.cer": certificate.public_bytes(Encoding.DER),
    }
