"""Hostile SOAP messages to a consumer gateway: a fault that says what is wrong, little memory, nothing left behind.

Memory is what this process allocates above where it stood, client and gateway together, while bodies of many megabytes
are made chunk by chunk.
"""

from __future__ import annotations

import asyncio
import gzip
import io
import re
import tracemalloc
import zipfile
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp
import pytest

from schemas import soap
from schemas.faults import BadMessage
from schemas.identifiers import ClientId, ServiceId
from tests.vectors import stage

if TYPE_CHECKING:
    from schemas.faults import WireFault

CLIENT = ClientId("EE", "BUSINESS", "consumer")
SERVICE = ServiceId(ClientId("EE", "BUSINESS", "producer"), "test")
XML = "text/xml; charset=UTF-8"
RELATED = "multipart/related; boundary=b"
MEGABYTE = 1024 * 1024
ENVELOPE = soap.render_request(CLIENT, SERVICE, "h1", '<t:test xmlns:t="urn:t"/>')
SOAP_PART = b"--b\r\nContent-Type: text/xml\r\n\r\n" + ENVELOPE + b"\r\n"


def envelope(body: str = '<t:test xmlns:t="urn:t"/>', *, before: str = "", header: str = "") -> bytes:
    raw = soap.render_request(CLIENT, SERVICE, "h1", body).decode()
    raw = raw.replace("<soap:Header>", f"<soap:Header>{header}")
    return raw.replace("?>\n", f"?>\n{before}", 1).encode()


def many(chunk: bytes, times: int, *, first: bytes = b"", last: bytes = b"") -> Callable[[], Iterator[bytes]]:
    def chunks() -> Iterator[bytes]:
        yield first
        for _ in range(times):
            yield chunk
        yield last

    return chunks


