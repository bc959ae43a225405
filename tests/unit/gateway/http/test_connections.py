"""Listeners and clients of the data plane on real sockets: what is written, what is waited for, and who makes room."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest
import uvloop

from gateway.edges.http import Bounds, DataPlaneServer, RawRequest, RawResponse, listen
from gateway.http.bounds import Room
from gateway.http.client import (
    CLOSED,
    CLOSED_REUSED,
    KEPT_FOR_LONG,
    Failure,
    HttpFailedError,
    Place,
    Pool,
)
from schemas.faults import BadMessage
from serving.process.load import LoadLimits, ProcessLoad

HOST = "127.0.0.1"
HEAD = b"POST /x HTTP/1.1\r\nHost: gw\r\n"


@dataclass
class Listener:
    """A listener under test, with what its handler saw."""

    port: int
    server: DataPlaneServer
    bodies: list[bytes] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    came: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)


@contextlib.asynccontextmanager
async def listening(bounds: Bounds | None = None, *, idle_s: float = 30.0) -> AsyncIterator[Listener]:
    """Echoes bodies; ``/wait`` is answered once `Listener.go` is set, ``/many`` in pieces, ``/unread`` without reading."""

    async def handle(request: RawRequest) -> None:
        if request.target == "/unread":
            await request.send(RawResponse(400, body=b"no"), stall_s=5)
            return
        body = b""
        try:
            async for piece in request.arriving(idle_s):
                body += piece
        except BadMessage as fault:
            made.faults.append(fault.detail)
            await request.send(RawResponse(400, body=fault.detail.encode()), stall_s=5)
            return
        made.bodies.append(body)
        if request.target == "/wait":
            made.came.set()
            await made.go.wait()
        if request.target == "/good":
            request.trust()
        pieces = many() if request.target == "/many" else None
        await request.send(RawResponse(200, request.header_pairs(), body), pieces, stall_s=5)

    async def many() -> AsyncIterator[bytes]:
        for piece in (b"one", b"two", b"three"):
            yield piece

    server = DataPlaneServer(
        handle, lambda status, text: RawResponse(status, (), text.encode()), bounds=bounds or Bounds()
    )
    opened = await listen(server, HOST, 0)
    made = Listener(opened.addresses[0][1], server)
    try:
        yield made
    finally:
        made.go.set()
        await opened.cleanup()


async def talk(port: int, *pieces: bytes) -> bytes:
    """Everything that is answered to these pieces before the connection closes."""
    reader, writer = await asyncio.open_connection(HOST, port)
    for piece in pieces:
        writer.write(piece)
        await asyncio.sleep(0)
    async with asyncio.timeout(60):
        with contextlib.suppress(ConnectionError):
            raw = await reader.read()
    writer.close()
    return raw


LAST = HEAD + b"Connection: close\r\n"


async def test_an_answer_has_the_bytes_it_was_given_and_nothing_invented() -> None:
    async with listening() as at:
        raw = await talk(at.port, LAST + b"X-Name: Mu\xf1oz\r\nACCEPT: a\r\naccept: b\r\n\r\n")
    head, _, body = raw.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[1].startswith(b"Date: ")
    assert [lines[0], *lines[2:6]] == [
        b"HTTP/1.1 200 OK",
        b"Host: gw",
        b"X-Name: Mu\xf1oz",
        b"ACCEPT: a",
        b"accept: b",
    ]
    assert {line.partition(b":")[0] for line in lines[6:]} == {b"Content-Length", b"Connection"}
    assert body == b""


async def test_a_listener_about_to_stop_answers_every_connection_once_more_and_keeps_none() -> None:
    async with listening() as at:
        at.server.is_retiring = True
        for _ in range(2):
            raw = await talk(at.port, HEAD + b"Content-Length: 1\r\n\r\n1")
            assert raw.startswith(b"HTTP/1.1 200 OK")
            assert b"Connection: close" in raw


async def test_requests_that_come_together_are_answered_in_order() -> None:
    async with listening() as at:
        first, second = HEAD + b"Content-Length: 1\r\n\r\n1", LAST + b"Content-Length: 1\r\n\r\n2"
        raw = await talk(at.port, first + second)
        assert at.bodies == [b"1", b"2"]
        assert raw.count(b"HTTP/1.1 200") == 2
        byte_by_byte = [bytes([b]) for b in first + second]
        assert (await talk(at.port, *byte_by_byte)).count(b"HTTP/1.1 200") == 2


async def test_what_follows_the_last_request_is_not_looked_at() -> None:
    async with listening() as at:
        raw = await talk(at.port, LAST + b"Content-Length: 1\r\n\r\n1" + HEAD + b"\r\n")
    assert raw.count(b"HTTP/1.1 ") == 1


async def talk_and_end(port: int, said: bytes, *, ended: asyncio.Event | None = None) -> bytes:
    """Everything that is answered to who sends this and ends his direction."""
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(said)
    writer.write_eof()
    if ended is not None:
        ended.set()
    async with asyncio.timeout(60):
        raw = await reader.read()
    writer.close()
    return raw


@pytest.mark.parametrize("path", [b"/x", b"/many", b"/wait", b"/unread"])
@pytest.mark.parametrize("runner", [asyncio.run, uvloop.run])
def test_who_ends_his_direction_after_a_request_is_answered(
    path: bytes, runner: Callable[[Awaitable[bytes]], bytes]
) -> None:
    async def ask() -> bytes:
        async with listening() as at:
            said = HEAD.replace(b"/x", path) + b"Content-Length: 1\r\n\r\n1"
            talking = asyncio.create_task(talk_and_end(at.port, said))
            if path == b"/wait":  # the handler is at work when the other end's last byte has come
                await at.came.wait()
                await asyncio.sleep(0.05)
                at.go.set()
            return await talking

    raw = runner(ask())
    assert raw.startswith(b"HTTP/1.1 400" if path == b"/unread" else b"HTTP/1.1 200"), raw
    assert raw.endswith({b"/many": b"three\r\n0\r\n\r\n", b"/unread": b"no"}.get(path, b"\r\n\r\n1")), raw


async def test_each_of_several_requests_before_the_end_is_answered_and_half_a_one_is_not() -> None:
    one = HEAD.replace(b"/x", b"/wait") + b"Content-Length: 1\r\n\r\n1"
    for rest in (b"", HEAD, HEAD + b"Content-Length: 9\r\n\r\nab"):
        async with listening() as at:
            talking = asyncio.create_task(talk_and_end(at.port, one * 3 + rest))
            await at.came.wait()
            at.go.set()
            raw = await talking
            assert raw.count(b"HTTP/1.1 200 OK") == raw.count(b"HTTP/1.1") == 3, raw
            assert len(at.server.room) == 0 or not rest


async def test_pieces_leave_chunked_or_to_an_old_client_until_the_end() -> None:
    async with listening() as at:
        many = LAST.replace(b"/x", b"/many") + b"\r\n"
        raw = await talk(at.port, many)
        assert raw.endswith(b"\r\n\r\n3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\n")
        old = await talk(at.port, many.replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert old.endswith(b"\r\n\r\nonetwothree")
        assert b"Transfer-Encoding" not in old


async def test_head_has_a_length_and_no_body() -> None:
    async with listening() as at:
        raw = await talk(at.port, (LAST + b"Content-Length: 3\r\n\r\nabc").replace(b"POST", b"HEAD"))
    assert b"Content-Length: 3\r\n" in raw
    assert raw.endswith(b"\r\n\r\n")


async def test_a_body_that_was_announced_is_let_in_once_it_is_read() -> None:
    async with listening() as at:
        reader, writer = await asyncio.open_connection(HOST, at.port)
        writer.write(LAST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"ok")
        assert (await reader.read()).endswith(b"\r\n\r\nok")
        refused = LAST.replace(b"/x", b"/unread") + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        assert (await talk(at.port, refused)).startswith(b"HTTP/1.1 400 Bad Request\r\n")
        writer.close()


async def test_after_a_refusal_the_rest_of_a_small_body_is_dropped_and_the_next_request_read() -> None:
    async with listening() as at:
        unread = HEAD.replace(b"/x", b"/unread") + b"Content-Length: 5\r\n\r\n"
        reader, writer = await asyncio.open_connection(HOST, at.port)
        writer.write(unread)
        await reader.readuntil(b"\r\n\r\nno")
        writer.write(b"12345" + LAST + b"\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 200")
        large = HEAD.replace(b"/x", b"/unread") + b"Content-Length: 5000000\r\n\r\n"
        assert b"Connection: close" in await talk(at.port, large, b"x" * 300_000)
        writer.close()


async def test_silence_and_a_drip_are_told_apart_from_a_body() -> None:
    async with listening(idle_s=0.3) as at:
        raw = await talk(at.port, HEAD + b"Content-Length: 5\r\n\r\n", b"12")
        assert raw.startswith(b"HTTP/1.1 400")
        assert at.faults == ["no byte of the request body came for 0.3 s; the rest is missing"]


async def test_a_request_beyond_those_under_way_is_answered_503_and_health_of_others_goes_on() -> None:
    async with listening(Bounds(requests=1)) as at:
        first = asyncio.create_task(talk(at.port, LAST.replace(b"/x", b"/wait") + b"\r\n"))
        await at.came.wait()
        assert (await talk(at.port, HEAD + b"\r\n")).startswith(b"HTTP/1.1 503 Service Unavailable")
        at.go.set()
        assert (await first).startswith(b"HTTP/1.1 200")


async def strangers(port: int, count: int, said: bytes) -> list[asyncio.StreamWriter]:
    opened = [await asyncio.open_connection(HOST, port) for _ in range(count)]
    for _, writer in opened:
        writer.write(said)
    return [writer for _, writer in opened]


@pytest.mark.parametrize(
    "said", [b"", b"POST /x HT", HEAD + b"X: "], ids=["nothing", "half a line", "half a head"]
)
async def test_strangers_make_room_for_who_was_served_before(said: bytes) -> None:
    async with listening(Bounds(connections=20, per_address=20)) as at:
        reader, writer = await asyncio.open_connection(HOST, at.port)
        good = HEAD.replace(b"/x", b"/good") + b"\r\n"
        writer.write(good)
        await reader.readuntil(b"\r\n\r\n")
        opened = await strangers(at.port, 60, said)
        writer.write(good)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        assert len(at.server.room) <= 20
        for one in (writer, *opened):
            one.close()


async def test_one_address_does_not_take_every_place() -> None:
    async with listening(Bounds(connections=40)) as at:
        opened = await strangers(at.port, 60, b"POST")
        await talk(at.port, LAST + b"\r\n")
        assert len(at.server.room) <= 20
        for one in opened:
            one.close()


async def test_bodies_that_drip_make_room() -> None:
    async with listening(Bounds(connections=10, per_address=10)) as at:
        opened = await strangers(at.port, 10, HEAD + b"Content-Length: 100\r\n\r\nx")
        async with asyncio.timeout(60):
            while True:  # until they have dripped for long enough to be told from bodies that come
                with contextlib.suppress(ConnectionError):
                    if (await talk(at.port, LAST + b"\r\n")).startswith(b"HTTP/1.1 200"):
                        break
                await asyncio.sleep(0.1)
        for one in opened:
            one.close()


async def test_a_listener_that_stops_answers_everyone_who_had_connected() -> None:
    """In the queue, connected without a byte, in the middle of a head, and being answered: each gets his one answer."""
    async with contextlib.AsyncExitStack() as stack:
        at = await stack.enter_async_context(listening())
        idle = await asyncio.open_connection(HOST, at.port)
        idle[1].write(HEAD + b"\r\n")
        await idle[0].readuntil(b"\r\n\r\n")
        answered = await asyncio.open_connection(HOST, at.port)
        answered[1].write(HEAD.replace(b"/x", b"/wait") + b"\r\n")
        await at.came.wait()
        fresh = await asyncio.open_connection(HOST, at.port)
        half = await asyncio.open_connection(HOST, at.port)
        half[1].write(HEAD[:20])
        queued = socket.create_connection((HOST, at.port))  # the loop has had no turn to take it
        stopping = asyncio.create_task(stack.aclose())
        await asyncio.sleep(0)
        late = await asyncio.open_connection(sock=queued)
        fresh[1].write(HEAD + b"\r\n")
        late[1].write(HEAD + b"\r\n")
        half[1].write(HEAD[20:] + b"\r\n")
        async with asyncio.timeout(60):
            assert await idle[0].read() == b""
            for reader, _ in (answered, fresh, half, late):
                raw = await reader.read()
                assert raw.startswith(b"HTTP/1.1 200 OK"), raw
                assert b"Connection: close" in raw
            await stopping
        for _, writer in (idle, answered, fresh, half, late):
            writer.close()
        with pytest.raises(OSError):
            await asyncio.open_connection(HOST, at.port)


async def test_a_head_that_never_ends_is_given_up() -> None:
    async with listening(Bounds(head_s=0.3, keepalive_s=30)) as at:
        reader, writer = await asyncio.open_connection(HOST, at.port)
        writer.write(b"POST /x HTTP/1.1\r\n")
        async with asyncio.timeout(60):
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
        writer.close()


# The client


@dataclass
class Spoken:
    """A server that reads one request a connection or more, and answers what it is told to."""

    port: int = 0
    requests: list[bytes] = field(default_factory=list)


@contextlib.asynccontextmanager
async def serving(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    """A server whose connections have all ended when this does; its port."""
    tasks: list[asyncio.Task[None] | None] = []

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.append(asyncio.current_task())
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await serve(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(one, HOST, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        async with asyncio.timeout(60):
            await asyncio.gather(*(t for t in tasks if t is not None), return_exceptions=True)


@contextlib.asynccontextmanager
async def speaking(*answers: bytes | None) -> AsyncIterator[Spoken]:
    """Gives the answers in order, whatever the connection; None closes it."""
    spoken, left = Spoken(), list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            spoken.requests.append(head + await reader.readexactly(int(length or 0)))
            answer = left.pop(0) if left else None
            if answer is None:
                return
            writer.write(answer)
            if b"close" in answer:
                return

    async with serving(serve) as spoken.port:
        yield spoken


async def ask(
    pool: Pool, port: int, method: str = "GET", body: bytes | None = None, silence_s: float = 10
) -> tuple[int, bytes]:
    connection = await pool.lease(Place(HOST, port), 5)
    try:
        head = await connection.request(method, b"/", [(b"Host", b"x")], body, silence_s=silence_s)
        return head.status, b"".join([c async for c in connection.chunks()])
    finally:
        pool.give_back(connection)


GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def fails(asked: Callable[[], object]) -> HttpFailedError:
    with pytest.raises(HttpFailedError) as caught:
        await asked()  # type: ignore[misc]
    return caught.value


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "POST"])
async def test_no_request_is_sent_twice(method: str) -> None:
    first = GOOD if method != "HEAD" else GOOD[:-2]
    async with speaking(first, None, GOOD) as server:
        pool = Pool(30)
        assert (await ask(pool, server.port, method))[0] == 200
        failed = await fails(lambda: ask(pool, server.port, method))
        assert (failed.failure, failed.reason) == (Failure.CLOSED, CLOSED_REUSED)
        assert len(server.requests) == 2
        pool.close()


@pytest.mark.xroad("F097")
async def test_a_connection_that_was_closed_meanwhile_is_not_used() -> None:
    async with speaking(GOOD + b"", GOOD) as server:
        pool = Pool(30)
        connection = await pool.lease(Place(HOST, server.port), 5)
        await connection.request("GET", b"/", [(b"Host", b"x")], None, silence_s=5)
        assert [c async for c in connection.chunks()] == [b"ok"]
        pool.give_back(connection)
        connection.abort()
        assert await ask(pool, server.port) == (200, b"ok")
        pool.close()


async def test_of_the_connections_that_a_burst_left_the_surplus_is_closed_soon_and_the_others_are_used_again() -> (
    None
):
    opened, surplus = 0, 5
    ended: asyncio.Queue[None] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened
        opened += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(GOOD)
        ended.put_nowait(None)

    async with asyncio.timeout(60), serving(serve) as port:
        pool = Pool(600, surplus_s=0.01)
        burst = [await pool.lease(Place(HOST, port), 30) for _ in range(KEPT_FOR_LONG + surplus)]
        for connection in burst:
            await connection.request("GET", b"/", [(b"Host", b"x")], None, silence_s=30)
            assert [c async for c in connection.chunks()] == [b"ok"]
            pool.give_back(connection)
        for _ in range(surplus):
            await ended.get()
        again = [await pool.lease(Place(HOST, port), 30) for _ in range(KEPT_FOR_LONG)]
        assert all(c in burst for c in again)
        assert (opened, ended.qsize()) == (KEPT_FOR_LONG + surplus, 0)
        for connection in again:
            connection.abort()
        pool.close()


async def test_a_first_connection_that_closes_says_so() -> None:
    async with speaking(None) as server:
        failed = await fails(lambda: ask(Pool(30), server.port))
        assert failed.reason == CLOSED


@pytest.mark.parametrize(
    ("said", "failure"),
    [
        (b"SSH-2.0-x\r\n", Failure.NOT_HTTP),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", Failure.NOT_HTTP),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9\r\n\r\nok", Failure.CUT),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n", Failure.CUT),
        (b"HTTP/1.1 200 OK\r\nX-close: 1", Failure.NOT_HTTP),
    ],
)
async def test_what_went_wrong_is_told_by_kind(said: bytes, failure: Failure) -> None:
    async with speaking(said) as server:
        assert (await fails(lambda: ask(Pool(30), server.port))).failure is failure


async def test_silence_is_measured_between_bytes_and_not_over_all() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")
        for _ in range(6):
            writer.write(b"x")
            await asyncio.sleep(0.7)

    async with serving(serve) as port:
        assert await ask(Pool(0), port, silence_s=4.0) == (200, b"xxxxxx")


async def test_a_silent_server_is_given_up() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(serve) as port:
        failed = await fails(lambda: ask(Pool(30), port, silence_s=0.2))
    assert (failed.failure, failed.reason) == (Failure.SILENT, "sent no byte for 0.2 s")


async def test_no_address_is_in_the_words_of_a_failure() -> None:
    async with speaking() as server:
        port = server.port
    failed = await fails(lambda: ask(Pool(30), port))
    assert failed.failure is Failure.UNREACHABLE
    assert HOST not in failed.reason
    assert str(port) not in failed.reason
    unknown = await fails(lambda: Pool(30).lease(Place("no.such.host.invalid", 80), 5))
    assert "no.such.host" not in unknown.reason


async def test_a_large_body_streams_both_ways_while_it_is_answered() -> None:
    async with listening() as at:
        pool, size = Pool(30), 8 * 1024 * 1024

        async def body() -> AsyncIterator[bytes]:
            for _ in range(size // 65536):
                yield b"x" * 65536

        connection = await pool.lease(Place(HOST, at.port), 5)
        head = await connection.request("POST", b"/", [(b"Host", b"x")], body(), silence_s=20)
        assert head.status == 200
        assert sum([len(c) async for c in connection.chunks()]) == size
        pool.give_back(connection)
        assert await ask(pool, at.port, "POST", b"again") == (200, b"again")
        pool.close()


@pytest.mark.xroad("F098")
async def test_while_the_process_is_above_its_limits_an_address_has_one_request_under_way() -> None:
    # This process has more resident than a byte, so it is above the limit from the first look on.
    async with listening(Bounds(load=LoadLimits(memory_bytes=1))) as made:
        made.server.room = Room(made.server.room.bounds, above())
        first, writer = await asyncio.open_connection(HOST, made.port)
        writer.write(b"GET /wait HTTP/1.1\r\nHost: gw\r\n\r\n")
        await made.came.wait()
        second, other = await asyncio.open_connection(HOST, made.port)
        other.write(b"GET /x HTTP/1.1\r\nHost: gw\r\n\r\n")
        # The connection that carries a request stays; the one above the address's share is closed without an answer.
        assert await second.read() == b""
        made.go.set()
        assert (await first.readline()).startswith(b"HTTP/1.1 200")
        for each in (writer, other):
            each.close()


@pytest.mark.xroad("F098")
async def test_a_busy_process_refuses_a_second_request_of_an_address_and_takes_it_when_it_is_below_again() -> (
    None
):
    calm, busy = Bounds(), Bounds(load=LoadLimits(memory_bytes=1))
    async with listening(calm) as made:
        made.server.room = Room(calm, above())
        opened = [await asyncio.open_connection(HOST, made.port) for _ in range(2)]
        (first, writer), (second, other) = opened
        writer.write(b"GET /wait HTTP/1.1\r\nHost: gw\r\n\r\n")
        await made.came.wait()
        made.server.room.take_bounds(busy)
        other.write(b"GET /x HTTP/1.1\r\nHost: gw\r\n\r\n")
        said = await second.read()
        assert said.startswith(b"HTTP/1.1 503")
        assert b"a request of this address is under way" in said
        made.server.room.take_bounds(calm)
        again, third = await asyncio.open_connection(HOST, made.port)
        third.write(b"GET /x HTTP/1.1\r\nHost: gw\r\n\r\n")
        assert (await again.readline()).startswith(b"HTTP/1.1 200")
        made.go.set()
        assert (await first.readline()).startswith(b"HTTP/1.1 200")
        for each in (writer, other, third):
            each.close()


def above() -> ProcessLoad:
    """The load of a process that takes a gigabyte, at a clock that runs a second at each look."""
    times = itertools.count(1.0, 1.0)
    return ProcessLoad(lambda: next(times), lambda: 0.0, lambda: 1 << 30)
