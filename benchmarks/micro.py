"""What the single steps of an exchange cost in one process: parse, sign, verify, chain, container. ``python -m benchmarks.micro``.

Microseconds an operation, the best of several rounds, without sockets, disk or other processes. For comparing one commit with
the next on one machine; whole round trips are `benchmarks.load`.
"""

from __future__ import annotations

import asyncio
import io
import itertools
import os
import timeit
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec

from benchmarks.processes import machine
from certs.algorithms import SignatureAlgorithm
from certs.signing import MessageSigner
from certs.tokens.port import KeyId, SigningIdentity
from certs.verify import signature as verifying
from gateway.messagelog.keytree import new_tree
from gateway.messagelog.record import sealed_label
from gateway.messagelog.sealing import NONCE_BYTES, StreamSealer, seal
from schemas import hashchain, rest, transport, xades
from schemas.asic import container as asic
from schemas.identifiers import ClientId
from schemas.message import digest_of
from serving.storage.selfsigned import self_signed

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
BODY = b"x" * 1000
OCSP = os.urandom(1200)
HEADERS = (("X-Road-Client", "MX/GOB/A/S"), ("Content-Type", "application/json"), ("Accept", "*/*"))
TARGET = "/r1/MX/GOB/B/S/echo/path?x=1"


class Key:
    """A P-256 key that signs at once."""

    def __init__(self, private_key: ec.EllipticCurvePrivateKey) -> None:
        self._key = private_key

    async def sign(self, key_id: KeyId, digest: bytes, algorithm: SignatureAlgorithm) -> bytes:
        """The signature over a digest, as DER."""
        del key_id
        return self._key.sign(digest, algorithm.ecdsa)


def measure(label: str, act: Callable[[], object], *, messages: int = 1) -> None:
    """Print the best of five rounds, in microseconds a message."""
    act()
    number = max(1, int(0.05 / max(timeit.timeit(act, number=1), 1e-6)))
    best = min(timeit.repeat(act, number=number, repeat=5)) / number / messages
    print(f"{label:44}{best * 1e6:10.1f} µs")


def main() -> None:
    """Measure every step."""
    print(machine())
    request = rest.build_request("POST", TARGET, HEADERS, instance="MX", new_id=lambda: "id")
    parts = (("/message.xml", digest_of(request.raw)), ("/attachment1", digest_of(BODY)))
    key, (certificate,) = self_signed("micro")
    identity = SigningIdentity(
        ClientId("MX", "GOB", "A"),
        KeyId("k"),
        certificate,
        (),
        SignatureAlgorithm.for_key(certificate.public_key()),
    )

    def sign(count: int) -> list[bytes]:
        async def run() -> list[bytes]:
            signer = MessageSigner(Key(key))
            signed = await asyncio.gather(*(signer.sign(identity, [OCSP], parts, NOW) for _ in range(count)))
            return [s.signature for s in signed]

        return loop.run_until_complete(run())

    loop = asyncio.new_event_loop()
    built = hashchain.build([parts])
    batch = hashchain.build([parts] * 16)
    signature = sign(1)[0]
    document = xades.parse_signature_document(signature)
    writer = transport.ProxyMessageWriter("boundary")
    wire = b"".join(
        (
            writer.rest(request.raw, is_response=False),
            writer.body_start(),
            BODY,
            writer.body_end(),
            writer.hash_chain_result(built.result),
            writer.hash_chain(built.chains[0]),
            writer.signature(signature),
            writer.close(),
        )
    )

    def parse_wire(step: int) -> None:
        parser = transport.ProxyMessageParser(writer.content_type, allow_bare_fault=False)
        for start in range(0, len(wire), step):
            parser.feed(wire[start : start + step])
        parser.close()

    container = asic.Container(
        message=request.raw,
        signature=signature,
        sig_hash_chain_result=built.result,
        sig_hash_chain=built.chains[0],
    )
    measure(
        "REST request built",
        lambda: rest.build_request("POST", TARGET, HEADERS, instance="MX", new_id=lambda: "id"),
    )
    measure("REST request parsed", lambda: rest.parse_request(request.raw))
    measure(f"transport message parsed ({len(wire)} bytes)", lambda: parse_wire(len(wire)))
    measure("transport message parsed, 100 bytes a time", lambda: parse_wire(100))
    measure("signed alone, P-256", lambda: sign(1))
    measure("signed in a batch of 16, P-256, a message", lambda: sign(16), messages=16)
    measure("signature document parsed", lambda: xades.parse_signature_document(signature))
    measure(
        "signature value and properties verified",
        lambda: verifying.check_signature_value(document, certificate),
    )
    measure("hash chain of one message built", lambda: hashchain.build([parts]))
    measure("hash chains of 16 built, a message", lambda: hashchain.build([parts] * 16), messages=16)
    measure(
        "hash chain checked, as we build it",
        lambda: hashchain.is_as_built(batch.result, batch.chains[3], parts),
    )
    measure(
        "hash chain checked, any dialect",
        lambda: hashchain.verify(batch.result, batch.chains[3], dict(parts)),
    )
    measure(
        "container written",
        lambda: asic.write_container(io.BytesIO(), container, NOW, [("attachment1", (BODY,))]),
    )
    measure_log(request.raw)
    loop.close()


def measure_log(message: bytes) -> None:
    """What sealing costs the message log: keys, a message with its body, and a large body, whose digest is for comparing."""
    tree = new_tree(1, NOW, os.urandom(32))
    numbers = itertools.count(1)
    mebibyte = os.urandom(1 << 20)

    def seal_record() -> None:
        number = next(numbers)
        key = tree.key(number)
        for content, what in ((message, "message"), (BODY, "attachment 1")):
            seal(key, os.urandom(NONCE_BYTES), content, sealed_label(number, what))

    def seal_body() -> None:
        sealer = StreamSealer(bytes(32))
        for start in range(0, len(mebibyte), 65536):
            sealer.feed(mebibyte[start : start + 65536])
        sealer.finish()

    measure("log record: its key derived", lambda: tree.key(next(numbers)))
    measure("log record: key, message and body sealed", seal_record)
    measure("a mebibyte of body sealed", seal_body)
    measure("a mebibyte of body digested (SHA-512)", lambda: digest_of(mebibyte))


if __name__ == "__main__":
    main()
