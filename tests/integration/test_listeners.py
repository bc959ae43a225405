"""Strangers at the listeners: slow, silent, lying, or many. Memory stays bounded and everybody else is served."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import time
from typing import TYPE_CHECKING

import pytest

from benchmarks.federation import Federation, free_base
from benchmarks.processes import cost_of
from certs.tls import peer_client_context
from tests.integration.calling import AFIL, call, until
from tests.integration.middle import credentials
from tests.integration.pair import consumer, provider, running

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.processes
BASE = free_base()
SHORT = "[limits]\nconsumer_idle_s = 4.0\nkeepalive_s = 2.0\nconnections = 100\n"
CONSUMER = consumer(BASE, SHORT)
# Idle connections stay there for longer than a test, unless others need their places.
PROVIDER = provider(BASE, "[limits]\nkeepalive_s = 600.0\nconnections = 100\n")
AT = CONSUMER.address
PATH = "/r1/MX/GOB/00-RNSS/INDICE/echo"
HEAD = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nX-Road-Client: {AFIL}\r\n".encode()


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    with running(Federation(tmp_path_factory.mktemp("listeners"), [CONSUMER, PROVIDER], base=BASE)) as made:
        yield made


@pytest.fixture(autouse=True)
def others_are_served(federation: Federation) -> Iterator[None]:
    """Before and after: exchanges work, nothing lies in the spool, and the gateway is no larger than it may be."""
    assert call(AT).status == 200
    yield
    assert call(AT).status == 200
    for spec in (CONSUMER, PROVIDER):
        folder = federation.data(spec) / "log" / "spool"
        until(lambda folder=folder: list(folder.iterdir()), lambda left: left == [])  # type: ignore[misc]
        cost = cost_of(federation.processes[spec.key].pid)
        assert cost is not None
        assert cost.peak_mib < 200


def connect(address: str = AT, port: int = 8080) -> socket.socket:
    return socket.create_connection((address, port), timeout=60)


def read_all(connection: socket.socket) -> bytes:
    received = b""
    with contextlib.suppress(ConnectionError):
        while chunk := connection.recv(65536):
            received += chunk
    return received


def read_answer(connection: socket.socket) -> bytes:
    """One answer with a length; the connection may stay open."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    head = received.partition(b"\r\n\r\n")[0].lower()
    length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while len(received) < len(head) + 4 + length:
        received += connection.recv(65536)
    return received


def fault_of(raw: bytes) -> tuple[int, dict[str, str]]:
    head, _, body = raw.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), json.loads(body)


