"""Push parsers of HTTP: what llhttp and we make of bytes, whole and a byte at a time."""

from __future__ import annotations

import gc
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.heads import (
    END,
    REQUEST_LIMITS,
    AnswerHead,
    NotHttpError,
    RequestHead,
    origin_form,
    render_answer_head,
    render_request_head,
)
from gateway.http.reading import MOST_PIPELINED, AnswerReader, RequestReader

POST = b"POST /r1/x HTTP/1.1\r\nHost: gw\r\n"
OK = b"HTTP/1.1 200 OK\r\n"


def joined(events: list[object]) -> list[object]:
    """Events with the pieces of a body put together."""
    found: list[object] = []
    for event in events:
        if isinstance(event, bytes) and found and isinstance(found[-1], bytes):
            found[-1] += event
        else:
            found.append(event)
    return found


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]


def requests(data: bytes) -> list[object]:
    """The events of a client's bytes, which are the same however they are cut."""
    reader = RequestReader()
    whole = joined(list(reader.feed(data)))
    for size in (1, 2, 7):
        reader = RequestReader()
        assert joined([e for piece in cut(data, size) for e in reader.feed(piece)]) == whole
    return whole


def answer(data: bytes, method: str = "GET", *, eof: bool = True) -> tuple[list[object], bool]:
    """The events of a server's bytes, the same however cut, and whether the connection may be used again."""
    found = []
    for size in (max(len(data), 1), 1, 2, 7):
        reader = AnswerReader(method)
        events = [e for piece in cut(data, size) for e in reader.feed(piece)]
        if eof:
            events += reader.feed_eof()
        found.append((joined(list(events)), reader.is_reusable))
    assert all(f[0] == found[0][0] for f in found), found
    return found[0]


def head_of(events: list[object]) -> AnswerHead:
    assert isinstance(events[0], AnswerHead), events
    return events[0]


def refused(events: list[object]) -> str:
    last = events[-1]
    assert isinstance(last, NotHttpError), events
    return last.reason


def test_bytes_of_headers_come_as_they_were_in_order_and_spelling() -> None:
    lines = b"X-Name: Mu\xf1oz\r\nACCEPT: a\r\naccept: b\r\nX:\t y \t\r\nEmpty:\r\n"
    head, *rest = requests(POST + lines + b"Content-Length: 2\r\n\r\nok")
    assert isinstance(head, RequestHead)
    assert head.headers == (
        (b"Host", b"gw"),
        (b"X-Name", b"Mu\xf1oz"),
        (b"ACCEPT", b"a"),
        (b"accept", b"b"),
        (b"X", b"y"),
        (b"Empty", b""),
        (b"Content-Length", b"2"),
    )
    assert rest == [b"ok", END]


def test_requests_in_one_piece_come_one_after_the_other() -> None:
    events = requests(POST + b"Content-Length: 2\r\n\r\nok" + POST + b"Content-Length: 0\r\n\r\n")
    assert [type(e) for e in events] == [RequestHead, bytes, type(END), RequestHead, type(END)]


def test_more_requests_in_one_piece_than_are_held_are_refused() -> None:
    events = RequestReader().feed((POST + b"\r\n") * (MOST_PIPELINED + 1))
    assert "more than 64 requests" in refused(list(events))


@pytest.mark.parametrize(
    ("framing", "body"),
    [(b"Content-Length: 2", b"ok"), (b"Transfer-Encoding: chunked", b"2\r\nok\r\n0\r\nTrailer: x\r\n\r\n")],
)
def test_an_offer_of_http_2_is_passed_over_with_its_body_and_what_follows(
    framing: bytes, body: bytes
) -> None:
    offered = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"
    events = requests(POST + offered + framing + b"\r\n\r\n" + body + POST + b"\r\n")
    assert [type(e) for e in events] == [RequestHead, bytes, type(END), RequestHead, type(END)]
    assert events[1] == b"ok"


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        b"Content-Length: 2, 2\r\n\r\nok",
        b"Content-Length: +2\r\n\r\nok",
        b"Content-Length: 0x2\r\n\r\nok",
        b"Content-Length: \r\n\r\nok",
        b"Content-Length: -1\r\n\r\nok",
        b"Content-Length: 99999999999999999999999\r\n\r\nok",
        b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: identity\r\n\r\nok",
        b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n2 \r\nok\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n+2\r\nok\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n0x2\r\nok\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n2\nok\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n2\r\nokX\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\nok\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n2;a\rb\r\nok\r\n0\r\n\r\n",
        b"X: a\r\n folded\r\n\r\n",
        b" X: a\r\n\r\n",
        b"X: a\nY: b\r\n\r\n",
        b"X: a\rY: b\r\n\r\n",
        b"X: a\x00b\r\n\r\n",
        b"X: a\x7fb\r\n\r\n",
        b"X(A): a\r\n\r\n",
        b"X\xf1: a\r\n\r\n",
        b": a\r\n\r\n",
        b"no colon\r\n\r\n",
        b"Host: other\r\n\r\n",
        b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"Expect: 200-maybe\r\n\r\n",
    ],
)
def test_what_two_readers_could_read_differently_is_refused(lines: bytes) -> None:
    assert refused(requests(POST + lines))


