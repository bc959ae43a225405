"""Traffic recorded from two live X-Road 7.8.0 security servers, played to gateways of ours.

Three directions, each with the recorded configuration in force at the recorded moment:

- a request that X-Road's consumer side sent is posted to our provider side, whose answer is set beside the answer that
  X-Road's provider side gave to the same kind of request;
- our consumer side is asked what was asked then, and a fake peer answers with the very bytes that X-Road answered; our
  request is set beside the one that X-Road's consumer side wrote;
- what our consumer side then gives its information system is set beside what X-Road's gave its own.

What differs by nature (identifiers, boundaries, digests, signatures, dates, who called whom) is levelled by `level` before
anything is compared; everything else a peer can see is a field.
"""

from __future__ import annotations

import asyncio
import re
import uuid
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from certs.configuration import TrustedConfiguration
from certs.edges.configurationfiles import load_configuration_folder
from gateway.clients.records import Document
from gateway.metaservices.answering import Metaservices
from schemas.identifiers import ServerId
from schemas.multipart import parse_content_type
from tests.paths import VECTORS
from tests.vectors import stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.globalconf.shared import SecurityServer
    from schemas.identifiers import ClientId, GlobalGroupId

RECORDED = VECTORS / "recorded"
OURS = ServerId("DEV", "COM", "4321", "SSA")
KINDS = (
    "rest-get",
    "rest-post",
    "rest-unknown",
    "rest-denied",
    "soap",
    "soap-attachment",
    "soap-unknown",
    "soap-getwsdl",
)
# Within the seconds of the recording, when every recorded OCSP response was fresh.
MOMENT = datetime(2026, 11, 29, 15, 1, 30, tzinfo=UTC)
WSDL = b'<definitions xmlns="http://schemas.xmlsoap.org/wsdl/"/>'


class AtHome(TrustedConfiguration):
    """The recorded configuration, with every security server at this machine's address."""

    def servers_of(self, client: ClientId) -> tuple[SecurityServer, ...]:
        return tuple(msgspec.structs.replace(s, address=stage.HOST) for s in super().servers_of(client))

    def in_global_group(self, client: ClientId, group: GlobalGroupId) -> bool:
        return group == stage.EVERYONE or super().in_global_group(client, group)


def federation(ids: Sequence[str] = ()) -> stage.Federation:
    """The recorded federation; ``ids`` are what our gateway shall call its next messages."""
    stored = load_configuration_folder(RECORDED / "globalconf-as-x-road-stored", now=MOMENT)
    return stage.Federation(AtHome(stored.instance, stored.instances, stored.parts), MOMENT, OURS, ids)


def setup_of(kind: str) -> stage.Setup:
    """What the recorded request met: a service, none, or no right to it; metadata are our own answer."""
    setup = stage.Setup(rest=True, soap_codes=frozenset(("soapEcho",)))
    setup.services_exist = not kind.endswith("unknown")
    setup.may_call = kind != "rest-denied"
    serverconf = stage.Serverconf(OURS)
    object.__setattr__(serverconf, "setup", setup)
    setup.local_services = Metaservices(
        lambda: serverconf, lambda: None, lambda _service: Document(WSDL, ""), lambda: str(uuid.UUID(int=7))
    )
    return setup


# HTTP messages as bytes


