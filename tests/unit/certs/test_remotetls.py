"""TLS with keys that are elsewhere: real handshakes, signed by a function."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from certs.certificates import der_of
from certs.dev.authority import DevPki
from certs.remotetls import RemoteTlsKey
from certs.tls import (
    SwappableServerContext,
    TlsCredentials,
    peer_certificates,
    peer_client_context,
    peer_server_context,
)
from certs.tokens.soft import SoftToken
from schemas.identifiers import ClientId
from tests.doubles import MemoryTokens

if TYPE_CHECKING:
    from pathlib import Path

    from certs.algorithms import SignatureAlgorithm

SERVER = ClientId("MX", "GOB", "1").server("SS1")


class Elsewhere:
    """A key in a token of its own, with the authority that certified it."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.pki = DevPki.create(folder / "pki", now=datetime.now(UTC))
        self.token = SoftToken.create(MemoryTokens(), "1234")
        self.key_id = self.token.generate_key(kind, "auth", "auth")
        self.public = self.token.public_key(self.key_id)
        self.certificate = self.pki.issue_auth(self.public, SERVER, "127.0.0.1")
        self.asked: list[str] = []
        self.broken = False

    def sign(self, digest: bytes, algorithm: SignatureAlgorithm) -> bytes:
        self.asked.append(algorithm.name)
        if self.broken:
            raise OSError("the token is gone")
        return self.token.sign_now(self.key_id, digest, algorithm)

    def credentials(
        self, public: rsa.RSAPublicKey | ec.EllipticCurvePublicKey | None = None
    ) -> TlsCredentials:
        key = RemoteTlsKey(public or self.public, self.sign)
        return TlsCredentials(key, (self.certificate, self.pki.intermediate))

    async def shake_hands(self, newest: ssl.TLSVersion) -> tuple[str | None, tuple[bytes, ...]]:
        """TLS version and certificates that the server saw."""
        seen: list[tuple[str | None, tuple[bytes, ...]]] = []

        async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connection = writer.get_extra_info("ssl_object")
            seen.append((connection.version(), peer_certificates(connection)))
            writer.close()

        context = SwappableServerContext(peer_server_context(self.credentials(), (self.pki.root,)))
        server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context.listening)
        client = peer_client_context(self.credentials())
        client.maximum_version = min(newest, client.maximum_version) if client.maximum_version > 0 else newest
        try:
            port = server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client)
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()
        finally:
            server.close()
            await server.wait_closed()
        return seen[0]


@pytest.mark.parametrize(
    ("kind", "newest", "spoken"),
    [
        ("ec-p256", ssl.TLSVersion.TLSv1_3, "TLSv1.3"),
        ("ec-p256", ssl.TLSVersion.TLSv1_2, "TLSv1.2"),
        ("ec-p384", ssl.TLSVersion.TLSv1_3, "TLSv1.3"),
        ("rsa-2048", ssl.TLSVersion.TLSv1_2, "TLSv1.2"),
    ],
)
async def test_both_ends_of_a_handshake_are_signed_elsewhere(
    tmp_path: Path, kind: str, newest: ssl.TLSVersion, spoken: str
) -> None:
    elsewhere = Elsewhere(tmp_path, kind)
    version, chain = await elsewhere.shake_hands(newest)
    assert (version, chain[0]) == (spoken, der_of(elsewhere.certificate))
    assert len(elsewhere.asked) == 2


async def test_a_key_that_does_not_answer_ends_the_handshake(tmp_path: Path) -> None:
    elsewhere = Elsewhere(tmp_path, "ec-p256")
    elsewhere.broken = True
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await elsewhere.shake_hands(ssl.TLSVersion.TLSv1_2)
    assert elsewhere.asked


async def test_a_digest_that_no_scheme_here_signs_ends_the_handshake(tmp_path: Path) -> None:
    """A client may offer ECDSA over SHA-224 alone; the key is not asked for what `SignatureAlgorithm` does not have."""
    elsewhere = Elsewhere(tmp_path, "ec-p256")
    listening = peer_server_context(elsewhere.credentials(), (elsewhere.pki.root,))
    server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0, ssl=listening)
    port = server.sockets[0].getsockname()[1]
    try:
        for digest, signed in (("SHA256", ["ECDSA_SHA256"]), ("SHA224", [])):
            elsewhere.asked.clear()
            client = await asyncio.create_subprocess_exec(
                *(
                    "openssl",
                    "s_client",
                    "-connect",
                    f"127.0.0.1:{port}",
                    "-tls1_2",
                    "-sigalgs",
                    f"ECDSA+{digest}",
                ),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            said, _ = await asyncio.wait_for(client.communicate(), 60)
            assert elsewhere.asked == signed, said
            assert (b"Server public key is 256 bit" in said) == bool(signed)
    finally:
        server.close()
        await server.wait_closed()


def test_a_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    elsewhere = Elsewhere(tmp_path, "ec-p256")
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    with pytest.raises(ssl.SSLError, match="another key's"):
        peer_client_context(elsewhere.credentials(other))


def test_a_refused_key_leaves_nothing_behind_for_the_next_context(tmp_path: Path) -> None:
    elsewhere = Elsewhere(tmp_path, "ec-p256")
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    with pytest.raises(ssl.SSLError):
        peer_client_context(elsewhere.credentials(other))
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cadata=der_of(elsewhere.pki.root))
