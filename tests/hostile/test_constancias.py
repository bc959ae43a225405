"""A person's certificate altered, extended, or shown for somebody else: each is seen by a reader, or by whoever looks its code up."""

from __future__ import annotations

import importlib
import io
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.keys import load_certs_from_pemder_data
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko_certvalidator import ValidationContext

from serving.errors import OperatorError
from social_security.domain.edition import package_edition
from social_security.domain.pseudonyms import parse_pid
from social_security.portal.accounts import COUNTER, REPRESENTATIVE, UNIT, Accounts, Filed
from social_security.portal.certificate import PID_END, build_certificate, render_pdf
from social_security.portal.pdfsigning import PdfSigner
from tests.portals import PIDS, QUICK, Browser, World, open_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

# pyHanko has no types.
generic: Any = importlib.import_module("pyhanko.pdf_utils.generic")
incremental: Any = importlib.import_module("pyhanko.pdf_utils.incremental_writer")
NOW = datetime.now(UTC).replace(microsecond=0)
WHOLE: dict[str, Any] = {
    "historias": [{"instituto": "MX/GOB/30-IPE", "periodos": [
        {"desde": "1999-03-01", "hasta": "1999-03-31", "dias": 31, "computo": "31"}]}],
    "totales": {"diasUnion": 31, "diasTraslape": 0, "semanas": 4},
    "constancia": {"completa": True, "respondieron": [{"instituto": "MX/GOB/30-IPE"}], "negaron": [], "silenciosos": []},
}  # fmt: skip


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


def own_signer() -> PdfSigner:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Constancias")])
    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=True, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=400))
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    return PdfSigner(key, (made,))


SIGNER = own_signer()


@pytest.fixture(scope="module")
def signed() -> bytes:
    her = parse_pid(PIDS["ana"])
    made, named = build_certificate(WHOLE, her, NOW), package_edition().named
    return render_pdf(made, WHOLE, her, "ISSEMYM", "https://portal.example/v", named, SIGNER)


def is_good(pdf: bytes) -> bool:
    """The verdict of a reader that trusts the institute's authority."""
    (root,) = load_certs_from_pemder_data(SIGNER.chain[0].public_bytes(Encoding.DER))
    try:
        (signature,) = PdfFileReader(io.BytesIO(pdf)).embedded_signatures
        status = validate_pdf_signature(signature, ValidationContext(trust_roots=[root]))
    except Exception:
        # Whatever a reader stumbles over is no good signature.
        return False
    return bool(status.bottom_line)


def updated(change: Callable[[Any], None]) -> Callable[[bytes], bytes]:
    """The document with an update behind it, as any editor appends one."""

    def made(pdf: bytes) -> bytes:
        writer, out = incremental.IncrementalPdfFileWriter(io.BytesIO(pdf)), io.BytesIO()
        change(writer)
        writer.write(out)
        return out.getvalue()

    return made


def note_over_figure(writer: Any) -> None:
    name = generic.pdf_name
    note = generic.DictionaryObject(
        {
            name("/Type"): name("/Annot"),
            name("/Subtype"): name("/FreeText"),
            name("/Rect"): generic.ArrayObject([generic.NumberObject(n) for n in (50, 600, 400, 640)]),
            name("/Contents"): generic.pdf_string("9,999 días reconocidos"),
        }
    )
    page = writer.root["/Pages"]["/Kids"][0]
    page[name("/Annots")] = generic.ArrayObject([writer.add_object(note)])
    writer.update_container(page)


def other_content(writer: Any) -> None:
    page = writer.root["/Pages"]["/Kids"][0]
    page[generic.pdf_name("/Contents")] = writer.add_object(
        generic.StreamObject(stream_data=b"BT /F1 12 Tf (9999) Tj ET")
    )
    writer.update_container(page)


def other_title(writer: Any) -> None:
    writer.root[generic.pdf_name("/Lang")] = generic.pdf_string("en")
    writer.update_root()


def flipped(share: float) -> Callable[[bytes], bytes]:
    """A changed bit of what is signed: before the signature, or behind it."""

    def made(pdf: bytes) -> bytes:
        first, last = pdf.index(b"/Contents <"), pdf.index(b">", pdf.index(b"/Contents <"))
        at = int((first + len(pdf) - last) * share)
        at += 0 if at < first else last - first
        return pdf[:at] + bytes([pdf[at] ^ 1]) + pdf[at + 1 :]

    return made


@pytest.mark.parametrize(
    "change",
    [
        updated(note_over_figure), updated(other_content), updated(other_title),
        *(flipped(n / 11) for n in range(1, 11)), lambda pdf: pdf[: pdf.index(b"%%EOF") + 6], lambda pdf: pdf[:-40],
        lambda pdf: pdf.replace(b"/ByteRange [0 ", b"/ByteRange [1 "), lambda pdf: pdf.replace(b"/DocMDP", b"/DocXXX"),
    ],
)  # fmt: skip
def test_no_altered_certificate_is_good_to_a_reader(signed: bytes, change: Callable[[bytes], bytes]) -> None:
    assert is_good(signed)
    assert not is_good(change(signed))


