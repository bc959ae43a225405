"""What may be read out of a text, a row for each way of writing it; `tests/property/test_readings.py` puts them together."""

from __future__ import annotations

import re

import pytest

from schemas.readings import holds, normalised, readings_of, undivided

WORD = re.compile("AB12")
NUMBER = re.compile(r"(?<![0-9])[0-9]{4}(?![0-9])", re.ASCII)
A = ord("A")


@pytest.mark.parametrize(
    "text",
    [
        "%41B12", "%2541B12", "%252525252541B12", "%C1%81B12", "%u0041B12", "%U0041B12", "\\u0041B12", "\\u{41}B12", "\\U00000041B12",
        "\\x41B12", "\\101B12", "\\\\\\\\u0041B12", "&#65;B12", "&#x41;B12", "&#065 B12", "&amp;amp;#65;B12", "&Aopf;B12",
        "A<b>B</b>12", "A<!-- > -->B12", "A<!--B12", "<![CDATA[A]]>B12", "&lt;i>A&lt;/i>B12", "\\u0041%42<i/>&#49;2",
        "\\ud835\\udc00B12", "\uff21\uff22\uff11\uff12", "\U0001d400B12", "A\u200bB12", "A\x00B12", "A B-12", "A\u2013B\u00a012",
    ],
)  # fmt: skip
def test_what_is_encoded_marked_up_or_spaced_is_read(text: str) -> None:
    assert any(WORD.search(reading) for reading in readings_of(text))
    assert holds(WORD, text)


@pytest.mark.parametrize(
    "text",
    [
        "A/B_1.2", "(A)(B)(1)(2)", "Á.B1·2", "А.В12", "A.B\u0661\u0662", "A.B①②", f"{chr(0x1F150)}{chr(0x1F171)}.12",
        f"{chr(0x1F1E6)}{chr(0x1F1E7)} 1/2", f"A{chr(0x301) * 40}.B12", "\u29f8A★B12",
    ],
)  # fmt: skip
def test_what_is_divided_or_looks_alike_is_found_though_no_reading_shows_it(text: str) -> None:
    assert not any(WORD.search(reading) for reading in readings_of(text))
    assert holds(WORD, text)


@pytest.mark.parametrize(
    "text", ["", "AB", "AB1", "A1B2", "12AB", "AB1x2", "xAB.C12", "%4", "&#4", "\\x4", "<AB12", "A\u0421B12"]
)
def test_what_is_not_there_is_not_found(text: str) -> None:
    assert holds(WORD, text) == ("AB12" in text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1.2.3.4", True), ("12/34", True), ("1_234", True), ("1.2/3.4", False), ("12.345", False), ("words 12 words 34", False),
        ("1!2a1#2a1$2a1*2a1,2a1.2a1/2a1:2a98;76", False), ("1!2a1#2a1$2a1*2a1,2a1.2a1/2a98:76", True), ("98<![CDATA[7]]>6", True),
    ],
)  # fmt: skip
def test_digits_are_found_where_one_of_the_first_eight_characters_divides_them(
    text: str, found: bool
) -> None:
    assert holds(NUMBER, text) == found


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a-b_1", "ab1"),
        ("Áñ-1", "An1"),
        ("١٢", "12"),
        ("ØŁ", "OL"),
        (chr(0x1F170) + chr(0x1F1FF), "AZ"),
        ("漢·★", "漢"),
    ],
)
def test_letters_and_digits_alone_are_left_as_ascii_where_they_look_it(text: str, left: str) -> None:
    assert undivided(text) == left


def test_no_letter_has_more_than_thirty_marks_in_a_normal_form() -> None:
    assert normalised("NFKC", "plain") == "plain"
    assert normalised("NFC", "e" + "\u0301" * 30) == "é" + "\u0301" * 29
    assert normalised("NFKD", "é" + "\u0301" * 99 + "\u0316" * 9) == "e" + "\u0301" * 31
