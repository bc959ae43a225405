"""Proofs of a transparency log and requests to a witness, rule by rule."""

from __future__ import annotations

import base64

import pytest

from schemas.faults import BadMessage
from schemas.transparency.proofs import parse_inclusion_proof, parse_witness_request

HASH = base64.b64encode(b"h" * 32).decode()
NOTE = "\nlog.example/mx\n3\n" + HASH + "\n\n\u2014 log.example/mx AAAAAAAA\n"
HEAD = "c2sp.org/tlog-proof@v1"


def proof(*lines: str, note: str = NOTE) -> bytes:
    return ("\n".join(lines) + "\n" + note).encode()


def test_a_proof_is_read_and_written_alike() -> None:
    raw = proof(HEAD, "index 1", HASH)
    found = parse_inclusion_proof(raw)
    assert (found.index, found.path, found.render()) == (1, (b"h" * 32,), raw)
    extra = proof(HEAD, "extra " + base64.b64encode(b"x").decode(), "index 0")
    assert parse_inclusion_proof(extra).extra == b"x"


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (proof("other", "index 1"), "begins with the line"),
        (b"", "an empty line and a checkpoint"),
        (proof(HEAD, "index 1", note=""), "an empty line and a checkpoint"),
        (proof(HEAD, "extra *", "index 1"), "extra data of a proof is base64"),
        (proof(HEAD), "a line 'index"),
        (proof(HEAD, "index 1", HASH[:-4]), "32 bytes in base64"),
        (proof(HEAD, "index 1", "*"), "32 bytes in base64"),
        (proof(HEAD, "index 1", *[HASH] * 65), "at most|lines of at most"),
        (proof(HEAD, "index 1", "\u00f1"), "are ASCII"),
        (proof(HEAD, "index 01"), r"."),
    ],
)
def test_a_proof_that_is_none_says_why(raw: bytes, words: str) -> None:
    with pytest.raises(BadMessage, match=words):
        parse_inclusion_proof(raw)


def test_a_request_to_a_witness_begins_with_the_old_size() -> None:
    assert parse_witness_request(proof("old 2", HASH)).old_size == 2
    with pytest.raises(BadMessage, match="begins with the line 'old"):
        parse_witness_request(proof("new 2"))