async def test_a_code_on_somebody_elses_paper_is_seen_and_nobody_is_named(world: World) -> None:
    address, accounts = await world.portal("15-ISSEMYM")
    codes = {}
    for name in ("ana", "jose"):
        made = build_certificate(WHOLE, PIDS[name], NOW)  # type: ignore[arg-type]
        accounts.note_certificate(made)
        codes[name] = made.code
    async with Browser(address) as anybody:
        for name, other in (("ana", "jose"), ("jose", "ana")):
            await anybody.get(f"/verificar?codigo={codes[name]}")
            assert PIDS[name][-PID_END:] in anybody.page.text
            assert PIDS[other][-PID_END:] not in anybody.page.text
            assert PIDS[name][:-PID_END] not in anybody.page.source


@pytest.mark.parametrize(
    "query",
    [
        "codigo=", "codigo=%00", "codigo=%ff", "codigo=x&codigo={code}", "codigo[]={code}", "CODIGO={code}", "codigo={code}%00",
        "codigo={code}%27--", "codigo=%E2%80%AE{code}", "codigo=" + "A" * 5000, "codigo=%3Cscript%3Ealert(1)%3C/script%3E",
        "codigo={code}1", "codigo=../{code}", "codigo=%25", "codigo=_" + "_" * 19, "codigo=ſ" + "0" * 19,
    ],
)  # fmt: skip
async def test_no_strange_question_finds_a_certificate(world: World, query: str) -> None:
    address, accounts = await world.portal("15-ISSEMYM")
    made = build_certificate(WHOLE, PIDS["ana"], NOW)  # type: ignore[arg-type]
    accounts.note_certificate(made)
    async with Browser(address) as anybody:
        await anybody.get(f"/verificar?{query.format(code=made.code)}")
        assert anybody.status in (200, 400, 404)
        assert made.sha256 not in anybody.page.source
        assert "<script>alert" not in anybody.page.source


def test_a_certificate_of_before_has_no_end_of_a_pid(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path, QUICK)
    accounts._database.query(
        "INSERT INTO certificate (code, issued_at, days, overlap, complete, sha256) VALUES ('A', '2026-01-01T00:00:00+00:00', 1, 0, 1, 'x')"
    )
    found = accounts.certificate("A")
    assert found is not None
    assert found.pid_end == ""
    accounts.close()


def test_an_accounts_name_is_one_persons_for_ever_and_her_requests_with_it(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path, QUICK)
    accounts.issue("ana", PIDS["ana"], "Portal")
    accounts.note_folio("ana", Filed("ARCO-15-2026-00000001", ("MX/GOB/15-ISSEMYM",), NOW, "ACCESO"))
    accounts.issue("ana", PIDS["ana"], "Portal")
    others = ((PIDS["jose"], None), (PIDS["jose"], REPRESENTATIVE), (None, COUNTER))
    for gone in (False, True):
        if gone:
            accounts.remove("ana")
        for pid, role in others:
            with pytest.raises(OperatorError, match="another's"):
                accounts.issue("ana", pid, "Portal", role)
    assert accounts.logins.user("ana") is None
    accounts.issue("ana", PIDS["ana"], "Portal")
    assert len(accounts.folios("ana")) == 1
    # A mandate is of one person too: whom a representative acts for is not exchanged under it.
    accounts.issue("apoderado", PIDS["ana"], "Portal", REPRESENTATIVE)
    with pytest.raises(OperatorError, match="another's"):
        accounts.issue("apoderado", PIDS["jose"], "Portal", REPRESENTATIVE)
    accounts.issue("mesa", None, "Portal", COUNTER)
    accounts.issue("mesa", None, "Portal", UNIT)
    with pytest.raises(OperatorError, match="another's"):
        accounts.issue("mesa", PIDS["jose"], "Portal")
    accounts.close()


def test_accounts_of_before_are_bound_by_what_they_are_and_by_their_folios(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path, QUICK)
    for name in ("ana", "ines"):
        accounts.issue(name, PIDS["ana"], "Portal")
        accounts.note_folio(name, Filed(f"ARCO-15-2026-{name}", ("MX/GOB/15-ISSEMYM",), NOW, "ACCESO"))
    accounts.remove("ines")
    accounts._database.query("DELETE FROM holder")
    for name, pid in (("ana", "jose"), ("ines", "jose"), ("ines", "ana")):
        with pytest.raises(OperatorError, match="another's"):
            accounts.issue(name, PIDS[pid], "Portal")
    accounts.issue("ana", PIDS["ana"], "Portal")
    accounts.close()
