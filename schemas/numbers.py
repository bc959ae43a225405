"""Whole numbers as strangers write them: in ASCII digits, and no larger than what a database keeps.

Python reads more as a number (``1_0``, ``٣``, `` 7``), refuses digits by the thousand with an error of its own, and reads what
no column holds. Whoever turns a text of somebody else's into a number asks here.
"""

from __future__ import annotations

import re

_LARGEST = 2**63 - 1
_WHOLE = re.compile(r"-?0*[0-9]{1,19}", re.ASCII)
_DIGITS = re.compile(r"[0-9]+", re.ASCII)
_LONGEST = 64


def is_kept(number: float) -> bool:
    """Whether a number can be kept: 64 bits with a sign, as SQLite, PostgreSQL and other languages have them."""
    return -_LARGEST - 1 <= number <= _LARGEST


def signed_number(text: str) -> int | None:
    """The whole number of a text, which may be below 0; None for what is none, or cannot be kept."""
    if len(text) > _LONGEST or _WHOLE.fullmatch(text) is None:
        return None
    number = int(text)
    return number if is_kept(number) else None


def whole_number(text: str) -> int | None:
    """The number of a text that is digits alone; None for what is none, or cannot be kept."""
    return signed_number(text) if _DIGITS.fullmatch(text) else None
