"""Every text that somebody may read out of a text, so that what a policy forbids is found however it is written.

One reading is what is left when a reader's usual steps are undone, several times over: percent-encoding, character references of
XML and HTML, escapes of JSON, compatibility forms (full-width letters and digits, ligatures), characters that show nothing; and
last the white space, hyphens and plus signs that divide a number for the eye. What needs a key or a program of its own to be
read (Base64, compression, encryption) is no reading of a text: a policy grants such fields or does not.

Linear: each step is done once a level, and levels are bounded.
"""

from __future__ import annotations

import html
import re
import unicodedata
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterator

_LEVELS = 4
_ESCAPE = re.compile(r"\\(?:u\{([0-9A-Fa-f]{1,6})\}|u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2}))")
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\x00]+"
)
_DIVIDING = re.compile(r"[\s+\-\u058a\u2010-\u2015\u2043\u2212\ufe58\ufe63\uff0d]+")
_MARKS = re.compile(r"[%&\\]")


def readings_of(text: str) -> Iterator[str]:
    """The text itself first, then whatever else may be read in it; some may come twice."""
    for _ in range(_LEVELS):
        yield text
        plain = text
        if not text.isascii() or "\x00" in text:
            plain = _INVISIBLE.sub("", unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)))
            yield plain
        if _DIVIDING.search(plain):
            yield _DIVIDING.sub("", plain)
        if not _MARKS.search(plain):
            return
        decoded = _undone(plain)
        if decoded == text:
            return
        text = decoded


def _undone(text: str) -> str:
    return _ESCAPE.sub(_character, html.unescape(unquote(text)))


def _character(found: re.Match[str]) -> str:
    number = int(found[1] or found[2] or found[3], 16)
    return chr(number) if number < 0x110000 else found[0]
