"""What is written is read back: a message between gateways, and a SOAP message for an information system."""

from __future__ import annotations

import asyncio
import itertools
import random
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from certs.signing import MessageSignature
from gateway.clients.model import ServiceType
from gateway.exchange import wire
from gateway.exchange.soapentity import EntityReader, Envelope, content_type_for, write_entity
from gateway.exchange.wire import Body, Outgoing
from gateway.http.whole import whole_of
from gateway.messagelog.spool import MEMORY_LIMIT, SpoolFolder
from schemas import soap
from schemas.multipart import parse_content_type
from schemas.transport import ProxyMessageWriter
from tests import worlds
from tests.doubles import one_by_one
from tests.exchanges import SERVICE, GatewayPair, provider_conf
from tests.worlds import CONSUMER, CONSUMER_SERVER, PROVIDER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from schemas.multipart import Headers

ENVELOPE = soap.render_request(CONSUMER, SERVICE, "q1", '<a:afiliados xmlns:a="urn:a"/>')
# Where a body leaves memory, where a piece is passed on as it is, and where pieces are written together.
KIB = 1024
SIZES = st.sampled_from([0, 1, 60 * KIB, MEMORY_LIMIT, MEMORY_LIMIT + 1, 200 * KIB, 600 * KIB])


def content(number: int, size: int) -> bytes:
    return random.Random(number).randbytes(size)


async def bodies_of(folder: SpoolFolder, sizes: Sequence[int], headers: Headers = ()) -> list[Body]:
    found = []
    for number, size in enumerate(sizes, start=1):
        body = Body(wire.new_attachment_spool(folder.new, number), "application/octet-stream", headers)
        await body.spool.write(content(number, size))
        await body.spool.finish()
        found.append(body)
    return found


async def pieces_of(chunks: AsyncIterator[bytes]) -> list[bytes]:
    whole = whole_of(chunks)
    return [chunk async for chunk in chunks] if whole is None else [whole]


def spools_in(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file()]


async def read(body: Body) -> bytes:
    return b"".join([chunk async for chunk in body.spool.chunks()])


# Between gateways


@settings(max_examples=50)
@given(
    sizes=st.lists(SIZES, max_size=4),
    is_rest=st.booleans(),
    has_chain=st.booleans(),
    responses=st.integers(0, 3),
)
def test_a_message_between_gateways_is_read_as_it_was_written(
    sizes: list[int], responses: int, *, is_rest: bool, has_chain: bool
) -> None:
    world = worlds.world()
    ocsp = [world.ocsp(world.auth[CONSUMER_SERVER])] * responses
    signature = MessageSignature(b"<s/>", *((b"<r/>", b"<c/>") if has_chain else (None, None)))
    sizes = sizes[:1] if is_rest else sizes

    async def both(folder: SpoolFolder) -> None:
        written = await bodies_of(folder, sizes, (("X-Part", "yes"),))
        message = world.request()
        if not is_rest:
            parsed = soap.parse_message(ENVELOPE)
            message = parsed.to_message("r1", is_response=False)
        writer = ProxyMessageWriter("xtopabc")
        outgoing = Outgoing(message, written, "text/xml", (("X-Envelope", "yes"),))
        pieces = await pieces_of(wire.write_message(writer, outgoing, signature, ocsp))
        # What is short is put together: between two short pieces there is always a long one, and no piece is huge.
        assert all(max(map(len, pair)) >= 64 * KIB for pair in itertools.pairwise(pieces))
        assert max(map(len, pieces)) <= (512 + 64) * KIB
        assert len(pieces) == 1 or sum(sizes) > MEMORY_LIMIT
        reader = wire.MessageReader(
            writer.content_type,
            one_by_one(b"".join(pieces), 90_001),
            folder.new,
            is_response=False,
            max_body_bytes=sum(sizes),
        )
        head = await reader.read_head()
        received = await reader.read_rest()
        assert head is not None
        assert (head.raw, received.proof()) == (message.raw, signature)
        assert list(reader.ocsp_responses) == ocsp
        assert [await read(b) for b in received.attachments] == [await read(b) for b in written]
        if not is_rest:
            assert all(
                ("x-part", "yes") in {(n.lower(), v) for n, v in b.headers} for b in received.attachments
            )
        reader.discard()
        wire.discard_all(written)

    with tempfile.TemporaryDirectory() as place:
        asyncio.run(both(SpoolFolder(Path(place), budget_bytes=0)))
        assert spools_in(Path(place)) == []


# To an information system


