"""The development authority's ACME server: our client orders from it, and what RFC 8555 forbids is refused."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from certs import csr
from certs.dev.acmewire import AccountKey, jwk_of, to_base64url
from certs.dev.app import TrustServices
from certs.dev.authority import DevPki
from certs.profiles import STANDARD_PROFILES
from certs.tokens import remote as delegated
from certs.tokens.soft import SoftToken
from certs.verify import chain as chains
from gateway.edges.acmeclient import Account, AcmeClient, ChallengeBoard
from schemas.identifiers import ClientId
from serving.errors import Refused
from tests.doubles import MemoryTokens

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

ADDRESS = "127.0.0.1"
OWNER = ClientId("MX", "GOB", "15-ISSEMYM")
KID, MAC_KEY = "kid-1", to_base64url(b"k" * 32)


@dataclass
class World:
    """An authority with its ACME server, and a place where challenges are answered."""

    pki: DevPki
    base: str
    board: ChallengeBoard
    session: aiohttp.ClientSession
    folder: Path

    @property
    def directory(self) -> str:
        return f"{self.base}/acme/directory"

    def client(self, **binding: str) -> AcmeClient:
        account = Account(self.folder / "acme", "a long secret", ("a@example.org",), **binding)
        return AcmeClient(self.directory, account, self.board, timeout_s=20)


@contextlib.asynccontextmanager
async def running(folder: Path, outside: dict[str, str] | None = None) -> AsyncIterator[World]:
    board = ChallengeBoard()
    async with TestServer(board.app(), host=ADDRESS) as answering, aiohttp.ClientSession() as session:
        pki = DevPki.create(folder / "pki")
        services = TrustServices(pki, challenge_port=answering.port or 0, outside_accounts=outside)
        async with TestServer(services.app(), host=ADDRESS) as server:
            yield World(pki, f"http://{ADDRESS}:{server.port}", board, session, folder)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running(tmp_path) as made:
        yield made


async def request(usage: str, address: str = ADDRESS) -> bytes:
    token = SoftToken.create(MemoryTokens(), "1234")
    key_id = token.generate_key("ec-p256", "k", usage)
    requester = csr.Requester(OWNER, OWNER.server("SS1"), "ISSEMYM", address)
    builder = csr.build_request(STANDARD_PROFILES.named("BasicACME"), requester, usage)
    return await delegated.sign_request(builder, key_id, token.public_key(key_id), token)


@pytest.mark.xroad("F170", "F042")
@pytest.mark.parametrize("usage", ["auth", "sign"])
async def test_our_client_orders_a_certificate_of_each_usage_by_its_profile(world: World, usage: str) -> None:
    der = await request(usage)
    issued = x509.load_pem_x509_certificate(await world.client().order(der, usage))
    asked = x509.load_der_x509_csr(der)
    assert (issued.subject, issued.issuer) == (asked.subject, world.pki.intermediate.subject)
    assert issued.public_key() == asked.public_key()
    issued.verify_directly_issued_by(world.pki.intermediate)
    assert chains.is_signing_certificate(issued) == (usage == "sign")
    assert chains.is_authentication_certificate(issued) == (usage == "auth")
    # A second order uses the same account. The server says when it would like to see it again: the last third of its life.
    assert await world.client().order(der, usage) != issued.public_bytes(Encoding.PEM)
    suggested = await world.client().renewal_time(issued.public_bytes(Encoding.DER))
    assert suggested is not None
    assert datetime.now(UTC) < suggested < issued.not_valid_after_utc


@pytest.mark.xroad("F170")
async def test_an_account_is_bound_to_an_outside_one_where_the_authority_wants_it(tmp_path: Path) -> None:
    async with running(tmp_path, {KID: MAC_KEY}) as world:
        der = await request("auth")
        assert await world.client().demands_binding()
        with pytest.raises(Refused) as caught:
            await world.client(kid=KID, mac_key=to_base64url(b"x" * 32)).order(der)
        assert caught.value.code == "acme.account_creation_failure"
        assert b"BEGIN CERTIFICATE" in await world.client(kid=KID, mac_key=MAC_KEY).order(der)


async def test_a_name_that_does_not_answer_is_not_certified(world: World) -> None:
    silent = AcmeClient(
        world.directory, Account(world.folder / "a", "a long secret"), ChallengeBoard(), timeout_s=20
    )
    with pytest.raises(Refused) as caught:
        await silent.order(await request("auth"))
    assert caught.value.code == "acme.authorization_wait_failure"
    assert "something else than the key authorization" in str(caught.value)
    assert world.pki.issued_names() == []


# The protocol by hand


@dataclass
class Speaker:
    """An ACME client that says what it is told, right or wrong."""

    world: World
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    kid: str = ""

    def signed(self, header: dict[str, Any], payload: object) -> dict[str, str]:
        protected = to_base64url(json.dumps(header).encode())
        body = "" if payload is None else to_base64url(json.dumps(payload).encode())
        text = f"{protected}.{body}".encode()
        if isinstance(self.key, rsa.RSAPrivateKey):
            raw = self.key.sign(text, padding.PKCS1v15(), hashes.SHA256())
        else:
            r, s = decode_dss_signature(self.key.sign(text, ec.ECDSA(hashes.SHA256())))
            raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        return {"protected": protected, "payload": body, "signature": to_base64url(raw)}

    def who(self) -> dict[str, Any]:
        return {"kid": self.kid} if self.kid else {"jwk": jwk_of(self.key.public_key())}

    async def nonce(self) -> str:
        async with self.world.session.head(f"{self.world.base}/acme/new-nonce") as answer:
            return answer.headers["Replay-Nonce"]

    async def header(self, url: str) -> dict[str, Any]:
        algorithm = "RS256" if isinstance(self.key, rsa.RSAPrivateKey) else "ES256"
        return {"alg": algorithm, "nonce": await self.nonce(), "url": url, **self.who()}

    async def send(self, url: str, body: object, **headers: str) -> tuple[int, Any, dict[str, str]]:
        shown = {"Content-Type": "application/jose+json"} | headers
        async with self.world.session.post(url, data=json.dumps(body), headers=shown) as answer:
            text = await answer.text()
            assert "Replay-Nonce" in answer.headers or answer.status == 404
            said = json.loads(text) if "json" in answer.content_type else text
            return answer.status, said, dict(answer.headers)

    async def ask(self, where: str, payload: object, **changed: object) -> tuple[int, Any, dict[str, str]]:
        url = where if where.startswith("http") else f"{self.world.base}/acme{where}"
        return await self.send(url, self.signed({**await self.header(url), **changed}, payload))

    async def enrol(self) -> Speaker:
        status, _, headers = await self.ask("/new-account", {"contact": ["mailto:a@example.org"]})
        assert status == 201
        self.kid = headers["Location"]
        return self


def kind_of(said: dict[str, Any]) -> str:
    return str(said["type"]).removeprefix("urn:ietf:params:acme:error:")


def names(*given: str) -> dict[str, Any]:
    return {"identifiers": [{"type": "dns", "value": n} for n in given]}


@pytest.mark.xroad("F170")
async def test_a_request_counts_once_for_its_url_and_under_its_own_key(world: World) -> None:
    ours = await Speaker(world).enrol()
    url = f"{world.base}/acme/new-order"
    body = ours.signed(await ours.header(url), names("a.example.org"))
    assert (await ours.send(url, body))[0] == 201
    status, said, _ = await ours.send(url, body)
    assert (status, kind_of(said)) == (400, "badNonce")
    wrong: list[tuple[dict[str, object], int, str]] = [
        ({"url": f"{world.base}/acme/new-account"}, 403, "unauthorized"),
        ({"alg": "none"}, 400, "badSignatureAlgorithm"),
        ({"alg": "HS256"}, 400, "badSignatureAlgorithm"),
        ({"nonce": "made-up"}, 400, "badNonce"),
        ({"jwk": jwk_of(ours.key.public_key())}, 400, "malformed"),
        ({"kid": f"{world.base}/acme/account/none"}, 400, "accountDoesNotExist"),
    ]
    for changed, status, kind in wrong:
        found, said, _ = await ours.ask("/new-order", names("a.example.org"), **changed)
        assert (found, kind_of(said)) == (status, kind), changed
    stranger = Speaker(world, kid=ours.kid)  # another key under our account's name
    status, said, _ = await stranger.ask("/new-order", names("a.example.org"))
    assert (status, kind_of(said)) == (403, "unauthorized")
    body = ours.signed(await ours.header(url), names("a.example.org"))
    status, said, _ = await ours.send(url, {**body, "payload": to_base64url(b"{}")})
    assert (status, kind_of(said)) == (403, "unauthorized")
    fresh = ours.signed(await ours.header(url), names("a.example.org"))
    status, said, _ = await ours.send(url, fresh, **{"Content-Type": "application/json"})
    assert (status, kind_of(said)) == (400, "malformed")
    garbage: Any
    for garbage in ([], {}, {"protected": "e30", "payload": ""}, {**body, "protected": "???"}):
        assert (await ours.send(url, garbage))[0] == 400


@pytest.mark.parametrize(
    ("identifiers", "kind"),
    [
        ([], "malformed"),
        ([{"type": "dns", "value": "*.example.org"}], "rejectedIdentifier"),
        ([{"type": "dns", "value": "a/b"}], "rejectedIdentifier"),
        ([{"type": "dns", "value": "user@host:25"}], "rejectedIdentifier"),
        ([{"type": "dns"}], "rejectedIdentifier"),
        ([{"type": "email", "value": "a@example.org"}], "unsupportedIdentifier"),
        ([{"type": "ip", "value": "not an address"}], "malformed"),
        (["a.example.org"], "unsupportedIdentifier"),
        ([{"type": "dns", "value": f"n{n}.example.org"} for n in range(101)], "malformed"),
    ],
)
async def test_an_order_for_what_http_cannot_prove_is_refused(
    world: World, identifiers: list[Any], kind: str
) -> None:
    ours = await Speaker(world).enrol()
    status, said, _ = await ours.ask("/new-order", {"identifiers": identifiers})
    assert (status, kind_of(said)) == (400, kind)


async def test_an_order_that_nothing_proved_gives_nothing_and_is_nobody_else_s(world: World) -> None:
    ours, other = await Speaker(world).enrol(), await Speaker(world).enrol()
    _, order, headers = await ours.ask("/new-order", names("a.example.org"))
    assert (order["status"], order["profile"]) == ("pending", "auth")
    asked = {"csr": to_base64url(await request("auth", "a.example.org"))}
    status, said, _ = await ours.ask(order["finalize"], asked)
    assert (status, kind_of(said)) == (403, "orderNotReady")
    for url in (headers["Location"], order["authorizations"][0], order["finalize"]):
        assert (await other.ask(url, None))[0] == 404
    status, said, _ = await ours.ask("/new-order", {**names("a.example.org"), "profile": "root"})
    assert (status, kind_of(said)) == (400, "invalidProfile")
    assert world.pki.issued_names() == []


async def test_a_request_for_other_names_than_were_proved_is_refused(world: World) -> None:
    ours = await Speaker(world, rsa.generate_private_key(65537, 2048)).enrol()
    _, order, headers = await ours.ask("/new-order", {"identifiers": [{"type": "ip", "value": ADDRESS}]})
    _, proof, _ = await ours.ask(order["authorizations"][0], None)
    (challenge,) = proof["challenges"]
    thumbprint = AccountKey(jwk_of(ours.key.public_key())).thumbprint
    with world.board.showing(challenge["token"], f"{challenge['token']}.{thumbprint}"):
        _, answered, _ = await ours.ask(challenge["url"], {})
    assert answered["status"] == "valid"
    status, said, _ = await ours.ask(order["finalize"], {"csr": to_base64url(await request("auth", "b.org"))})
    assert (status, kind_of(said)) == (400, "badCSR")
    status, done, _ = await ours.ask(order["finalize"], {"csr": to_base64url(await request("auth"))})
    assert (status, done["status"]) == (200, "valid")
    _, pem, _ = await ours.ask(done["certificate"], None)
    leaf, above = x509.load_pem_x509_certificates(pem.encode())
    assert above == world.pki.intermediate
    # Revoked by the account that ordered it, once, and OCSP says so; a stranger's word is worth nothing.
    given = {"certificate": to_base64url(leaf.public_bytes(Encoding.DER))}
    assert (await (await Speaker(world).enrol()).ask("/revoke-certificate", given))[0] == 403
    assert (await ours.ask("/revoke-certificate", given))[0] == 200
    assert world.pki.is_revoked(leaf.serial_number)
    status, said, _ = await ours.ask("/revoke-certificate", given)
    assert (status, kind_of(said)) == (400, "alreadyRevoked")
    assert (await ours.ask(headers["Location"], None))[1]["status"] == "valid"


async def test_an_account_is_found_again_changed_given_another_key_and_ended(world: World) -> None:
    ours = Speaker(world)
    status, said, _ = await ours.ask("/new-account", {"onlyReturnExisting": True})
    assert (status, kind_of(said)) == (400, "accountDoesNotExist")
    await ours.enrol()
    again = Speaker(world, ours.key)
    status, _, headers = await again.ask("/new-account", {})
    assert (status, headers["Location"]) == (200, ours.kid)
    status, said, _ = await ours.ask(ours.kid, {"contact": ["mailto:b@example.org"]})
    assert (status, said["contact"]) == (200, ["mailto:b@example.org"])
    new, url = Speaker(world), f"{world.base}/acme/key-change"
    inner_header = {"alg": "ES256", "jwk": jwk_of(new.key.public_key()), "url": url}
    change = {"account": ours.kid, "oldKey": jwk_of(ours.key.public_key())}
    stolen = {**change, "oldKey": jwk_of(new.key.public_key())}
    assert (await ours.ask(url, new.signed(inner_header, stolen)))[0] == 400
    assert (await ours.ask(url, new.signed(inner_header, change)))[0] == 200
    assert (await ours.ask(ours.kid, {}))[0] == 403
    new.kid = ours.kid
    assert (await new.ask(new.kid, {"status": "deactivated"}))[1]["status"] == "deactivated"
    status, said, _ = await new.ask("/new-order", names("a.example.org"))
    assert (status, kind_of(said)) == (403, "unauthorized")
