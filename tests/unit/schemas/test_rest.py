"""REST messages, rule by rule: what is no request, no answer, or the answer to another request."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import pytest

from schemas import rest
from schemas.faults import BadMessage, Fault, Kind

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
