"""Headers that two systems read differently, from a consumer, a peer and a provider's system, over REST and SOAP."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from gateway.exchange.ports import ServiceAnswer
from schemas import rest
from schemas.faults import BadMessage, Fault, Kind
from schemas.headers import HOP_HEADERS, check_headers, twin_of, without_gateways_own
from schemas.multipart import parse_content_type, parse_headers
from tests.doubles import MemoryServices, one_by_one
from tests.exchanges import SERVICE, GatewayPair
from tests.worlds import CONSUMER, PROVIDER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from gateway.clients.model import Service
    from gateway.exchange.ports import ServiceCall

TARGET = f"/r1/{PROVIDER.path()}/{SERVICE.service_code}/x"
OWN = CONSUMER.path()
DECIDING = (
    "X-Road-Id",
    "X-Road-UserId",
    "X-Road-Issue",
    "X-Road-Represented-Party",
    "X-Road-Security-Server",
    "X-Road-Service",
    "X-Road-Something-New",
    "X-OSS-Proposito",
    "X-OSS-Rol",
    "x-oss-fundamento",
    "X-Sacbe-Policy",
    "Content-Type",
    "Content-Encoding",
)


def consumer(*headers: tuple[str, str]) -> rest.RestRequest:
    said = [("X-Road-Client", OWN), *headers]
    return rest.build_request("GET", TARGET, said, instance="MX", new_id=lambda: "i")


def part(*lines: str) -> bytes:
    """The signed part of a peer that holds these header lines beside what it must hold."""
    needed = ("GET", TARGET, f"X-Road-Client:{OWN}", "X-Road-Id:1", "x-road-request-id:i")
    return "".join(f"{line}\r\n" for line in (*needed, *lines)).encode("utf-8", "surrogateescape")


def answer_part(*lines: str, status: str = "200") -> bytes:
    needed = (
        *(status, "OK", "x-road-id:1", f"x-road-client:{OWN}"),
        f"x-road-service:{PROVIDER.path()}/{SERVICE.service_code}",
        *("x-road-request-id:i", "x-road-request-hash:aGFzaA=="),
    )
    return "".join(f"{line}\r\n" for line in (*needed, *lines)).encode("utf-8", "surrogateescape")


def answer(status: int, *headers: tuple[str, str]) -> rest.RestResponse:
    return rest.build_response(status, "OK", headers, consumer(), "aGFzaA==")


# Contradictions


@pytest.mark.parametrize("name", DECIDING)
def test_deciding_header_said_twice_is_refused_from_consumer_and_peer(name: str) -> None:
    first, second = ("MX/GOB/1/A", "MX/GOB/1/B")
    for again in (name, name.lower(), name.upper()):
        with pytest.raises(BadMessage) as refused:
            consumer((name, first), (again, second))
        assert refused.value.kind is Kind.DUPLICATE_HEADER_FIELD
        with pytest.raises(BadMessage) as refused:
            rest.parse_request(part(f"{name}:{first}", f"{again}:{second}"))
        assert refused.value.kind is Kind.DUPLICATE_HEADER_FIELD


@pytest.mark.parametrize("named", ["MX/GOB/00-RNSS/IDENT/x", f"{PROVIDER.path()}/other", "x", ""])
def test_a_request_names_no_other_service_than_it_calls(named: str) -> None:
    with pytest.raises(BadMessage):
        consumer(("X-Road-Service", named))
    with pytest.raises(BadMessage):
        rest.parse_request(part(f"x-road-service:{named}"))
    assert consumer(("X-Road-Service", SERVICE.path())).service == SERVICE


@pytest.mark.parametrize(
    "line",
    [
        "X-Road-Client:MX/GOB/00-RNSS/IDENT",
        "x-road-client:" + OWN.replace("A", "%41", 1),
        "X-ROAD-CLIENT:",
        "X-Road-Id:2",
        "X-Road-Request-Id:other",
        "x-road-request-id:other",
    ],
)
def test_peer_cannot_say_another_client_or_id_beside_the_proved_one(line: str) -> None:
    with pytest.raises(BadMessage) as refused:
        rest.parse_request(part(line))
    assert refused.value.kind is Kind.DUPLICATE_HEADER_FIELD
    name, _, value = line.partition(":")
    raw = part().replace(b"X-Road-Client", f"{name}:{value}\r\nX-Road-Client".encode(), 1)
    with pytest.raises(BadMessage):
        rest.parse_request(raw)


def test_what_repeats_word_for_word_or_decides_nothing_passes_as_it_came() -> None:
    said: tuple[tuple[str, str], ...] = (
        ("X-OSS-Rol", "A"),
        ("X-OSS-Rol", "A"),
        ("X-Forwarded-For", "1.1.1.1"),
        ("x-forwarded-for", "2.2.2.2"),
    )
    said += (
        ("Accept", "a"),
        ("Accept", "b"),
        ("Mu-z", "Mu\udcf1oz"),
        ("X-Ñ".replace("Ñ", "N"), "ñ\tx"),
        ("A", ""),
    )
    request = consumer(*said)
    assert request.headers[1 : len(said) + 1] == said
    assert rest.service_headers(rest.parse_request(request.raw)) == list(request.headers)


@pytest.mark.parametrize(
    "line", ["X-Road-Client:MX/GOB/2/X", "x-road-service:MX/GOB/2/X/y", "X-Road-Request-Hash:Zg=="]
)
def test_answer_that_contradicts_itself_is_refused(line: str) -> None:
    assert rest.parse_response(answer_part()).status == 200
    with pytest.raises(BadMessage) as refused:
        rest.parse_response(answer_part(line))
    assert refused.value.kind is Kind.DUPLICATE_HEADER_FIELD


# Names and values

NO_HEADER = (
    "X-Road-Client : MX/GOB/00-RNSS/IDENT",
    "Transfer-Encoding : chunked",
    "Transfer-Encoding\t:chunked",
    "\tContent-Length: 100",
    " Content-Length:100",
    "X A :1",
    "X(A)@:1",
    ":path:/secret",
    "Host\x00:x",
    "X-\u00f1:1",
    "X-\udcf1:1",
    "X/A:1",
    'X"A:1',
    "X{A}:1",
    "X\x7f:1",
    "X-A:a\x00b",
    "X-A:a\x0bb",
    "X-A:a\x7fb",
    "X-A:a\x1b[2J",
    "X-A: padded",
    "X-A:padded ",
    "X-A:padded\t",
)


@pytest.mark.parametrize("line", NO_HEADER)
def test_name_that_is_no_token_or_value_that_http_would_change_is_refused(line: str) -> None:
    with pytest.raises(BadMessage):
        rest.parse_request(part(line))
    with pytest.raises(BadMessage):
        rest.parse_response(answer_part(line))
    at = line.index(":", 1)
    with pytest.raises(BadMessage):
        consumer((line[:at], line[at + 1 :]))


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", "a\rb", "\r\n\r\nGET / HTTP/1.1"])
def test_line_break_in_a_value_is_refused(value: str) -> None:
    with pytest.raises(BadMessage):
        consumer(("X-A", value))
    with pytest.raises(Fault):
        answer(200, ("X-A", value))


@pytest.mark.parametrize("name", sorted(HOP_HEADERS))
def test_framing_header_in_a_signed_part_is_refused_in_any_spelling(name: str) -> None:
    for spelled in (name, name.upper(), name.title(), name.replace("-", "_"), name.replace("-", ".")):
        with pytest.raises(BadMessage):
            rest.parse_request(part(f"{spelled}:1"))


@pytest.mark.parametrize(
    "name",
    [
        "X_Road_Client",
        "x-road_client",
        "X_ROAD_ID",
        "X.Road.Client",
        "X_OSS_Proposito",
        "X-OSS_Rol",
        "x~road~userid",
    ],
)
def test_name_that_a_cgi_cannot_tell_from_a_proved_one_is_refused(name: str) -> None:
    assert twin_of(name) is not None
    with pytest.raises(BadMessage):
        consumer((name, OWN))
    with pytest.raises(BadMessage):
        rest.parse_request(part(f"{name}:{OWN}"))


@pytest.mark.parametrize(
    "name", ["X_Request_Id", "Content_Type", "X-GatewayPair", "XRoad-Client", "X-Road-Client"]
)
def test_other_names_are_nobodys_twin(name: str) -> None:
    assert twin_of(name) is None
    check_headers(((name, "1"),), Kind.BAD_REQUEST)


# A provider's system


class Answering(MemoryServices):
    """A system that answers with given headers and status."""

    headers: tuple[tuple[str, str], ...] = ()

    @contextlib.asynccontextmanager
    async def call(self, service: Service, call: ServiceCall) -> AsyncIterator[ServiceAnswer]:
        self.calls.append(call)
        yield ServiceAnswer(self.status, "OK", self.headers, one_by_one(self.body))


async def answered(folder: Path, status: int, *headers: tuple[str, str]) -> tuple[GatewayPair, str]:
    """The pair after a system answered so, and the fault that came of it."""
    pair = GatewayPair(folder)
    pair.services = system = Answering(pair.trace, status=status)
    system.headers = headers
    try:
        await pair.ask()
    except Fault as fault:
        return pair, fault.code
    return pair, ""


@pytest.mark.parametrize("status", [0, 99, 100, 101, 102, 103, 199, 600, 700, 999])
async def test_status_that_is_not_final_is_refused_before_anything_is_signed(
    status: int, tmp_path: Path
) -> None:
    pair, code = await answered(tmp_path, status)
    assert code == "server.serverproxy.http_error"
    assert not any(entry.message.is_response for entry in pair.provider_log.entries)
    with pytest.raises(Fault):
        answer(status)
    if status >= 100:
        with pytest.raises(BadMessage):
            rest.parse_response(answer_part(status=str(status)))


@pytest.mark.parametrize("reason", ["\x1b[2J", "a\x00b", "a\tb", "\x7f"])
def test_reason_with_control_characters_is_refused(reason: str) -> None:
    with pytest.raises(BadMessage):
        rest.parse_response(answer_part().replace(b"OK", reason.encode(), 1))


@pytest.mark.parametrize("status", [200, 204, 206, 302, 304, 404, 418, 451, 500, 599])
def test_final_status_passes(status: int) -> None:
    assert rest.parse_response(answer(status).raw).status == status


async def test_system_cannot_speak_for_a_gateway(tmp_path: Path) -> None:
    said = (
        *(("X-Road-Error", "client.bad_request"), ("x-road-error", "other"), ("X_Road_Error", "1")),
        *(
            ("X-Road-Service", "MX/GOB/2/X/y"),
            ("X-Road-Request-Hash", "Zg=="),
            ("X-Road-Client", "MX/GOB/2/X"),
        ),
        *(("X-Road-Id", "forged"), ("X-Sacbe-Policy", "9;rule;granted"), ("X.Sacbe.Policy", "1")),
        *(
            ("Transfer-Encoding", "chunked"),
            ("Content_Length", "3"),
            ("X-Kept", "yes"),
            ("Set-Cookie", "a"),
            ("Set-Cookie", "b"),
        ),
    )
    pair, code = await answered(tmp_path, 200, *said)
    assert code == ""
    signed = rest.parse_response(pair.provider_log.entries[-1].message.raw)
    assert [h for h in signed.headers if not h[0].startswith("x-road-")] == list(said[-3:])
    assert len({n for n, _ in signed.headers if n.startswith("x-road-")}) == len(signed.headers) - 3
    assert without_gateways_own(said)[-3:] == list(said[-3:])


def test_error_header_in_a_peers_answer_is_not_passed_on_as_this_gateways() -> None:
    response = rest.parse_response(answer_part("X-Road-Error:server.serverproxy.access_denied", "X-Kept:1"))
    names = [n.lower() for n, _ in rest.consumer_headers(response)]
    assert rest.ERROR not in names
    assert "x-kept" in names


@pytest.mark.parametrize(
    "headers",
    [
        [("X-Large", "x" * 7000)] * 90,
        [("X-Large", "x" * rest.MAX_PART_BYTES)],
        [("X", "")] * (rest.MAX_PART_BYTES // 4),
        [("X", "ñ" * (rest.MAX_PART_BYTES // 2))],
    ],
    ids=["ninety", "one", "empty ones", "two bytes each"],
)
async def test_answer_whose_head_no_peer_takes_is_refused_before_it_is_signed(
    headers: list[tuple[str, str]], tmp_path: Path
) -> None:
    pair, code = await answered(tmp_path, 200, *headers)
    assert code == "server.serverproxy.http_error"
    assert not any(entry.message.is_response for entry in pair.provider_log.entries)
    with pytest.raises(BadMessage):
        consumer(*headers)


# Parts of a multipart


@pytest.mark.parametrize(
    "line",
    [
        b"Content-Type : text/xml",
        b"Content Type: text/xml",
        b"X-A: a\rX-B: b",
        b"X-A: a\x00b",
        b"X-A: \x1b[2J",
        b"X(A): 1",
        b": 1",
        b"no colon",
        b" leading: 1",
        b"X-\xf1: 1",
        b"X-A: " + b"x" * 996,
        b"X-A:" + b"x" * 996,
        b"X-A: 1\r\n " + b"x" * 998,
    ],
)
def test_part_header_that_cannot_be_written_again_as_one_line_is_refused(line: bytes) -> None:
    with pytest.raises(BadMessage) as refused:
        parse_headers(line + b"\r\n")
    assert refused.value.kind is Kind.MIME_PARSING_FAILED


def test_folded_part_header_is_one_value() -> None:
    read = parse_headers(b"Content-Type: text/xml;\r\n charset=UTF-8\r\nX: \xf1\r\n")
    assert read == (("Content-Type", "text/xml; charset=UTF-8"), ("X", "\udcf1"))


def test_content_type_that_names_two_boundaries_is_refused() -> None:
    assert parse_content_type("multipart/related; boundary=a; Boundary=a")[1] == {"boundary": "a"}
    for value in ("multipart/related; boundary=a; boundary=b", 'text/xml; charset="utf-8"; CHARSET=latin1'):
        with pytest.raises(BadMessage):
            parse_content_type(value)


@pytest.mark.parametrize(
    "name", ["X-Road-Id", "x-road-userid", "X-Road-Issue", "X-ROAD-Represented-Party", "X-Road-Other"]
)
@pytest.mark.parametrize("value", ["\udcf1", "Mu\udcf1oz", "a\udc80b", "\udcc3", "\udced\udca0\udc80"])
def test_kept_header_that_is_no_text_is_refused_from_consumer_and_peer(name: str, value: str) -> None:
    with pytest.raises(BadMessage):
        consumer((name, value))
    raw = part("X-Plain:here")
    rest.parse_request(raw)
    with pytest.raises(BadMessage):
        rest.parse_request(raw.replace(b"X-Plain:here", f"{name}:{value}".encode("utf-8", "surrogateescape")))


def test_other_headers_keep_their_bytes_whatever_they_are() -> None:
    raw = consumer(("X-Name", "Mu\udcf1oz")).raw
    assert b"X-Name:Mu\xf1oz" in raw
    assert ("X-Name", "Mu\udcf1oz") in rest.parse_request(raw).headers
