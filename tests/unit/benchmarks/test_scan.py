"""The leakage scan finds a CURP in every spelling it claims to know."""

from __future__ import annotations

import base64
import secrets
from urllib.parse import quote

import pytest

from benchmarks.scenarios.scan import find_spelling
from benchmarks.scenarios.stage import PERSONS

CURP = str(next(iter(PERSONS.values()))["curp"])
AROUND = (b"\x00\xff{'a':'", b"'}\x01")
ENCODED = "".join(f"%{ord(c):02X}" for c in CURP)


@pytest.mark.parametrize(
    ("content", "spelling"),
    [
        (CURP.encode(), "in clear"),
        (CURP.lower().encode(), "in clear"),
        (CURP.encode("utf-16-le"), "in UTF-16"),
        (CURP.encode("utf-16-be"), "in UTF-16"),
        (ENCODED.encode(), "percent-encoded"),
        (quote(ENCODED).encode(), "percent-encoded"),
        *((base64.b64encode(b"{" * n + CURP.encode() + b"}" * n), "in base64") for n in range(1, 7)),
    ],
)
def test_a_curp_is_found_in_every_spelling(content: bytes, spelling: str) -> None:
    assert find_spelling(AROUND[0] + content + AROUND[1], [CURP]) == spelling


def test_nothing_is_found_where_none_stands() -> None:
    noise = secrets.token_bytes(1 << 20)
    assert find_spelling(noise, [CURP]) is None
    assert find_spelling(base64.b64encode(noise), [CURP]) is None
    assert find_spelling(CURP[:17].encode() + b"\n", [CURP]) is None
