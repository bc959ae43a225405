"""X-Road's SOAP test suite: every case gives the fault code, or the success, that X-Road gives.

Cases are data; what a ``setup`` sentence or a service's ``behaviour`` means is told by the tables below, and one that no
table knows fails its case. The list may grow: nothing here counts on particular cases but `ALSO`, further expectations.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from gateway.clients.model import ConnectionType
from schemas import soap
from schemas.faultxml import SOAP_NS
from schemas.multipart import MultipartParser, PartData, PartStart, parse_content_type
from schemas.soapenvelope import XROAD_NS
from tests.paths import VECTORS
from tests.vectors import stage
from tests.vectors.keystores import load

CASES = json.loads((VECTORS / "cases.json").read_text(encoding="utf-8"))["cases"]
QUERY_ID = "q-2020"
BOM = b"\xef\xbb\xbf"


# What setups mean


def _der(name: str) -> frozenset[bytes]:
    return frozenset((load(name)[1].public_bytes(Encoding.DER),))


def _presented(setup: stage.Setup, name: str) -> None:
    setup.system_certificates, setup.shown = _der(name), name


def _registered_and_shown(setup: stage.Setup, registered: str, shown: str) -> None:
    setup.system_certificates, setup.shown = _der(registered), shown


SETUPS: tuple[tuple[str, Callable[..., None]], ...] = (
    (r"No address is known for any provider\.", lambda s: setattr(s, "addresses", ())),
    (r"Addresses of the provider: (.*)", lambda s, a: setattr(s, "addresses", _addresses(a))),
    (r'.*as in maintenance, message "(.*)"\.', lambda s, m: setattr(s, "maintenance", m)),
    (r"Service URL: (\S+)", lambda s, u: setattr(s, "service_url", u)),
    (r"Access is denied for every client and service\.", lambda s: setattr(s, "may_call", False)),
    (
        r"Access is denied for method (\w+), .*",
        lambda s, m: setattr(s, "denied_methods", frozenset((m,))),
    ),
    (r"No service exists\.", lambda s: setattr(s, "services_exist", False)),
    (r".*disabled.*\"(.*)\".*", lambda s, n: setattr(s, "disabled", n)),
    (r"Signing fails .* for every member\.", lambda s: setattr(s, "cannot_sign", lambda _m: True)),
    (
        r'Signing fails .* for member "(\w+)" only\.',
        lambda s, m: setattr(s, "cannot_sign", lambda member: member.member_code == m),
    ),
    (r".*no authentication certificate matches any member\.", lambda s: setattr(s, "auth_matches", False)),
    (r".*knows no server for any certificate\.", lambda s: setattr(s, "auth_known", False)),
    (r"Run alone, so that no TLS session is resumed\.", lambda _s: None),
    (
        r"Connection type of the client: SSLAUTH\.",
        lambda s: setattr(s, "connection", ConnectionType.HTTPS),
    ),
    (r"Registered IS certificate and the one presented: (\S+)\.", _presented),
    (r"Registered IS certificate: (\S+); presented: (\S+)\.", _registered_and_shown),
    (
        r"The consumer gateway offers one RSA suite that the provider gateway does not accept\.",
        lambda s: setattr(s, "same_ciphers", False),
    ),
    (
        r"Service URL is https on the test service, whose certificate is (\S+)\.",
        lambda s, n: setattr(s, "service_tls", n),
    ),
    (
        r"TLS certificate check of the service: (on|off)\.",
        lambda s, on: setattr(s, "verify_tls", on == "on"),
    ),
    (
        r"Registered IS certificate of the provider: (\S+)\.",
        lambda s, n: setattr(s, "system_certificates", _der(n)),
    ),
    (
        r'Service code "(\w+)" is described as WSDL, every other one as REST\.',
        lambda s, c: setattr(s, "soap_codes", frozenset((c,))),
    ),
)


def _addresses(text: str) -> tuple[str, ...]:
    spelled = re.sub(r"U\+([0-9A-F]{4})", lambda m: chr(int(m[1], 16)), text.removesuffix("."))
    found = [re.findall(r"\"([^\"]*)\"|([\u200b\ufeff])", piece) for piece in spelled.split(", ")]
    return tuple("".join(a or b for a, b in piece) for piece in found)


def read_setup(sentences: list[str], **first: Any) -> stage.Setup:
    """The setup that some sentences describe."""
    setup = stage.Setup(**first)
    for sentence in sentences:
        for pattern, act in SETUPS:
            match = re.fullmatch(pattern, sentence)
            if match is not None:
                act(setup, *match.groups())
                break
        else:
            pytest.fail(f"the setup {sentence!r} is not understood")
    return setup


# What is sent and answered


def content(side: dict[str, Any]) -> bytes:
    """The file of a request or answer, with the run's message id."""
    if side.get("file") is None:
        if "omitted" in side:
            return _stand_in(side["content_type"])
        return b""
    raw = (VECTORS / side["file"]).read_bytes()
    raw = re.sub(rb"<xroad:id>[^<\n]*</xroad:id>", f"<xroad:id>{QUERY_ID}</xroad:id>".encode(), raw)
    return BOM + raw if side.get("prepend_bom") else raw


