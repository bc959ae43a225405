"""Every listener is opened in one way, and a stranger who holds on to it stops nobody else."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import errno
import resource
import signal
import socket
import ssl
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest
import uvloop
from aiohttp import web

from certs.tls import TlsCredentials, system_server_context
from gateway.http.heads import NotHttpError, RequestHead
from gateway.http.reading import RequestReader
from serving.process.binding import bind_address, wait_for_connection
from serving.process.listener import BoundedRunner, ListenerBounds, listen
from serving.storage.selfsigned import self_signed
from tests.integration.hosting import prepare
from tests.ports import free_port
from tests.worlds import PIN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from typing import Any

ROOT = Path(__file__).parents[2]
PACKAGES = ("gateway", "central_server", "serving", "social_security", "certs", "schemas")
HALF_HEAD = b"GET / HTTP/1.1\r\nHost: x\r\nX-A: "
BODY_HEAD = b"POST /take HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"


def application(waits: asyncio.Event | None = None) -> web.Application:
    async def hello(_request: web.Request) -> web.Response:
        return web.Response(text="hello")

    async def take(request: web.Request) -> web.Response:
        return web.Response(text=str(len(await request.read())))

    async def wait(_request: web.Request) -> web.Response:
        assert waits is not None
        await waits.wait()
        return web.Response(text="waited")

    async def large(_request: web.Request) -> web.Response:
        return web.Response(body=bytes(64 * 1024 * 1024))

    async def fail(_request: web.Request) -> web.Response:
        raise KeyError("inner")

    app = web.Application(client_max_size=1 << 30)
    app.router.add_get("/", hello)
    app.router.add_get("/health", hello)
    app.router.add_post("/take", take)
    app.router.add_get("/wait", wait)
    app.router.add_get("/large", large)
    app.router.add_get("/fail", fail)
    return app


@contextlib.asynccontextmanager
async def listening(
    bounds: ListenerBounds, *, tls: bool = False, waits: asyncio.Event | None = None
) -> AsyncIterator[tuple[str, int, BoundedRunner]]:
    context = system_server_context(TlsCredentials(*self_signed("127.0.0.1"))) if tls else None
    runner = await listen(application(waits), "127.0.0.1", 0, context, bounds=bounds, shutdown_timeout=1)
    try:
        host, port = runner.addresses[0]
        yield host, port, runner
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def strangers(
    host: str, port: int, count: int, said: bytes
) -> AsyncIterator[list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]:
    found = [await asyncio.open_connection(host, port) for _ in range(count)]
    for _, writer in found:
        writer.write(said)
    try:
        yield found
    finally:
        for _, writer in found:
            writer.close()
        await asyncio.gather(*(w.wait_closed() for _, w in found), return_exceptions=True)


async def is_closed(reader: asyncio.StreamReader) -> bool:
    with contextlib.suppress(ConnectionError):
        while await reader.read(65_536):
            pass
    return True


async def asked(url: str) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(url, timeout=aiohttp.ClientTimeout(90), ssl=False) as answer,
    ):
        return answer.status, await answer.text()


@pytest.mark.parametrize(
    "said",
    [b"", b"G", HALF_HEAD, b"\r\n" * 5, BODY_HEAD, BODY_HEAD + b"a"],
    ids=["mute", "letter", "half head", "blank", "body", "byte"],
)
async def test_strangers_who_hold_every_place_make_room_for_the_next_request(said: bytes) -> None:
    bounds = ListenerBounds(connections=20, by_address=20)
    async with (
        asyncio.timeout(120),
        listening(bounds) as (host, port, _),
        strangers(host, port, 40, said),
    ):
        assert await asked(f"http://{host}:{port}/") == (200, "hello")


async def test_strangers_in_the_middle_of_a_handshake_make_room_too() -> None:
    bounds = ListenerBounds(connections=20, by_address=20)
    async with (
        asyncio.timeout(120),
        listening(bounds, tls=True) as (host, port, _),
        strangers(host, port, 40, b"\x16\x03\x01\x02\x00\x01"),
    ):
        assert await asked(f"https://{host}:{port}/") == (200, "hello")


@pytest.mark.xroad("F098")
async def test_an_address_has_a_share_and_its_oldest_that_says_nothing_makes_room() -> None:
    bounds = ListenerBounds(connections=100, by_address=5)
    async with (
        asyncio.timeout(60),
        listening(bounds) as (host, port, _),
        strangers(host, port, 12, HALF_HEAD) as held,
    ):
        await asyncio.gather(*(is_closed(reader) for reader, _ in held[:7]))


@pytest.mark.parametrize("tls", [False, True])
async def test_a_head_that_takes_too_long_is_cut_off(*, tls: bool) -> None:
    bounds = ListenerBounds(head_s=0.5, handshake_s=0.5)
    async with (
        asyncio.timeout(60),
        listening(bounds, tls=tls) as (host, port, _),
        strangers(host, port, 1, b"\x16\x03" if tls else HALF_HEAD) as held,
    ):
        assert await is_closed(held[0][0])


def test_a_body_within_tls_is_cut_off_in_the_event_loop_that_servers_run_in(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def hold() -> None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        async with listening(ListenerBounds(window_s=1.0), tls=True) as (host, port, _):
            reader, writer = await asyncio.open_connection(host, port, ssl=context)
            writer.write(BODY_HEAD)
            async with asyncio.timeout(60):
                assert await is_closed(reader)
            writer.close()

    uvloop.run(hold())
    assert "Exception in callback" not in caplog.text


@pytest.mark.parametrize("runner", [asyncio.run, uvloop.run])
def test_who_ends_his_direction_after_a_request_is_answered(
    runner: Callable[[Coroutine[Any, Any, bytes]], bytes],
) -> None:
    async def ask() -> bytes:
        waits = asyncio.Event()
        async with asyncio.timeout(60), listening(ListenerBounds(), waits=waits) as (host, port, _):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(
                b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /wait HTTP/1.1\r\nHost: x\r\n\r\n" + HALF_HEAD
            )
            writer.write_eof()
            await reader.readuntil(b"hello")
            waits.set()
            rest = await reader.read()
            writer.close()
            return rest

    rest = runner(ask())
    assert rest.count(b"HTTP/1.1 200 OK") == rest.count(b"HTTP/1.1") == 1, rest
    assert b"Connection: close" in rest


@pytest.mark.parametrize("runner", [asyncio.run, uvloop.run])
def test_a_request_and_the_end_of_its_direction_may_come_before_the_handler_begins(
    runner: Callable[[Coroutine[Any, Any, list[bytes]]], list[bytes]],
) -> None:
    """As a client does it that knows nothing of the loop: both stand in the queue when the connection is taken, or come with it."""

    def ask(port: int) -> bytes:
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(1000), b""))

    async def ask_often() -> list[bytes]:
        async with listening(ListenerBounds()) as (_, port, _runner):
            return [await asyncio.to_thread(ask, port) for _ in range(20)]

    for raw in runner(ask_often()):
        assert raw.startswith(b"HTTP/1.1 200 OK"), raw
        assert raw.endswith(b"hello")


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (b"", "is missing"),
        (b"Host: a\r\nHost: a\r\n", "came 2 times"),
        (b"Host: a b\r\n", "a name or an address was expected"),
        (b"Host: a/b\r\n", "a name or an address was expected"),
        (b"Host: u@a\r\n", "a name or an address was expected"),
        (b"Host: a:8080:1\r\n", "a name or an address was expected"),
        (b"Host: a:x\r\n", "a name or an address was expected"),
        (b"Host: [::1\r\n", "a name or an address was expected"),
        (b"Host: \xc3\xb1\r\n", "a name or an address was expected"),
    ],
)
async def test_a_request_without_one_good_host_is_refused(lines: bytes, problem: str) -> None:
    async with asyncio.timeout(60), listening(ListenerBounds()) as (host, port, _):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"GET / HTTP/1.1\r\n" + lines + b"\r\n")
        raw = await reader.read()
        writer.close()
    assert raw.split(b" ")[1] == b"400", raw
    (refused,) = RequestReader().feed(b"GET / HTTP/1.1\r\n" + lines + b"\r\n")
    assert isinstance(refused, NotHttpError)
    assert refused.status == 400
    assert problem in refused.reason


@pytest.mark.parametrize(
    "host", [b"", b"a", b"A_b-1.example:8080", b"127.0.0.1:", b"[::1]:1", b"[fe80::1%25eth0]", b"%C3%B1.mx"]
)
async def test_any_host_of_the_grammar_is_taken(host: bytes) -> None:
    asked_for = b"GET / HTTP/1.1\r\nConnection: close\r\nHost: %b\r\n\r\n" % host
    async with asyncio.timeout(60), listening(ListenerBounds()) as (at, port, _):
        reader, writer = await asyncio.open_connection(at, port)
        writer.write(asked_for)
        raw = await reader.read()
        writer.close()
    assert raw.startswith(b"HTTP/1.1 200 "), raw
    assert isinstance(RequestReader().feed(asked_for)[0], RequestHead)


async def test_a_head_that_drips_is_cut_off_as_one_that_stands_still() -> None:
    async with (
        asyncio.timeout(60),
        listening(ListenerBounds(head_s=0.5)) as (host, port, _),
        strangers(host, port, 1, HALF_HEAD) as held,
    ):
        await drip_until_closed(*held[0])


async def drip_until_closed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    gone = asyncio.create_task(is_closed(reader))
    while not gone.done():
        with contextlib.suppress(ConnectionError):
            writer.write(b"a")
            await writer.drain()
        await asyncio.wait([gone], timeout=0.1)


async def test_a_body_that_drips_is_cut_off_and_one_that_flows_is_not() -> None:
    bounds = ListenerBounds(body_bytes_per_s=100, window_s=4.0)
    async with (
        asyncio.timeout(120),
        listening(bounds) as (host, port, _),
        strangers(host, port, 2, BODY_HEAD) as ((slow, drips), (quick, flows)),
    ):
        gone = asyncio.create_task(drip_until_closed(slow, drips))
        sent = 0
        while not gone.done():
            flows.write(b"b" * 1000)
            sent += 1000
            await asyncio.wait([gone], timeout=0.1)
        flows.write(b"b" * (1_000_000 - sent))
        assert (await quick.readline()).startswith(b"HTTP/1.1 200")


async def test_a_body_after_a_long_wait_between_requests_has_its_whole_time() -> None:
    bounds = ListenerBounds(body_bytes_per_s=1000, window_s=6.0)
    async with (
        asyncio.timeout(60),
        listening(bounds) as (host, port, _),
        strangers(host, port, 1, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") as ((reader, writer),),
    ):
        await reader.readuntil(b"hello")
        await asyncio.sleep(7)  # longer than a window: the time that passes is what is tried
        writer.write(BODY_HEAD)
        await asyncio.sleep(2)  # within the first window of the body
        writer.write(bytes(1_000_000))
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")


async def test_an_answer_that_nobody_takes_is_cut_off() -> None:
    async with (
        asyncio.timeout(120),
        listening(ListenerBounds(stall_s=1.0)) as (host, port, runner),
        strangers(host, port, 1, b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n"),
    ):
        server = runner.server
        assert server is not None
        await until(lambda: bool(server.connections))
        await until(lambda: not server.connections)


async def until(holds: Callable[[], bool]) -> None:
    """Wait for something that the server does and sets no event for."""
    while not holds():
        await asyncio.sleep(0.02)


async def test_requests_under_way_are_bounded_and_health_has_places_of_its_own() -> None:
    waits = asyncio.Event()
    bounds = ListenerBounds(requests=3, always=frozenset({"/health"}))
    async with listening(bounds, waits=waits) as (host, port, _), asyncio.timeout(120):
        under_way = [asyncio.create_task(asked(f"http://{host}:{port}/wait")) for _ in range(3)]
        while (await asked(f"http://{host}:{port}/"))[0] != 503:
            await asyncio.sleep(0)
        assert await asked(f"http://{host}:{port}/health") == (200, "hello")
        waits.set()
        assert await asyncio.gather(*under_way) == [(200, "waited")] * 3
        assert await asked(f"http://{host}:{port}/") == (200, "hello")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
        b"GET /fail HTTP/1.1\r\nHost: x\r\n\r\n",
        b"NONSENSE\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: " + b"b" * 20_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    ],
    ids=lambda b: b[:16].decode(),
)
async def test_no_answer_names_the_software(request_bytes: bytes) -> None:
    async with listening(ListenerBounds(head_s=1.0)) as (host, port, _), asyncio.timeout(60):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(request_bytes)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.")
        assert b"\nserver:" not in head.lower()
        assert b"aiohttp" not in head.lower()
        assert b"python" not in head.lower()
        writer.close()


async def test_who_connects_before_the_application_is_there_waits_for_it() -> None:
    sockets = await bind_address("127.0.0.1", 0)
    host, port = sockets[0].getsockname()
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    runner = await listen(application(), host, port, sockets=sockets)
    try:
        async with asyncio.timeout(60):
            assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200 OK\r\n")
    finally:
        writer.close()
        await runner.cleanup()


async def test_who_is_waited_for_is_still_in_the_queue_when_he_has_come() -> None:
    sockets = await bind_address("127.0.0.1", 0)
    host, port = sockets[0].getsockname()
    waiting = asyncio.create_task(wait_for_connection(sockets))
    await asyncio.sleep(0)
    assert not waiting.done()
    reader, writer = await asyncio.open_connection(host, port)
    async with asyncio.timeout(60):
        await waiting
        runner = await listen(application(), host, port, sockets=sockets)
        try:
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200 OK\r\n")
        finally:
            writer.close()
            await runner.cleanup()


async def test_a_listener_that_stops_answers_everyone_who_had_connected() -> None:
    """Connected without a byte, in the middle of a head, and in the queue of the socket: each gets his answer."""
    async with asyncio.timeout(60), contextlib.AsyncExitStack() as stack:
        host, port, _ = await stack.enter_async_context(listening(ListenerBounds()))
        whole = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        fresh = await asyncio.open_connection(host, port)
        half = await asyncio.open_connection(host, port)
        half[1].write(whole[:9])
        queued = socket.create_connection((host, port))  # the loop has had no turn to take it
        stopping = asyncio.create_task(stack.aclose())
        await asyncio.sleep(0)
        late = await asyncio.open_connection(sock=queued)
        for (_, writer), rest in ((fresh, whole), (half, whole[9:]), (late, whole)):
            writer.write(rest)
        for reader, writer in (fresh, half, late):
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            writer.close()
        await stopping
        with pytest.raises(OSError):
            await asyncio.open_connection(host, port)


async def test_an_address_in_use_is_named_with_its_setting() -> None:
    async with listening(ListenerBounds()) as (host, port, _):
        with pytest.raises(OSError, match=rf"port {port} \(admin.port\).*another process") as refused:
            await listen(application(), host, port, setting="admin.port")
        assert refused.value.errno == errno.EADDRINUSE


def test_a_listener_never_takes_more_than_a_part_of_the_files() -> None:
    for files in (64, 256, 1024, 4096, 1 << 20):
        bounds = ListenerBounds().within(files)
        assert 8 <= bounds.connections <= max(8, files // 8)
        assert bounds.by_address <= bounds.connections


# A whole process with 1,024 files


@pytest.mark.xroad("F098")
async def test_with_1024_files_and_984_half_heads_on_the_admin_port_health_and_consumers_are_served(
    tmp_path: Path,
) -> None:
    place = tmp_path / "data"
    folder, consumer, admin, health = str(place), free_port(), free_port(), free_port()
    settings = tmp_path / "settings.toml"
    settings.write_text(
        f'[listen]\nconsumer_host = "127.0.0.1"\nhttp_port = {consumer}\nhttps_port = {free_port()}\n'
        f'peer_host = "127.0.0.1"\npeer_port = {free_port()}\nocsp_port = {free_port()}\n'
        f"health_port = {health}\n[admin]\nport = {admin}\n"
    )
    place.mkdir()
    prepare(place)
    (tmp_path / "pin").write_text(PIN)
    (tmp_path / "pin").chmod(0o600)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *(
            "-m",
            "gateway",
            "serve",
            "--data",
            folder,
            "--settings",
            str(settings),
            "--pin-file",
            str(tmp_path / "pin"),
        ),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024)),
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(90):
            await _reachable(f"http://127.0.0.1:{health}/")
        async with (
            asyncio.timeout(90),
            strangers("127.0.0.1", admin, 984, HALF_HEAD),
            strangers("127.0.0.1", health, 984, HALF_HEAD),
        ):
            for _ in range(3):
                assert (await asked(f"http://127.0.0.1:{health}/"))[0] in (200, 503)
                assert (await asked(f"http://127.0.0.1:{consumer}/listClients"))[0] in (200, 500)
                assert (await asked(f"https://127.0.0.1:{admin}/"))[0] == 200
            assert files_of(process.pid) < 700
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()


def files_of(pid: int) -> int:
    """How many files a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def _reachable(url: str) -> None:
    while True:
        with contextlib.suppress(aiohttp.ClientError):
            await asked(url)
            return
        await asyncio.sleep(0.1)


