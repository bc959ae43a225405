"""A call of a service as demo and scenarios make it, what comes back, and the evidence it leaves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from certs.verify.container import Verdict


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back from a call: HTTP status, body, the gateway's error code if it refused, and how long it took."""

    status: int
    body: dict[str, Any]
    error: str | None
    message_id: str
    client: str
    service: str
    took_ms: float
    text: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One container of one side, with its verdict."""

    side: str
    file: Path
    verdict: Verdict


@dataclass(slots=True)
class Call:
    """What a member's staff fill in beside the body; the rest follows from the operation."""

    purpose: str
    case: str
    role: str
    reason: str
    system: str = "Ventanilla 1.0"
    user: str = "emp-0001"
    bases: Sequence[str] = ()
    headers: dict[str, str] = field(default_factory=dict)