def is_closed(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def test_heads_that_come_a_byte_at_a_time_end_and_others_are_served_meanwhile() -> None:
    slow = [connect() for _ in range(60)]
    begun = time.monotonic()
    for connection in slow:
        connection.sendall(b"POST /r1/MX HTTP/1.1\r\nX-Slow: ")
    while not all(is_closed(c) for c in slow):
        assert time.monotonic() - begun < 60
        for connection in slow:
            with contextlib.suppress(OSError):
                connection.sendall(b"x")
        assert call(AT).status == 200
        time.sleep(0.3)
    for connection in slow:
        connection.close()


def test_many_idle_connections_make_room_for_new_ones() -> None:
    idle = [connect(PROVIDER.address) for _ in range(300)]
    until(lambda: sum(is_closed(c) for c in idle), lambda closed: closed >= 200)
    with connect(PROVIDER.address) as late:
        late.sendall(b"GET /listClients HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_answer(late).startswith(b"HTTP/1.1 200 ")
    for connection in idle:
        connection.close()


def test_a_body_that_stops_half_way_is_told_so() -> None:
    with connect() as connection:
        connection.sendall(HEAD + b"Content-Length: 1000000\r\n\r\n" + b"x" * 300_000)
        status, told = fault_of(read_answer(connection))
    assert status in (400, 500)
    assert "no byte of the request body came for 4 s" in told["message"]


def test_a_consumer_that_goes_away_half_way_leaves_nothing() -> None:
    for _ in range(20):
        with connect() as connection:
            connection.sendall(HEAD + b"Content-Length: 1000000\r\n\r\n" + b"x" * 300_000)


def test_a_body_longer_than_its_length_is_no_second_request() -> None:
    with connect() as connection:
        connection.sendall(HEAD + b"Content-Length: 2\r\n\r\nok" + b"GET /smuggled" * 10 + b"\r\n\r\n")
        received = read_all(connection)
    # What came with it in one piece is refused with it; what comes later is refused alone.
    assert received.count(b"HTTP/1.1 200") <= 1
    assert received.count(b" 400 Bad Request") == 1
    assert received.endswith(b"}")


@pytest.mark.parametrize(
    "lies",
    [
        b"Content-Length: 2\r\nContent-Length: 5\r\n\r\nok",
        b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"Content-Length: -2\r\n\r\nok",
        b"Content-Length: 99999999999999999999999\r\n\r\nok",
        b"Transfer-Encoding: chunked\r\n\r\nZZ\r\nok\r\n0\r\n\r\n",
    ],
    ids=["two lengths", "length and chunks", "negative", "beyond all bounds", "chunk size no number"],
)
def test_a_length_that_lies_is_refused(lies: bytes) -> None:
    with connect() as connection:
        connection.sendall(HEAD + lies)
        status, told = fault_of(read_all(connection))
    assert status in (400, 500)
    assert told["message"]


@pytest.mark.parametrize(
    "headers",
    [
        b"".join(b"X-%d: y\r\n" % n for n in range(10_000)),
        b"X-Large: " + b"y" * 1_000_000 + b"\r\n",
        b"y" * 1_000_000,
    ],
    ids=["ten thousand headers", "a header of a megabyte", "a name that never ends"],
)
def test_a_head_too_large_is_refused(headers: bytes) -> None:
    with connect() as connection:
        with contextlib.suppress(OSError):
            connection.sendall(HEAD + headers + b"\r\n")
        received = read_all(connection)
    # A sender that goes on sending may see the connection reset before it sees the answer.
    if received:
        status, told = fault_of(received)
        assert status == 400
        assert told["type"] == "client.bad_request"


def test_an_answer_nobody_takes_is_given_up(federation: Federation) -> None:
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect((AT, 8080))
    connection.sendall(
        HEAD.replace(b"/echo HTTP", b"/echo/size?n=60000000 HTTP") + b"Content-Length: 0\r\n\r\n"
    )
    assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
    folder = federation.data(CONSUMER) / "log" / "spool"
    until(lambda: list(folder.iterdir()), lambda found: found == [])
    assert len(read_all(connection)) < 60_000_000
    connection.close()


def test_peers_that_never_finish_a_handshake_hold_nobody_up() -> None:
    silent = [connect(PROVIDER.address, 5500) for _ in range(150)]
    for connection in silent[:75]:
        connection.sendall(b"\x16\x03\x01\x02")
    for _ in range(3):
        assert call(AT).status == 200
    for connection in silent:
        connection.close()


def test_a_proved_peer_that_sends_nonsense_gets_a_fault(federation: Federation) -> None:
    context = peer_client_context(credentials(federation, CONSUMER))
    for sent, code in (
        (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"invalid_http_method"),
        (
            b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: multipart/mixed; boundary=b\r\n"
            b"X-Hash-Algorithm: SHA-512\r\nContent-Length: 9\r\n\r\nnonsense!",
            b"server.serverproxy.missing_soap<",
        ),
        (b"\x00" * 100 + b"\r\n\r\n", b"bad_request"),
    ):
        with context.wrap_socket(connect(PROVIDER.address, 5500)) as connection:
            connection.sendall(sent)
            received = b""
            with contextlib.suppress(ssl.SSLError):
                received = read_all(connection)
        assert code in received, received