@dataclass(frozen=True)
class Wire:
    """An HTTP message as it stood on the wire: first line, header lines in order, body without its framing."""

    first: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first header of that name, whatever its case."""
        return next((v for n, v in self.headers if n.lower() == name), None)


def parse_wire(raw: bytes) -> Wire:
    """Split an HTTP message, a recorded one too, whose body no longer has the framing its headers name."""
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("utf-8").split("\r\n")
    headers = tuple((n, v.strip()) for n, _, v in (line.partition(":") for line in lines if line))
    return Wire(first, headers, body)


def recorded(kind: str, side: str, what: str) -> Wire:
    """A recorded message: ``side`` is x-road-consumer or x-road-provider, ``what`` request, response or to-client."""
    if what == "to-client":
        return parse_wire((RECORDED / f"{kind}.{side}.to-client").read_bytes())
    head = (RECORDED / f"{kind}.{side}.{what}.headers").read_bytes()
    return parse_wire(head + b"\r\n\r\n" + (RECORDED / f"{kind}.{side}.{what}.bin").read_bytes())


def unchunked(message: Wire) -> Wire:
    """The message without chunked framing."""
    if message.header("transfer-encoding") != "chunked":
        return message
    out, rest = b"", message.body
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        out, rest = out + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    return replace(message, body=out)


async def send(port: int, first: str, headers: Sequence[tuple[str, str]], body: bytes) -> Wire:
    """Send a message and give what came back, read to the end of the connection."""
    kept = [
        (n, v) for n, v in headers if n.lower() not in ("connection", "transfer-encoding", "content-length")
    ]
    if not any(n.lower() == "host" for n, _ in kept):  # what is kept of a message has none
        kept.insert(0, ("Host", "gw"))
    lines = [first, *(f"{n}: {v}" for n, v in kept), f"Content-Length: {len(body)}", "Connection: close"]
    reader, writer = await asyncio.open_connection(stage.HOST, port)
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + body)
    raw = await reader.read()
    writer.close()
    return unchunked(parse_wire(raw))


# What was asked then


@dataclass(frozen=True)
class Asked:
    """A request of an information system, mirrored from what X-Road's consumer side was asked."""

    first: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""
    request_id: str = ""


def asked_of_us(kind: str) -> Asked:
    """The request that our consumer side carried then: X-Road's, with both sides exchanged."""
    theirs = recorded(kind, "x-road-consumer", "request")
    parts = split_parts(theirs)
    raw = _mirrored(parts[1].content)
    answered = recorded(kind, "x-road-provider", "response").body
    found = re.search(rb"x-road-request-id:(\S+)", answered)
    request_id = found[1].decode() if found else ""
    if kind.startswith("rest"):
        method, target, *lines = raw.decode().split("\r\n")
        pairs = tuple((n, v) for n, _, v in (line.partition(":") for line in lines if line))
        kept = tuple((n, v) for n, v in pairs if n != "x-road-request-id")
        body = next((p.content for p in parts if p.kind.endswith("rest-body")), b"")
        return Asked(f"{method} {target} HTTP/1.1", kept, body, request_id)
    content_type = str(theirs.header("x-original-content-type"))
    return Asked(
        "POST / HTTP/1.1",
        (("Content-Type", content_type), ("SOAPAction", "")),
        _soap_body(content_type, raw, parts),
        request_id,
    )


def _soap_body(content_type: str, envelope: bytes, parts: Sequence[Part]) -> bytes:
    boundary = parse_content_type(content_type)[1].get("boundary")
    if boundary is None:
        return envelope
    dash = f"--{boundary}\r\n".encode()
    nested = next(p for p in parts if p.kind.startswith("multipart/mixed"))
    inner = [f"{n}: {v}" for n, v in nested.inner[0].headers]
    return b"".join(
        (
            dash + b"Content-Type: text/xml; charset=UTF-8\r\n\r\n" + envelope + b"\r\n",
            dash + "\r\n".join(inner).encode() + b"\r\n\r\n" + nested.inner[0].content + b"\r\n",
            f"--{boundary}--\r\n".encode(),
        )
    )


def _mirrored(raw: bytes) -> bytes:
    """A message of X1 to us as one of ours to X1."""
    swapped = raw.replace(b"<id:memberCode>1111<", b"<id:memberCode>@<").replace(b"CliX1", b"CliA")
    swapped = swapped.replace(b"<id:memberCode>4321<", b"<id:memberCode>1111<").replace(b"SvcA", b"SvcX1")
    swapped = swapped.replace(b"<id:memberCode>@<", b"<id:memberCode>4321<")
    swapped = swapped.replace(b"COM/4321/SvcX1", b"COM/1111/SvcX1").replace(
        b"COM/1111/CliA", b"COM/4321/CliA"
    )
    return swapped.replace(b"-x1-ssa", b"-ssa-x1")


