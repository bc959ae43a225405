"""Openings, first entries, proofs of records and announcements of keys, rule by rule: what is read back, and what is refused."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.faults import BadMessage, Kind
from schemas.identifiers import ServerId
from schemas.message import Side
from schemas.transparency.announcement import (
    LONGEST_ANNOUNCEMENT,
    KeyAnnouncement,
    SignedAnnouncement,
    log_origin,
    parse_announcement,
    witness_name,
)
from schemas.transparency.entries import (
    OPENING_BYTES,
    FirstEntry,
    Opening,
    parse_first_entry,
    parse_opening,
)
from schemas.transparency.notes import COSIGNATURE_ED25519, ED25519, VerifierKey, parse_note
from schemas.transparency.proofs import InclusionProof
from schemas.transparency.records import (
    LONGEST_RECORD_PROOF,
    RecordProof,
    RecordStatement,
    parse_record_proofs,
)

# Openings and entry 0

BYTES_32 = st.binary(min_size=32, max_size=32)


@st.composite
def openings(draw: st.DrawFn) -> Opening:
    salt = draw(st.binary(min_size=len(NO_SALT), max_size=len(NO_SALT)))
    number, at_ms = draw(st.integers(0, 2**63 - 1)), draw(st.integers(0, 2**42))
    return Opening(salt, number, draw(st.sampled_from(list(Side))), at_ms, draw(BYTES_32), draw(BYTES_32))


NO_SALT = parse_opening(bytes(OPENING_BYTES)).salt


@given(openings())
def test_an_opening_comes_back_and_is_read_at_no_other_length(opening: Opening) -> None:
    raw = opening.render()
    assert parse_opening(raw) == opening
    for wrong in (raw[:-1], raw + b"\0", b""):
        with pytest.raises(
            BadMessage, match=f"an opening has {OPENING_BYTES} bytes; {len(wrong)} came"
        ) as caught:
            parse_opening(wrong)
        assert caught.value.kind is Kind.MALFORMED_HASH_CHAIN


@given(openings(), st.integers(2, 255))
def test_an_opening_is_of_one_of_two_sides(opening: Opening, side: int) -> None:
    other = next(s for s in Side if s is not opening.side)
    raw, turned = opening.render(), msgspec.structs.replace(opening, side=other).render()
    (place,) = (i for i in range(OPENING_BYTES) if raw[i] != turned[i])
    with pytest.raises(BadMessage, match=f"has side 0 or 1; {side} came") as caught:
        parse_opening(raw[:place] + bytes([side]) + raw[place + 1 :])
    assert caught.value.kind is Kind.MALFORMED_HASH_CHAIN


BEGIN = FirstEntry(
    5, datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC), "restored", "MX/GOB/A/SS1/log/2", 9, b"r" * 32, 8
)


def begin(**changes: object) -> bytes:
    raw = BEGIN.entry()
    fields = {k: v for k, v in (json.loads(raw[1:]) | changes).items() if v is not None}
    return raw[:1] + json.dumps(fields).encode()


def test_the_first_entry_comes_back() -> None:
    assert parse_first_entry(BEGIN.entry()) == BEGIN
    plain = FirstEntry(1, BEGIN.at)
    assert parse_first_entry(plain.entry()) == plain


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (b"\x07" + BEGIN.entry()[1:], "another type of entry"),
        (BEGIN.entry()[:1] + b"[]", "another type of entry"),
        (b"", "hinders reading it"),
        (BEGIN.entry()[:-1], "hinders reading it"),
        (begin(first=None), "KeyError"),
        (begin(first="five"), "ValueError"),
        (begin(previous_size=[]), "TypeError"),
        (begin(at="2026-02-03"), "does not match format"),
        (begin(previous_root="*"), "hinders reading it"),
    ],
)
def test_an_entry_that_does_not_say_how_a_log_begins_is_refused(entry: bytes, words: str) -> None:
    with pytest.raises(BadMessage, match=words) as caught:
        parse_first_entry(entry)
    assert caught.value.kind is Kind.MALFORMED_HASH_CHAIN
    assert caught.value.detail.startswith("entry 0 of a transparency log says how it begins")


# Records in clear

NOTE = parse_note(
    "log.example/mx\n3\n{}\n\n\u2014 log.example/mx {}\n".format(
        base64.b64encode(b"h" * 32).decode(), base64.b64encode(b"k" * 68).decode()
    ).encode()
)


def proof_of(statement: RecordStatement, *, number: int = 4) -> RecordProof:
    opening = Opening(NO_SALT, number, statement.side, statement.at_ms, statement.digest(), b"s" * 32)
    return RecordProof(statement, InclusionProof(1, (b"p" * 32,), NOTE, opening.render()))


STATEMENT = RecordStatement(
    "id-9", "", False, Side.CONSUMER, "MX/GOB/A", "MX/GOB/A/S", "MX/GOB/B/T/v", "rest",
    b"m" * 64, b"signature", None, b"chain", 1_700_000_000_000, (b"b" * 64,),
)  # fmt: skip
PROOF = proof_of(STATEMENT)


def filed(*, record: object = None, **changes: object) -> bytes:
    value: dict[str, Any] = json.loads(PROOF.render())
    if isinstance(record, dict):
        value["record"] |= record
    return json.dumps({k: v for k, v in (value | changes).items() if v != "gone"}).encode()


def test_a_file_of_proofs_comes_back_one_or_many() -> None:
    assert parse_record_proofs(PROOF.render()) == [PROOF]
    other = proof_of(
        RecordStatement(
            "id-8", "id-9", True, Side.PROVIDER, "MX/GOB/B", "c", "s", "soap", b"m", b"s", b"r", None, 0
        )
    )
    both = json.dumps([PROOF.to_json(), other.to_json()]).encode()
    assert parse_record_proofs(both) == [PROOF, other]


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b" " * (LONGEST_RECORD_PROOF + 1), f"more than {LONGEST_RECORD_PROOF}"),
        (b"{", "it is not JSON"),
        (b"\xff", "it is not JSON"),
        (b"[]", "or a list of them, was expected"),
        (b"7", "or a list of them, was expected"),
        (b"[{}, 7]", "or a list of them, was expected"),
        (b"{}", "an object with form"),
        (filed(form="sacbe record proof 2"), "an object with form"),
        (PROOF.render().replace(b'"record": {', b'"record": 7, "other": {'), "an object with form"),
        (filed(proof=7), "an object with form"),
        (filed(proof="gone"), "an object with form"),
        (filed(entry="gone"), "KeyError 'entry' hinders"),
        (filed(entry="*"), "hinders reading it"),
        (filed(entry=base64.b64encode(b"x" * 33).decode()), "not that of its opening"),
        (filed(record={"number": 5}), "not that of its opening"),
        (filed(record={"messageId": 7}), "TypeError a text was expected"),
        (filed(record={"isResponse": "no"}), "TypeError true or false was expected"),
        (filed(record={"atMs": True}), "TypeError a number from 0 on"),
        (filed(record={"atMs": -1}), "TypeError a number from 0 on"),
        (filed(record={"atMs": 1 << 63}), "it is not JSON"),
        (filed(record={"side": "middle"}), "'middle' is not a valid Side"),
        (filed(record={"messageSha512": "zz"}), "non-hexadecimal"),
        (filed(record={"signature": "*"}), "hinders reading it"),
        (filed(record={"bodiesSha512": None}), "TypeError"),
    ],
)
def test_a_file_that_proves_no_record_says_why(raw: bytes, words: str) -> None:
    with pytest.raises(BadMessage, match=words) as caught:
        parse_record_proofs(raw)
    assert caught.value.kind is Kind.BAD_REQUEST


# Announcements

SERVER = ServerId("MX", "GOB", "A B", "SS1")
ANNOUNCED = KeyAnnouncement(
    SERVER,
    VerifierKey(log_origin(SERVER), ED25519, b"l" * 32),
    VerifierKey(witness_name(SERVER), COSIGNATURE_ED25519, b"w" * 32),
    datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC),
)
SIGNED = SignedAnnouncement(ANNOUNCED, ANNOUNCED.statement(), "SHA256withECDSA", b"value").render()


def test_an_announcement_comes_back() -> None:
    found = parse_announcement(SIGNED)
    assert (found.announcement, found.render()) == (ANNOUNCED, SIGNED)
    assert (found.algorithm, found.signature) == ("SHA256withECDSA", b"value")


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "has not the five lines"),
        (SIGNED.replace(b"\n\n", b"\nsixth\n\n"), "has not the five lines"),
        (SIGNED.replace(b"SHA256withECDSA ", b"SHA256withECDSA *"), "has not the five lines"),
        (SIGNED.replace(b"2026-05-06T07:08:09Z", b"2026-05-06 07:08:09"), "has not the five lines"),
        (SIGNED.replace(b"keys 1\n", b"keys 2\n"), "begins with 'sacbe transparency keys 1'"),
        (
            SIGNED.removesuffix(b"\n") + b"AAAA" * LONGEST_ANNOUNCEMENT,
            f"at most {LONGEST_ANNOUNCEMENT} bytes|five lines",
        ),
        (SIGNED.replace(b"/SS1\n", b"/SS2\n", 1), "came where"),
        (SIGNED.replace(b"2026-05-06T07:08:09Z", b"2026-5-6T7:8:9Z"), "not written as announcements are"),
        (SIGNED.replace(b"A%20B/SS1\n", b"A B/SS1\n", 1), "must be percent-encoded"),
    ],
)
def test_an_announcement_is_read_in_its_one_form(raw: bytes, words: str) -> None:
    assert raw != SIGNED
    with pytest.raises(BadMessage, match=words) as caught:
        parse_announcement(raw)
    assert caught.value.kind is Kind.BAD_REQUEST
