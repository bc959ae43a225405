"""Patterns of rights and policies: what they cover, and what a text of a caller's choice costs."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clients.globs import compile_glob
from schemas import rest
from schemas.faults import BadMessage
from schemas.patterns import check_cost
from social_security.domain.curp import LEAK


def as_expression(pattern: str) -> str:
    """The pattern as a regular expression, which tries every way there is."""
    told = {"**": ".*", "*": "[^/]*", "\\*": re.escape("*"), "\\\\": re.escape("\\")}
    parts = re.findall(r"\\[*\\]|\*\*|\*|.", pattern, re.DOTALL)
    return "".join(told.get(part, re.escape(part)) for part in parts)


@given(st.text("a*/\\b", max_size=10), st.text("ab/*\\", max_size=14))
def test_a_pattern_covers_what_the_expression_it_stands_for_covers(pattern: str, path: str) -> None:
    expected = re.fullmatch(as_expression(pattern), path, re.DOTALL) is not None
    assert compile_glob(pattern).fits(path) is expected


@given(st.lists(st.sampled_from(["a", "/", "ab", "b/", "*", "**"]), max_size=9), st.text("ab/", max_size=16))
def test_stars_in_any_order_cover_what_the_expression_covers(parts: list[str], path: str) -> None:
    pattern = "".join(parts)
    expected = re.fullmatch(as_expression(pattern), path, re.DOTALL) is not None
    assert compile_glob(pattern).fits(path) is expected


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/**/a/**/b/**/c", "/a/b" * 4_000),
        ("/*a*a*a*a*b", "/" + "a" * 16_000),
        ("/**a**a**a**b", "/" + "a" * 16_000),
        ("/**a*a*b**c", "/" + "a" * 16_000 + "/b"),
        ("/**/x*/y*/**/z", "/x/y" * 4_000),
        ("**a*" * 30 + "b", "a" * 16_000),
        ("/**" * 60 + "/end", "/a" * 8_000),
        ("**/a*/b**", "/aa" * 5_000 + "/"),
        ("*" * 200 + "b", "a" * 16_000),
    ],
)
def test_no_path_costs_more_than_a_moment(pattern: str, path: str) -> None:
    began = time.process_time()
    assert not compile_glob(pattern).fits(path)
    assert time.process_time() - began < 0.5  # some milliseconds; as an expression minutes to years


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+", "(a*)*b", "(a|aa)+", "(a|b)*c", "a*b", "[A-Z]+X", ".*", "(?:a{0,64}){0,64}", "(x{0,50}y?){0,9}",
        "a{2,}", "(?=(a+))b", "(a?){500}", "((a|b)|(c|d)){30}", "a*+b", "(?>a*)*b", "(" * 3_000, "[", "a{99999999999}",
        "(b|b){30}c", "(|){30}", "[]a]+b", r"[\]]*b", "(?P<n>a+)b", "(?<!a)b+", "(?i)a+b", "a{,}b", "(?:a|b.){30}",
        "(?#a)b", "(a)?(?(1)b|c)", "(?x) a", "(?x:a b)",
    ],
)  # fmt: skip
def test_a_pattern_that_a_text_could_make_run_without_end_is_refused(pattern: str) -> None:
    with pytest.raises(BadMessage):
        check_cost(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        LEAK.pattern,
        "",
        "abc",
        "[A-Z]{4}[0-9]{6}",
        "(AB|CD|EF){1,3}",
        r"\b\d{11}\b",
        "https?://.{1,80}",
        "(?i:x){5}",
        "(0|1|2|3|4|5|6|7|8|9){11}",
        "(?P<n>[HM])(?P=n)",
        "(?i)[]a]{0,9}[^]]",
        r"\({2}[(|)*+]\)",
        "x{a}y{}",
        "(?<=a)b(?!c)",
        "(?>a{0,9})b{0,9}?c{2}?",
    ],
)
def test_a_pattern_of_bounded_repeats_is_taken(pattern: str) -> None:
    check_cost(pattern)


def test_a_header_is_matched_whole_so_one_repeat_may_be_open() -> None:
    check_cost(r"https://[^ ;]+;sha256=[0-9a-f]{64}", longest=8_192)
    with pytest.raises(BadMessage, match="upper bound"):
        check_cost(r"[^;]+;[^;]+", longest=8_192)


@pytest.mark.parametrize("escape", ["%00", "%0a", "%1b", "%7f", "%c2%85", "%e2%80%ae", "%ef%bf%be"])
def test_an_identifier_that_nothing_can_carry_is_refused_in_a_request(escape: str) -> None:
    for client, target in (
        (f"MX/GOB/CONS/S{escape}", "/r1/MX/GOB/PROV/SYS/echo/x"),
        ("MX/GOB/CONS/S", f"/r1/MX/GOB/PROV/SYS/echo{escape}/x"),
    ):
        with pytest.raises(BadMessage):
            rest.build_request("GET", target, [("X-Road-Client", client)], instance="MX", new_id=lambda: "1")
