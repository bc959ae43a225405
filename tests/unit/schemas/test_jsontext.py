"""JSON's one entrance: what is read, what is refused with which words, and the form of what is written."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from schemas.jsontext import JsonSyntaxError, decode_json, dump_json, encode_json, load_json


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"NaN", "NaN is no JSON number"),
        (b'{"a": [-Infinity]}', "-Infinity is no JSON number"),
        (b"[1e400]", "1e400 is larger than any"),
        (b"[" * 100_000, "it nests too deep"),
        (b"1" * 5000, "is larger than any that is kept"),
        (b"\xff", "codec can't decode"),
    ],
)
def test_a_value_that_is_refused_is_a_value_error_that_says_why(raw: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        load_json(raw)


@pytest.mark.parametrize("raw", [b"[" * 100_000, b"\xff", b"[1e400]", b"NaN", b"1" * 5000, b'"\\ud800"', b""])
def test_a_reader_of_types_refuses_with_a_value_error(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_json(raw)


@pytest.mark.parametrize("raw", ["", "{a: 1}", "[1,]", "01", '"\t"', "{'a': 1}"])
def test_what_is_no_json_at_all_can_be_told_from_json_that_is_refused(raw: str) -> None:
    with pytest.raises(JsonSyntaxError):
        load_json(raw)


def test_a_name_that_stands_twice_reaches_the_hook_and_else_the_last_counts() -> None:
    seen: list[list[tuple[str, Any]]] = []
    load_json('{"a": 1, "a": 2}', object_pairs_hook=seen.append)
    assert seen == [[("a", 1), ("a", 2)]]
    assert load_json('{"a": 1, "a": 2}') == decode_json('{"a": 1, "a": 2}') == {"a": 2}


@pytest.mark.parametrize(
    "number", [0, -1, 2**53 + 1, 2**63 - 1, -(2**63), 1.5, -0.0, 1e-7, 5e-324, 1.7976931348623157e308]
)
def test_both_writers_write_numbers_that_both_readers_read_as_they_were(number: float) -> None:
    for text in (dump_json(number).encode(), encode_json(number)):
        assert load_json(text) == decode_json(text) == number


def test_a_number_that_is_none_is_not_written() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        dump_json([float("nan")])


def test_forms() -> None:
    value = {"b": [1], "a": "\u00e9"}
    assert dump_json(value) == '{"b": [1], "a": "\\u00e9"}'
    assert (
        dump_json(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        == '{"a":"\u00e9","b":[1]}'
    )
    assert encode_json(value) == '{"b":[1],"a":"\u00e9"}'.encode()
    assert encode_json(value, order="sorted") == '{"a":"\u00e9","b":[1]}'.encode()
    assert encode_json({"a": 1}, indent=2) == b'{\n  "a": 1\n}'
    assert encode_json(date(2026, 1, 2)) == b'"2026-01-02"'
    assert dump_json({"a": date(2026, 1, 2)}, default=str) == '{"a": "2026-01-02"}'
