"""NSS and RFC: checks of the two other numbers people bring. Neither is ever a key of this system.

Pure. Spec: the domain reference 2.8 and 2.9.
"""

from __future__ import annotations

import re
from typing import Final

_RFC_ALPHABET: Final = "0123456789ABCDEFGHIJKLMN&OPQRSTUVWXYZ Ñ"
_RFC: Final = re.compile(r"[A-ZÑ&]{3,4}\d{6}[0-9A-Z]{2}[0-9A]", re.ASCII)
# Values that the tax authority uses for the public and for foreigners; the first fails its own check digit.
_GENERIC_RFC: Final = frozenset(("XAXX010101000", "XEXX010101000"))


def nss_check_digit(first10: str) -> int:
    """The Luhn digit over ten digits with weights 1, 2, 1, 2… from the left."""
    total = 0
    for i, c in enumerate(first10):
        product = int(c) * (1 + i % 2)
        total += product - 9 if product > 9 else product
    return (10 - total % 10) % 10


def is_nss(text: str) -> bool:
    """Whether eleven digits are a social security number of IMSS. Leading zeros count: it is text."""
    return bool(re.fullmatch(r"\d{11}", text, re.ASCII)) and nss_check_digit(text[:10]) == int(text[10])


def rfc_check_character(body: str) -> str:
    """The check character over the first 11 or 12 characters."""
    padded = body.rjust(12)
    total = sum(_RFC_ALPHABET.index(c) * (13 - i) for i, c in enumerate(padded))
    value = (11 - total % 11) % 11
    return "A" if value == 10 else str(value)


def rfc_warning(text: str) -> str | None:
    """A warning about the structure or check character of an RFC, or None. About 1.5 % of the issued ones fail it: never a refusal."""
    if text in _GENERIC_RFC:
        return None
    if _RFC.fullmatch(text) is None:
        return "the RFC has not the structure of letters, date and three characters"
    return None if rfc_check_character(text[:-1]) == text[-1] else "the RFC's check character differs"
