"""sacbe_client's core: what is sent says one thing only, and a refusal says whose it is."""

from __future__ import annotations

import json
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacbe_client import (
    Caller,
    CallError,
    ClientId,
    RetryRule,
    ServiceId,
    Side,
    build_call,
    parse_client,
    read_answer,
)
from sacbe_client.errors import normalize_code

from schemas import faults, identifiers, names

CLIENT = ClientId("MX", "GOB", "15-ISSEMYM", "AFIL")
SERVICE = ServiceId(ClientId("MX", "GOB", "00-RNSS", "INDICE"), "echo")
GATEWAY = "http://127.0.0.1:8080"
CALLER = Caller(GATEWAY, CLIENT)
codes = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1, max_size=20).filter(
    lambda text: bool(text.strip()) and not names.unsuitable_characters(text)
)


@given(codes, codes)
def test_an_identifier_survives_its_path(member: str, subsystem: str) -> None:
    client = ClientId("MX", "GOB", member, subsystem)
    assert parse_client(client.path) == client
    assert identifiers.parse_client_path(client.path).components == client.components


@given(st.lists(st.text(min_size=1, max_size=12).filter(lambda t: t not in (".", "..")), max_size=4))
def test_segments_reach_the_other_side_as_they_were_given(segments: list[str]) -> None:
    try:
        call = build_call(CALLER, SERVICE, "GET", segments)
    except UnicodeEncodeError:
        return  # a lone surrogate is no text
    parts = urlsplit(call.url)
    assert (parts.query, parts.fragment) == ("", "")
    assert [unquote(s) for s in parts.path.split("/")[7:]] == segments


@pytest.mark.parametrize(
    "path",
    [
        "people#/7", "people?x=1", "a b", "a\\b", "../x", "a/../b", "a/./b", "%2e%2e/x", "a/.%2E;v=1/b",
        "a/..;x", "é", "a%", "a%2", "a%zz", "a\x00", "a\r\nX: y", "a[0]", 'a"b', "a<b", "a|b", "a^b", "{id}",
    ],
)  # fmt: skip
def test_a_path_that_two_servers_could_read_differently_is_not_sent(path: str) -> None:
    with pytest.raises(ValueError, match="path"):
        build_call(CALLER, SERVICE, "GET", path)


@pytest.mark.parametrize(
    "path", ["people/7", "/people/7", "a//b", "a/%2F/b", "a;v=1", "a+b", "a/", "~x/$y/@z:1", ""]
)
def test_a_path_that_is_encoded_stays_as_it_is(path: str) -> None:
    call = build_call(CALLER, SERVICE, "GET", path)
    expected = f"{GATEWAY}/r1/MX/GOB/00-RNSS/INDICE/echo"
    assert call.url == (f"{expected}/{path.removeprefix('/')}" if path else expected)


@pytest.mark.parametrize(
    "header",
    [
        ("X-Road-Client", "MX/GOB/99/X"), ("x-road-id", "1"), ("Host", "elsewhere"), ("Content-Length", "3"),
        ("Transfer-Encoding", "chunked"), ("Bad Name", "x"), ("", "x"), ("X", "a\r\nX-Road-Client: y"), ("X", "a\x00"),
    ],
)  # fmt: skip
def test_a_header_that_contradicts_the_call_is_not_sent(header: tuple[str, str]) -> None:
    with pytest.raises(ValueError):
        build_call(CALLER, SERVICE, headers=[header])


@pytest.mark.parametrize(
    "address",
    ["gateway:8080", "ftp://g", "http://g/r1", "http://g?x", "http://", "http://g/#a", "http://u:p@g"],
)
def test_an_address_that_is_no_gateways_is_said(address: str) -> None:
    with pytest.raises(ValueError, match="address"):
        Caller(address, CLIENT)


@pytest.mark.parametrize("kind", list(faults.Kind))
@pytest.mark.parametrize("side", list(faults.Origin))
def test_codes_are_read_in_both_spellings_of_the_gateway(kind: faults.Kind, side: faults.Origin) -> None:
    code = f"{side.value}.{kind.value}"
    assert normalize_code(code) == code
    assert normalize_code(faults.camel_code(code)) == code


@pytest.mark.parametrize(
    ("code", "side"),
    [
        ("client.invalid_request", Side.CONSUMER_SYSTEM),
        ("Client.BadRequest", Side.CONSUMER_SYSTEM),
        ("server.clientproxy.network_error", Side.CONSUMER_GATEWAY),
        ("Server.ServerProxy.AccessDenied", Side.PROVIDER_GATEWAY),
        ("server.serverproxy.service_failed.http_error", Side.PROVIDER_SYSTEM),
        ("something.else", Side.CONSUMER_GATEWAY),
    ],
)
def test_a_refusal_says_its_side_and_what_to_do(code: str, side: Side) -> None:
    body = json.dumps({"type": code, "message": "no", "detail": "d-1"}).encode()
    with pytest.raises(CallError) as raised:
        read_answer(500, [("X-Road-Error", code)], body, "m-1")
    error = raised.value
    assert (error.side, error.message, error.detail, error.status) == (side, "no", "d-1", 500)
    assert error.remedy("en") and error.remedy("es") and error.remedy("en") != error.remedy("es")


@pytest.mark.parametrize("body", [b"", b"[]", b"<error/>", b"\xff", b'{"type": null}'])
def test_a_refusal_without_words_is_still_a_refusal(body: bytes) -> None:
    with pytest.raises(CallError) as raised:
        read_answer(500, [("x-road-error", "server.clientproxy.io_error")], body, "m-1")
    assert raised.value.type == "server.clientproxy.io_error"


def test_an_error_of_the_providers_system_is_its_answer() -> None:
    answer = read_answer(404, [("Content-Type", "application/json")], b'{"type": "about:blank"}', "m-1")
    assert (answer.status, answer.json()["type"]) == (404, "about:blank")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("kind", ["timeout", "io_error", "server.serverproxy.network_error"])
def test_what_may_have_been_done_is_not_done_again(method: str, kind: str) -> None:
    assert RetryRule().pause_after(1, method, CallError(kind, "")) is None


@pytest.mark.parametrize("method", ["GET", "head", "OPTIONS"])
def test_reading_is_tried_again_until_the_attempts_are_used(method: str) -> None:
    rule = RetryRule(attempts=3, first_pause_s=1)
    pauses = [rule.pause_after(n, method, CallError("timeout", "", side=Side.NETWORK)) for n in (1, 2, 3)]
    assert pauses[0] is not None and 0.5 <= pauses[0] <= 1
    assert pauses[1] is not None and 1 <= pauses[1] <= 2
    assert pauses[2] is None


def test_what_was_never_sent_is_tried_again_and_a_refusal_is_not() -> None:
    rule = RetryRule()
    assert rule.pause_after(1, "POST", CallError("no_connection", "")) is not None
    assert rule.pause_after(1, "GET", CallError("server.serverproxy.access_denied", "")) is None
