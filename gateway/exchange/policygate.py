"""Policies in the path: a service behind its policy, so that what is refused never reaches it and never leaves.

`PolicyGate` wraps the call of a service. A refusal is an ordinary answer of the provider: the exchange signs and logs it
like any other. Every answer of a bound service carries ``X-Sacbe-Policy`` with version, rule and decision, inside the
signature. A bound service without a policy in force is not called at all.

The counter of quotas is this process's own and begins anew with it.
"""

from __future__ import annotations

import contextlib
import enum
import functools
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.exchange.policy import (
    Asked,
    Granted,
    Refused,
    decide_answer,
    decide_request,
    needs_body,
    strip_answer,
)
from gateway.exchange.ports import ServiceAnswer
from schemas.faults import Kind, NotAllowed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from contextlib import AbstractAsyncContextManager
    from datetime import date, datetime

    from gateway.exchange.ports import ServiceCall
    from gateway.serverconf.model import Service
    from schemas.identifiers import ClientId
    from schemas.policy import Policy, Suspension

    Target = Callable[[ServiceCall], AbstractAsyncContextManager[ServiceAnswer]]
    Alert = Callable[[Mapping[str, str]], None]

DECISION_HEADER = "X-Sacbe-Policy"
# What a policy looks into; larger bodies of bound services are refused.
BODY_LIMIT_BYTES = 8 * 1024 * 1024


class Excess(enum.StrEnum):
    """What happens to an answer with fields that are not granted."""

    REFUSE = "refuse"
    STRIP = "strip"


@dataclass(frozen=True, slots=True)
class Binding:
    """A service is under a policy, named by its id, whatever version is in force."""

    policy_id: str
    excess: Excess = Excess.REFUSE


@dataclass(frozen=True)
class BoundPolicies:
    """One snapshot: bindings by service owner and code, verified policies, verified suspensions."""

    bindings: Mapping[tuple[ClientId, str], Binding] = field(default_factory=dict)
    policies: tuple[Policy, ...] = ()
    suspensions: tuple[Suspension, ...] = ()

    def in_force(self, policy_id: str, now: datetime) -> Policy | None:
        """The highest version of a policy that is in force."""
        found = [p for p in self.policies if p.id == policy_id and p.is_effective(now)]
        return max(found, key=lambda p: p.order, default=None)

    def suspension(self, client: ClientId, now: datetime) -> Suspension | None:
        """The order against a client's member, if one holds."""
        member = client.member.path()
        return next((s for s in self.suspensions if s.member == member and s.holds(now)), None)