# One way to listen


# Where a socket may be bound or a server made, each with why.
ALLOWED = {
    "serving/process/listener.py": "the one way",
    "serving/process/binding.py": "the addresses that it listens on",
    "gateway/edges/http.py": "the data plane, which has its own bounds",
    "certs/edges/signer.py": "a Unix socket in a folder of this user's alone",
    "serving/process/workers.py": "a Unix socket in the folder of one worker, which speaks there",
    "serving/login/ldap/directory.py": "`bind` there is a directory's word for a login",
    "gateway/cli/policy.py": "`bind` there is of a policy to a service",
    "serving/process/addresses.py": "tries an address before a start, and lets it go",
    "gateway/health/preflighting.py": "tries whether a port is free, and lets it go",
}
WAYS = {
    "TCPSite",
    "UnixSite",
    "SockSite",
    "AppRunner",
    "ServerRunner",
    "run_app",
    "_run_app",
    "start_server",
    "start_unix_server",
    "create_server",
    "create_unix_server",
    "HTTPServer",
    "ThreadingHTTPServer",
    "TCPServer",
    "bind",
    "add_reader",
}


def test_there_is_no_other_way_to_listen() -> None:
    found = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and node.attr in WAYS
        and not (isinstance(node.value, ast.Name) and node.value.id in ("inspect", "functools"))
    }
    assert found <= set(ALLOWED), (
        f"open these with serving.process.listener.listen: {sorted(found - set(ALLOWED))}"
    )
