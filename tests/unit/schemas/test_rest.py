"""REST messages, rule by rule: what is no request, no answer, or the answer to another request."""

from __future__ import annotations

import json
from dataclasses import dataclass

import msgspec
import pytest
from lxml import etree

from schemas import rest
from schemas.faults import BadMessage, Fault, Kind, Spelling
from schemas.identifiers import ClientId

CLIENT = ("X-Road-Client", "MX/GOB/1/AFIL")
PATH = "/r1/MX/GOB/2/INDICE/people/7"
LINES = b"GET\r\n/r1/MX/GOB/2/INDICE/people\r\n"
NAMED = b"x-road-client:MX/GOB/1/A\r\nx-road-id:1\r\nx-road-request-id:2\r\n"
ANSWER = (
    b"x-road-client:MX/GOB/1/A\r\nx-road-service:MX/GOB/2/S/people\r\nx-road-id:1\r\nx-road-request-id:2\r\n"
)
HASH = b"x-road-request-hash:aGFzaA==\r\n"


def request(*headers: tuple[str, str], method: str = "GET", target: str = PATH) -> rest.RestRequest:
    return rest.build_request(method, target, [CLIENT, *headers], instance="MX", new_id=lambda: "1")


@dataclass(frozen=True, slots=True)
class Refusal:
    kind: Kind
    words: str


@pytest.mark.parametrize(
    ("method", "target", "headers", "refusal"),
    [
        ("BREW", PATH, (), Refusal(Kind.INVALID_HTTP_METHOD, "not a method")),
        ("GET", "/r1/MX/GOB/2", (), Refusal(Kind.BAD_REQUEST, "r1")),
        ("GET", "/r2/MX/GOB/2/INDICE/people", (), Refusal(Kind.BAD_REQUEST, "r1")),
        ("GET", "/r1/MX/GOB/../INDICE/people", (), Refusal(Kind.BAD_REQUEST, "servers resolve")),
        ("GET", PATH, (("X-Road-Service", "MX/GOB/2/INDICE/other"),), Refusal(Kind.BAD_REQUEST, "another")),
        ("GET", PATH, (("X-Road-Service", "MX/GOB/2"),), Refusal(Kind.INVALID_MESSAGE, "five segments")),
        ("GET", PATH, (("X-Road-Represented-Party", "a/b/c"),), Refusal(Kind.BAD_REQUEST, "class/")),
        ("GET", PATH, (("X-Road-Represented-Party", "a/%20"),), Refusal(Kind.BAD_REQUEST, "class/")),
        ("GET", PATH, (("X-Road-Security-Server", "MX/GOB/2"),), Refusal(Kind.BAD_REQUEST, "4 segments")),
        ("GET", PATH, (("X-Note", "a" * 2**20),), Refusal(Kind.BAD_REQUEST, "at most")),
        ("GET\r\nX:1", PATH, (), Refusal(Kind.BAD_REQUEST, "line break")),
        ("GET", PATH, (("X-Note", "a\r\nb"),), Refusal(Kind.BAD_REQUEST, "X-Note|line break|control")),
    ],
)
def test_a_request_that_is_refused_says_why(
    method: str, target: str, headers: tuple[tuple[str, str], ...], refusal: Refusal
) -> None:
    with pytest.raises(BadMessage, match=refusal.words) as caught:
        request(*headers, method=method, target=target)
    assert caught.value.kind is refusal.kind


def test_a_request_names_its_client() -> None:
    with pytest.raises(BadMessage, match=r"(?i)x-road-client is missing") as caught:
        rest.build_request("GET", PATH, [], instance="MX", new_id=lambda: "1")
    assert caught.value.kind is Kind.MISSING_HEADER


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (LINES + NAMED[:-2], "does not end with CRLF"),
        (b"GET\r\n", "needs two lines"),
        (LINES + b"no header\r\n", "not a header of the form"),
        (LINES + b":value\r\n", "not a header of the form"),
        (LINES + b"Connection:close\r\n", "may not be part of a message"),
        (LINES + b"X-Note:a\nb\r\n", "not CRLF|control"),
        (LINES + NAMED.replace(b"x-road-request-id", b"X-Road-Request-Id"), "lower case"),
    ],
)
def test_bytes_that_are_no_request_part_say_why(raw: bytes, words: str) -> None:
    with pytest.raises(BadMessage, match=words):
        rest.parse_request(raw)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"100\r\nContinue\r\n" + ANSWER + HASH, "a final status"),
        (b"20\r\nOK\r\n" + ANSWER + HASH, "a final status"),
        (b"2000\r\nOK\r\n" + ANSWER + HASH, "a final status"),
        (b"200\r\nO\x01K\r\n" + ANSWER + HASH, "control characters in its reason"),
        (b"200\r\nOK\r\n" + ANSWER, "request-hash is missing"),
        (
            b"200\r\nOK\r\n" + ANSWER.replace(b"x-road-id:1\r\n", b"x-road-id:\r\n") + HASH,
            "is missing or empty",
        ),
        (b"200\r\nOK\r\n" + ANSWER.replace(b"/people", b"") + HASH, "five segments; got 4"),
    ],
)
def test_bytes_that_are_no_answer_part_say_why(raw: bytes, words: str) -> None:
    with pytest.raises(BadMessage, match=words):
        rest.parse_response(raw)