LAUGHS = (
    "<!DOCTYPE x ["
    + '<!ENTITY a "lol">'
    + "".join(
        f'<!ENTITY {c} "{"&" + p + ";" + "&" + p + ";"}">'
        for p, c in zip("abcdefghi", "bcdefghij", strict=True)
    )
    + "]>"
)
MESSAGES: dict[str, tuple[str, bytes | Callable[[], Iterable[bytes]], str]] = {
    "entity expansion": (
        XML,
        envelope("<t:test xmlns:t='urn:t'>&j;</t:test>", before=LAUGHS),
        "client.invalid_soap",
    ),
    "an external entity": (
        XML,
        envelope(
            "<t:test xmlns:t='urn:t'>&x;</t:test>",
            before='<!DOCTYPE x [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        ),
        "client.invalid_soap",
    ),
    "an external DTD": (
        XML,
        envelope(before='<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x">'),
        "client.invalid_soap",
    ),
    "a bare DOCTYPE": (XML, envelope(before="<!DOCTYPE x>"), "client.invalid_soap"),
    "an entity nobody declared": (
        XML,
        envelope("<t:test xmlns:t='urn:t'>&no;</t:test>"),
        "client.invalid_soap",
    ),
    "deep nesting": (
        XML,
        envelope("<t:test xmlns:t='urn:t'>" + "<a>" * 100_000 + "</a>" * 100_000 + "</t:test>"),
        "client.invalid_soap",
    ),
    "a million elements": (
        XML,
        envelope("<t:test xmlns:t='urn:t'>" + "<a/>" * 1_000_000 + "</t:test>"),
        "client.invalid_soap",
    ),
    "forty thousand attributes": (
        XML,
        envelope("<t:test xmlns:t='urn:t' " + " ".join(f'a{n}="1"' for n in range(40_000)) + "/>"),
        "client.invalid_soap",
    ),
    "twenty thousand namespaces": (
        XML,
        envelope(
            "<t:test xmlns:t='urn:t' " + " ".join(f'xmlns:n{n}="urn:{n}"' for n in range(20_000)) + "/>"
        ),
        "client.invalid_soap",
    ),
    "a header value of a megabyte": (
        XML,
        envelope(header=f"<xroad:userId>{'u' * MEGABYTE}</xroad:userId>"),
        "client.invalid_soap",
    ),
    "an envelope without end": (
        XML,
        many(b"x" * 65_536, 1_000, first=ENVELOPE[: ENVELOPE.index(b"<soap:Body>")] + b"<soap:Body><t>"),
        "client.invalid_soap",
    ),
    "UTF-16": (XML, ENVELOPE.decode().encode("utf-16"), "client.invalid_soap"),
    "bytes that are not UTF-8": (XML, ENVELOPE.replace(b">h1<", b">\xff\xfe<"), "client.invalid_soap"),
    "a declared encoding nobody reads": (
        XML,
        ENVELOPE.replace(b'encoding="UTF-8"', b'encoding="EBCDIC-CP-US"'),
        "client.invalid_soap",
    ),
    "a charset nobody reads": ("text/xml; charset=utf-7", ENVELOPE, "client.invalid_content_type"),
    "a header twice": (XML, envelope(header="<xroad:id>other</xroad:id>"), "client.duplicate_header_field"),
    "a second Header": (
        XML,
        ENVELOPE.replace(b"<soap:Body>", b"<soap:Header/><soap:Body>"),
        "client.invalid_soap",
    ),
    "a second Body": (
        XML,
        ENVELOPE.replace(b"</soap:Envelope>", b"<soap:Body/></soap:Envelope>"),
        "client.invalid_soap",
    ),
    "a Header after the Body": (
        XML,
        ENVELOPE.replace(b"</soap:Envelope>", b"<soap:Header/></soap:Envelope>"),
        "client.invalid_soap",
    ),
    "ten thousand parts": (
        RELATED,
        many(b"--b\r\nContent-Type: text/plain\r\n\r\nx\r\n", 10_000, first=SOAP_PART, last=b"--b--\r\n"),
        "client.mime_parsing_failed",
    ),
    "ten thousand part headers": (
        RELATED,
        b"--b\r\nContent-Type: text/xml\r\n" + b"X-A: 1\r\n" * 10_000 + b"\r\n" + ENVELOPE + b"\r\n--b--\r\n",
        "client.mime_parsing_failed",
    ),
    "part headers without end": (
        RELATED,
        many(b"X-A: 1\r\n" * 1_000, 1_000, first=b"--b\r\nContent-Type: text/xml\r\n"),
        "client.mime_parsing_failed",
    ),
    "contradicting part headers": (
        RELATED,
        b"--b\r\nContent-Type: text/xml\r\nContent-Type: text/plain\r\n\r\n" + ENVELOPE + b"\r\n--b--\r\n",
        "client.invalid_content_type",
    ),
    "a delimiter line that never ends": (
        RELATED,
        many(b"-" * 65_536, 500, first=SOAP_PART + b"--b "),
        "client.mime_parsing_failed",
    ),
    "a boundary that never comes": (RELATED, many(b"x" * 65_536, 500), "client.mime_parsing_failed"),
    "a boundary longer than allowed": (
        f"multipart/related; boundary={'b' * 4_000}",
        SOAP_PART,
        "client.mime_parsing_failed",
    ),
    "no boundary": ("multipart/related", SOAP_PART, "client.invalid_content_type"),
    "a part without end": (
        RELATED,
        many(b"x" * 65_536, 200, first=SOAP_PART + b"--b\r\nContent-Type: text/plain\r\n\r\n"),
        "client.mime_parsing_failed",
    ),
    "attachments beyond the limit": (
        RELATED,
        many(b"x" * MEGABYTE, 70, first=SOAP_PART + b"--b\r\nContent-Type: text/plain\r\n\r\n"),
        "client.invalid_message",
    ),
    "a zip bomb as envelope": (XML, b"", "client.invalid_soap"),
    "a multipart of nothing": (RELATED, b"", "client.missing_soap"),
    "no content type": ("", ENVELOPE, "client.invalid_request"),
}


def _zip_bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.xml", bytes(50 * MEGABYTE))
    return out.getvalue()


MESSAGES["a zip bomb as envelope"] = (XML, _zip_bomb(), "client.invalid_soap")


@dataclass
class Outcome:
    """What came back, what it cost, and what is left."""

    fault: WireFault
    peak_bytes: int
    logged: int
    left: list[str]


async def _attack(
    content_type: str, body: bytes | Callable[[], Iterable[bytes]], headers: dict[str, str]
) -> Outcome:
    async def chunks() -> AsyncIterator[bytes]:
        for chunk in (body,) if isinstance(body, bytes) else body():
            yield chunk

    async with AsyncExitStack() as stack:
        setup = stage.Setup()
        up = await stack.enter_async_context(stage.put_up(setup))
        named = {"Content-Type": content_type} if content_type else {}
        tracemalloc.start()
        try:
            async with (
                aiohttp.ClientSession(skip_auto_headers=("Content-Type",)) as session,
                session.post(
                    f"http://{stage.HOST}:{up.consumer_port}/", data=chunks(), headers={**named, **headers}
                ) as answer,
            ):
                assert answer.status == 200
                raw = await answer.read()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        parsed = soap.parse_envelope(raw)
        assert isinstance(parsed, soap.SoapFault), raw[:500]
        return Outcome(parsed.wire, peak, len(up.log.entries), [p.name for p in up.spools.glob("*.spool")])


def attack(
    content_type: str, body: bytes | Callable[[], Iterable[bytes]], headers: dict[str, str] | None = None
) -> Outcome:
    return asyncio.run(_attack(content_type, body, headers or {}))


@pytest.mark.parametrize("what", MESSAGES)
def test_is_refused_clearly_and_cheaply(what: str) -> None:
    content_type, body, code = MESSAGES[what]
    outcome = attack(content_type, body)
    assert outcome.fault.code == code
    assert len(outcome.fault.string) > 20
    assert outcome.logged == 0
    assert outcome.left == []
    # The largest envelope let in is 10 MiB; everything beyond a few copies of it would be a leak.
    assert outcome.peak_bytes < 48 * MEGABYTE


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
def test_a_compressed_message_is_refused_and_never_unpacked(encoding: str) -> None:
    bomb = gzip.compress(bytes(50 * MEGABYTE))
    outcome = attack(XML, bomb, {"Content-Encoding": encoding})
    assert outcome.fault.code == "client.invalid_content_type"
    assert "uncompressed" in outcome.fault.string
    assert outcome.peak_bytes < 4 * MEGABYTE


async def _raw(request: bytes, *, idle_s: float = 30.0) -> tuple[bytes, int]:
    """Send bytes as they are; what comes back, and how much was logged."""
    async with stage.put_up(stage.Setup(idle_s=idle_s)) as up:
        reader, writer = await asyncio.open_connection(stage.HOST, up.consumer_port)
        writer.write(request)
        answer = b""
        async with asyncio.timeout(60):
            while not answer.rstrip().endswith((b"}", b"Envelope>")):
                answer += await reader.read(65_536)
        writer.transport.abort()
        return answer, len(up.log.entries)


async def _seen(condition: Callable[[], bool]) -> bool:
    """Whether a condition comes true within some seconds."""
    for _ in range(1_000):
        if condition():
            return True
        await asyncio.sleep(0.005)
    return False


def head(*headers: str) -> bytes:
    return "\r\n".join(("POST / HTTP/1.1", "Host: x", "Connection: close", *headers, "", "")).encode()


def test_ten_thousand_http_headers_are_refused() -> None:
    answer, logged = asyncio.run(
        _raw(head(f"Content-Type: {XML}", *(f"X-{n}: 1" for n in range(10_000))) + ENVELOPE)
    )
    assert b" 400 " in answer.partition(b"\r\n")[0]
    assert b"client.bad_request" in answer
    assert logged == 0


def test_two_different_content_types_are_refused() -> None:
    lines = (f"Content-Type: {XML}", f"Content-Type: {RELATED}", f"Content-Length: {len(ENVELOPE)}")
    answer, logged = asyncio.run(_raw(head(*lines) + ENVELOPE))
    assert b"<faultcode>client.invalid_request<" in answer
    assert b"Content-Type came 2 times with different values" in answer
    assert logged == 0


def test_a_length_and_chunks_together_are_refused() -> None:
    lines = (f"Content-Type: {XML}", "Content-Length: 10", "Transfer-Encoding: chunked")
    answer, logged = asyncio.run(_raw(head(*lines) + b"5\r\nhello\r\n0\r\n\r\n"))
    assert b" 400 " in answer.partition(b"\r\n")[0]
    assert logged == 0


def test_broken_chunks_are_refused() -> None:
    lines = (f"Content-Type: {XML}", "Transfer-Encoding: chunked")
    answer, logged = asyncio.run(_raw(head(*lines) + b"5\r\nhello\r\nZZ\r\n"))
    assert b"client." in answer
    assert logged == 0


def test_a_body_that_dries_up_is_refused_in_time() -> None:
    lines = (f"Content-Type: {XML}", "Content-Length: 100000")
    answer, logged = asyncio.run(_raw(head(*lines) + ENVELOPE, idle_s=0.2))
    assert b"client.io_error" in answer
    assert b"no byte of the request body came" in answer
    assert logged == 0


def test_a_body_that_stops_half_way_leaves_nothing_behind() -> None:
    lines = (f"Content-Type: {RELATED}", f"Content-Length: {5 * MEGABYTE}")
    part = SOAP_PART + b"--b\r\nContent-Type: text/plain\r\n\r\n" + b"x" * 3 * MEGABYTE

    async def run() -> None:
        async with stage.put_up(stage.Setup()) as up:
            _, writer = await asyncio.open_connection(stage.HOST, up.consumer_port)
            writer.write(head(*lines) + part)
            assert await _seen(lambda: any(up.spools.glob("*.spool")))
            writer.transport.abort()
            assert await _seen(lambda: not any(up.spools.glob("*.spool")))
            assert up.log.entries == []

    asyncio.run(run())


@pytest.mark.parametrize("within", ["<!-- x -->", "<?x y?>", "<x/>", "<x>y</x>"])
@pytest.mark.parametrize("value", ["<id:memberCode>consumer", "<xro:id>h1"])
def test_a_value_of_the_header_that_is_cut_in_two_is_refused(value: str, within: str) -> None:
    """A reader that stops at the comment would see another client than one that does not."""
    begin, _, text = value.partition(">")
    written = f"{text[:1]}{within}{text[1:]}"
    raw = ENVELOPE.decode()
    found = re.search(rf"<[A-Za-z0-9]*:?{begin.rpartition(':')[2]}>{text}<", raw)
    assert found is not None
    cut = raw.replace(found[0], found[0].replace(f">{text}<", f">{written}<"))
    with pytest.raises(BadMessage, match="has an element, comment or instruction in it"):
        soap.parse_message(cut.encode())
    # Beside a value they stand where they did no harm.
    soap.parse_message(raw.replace(found[0], f"<!-- x -->{found[0]}", 1).encode())


@pytest.mark.parametrize("nil", ["true", "1", " true "])
def test_a_value_of_the_header_that_is_nil_for_some_is_refused(nil: str) -> None:
    xsi = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    raw = re.sub(r"(<[A-Za-z0-9]*:?memberCode)>", rf'\1 {xsi} xsi:nil="{nil}">', ENVELOPE.decode(), count=1)
    with pytest.raises(BadMessage, match="is nil"):
        soap.parse_message(raw.encode())
    soap.parse_message(raw.replace(f'"{nil}"', '"false"').encode())
