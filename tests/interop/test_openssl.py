"""``openssl`` accepts our timestamp tokens and the development authority's OCSP responses."""

from __future__ import annotations

import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from certs.dev.authority import DevPki
from certs.dev.responder import ocsp_reply
from certs.verify.ocsp import build_request
from certs.verify.timestamp import build_request as build_timestamp_request
from schemas.message import digest_of
from schemas.xades import parse_signature_document
from tests import worlds
from tests.interop.conftest import KINDS, call, ids


def stamped(folder: Path) -> tuple[bytes, bytes]:
    """A container's token and what it is over: the hash chain result, or the signature value alone."""
    if (folder / "timestamp.tst").exists():
        return (folder / "timestamp.tst").read_bytes(), (folder / "ts-hashchainresult.xml").read_bytes()
    document = parse_signature_document((folder / "signatures.xml").read_bytes())
    return document.timestamps[0], document.signature_value


def verify_token(
    token: bytes, content: bytes, authority: Path, tmp: Path
) -> subprocess.CompletedProcess[str]:
    (tmp / "token.der").write_bytes(token)
    (tmp / "content").write_bytes(content)
    return call(
        *("openssl", "ts", "-verify", "-data", tmp / "content", "-in", tmp / "token.der", "-token_in"),
        *("-CAfile", authority / "root.pem", "-untrusted", authority / "intermediate.pem"),
        *("-attime", str(int(worlds.NOW.timestamp()))),
    )


@pytest.mark.parametrize("name", ids())
def test_openssl_accepts_the_timestamp(
    name: str, unpacked: dict[str, Path], authorities: dict[str, Path], tmp_path: Path
) -> None:
    run = verify_token(*stamped(unpacked[name]), authorities[name.partition("/")[0]], tmp_path)
    assert "Verification: OK" in run.stdout, run.stderr


def test_openssl_refuses_the_timestamp_of_something_else(
    unpacked: dict[str, Path], authorities: dict[str, Path], tmp_path: Path
) -> None:
    token, content = stamped(unpacked["ec-p256/alone"])
    assert verify_token(token, content + b"x", authorities["ec-p256"], tmp_path).returncode != 0


def test_openssl_reads_our_timestamp_request(tmp_path: Path) -> None:
    query = tmp_path / "query.tsq"
    query.write_bytes(build_timestamp_request(digest_of(b"x"), nonce=7, want_certificate=True))
    text = call("openssl", "ts", "-query", "-in", query, "-text").stdout
    assert "Hash Algorithm: sha512" in text
    assert "Nonce: 0x07" in text
    assert "Certificate required: yes" in text


def ask(pki: DevPki, folder: Path, der: bytes, leaf: bytes) -> subprocess.CompletedProcess[str]:
    for name, content in (
        ("root.pem", pki.root.public_bytes(Encoding.PEM)),
        ("intermediate.pem", pki.intermediate.public_bytes(Encoding.PEM)),
        ("leaf.pem", leaf),
        ("response.der", der),
    ):
        (folder / name).write_bytes(content)
    return call(
        *("openssl", "ocsp", "-respin", folder / "response.der", "-no_nonce"),
        *("-issuer", folder / "intermediate.pem", "-cert", folder / "leaf.pem"),
        *("-CAfile", folder / "root.pem", "-verify_other", folder / "intermediate.pem"),
    )


@pytest.mark.parametrize("revoked", [False, True], ids=["good", "revoked"])
@pytest.mark.parametrize("algorithm", ["ec", "rsa"])
def test_openssl_accepts_the_ocsp_response(algorithm: str, revoked: bool, tmp_path: Path) -> None:
    now = datetime.now(UTC).replace(microsecond=0)  # openssl compares with this machine's clock
    pki = DevPki.create(tmp_path / "pki", algorithm, now=now)
    world = worlds.world()
    key = world.token.public_key(world.identities[worlds.CONSUMER.member].key_id)
    leaf = pki.issue_sign(key, worlds.CONSUMER.member, now=now)
    if revoked:
        pki.revoke(leaf)
    der = ocsp_reply(pki, build_request(leaf, pki.intermediate), now)
    run = ask(pki, tmp_path, der, leaf.public_bytes(Encoding.PEM))
    assert "Response verify OK" in run.stderr
    assert re.search(rf"leaf.pem: {'revoked' if revoked else 'good'}", run.stdout)


@pytest.mark.parametrize("kind", KINDS)
def test_openssl_accepts_the_certificate_path(kind: str, authorities: dict[str, Path]) -> None:
    folder = authorities[kind]
    run = call(
        *("openssl", "verify", "-attime", str(int(worlds.NOW.timestamp())), "-CAfile", folder / "root.pem"),
        *("-untrusted", folder / "intermediate.pem", "-x509_strict", folder / "leaf.pem"),
    )
    assert run.returncode == 0, run.stderr + run.stdout
