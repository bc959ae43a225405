"""The certificate of a career: downloaded by her who it is of, checked by anybody who has its code, and by nothing else."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from asn1crypto import cms
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from serving.config.secret import SecretSource
from serving.errors import OperatorError
from serving.storage.keysafe import KeySafe, SealSettings
from social_security.__main__ import main
from social_security.domain.edition import package_edition
from social_security.portal.certificate import CODE_LENGTH, build_certificate, render_pdf
from social_security.portal.pdfsigning import PdfSigner
from tests.portals import PIDS, Browser, World, open_world
from tests.unit.social_security.test_portal_person import logged_in

NAMED = package_edition().named


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


def drawn(pdf: bytes) -> str:
    """What the pages of a PDF write, one after the other."""
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL)
    text = b""
    for stream in streams:
        try:
            text += zlib.decompress(stream)
        except zlib.error:
            continue
    return text.decode("latin-1")


async def test_a_certificate_is_taken_along_and_checked_by_its_code_without_a_name(world: World) -> None:
    address, accounts = await world.portal("15-ISSEMYM")
    async with Browser(address) as person:
        await logged_in(world, person, accounts, "ana")
        await person.get("/historia")
        assert "/historia/constancia.pdf" in person.page.links
        async with person._session.get(f"{address}/historia/constancia.pdf") as answer:
            assert (answer.status, answer.content_type) == (200, "application/pdf")
            content = await answer.read()
            named = answer.headers["Content-Disposition"]
    assert content.startswith(b"%PDF-")
    found = re.search(r"constancia-([0-9A-Z]+)\.pdf", named)
    assert found is not None
    code = found[1]
    assert len(code) == CODE_LENGTH
    assert code in drawn(content)
    async with Browser(address) as anybody:
        await anybody.get(f"/verificar?codigo={code.lower()}")
        assert anybody.status == 200
        issued = accounts.certificate(code)
        assert issued is not None
        assert f"{issued.days:,}" in anybody.page.text
        assert issued.sha256 in anybody.page.text
        assert PIDS["ana"] not in anybody.page.source
        for stranger in (code[:-1] + ("0" if code[-1] != "0" else "1"), "' OR 1=1 --", "%00"):
            await anybody.get("/verificar", params={"codigo": stranger})
            assert anybody.status == 404, stranger
        await anybody.get("/verificar")
        assert anybody.status == 200
        await anybody.get("/historia/constancia.pdf")
        assert "constancia" not in anybody.headers.get("Content-Disposition", "")


async def test_a_certificate_that_lacks_an_institute_says_so(world: World) -> None:
    world.silent.add("30-IPE")
    address, accounts = await world.portal("15-ISSEMYM")
    async with Browser(address) as person:
        await logged_in(world, person, accounts, "ana")
        async with person._session.get(f"{address}/historia/constancia.pdf") as answer:
            content = await answer.read()
            code = answer.headers["Content-Disposition"].partition("constancia-")[2][:CODE_LENGTH]
        assert "Incompleta" in drawn(content)
        await person.get(f"/verificar?codigo={code}")
        assert "incompleta" in person.page.text


WHOLE = {
    "historias": [{"instituto": "MX/GOB/30-IPE", "periodos": [
        {"desde": "1999-03-01", "hasta": "1999-03-31", "dias": 31, "computo": "31"}]}],
    "totales": {"diasUnion": 31, "diasTraslape": 0, "semanas": 4},
    "constancia": {"completa": True, "respondieron": [{"instituto": "MX/GOB/30-IPE"}], "negaron": [], "silenciosos": []},
}  # fmt: skip
NOW = datetime(2026, 3, 2, 15, tzinfo=UTC)


def signer_of(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, request: x509.Name) -> PdfSigner:
    """A key with the certificate of an authority of its own."""
    made = (
        x509.CertificateBuilder()
        .subject_name(request)
        .issuer_name(request)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=400))
        .sign(key, hashes.SHA256())
    )
    return PdfSigner(key, (made,))


def signature_in(pdf: bytes) -> tuple[bytes, cms.SignedData]:
    """What a reader finds: the bytes that are signed, by the document's own statement, and the CMS."""
    found = re.search(rb"/ByteRange \[(\d+) (\d+) (\d+) (\d+)\]", pdf)
    assert found is not None
    first, length, second, rest = (int(n) for n in found.groups())
    assert (first, second + rest) == (0, len(pdf)), "nothing is outside but the signature itself"
    container = pdf[length + 1 : second - 1]
    assert (pdf[length : length + 1], pdf[second - 1 : second]) == (b"<", b">")
    parsed = cms.ContentInfo.load(bytes.fromhex(container.decode("ascii")))
    return pdf[:length] + pdf[second:], parsed["content"]