@pytest.mark.parametrize(
    ("original", "first", "others", "expected"),
    [
        ("text/xml", [], [], "text/xml; charset=UTF-8"),
        ("text/xml", [], [[]], 'multipart/related; type="text/xml"; charset=UTF-8; boundary=B'),
        ("multipart/related", [], [], "text/xml; charset=UTF-8"),
        ("multipart/related; boundary=b", [], [], "multipart/related; boundary=B"),
        (
            'multipart/related; type="text/xml"; boundary="b c"',
            [],
            [[]],
            'multipart/related; type="text/xml"; boundary=B',
        ),
        (
            'multipart/related; start="<e>"; boundary=b',
            ["<e>"],
            [["<f>"]],
            'multipart/related; start="<e>"; boundary=B',
        ),
        ("multipart/related; start=e; boundary=b", ["<e>"], [[]], "multipart/related; start=e; boundary=B"),
        ('multipart/related; start="<e>"; boundary=b', ["<f>"], [["<e>"]], "multipart/related; boundary=B"),
        ('multipart/related; start="<e>"; boundary=b', ["<e>"], [["<e>"]], "multipart/related; boundary=B"),
        ('multipart/related; start="<e>"; boundary=b', ["<e>", "<f>"], [], "multipart/related; boundary=B"),
        ('multipart/related; start="<e>"; boundary=b', [], [], "multipart/related; boundary=B"),
        (
            r'multipart/related; start-info="a \"b\" \\c"; boundary=b',
            [],
            [],
            r'multipart/related; start-info="a \"b\" \\c"; boundary=B',
        ),
    ],
)
def test_a_multipart_goes_on_under_its_senders_type_and_a_boundary_of_our_own(
    tmp_path: Path, original: str, first: list[str], others: list[list[str]], expected: str
) -> None:
    """``start`` stays only where it names the envelope and nothing else (RFC 2387 3.2)."""
    new_spool = SpoolFolder(tmp_path).new

    def labelled(ids: list[str]) -> Headers:
        return tuple(("Content-ID", i) for i in ids)

    bodies = [Body(new_spool(), "text/plain", labelled(ids)) for ids in others]
    found = content_type_for(original, Envelope(ENVELOPE, "text/xml", labelled(first)), bodies, "B")
    assert parse_content_type(found) == parse_content_type(expected)
    assert found.count("boundary") == expected.count("boundary")


@settings(max_examples=30)
@given(sizes=st.lists(SIZES, max_size=4), is_multipart=st.booleans())
def test_a_soap_message_for_a_system_is_read_as_it_was_written(
    sizes: list[int], *, is_multipart: bool
) -> None:
    async def both(folder: SpoolFolder) -> None:
        written = await bodies_of(folder, sizes, (("Content-ID", "<a>"),))
        original = "multipart/related; boundary=b" if is_multipart else "text/xml"
        envelope = Envelope(ENVELOPE, "text/xml; charset=UTF-8", (("X-Part", "yes"),) if is_multipart else ())
        content_type = content_type_for(original, envelope, written, "xroad1")
        pieces = await pieces_of(write_entity(envelope, written, content_type))
        assert all(len(piece) >= 64 * KIB for piece in pieces[:-1])
        reader = EntityReader(content_type, one_by_one(b"".join(pieces), 90_001), folder.new, sum(sizes))
        found = await reader.read_envelope()
        received = await reader.read_bodies()
        assert found is not None
        assert found.raw == envelope.raw
        assert (found.headers == envelope.headers) is (is_multipart or not written or not envelope.headers)
        assert [await read(b) for b in received] == [await read(b) for b in written]
        assert [b.headers for b in received] == [b.headers for b in written]
        reader.discard()
        wire.discard_all(written)

    with tempfile.TemporaryDirectory() as place:
        asyncio.run(both(SpoolFolder(Path(place), budget_bytes=0)))
        assert spools_in(Path(place)) == []


# Both ways, through both gateways


@pytest.mark.parametrize("sizes", [(), (5,), (5, MEMORY_LIMIT + 1, 0)])
async def test_soap_with_attachments_goes_there_and_its_answer_comes_back(
    tmp_path: Path, sizes: tuple[int, ...]
) -> None:
    pair = GatewayPair(tmp_path)
    pair.provider_conf = provider_conf(type=ServiceType.WSDL)
    answer = soap.render_answer(soap.parse_message(ENVELOPE), '<a:afiliadosResponse xmlns:a="urn:a"/>')
    folder = SpoolFolder(tmp_path / "system")
    original = "multipart/related; boundary=b" if sizes else "text/xml"

    async def entity(raw: bytes, bodies: Sequence[Body]) -> bytes:
        return b"".join(await pieces_of(write_entity(Envelope(raw, "text/xml"), bodies, original)))

    bodies = await bodies_of(folder, sizes)
    pair.services.content_type, pair.services.body = original, await entity(answer, bodies[::-1])
    sent = await entity(ENVELOPE, bodies)
    content_type, came = await pair.ask_over_soap(sent, original, ("SOAPAction", '"urn:a#hola"'))
    (call,) = pair.services.calls
    assert call.message.service.client == PROVIDER
    assert ("SOAPAction", '"urn:a#hola"') in call.headers
    reader = EntityReader(content_type, one_by_one(came), folder.new, 1_000_000)
    envelope = await reader.read_envelope()
    assert envelope is not None
    assert b"requestHash" in envelope.raw
    assert [await read(b) for b in await reader.read_bodies()] == [await read(b) for b in bodies[::-1]]
    assert [e.message.is_response for e in pair.consumer_log.entries] == [False, True]
    assert all(len(e.message.attachments) == len(sizes) for e in pair.provider_log.entries)
    reader.discard()
    wire.discard_all(bodies)
    assert spools_in(tmp_path) == []
