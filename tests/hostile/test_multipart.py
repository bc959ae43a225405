"""Multipart bodies of many small parts: each part costs what it is long, not what is behind it."""

from __future__ import annotations

import time

import pytest

from gateway.edges.revocation import read_responses
from schemas.faults import BadMessage
from schemas.multipart import MultipartLimits, MultipartParser, PartData, PartStart

BUDGET_S = 5.0
PIECES = {
    # Took 11 s a megabyte.
    "crlf": b"--b\r\na:b\r\n\r\nx\r\n",
    # Of its kind.
    "lf": b"--b\na:b\n\nx\n",
    "headers-alone": b"--b\r\na:b\r\n",
    "nothing-in-them": b"--b\r\n\r\n\r\n",
    "no-headers": b"--b\r\n\r\nx\r\n",
    "mixed": b"--b\na:b\r\n\r\nx\n",
    "delimiters-alone": b"--b\r\n",
    "many-breaks": b"--b\r\na:b\r\n\r\n\n\n\n\n\n\n\r\n",
}


@pytest.mark.parametrize("name", PIECES)
@pytest.mark.parametrize("times", [9_000, 60_000])
def test_many_small_parts_cost_their_bytes(name: str, times: int) -> None:
    body = PIECES[name] * times
    began = time.process_time()
    with pytest.raises(BadMessage):
        read_responses("multipart/related; boundary=b", body)
    assert time.process_time() - began < BUDGET_S


@pytest.mark.parametrize("name", ["crlf", "lf", "nothing-in-them", "no-headers", "mixed"])
def test_small_parts_are_still_told_apart_however_they_come(name: str) -> None:
    body = PIECES[name] * 30 + b"--b--\r\n"

    def parts(pieces: list[bytes]) -> list[bytes]:
        parser, found = MultipartParser("b"), []
        for piece in pieces:
            for event in parser.feed(piece):
                if isinstance(event, PartStart):
                    found.append(b"")
                elif isinstance(event, PartData):
                    found[-1] += event.data
        parser.close()
        return found

    whole = parts([body])
    assert len(whole) == 30
    assert parts([body[i : i + 1] for i in range(len(body))]) == whole


@pytest.mark.parametrize("size", [10_001, 200_000])
def test_headers_that_are_too_long_are_refused_wherever_they_end(size: int) -> None:
    # The last one ends where no delimiter can still begin within the bound.
    for end in (b"\r\n\r\nx\r\n--b--\r\n", b"\r\n--b--\r\n", b"a:b\r\n"):
        with pytest.raises(BadMessage, match="exceed"):
            list(
                MultipartParser("b", MultipartLimits()).feed(
                    b"preamble\r\n--b\r\n" + b"a:b\r\n" * (size // 5 + 1) + end
                )
            )