@pytest.mark.parametrize(
    "line",
    [
        b"GET /a b HTTP/1.1",
        b"GET /a\x00 HTTP/1.1",
        b"GET /a\x0b HTTP/1.1",
        b"GET /a HTTP/2.0",
        b"GET /a HTTP/0.9",
        b"GET /a HTTP/1.2",
        b"GET /a http/1.1",
        b"GET /a",
        b"GET /a HTTP/1.1 ",
        b"CONNECT a:80 HTTP/1.1",
        b"FOO / HTTP/1.1",
        b"PRI * HTTP/2.0",
        b"SSH-2.0-x",
        b"\x16\x03\x01\x02\x00\x01",
    ],
)
def test_a_first_line_that_is_none_of_http_1_is_refused(line: bytes) -> None:
    assert refused(requests(line + b"\r\n\r\n\r\n\r\n"))


def test_limits_say_what_was_too_large() -> None:
    long = b"y" * (REQUEST_LIMITS.line_bytes + 1)
    assert "a header is longer than 8190 bytes" in refused(
        list(RequestReader().feed(POST + b"X: " + long + b"\r\n\r\n"))
    )
    many = b"".join(b"X-%d: y\r\n" % n for n in range(201))
    assert "more than 200 headers" in refused(list(RequestReader().feed(POST + many + b"\r\n")))
    assert "the first line is longer" in refused(
        list(RequestReader().feed(b"GET /" + long + b" HTTP/1.1\r\n"))
    )
    fat = b"".join(b"X-%d: %b\r\n" % (n, b"y" * 8000) for n in range(9))
    assert "the head is longer than 65536 bytes" in refused(list(RequestReader().feed(POST + fat + b"\r\n")))


def test_a_name_that_never_ends_is_refused_after_a_head_of_it() -> None:
    reader = RequestReader()
    came = 0
    for piece in cut(POST + b"y" * 200_000, 1000):
        came += len(piece)
        events = reader.feed(piece)
        if events:
            break
    assert "the head is longer" in refused(list(events))
    assert came < 70_000


@pytest.mark.parametrize(
    ("target", "form"),
    [
        (b"/a?b", b"/a?b"),
        (b"http://gw:8080/r1/x?y", b"/r1/x?y"),
        (b"HTTPS://gw/a", b"/a"),
        (b"http://gw", b"/"),
        (b"http://gw?x=1", b"/?x=1"),
        (b"*", b"*"),
    ],
)
def test_a_target_in_absolute_form_is_its_path(target: bytes, form: bytes) -> None:
    assert origin_form(target) == form


# Answers


@pytest.mark.parametrize(
    "raw",
    [
        OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        OK + b"Content-Length: 2, 2\r\n\r\nok",
        OK + b"content-length: 2\r\nX: y\r\nCONTENT-LENGTH: 2\r\n\r\nok",
        b"http/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"Http/1.0  200   OK\r\nContent-Length: 2\r\n\r\nok",
        OK + b"Content-Length: 2\r\n\r\nokX",
        OK + b"Content-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        OK + b"\r\nok",
        OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nok",
    ],
)
def test_what_other_clients_take_is_taken_and_its_connection_not_used_again(raw: bytes) -> None:
    events, reusable = answer(raw)
    assert (head_of(events).status, *events[1:]) == (200, b"ok", END)
    assert not reusable


@pytest.mark.parametrize("status", [204, 304])
def test_a_body_where_none_may_be_is_dropped(status: int) -> None:
    events, reusable = answer(b"HTTP/1.1 %d No\r\nContent-Length: 2\r\n\r\nok" % status)
    assert (head_of(events).status, *events[1:]) == (status, END)
    del reusable  # known only once the surplus has come


def test_an_answer_to_head_has_a_length_and_no_body() -> None:
    events, reusable = answer(OK + b"Content-Length: 200\r\n\r\n", "HEAD", eof=False)
    assert events[1:] == [END]
    assert reusable


def test_a_large_head_is_taken_as_java_takes_it() -> None:
    many = b"".join(b"X-%d: y\r\n" % n for n in range(150))
    events, reusable = answer(OK + b"X: " + b"x" * 9000 + b"\r\n" + many + b"Content-Length: 0\r\n\r\n")
    assert (len(head_of(events).headers), reusable) == (152, True)


