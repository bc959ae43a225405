"""JSON and YAML of strangers, rule by rule: what is read, and what is refused with which words."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.faults import BadMessage
from schemas.jsontext import decode_json, load_json
from schemas.yamlbounds import YamlBounds
from schemas.yamldocument import load_document, unicode_encoding


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: no", {"a": "no"}),
        ("a: on", {"a": "on"}),
        ("a: 2026-03-01", {"a": "2026-03-01"}),
        ("a: 010", {"a": 10}),
        ("a: 0o17", {"a": 15}),
        ("a: 0x1F", {"a": 31}),
        ("a: 1.5e3", {"a": 1500.0}),
        ("a: ~", {"a": None}),
        ("a:", {"a": None}),
        ("a: True", {"a": True}),
        ("200: x", {"200": "x"}),
        ("true: x", {"true": "x"}),
        ("a: !!timestamp 2026-03-01", {"a": "2026-03-01"}),
        ("{a: 1, b: [2]}", {"a": 1, "b": [2]}),
        ('{"a": 1}', {"a": 1}),
        ("", None),
    ],
)
def test_scalars_are_read_as_json_means_them(text: str, value: Any) -> None:
    assert load_document(text.encode()) == value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\na: 2", "the key 'a' in line 2 is there twice"),
        ('{"a": 1, "a": 2}', "the member 'a' is there twice"),
        ("? [1]\n: 2", "a key in line 1 is a list or mapping"),
        ("a: !!set {b}", "the tag 'set' in line 1 is none of JSON's"),
        ("a: &x 1\nb: *x", "uses YAML aliases"),
        ("a:\n\t- 1", "indented by blanks"),
        ("a: [", "neither JSON nor YAML"),
        ("a: !!int siete", "YAML that cannot be read: invalid literal"),
        ("a: !!float ''", "YAML that cannot be read: could not convert"),
        ("a: !!int 0x", "YAML that cannot be read: invalid literal"),
        ("!!map [1]", "YAML that cannot be read"),
        ('{"a": NaN}', "NaN is no JSON number"),
        ('{"a": "\\ud800"}', "half a surrogate pair"),
        ("a: !!python/object:os.system x", "cannot be read|neither JSON nor YAML"),
    ],
)
def test_what_is_refused_says_why(text: str, words: str) -> None:
    with pytest.raises(BadMessage, match=words):
        load_document(text.encode())


@pytest.mark.parametrize("text", ["[" * 5 + "]" * 5, "- - - - - 1", '{"a":{"a":{"a":{"a":{"a":1}}}}}'])
def test_a_document_deeper_than_its_bound_is_refused(text: str) -> None:
    load_document(text.encode(), YamlBounds(depth=8))
    with pytest.raises(BadMessage, match="nests deeper than 4"):
        load_document(text.encode(), YamlBounds(depth=4))


@pytest.mark.parametrize("text", ["[1,2,3,4,5,6,7,8,9]", "- 1\n" * 9])
def test_a_document_of_more_values_than_its_bound_is_refused(text: str) -> None:
    load_document(text.encode(), YamlBounds(nodes=20))
    with pytest.raises(BadMessage, match="more than 8 values"):
        load_document(text.encode(), YamlBounds(nodes=8))


def test_a_place_that_is_a_text_is_taken_as_it_is_written() -> None:
    raw = b"info:\n  version: 1.10\n  other: 1.10"
    assert load_document(raw, texts=[("info", "version")]) == {"info": {"version": "1.10", "other": 1.1}}
    assert load_document(raw, texts=[("info", "missing"), ("none", "x")])["info"]["version"] == 1.1


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"]
)
def test_every_unicode_encoding_is_known_by_its_first_bytes(encoding: str) -> None:
    raw = '{"a": "ñ"}'.encode(encoding)
    assert load_document(raw) == {"a": "ñ"}
    name, skipped = unicode_encoding(raw)
    assert raw[skipped:].decode(name) == '{"a": "ñ"}'


def test_bytes_that_are_not_of_their_encoding_are_refused_with_their_place() -> None:
    with pytest.raises(BadMessage, match=r"not UTF-8 \(byte 3\)"):
        load_document(b"a: \xff")


@pytest.mark.parametrize("raw", ["[" * 200_000, '{"a":' * 200_000, "[1", "nan?", ""])
def test_broken_or_bottomless_json_is_a_value_error_and_nothing_worse(raw: str) -> None:
    with pytest.raises(ValueError):
        load_json(raw)
    with pytest.raises(Exception, match=r".") as caught:
        decode_json(raw)
    assert type(caught.value).__name__ == "DecodeError"


def test_json_that_is_not_utf8_is_a_decode_error() -> None:
    with pytest.raises(Exception, match=r"UTF-8|utf-8") as caught:
        decode_json(b'"\xff"')
    assert type(caught.value).__name__ == "DecodeError"
