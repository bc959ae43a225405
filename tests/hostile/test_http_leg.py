"""HTTP through both gateways, byte for byte: what was signed is what is delivered, once, and what went wrong is said."""

from __future__ import annotations

import asyncio
import hashlib
import ssl

import pytest

from certs.certificates import der_of
from certs.tls import TlsCredentials, load_credentials
from gateway.http.heads import NotHttpError
from gateway.http.reading import RequestReader
from serving.storage.selfsigned import self_signed
from tests.vectors import stage

PATH = b"/r1/EE/BUSINESS/producer/sub/echo"
CLIENT = b"X-Road-Client: EE/BUSINESS/consumer/sub\r\n"


async def through(raw: bytes, answer: bytes) -> tuple[bytes, list[stage.Seen]]:
    """What a consumer gets for its bytes when the service answers these, and what the service was sent."""
    setup = stage.Setup(rest=True)
    async with stage.answering(lambda _seen: answer) as (port, seen):
        setup.port = port
        async with stage.put_up(setup) as up:
            reader, writer = await asyncio.open_connection(stage.HOST, up.consumer_port)
            writer.write(raw)
            async with asyncio.timeout(30):
                received = await reader.read()
            writer.close()
    return received, seen


def request(method: bytes = b"GET", path: bytes = PATH, lines: bytes = b"", body: bytes = b"") -> bytes:
    length = b"Content-Length: %d\r\n" % len(body) if body else b""
    head = b"%b %b HTTP/1.1\r\nHost: gw\r\nConnection: close\r\n" % (method, path)
    return head + CLIENT + lines + length + b"\r\n" + body


def ok(lines: bytes = b"", body: bytes = b"") -> bytes:
    return (
        b"HTTP/1.1 200 Fine\r\nConnection: close\r\nContent-Length: %d\r\n" % len(body)
        + lines
        + b"\r\n"
        + body
    )


def head_of(raw: bytes) -> list[bytes]:
    return raw.partition(b"\r\n\r\n")[0].split(b"\r\n")


async def test_bytes_of_headers_pass_unchanged_both_ways() -> None:
    lines = b"X-Name: Mu\xf1oz\r\nX-Forwarded-For: 1.1.1.1\r\nx-forwarded-for: 2.2.2.2\r\nACCEPT: a\r\nAccept: b\r\n"
    raw, seen = await through(
        request(lines=lines), ok(b"X-Answer: Le\xf3n\r\nset-cookie: a\r\nSet-Cookie: b\r\n")
    )
    sent = [(n.encode("latin-1"), v.encode("latin-1")) for n, v in seen[0].headers]
    for line in lines.split(b"\r\n")[:-1]:
        name, _, value = line.partition(b": ")
        assert (name, value) in sent
    head = head_of(raw)
    assert head[0] == b"HTTP/1.1 200 Fine"
    assert {b"X-Answer: Le\xf3n", b"set-cookie: a", b"Set-Cookie: b"} <= set(head)


async def test_nothing_is_invented_either_way() -> None:
    raw, seen = await through(request(b"POST", body=b"x"), ok(body=b"y"))
    assert {n.lower() for n, _ in seen[0].headers if not n.lower().startswith("x-road-")} == {
        "host",
        "content-length",
    }
    names = {line.partition(b":")[0].lower() for line in head_of(raw)[1:]}
    assert not names & {b"content-type", b"server", b"x-powered-by"}


@pytest.mark.parametrize("method", [b"GET", b"PUT", b"DELETE", b"POST", b"PATCH"])
async def test_a_service_that_closes_without_an_answer_was_asked_once(method: bytes) -> None:
    raw, seen = await through(request(method, body=b"" if method in (b"GET", b"DELETE") else b"x"), b"")
    assert b"closed the connection without an answer" in raw
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (ok(b"X-Large: " + b"x" * 9000 + b"\r\n", b"y"), 200, b"y"),
        (ok(b"".join(b"X-%d: y\r\n" % n for n in range(150)), b"y"), 200, b"y"),
        (b"HTTP/1.1 204 None\r\nContent-Length: 4\r\n\r\nbody", 204, b""),
        (ok(body=b"y") + b"Z", 200, b"y"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\ny", 200, b"y"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\ny", 200, b"y"),
        (b"http/1.1 200 OK\r\nContent-Length: 1\r\n\r\ny", 200, b"y"),
        (b"HTTP/1.1  200 OK\r\nContent-Length: 1\r\n\r\ny", 200, b"y"),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", 200, b"until the end"),
        (b"HTTP/1.1 103 Early\r\n\r\n" + ok(body=b"y"), 200, b"y"),
    ],
)
async def test_what_java_takes_from_a_service_is_taken(answer: bytes, status: int, body: bytes) -> None:
    raw, _ = await through(request(), answer)
    assert head_of(raw)[0].startswith(b"HTTP/1.1 %d" % status), raw
    assert raw.partition(b"\r\n\r\n")[2] == body


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
            b"switches protocols",
        ),
        (b"HTTP/1.1 101 S\r\n\r\n", b"switches protocols"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nyy", b"Content-Length"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"Transfer-Encoding",
        ),
        (b"SSH-2.0-OpenSSH_9\r\n", b"answered, but not HTTP"),
        (b"\x15\x03\x01\x00\x02\x02\x46", b"answered, but not HTTP"),
        (b"HTTP/1.1 200 OK\r\nX : y\r\n\r\n", b"answered, but not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", b"broke off its answer"),
    ],
)
async def test_what_is_no_answer_is_told_with_the_reason(answer: bytes, said: bytes) -> None:
    raw, _ = await through(request(), answer)
    assert head_of(raw)[0].startswith(b"HTTP/1.1 500")
    assert said in raw