class PolicyGate:
    """The policies of this gateway, and what has been counted under them today."""

    def __init__(self, now: Callable[[], datetime], alert: Alert) -> None:
        self._now = now
        self._alert = alert
        self._bound = BoundPolicies()
        self._day: date | None = None
        self._counts: dict[str, int] = {}

    def swap(self, bound: BoundPolicies) -> None:
        """Take another snapshot; calls under way keep theirs."""
        self._bound = bound

    def guard(self, service: Service, target: Target) -> Target:
        """The service behind its policy; as it is when it is bound to none."""
        binding = self._bound.bindings.get((service.id.client, service.id.service_code))
        if binding is None:
            return target
        return functools.partial(self._guarded, self._bound, binding, service, target)

    @contextlib.asynccontextmanager
    async def _guarded(
        self, bound: BoundPolicies, binding: Binding, service: Service, target: Target, call: ServiceCall
    ) -> AsyncIterator[ServiceAnswer]:
        now = self._now()
        policy = bound.in_force(binding.policy_id, now)
        if policy is None:
            raise NotAllowed(
                Kind.ACCESS_DENIED,
                f"service {service.id.path()} is under policy {binding.policy_id}, and no version of it is in force here",
            )
        if not service.type.is_rest:
            raise NotAllowed(
                Kind.ACCESS_DENIED,
                f"service {service.id.path()} is under a policy, and policies are evaluated on REST messages only; "
                "offer it over REST, or take it out with 'gateway policy bind'",
            )
        if bound.suspension(call.message.client, now) is not None:
            yield self._refused(Refused("suspended", "suspension", policy), service, call)
            return
        decision = await _decide(policy, service, call)
        if (
            isinstance(decision, Granted)
            and decision.quota is not None
            and not self._take(decision.quota, now)
        ):
            decision = Refused("quota", decision.rule, policy)
        if isinstance(decision, Refused):
            yield self._refused(decision, service, call)
            return
        async with target(call) as answered:
            yield await self._released(decision, binding, service, call, answered)

    async def _released(
        self, granted: Granted, binding: Binding, service: Service, call: ServiceCall, answered: ServiceAnswer
    ) -> ServiceAnswer:
        """The answer as far as it may leave."""
        tag = (DECISION_HEADER, f"{granted.policy.version};{granted.rule};granted")
        if not needs_body(granted):
            return ServiceAnswer(answered.status, answered.reason, (*answered.headers, tag), answered.chunks)
        body = await _read(answered.chunks)
        refused = (
            Refused("answer_fields", granted.rule, granted.policy)
            if body is None
            else decide_answer(granted, answered.status, body)
        )
        if refused is None:
            return ServiceAnswer(
                answered.status, answered.reason, (*answered.headers, tag), _one(body or b"")
            )
        if binding.excess is Excess.STRIP and body is not None:
            stripped = strip_answer(granted, answered.status, body)
            if stripped is not None and decide_answer(granted, answered.status, stripped) is None:
                self._tell("policy_stripped", refused, service, call)
                stripped_tag = (DECISION_HEADER, f"{granted.policy.version};{granted.rule};stripped")
                return ServiceAnswer(
                    answered.status, answered.reason, (*answered.headers, stripped_tag), _one(stripped)
                )
        return self._refused(refused, service, call)

    def _refused(self, refused: Refused, service: Service, call: ServiceCall) -> ServiceAnswer:
        self._tell("policy_refused", refused, service, call)
        answer = refused.policy.refusals[refused.reason]
        body = {**answer.body, "regla": refused.rule}
        if refused.field:
            body["campo"] = refused.field
        return ServiceAnswer(
            answer.status,
            "Refused by policy",
            (
                ("Content-Type", "application/problem+json; charset=utf-8"),
                (DECISION_HEADER, f"{refused.policy.version};{refused.rule};refused:{refused.reason}"),
            ),
            _one(json.dumps(body, ensure_ascii=False).encode()),
        )

    def _tell(self, event: str, refused: Refused, service: Service, call: ServiceCall) -> None:
        self._alert(
            {
                "event": event,
                "reason": refused.reason,
                "rule": refused.rule,
                "policy": refused.policy.version,
                "client": call.message.client.path(),
                "service": service.id.path(),
                "messageId": call.message.message_id,
            }
        )

    def _take(self, quota: tuple[str, int], now: datetime) -> bool:
        if self._day != now.date():
            self._day = now.date()
            self._counts.clear()
        account, limit = quota
        self._counts[account] = self._counts.get(account, 0) + 1
        return self._counts[account] <= limit


async def _decide(policy: Policy, service: Service, call: ServiceCall) -> Granted | Refused:
    body = b"" if call.chunks is None else await _read(call.chunks())
    if body is None:
        return Refused("request_fields", policy.id, policy, "body")
    return decide_request(
        policy,
        Asked(
            call.message.client.path(),
            service.id.client.subsystem_code or "",
            service.id.service_code,
            call.method,
            call.target or "/",
            {name.lower(): value for name, value in call.headers},
            body,
        ),
    )


async def _read(chunks: AsyncIterator[bytes]) -> bytes | None:
    """A body whole; None when it is larger than a policy looks into."""
    kept = bytearray()
    async for chunk in chunks:
        kept += chunk
        if len(kept) > BODY_LIMIT_BYTES:
            return None
    return bytes(kept)


async def _one(chunk: bytes) -> AsyncIterator[bytes]:
    if chunk:
        yield chunk
