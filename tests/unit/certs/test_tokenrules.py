"""Keys in tokens: what a foreign signature must fit, what a damaged record says, what a token of each kind refuses."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from certs import signerwire
from certs.edges.devices import SoftwareDevice
from certs.edges.fetch import fetch_ocsp, fetch_timestamp
from certs.tokens import remote
from certs.tokens.soft import KeyKind, SoftToken
from schemas.faults import Kind, NotProved, TokenFailed
from schemas.jsontext import dump_json, load_json
from tests.doubles import MemoryTokens
from tests.unit.certs.test_nameconstraints import named
from tests.worlds import NOW, run_now

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PIN = "una frase larga"
KINDS = [ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)]


class Holder:
    """A signer with a key that may not be the one that is asked for."""

    def __init__(self, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
        self.token = SoftToken.create(MemoryTokens(), PIN)
        self.key = key
        kind = KeyKind.EC_P256 if isinstance(key, ec.EllipticCurvePrivateKey) else KeyKind.RSA_2048
        self.key_id = self.token.generate_key(kind, "k", "sign")

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey | rsa.RSAPublicKey:
        return self.token.public_key(self.key_id)


@pytest.mark.parametrize("key", KINDS, ids=["ec", "rsa"])
def test_a_token_signs_with_the_key_whose_public_half_is_named(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
) -> None:
    holder, other = Holder(key), key.public_key()
    request = x509.CertificateSigningRequestBuilder().subject_name(named("a"))

    def certificate(public: ec.EllipticCurvePublicKey | rsa.RSAPublicKey) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder(named("a"), named("a"), public, 7)
        return builder.not_valid_before(NOW).not_valid_after(NOW + timedelta(days=1))

    own = holder.public_key
    der = run_now(remote.sign_request(request, holder.key_id, own, holder.token))
    assert x509.load_der_x509_csr(der).is_signature_valid
    der = run_now(remote.sign_certificate(certificate(own), holder.key_id, own, holder.token))
    assert x509.load_der_x509_certificate(der).subject == named("a")
    for wrong in (
        remote.sign_request(request, holder.key_id, other, holder.token),
        remote.sign_certificate(certificate(other), holder.key_id, other, holder.token),
    ):
        with pytest.raises(TokenFailed, match="does not belong to the public half") as caught:
            run_now(wrong)
        assert caught.value.kind is Kind.CANNOT_SIGN


# What is stored


@pytest.mark.parametrize(
    "record", [b"", b"[]", b"{}", b'{"sealed": 1, "usage": "sign"}', b'{"sealed": "?", "usage": 1}']
)
def test_a_damaged_record_of_a_key_is_named_with_the_remedy(record: bytes) -> None:
    storage = MemoryTokens()
    token = SoftToken.create(storage, PIN)
    key_id = token.generate_key(KeyKind.EC_P256, "k", "sign")
    storage.keys[key_id] = record
    with pytest.raises(
        TokenFailed,
        match=rf"the file of key {key_id} is damaged (.*restore it from a backup|or was put there by another token)",
    ):
        SoftToken(storage).unlock(PIN)


@pytest.mark.parametrize("name", ["salt", "master"])
@pytest.mark.parametrize("value", ["", "?", "AAAA", 7])
def test_a_damaged_record_of_a_token_counts_as_no_wrong_pin(name: str, value: object) -> None:
    storage = MemoryTokens()
    SoftToken.create(storage, PIN)
    assert storage.token is not None
    storage.token = dump_json({**load_json(storage.token), name: value}).encode()
    before = storage.token
    with pytest.raises(
        TokenFailed, match=r"the token's file \(token.json\) is damaged .*restore it from a backup"
    ):
        SoftToken(storage).unlock(PIN)
    assert storage.token == before


def test_a_locked_token_changes_no_pin() -> None:
    token = SoftToken.create(MemoryTokens(), PIN)
    device = SoftwareDevice("softToken-0", token)
    token.lock()
    with pytest.raises(TokenFailed, match="the token is locked; give its PIN first") as caught:
        run_now(device.change_pin(PIN, "otra frase larga"))
    assert caught.value.kind is Kind.TOKEN_NOT_ACTIVE


# The wire to a process that holds keys


@pytest.mark.parametrize("body", [b"", b"\xff", b"\x80", b"\xc1", b"[]"])
def test_what_came_over_the_socket_and_is_neither_request_nor_answer_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="is no request"):
        signerwire.read_ask(body)
    with pytest.raises(ValueError, match="is no answer"):
        signerwire.read_answer(body)


# Responders and authorities over HTTP


@pytest.fixture
async def answers() -> AsyncIterator[str]:
    async def answer(request: web.Request) -> web.Response:
        status, size = int(request.match_info["status"]), int(request.match_info["size"])
        headers = {"Location": "/200/1"} if status == 302 else {}
        return web.Response(status=status, body=bytes(size), headers=headers)

    app = web.Application()
    app.router.add_post("/{status}/{size}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[attr-defined]
    await runner.cleanup()


async def test_an_answer_is_taken_whole_from_the_first_that_gives_one(answers: str) -> None:
    async with aiohttp.ClientSession() as session:
        urls = [f"{answers}/500/1", f"{answers}/302/0", f"{answers}/200/{1 << 21}", f"{answers}/200/5"]
        assert await fetch_ocsp(session, urls, b"q") == bytes(5)
        with pytest.raises(NotProved) as caught:
            await fetch_ocsp(session, urls[:3], b"q")
        assert caught.value.kind is Kind.CERT_VALIDATION
        for words in ("HTTP 500 where 200 was expected", "HTTP 302 where", "bytes came"):
            assert words in caught.value.detail
        with pytest.raises(NotProved, match="none is configured for this CA"):
            await fetch_ocsp(session, [], b"q")
        for url, words in ((urls[0], "HTTP 500"), ("http://127.0.0.1:1/", "did not answer")):
            with pytest.raises(NotProved, match=words) as caught:
                await fetch_timestamp(session, url, b"q")
            assert caught.value.kind is Kind.TIMESTAMPING_FAILED