async def test_an_unreachable_service_is_told_without_its_address() -> None:
    setup = stage.Setup(rest=True, service_url="http://127.0.0.1:9")
    async with stage.put_up(setup) as up:
        reader, writer = await asyncio.open_connection(stage.HOST, up.consumer_port)
        writer.write(request())
        raw = await reader.read()
        writer.close()
    assert b"took no connection" in raw
    assert b"127.0.0.1" not in raw.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("start", [b"http://gw:8080", b"HTTP://other", b"https://gw"])
async def test_a_request_in_absolute_form_is_the_same_request(start: bytes) -> None:
    raw, seen = await through(request(path=start + PATH + b"?q=1"), ok(body=b"y"))
    assert head_of(raw)[0] == b"HTTP/1.1 200 Fine"
    assert seen[0].target == "/?q=1"


@pytest.mark.parametrize(
    "target",
    [
        b"*",
        b"gw:8080",
        b"ftp://gw" + PATH,
        b"http:" + PATH,
        b"http:/gw" + PATH,
        b"http://" + PATH,
        b"http://user@gw" + PATH,
        b"http://user:word@gw" + PATH,
        b"http://a@b@gw" + PATH,
        b"http://@" + PATH,
        b"http://gw#" + PATH,
        b"ws://gw" + PATH,
        b"javascript:" + PATH,
        b"r1/MX",
        b"?q=1",
    ],
)
@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_a_target_that_is_no_path_of_this_server_is_a_bad_request(method: bytes, target: bytes) -> None:
    (refused,) = RequestReader().feed(method + b" " + target + b" HTTP/1.1\r\nHost: gw\r\n\r\n")
    assert isinstance(refused, NotHttpError)
    assert refused.status == 400


async def test_a_client_that_offers_http_2_is_served_over_http_1() -> None:
    lines = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
    raw, seen = await through(request(b"POST", lines=lines, body=b"x"), ok(body=b"y"))
    assert head_of(raw)[0] == b"HTTP/1.1 200 Fine"
    assert seen[0].body == b"x"


async def exchanged(up: stage.Stage, *, shown: TlsCredentials | None = None) -> bytes:
    """What a consumer gets, over TLS with its certificate where it shows one."""
    port, tls = up.consumer_port, None
    if shown is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        tls.check_hostname, tls.verify_mode, port = False, ssl.CERT_NONE, up.consumer_tls_port
        load_credentials(tls, shown)
    reader, writer = await asyncio.open_connection(stage.HOST, port, ssl=tls)
    writer.write(request())
    async with asyncio.timeout(30):
        received = await reader.read()
    writer.close()
    return received


@pytest.mark.xroad("F097")
@pytest.mark.parametrize(("pooled", "handshakes"), [(True, 1), (False, 3)])
async def test_a_connection_to_a_peer_carries_one_message_after_another_unless_that_is_off(
    pooled: bool, handshakes: int
) -> None:
    setup = stage.Setup(rest=True, pooled=pooled)
    async with stage.answering(lambda _seen: ok(body=b"y")) as (port, _), stage.put_up(setup) as up:
        setup.port = port
        for _ in range(3):
            assert (await exchanged(up)).startswith(b"HTTP/1.1 200")
        assert len(up.handshakes) == handshakes


@pytest.mark.xroad("F114")
@pytest.mark.parametrize("log_certificates", [True, False])
async def test_the_certificate_a_system_showed_stands_in_the_log_beside_its_message_where_that_is_wanted(
    log_certificates: bool, caplog: pytest.LogCaptureFixture
) -> None:
    own = TlsCredentials(*self_signed("system.example"))
    setup = stage.Setup(rest=True, log_certificates=log_certificates)
    with caplog.at_level("INFO", "gateway.consumers"):
        async with stage.answering(lambda _seen: ok(body=b"y")) as (port, _), stage.put_up(setup) as up:
            setup.port = port
            assert (await exchanged(up, shown=own)).startswith(b"HTTP/1.1 200")
            assert (await exchanged(up)).startswith(b"HTTP/1.1 200")
    written = [vars(r) for r in caplog.records if vars(r).get("event") == "client_certificate"]
    exchanges = [vars(r) for r in caplog.records if vars(r).get("event") == "exchange"]
    assert len(exchanges) >= 2
    if not log_certificates:
        assert written == []
        return
    (line,) = written
    assert line["sha256"] == hashlib.sha256(der_of(own.chain[0])).hexdigest()
    assert line["subject"] == "CN=system.example"
    assert line["messageId"] in {e["messageId"] for e in exchanges}
