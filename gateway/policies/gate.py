"""Policies in the path: a service behind its policy, so that what is refused never reaches it and never leaves.

`PolicyGate` wraps the call of a service, over REST or SOAP. A refusal is an ordinary answer of the provider: the exchange
signs and logs it like any other. Every REST answer of a bound service carries ``X-Sacbe-Policy`` with version, rule and
decision, inside the signature. A bound service without a policy in force is not called at all.

Quotas are counted, and refusals noted, in a `Ledger` that outlives the process. What is noted of a refusal names the
persons only as the policy's ``subject_fields`` do, and nothing that the policy forbids.
"""

from __future__ import annotations

import contextlib
import enum
import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from gateway.exchange.ports import ServiceAnswer
from gateway.http.whole import WholeBody
from gateway.policies.decision import (
    Deny,
    Permit,
    PolicyInput,
    claims_of,
    decide_answer,
    decide_request,
    describes,
    needs_body,
    strip_answer,
)
from gateway.policies.soap import soap_answer, soap_input, soap_refusal
from schemas.faults import Fault, Kind
from schemas.jsontext import dump_json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from datetime import date, datetime

    from gateway.clients.model import Service
    from gateway.exchange.ports import ServiceCall
    from schemas.identifiers import ClientId, ServiceId
    from schemas.policy import Policy, Suspension

    Target = Callable[[ServiceCall], AbstractAsyncContextManager[ServiceAnswer]]
    Alert = Callable[[Mapping[str, str]], None]

DECISION_HEADER = "X-Sacbe-Policy"
# What a policy looks into; larger bodies of bound services are refused.
BODY_LIMIT_BYTES = 8 * 1024 * 1024


class Excess(enum.StrEnum):
    """The treatment of an answer with fields that are not granted: refused whole, or stripped of them."""

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
    # Policies that requests of this gateway's own clients are held against before they leave, by id.
    prechecked: frozenset[str] = frozenset()

    def in_force(self, policy_id: str, now: datetime) -> Policy | None:
        """The highest version of a policy that is in force."""
        found = [p for p in self.policies if p.id == policy_id and p.is_effective(now)]
        return max(found, key=lambda p: p.order, default=None)

    def suspension(self, client: ClientId, now: datetime) -> Suspension | None:
        """The order against a client's member, if one holds."""
        member = client.member.path()
        return next((s for s in self.suspensions if s.member == member and s.holds(now)), None)


@dataclass(frozen=True, slots=True)
class PolicyRefusalRecord:
    """The note of a refused request, or of an answer that was refused or stripped.

    ``claims`` are what the request said of itself in the headers that the policy names, and in its ``subject_fields``.
    """

    at: datetime
    event: str
    reason: str
    rule: str
    policy: str
    client: ClientId
    service: ServiceId
    message_id: str
    field: str
    claims: Mapping[str, str]


class Ledger(Protocol):
    """The port to the records that outlive the process: how often an account asked on a day, and the refusals."""

    async def take(self, account: str, day: date) -> int:
        """Count one more request of an account; how many it is that day."""
        ...

    async def note(self, refusal: PolicyRefusalRecord) -> None:
        """Keep one refusal, for whoever reads the refusals later."""
        ...


class MemoryLedger:
    """A ledger that ends with the process, for gateways without a database."""

    def __init__(self) -> None:
        self.refusals: list[PolicyRefusalRecord] = []
        self._counts: dict[tuple[str, date], int] = {}

    async def take(self, account: str, day: date) -> int:
        """Count one more request of an account; how many it is that day."""
        self._counts[account, day] = self._counts.get((account, day), 0) + 1
        return self._counts[account, day]

    async def note(self, refusal: PolicyRefusalRecord) -> None:
        """Keep one refusal in memory."""
        self.refusals.append(refusal)


