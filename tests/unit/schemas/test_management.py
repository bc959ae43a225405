"""Management requests go out and come back as they were, and what is not one is refused with what was expected."""

from __future__ import annotations

from dataclasses import replace

import pytest

from schemas.faults import BadMessage, Kind, PeerFault
from schemas.faultxml import render_soap_fault
from schemas.identifiers import ClientId, ServerId
from schemas.management import (
    ManagementMessage,
    ManagementRequest,
    ManagementServiceCode,
    RequestHeader,
    RequestParts,
    RequestSignature,
    RequestStatus,
    check_parts,
    parse_parts,
    parse_request,
    parse_response,
    parse_status,
    render_parts,
    render_request,
    render_response,
    render_status,
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
    ManagementRequest(ManagementServiceCode.CLIENT_REG, SERVER, OWNER),
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
    for header in (HEADER, replace(HEADER, user_id=None)):
        raw = render_request(request_, header)
        assert parse_request(raw) == ManagementMessage(header, request_, raw)


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
        (b"</SOAP-ENV:Header>", b"</SOAP-ENV:Header><SOAP-ENV:Header/>", Kind.INVALID_REQUEST),
        (b"</SOAP-ENV:Body>", b"</SOAP-ENV:Body><SOAP-ENV:Header/>", Kind.INVALID_REQUEST),
        (b"</SOAP-ENV:Body>", b"</SOAP-ENV:Body><SOAP-ENV:Body/>", Kind.INVALID_REQUEST),
        (b"<xroad:id>", b"<xroad:userId>a</xroad:userId><xroad:userId/><xroad:id>", Kind.INVALID_REQUEST),
        (b">b5c1<", b">b5<b/>c1<", Kind.INVALID_REQUEST),
        (b">b5c1<", ">b5\u202ec1<".encode(), Kind.BAD_REQUEST),
        (b">SS1<", b">SS1<b/>2<", Kind.INVALID_REQUEST),
        (b"<xroad:subsystemName>", b"<xroad:subsystemName><b/>", Kind.INVALID_REQUEST),
    ],
    ids=[
        *("service", "id", "unknown child", "character", "blank", "header differs", "double"),
        *("two headers", "a header behind", "two bodies", "two users", "id in two", "id reordered"),
        *("code in two", "name in two"),
    ],
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


def test_an_envelope_lacks_no_element_of_its_service() -> None:
    raw = render_request(REQUESTS[2], HEADER)
    start, end = raw.index(b"<xroad:server"), raw.index(b"</xroad:server>") + len(b"</xroad:server>")
    for changed, words in (
        (raw[:start] + raw[end:], "clientReg lacks server"),
        (raw[:end] + raw[start:end] + raw[end:], "cannot be there"),
        (
            raw.replace(b"<xroad:subsystemName>", b"<subsystemName>").replace(b"</xroad:subs", b"</subs"),
            "cannot be",
        ),
        (b" \n", "the request is empty"),
        (b"<a/>", "a SOAP 1.1 envelope with one header and one body of one element was expected"),
        (raw.replace(b"Header>", b"Head>"), "a SOAP 1.1 envelope with one header"),
        (raw.replace(b"</SOAP-ENV:Body>", b"<x/></SOAP-ENV:Body>"), "one body of one element was expected"),
    ):
        with pytest.raises(BadMessage, match=words) as caught:
            parse_request(changed)
        assert caught.value.kind is Kind.INVALID_REQUEST


@pytest.mark.parametrize(
    ("code", "kind", "other", "words"),
    [
        (
            b"<id:serviceCode>clientReg</id:serviceCode>",
            b"SERVICE",
            b"SUBSYSTEM",
            "'service' names no service",
        ),
        (b"<id:serverCode>SS1</id:serverCode>", b"SERVER", b"MEMBER", "'server' names no security server"),
    ],
)
def test_identifiers_of_an_envelope_are_of_the_kinds_that_stand_there(
    code: bytes, kind: bytes, other: bytes, words: str
) -> None:
    raw = render_request(REQUESTS[2], HEADER)
    assert raw.count(code) == raw.count(b'"' + kind + b'"') == 1
    with pytest.raises(BadMessage, match=words):
        parse_request(raw.replace(code, b"").replace(b'"' + kind + b'"', b'"' + other + b'"'))


def test_a_certificate_is_base64_and_comes_back_through_line_breaks() -> None:
    raw = render_request(REQUESTS[1], HEADER)
    assert parse_request(raw.replace(b">MII=<", b">M\nII =<")).request.auth_certificate == b"\x30\x82"
    for wrong in (b"MI", b"M*I=", b"MII==="):
        with pytest.raises(BadMessage, match="authCert is not base64"):
            parse_request(raw.replace(b">MII=<", b">" + wrong + b"<"))


@pytest.mark.parametrize("number", ["", "x", "-1", "1.5", "9" * 19, "٣"])
def test_an_answer_without_a_number_that_a_database_takes_is_refused(number: str) -> None:
    answer = render_response(render_request(REQUESTS[2], HEADER), 413).decode()
    with pytest.raises(BadMessage, match="clientRegResponse with a requestId was expected"):
        parse_response(answer.replace(">413<", f">{number}<").encode(), ManagementServiceCode.CLIENT_REG)
    with pytest.raises(BadMessage, match="ownerChangeResponse with a requestId was expected"):
        parse_response(answer.encode(), ManagementServiceCode.OWNER_CHANGE)


@pytest.mark.parametrize("comments", [None, "", "no \u201cfor now\u201d"])
def test_the_status_of_a_request_comes_back(comments: str | None) -> None:
    status = RequestStatus(7, "CLIENT_REGISTRATION_REQUEST", "DECLINED", comments)
    assert parse_status(render_status(status)) == status
    assert (b"comments" in render_status(status)) == (comments is not None)


@pytest.mark.parametrize(
    "raw",
    [b"", b"[]", b"{}", b"\xff", b'{"id": "x", "type": "a", "status": "b"}', b'{"id": 1e999}', b"[" * 9999],
)
def test_the_status_of_a_request_that_cannot_be_read_is_refused(raw: bytes) -> None:
    assert parse_status(b'{"id": "7", "type": "a", "status": "b"}').request_id == 7
    with pytest.raises(BadMessage, match="status of a request cannot be read"):
        parse_status(raw)


def test_signatures_come_before_certificates() -> None:
    parts = RequestParts(b"<a/>", (RequestSignature("SHA512withRSA", b"s"),), (b"cert",))
    content_type, body = render_parts(parts, "boundary0123456789")
    pieces = body.split(b"--boundary0123456789")
    assert parse_parts(content_type, b"--boundary0123456789".join(pieces)) == parts
    pieces[2], pieces[3] = pieces[3], pieces[2]
    with pytest.raises(BadMessage, match="signatures come before certificates"):
        parse_parts(content_type, b"--boundary0123456789".join(pieces))
