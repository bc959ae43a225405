"""Every text that somebody may read out of a text, so that what may not stand in it is found however it is written.

One reading is what is left when a reader's usual steps are undone, several times over and nested to any depth: percent-encoding
(``%u`` and overlong UTF-8 of old servers too), character references of XML and HTML, escapes of JSON and of programs, markup
and comments between letters, compatibility forms (full-width, mathematical and enclosed letters), accents, digits of other
scripts, letters of other scripts that look the same, characters that show nothing, and whatever divides an identifier for
the eye. What needs a key or a program of its own to be read (Base64, compression, encryption) is no reading of a text, nor is
what only a person would guess (O for 0, letters in reverse).

Linear in the text: each step is one pass, levels are bounded, and marks in a row are cut before they are put in order.
"""

from __future__ import annotations

import functools
import html
import re
import string
import unicodedata
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterator

_LEVELS = 4
# UAX #15, Stream-Safe Text Format: no language puts more marks on one letter.
_MOST_MARKS = 30
_MOST_DIVIDERS = 8
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0"
    "\ufff9-\ufffb\x00\U000e0000-\U000e0fff]+"
)
_DIVIDING = re.compile(r"[\s+\-\u058a\u2010-\u2015\u2043\u2212\ufe58\ufe63\uff0d]+")
_NO_IDENTIFIER = re.compile(r"[\W_]+")
_ASCII_DIVIDERS = "".join(
    chr(c) for c in range(128) if chr(c) not in string.ascii_letters + string.digits
).encode()
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")
# What may be marks, none of which is a letter, in a row that is to be looked at.
_LONG_ROW = re.compile(rf"[^\w\s\x00-\x7f]{{{_MOST_MARKS}}}")
_BETWEEN_DIGITS = re.compile(r"[0-9]([^\w\s+-]|_)(?=[0-9])")
_MARKS = re.compile(r"[%&\\<]")
# The sign that begins an encoding, itself encoded again and again.
_NESTED = (
    (re.compile("%(?:25)+"), "%"),
    (re.compile("&(?:amp;|#38;|#x26;)+", re.I), "&"),
    (re.compile(r"\\\\+"), "\\\\"),
)
_OVERLONG = re.compile("%[cC]([01])%([89abAB][0-9a-fA-F])")
_REFERENCE = re.compile(r"&#(?:[xX]0*([0-9A-Fa-f]{1,6})(?![0-9A-Fa-f])|0*([0-9]{1,7})(?![0-9]));?")
# Left to the library such a number is an error of its own: more digits than Python reads.
_NO_REFERENCE = re.compile(r"&#[0-9]{8,};?")
_ESCAPE = re.compile(
    r"\\u\{([0-9A-Fa-f]{1,6})\}|\\U([0-9A-Fa-f]{8})|[\\%][uU]([0-9A-Fa-f]{4})|\\x([0-9A-Fa-f]{2})|\\([0-3][0-7]{2})|\\[abefnrtv0]"
)
_SURROGATES = re.compile("[\ud800-\udfff]")
_TAG = re.compile("<[^<>]*>")
_LOOKING_ALIKE: Final = str.maketrans(
    "АВЕКМНОРСТУХІЈЅԚԜԌаекмнорстухіјѕһԁԛԝвΑΒΕΖΗΙΚΜΝΟΡΤΥΧοινρκυχᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢıøØłŁđĐħĦŧŦ",
    "ABEKMHOPCTYXIJSQWGaekmhopctyxijshdqwbABEZHIKMNOPTYXoivpkuxABCDEFGHIJKLMNOPRSTUVWYZioOlLdDhHtT",
)
# Letters in squares and circles that have no compatibility form, and those of which flags are made: where each row begins.
_ENCLOSED = (0x1F150, 0x1F170, 0x1F1E6)


def holds(pattern: re.Pattern[str], text: str) -> bool:
    """Whether a pattern is found in any reading of a text.

    What is left without any divider counts only where letters and digits are found together: words and numbers would be
    found across any text. Digits alone are found where one and the same character divides them.
    """
    for level in readings_of(text):
        if pattern.search(level):
            return True
        if level.isalnum() and level.isascii():
            continue
        if any(_is_identifier(m.group()) for m in pattern.finditer(undivided(level))):
            return True
        if any(pattern.search(level.replace(d, "")) for d in _dividers_of_digits(level)):
            return True
    return False


def readings_of(text: str) -> Iterator[str]:
    """The text itself first, then whatever else may be read in it; some may come twice."""
    yield from _variants(text)
    for read in (str, _plainly):
        level = read(text)
        for _ in range(_LEVELS):
            if not _MARKS.search(level):
                break
            before = level
            for undo in (_without_percent, _without_references, _without_escapes):
                undone = undo(level)
                if undone != level:
                    yield from _variants(undone)
                level = undone
            if "<" in level:
                yield from _variants(_without_markup(level))
            level = read(level)
            if level == before:
                break