@pytest.mark.parametrize("kind", ["RSA", "EC"])
def test_a_signed_certificate_is_verified_by_what_every_reader_does(kind: str) -> None:
    key = rsa.generate_private_key(65537, 2048) if kind == "RSA" else ec.generate_private_key(ec.SECP256R1())
    signer = signer_of(key, x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Constancias")]))
    made = build_certificate(WHOLE, PIDS["ana"], NOW)  # type: ignore[arg-type]
    plain = render_pdf(made, WHOLE, PIDS["ana"], "ISSEMYM", "https://portal.example/v", NAMED)  # type: ignore[arg-type]
    assert b"/ByteRange" not in plain
    pdf = render_pdf(made, WHOLE, PIDS["ana"], "ISSEMYM", "https://portal.example/v", NAMED, signer)  # type: ignore[arg-type]
    content, signed = signature_in(pdf)
    (info,) = signed["signer_infos"]
    attributes = {a["type"].native: a["values"][0] for a in info["signed_attrs"]}
    assert attributes["message_digest"].native == hashlib.sha256(content).digest()
    own = signed["certificates"][0].chosen.dump()
    named = attributes["signing_certificate_v2"]["certs"][0]["cert_hash"].native
    assert named == hashlib.sha256(own).digest()
    statement = b"\x31" + info["signed_attrs"].dump()[1:]
    public, value = x509.load_der_x509_certificate(own).public_key(), info["signature"].native
    if isinstance(public, rsa.RSAPublicKey):
        public.verify(value, statement, padding.PKCS1v15(), hashes.SHA256())
    else:
        assert isinstance(public, ec.EllipticCurvePublicKey)
        public.verify(value, statement, ec.ECDSA(hashes.SHA256()))
    # The document as it was, and one update after it.
    assert pdf.count(b"%%EOF") == 2


async def test_a_portal_with_a_certificate_hands_out_signed_ones_and_does_not_start_with_another_s(
    world: World,
) -> None:
    settings = world.portal_settings("15-ISSEMYM")
    folder = world.folder / "portal-15-ISSEMYM"
    secret = world.folder / "secret"
    secret.write_text("una frase larga", encoding="utf-8")
    secret.chmod(0o600)
    file = world.folder / "portal.toml"
    sealed = f'seal = {{secret = {{file = "{secret}"}}}}'
    file.write_text(
        f'member = "15-ISSEMYM"\ngateway = "{settings.gateway}"\npublic_url = "{settings.public_url}"\n{sealed}\n'
    )
    common = ["portal", "certificate-key", "--data", str(folder), "--settings", str(file)]
    asked = CliRunner().invoke(main, common)
    assert asked.exit_code == 0, asked.output
    again = CliRunner().invoke(main, common)
    assert (again.exit_code, "already" in again.output) == (1, True)
    request = x509.load_pem_x509_csr(asked.output.encode("ascii"))
    assert request.is_signature_valid
    assert (folder / "constancias.key.json").stat().st_mode & 0o077 == 0
    seal = SealSettings(secret=SecretSource(file=str(secret)))
    key = KeySafe(seal.seals({})).read(folder / "constancias.key.json")
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    right, other = (
        signer_of(k, request.subject).chain[0].public_bytes(Encoding.PEM)
        for k in (key, ec.generate_private_key(ec.SECP256R1()))
    )
    (folder / "constancias.pem").write_bytes(other)
    with pytest.raises(OperatorError, match="not of the key"):
        await world.portal("15-ISSEMYM", seal=seal)
    (folder / "constancias.pem").write_bytes(right)
    with pytest.raises(OperatorError, match="seal"):
        await world.portal("15-ISSEMYM")
    address, accounts = await world.portal("15-ISSEMYM", seal=seal)
    async with Browser(address) as person:
        await logged_in(world, person, accounts, "ana")
        async with person._session.get(f"{address}/historia/constancia.pdf") as answer:
            content, _signed = signature_in(await answer.read())
    assert "Firmada" in drawn(content)


def test_two_certificates_of_one_career_have_two_codes_and_long_careers_run_over_pages() -> None:

    periods = [
        {
            "desde": "1999-03-01",
            "hasta": "1999-03-31",
            "dias": 31,
            "computo": "1999-03-01 a 1999-03-31: ñ = 31",
        }
        for _ in range(120)
    ]
    whole = {
        "historias": [{"instituto": "MX/GOB/30-IPE", "periodos": periods}],
        "totales": {"diasUnion": 31, "diasTraslape": 3689, "semanas": 4},
        "constancia": {"completa": True, "respondieron": [{"instituto": "MX/GOB/30-IPE"}], "negaron": [], "silenciosos": []},
    }  # fmt: skip
    now = datetime(2026, 3, 2, 15, tzinfo=UTC)
    pid = PIDS["ana"]
    one, other = (build_certificate(whole, pid, now) for _ in range(2))  # type: ignore[arg-type]
    assert one.code != other.code
    assert one.sha256 == other.sha256
    pdf = render_pdf(one, whole, pid, "ISSEMYM", "https://portal.example/verificar?codigo=" + one.code, NAMED)  # type: ignore[arg-type]
    assert pdf.count(b"/Type /Page\n") + pdf.count(b"/Type /Page ") > 2
