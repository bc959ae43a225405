"""Texts, names, hosts, header lines and patterns of strangers: the last one that passes and the first one that does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.faults import BadMessage, Kind
from schemas.headers import check_headers, overriding_of, problem_of_host
from schemas.names import LONGEST, check_host, check_kept, check_name, check_text
from schemas.patterns import MOST_WAYS, check_cost

# Texts


def test_a_text_is_as_long_as_it_may_be_and_no_longer() -> None:
    assert check_text("ñ" * LONGEST, "note") == "ñ" * LONGEST
    assert check_text("x" * 10_000, "note", longest=None)
    with pytest.raises(BadMessage, match=f"has {LONGEST + 1} characters; at most {LONGEST}"):
        check_text("ñ" * (LONGEST + 1), "note")


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("a\nb", r"U\+000A"),
        ("a\x00", r"U\+0000"),
        ("\u202eabc", r"U\+202E"),
        ("a\u200bb", r"U\+200B"),
        ("a\u200db", r"U\+200D"),
        ("\ud800", r"U\+D800"),
        ("\x01\x02\x03\x04\x05\x06", r"U\+0005, \.\.\."),
    ],
)
def test_what_no_text_may_hold_is_spelled_out(text: str, spelled: str) -> None:
    with pytest.raises(BadMessage, match=spelled):
        check_text(text, "note")


def test_lines_may_hold_line_breaks_and_a_joiner_joins_what_it_stands_between() -> None:
    assert check_text("a\r\n\tb", "note", lines=True) == "a\r\n\tb"
    assert check_text("\u0646\u200c\u0645", "note")
    with pytest.raises(BadMessage, match=r"U\+000B"):
        check_text("a\vb", "note", lines=True)


def test_a_row_is_kept_whose_texts_can_be_kept_somewhere() -> None:
    check_kept((None, 1, b"\x00", "", "lines\r\n\tof " + "x" * 10_000))
    with pytest.raises(BadMessage, match=r"the text 'a\\x00' holds U\+0000"):
        check_kept(("a", "a\x00"))


@pytest.mark.parametrize("text", ["", " ", "\u00a0\u3000", "\t"])
def test_a_name_is_not_blank(text: str) -> None:
    with pytest.raises(BadMessage, match=r"is blank|holds"):
        check_name(text, "name")


@pytest.mark.parametrize("text", [" a", "a ", "a\u00a0", "\u2003a"])
def test_a_name_has_no_blank_at_its_ends(text: str) -> None:
    assert check_name("a b", "name") == "a b"
    with pytest.raises(BadMessage, match="begins or ends with a blank"):
        check_name(text, "name")


HOSTS = ["ss1.mx", "10.1.2.3", "::1", "2001:db8::7", "a_b", "x" * 63 + ".mx", "xn--ao-8ia.mx", "ñ.mx"]


@pytest.mark.parametrize("host", HOSTS)
def test_a_host_is_a_name_or_an_address(host: str) -> None:
    assert check_host(host, "address") == host


@pytest.mark.parametrize(
    "host",
    [
        *("http://ss1.mx", "ss1.mx:4001", "ss1.mx/", "[::1]", "a b", "-a.mx", "a..mx", "x" * 64, "a%"),
        *("user@ss1.mx", "0x7f.1", "127.1", "10.1.2.3.4", "010.1.2.3", "a.mx?", "a.mx#b", "%31.mx"),
        *("ñ" * 64, "a.ñ..mx", "fe80::1%eth0"),
    ],
)
def test_what_can_be_read_as_more_or_other_than_a_host_is_none(host: str) -> None:
    with pytest.raises(BadMessage, match="a host name or an IP address was expected"):
        check_host(host, "address")


# Header lines


@pytest.mark.parametrize(
    ("headers", "kind", "words"),
    [
        ([("", "x")], Kind.INVALID_REQUEST, "is no header name"),
        ([("x y", "x")], Kind.INVALID_REQUEST, "is no header name"),
        ([("x:", "x")], Kind.INVALID_REQUEST, "is no header name"),
        ([("ñ", "x")], Kind.INVALID_REQUEST, "is no header name"),
        ([("X", "a\x00")], Kind.INVALID_REQUEST, "holds control characters"),
        ([("X", " a")], Kind.INVALID_REQUEST, "white space at its ends"),
        ([("X-Road-Id", "\udcff")], Kind.INVALID_REQUEST, "no UTF-8"),
        ([("X_Road_Id", "1")], Kind.INVALID_REQUEST, "mistaken for x-road-id"),
        ([("Content.Length", "1")], Kind.INVALID_REQUEST, "mistaken for content-length"),
        ([("X_OSS_Rol", "1")], Kind.INVALID_REQUEST, "mistaken for x-oss-rol"),
        ([("X-Road-Id", "1"), ("x-road-ID", "2")], Kind.DUPLICATE_HEADER_FIELD, "more than once"),
        ([("Content-Type", "a"), ("content-type", "b")], Kind.DUPLICATE_HEADER_FIELD, "more than once"),
    ],
)
def test_header_lines_that_can_be_read_in_two_ways_are_refused(
    headers: list[tuple[str, str]], kind: Kind, words: str
) -> None:
    with pytest.raises(BadMessage, match=words) as caught:
        check_headers(headers, Kind.INVALID_REQUEST)
    assert caught.value.kind is kind


def test_an_illegal_line_is_said_before_a_contradiction_wherever_it_stands() -> None:
    headers = [("X-Road-Id", "1"), ("X-Road-Id", "2"), ("x y", "")]
    with pytest.raises(BadMessage, match="is no header name"):
        check_headers(headers, Kind.INVALID_REQUEST)


@pytest.mark.parametrize(
    "headers",
    [
        [("X-Road-Id", "1"), ("x-road-id", "1")],
        [("Accept", "a"), ("Accept", "b")],
        [("X-Mine", "\udcff\tx")],
        [("X_Mine", "1")],
        [("X-Road-Id", "")],
    ],
)
def test_lines_that_everybody_reads_alike_pass(headers: list[tuple[str, str]]) -> None:
    check_headers(headers, Kind.INVALID_REQUEST)


@pytest.mark.parametrize(
    ("values", "may_be_missing", "words"),
    [
        ([], True, ""),
        ([], False, "is missing"),
        (["a", "a"], True, "came 2 times"),
        *(([host], False, "") for host in ("", "a.mx", "a.mx:4001", "a:", "10.1.2.3", "[::1]:1", "[v1.a]", "%41")),
        *(([host], True, "was expected") for host in ("a b", "a/", "u@a.mx", "[::1", "::1", "a:b", "ñ.mx", "%4")),
    ],
)  # fmt: skip
def test_a_request_names_its_host_once(values: list[str], may_be_missing: bool, words: str) -> None:
    problem = problem_of_host(values, may_be_missing=may_be_missing)
    assert (words in problem) if words else (problem == "")


@pytest.mark.parametrize(
    ("query", "headers", "found"),
    [
        (None, [("X-HTTP-Method-Override", "post"), ("Accept", "PUT")], None),
        ("_method=POST&a=_method", [], None),
        (None, [("X_HTTP_Method", "DELETE")], "X_HTTP_Method"),
        (None, [("x-method-override", "")], "x-method-override"),
        ("_method=PUT", [("X-Original-URL", "POST")], "X-Original-URL"),
        ("a=1&%5FMETHOD=PUT", [("Accept", "a")], "_method"),
        ("_method=post&_method", [], "_method"),
    ],
)
def test_what_may_lead_a_system_to_another_method_or_path_is_named(
    query: str | None, headers: list[tuple[str, str]], found: str | None
) -> None:
    assert overriding_of("POST", query, headers) == found


# Patterns


@pytest.mark.parametrize(
    "pattern", ["(", "[a", "a{2,1}", "(?x) a", "(?x: a)", "(?#c)a", "(a)(?(1)b|c)", "\\", "(?P<n>a)(?P<n>b)"]
)
def test_what_is_no_pattern_or_not_counted_is_refused(pattern: str) -> None:
    with pytest.raises(BadMessage, match="is no regular expression"):
        check_cost(pattern)


@pytest.mark.parametrize(
    ("kept", "broken"),
    [
        ("a{0,9999}", "a{0,10000}"),
        ("(a{0,99}){2}", "(a{0,100}){2}"),
        ("a{0,40}b{0,40}", "a{0,40}b{0,40}c{0,40}"),
        ("[ab]{12}", "(a|bc){14}"),
        ("a", "a*"),
        ("a", "(a+)+"),
        ("a", "a{3,}"),
        ("(?:a|b|c)", "a+?"),
        ("(?i)(?P<n>a)(?P=n)b{0,99}", "(?i)(?P<n>a*)(?P=n)"),
        (r"\*[*]", "a++b*"),
    ],
)
def test_a_pattern_leaves_open_no_more_ways_than_may_be(kept: str, broken: str) -> None:
    check_cost(kept)
    with pytest.raises(BadMessage, match=f"more than {MOST_WAYS} ways"):
        check_cost(broken)


@given(st.integers(1, 40), st.integers(1, 40))
def test_ways_of_a_sequence_are_the_product_and_those_of_alternatives_the_sum(m: int, n: int) -> None:
    sequence, choice = f"a{{0,{m - 1}}}" + f"b{{0,{n - 1}}}" * 2, f"(xa{{0,{m - 1}}}|yb{{0,{n - 1}}})" * 2
    for pattern, ways in ((sequence, m * n * n), (choice, (m + n) ** 2)):
        if ways <= MOST_WAYS:
            check_cost(pattern)
        else:
            with pytest.raises(BadMessage):
                check_cost(pattern)


def test_a_text_of_a_known_length_bounds_what_has_no_bound_of_its_own() -> None:
    check_cost("a*", longest=9_999)
    check_cost("[a-z]+@[a-z]+", longest=90)
    with pytest.raises(BadMessage, match="ways to fit"):
        check_cost("[a-z]+@[a-z]+@[a-z]+", longest=90)
