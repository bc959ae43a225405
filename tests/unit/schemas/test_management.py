"""Management requests go out and come back as they were, and what is not one is refused with what was expected."""

from __future__ import annotations

import pytest

from schemas.faults import BadMessage, Kind, PeerFault
from schemas.faultxml import render_soap_fault
from schemas.identifiers import ClientId, ServerId
from schemas.management import (
    ManagementRequest,
    ManagementServiceCode,
    RequestHeader,
    RequestParts,
    RequestSignature,
    check_parts,
    parse_parts,
    parse_request,
    parse_response,
    render_parts,
    render_request,
    render_response,
)

OWNER = ClientId("MX", "GOB", "15-ISSEMYM")
SERVER = OWNER.server("SS1")
HEADER = RequestHeader(OWNER, ClientId("MX", "GOB", "00-ONIESS", "GESTION"), "b5c1", "officer")
REQUESTS = [
    ManagementRequest(
        ManagementServiceCode.AUTH_CERT_REG, SERVER, address="ss1.mx", auth_certificate=b"\x30\x82"
    ),
    ManagementRequest(ManagementServiceCode.AUTH_CERT_DELETION, SERVER, auth_certificate=b"\x30\x82"),
    ManagementRequest(
        ManagementServiceCode.CLIENT_REG, SERVER, OWNER.subsystem("AFIL"), subsystem_name="Afiliación"
    ),
    ManagementRequest(ManagementServiceCode.CLIENT_DELETION, SERVER, OWNER.subsystem("AFIL")),
    ManagementRequest(ManagementServiceCode.CLIENT_DISABLE, SERVER, OWNER.subsystem("AFIL")),
    ManagementRequest(ManagementServiceCode.CLIENT_ENABLE, SERVER, OWNER.subsystem("AFIL")),
    ManagementRequest(
        ManagementServiceCode.CLIENT_RENAME, SERVER, OWNER.subsystem("AFIL"), subsystem_name="Otro"
    ),
    ManagementRequest(ManagementServiceCode.OWNER_CHANGE, SERVER, ClientId("MX", "GOB", "26")),
    ManagementRequest(ManagementServiceCode.ADDRESS_CHANGE, SERVER, address="10.1.2.3"),
    ManagementRequest(ManagementServiceCode.MAINTENANCE_ENABLE, SERVER, message="hasta las 5 & más"),
    ManagementRequest(ManagementServiceCode.MAINTENANCE_DISABLE, SERVER),
]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda r: r.service.value)
def test_a_request_comes_back_as_it_was_rendered(request_: ManagementRequest) -> None:
    raw = render_request(request_, HEADER)
    message = parse_request(raw)
    assert message.request == request_
    assert message.header == HEADER
    assert message.raw == raw


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda r: r.service.value)
def test_a_response_echoes_the_request_and_adds_its_number(request_: ManagementRequest) -> None:
    answer = render_response(render_request(request_, HEADER), 413)
    assert parse_response(answer, request_.service) == 413
    assert b"15-ISSEMYM" in answer


def test_a_refusal_is_raised_as_the_central_server_said_it() -> None:
    with pytest.raises(PeerFault) as caught:
        parse_response(render_soap_fault("invalid_request", "no"), ManagementServiceCode.CLIENT_REG)
    assert caught.value.kind is Kind.INVALID_REQUEST


def test_signed_parts_come_back_byte_for_byte_binary_included() -> None:
    parts = RequestParts(
        b"<a/>", (RequestSignature("SHA512withRSA", b"\r\n--x\x00\xff"),), (b"cert\r\n", b"", b"ocsp")
    )
    content_type, body = render_parts(parts, "boundary0123456789")
    assert parse_parts(content_type, body) == parts


def test_an_unsigned_request_is_plain_xml() -> None:
    content_type, body = render_parts(RequestParts(b"<a/>"), "b")
    assert content_type == "text/xml; charset=UTF-8"
    assert parse_parts(content_type, body) == RequestParts(b"<a/>")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/related; boundary=x", b""),
        ("multipart/related", b"--x"),
        ("application/json", b"{}"),
        ("multipart/related; boundary=x", b"--x\r\ncontent-type: text/xml\r\n\r\n<a/>"),
        ("multipart/related; boundary=x", b"--x\r\ncontent-type: image/png\r\n\r\n<a/>\r\n--x--"),
        ("text/xml", b"<" * 100_001),
    ],
    ids=["empty", "no boundary", "json", "cut off", "no envelope first", "too large"],
)
def test_a_body_that_is_no_request_is_refused(content_type: str, body: bytes) -> None:
    with pytest.raises(BadMessage) as caught:
        parse_parts(content_type, body)
    assert caught.value.kind is Kind.INVALID_REQUEST


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        (b"xroad:clientReg", b"xroad:dropTables", Kind.INVALID_REQUEST),
        (b"<xroad:id>b5c1</xroad:id>", b"<xroad:id> </xroad:id>", Kind.INVALID_REQUEST),
        (b"<xroad:subsystemName>", b"<xroad:other/><xroad:subsystemName>", Kind.INVALID_REQUEST),
        (b">SS1<", b">S;S1<", Kind.INVALID_CLIENT_IDENTIFIER),
        (b">SS1<", b"> <", Kind.INVALID_CLIENT_IDENTIFIER),
        (b">clientReg<", b">ownerChange<", Kind.INVALID_REQUEST),
        (b"</xroad:client>", b"</xroad:client><!--c--><xroad:client/>", Kind.INVALID_REQUEST),
    ],
    ids=["service", "id", "unknown child", "character", "blank", "header differs", "double"],
)
def test_an_envelope_that_is_no_request_is_refused(old: bytes, new: bytes, kind: Kind) -> None:
    raw = render_request(REQUESTS[2], HEADER)
    assert old in raw
    with pytest.raises(BadMessage) as caught:
        parse_request(raw.replace(old, new))
    assert caught.value.kind is kind


def test_a_request_without_its_signatures_is_refused() -> None:
    with pytest.raises(BadMessage, match="1 signatures and 2 certificates"):
        check_parts(RequestParts(b"<a/>"), ManagementServiceCode.CLIENT_REG)
    check_parts(RequestParts(b"<a/>"), ManagementServiceCode.CLIENT_DELETION)


def test_too_long_a_server_code_is_refused() -> None:
    raw = render_request(
        ManagementRequest(ManagementServiceCode.MAINTENANCE_DISABLE, ServerId("MX", "GOB", "1", "S" * 256)),
        HEADER,
    )
    with pytest.raises(BadMessage):
        parse_request(raw)
