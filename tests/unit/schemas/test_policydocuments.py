"""Documents of a data policy: what is no document, and what a policy may not say, one change at a time."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from schemas.faults import BadMessage, Kind
from schemas.policy import (
    POLICY_FORMAT,
    REASONS,
    SUSPENSION_FORMAT,
    Policy,
    Signature,
    SignedDocument,
    Suspension,
    parse_document,
    parse_signed,
    parse_unchecked,
    render_signed,
)

SUSPENSION: dict[str, Any] = {
    "format": SUSPENSION_FORMAT,
    "id": "S-1",
    "member": "MX/GOB/30-IPE",
    "effective_from": "2026-01-01T00:00:00Z",
    "reason": "orden 7",
}
PERMISSION: dict[str, Any] = {
    "id": "p1",
    "subsystem": "HIST",
    "service_code": "oss-v1",
    "method": "GET",
    "path": "/h",
    "purposes": ["PUR-A"],
    "roles": ["R"],
    "request_fields": [],
    "answer_fields": [],
}
POLICY: dict[str, Any] = {
    "format": POLICY_FORMAT,
    "id": "P",
    "version": "1.0.0",
    "effective_from": "2026-01-01T00:00:00-06:00",
    "vocabulary": dict.fromkeys(("purpose", "legal_basis", "role", "version", "account"), "h"),
    "purposes": {"PUR-A": {"legal_bases": [["a"]]}},
    "permissions": [PERMISSION],
    "refusals": {reason: {"status": 403, "body": {}} for reason in REASONS},
    "context": [{"header": "h", "pattern": "[a-z]+"}],
    "forbidden": [{"id": "f", "pattern": "[A-Z]{4}"}],
}


def raw_of(document: object) -> bytes:
    return json.dumps(document).encode()


def test_both_kinds_of_document_are_read() -> None:
    policy, suspension = parse_document(raw_of(POLICY)), parse_document(raw_of(SUSPENSION))
    assert isinstance(policy, Policy)
    assert (policy.order, policy.permissions[0].id) == ((1, 0, 0), "p1")
    assert isinstance(suspension, Suspension)
    assert suspension.member == "MX/GOB/30-IPE"


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "is not understood"),
        (b"\xff", "is not understood"),
        (b"[]", "format is None"),
        (b'{"format": "sacbe-policy/2"}', "format is 'sacbe-policy/2'"),
        (b'{"format": 1}', "format is 1"),
        (
            raw_of(SUSPENSION | {"effective_from": "2026-01-01T00:00:00"}),
            "effective_from must carry its offset",
        ),
        (
            raw_of(SUSPENSION | {"effective_until": "2026-01-01T00:00:00"}),
            "effective_until must carry its offset",
        ),
        (raw_of(SUSPENSION | {"effective_from": "ayer"}), "is not understood"),
        (raw_of(SUSPENSION | {"more": 1}), "unknown field `more`"),
        (raw_of({k: v for k, v in SUSPENSION.items() if k != "member"}), "missing required field `member`"),
        (raw_of(POLICY | {"version": "1.0"}), "is not understood"),
        (raw_of(POLICY | {"version": "1.0.1234567890"}), "is not understood"),
    ],
)
def test_what_is_no_document_says_why(raw: bytes, words: str) -> None:
    with pytest.raises(BadMessage, match=words) as caught:
        parse_unchecked(raw)
    assert caught.value.kind is Kind.INVALID_MESSAGE


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (
            ("refusals",),
            {r: {"status": 403, "body": {}} for r in REASONS[1:]},
            "no answer for refusals of kind suspended",
        ),
        (("permissions",), [PERMISSION, PERMISSION], "permission p1 is there twice"),
        (
            ("permissions",),
            [PERMISSION | {"purposes": ["PUR-A", "PUR-Z", "PUR-B"]}],
            "unknown purposes PUR-B, PUR-Z",
        ),
        (("context", 0, "pattern"), "[a-z]+@[a-z]+", "more than 10000 ways"),
        (("context", 0, "pattern"), "(", "is no regular expression"),
        (("forbidden", 0, "pattern"), "[A-Z]+", "more than 10000 ways"),
    ],
)
def test_a_policy_that_cannot_be_enforced_is_read_only_to_be_compared(
    place: tuple[str | int, ...], value: object, words: str
) -> None:
    changed = copy.deepcopy(POLICY)
    inner: Any = changed
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    assert isinstance(parse_unchecked(raw_of(changed)), Policy)
    with pytest.raises(BadMessage, match=words):
        parse_document(raw_of(changed))


@pytest.mark.parametrize(
    "raw",
    [
        b"{}",
        b"[]",
        b'{"document": "?", "signatures": []}',
        b'{"document": "YQ==", "signatures": [{}]}',
        b"\xff",
    ],
)
def test_a_signed_document_that_cannot_be_read_is_refused(raw: bytes) -> None:
    with pytest.raises(BadMessage, match="signed document is not understood"):
        parse_signed(raw)


def test_a_signed_document_comes_back_byte_for_byte() -> None:
    signed = SignedDocument(b"\x00{}\xff", (Signature(b"c", "urn:a", b"v"), Signature(b"d", "urn:b", b"w")))
    assert parse_signed(render_signed(signed)) == signed