@pytest.mark.parametrize(
    ("status", "headers", "words"),
    [
        (101, (), "a final status"),
        (199, (), "a final status"),
        (600, (), "a final status"),
        (200, (("X-Note", "a\r\nb"),), "cannot be passed on"),
        (200, (("X-Note", "a" * 2**20),), "gateways take"),
    ],
)
def test_a_service_s_answer_that_no_gateway_takes_is_refused_before_it_is_signed(
    status: int, headers: tuple[tuple[str, str], ...], words: str
) -> None:
    with pytest.raises(Fault, match=words) as caught:
        rest.build_response(status, "OK", headers, request(), "aGFzaA==")
    assert caught.value.kind is Kind.HTTP_ERROR


@pytest.mark.parametrize("field", ["client", "service", "message_id", "request_id", "request_hash"])
def test_an_answer_to_another_request_is_refused_whatever_differs(field: str) -> None:
    asking = request()
    answer = rest.build_response(200, "OK", (), asking, "aGFzaA==")
    rest.check_answers(asking, answer, "aGFzaA==")
    other = request(target="/r1/MX/GOB/3/INDICE/other")
    changed = {"client": other.service.client, "service": other.service}.get(field, "another")
    with pytest.raises(BadMessage, match=r"the response's .* is .*; the request's is") as caught:
        rest.check_answers(asking, msgspec.structs.replace(answer, **{field: changed}), "aGFzaA==")
    assert caught.value.kind is Kind.INCONSISTENT_RESPONSE


@pytest.mark.parametrize("party", ["26", "GOB/26", "a%2Fb/%C3%B1"])
def test_a_represented_party_is_a_code_or_a_class_and_a_code(party: str) -> None:
    assert request(("X-Road-Represented-Party", party)).represented_party == party


def test_the_signer_of_kept_evidence_is_found_in_what_would_be_refused_today() -> None:
    asking = (
        b"GET\r\n/r1/any/../path\r\nx-road-client:MX/GOB/2\r\nX-Road-Client:MX/GOB/1/A\r\nx:\xff\r\n"
        + b"x-road-id:1\r\n"
    )
    assert rest.signer_of(asking) == (ClientId("MX", "GOB", "1", "A"), "1")
    answer = b"200\r\nOK\r\nx-road-service:MX/GOB/2/S/people\r\nx-road-id:2\r\n"
    assert rest.signer_of(answer) == (ClientId("MX", "GOB", "2", "S"), "2")


XML, OTHER_XML, JSON = "text/xml;charset=utf-8", "application/xml;charset=utf-8", "application/json"


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (None, JSON), ("", JSON), ("text/html, image/*", JSON), ("*/*", JSON), ("application/json, text/xml", JSON),
        ("text/xml", XML), ("text/html, TEXT/*;q=0.1, application/json", XML), ("application/xml;q=1, text/xml", OTHER_XML),
    ],
)  # fmt: skip
def test_an_error_comes_in_the_first_form_that_is_accepted(accept: str | None, content_type: str) -> None:
    fault = BadMessage(Kind.BAD_REQUEST, "a < b\x00ñ")
    fault.id = "7"
    answer = rest.render_error(fault, accept, Spelling.CAMEL)
    assert (answer.status, answer.headers) == (
        400,
        (("X-Road-Error", "BadRequest"), ("Content-Type", content_type)),
    )
    if content_type is JSON:
        fields = json.loads(answer.body)
    else:
        fields = {e.tag: e.text for e in etree.fromstring(answer.body)}
    detail = "a < b\x00ñ" if content_type is JSON else "a < bñ"
    assert fields == {"type": "BadRequest", "message": detail, "detail": "7"}
