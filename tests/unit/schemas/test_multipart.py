"""Framing, rule by rule, the body fed whole and a byte at a time: both say the same."""

from __future__ import annotations

import pytest

from schemas.faults import BadMessage, Kind
from schemas.multipart import (
    MultipartLimits,
    MultipartParser,
    PartData,
    PartStart,
    check_content_ids,
    parse_content_type,
    parse_headers,
)

SMALL = MultipartLimits(preamble_bytes=20, header_line_bytes=40, header_bytes=60, headers=2, parts=2)
PART = b"--b\r\nA: 1\r\n\r\nbody\r\n"


def read(raw: bytes, pieces: int) -> list[tuple[object, bytes]]:
    """Headers and content of each part, the bytes fed in pieces of a size, or whole where it is 0."""
    parser = MultipartParser("b", SMALL)
    found: list[tuple[object, bytes]] = []
    size = pieces or max(1, len(raw))
    for begin in range(0, len(raw), size):
        for event in parser.feed(raw[begin : begin + size]):
            if isinstance(event, PartStart):
                found.append((event.headers, b""))
            elif isinstance(event, PartData):
                found[-1] = (found[-1][0], found[-1][1] + event.data)
    parser.close()
    return found


@pytest.mark.parametrize("pieces", [0, 1, 3])
@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "before its closing delimiter"),
        (PART, "before its closing delimiter"),
        (b"a" * 60, "no delimiter within the first 20"),
        (b"a" * 21 + b"\r\n" + PART + b"--b--", "no delimiter within the first 20"),
        (b"--b text\r\nA: 1\r\n\r\n\r\n--b--", "trailing text"),
        (b"--b" + b" " * 60, "a delimiter line of the multipart body never ends"),
        (PART * 3 + b"--b--\r\n", "more than 2 parts"),
        (b"--b\r\n" + b"A: 1234567890\r\n" * 6 + b"\r\n\r\n--b--", "headers exceed 60|more than 2 headers"),
        (b"--b\r\nA: " + b"1" * 90, "headers exceed 60"),
        (b"--b\r\nA: " + b"1" * 50 + b"\r\n\r\n\r\n--b--", "longer than 40"),
        (b"--b\r\nA: 1\r\nB: 1\r\nC: 1\r\n\r\n\r\n--b--", "more than 2 headers"),
        (b"--b\r\nno header\r\n\r\n\r\n--b--", "is not a header"),
        (b"--b\r\n: 1\r\n\r\n\r\n--b--", "is not a header"),
        (b"--b\r\nA: \x01\r\n\r\n\r\n--b--", "control characters"),
    ],
)
def test_framing_that_is_refused_says_why(raw: bytes, words: str, pieces: int) -> None:
    with pytest.raises(BadMessage, match=words) as caught:
        read(raw, pieces)
    assert caught.value.kind is Kind.MIME_PARSING_FAILED


@pytest.mark.parametrize("pieces", [0, 1, 3])
def test_a_line_feed_alone_a_preamble_and_an_epilogue_are_read_alike(pieces: int) -> None:
    expected = [((("A", "1"),), b"body"), ((), b"")]
    for raw in (
        PART + b"--b\r\n\r\n\r\n--b--\r\n",
        PART.replace(b"\r\n", b"\n") + b"--b\n\n\n--b--",
        b"text\r\n" + PART + b"--b\r\n\r\n\r\n--b--\r\nmore",
        PART[:-2] + b"\n--b\r\n\r\n\r\n--b--\r\n",
    ):
        assert read(raw, pieces) == expected


@pytest.mark.parametrize("boundary", ["", "a" * 201, "\u00f1", "a\nb"])
def test_a_boundary_is_printable_ascii_of_some_length(boundary: str) -> None:
    with pytest.raises(BadMessage, match="printable ASCII"):
        MultipartParser(boundary)


def test_a_header_goes_on_in_the_next_line_within_the_bound() -> None:
    assert parse_headers(b"A: 1\r\n 2\r\n") == (("A", "1 2"),)
    with pytest.raises(BadMessage, match="the part header A is longer than 40"):
        parse_headers(b"A: 123456789\r\n " + b"2" * 35, SMALL)


def test_a_content_type_names_nothing_twice_with_different_values() -> None:
    assert parse_content_type('A/B; x="1;2"; X="1;2"; y') == ("a/b", {"x": "1;2"})
    quoted = r'a/b; x="1\";\\"; y=\; z="\a\\\""'
    assert parse_content_type(quoted) == ("a/b", {"x": '1";\\', "y": "\\", "z": 'a\\"'})
    with pytest.raises(BadMessage, match="names x twice"):
        parse_content_type("a/b; x=1; x=2")


@pytest.mark.parametrize(
    "parts",
    [
        ("<a@x>", "<a@x>"), ("<a@x>", "a@x"), ("<a@x>", " <a@x> "), ("<a@x>", "<A@X>"), ("<a@x>", "<a%40x>"), ("<ß@x>", "<SS@x>"),
        ("<a@x>", "<b@x>", "<a@x>"), ("<a@x>", "", "<a@x>"),
    ],
)  # fmt: skip
def test_a_label_of_two_parts_is_refused(parts: tuple[str, ...]) -> None:
    with pytest.raises(BadMessage, match="have one Content-ID") as caught:
        check_content_ids([(("Content-ID", p),) for p in parts])
    assert caught.value.kind is Kind.MIME_PARSING_FAILED


def test_two_labels_of_one_part_are_refused_and_none_or_empty_ones_name_nothing() -> None:
    with pytest.raises(BadMessage, match="several Content-ID"):
        check_content_ids([(("Content-ID", "<a@x>"), ("content-id", "<b@x>"))])
    with pytest.raises(BadMessage, match="several Content-ID"):
        check_content_ids([(("Content-ID", "<a@x>"), ("content-id", "<a@x>"))])
    check_content_ids(
        [
            (),
            (),
            (("Content-ID", ""),),
            (("Content-ID", "<>"),),
            (("Content-ID", "<a@x>"),),
            (("content-id", "<b@x>"),),
        ]
    )
