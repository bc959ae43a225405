"""The development trust services: what they issue is right, and what they answer wrongly on purpose is found out."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from certs.dev.app import BEHAVIOURS, TrustServices
from certs.dev.authority import DevPki
from certs.verify import chain as chains
from certs.verify import ocsp
from certs.verify import timestamp as timestamps
from schemas.faults import NotProved
from schemas.message import digest_of
from tests.worlds import NOW, shared_parameters, trusted

if TYPE_CHECKING:
    from pathlib import Path

NONCE = b"0123456789abcdef"


@pytest.fixture
def pki(tmp_path: Path) -> DevPki:
    return DevPki.create(tmp_path / "pki", now=NOW - timedelta(days=1))


def request_of(*, names: list[str] | None = None) -> x509.CertificateSigningRequest:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "1234")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if names:
        alternative = x509.SubjectAlternativeName([x509.DNSName(n) for n in names])
        builder = builder.add_extension(alternative, critical=False)
    return builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())


def form(
    request: x509.CertificateSigningRequest, kind: str, name: str | None, encoding: Encoding
) -> aiohttp.FormData:
    made = aiohttp.FormData()
    made.add_field("type", kind)
    if name is None:
        made.add_field("certreq", request.public_bytes(Encoding.PEM).decode())
    else:
        made.add_field("certreq", request.public_bytes(encoding), filename=name)
    return made


async def client_of(pki: DevPki) -> TestClient[web.Request, web.Application]:
    client = TestClient(TestServer(TrustServices(pki, lambda: NOW).app()))
    await client.start_server()
    return client


@pytest.mark.parametrize(
    ("kind", "name", "signing"),
    [("sign", "a.pem", True), ("auth", "a.pem", False), ("auto", "sign.der", True), ("auto", "x.der", False)],
)
@pytest.mark.xroad("F170")
async def test_the_form_of_x_road_s_test_ca_certifies_by_kind(
    pki: DevPki, kind: str, name: str, signing: bool
) -> None:
    client = await client_of(pki)
    wanted = request_of(names=["ss1"])
    encoding = Encoding.DER if name.endswith("der") else Encoding.PEM
    async with client.post("/testca/sign", data=form(wanted, kind, name, encoding)) as answer:
        assert (answer.status, answer.content_type) == (200, "application/octet-stream")
        issued = x509.load_pem_x509_certificate(await answer.read())
    await client.close()
    assert chains.is_signing_certificate(issued) is signing
    assert chains.is_authentication_certificate(issued) is not signing
    assert issued.subject == wanted.subject
    assert any(e.oid == x509.OID_SUBJECT_ALTERNATIVE_NAME for e in issued.extensions) is not signing
    assert pki.issued_names() == [f"{issued.serial_number}.pem"]


async def test_the_form_wants_a_file_with_a_name_and_a_request_in_it(pki: DevPki) -> None:
    client = await client_of(pki)
    async with client.post("/testca/sign", data=form(request_of(), "sign", None, Encoding.PEM)) as answer:
        assert answer.status == 400
    broken = aiohttp.FormData()
    broken.add_field("certreq", b"no request", filename="a.pem")
    async with client.post("/testca/sign", data=broken) as answer:
        assert answer.status == 500
    await client.close()


async def test_a_flat_authority_is_one_certificate(tmp_path: Path) -> None:
    pki = DevPki.create(tmp_path / "flat", flat=True, now=NOW)
    client = await client_of(pki)
    async with client.get("/testca/ca.pem") as answer:
        ca = x509.load_pem_x509_certificate(await answer.read())
    await client.close()
    issued = pki.certify(request_of(), "sign", now=NOW)
    issued.verify_directly_issued_by(ca)
    assert ca.subject == ca.issuer == DevPki.load(tmp_path / "flat").intermediate.subject


@pytest.mark.xroad("F170")
async def test_one_port_tells_ocsp_from_timestamps_by_content_type(pki: DevPki) -> None:
    client = await client_of(pki)
    certificate = pki.certify(request_of(), "sign", now=NOW)
    asked = ocsp.build_request(certificate, pki.intermediate)
    async with client.post("/", data=asked, headers={"Content-Type": "application/ocsp-request"}) as answer:
        configuration = trusted(shared_parameters(pki, {}), NOW)
        ocsp.check_response(await answer.read(), certificate, pki.intermediate, configuration, NOW)
    query = timestamps.build_request(digest_of(b"x"))
    async with client.post(
        "/", data=query, headers={"Content-Type": "application/timestamp-query"}
    ) as answer:
        timestamps.check_reply(await answer.read(), digest_of(b"x"), [pki.tsa_certificate])
    await client.close()


@pytest.mark.parametrize("behaviour", BEHAVIOURS["ocsp"])
async def test_every_wrong_ocsp_answer_is_found_out(pki: DevPki, behaviour: str) -> None:
    client = await client_of(pki)
    certificate = pki.certify(request_of(), "sign", now=NOW)
    asked = ocsp.build_request(certificate, pki.intermediate, NONCE)
    await client.post("/behaviour", json={"ocsp": behaviour})
    outcome = "proved"
    try:
        async with asyncio.timeout(0.5 if behaviour == "hang" else 60):
            async with client.post("/ocsp", data=asked) as answer:
                reply = await answer.read()
        configuration = trusted(shared_parameters(pki, {}), NOW)
        ocsp.check_response(reply, certificate, pki.intermediate, configuration, NOW)
        ocsp.check_nonce(reply, NONCE)
    except TimeoutError:
        outcome = "silent"
    except NotProved:
        outcome = "refused"
    await client.close()
    assert outcome == {"ok": "proved", "hang": "silent"}.get(behaviour, "refused")


@pytest.mark.parametrize("behaviour", BEHAVIOURS["tsa"])
async def test_every_wrong_timestamp_is_found_out(pki: DevPki, behaviour: str) -> None:
    client = await client_of(pki)
    digest = digest_of(b"x")
    asked = timestamps.build_request(digest, nonce=77)
    await client.post("/behaviour", json={"tsa": behaviour})
    outcome = "proved"
    try:
        async with asyncio.timeout(0.5 if behaviour == "hang" else 60):
            async with client.post("/tsa", data=asked) as answer:
                reply = await answer.read()
        token, _ = timestamps.check_reply(reply, digest, [pki.tsa_certificate])
        timestamps.check_nonce(token, 77)
    except TimeoutError:
        outcome = "silent"
    except NotProved:
        outcome = "refused"
    await client.close()
    assert outcome == {"ok": "proved", "hang": "silent"}.get(behaviour, "refused")


async def test_a_revoked_certificate_is_refused_and_forgiven_when_unrevoked(pki: DevPki) -> None:
    client = await client_of(pki)
    certificate = pki.certify(request_of(), "sign", now=NOW)
    configuration = trusted(shared_parameters(pki, {}), NOW)

    async def ask() -> None:
        async with client.post("/", data=ocsp.build_request(certificate, pki.intermediate)) as answer:
            ocsp.check_response(await answer.read(), certificate, pki.intermediate, configuration, NOW)

    await client.post("/revoke", params={"serial": str(certificate.serial_number)})
    with pytest.raises(NotProved, match="revoked"):
        await ask()
    await client.post("/unrevoke", params={"serial": str(certificate.serial_number)})
    await ask()
    await client.close()
