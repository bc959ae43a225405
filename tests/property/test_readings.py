"""An identifier is found in a text however it is spelled, and not found in texts that hold none."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.readings import holds, normalised, readings_of, undivided
from social_security.domain.curp import LEAK, STATES

CURP = re.compile(LEAK.pattern, re.ASCII | re.IGNORECASE)
NUMBER = re.compile(r"(?<![0-9])[0-9]{11}(?![0-9])", re.ASCII)
CONSONANTS = "BCDFGHJKLMNPQRSTVWXYZ"
ROOT = Path(__file__).parents[2]


@st.composite
def curps(draw: st.DrawFn) -> str:
    letters = st.sampled_from(CONSONANTS)
    day = f"{draw(st.integers(0, 99)):02}{draw(st.integers(1, 12)):02}{draw(st.integers(1, 28)):02}"
    name = draw(letters) + draw(st.sampled_from("AEIOUX")) + draw(letters) + draw(letters)
    sex, state = draw(st.sampled_from("HMX")), draw(st.sampled_from(STATES))
    last = "".join(draw(letters) for _ in range(3))
    return f"{name}{day}{sex}{state}{last}{draw(st.sampled_from('0A'))}{draw(st.integers(0, 9))}"


def full_width(c: str) -> str:
    return chr(ord(c) + 0xFEE0)


def mathematical(c: str) -> str:
    return chr(0x1D400 + ord(c) - 65) if c.isalpha() else chr(0x1D7CE + int(c))


def circled(c: str) -> str:
    return chr(0x24B6 + ord(c) - 65) if c.isalpha() else chr(0x2460 + int(c) - 1) if c != "0" else "⓪"


def squared(c: str) -> str:
    return chr(0x1F170 + ord(c) - 65) if c.isalpha() else c


def flags(c: str) -> str:
    return chr(0x1F1E6 + ord(c) - 65) if c.isalpha() else chr(0x0660 + int(c))


def alike(c: str) -> str:
    return dict(zip("ABCEHKMOPTXY", "АΒСЕНКМОРТХΥ", strict=True)).get(c, c)


def accented(c: str) -> str:
    return f"{c}\u0301" if c.isalpha() else c


def escaped(c: str) -> str:
    return "".join(f"\\u{ord(u):04x}" for u in c)


def surrogates(c: str) -> str:
    raw = mathematical(c).encode("utf-16-be")
    return "".join(f"\\u{raw[i : i + 2].hex()}" for i in range(0, len(raw), 2))


def overlong(c: str) -> str:
    return f"%{0xC0 | ord(c) >> 6:02X}%{0x80 | ord(c) & 0x3F:02X}"


LETTERS: list[Callable[[str], str]] = [
    str, str.lower, full_width, mathematical, circled, squared, flags, alike, accented,
]  # fmt: skip
ENCODINGS: list[Callable[[str], str]] = [
    str,
    quote,
    lambda s: quote(quote(s)),
    lambda s: "".join(f"%{b:02X}" for b in s.encode()),
    lambda s: "".join(f"%u{ord(c):04X}" if ord(c) < 0x10000 else quote(c) for c in s),
    lambda s: "".join(f"&#{ord(c)};" for c in s),
    lambda s: "".join(f"&#x{ord(c):06x};" for c in s),
    lambda s: "".join(f"&#{ord(c)} " for c in s),
    lambda s: "".join(f"&amp;amp;#{ord(c)};" for c in s),
    lambda s: "".join(f"%2525252525{b:02X}" for b in s.encode()),
    lambda s: "".join(escaped(c) if ord(c) < 0x10000 else c for c in s),
    lambda s: "".join(f"\\u{{{ord(c):x}}}" for c in s),
    lambda s: "".join(f"\\U{ord(c):08x}" for c in s),
    lambda s: "".join(f"\\\\\\u{ord(c):04x}" if ord(c) < 0x10000 else c for c in s),
    lambda s: "".join(f"\\{ord(c):03o}" if ord(c) < 128 else c for c in s),
    lambda s: "".join(f"<b>{c}</b>" for c in s.replace("<", "").replace(">", "")),
    "<!-- > x -->".join,
    lambda s: f"<![CDATA[{s[:5]}]]><i/><![CDATA[{s[5:]}]]>",
]
# What no decoder above takes for its own sign, and no letter or digit in any form.
DIVIDERS = st.text(
    st.characters(exclude_categories=["L", "N", "Cs", "M", "So"], exclude_characters="%&\\<>;#{}`´¨¯¸ªº")
    | st.sampled_from("\u200b\u00ad\u2060\ufeff\ue0061·•★☆😀"),
    max_size=3,
).filter(lambda text: not any(c.isalnum() for c in normalised("NFKC", text)))


@settings(max_examples=400, deadline=None)
@given(curps(), st.sampled_from(LETTERS), st.sampled_from(ENCODINGS), st.data())
@example("EEPA780514MMCJRN95", str, str, None)
def test_an_identifier_is_found_however_it_is_spelled(
    curp: str, spell: Callable[[str], str], encode: Callable[[str], str], data: st.DataObject | None
) -> None:
    pieces = [spell(c) for c in curp]
    if data is not None:
        places = data.draw(st.lists(st.integers(1, 17), max_size=17, unique=True), "places")
        for place in places:
            pieces[place] = data.draw(DIVIDERS, "divider") + pieces[place]
    text = encode("".join(pieces))
    assert holds(CURP, text)
    assert holds(CURP, f"nota: {text} (sin más)")


@given(curps(), st.sampled_from(" ./_:,;|-~·"), st.sampled_from((1, 2)))
def test_an_identifier_in_groups_is_found_whatever_divides_them(curp: str, divider: str, times: int) -> None:
    groups = (curp[:4], curp[4:10], curp[10:16], curp[16:])
    assert holds(CURP, (divider * times).join(groups))
    assert holds(CURP, f"/personas/{quote((divider * times).join(groups), safe='')}")


@given(st.from_regex(r"[0-9]{11}", fullmatch=True), st.sampled_from("./_:,;|- \u2013·"))
def test_digits_are_found_where_one_character_divides_them(number: str, divider: str) -> None:
    assert holds(
        NUMBER, f"NSS {divider.join((number[:2], number[2:4], number[4:6], number[6:10], number[10:]))}"
    )


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-30T10:30:15.123456Z", "2026/11/30, 10:30:15.123", "19.4326077, -99.1332080", "$1,234,567.89",
        "30/11/2026 a las 10:15:30", "folio 12-345, 6789", "tel. 55 1234.5678",
    ],
)  # fmt: skip
def test_times_amounts_and_places_are_no_number_of_eleven_digits(text: str) -> None:
    assert not holds(NUMBER, text)


def test_no_ordinary_text_holds_an_identifier() -> None:
    """Every paragraph of the documents, and every value of the reference data that is no CURP's own."""
    texts = [p for file in sorted(ROOT.glob("docs/**/*.md")) for p in file.read_text("utf-8").split("\n\n")]
    texts += (ROOT / "serving/locale/es/LC_MESSAGES/sacbe.po").read_text("utf-8").split("\n\n")
    found = [text for text in texts if holds(CURP, text) and not CURP.search(text)]
    assert len(texts) > 3000
    assert found == []


@pytest.mark.parametrize(
    "hostile",
    [
        "a" + "\u0301\u0316" * 100_000, "é" * 100_000, "\u200c" * 100_000, "%25" * 70_000, "&amp;" * 40_000,
        "\\" * 200_000, "<!--" * 50_000, "<" * 200_000, "&#" * 100_000, "&#x" + "0" * 200_000, "1.2,3/4;5" * 20_000,
        "&#" + "1" * 5_000 + ";", "&#" + "0" * 200_000 + "g", "\ufdfa" * 20_000, "\ud800" * 50_000, "AB99" * 50_000,
    ],
)  # fmt: skip
def test_a_hostile_text_is_read_in_linear_time(hostile: str) -> None:
    began = time.process_time()
    assert not holds(CURP, hostile)
    assert time.process_time() - began < 10


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    assert text in readings_of(text)
    holds(CURP, text)
    assert not any(c.isspace() or c in "-./_" for c in undivided(text))
    assert normalised("NFKC", text) == normalised("NFKC", normalised("NFKC", text))