def _stand_in(content_type: str) -> bytes:
    """An equivalent of the one request that is too large for the collection: a small and a big attachment."""
    envelope = (
        (VECTORS / "queries/attachment-small-mantis.answer").read_bytes().replace(b"testResponse", b"test")
    )
    envelope = re.sub(rb"<xroad:id>[^<\n]*<", f"<xroad:id>{QUERY_ID}<".encode(), envelope)
    dash = b"--" + parse_content_type(content_type)[1]["boundary"].encode()
    parts = [
        b'Content-Type: application/xop+xml; charset=UTF-8; type="text/xml"\r\n\r\n' + envelope,
        b"Content-Type: text/plain\r\n\r\nsmall",
        b"Content-Type: application/octet-stream\r\n\r\n" + bytes(2_000_000),
    ]
    return b"".join(dash + b"\r\n" + p + b"\r\n" for p in parts) + dash + b"--\r\n"


def answer_of(case: dict[str, Any]) -> stage.Answerer:
    """What the service or the fake peer writes."""
    answer = case["answer"]
    extra = [("x-hash-algorithm", "SHA-512")] if answer.get("from") == "peer" else []
    behaviour = answer.get("behaviour")
    if behaviour is None:
        headers = [("Content-Type", answer["content_type"]), *extra]
        return lambda _seen: stage.http_answer(content(answer), status=answer["status"], headers=headers)
    status = re.search(r"[Aa]nswers (\d{3})", behaviour)
    assert status is not None, behaviour
    length = re.search(r"Content-Length: (\d+)", behaviour)
    typed = re.search(r"(?<!no )Content-Type: ([\w/+-]+)", behaviour)
    headers = [("Content-Type", typed[1])] if typed else []
    return lambda _seen: stage.http_answer(
        b"", status=int(status[1]), length=int(length[1]) if length else None, headers=[*headers, *extra]
    )


async def _reset_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1024)
    writer.transport.abort()


@dataclass
class Result:
    """What the caller got, and what the service was sent."""

    status: int
    content_type: str
    body: bytes
    seen: list[stage.Seen]


async def run_case(case: dict[str, Any]) -> Result:
    """Put a case's environment up and send its request."""
    setup = read_setup(case.get("setup", []))
    async with AsyncExitStack() as stack:
        seen: list[stage.Seen] = []
        peer_port: int | None = None
        if case["hops"] == "aborting peer":
            server = await asyncio.start_server(_reset_connection, stage.HOST, 0)
            stack.callback(server.close)
            peer_port = server.sockets[0].getsockname()[1]
        elif case["hops"] == "fake provider gateway":
            fake = stage.answering(answer_of(case), stage.peer_tls())
            peer_port, seen = await stack.enter_async_context(fake)
        elif case["hops"] == "no provider gateway":
            peer_port = 1
        elif case["answer"] is not None:
            context = stage.tls_of(setup.service_tls) if setup.service_tls else None
            setup.port, seen = await stack.enter_async_context(stage.answering(answer_of(case), context))
        else:
            setup.port, seen = await stack.enter_async_context(stage.answering(_unexpected))
        is_peer = case["request"]["to"] == "provider-gateway"
        up = await stack.enter_async_context(
            stage.put_up(setup, peer_port=peer_port, prove_peers=not is_peer)
        )
        url, context = f"http://{stage.HOST}:{up.consumer_port}", None
        if is_peer:
            url = f"http://{stage.HOST}:{up.provider_port}"
        elif case["tls"]:
            url = f"https://{stage.HOST}:{up.consumer_tls_port}"
            context = stage.client_tls_of(setup.shown)
        return await _send(url, case["request"], context, seen)


