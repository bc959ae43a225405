"""Messages between security servers, rule by rule: which part may come where, how large it may be, and what stands for a fault."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import soap
from schemas.faults import BadMessage, Kind, WireFault
from schemas.faultxml import render_soap_fault
from schemas.identifiers import ClientId, ServiceId
from schemas.multipart import MultipartLimits
from schemas.transport import (
    AttachmentData,
    AttachmentEnd,
    AttachmentStart,
    Event,
    FaultPart,
    OcspResponse,
    ProxyMessageParser,
    ProxyMessageWriter,
    RestPart,
    SignaturePart,
    SoapPart,
    TransportLimits,
)
from tests import worlds

WRITER = ProxyMessageWriter("xtopabc")
MEMBER = ClientId("MX", "GOB", "1")
REST = b"GET /r1/MX/GOB/A/B/s HTTP/1.1\nx-road-client:MX/GOB/C/D\n\n"
FAULT = render_soap_fault("Server.X", "no")
SOAP = b"<e:Envelope xmlns:e='http://schemas.xmlsoap.org/soap/envelope/'><e:Body/></e:Envelope>"
PARTS = {
    "rest": WRITER.rest(REST, is_response=False),
    "soap": WRITER.soap(SOAP, "text/xml"),
    "body": WRITER.body_start() + b"12345" + WRITER.body_end(),
    "attachments": WRITER.attachments_start()
    + WRITER.attachment_start("text/plain")
    + b"67890"
    + WRITER.body_end()
    + WRITER.attachments_end(),
    "result": WRITER.hash_chain_result(b"<r/>"),
    "chain": WRITER.hash_chain(b"<c/>"),
    "signature": WRITER.signature(b"<s/>"),
    "fault": WRITER.fault(FAULT),
    "close": WRITER.close(),
}


def read(raw: bytes, *, limits: TransportLimits | None = None, step: int = 0) -> list[Event]:
    parser = ProxyMessageParser(WRITER.content_type, allow_bare_fault=False, limits=limits)
    pieces = [raw[i : i + step] for i in range(0, len(raw), step)] if step else [raw]
    return [event for piece in pieces for event in parser.feed(piece)] + parser.close()


def written(names: str) -> bytes:
    return b"".join(PARTS[name] for name in (*names.split(), "close"))


@pytest.mark.parametrize(
    "names",
    [
        *("rest signature", "rest body signature", "soap signature", "soap attachments signature"),
        *("rest result chain signature", "soap attachments result chain signature", "rest result fault", ""),
    ],
)
def test_parts_come_in_the_order_of_the_grammar(names: str) -> None:
    assert len(read(written(names))) >= len(names.split())


EMPTY = (
    WRITER.attachments_start() + WRITER.attachment_start("a/b") + WRITER.body_end() + WRITER.attachments_end()
)
CALLED_FAULT = soap.render_request(MEMBER, ServiceId(MEMBER, "a"), "1", "<a><o:Fault xmlns:o='urn:o'/></a>")


@pytest.mark.parametrize("step", [0, 1, 7])
@pytest.mark.parametrize(
    ("raw", "events"),
    [
        (PARTS["rest"] + WRITER.body_start() + WRITER.body_end(), [RestPart, AttachmentStart, AttachmentEnd]),
        (PARTS["soap"] + EMPTY, [SoapPart, AttachmentStart, AttachmentEnd]),
        (WRITER.soap(CALLED_FAULT, "text/xml"), [SoapPart]),
        (PARTS["rest"], [RestPart]),
    ],
)
def test_empty_bodies_and_envelopes_that_only_name_a_fault_are_messages(
    raw: bytes, events: list[type], step: int
) -> None:
    found = read(raw + PARTS["signature"] + PARTS["close"], step=step)
    assert [type(event) for event in found] == [*events, SignaturePart]


def test_nothing_and_a_fault_alone_are_answers_too() -> None:
    assert read(b"") == []
    alone = read(WRITER.soap(FAULT, "text/xml") + PARTS["close"])
    assert alone == [FaultPart(WireFault("Server.X", "no"), FAULT)]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ("signature", r"cannot come here \(start\)"),
        ("rest rest", r"cannot come here \(rest\)"),
        ("rest attachments", r"cannot come here \(rest\)"),
        ("soap body", r"cannot come here \(soap\)"),
        ("rest body body", r"cannot come here \(bodies\)"),
        ("rest chain signature", r"cannot come here \(rest\)"),
        ("rest result signature", r"cannot come here \(chain_result\)"),
        ("rest result result", r"cannot come here \(chain_result\)"),
        ("rest signature signature", "a part came after the end"),
        ("rest signature rest", "a part came after the end"),
        ("rest soap", "a message came where only a signature or a fault may stand"),
    ],
)
@pytest.mark.parametrize("step", [0, 1, 7])
def test_a_part_that_the_grammar_does_not_have_there_is_refused_however_it_is_cut(
    names: str, words: str, step: int
) -> None:
    with pytest.raises(BadMessage, match=words):
        read(written(names), step=step)


@pytest.mark.parametrize("step", [0, 1, 5])
@pytest.mark.parametrize(
    ("names", "limits", "exact"),
    [
        ("rest signature", "rest_bytes", len(REST)),
        ("soap signature", "soap_bytes", len(SOAP)),
        ("rest signature", "signature_bytes", 4),
        ("rest result chain signature", "hash_chain_bytes", 4),
        ("soap attachments signature", "attachments", 1),
    ],
)
def test_a_part_is_as_large_as_it_may_be_and_no_larger(
    names: str, limits: str, exact: int, step: int
) -> None:
    raw = written(names)
    assert isinstance(read(raw, limits=TransportLimits(**{limits: exact}), step=step)[-1], SignaturePart)  # type: ignore[arg-type]
    with pytest.raises(BadMessage, match=rf"has reached \d+; at most {exact - 1} is accepted"):
        read(raw, limits=TransportLimits(**{limits: exact - 1}), step=step)  # type: ignore[arg-type]


def test_responses_of_ocsp_are_read_and_counted() -> None:
    world = worlds.world()
    der = world.ocsp(world.auth[worlds.CONSUMER_SERVER])
    raw = WRITER.ocsp(der) * 2 + written("rest signature")
    assert read(raw, limits=TransportLimits(ocsp_responses=2))[:2] == [OcspResponse(der)] * 2
    with pytest.raises(BadMessage, match="a list of OCSP responses of the message has reached 2"):
        read(raw, limits=TransportLimits(ocsp_responses=1))
    with pytest.raises(BadMessage, match="is not an OCSP response") as caught:
        read(WRITER.ocsp(b"\x30\x03\x02\x01\x00") + written("rest signature"))
    assert caught.value.kind is Kind.IO_ERROR


def test_a_part_holds_the_kind_of_message_that_its_type_says() -> None:
    wrong = WRITER.rest(REST, is_response=True) + written("signature")
    with pytest.raises(BadMessage, match="holds the opposite of it"):
        read(wrong)


def test_attachments_name_their_boundary() -> None:
    start = WRITER.attachments_start()
    nameless = start[: start.index(b"; boundary")] + b"\r\n\r\n"
    with pytest.raises(BadMessage, match="names no boundary"):
        read(PARTS["soap"] + nameless + b"--x\r\n\r\n\r\n--x--\r\n" + written("signature"))


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "multipart/mixed", "multipart/related; boundary=a", "text/xml"]
)
def test_a_request_is_multipart_with_a_boundary(content_type: str) -> None:
    with pytest.raises(BadMessage, match="expected multipart/mixed with a boundary"):
        ProxyMessageParser(content_type, allow_bare_fault=False)


def test_an_answer_may_be_a_fault_alone_and_nothing_else_of_that_type() -> None:
    def bare(raw: bytes, limits: TransportLimits | None = None) -> list[Event]:
        parser = ProxyMessageParser("text/xml", allow_bare_fault=True, limits=limits)
        return parser.feed(raw) + parser.close()

    assert [type(e) for e in bare(FAULT)] == [FaultPart]
    with pytest.raises(BadMessage, match="must be a fault; a message came"):
        bare(SOAP)
    with pytest.raises(BadMessage, match="a fault of the message has reached"):
        bare(FAULT, TransportLimits(soap_bytes=len(FAULT) - 1))


@given(st.integers(1, 200))
def test_what_its_sender_writes_behind_a_fault_is_dropped_however_it_is_cut(step: int) -> None:
    events = read(written("rest body fault") + b"trailing", step=step)
    assert isinstance(events[-1], FaultPart)
    assert b"".join(e.data for e in events if isinstance(e, AttachmentData)) == b"12345"


@pytest.mark.parametrize("step", [0, 1, 9])
@pytest.mark.parametrize("blank", [b"\r\n\r\n", b"\r\n--xtopabc"])
def test_headers_of_a_part_are_as_long_as_they_may_be(blank: bytes, step: int) -> None:
    head = b"content-type: application/x; a=" + b"b" * 50
    raw = b"--xtopabc\r\n" + head + blank + b"\r\n--xtopabc--\r\n"
    with pytest.raises(BadMessage, match="cannot come here"):
        read(raw, limits=TransportLimits(framing=MultipartLimits(header_bytes=len(head) + 4)), step=step)
    with pytest.raises(BadMessage, match=rf"headers exceed {len(head) - 1} bytes"):
        read(raw, limits=TransportLimits(framing=MultipartLimits(header_bytes=len(head) - 1)), step=step)
