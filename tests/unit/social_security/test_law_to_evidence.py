"""From the law to what enforces it: each rule of the matrix is run as the gateway runs it, and refuses what it does not grant.

The matrix names this file's case for each rule, so that a rule without one fails here.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.policies.decision import Deny, Permit, PolicyInput, decide_answer, decide_request
from schemas.policy import Policy, parse_document
from social_security.domain import pack
from social_security.oniess.enforcement import Trace, trace
from social_security.wire.policydocument import build_policy

NOW = datetime(2026, 3, 2, 15, tzinfo=UTC)
CLIENT = "MX/GOB/30-IPE/PORT"
MATRIX = {row.rule: row for row in trace()}
STRANGE = {"campoQueNadieConcede": "x"}


def policy() -> Policy:
    document = parse_document(build_policy("1.0.0", NOW - timedelta(days=1)))
    assert isinstance(document, Policy)
    return document


def asked(operation: pack.PackOperation, purpose: str, role: str) -> PolicyInput:
    """A request with everything that the operation's rule asks for, and no field at all."""
    headers = {
        "x-road-userid": "MX-30-IPE:emp-1",
        "x-road-issue": "PORT-30-2026-00000017",
        "x-oss-proposito": purpose,
        "x-oss-fundamento": ",".join(sorted(pack.purposes()[purpose].legal_bases[0])),
        "x-oss-motivo": "Prueba",
        "x-oss-sistema": "IPE-Pensiones 4.2",
        "x-oss-rol": role,
        "x-oss-aviso": f"https://ipe.example/aviso/v3;sha256={'0' * 64}",
        "x-oss-politica": "1.0.0",
    }
    path = "/".join("PORT-30-2026-00000017" if p.startswith("{") else p for p in operation.path.split("/"))
    return PolicyInput(CLIENT, operation.subsystem, "oss-v1", operation.method, path, headers, b"{}")


def reason(request: PolicyInput) -> str:
    decision = decide_request(policy(), request)
    return f"{decision.rule} {decision.reason}" if isinstance(decision, Deny) else "granted"


@pytest.mark.parametrize("rule", sorted(MATRIX))
def test_rule(rule: str) -> None:
    row, operation = MATRIX[rule], pack.operations()[rule.removeprefix("oss:perm-")]
    granted: Permit | Deny | None = None
    for purpose in sorted(operation.purposes):
        bases = pack.purposes()[purpose].legal_bases
        assert {b for needed in bases for b in needed} <= set(row.law.split(", "))
        for role in sorted(operation.roles):
            request = asked(operation, purpose, role)
            granted = decide_request(policy(), request)
            assert isinstance(granted, Permit), (purpose, role, granted)
            assert granted.rule == rule
        without = {**request.headers, "x-oss-fundamento": "mx:OTRA-1"}
        assert reason(replace(request, headers=without)) == f"{rule} legal_basis"
    assert isinstance(granted, Permit)
    for name, value, why in (
        ("x-oss-proposito", "PUR-OTRO", "purpose"),
        ("x-oss-rol", "OTRO_ROL", "role"),
    ):
        assert reason(replace(request, headers={**request.headers, name: value})) == f"{rule} {why}"
    if "*" not in operation.request_fields:
        assert reason(replace(request, body=json.dumps(STRANGE).encode())) == f"{rule} request_fields"
    if "*" not in operation.answer_fields:
        refused = decide_answer(granted, 200, json.dumps(STRANGE).encode())
        assert refused is not None
        assert (refused.rule, refused.reason, refused.field) == (rule, "answer_fields", next(iter(STRANGE)))


def test_each_row_names_the_case_that_runs_it_and_no_cell_is_empty() -> None:
    here = Path(__file__).relative_to(Path(__file__).parents[3]).as_posix()
    assert {row.test for row in MATRIX.values()} == {f"{here}::test_rule[{rule}]" for rule in MATRIX}
    assert len(MATRIX) == len(pack.operations())


def test_a_rule_without_a_legal_basis_makes_no_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    name, one = next(iter(pack.operations().items()))
    monkeypatch.setattr(pack, "operations", lambda: {name: replace(one, purposes=frozenset())})
    with pytest.raises(ValueError, match=f"oss:perm-{name}"):
        trace()


def test_a_row_is_whole() -> None:
    assert all(
        isinstance(row, Trace) and row.evidence.startswith("X-Sacbe-Policy") for row in MATRIX.values()
    )
