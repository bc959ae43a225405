"""SOAP with attachments, as a sender makes it who signs correctly: what was decided on and signed is what any reader of the system finds.

Nobody signs a message's content type: a sender may name another part as the root (``start``), choose a boundary that its
attachments contain, or write parameters that some readers put together and others do not know.
"""

from __future__ import annotations

import email
import email.policy
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.exchange.soapentity import EntityReader, Envelope, content_type_for, write_entity
from gateway.exchange.wire import Body, attachments_of
from schemas import soap
from schemas.faults import BadMessage
from schemas.identifiers import ClientId, ServiceId
from schemas.multipart import MultipartParser, PartData, PartEnd, PartStart, parse_content_type

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CLIENT = ClientId("EE", "BUSINESS", "consumer")
SERVICE = ServiceId(ClientId("EE", "BUSINESS", "producer"), "test")
RAW = soap.render_request(CLIENT, SERVICE, "h1", '<t:test xmlns:t="urn:t"/>')
OTHER = soap.render_request(ClientId("EE", "GOV", "president"), SERVICE, "h1", '<t:test xmlns:t="urn:t"/>')
BOUNDARY = "xtop0123456789abcdef0123456789"


class Kept:
    """A spool in memory."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    async def chunks(self) -> AsyncIterator[bytes]:
        for place in range(0, len(self.content), 7):
            yield self.content[place : place + 7]


def body(content: bytes, *headers: tuple[str, str], content_type: str = "application/octet-stream") -> Body:
    return Body(Kept(content), content_type, headers)  # type: ignore[arg-type]


async def delivered(original: str, envelope: Envelope, *bodies: Body) -> tuple[str, bytes]:
    content_type = content_type_for(original, envelope, bodies, BOUNDARY)
    return content_type, b"".join([chunk async for chunk in write_entity(envelope, bodies, content_type)])


def parts_of(content_type: str, raw: bytes) -> list[bytes]:
    """The parts, as Python's mail parser finds them."""
    message = email.message_from_bytes(
        b"Content-Type: " + content_type.encode("latin-1") + b"\r\n\r\n" + raw, policy=email.policy.HTTP
    )
    assert message.is_multipart()
    parts = (part.get_payload(decode=True) for part in message.iter_parts())
    return [part if isinstance(part, bytes) else b"" for part in parts]


def ours(content_type: str, raw: bytes) -> list[bytes]:
    """The parts, as our own reader finds them."""
    parser, found = MultipartParser(parse_content_type(content_type)[1]["boundary"]), []
    for event in parser.feed(raw):
        match event:
            case PartStart():
                found.append(b"")
            case PartData():
                found[-1] += event.data
            case PartEnd():
                pass
    parser.close()
    return found


BOUNDARIES = ["b", "--", "a b", "x" * 70, "=_Part_1", "xtop", "'()+_,-./:=?"]


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"--\r\n", b"", b" \r\n"])
async def test_an_attachment_that_holds_its_sender_s_boundary_stays_one(boundary: str, end: bytes) -> None:
    hostile = b"a\r\n--" + boundary.encode() + end + b"Content-Type: text/xml\r\n\r\n" + OTHER
    original = f'multipart/related; type="text/xml"; boundary="{boundary}"'
    content_type, raw = await delivered(original, Envelope(RAW, "text/xml"), body(hostile), body(b"2"))
    assert ours(content_type, raw) == parts_of(content_type, raw) == [RAW, hostile, b"2"]


@given(st.lists(st.binary(max_size=40), max_size=4), st.sampled_from(BOUNDARIES))
async def test_as_many_parts_are_delivered_as_were_signed(contents: list[bytes], boundary: str) -> None:
    original = f'multipart/related; boundary="{boundary}"'
    framed = [b"\r\n--" + boundary.encode() + b"\r\n" + c for c in contents]
    content_type, raw = await delivered(original, Envelope(RAW, "text/xml"), *map(body, framed))
    assert ours(content_type, raw) == [RAW, *framed]


ROOT = ("Content-ID", "<root@x>")
OTHER_ROOT = ("Content-ID", "<other@x>")


@pytest.mark.parametrize(
    ("start", "first", "second"),
    [
        ("<other@x>", (ROOT,), (OTHER_ROOT,)),
        ("other@x", (ROOT,), (OTHER_ROOT,)),
        ("<other@x>", (), (OTHER_ROOT,)),
        ("<root@x>", (ROOT,), (ROOT,)),
        ("<root@x>", (ROOT,), (("content-id", "root@x"),)),
        ("<root@x>", (ROOT, OTHER_ROOT), (OTHER_ROOT,)),
        ("", (), (("Content-ID", ""),)),
        ("<ROOT@x>", (ROOT,), (("Content-ID", "<ROOT@x>"),)),
    ],
)
async def test_no_other_part_than_the_envelope_is_named_as_the_root(
    start: str, first: tuple[tuple[str, str], ...], second: tuple[tuple[str, str], ...]
) -> None:
    original = f'multipart/related; type="text/xml"; start="{start}"; boundary=b'
    envelope = Envelope(RAW, "text/xml", first)
    content_type, raw = await delivered(original, envelope, body(OTHER, *second, content_type="text/xml"))
    assert "start" not in parse_content_type(content_type)[1]
    assert ours(content_type, raw)[0] == RAW


async def test_a_root_that_is_named_rightly_and_what_else_a_system_needs_is_passed_on() -> None:
    original = 'Multipart/Related; start="<root@x>"; type="application/xop+xml"; start-info="text/xml; a=\\"b\\""; boundary=b'
    content_type, raw = await delivered(original, Envelope(RAW, "text/xml", (ROOT,)), body(b"1", OTHER_ROOT))
    assert parse_content_type(content_type)[1] == {
        **parse_content_type(original)[1],
        "boundary": BOUNDARY,
    }
    assert parts_of(content_type, raw) == [RAW, b"1"]


async def read(content_type: str, raw: bytes) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield raw

    await EntityReader(content_type, chunks(), None, 1 << 20).read_envelope()  # type: ignore[arg-type]


ENTITY = b"--b\r\nContent-Type: text/xml\r\nContent-ID: <root@x>\r\n\r\n" + RAW + b"\r\n--b--\r\n"


@pytest.mark.parametrize(
    "parameters",
    [
        'start="<other@x>"; boundary=b',
        "start=other@x; boundary=b",
        'start=""; boundary=b',
        'start*="<root@x>"; boundary=b',
        "boundary=b; boundary*0=c",
        "boundary*=utf-8''c; boundary=b",
        "boundary=b; boundary=c",
        "start=root@x; start=other@x; boundary=b",
        "boundary=b; BOUNDARY=c",
    ],
)
async def test_a_system_that_says_its_root_otherwise_than_it_sends_it_is_refused(parameters: str) -> None:
    with pytest.raises(BadMessage):
        await read(f"multipart/related; {parameters}", ENTITY)


@pytest.mark.parametrize("start", ['; start="<root@x>"', "; start=root@x", ""])
async def test_a_system_that_names_its_first_part_is_taken(start: str) -> None:
    await read(f"multipart/related; boundary=b{start}", ENTITY)


@pytest.mark.parametrize("label", ["<other@x>", "other@x", "<OTHER@x>", "<other%40x>"])
def test_attachments_of_one_label_are_neither_signed_nor_delivered_whichever_side_sent_them(
    label: str,
) -> None:
    sent = (body(b"1", OTHER_ROOT), body(b"2", ("content-id", label)))
    with pytest.raises(BadMessage, match="attachments 1 and 2 have one Content-ID"):
        attachments_of(sent)