# Multipart between security servers


@dataclass(frozen=True)
class Part:
    """A part of the multipart: its header lines and its bytes; ``inner`` are the attachments of a nested multipart."""

    headers: tuple[tuple[str, str], ...]
    content: bytes
    inner: tuple[Part, ...] = field(default=())

    @property
    def kind(self) -> str:
        """Its content type."""
        return next(v for n, v in self.headers if n.lower() == "content-type")


def split_parts(message: Wire) -> list[Part]:
    """The parts of a message between security servers, by their bytes and not by our own parser."""
    boundary = parse_content_type(message.header("content-type") or "")[1].get("boundary", "")
    return split_with(message.body, boundary.encode())


def split_with(body: bytes, boundary: bytes) -> list[Part]:
    """The parts between the delimiters of a boundary, nested ones too."""
    parts = []
    pieces = (b"\r\n" + body).split(b"\r\n--" + boundary)
    assert pieces[-1].startswith(b"--"), "the multipart has no end"
    for piece in pieces[1:-1]:
        head, _, content = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = tuple((n, v.strip()) for n, _, v in (line.partition(":") for line in lines))
        part = Part(headers, content)
        if part.kind.startswith("multipart/mixed"):
            inner = parse_content_type(part.kind)[1]["boundary"].encode()
            part = replace(part, inner=tuple(split_with(content, inner)))
        parts.append(part)
    return parts


# What was played, and what came of it


async def play_to_provider(kind: str) -> Wire:
    """X-Road's recorded request to our provider side: our answer to X-Road."""
    theirs = recorded(kind, "x-road-consumer", "request")
    setup = setup_of(kind)
    async with AsyncExitStack() as stack:
        setup.port, _ = await stack.enter_async_context(stage.answering(_service_answer(kind)))
        up = await stack.enter_async_context(stage.put_up(setup, federation=federation()))
        return await send(up.provider_port, f"{theirs.first} HTTP/1.1", theirs.headers, theirs.body)


def _service_answer(kind: str) -> stage.Answerer:
    """What the provider's system answered then, taken from what X-Road signed of it."""
    answered = {"rest-unknown": "rest-get", "rest-denied": "rest-get", "soap-unknown": "soap"}.get(kind, kind)
    parts = split_parts(recorded(answered, "x-road-provider", "response"))
    if not kind.startswith("rest"):
        return lambda _seen: stage.http_answer(
            parts[0].content, headers=[("Content-Type", "text/xml; charset=UTF-8")]
        )
    _, _, *lines = parts[0].content.decode().split("\r\n")
    pairs = [
        (n, v) for n, _, v in (line.partition(":") for line in lines if line) if not n.startswith("x-road")
    ]
    return lambda _seen: stage.http_answer(parts[1].content, headers=pairs, reason="OK")


@dataclass(frozen=True)
class Played:
    """What our consumer side sent to the peer, and what it gave its information system."""

    sent: Wire
    given: Wire


async def play_to_consumer(kind: str) -> Played:
    """Our consumer side is asked as it was then, and X-Road's recorded bytes answer it."""
    asked, theirs = asked_of_us(kind), recorded(kind, "x-road-provider", "response")
    head = "\r\n".join((theirs.first, *(f"{n}: {v}" for n, v in theirs.headers)))
    raw = f"{head}\r\n\r\n".encode() + theirs.body
    ids = (asked.request_id,) if asked.request_id else ()
    async with AsyncExitStack() as stack:
        port, seen = await stack.enter_async_context(stage.answering(lambda _seen: raw, stage.peer_tls()))
        placed = stage.put_up(setup_of(kind), peer_port=port, federation=federation(ids))
        up = await stack.enter_async_context(placed)
        given = await send(up.consumer_port, asked.first, asked.headers, asked.body)
    return Played(Wire(f"{seen[0].method} {seen[0].target}", tuple(seen[0].headers), seen[0].body), given)
