"""Generated requests against an admin API, each answer held against the API's own OpenAPI document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import hypothesis
import schemathesis
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from serving.api.sessionroutes import OUTSIDE_THE_TABLE

if TYPE_CHECKING:
    from schemathesis.schemas import APIOperation

EXAMPLES = 4
CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]


def check(
    operation: APIOperation[Any, Any, Any, Any], url: str, headers: dict[str, str], outside: frozenset[str]
) -> int:
    """Send generated requests to one operation; how many. ``outside`` are codes of failures that are not ours."""
    sent = 0

    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(case=operation.as_strategy())
    def send(case: schemathesis.Case[Any]) -> None:
        nonlocal sent
        sent += 1
        base = url if operation.path in OUTSIDE_THE_TABLE else f"{url}/api/v1"
        answer = case.call(base_url=base, headers=headers, timeout=60)
        case.validate_response(answer, checks=CHECKS)
        if answer.status_code >= 500:
            code = answer.json().get("error", {}).get("code", "")
            assert code in outside or code.startswith(("core.", "acme.")), (operation.label, answer.text)

    send()
    return sent