def _unexpected(seen: stage.Seen) -> bytes:
    return stage.http_answer(b"", status=599)


async def _send(
    url: str, request: dict[str, Any], context: ssl.SSLContext | None, seen: list[stage.Seen]
) -> Result:
    async def chunks() -> AsyncIterator[bytes]:
        yield content(request)

    headers = {"x-hash-algorithm": "SHA-512", **request["headers"]}
    if request["content_type"]:
        headers["Content-Type"] = request["content_type"]
    async with (
        aiohttp.ClientSession(skip_auto_headers=("Content-Type",)) as session,
        session.request(
            request["method"],
            url + request["path"],
            data=None if request["method"] == "GET" else chunks(),
            headers=headers,
            ssl=context or True,
        ) as answer,
    ):
        return Result(answer.status, answer.headers.get("Content-Type", ""), await answer.read(), seen)


def parts_of(content_type: str, body: bytes) -> tuple[bytes, list[bytes]]:
    """The envelope, and the attachments."""
    media, parameters = parse_content_type(content_type)
    if media != soap.MULTIPART_TYPE:
        return body, []
    parts: list[bytearray] = []
    for event in MultipartParser(parameters["boundary"]).feed(body):
        if isinstance(event, PartStart):
            parts.append(bytearray())
        elif isinstance(event, PartData):
            parts[-1] += event.data
    return bytes(parts[0]), [bytes(p) for p in parts[1:]]


def headers_of(content_type: str, body: bytes) -> tuple[object, ...]:
    """What must agree: the headers of the protocol, the body's name, how many attachments."""
    envelope, attachments = parts_of(content_type, body)
    found = soap.parse_message(envelope)
    return (
        found.client,
        found.service,
        found.message_id,
        found.user_id,
        found.issue,
        found.represented_party,
        found.security_server,
        found.body_name,
        len(attachments),
    )


def _header_text(raw: bytes, name: str) -> str:
    header = etree.fromstring(raw).find(f"{{{SOAP_NS}}}Header/{{{XROAD_NS}}}{name}")
    assert header is not None
    return "".join(str(t) for t in header.itertext()).strip()


ALSO: dict[str, Callable[[dict[str, Any], Result], bool]] = {
    "CDATAMessage": lambda _c, r: all(
        _header_text(b, "xml") == "<a><b><c>12345678</c></b></a>" for b in (r.body, r.seen[0].body)
    ),
    "CommentMessage": lambda _c, r: b"<!-- multiline\n        comment -->" in r.body,
    "ResponseWithRequestHash": lambda _c, r: r.body.count(b"requestHash") == 2 and b">foo<" not in r.body,
    "SoapActionEmptyHeader": lambda _c, r: r.seen[0].header("SOAPAction") == "",
    "SoapFaultInMultipartResponse": lambda _c, r: (
        b"<error>Unable to create payload, try increasing the size</error>" in r.body
    ),
    "SplitHeaderMessage": lambda _c, r: all(
        soap.parse_message(b).issue == "w\naa\nww\n" for b in (r.body, r.seen[0].body)
    ),
    "Utf8BomNormalSubsystem": lambda c, r: (
        soap.parse_message(r.body).request_hash
        == base64.b64encode(hashlib.sha512(content(c["request"])).digest()).decode()
    ),
}


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["name"])
@pytest.mark.xroad("F086", "F093")
def test_case(case: dict[str, Any]) -> None:
    result = asyncio.run(run_case(case))
    expected = case["expect"]
    if expected["outcome"] == "success":
        answer = case["answer"]
        assert result.status == 200
        assert headers_of(result.content_type, result.body) == headers_of(
            answer["content_type"], content(answer)
        )
        asked = case["request"]
        sent = result.seen[0]
        assert headers_of(sent.header("Content-Type") or "", sent.body) == headers_of(
            asked["content_type"], content(asked)
        )
    else:
        assert result.status == 200
        code = _fault_code(result)
        if expected["match"] == "equals":
            assert code == expected["code"]
        elif expected["match"] == "prefix":
            assert code.startswith(expected["code"])
    if case["name"] in ALSO:
        assert ALSO[case["name"]](case, result)


def _fault_code(result: Result) -> str:
    parsed = soap.parse_envelope(result.body)
    assert isinstance(parsed, soap.SoapFault), result.body[:2000]
    return parsed.wire.code
