"""The second proof at a login: a six-digit code of a telephone, or one of a list that was printed at the branch.

Pure. Spec: RFC 6238 (30 seconds, SHA-1, six digits: what authenticator programs take), RFC 4226 5.3.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

if TYPE_CHECKING:
    from datetime import datetime

STEP_S = 30
DIGITS = 6
# A clock may be one step off either way (RFC 6238 5.2).
WINDOW = (-1, 0, 1)


def code_at(secret: bytes, counter: int) -> str:
    """The code of one step."""
    digest = hmac.digest(secret, counter.to_bytes(8, "big"), "sha1")
    offset = digest[-1] & 0x0F
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFF_FFFF
    return f"{number % 10**DIGITS:0{DIGITS}d}"


def counter_at(now: datetime) -> int:
    """The step that a moment is in."""
    return int(now.timestamp()) // STEP_S


def find_counter(secret: bytes, code: str, now: datetime, after: int) -> int | None:
    """The step whose code this is, later than ``after``, the last one used; None when there is none."""
    current = counter_at(now)
    found = [c for c in (current + w for w in WINDOW) if hmac.compare_digest(code_at(secret, c), code)]
    return next((c for c in found if c > after), None)


def enrolment_uri(secret: bytes, name: str, issuer: str) -> str:
    """The ``otpauth://`` URI that an authenticator program reads, usually from a QR code."""
    query = {"secret": base64.b32encode(secret).decode().rstrip("="), "issuer": issuer}
    return f"otpauth://totp/{quote(issuer)}:{quote(name)}?{urlencode(query, quote_via=quote)}"


def listed_digest(code: str) -> str:
    """The digest under which a printed code is kept. The codes are 80 random bits, so a plain digest keeps them."""
    return hashlib.sha256(code.encode()).hexdigest()


def as_typed(text: str) -> str:
    """A code without the spaces and dashes that people type."""
    return "".join(c for c in text if c.isalnum()).upper()
