"""What follows from violations, and the bridge from law to evidence.

Pure. Violations are counted by member from the gateways' own records; the third one suspends, by an order that the
governing body signs. `trace` links law, rule, control, test and evidence for each operation; an empty cell fails the build.

Spec: the domain reference F28, F33; S10.
"""

from __future__ import annotations

import enum
from dataclasses import astuple, dataclass

from social_security.domain import pack


class Measure(enum.StrEnum):
    """The measure taken against a member for its violations, from none to suspension."""

    NONE = "ninguna"
    WARNING = "apercibimiento"
    PLAN = "plan obligatorio"
    SUSPENSION = "suspensión por orden firmada"


_BY_COUNT = (Measure.NONE, Measure.WARNING, Measure.PLAN, Measure.SUSPENSION)


def measure_for(violations: int) -> Measure:
    """The measure that a number of violations leads to."""
    return _BY_COUNT[min(violations, len(_BY_COUNT) - 1)]


@dataclass(frozen=True, slots=True)
class Trace:
    """One row of the matrix."""

    law: str
    rule: str
    control: str
    test: str
    evidence: str


def trace() -> list[Trace]:
    """The matrix. Raises ValueError when a cell is empty."""
    rows = [
        Trace(
            ", ".join(
                sorted({b for p in o.purposes for bases in pack.purposes()[p].legal_bases for b in bases})
            ),
            f"oss:perm-{o.name}",
            f"gateway.policies.decision: {len(o.request_fields)}+{len(o.answer_fields)} campos, {len(o.roles)} roles",
            f"tests/unit/social_security/test_law_to_evidence.py::test_rule[oss:perm-{o.name}]",
            f"X-Sacbe-Policy: …;oss:perm-{o.name};…",
        )
        for o in pack.operations().values()
    ]
    empty = [row.rule for row in rows if not all(astuple(row))]
    if empty:
        raise ValueError(f"the matrix has empty cells for {', '.join(empty)}")
    return rows
