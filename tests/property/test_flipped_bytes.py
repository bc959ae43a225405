"""One flipped byte is never accepted: it is refused with a fault, or it changed nothing of what was proved.

Some bytes prove nothing: names of ids, spaces in a header, a zip's times, certificates an OCSP response carries though the
configuration has them. For those the verdict stays, and so must everything it says: who signed, what, and when.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from certs.algorithms import SignatureAlgorithm
from certs.certificates import der_of
from certs.configuration import sign_directory, verify_directory
from certs.dev.timestamping import timestamp_reply
from certs.tokens.soft import KeyKind
from certs.verify import ocsp
from certs.verify import timestamp as timestamps
from certs.verify.container import verify_container
from certs.verify.signature import verify_message_signature
from gateway.exchange.wire import MessageReader, attachments_of
from gateway.messagelog.spool import SpoolFolder
from schemas import rest
from schemas.asic import container as asic
from schemas.faults import Fault, Kind, NotProved
from schemas.globalconf.directory import Directory, DirectoryPart
from schemas.message import digest_of
from schemas.transport import RestPart
from schemas.xades import SHA512_URI
from tests import worlds
from tests.property.test_push_parsers import CONTENT_TYPE, written

# A flipped bit inside a certificate may give one that the library parses with a warning; it is refused all the same.
pytestmark = pytest.mark.filterwarnings("ignore")
Check = Callable[[bytes], Any]


def flipped(data: bytes, place: int, bit: int) -> bytes:
    place %= len(data)
    return data[:place] + bytes((data[place] ^ (1 << bit),)) + data[place + 1 :]


def assert_refused_or_unchanged(data: bytes, check: Check, place: int, bit: int) -> None:
    try:
        proved = check(flipped(data, place, bit))
    except Fault:
        return
    assert proved == check(data)


PLACES = st.integers(0, 10**6)
BITS = st.integers(0, 7)
many = settings(max_examples=300)


# OCSP responses and timestamps


def ocsp_check(der: bytes) -> ocsp.OcspStatus:
    world = worlds.world()
    leaf = world.identities[worlds.CONSUMER.member].certificate
    return ocsp.check_response(der, leaf, world.pki.intermediate, world.configuration, world.now)


@cache
def ocsp_response() -> bytes:
    world = worlds.world()
    return world.ocsp(world.identities[worlds.CONSUMER.member].certificate)


@many
@given(PLACES, BITS)
def test_ocsp_response(place: int, bit: int) -> None:
    assert_refused_or_unchanged(ocsp_response(), ocsp_check, place, bit)


@cache
def token() -> bytes:
    return worlds.world().stamp(b"x")


@many
@given(PLACES, BITS)
def test_timestamp(place: int, bit: int) -> None:
    authorities = worlds.world().configuration.tsa_certificates()
    assert_refused_or_unchanged(
        token(), lambda raw: timestamps.check_token(raw, digest_of(b"x"), authorities), place, bit
    )


@many
@given(PLACES, BITS)
def test_timestamp_reply(place: int, bit: int) -> None:
    world = worlds.world()
    asked = timestamps.build_request(digest_of(b"x"), want_certificate=True)
    reply = timestamp_reply(world.pki, asked, world.now, 1)
    authorities = world.configuration.tsa_certificates()
    assert_refused_or_unchanged(
        reply, lambda raw: timestamps.check_reply(raw, digest_of(b"x"), authorities)[1], place, bit
    )


# The signed configuration


@cache
def signed_directory() -> tuple[bytes, bytes]:
    """A signed directory and the certificate it verifies with."""
    world = worlds.world()
    identity = world.identities[worlds.CONSUMER.member]
    parts = (
        DirectoryPart("SHARED-PARAMETERS", "MX", "/V6/1/shared-params.xml", SHA512_URI, digest_of(b"s")),
        DirectoryPart("PRIVATE-PARAMETERS", "MX", "/V6/1/private-params.xml", SHA512_URI, digest_of(b"p")),
    )
    directory = Directory(6, world.now.replace(year=2027), parts)
    certificate = der_of(identity.certificate)
    raw = worlds.run_now(
        sign_directory(
            directory,
            world.token,
            identity.key_id,
            SignatureAlgorithm.ECDSA_SHA512,
            certificate,
            ("outer0123456789", "inner0123456789"),
        )
    )
    return raw, certificate


@many
@given(PLACES, BITS)
def test_signed_configuration(place: int, bit: int) -> None:
    raw, certificate = signed_directory()
    now = worlds.world().now
    assert_refused_or_unchanged(raw, lambda data: verify_directory(data, [certificate], now), place, bit)


# Messages and containers


def read_and_verify(raw: bytes, folder: Path) -> Any:
    """What a provider's gateway establishes of a message before it looks at who may call."""
    world = worlds.world()

    async def read() -> Any:
        async def chunks() -> AsyncIterator[bytes]:
            yield raw

        reader = MessageReader(
            CONTENT_TYPE, chunks(), SpoolFolder(folder).new, is_response=False, max_body_bytes=10**6
        )
        try:
            head = await reader.read_head()
            if not isinstance(head, RestPart):
                raise NotProved(Kind.MISSING_REST, "no REST part")
            request = rest.parse_request(head.raw)
            received = await reader.read_rest()
            message = request.to_message(attachments_of(received.attachments))
            proof = received.proof()
            signer = verify_message_signature(
                proof.signature,
                proof.hash_chain_result,
                proof.hash_chain,
                message.parts(),
                request.client.member,
                world.configuration,
                world.now,
            )
            return head.raw, message.parts(), signer.member, signer.certificate, signer.signing_time
        finally:
            reader.discard()

    return asyncio.run(read())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spool")


@many
@given(PLACES, BITS)
def test_message_between_gateways(folder: Path, place: int, bit: int) -> None:
    assert_refused_or_unchanged(written(), lambda raw: read_and_verify(raw, folder), place, bit)


def container_check(raw: bytes) -> Any:
    """Everything a verdict says of a container. A body may be missing, as X-Road lets it; a wrong one may not be there."""
    verdict = verify_container(io.BytesIO(raw), worlds.world().configuration)
    if not verdict.is_valid:
        raise NotProved(Kind.INVALID_SIGNATURE_VALUE, verdict.steps[-1].detail)
    read = asic.parse_container(raw)
    return verdict.signer, verdict.message_id, verdict.timestamp, read.message, dict(read.attachments)


@pytest.mark.parametrize("name", list(worlds.containers()))
@given(place=PLACES, bit=BITS)
def test_container(name: str, place: int, bit: int) -> None:
    raw = worlds.containers()[name]
    try:
        proved = container_check(flipped(raw, place, bit))
    except Fault:
        return
    said = container_check(raw)
    assert proved[:4] == said[:4]
    assert proved[4].items() <= said[4].items()


@pytest.mark.parametrize("kind", [KeyKind.RSA_2048, KeyKind.EC_P384])
def test_a_container_of_another_federation_is_refused(kind: KeyKind) -> None:
    with pytest.raises(NotProved):
        container_check(worlds.containers(kind)["alone"])