def undivided(text: str) -> str:
    """The letters and digits of a text and nothing else: without accents and dividers, as ASCII where that is how they look."""
    if text.isascii():
        return text.encode("ascii").translate(None, _ASCII_DIVIDERS).decode("ascii")
    decomposed = normalised("NFKD", _INVISIBLE.sub("", text))
    return _NO_IDENTIFIER.sub("", _BEYOND_ASCII.sub(lambda found: _as_ascii(found[0]), decomposed))


def normalised(form: Literal["NFC", "NFKC", "NFKD"], text: str) -> str:
    """A text in a normal form of Unicode, of letters with more marks than any language has only the first thirty.

    To put marks in order takes the square of their number: 80,000 of them took half a minute.
    """
    if text.isascii():
        return text
    if _LONG_ROW.search(text):
        text = _excess_marks().sub(r"\1", text)
    return unicodedata.normalize(form, text)


def _without_markup(text: str) -> str:
    """A text as it is seen where markup is not: without comments and tags; what a CDATA section holds stays."""
    first, *others = text.replace("<![CDATA[", "").replace("]]>", "").split("<!--")
    kept = [first]
    for other in others:
        inside, end, rest = other.partition("-->")
        kept.append(rest if end else inside)
    return _TAG.sub("", "".join(kept))


def _variants(text: str) -> Iterator[str]:
    """A text, and as it is read by who sees neither compatibility forms nor what shows nothing nor blanks and hyphens."""
    yield text
    plain = _plain(text)
    if plain != text:
        yield plain
    if _DIVIDING.search(plain):
        yield _DIVIDING.sub("", plain)


def _is_identifier(found: str) -> bool:
    return not found.isdigit() and not found.isalpha()


def _dividers_of_digits(text: str) -> list[str]:
    """The characters that stand between two digits; the first few kinds, for each is one more pass."""
    found: dict[str, None] = {}
    for match in _BETWEEN_DIGITS.finditer(text):
        found[match[1]] = None
        if len(found) == _MOST_DIVIDERS:
            break
    return list(found)


def _plain(text: str) -> str:
    if text.isascii() and "\x00" not in text:
        return text
    return _INVISIBLE.sub("", normalised("NFKC", _INVISIBLE.sub("", text)))


def _plainly(text: str) -> str:
    """A text without compatibility forms, and what is encoded again and again as if it had been once."""
    plain = _plain(text)
    for nested, once in _NESTED:
        plain = nested.sub(once, plain)
    return plain


def _without_percent(text: str) -> str:
    if "%" not in text:
        return text
    return unquote(_OVERLONG.sub(_overlong, text))


def _overlong(found: re.Match[str]) -> str:
    """The character of seven bits that two bytes of UTF-8 may not spell, and that a reader without care reads."""
    number = (int(found[1]) << 6) | (int(found[2], 16) & 0x3F)
    return f"%{number:02X}"


def _without_references(text: str) -> str:
    if "&" not in text:
        return text
    return html.unescape(_NO_REFERENCE.sub("\ufffd", _REFERENCE.sub(_referred, text)))


def _referred(found: re.Match[str]) -> str:
    return _character(int(found[1], 16) if found[1] else int(found[2]), found[0])


def _without_escapes(text: str) -> str:
    if "\\" not in text and "%u" not in text and "%U" not in text:
        return text
    undone = _ESCAPE.sub(_escaped, text)
    if _SURROGATES.search(undone):
        undone = undone.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return undone


def _escaped(found: re.Match[str]) -> str:
    if found[5]:
        return chr(int(found[5], 8))
    number = found[1] or found[2] or found[3] or found[4]
    return _character(int(number, 16), found[0]) if number else " "


def _character(number: int, otherwise: str) -> str:
    return chr(number) if number < 0x110000 else otherwise


@functools.lru_cache(maxsize=4096)
def _as_ascii(character: str) -> str:
    """A letter or digit as ASCII where it is one of another script or form; nothing for what is neither."""
    if (letter := _LOOKING_ALIKE.get(ord(character))) is not None:
        return chr(letter)
    digit = unicodedata.digit(character, None)
    if digit is not None:
        return str(digit)
    for first in _ENCLOSED:
        if first <= ord(character) < first + 26:
            return chr(ord("A") + ord(character) - first)
    return character if character.isalnum() else ""


@functools.cache
def _excess_marks() -> re.Pattern[str]:
    """Marks in a row, the first thirty of them as group 1; made when the first text needs it."""
    marks = "".join(chr(c) for c in range(0x300, 0x1F000) if unicodedata.combining(chr(c)))
    return re.compile(f"([{marks}]{{{_MOST_MARKS}}})[{marks}]+")
