"""Certificates ordered from a real ACME server, with HTTP-01 and external account binding."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from benchmarks.federation import free_base
from certs import csr
from certs.profiles import STANDARD_PROFILES
from certs.tokens import remote as delegated
from certs.tokens.soft import SoftToken
from certs.verify import chain as chains
from gateway.edges.acmeclient import Account, AcmeClient, ChallengeBoard
from schemas.identifiers import ClientId
from serving.errors import Refused
from tests import pebble
from tests.doubles import MemoryTokens

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

pytestmark = pytest.mark.processes
_SPKI = PublicFormat.SubjectPublicKeyInfo
ADDRESS = f"{free_base()}.9"
OWNER = ClientId("MX", "GOB", "15-ISSEMYM")


@pytest.fixture(scope="module")
def free(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pebble.Pebble]:
    with pebble.running(tmp_path_factory.mktemp("pebble"), ADDRESS) as server:
        yield server


@contextlib.asynccontextmanager
async def answering(server: pebble.Pebble) -> AsyncIterator[ChallengeBoard]:
    board = ChallengeBoard()
    runner = web.AppRunner(board.app(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, ADDRESS, server.http_port).start()
    try:
        yield board
    finally:
        await runner.cleanup()


def account(folder: Path, kid: str = "", mac_key: str = "") -> Account:
    return Account(folder / "acme", "a long secret", ("admin@example.org",), kid, mac_key)


async def request(usage: str, kind: str = "ec-p256") -> tuple[bytes, bytes]:
    """A request of the profile for ACME, and its public key."""
    token = SoftToken.create(MemoryTokens(), "1234")
    key_id = token.generate_key(kind, "k", usage)
    requester = csr.Requester(OWNER, OWNER.server("SS1"), "ISSEMYM", ADDRESS)
    builder = csr.build_request(STANDARD_PROFILES.named("BasicACME"), requester, usage)
    der = await delegated.sign_request(builder, key_id, token.public_key(key_id), token)
    return der, x509.load_der_x509_csr(der).public_key().public_bytes(Encoding.DER, _SPKI)


@pytest.mark.parametrize("usage", ["auth", "sign"])
@pytest.mark.xroad("F042")
async def test_an_order_gives_a_certificate_for_the_request_s_key(
    free: pebble.Pebble, tmp_path: Path, usage: str
) -> None:
    der, public = await request(usage, "rsa-2048" if usage == "sign" else "ec-p256")
    async with answering(free) as board:
        client = AcmeClient(free.directory, account(tmp_path), board, trusted_ca=free.trusted_ca)
        assert not await client.demands_binding()
        issued = x509.load_pem_x509_certificate(await client.order(der))
        assert issued.public_key().public_bytes(Encoding.DER, _SPKI) == public
        # Pebble certifies for TLS whatever is asked; a CA for signing sets nonRepudiation, and the import looks.
        assert chains.is_authentication_certificate(issued)
        # A second order uses the same account; this pebble says nothing of renewal times.
        assert await client.order(der) != issued.public_bytes(Encoding.PEM)
        assert await client.renewal_time(issued.public_bytes(Encoding.DER)) is None
    assert b"ENCRYPTED" in (tmp_path / "acme" / "account.pem").read_bytes()


@pytest.mark.xroad("F042")
async def test_an_account_is_bound_to_an_outside_one_where_that_is_wanted(tmp_path: Path) -> None:
    address = f"{ADDRESS.rpartition('.')[0]}.8"
    with pebble.running(tmp_path / "bound", address, bound=True) as server:
        async with answering(server) as board:
            der, _ = await request("auth")
            unbound = AcmeClient(server.directory, account(tmp_path), board, trusted_ca=server.trusted_ca)
            assert await unbound.demands_binding()
            with pytest.raises(Refused) as caught:
                await unbound.order(der)
            assert caught.value.code == "acme.eab_credentials_missing"
            wrong = AcmeClient(
                server.directory,
                account(tmp_path, pebble.KID, pebble.MAC_KEY[::-1]),
                board,
                trusted_ca=server.trusted_ca,
            )
            with pytest.raises(Refused) as caught:
                await wrong.order(der)
            assert caught.value.code == "acme.account_creation_failure"
            bound = AcmeClient(
                server.directory,
                account(tmp_path, pebble.KID, pebble.MAC_KEY),
                board,
                trusted_ca=server.trusted_ca,
            )
            assert b"BEGIN CERTIFICATE" in await bound.order(der)


async def test_failures_have_the_admin_api_s_codes(free: pebble.Pebble, tmp_path: Path) -> None:
    der, _ = await request("auth")
    board = ChallengeBoard()  # nobody listens: the challenge cannot be answered
    unanswered = AcmeClient(
        free.directory, account(tmp_path), board, trusted_ca=free.trusted_ca, timeout_s=10
    )
    with pytest.raises(Refused) as caught:
        await unanswered.order(der)
    assert caught.value.code == "acme.authorization_wait_failure"
    nobody = AcmeClient(f"https://{ADDRESS}:9/dir", account(tmp_path), board)
    with pytest.raises(Refused) as caught:
        await nobody.order(der)
    assert caught.value.code == "acme.fetching_metadata_error"
    unsealed = AcmeClient(free.directory, Account(tmp_path / "x", ""), board)
    with pytest.raises(Refused) as caught:
        await unsealed.order(der)
    assert caught.value.code == "acme.account_keystore_password_missing"
