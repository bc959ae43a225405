"""A verdict on a signed container as the admin API says it: step by step, and nothing of the message's content."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gateway.admin.context import instant

if TYPE_CHECKING:
    from certs.verify.container import Verdict


class VerdictStepView(msgspec.Struct, frozen=True, omit_defaults=True):
    """One numbered step of a verification: ``outcome`` is valid, invalid or warning; ``code`` is the fault's when invalid."""

    number: int
    title: str
    outcome: str
    detail: str
    code: str | None = None


class VerdictView(msgspec.Struct, frozen=True, omit_defaults=True):
    """The verdict on a container. ``is_proved`` without ``is_valid``: the digests are proved, content is withheld, as ``withheld`` says."""

    is_valid: bool
    is_proved: bool
    steps: list[VerdictStepView]
    signer: str | None = None
    message_id: str | None = None
    timestamp: str | None = None
    withheld: str | None = None
    code: str | None = None


def view_verdict(verdict: Verdict) -> VerdictView:
    """The verdict as an answer."""
    return VerdictView(
        verdict.is_valid,
        verdict.is_proved,
        [VerdictStepView(s.number, s.title, s.outcome.value, s.detail, s.code) for s in verdict.steps],
        None if verdict.signer is None else verdict.signer.path(),
        verdict.message_id,
        None if verdict.timestamp is None else instant(verdict.timestamp),
        None if verdict.withheld is None else verdict.withheld.says(),
        verdict.code,
    )