def test_interim_answers_are_passed_over() -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    events, reusable = answer(interim + OK + b"Content-Length: 2\r\n\r\nok")
    assert head_of(events).headers == ((b"Content-Length", b"2"),)
    assert reusable
    assert "interim" in refused(answer(b"HTTP/1.1 102 Wait\r\n\r\n" * 20)[0])


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nzz", "switches protocols"),
        (b"HTTP/1.1 101 S\r\n\r\n", "switches protocols"),
        (OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok", "Content-Length"),
        (OK + b"Content-Length: 2, 3\r\n\r\nok", "Content-Length"),
        (OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "Transfer-Encoding"),
        (OK + b"Transfer-Encoding: gzip\r\n\r\nok", "Transfer-Encoding"),
        (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "Transfer-Encoding"),
        (OK + b"X: a\r\n b\r\n\r\n", "whitespace"),
        (OK + b"X: a\x00b\r\n\r\n", "value char"),
        (OK + b"X : a\r\n\r\n", "token"),
        (b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/2.0"),
        (b"SSH-2.0-OpenSSH\r\n", "HTTP/"),
        (b"ICY 200 OK\r\n\r\n", ""),
        (b"HTTP/1.1 20 OK\r\n\r\n", "status"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "HTTP/"),
        (OK + b"Content-Length: 5\r\n\r\nok", "before the answer's end"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nok", "before the answer's end"),
        (OK + b"Content-", "before the answer's end"),
        (b"", "before the answer's end"),
    ],
)
def test_what_is_no_answer_is_refused_with_its_reason(raw: bytes, reason: str) -> None:
    assert reason in refused(answer(raw)[0])


# What is written is what is read

NAMES = st.from_regex(rb"\AX-[!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}\Z")
VALUES = st.from_regex(rb"\A(?:[!-~\x80-\xff](?:[ \t!-~\x80-\xff]{0,30}[!-~\x80-\xff])?)?\Z")
HEADERS = st.lists(st.tuples(NAMES, VALUES), max_size=8)


@given(HEADERS, st.binary(max_size=200), st.integers(1, 50))
def test_a_request_written_is_read_byte_for_byte(
    headers: list[tuple[bytes, bytes]], body: bytes, size: int
) -> None:
    headers = [(b"Host", b"gw"), *headers, (b"Content-Length", b"%d" % len(body))]
    raw = render_request_head("PUT", b"/a?b", headers) + body
    reader = RequestReader()
    events = joined([e for piece in cut(raw, size) for e in reader.feed(piece)])
    assert isinstance(events[0], RequestHead)
    assert (list(events[0].headers), events[0].target) == (headers, b"/a?b")
    assert events[1:] == ([body, END] if body else [END])


@given(HEADERS, st.binary(max_size=200), st.integers(1, 50))
def test_an_answer_written_is_read_byte_for_byte(
    headers: list[tuple[bytes, bytes]], body: bytes, size: int
) -> None:
    headers = [*headers, (b"Content-Length", b"%d" % len(body))]
    raw = render_answer_head(200, b"Mu\xf1 bien", headers) + body
    reader = AnswerReader("POST")
    events = joined([e for piece in cut(raw, size) for e in reader.feed(piece)])
    assert head_of(events) == AnswerHead(200, b"Mu\xf1 bien", tuple(headers))
    assert events[1:] == ([body, END] if body else [END])
    assert reader.is_reusable


@given(st.binary(max_size=300), st.integers(1, 20))
def test_whatever_comes_gives_events_or_one_error(data: bytes, size: int) -> None:
    for begun in (b"", POST, POST + b"Transfer-Encoding: chunked\r\n\r\n"):
        whole, reader = RequestReader().feed(begun + data), RequestReader()
        events = [e for piece in cut(begun + data, size) for e in reader.feed(piece)]
        assert joined(list(events)) == joined(list(whole))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"Transfer-Encoding ", b"chunked"),
        (b"\tContent-Length", b"100"),
        (b"X A", b"y"),
        (b"X(A)@", b"y"),
        (b"", b"y"),
        (b"X", b"a\r\nY: b"),
        (b"X", b"a\nb"),
        (b"X", b"a\x00b"),
        (b"X", b"\x7f"),
        (b"X:", b"y"),
        (b"X\r\nY", b"y"),
    ],
)
def test_no_head_is_written_with_a_name_or_a_value_that_is_none(name: bytes, value: bytes) -> None:
    pairs = [(b"Host", b"x"), (name, value)]
    with pytest.raises(NotHttpError):
        render_request_head("GET", b"/", pairs)
    with pytest.raises(NotHttpError):
        render_answer_head(200, b"OK", pairs)


@pytest.mark.parametrize("target", [b"", b"/a b", b"/a\tb", b"/a#b", b"/\r\n", b"/\x00", b"/\x7f"])
def test_no_request_is_written_with_a_target_that_is_none(target: bytes) -> None:
    with pytest.raises(NotHttpError):
        render_request_head("GET", target, [])


@pytest.mark.parametrize(
    ("status", "reason"), [(101, b"S"), (100, b""), (0, b""), (1000, b""), (200, b"a\r\nX: y")]
)
def test_no_answer_is_written_with_a_status_that_ends_nothing(status: int, reason: bytes) -> None:
    with pytest.raises(NotHttpError):
        render_answer_head(status, reason, [])


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"Content-Length: 2\r\n\r\nok",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n",
        b"SSH-2.0-x\r\n\r\n",
    ],
)
def test_a_reader_whose_answer_has_ended_is_freed_without_a_collection(answer: bytes) -> None:
    gc.disable()
    try:
        reader = AnswerReader("POST")
        reader.feed(answer)
        assert reader.ended
        gone = weakref.ref(reader)
        del reader
        assert gone() is None
    finally:
        gc.enable()
