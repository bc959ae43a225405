"""A push parser gives the same, however its input is cut: whole, a byte at a time, or anyhow; for broken input too."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from functools import cache
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.faults import BadMessage
from schemas.multipart import MultipartParser, PartData, PartEnd, PartStart
from schemas.transport import (
    AttachmentData,
    AttachmentEnd,
    AttachmentStart,
    ProxyMessageParser,
    ProxyMessageWriter,
    RestPart,
    SignaturePart,
)
from tests import worlds
from tests.paths import VECTORS

Event = TypeVar("Event")
CONTENT_TYPE = "multipart/mixed; boundary=b"


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """The pieces between the places."""
    at = [0, *sorted({p % (len(data) + 1) for p in places}), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(at)]


def framing(pieces: list[bytes]) -> object:
    """What the multipart parser says, data joined; or its fault, with what it said before."""
    parser = MultipartParser("b")
    said: list[object] = []
    try:
        for piece in pieces:
            for event in parser.feed(piece):
                join(said, event, PartData)
        parser.close()
    except BadMessage as fault:
        return fault.code
    return said


def message(pieces: list[bytes], content_type: str = CONTENT_TYPE) -> object:
    """What the reader of messages between security servers says."""
    parser = ProxyMessageParser(content_type, allow_bare_fault=True)
    said: list[object] = []
    try:
        for piece in pieces:
            for event in parser.feed(piece):
                join(said, event, AttachmentData)
        for event in parser.close():
            said.append(event)
    except BadMessage as fault:
        return fault.code
    return said


def join(said: list[object], event: object, kind: type[PartData | AttachmentData]) -> None:
    if isinstance(event, kind) and said and isinstance(said[-1], kind):
        said[-1] = joined(said[-1], event)
    else:
        said.append(event)


def joined(before: object, event: object) -> PartData | AttachmentData:
    if isinstance(before, AttachmentData) and isinstance(event, AttachmentData):
        return AttachmentData(before.number, before.data + event.data)
    assert isinstance(before, PartData)
    assert isinstance(event, PartData)
    return PartData(before.data + event.data)


NOISE = st.lists(
    st.one_of(
        st.sampled_from(
            (
                b"\r\n",
                b"\n",
                b"\r",
                b"--b",
                b"--b--",
                b"--",
                b"\r\n--b\r\n",
                b"\n--b\n",
                b"--b \t\r\n",
                b"a: b",
                b": ",
            )
        ),
        st.sampled_from(
            (b"\r\n\r\n", b"content-type: ", b"application/ocsp-response", b"text/xml", b"-", b"b")
        ),
        st.binary(max_size=4),
    ),
    max_size=25,
).map(b"".join)
PLACES = st.lists(st.integers(0, 10**6), max_size=8)


@given(NOISE, PLACES)
def test_multipart_of_anything(data: bytes, places: list[int]) -> None:
    whole = framing([data])
    assert framing(cut(data, range(len(data)))) == whole
    assert framing(cut(data, places)) == whole


HEADERS = st.lists(
    st.tuples(
        st.from_regex(r"[a-z-]{1,10}", fullmatch=True),
        st.from_regex(r"[!-~]([ -~]{0,10}[!-~])?", fullmatch=True),
    ),
    max_size=3,
)
CONTENTS = st.binary(max_size=60).filter(lambda c: b"--b" not in c)


@given(st.lists(st.tuples(HEADERS, CONTENTS), min_size=1, max_size=4), st.sampled_from(("\r\n", "\n")))
def test_multipart_gives_what_was_written(
    parts: list[tuple[list[tuple[str, str]], bytes]], line: str
) -> None:
    end = line.encode()
    body = b"".join(
        b"--b" + end + b"".join(f"{n}: {v}{line}".encode() for n, v in headers) + end + content + end
        for headers, content in parts
    )
    said = framing(cut(body + b"--b--" + end, range(len(body))))
    expected: list[object] = []
    for headers, content in parts:
        expected.append(PartStart(tuple(headers)))
        # With bare line feeds a carriage return at the end of the content is taken for part of the line break.
        kept = content.removesuffix(b"\r") if line == "\n" else content
        expected += [PartData(kept), PartEnd()] if kept else [PartEnd()]
    assert said == expected
    assert framing([body + b"--b--" + end]) == expected


@cache
def written() -> bytes:
    """A batch-signed request with body, as it goes between security servers."""
    world = worlds.world()
    asked = world.request(body=b"--x\r\n" * 20)
    signature = world.sign(asked, world.request())[0]
    assert signature.hash_chain_result is not None
    assert signature.hash_chain is not None
    writer = ProxyMessageWriter("b")
    leaf = world.identities[worlds.CONSUMER.member].certificate
    return b"".join(
        (
            writer.ocsp(world.ocsp(leaf)),
            writer.rest(asked.raw, is_response=False),
            writer.body_start(),
            b"--x\r\n" * 20,
            writer.body_end(),
            writer.hash_chain_result(signature.hash_chain_result),
            writer.hash_chain(signature.hash_chain),
            writer.signature(signature.signature),
            writer.close(),
        )
    )


def test_a_message_is_read_as_it_was_written() -> None:
    said = message(cut(written(), range(len(written()))))
    assert isinstance(said, list)
    assert [type(e).__name__ for e in said] == [
        "OcspResponse",
        "RestPart",
        "AttachmentStart",
        "AttachmentData",
        "AttachmentEnd",
        "HashChainResult",
        "HashChain",
        "SignaturePart",
    ]
    assert said[3] == AttachmentData(1, b"--x\r\n" * 20)


def soap_message() -> bytes:
    """SOAP with two attachments, one of them empty."""
    writer = ProxyMessageWriter("b")
    return b"".join(
        (
            writer.soap(b"<x/>", "text/xml; charset=UTF-8", (("x-a", "b"),)),
            writer.attachments_start(),
            writer.attachment_start("image/png", (("content-id", "<1>"),)),
            b"\r\n--innermost",
            writer.body_end(),
            writer.attachment_start("text/plain"),
            writer.body_end(),
            writer.attachments_end(),
            writer.signature(b"<s/>"),
            writer.close(),
        )
    )


def test_soap_attachments_are_read_as_they_were_written() -> None:
    said = message(cut(soap_message(), range(len(soap_message()))))
    assert isinstance(said, list)
    assert said[1:] == [
        AttachmentStart(1, "image/png", (("content-type", "image/png"), ("content-id", "<1>"))),
        AttachmentData(1, b"\r\n--innermost"),
        AttachmentEnd(1),
        AttachmentStart(2, "text/plain", (("content-type", "text/plain"),)),
        AttachmentEnd(2),
        SignaturePart(b"<s/>"),
    ]


RECORDED: dict[str, Callable[[], tuple[bytes, str]]] = {
    "ours": lambda: (written(), CONTENT_TYPE),
    "soap": lambda: (soap_message(), CONTENT_TYPE),
    "foreign": lambda: (
        (VECTORS / "proxymessages/attachment.request").read_bytes(),
        "multipart/mixed; charset=UTF-8; boundary=xtop569125687hcu8vfma",
    ),
}


@pytest.mark.parametrize("name", RECORDED)
@given(data=st.data())
def test_a_broken_message_is_read_the_same_however_it_is_cut(name: str, data: st.DataObject) -> None:
    raw, content_type = RECORDED[name]()
    at = data.draw(st.integers(0, len(raw) - 1))
    length = data.draw(st.integers(0, 3))
    broken = (
        raw[:at]
        + data.draw(st.sampled_from((b"", b"\n", b"\r\n", b"-", b"--b", b"\x00")))
        + raw[at + length :]
    )
    whole = message([broken], content_type)
    assert message(cut(broken, range(len(broken))), content_type) == whole
    assert message(cut(broken, data.draw(PLACES)), content_type) == whole


def test_a_rest_part_is_whole_in_one_event() -> None:
    said = message(cut(written(), range(len(written()))))
    assert isinstance(said, list)
    assert isinstance(said[1], RestPart)
