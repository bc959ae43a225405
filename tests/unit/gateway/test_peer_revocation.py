"""OCSP responses between security servers: given for a server's own certificates, asked of a peer for its own."""

from __future__ import annotations

import hashlib

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from certs.certificates import der_of
from gateway.edges.revocation import PeerRevocation, responder_app
from schemas.faults import Fault
from tests.worlds import PROVIDER_SERVER, world


class Kept:
    """The responses that a server has at hand."""

    def __init__(self, responses: dict[bytes, bytes]) -> None:
        self._responses = responses

    def by_digest(self, digest: bytes) -> bytes | None:
        """By SHA-1, or SHA-256, of the certificate."""
        return self._responses.get(digest)


@pytest.mark.xroad("F050")
async def test_a_peer_is_asked_for_the_response_of_its_own_certificate_and_of_no_other() -> None:
    made = world()
    certificate = made.auth[PROVIDER_SERVER]
    response = made.ocsp(certificate)
    digest = hashlib.sha1(der_of(certificate), usedforsecurity=False).digest()
    pairs = ((certificate, made.pki.intermediate),)
    server = TestServer(responder_app(Kept({digest: response})), host="127.0.0.1")  # type: ignore[arg-type]
    await server.start_server()
    async with aiohttp.ClientSession() as session:
        asking = PeerRevocation(session, port=server.port or 0)
        assert await asking.ask("127.0.0.1", pairs) == (response,)
        another = ((made.pki.intermediate, made.pki.root),)
        with pytest.raises(Fault):
            await asking.ask("127.0.0.1", another)
    await server.close()