class PolicyGate:
    """The policies of this gateway."""

    def __init__(self, now: Callable[[], datetime], alert: Alert, ledger: Ledger | None = None) -> None:
        self._now = now
        self._alert = alert
        self._ledger = ledger or MemoryLedger()
        self._bound = BoundPolicies()

    def swap(self, bound: BoundPolicies) -> None:
        """Take another snapshot; calls under way keep theirs."""
        self._bound = bound

    async def check_leaving(self, call: ServiceCall) -> None:
        """Refuse a request that its provider's gateway would refuse, as far as a policy known here tells.

        A courtesy: what is not described here goes on, quotas are the provider's to count, and the provider decides again.
        Nothing has left, so nothing is signed or logged as evidence. Raises `Fault`.
        """
        bound, now, service = self._bound, self._now(), call.message.service
        for policy_id in sorted(bound.prechecked):
            policy = bound.in_force(policy_id, now)
            if policy is None or not describes(
                policy, service.client.subsystem_code or "", service.service_code
            ):
                continue
            policy_input = await _policy_input(service, call)
            if policy_input.body is None:
                continue
            decision = decide_request(policy, policy_input)
            if isinstance(decision, Deny):
                self._alert(
                    {
                        "event": "policy_held",
                        "reason": decision.reason,
                        "rule": decision.rule,
                        "policy": policy.version,
                        "client": call.message.client.path(),
                        "service": service.path(),
                        "messageId": call.message.message_id,
                    }
                )
                alternatives = " / ".join(
                    str(v) for v in policy.refusals[decision.reason].body.values() if isinstance(v, str)
                )
                raise Fault(
                    Kind.ACCESS_DENIED,
                    f"policy {policy.version} refuses this request, so it was not sent: {alternatives} "
                    f"(rule {decision.rule}{', ' + decision.field if decision.field else ''})",
                )

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
            raise Fault(
                Kind.ACCESS_DENIED,
                f"service {service.id.path()} is under policy {binding.policy_id}, and no version of it is in force here",
            )
        if not service.type.is_rest and policy.soap is None:
            raise Fault(
                Kind.ACCESS_DENIED,
                f"service {service.id.path()} is under a policy that says nothing of SOAP; "
                "offer it over REST, or take it out with 'gateway policy bind'",
            )
        request = (
            await _policy_input(service.id, call)
            if service.type.is_rest or policy.soap is None
            else soap_input(policy, policy.soap, service.id, call.message)
        )
        claims = claims_of(policy, request)
        if bound.suspension(call.message.client, now) is not None:
            yield await self._refused(Deny("suspended", "suspension", policy), service, call, claims)
            return
        decision = (
            Deny("request_fields", policy.id, policy, "body")
            if request.body is None
            else decide_request(policy, request)
        )
        if isinstance(decision, Permit) and decision.quota is not None:
            account, limit = decision.quota
            if await self._ledger.take(account, now.date()) > limit:
                decision = Deny("quota", decision.rule, policy)
        if isinstance(decision, Deny):
            yield await self._refused(decision, service, call, claims)
            return
        async with target(call) as answered:
            yield await self._released(decision, binding, service, call, answered, claims)

    async def _released(
        self,
        granted: Permit,
        binding: Binding,
        service: Service,
        call: ServiceCall,
        answered: ServiceAnswer,
        claims: Mapping[str, str],
    ) -> ServiceAnswer:
        """The answer as far as it may leave."""
        tag = (DECISION_HEADER, f"{granted.policy.version};{granted.rule};granted")
        if not needs_body(granted):
            return ServiceAnswer(answered.status, answered.reason, (*answered.headers, tag), answered.chunks)
        body = await _read(answered.chunks)
        shown = body if service.type.is_rest else _shown(answered, body)
        if not _is_plain(answered):
            shown = body = None
        refused = (
            Deny("answer_fields", granted.rule, granted.policy)
            if shown is None
            else decide_answer(granted, answered.status, shown)
        )
        if refused is None:
            return ServiceAnswer(
                answered.status, answered.reason, (*answered.headers, tag), WholeBody(body or b"")
            )
        # An envelope is not taken apart and put together again: SOAP answers are refused whole.
        if binding.excess is Excess.STRIP and body is not None and service.type.is_rest:
            stripped = strip_answer(granted, answered.status, body)
            if stripped is not None and decide_answer(granted, answered.status, stripped) is None:
                await self._report_denial("policy_stripped", refused, service, call, claims)
                stripped_tag = (DECISION_HEADER, f"{granted.policy.version};{granted.rule};stripped")
                return ServiceAnswer(
                    answered.status, answered.reason, (*answered.headers, stripped_tag), WholeBody(stripped)
                )
        return await self._refused(refused, service, call, claims)

    async def _refused(
        self, refused: Deny, service: Service, call: ServiceCall, claims: Mapping[str, str]
    ) -> ServiceAnswer:
        await self._report_denial("policy_refused", refused, service, call, claims)
        answer = refused.policy.refusals[refused.reason]
        body = {**answer.body, "regla": refused.rule}
        if refused.field:
            body["campo"] = refused.field
        if not service.type.is_rest and refused.policy.soap is not None:
            envelope = soap_refusal(refused.policy.soap, call.message, body)
            return ServiceAnswer(
                200, "OK", (("Content-Type", "text/xml; charset=utf-8"),), WholeBody(envelope)
            )
        return ServiceAnswer(
            answer.status,
            "Refused by policy",
            (
                ("Content-Type", "application/problem+json; charset=utf-8"),
                (DECISION_HEADER, f"{refused.policy.version};{refused.rule};refused:{refused.reason}"),
            ),
            WholeBody(dump_json(body, ensure_ascii=False).encode()),
        )

    async def _report_denial(
        self, event: str, refused: Deny, service: Service, call: ServiceCall, claims: Mapping[str, str]
    ) -> None:
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
        await self._ledger.note(
            PolicyRefusalRecord(
                self._now(),
                event,
                refused.reason,
                refused.rule,
                refused.policy.version,
                call.message.client,
                service.id,
                call.message.message_id,
                refused.field,
                claims,
            )
        )


def _is_plain(answered: ServiceAnswer) -> bool:
    """Whether a policy can look into a body: it was not compressed for the way."""
    codings = (v.strip().lower() for n, v in answered.headers if n.lower() == "content-encoding")
    return all(coding in ("", "identity") for coding in codings)


def _shown(answered: ServiceAnswer, body: bytes | None) -> bytes | None:
    """A SOAP answer's content for the policy; None where the body was not read or is no text/xml."""
    if body is None or not (answered.header("content-type") or "").lower().startswith("text/xml"):
        return None
    return soap_answer(body)


async def _policy_input(service: ServiceId, call: ServiceCall) -> PolicyInput:
    """What a policy looks at; a body larger than it looks into is None."""
    body = b"" if call.chunks is None else await _read(call.chunks())
    return PolicyInput(
        call.message.client.path(),
        service.client.subsystem_code or "",
        service.service_code,
        call.method,
        call.target or "/",
        _by_name(call.headers),
        body,
    )


def _by_name(headers: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Values by lower-case name. Different ones of one name stand on lines of their own: no rule takes them for one."""
    values: dict[str, dict[str, None]] = {}
    for name, value in headers:
        values.setdefault(name.lower(), {})[value] = None
    return {name: "\n".join(found) for name, found in values.items()}


async def _read(chunks: AsyncIterator[bytes]) -> bytes | None:
    """A body whole; None when it is larger than a policy looks into."""
    kept = bytearray()
    async for chunk in chunks:
        kept += chunk
        if len(kept) > BODY_LIMIT_BYTES:
            return None
    return bytes(kept)
