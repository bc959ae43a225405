"""CURP: syntax, date and check digit, and the search for one where none may stand.

Pure. A CURP is wanted at one place only, the registry's look-up; everywhere else `find_curp` looks for it. A word of the
inconvenient list is a warning, not an error: lists changed over time and an issued CURP is authoritative.

Spec: CURP assignment manual; the domain reference 2.1 to 2.5.
"""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from datetime import date
from typing import Final

from schemas.readings import holds, normalised
from social_security.domain import pack
from social_security.domain.faults import DomainError

ALPHABET: Final[str] = pack.codes()[
    "curp_alphabet"
]  # value = index; the slot of Ñ counts though no CURP holds it
STATES: Final = tuple(e["curp"] for e in pack.codes()["entities"])
INCONVENIENT: Final = frozenset(pack.codes()["inconvenient_words"])
LENGTH = 18
_PLACES = "|".join(STATES)
_CURP = re.compile(
    rf"[A-Z][AEIOUX][A-Z]{{2}}(\d{{2}})(\d{{2}})(\d{{2}})[HMX](?:{_PLACES})[B-DF-HJ-NP-TV-Z]{{3}}([0-9A-Z])(\d)",
    re.ASCII,
)
# What must not appear in the clear: a whole CURP, in either case, or its telling middle (date, sex, place).
LEAK: Final = re.compile(
    rf"(?:[A-Z][AEIOUX][A-Z]{{2}})?\d{{2}}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])[HMX](?:{_PLACES})"
    rf"[B-DF-HJ-NP-TV-Z]{{3}}",
    re.ASCII | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Curp:
    """A CURP whose syntax, date and check digit hold. It never shows its value in a text representation."""

    value: str
    born: date
    warning: str | None = None

    def __repr__(self) -> str:
        return "Curp(…)"


# Blanks of every kind, hyphens and dashes, and what shows nothing: by these people and programs divide a CURP.
_DIVIDING = re.compile(
    r"[\s\u00ad\u034f\u115f\u1160\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0"
    r"\-\u058a\u2010-\u2015\u2043\u2212\ufe58\ufe63\uff0d\x00]+"
)


def normalise(text: str) -> str:
    """The text as a CURP is written: upper case, full-width forms as ASCII, without blanks, hyphens and what shows nothing."""
    return _DIVIDING.sub("", normalised("NFKC", _DIVIDING.sub("", text))).upper()


def check_digit(first17: str) -> int:
    """The digit that makes the weighted sum of all 18 a multiple of ten."""
    total = sum(ALPHABET.index(c) * (LENGTH - i) for i, c in enumerate(first17))
    return (10 - total % 10) % 10


def parse_curp(text: str, today: date) -> Curp:
    """The CURP. Raises `DomainError` SS-101 (structure), SS-103 (date) or SS-102 (check digit)."""
    value = normalise(text)
    if len(value) != LENGTH:
        raise DomainError(
            "SS-101",
            f"se esperaban {LENGTH} caracteres y llegaron {len(value)}",
            f"{LENGTH} characters were expected, {len(value)} came",
            field="curp",
        )
    match = _CURP.fullmatch(value)
    if match is None:
        raise DomainError("SS-101", field="curp")
    year, month, day, differentiator, digit = match.groups()
    try:
        # Position 17 fixes the century: a digit until 1999, a letter from 2000.
        born = date(int(year) + (1900 if differentiator.isdigit() else 2000), int(month), int(day))
    except ValueError:
        raise DomainError("SS-103", "el día no existe", "there is no such day", field="curp") from None
    if born > today:
        raise DomainError("SS-103", "la fecha es futura", "the date is in the future", field="curp")
    if check_digit(value[:17]) != int(digit):
        raise DomainError("SS-102", field="curp")
    return Curp(value, born, "inconvenient word" if value[:4] in INCONVENIENT else None)


def homonyms(curp: Curp) -> list[str]:
    """The other CURPs of the same name, birth date, sex and place: those that differ in the differentiator and its check digit only.

    At most 9 for who was born before 2000, and 25 after.
    """
    of_century = string.digits if curp.value[16].isdigit() else string.ascii_uppercase
    stems = (curp.value[:16] + letter for letter in of_century if letter != curp.value[16])
    return [f"{stem}{check_digit(stem)}" for stem in stems]


def find_curp(text: str) -> bool:
    """Whether the text holds a CURP, or enough of one to tell birth date, sex and place, however it is written.

    See `schemas.readings` for what is undone first; addresses, headers and values are searched as they came.
    """
    return holds(LEAK, text)
