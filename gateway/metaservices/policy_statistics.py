"""``getPolicyRefusals``: what policies refused at a member's services, told to that member's own systems.

A metadata service of this gateway, asked over REST like the others: ``GET .../getPolicyRefusals?after=NUMBER`` answers up
to a thousand refusals with a higher number, oldest first. Only the member itself may ask: what others wanted to know of a
person is hers and her institute's to know.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from gateway.exchange.ports import LocalAnswer
from schemas.faults import BadMessage, Fault, Kind
from schemas.jsontext import dump_json
from schemas.message import MessageProtocol
from schemas.numbers import whole_number

if TYPE_CHECKING:
    from gateway.exchange.ports import LocalService, ServiceCall
    from gateway.policies.gate import PolicyRefusalRecord
    from gateway.policies.ledger import PolicyLedger
    from schemas.identifiers import ServiceId

SERVICE_CODE = "getPolicyRefusals"
MAX_ROWS = 1000


@dataclass(frozen=True, slots=True)
class PolicyStatisticsService:
    """Finds the service, and answers it from the ledger."""

    ledger: PolicyLedger

    def find(self, service: ServiceId, protocol: MessageProtocol) -> LocalService | None:
        """This service over REST, or None."""
        return self if service.service_code == SERVICE_CODE and protocol is MessageProtocol.REST else None

    async def answer(self, call: ServiceCall) -> LocalAnswer:
        """One page. Raises `Fault` for another member, `BadMessage` for a number that is none."""
        owner = call.message.service.client.member
        if call.message.client.member != owner or call.method != "GET":
            raise Fault(
                Kind.ACCESS_DENIED,
                f"{SERVICE_CODE} is asked with GET by systems of {owner.path()} itself; "
                f"{call.method} came from {call.message.client.path()}",
            )
        query = dict(parse_qsl(call.target.partition("?")[2]))
        text = query.get("after", "0")
        after = whole_number(text)
        if after is None:
            raise BadMessage(Kind.INVALID_REQUEST, f"after is a number; {text[:20]!r} came")
        rows = await asyncio.to_thread(self.ledger.refusals, owner, after, MAX_ROWS)
        body = {"refusals": [_shown(number, refusal) for number, refusal in rows]}
        return LocalAnswer((("Content-Type", "application/json"),), dump_json(body).encode())


def _shown(number: int, refusal: PolicyRefusalRecord) -> dict[str, object]:
    return {
        "number": number,
        "at": refusal.at.isoformat(),
        "event": refusal.event,
        "reason": refusal.reason,
        "rule": refusal.rule,
        "policy": refusal.policy,
        "client": refusal.client.path(),
        "service": refusal.service.path(),
        "messageId": refusal.message_id,
        "field": refusal.field,
        "told": dict(refusal.claims),
    }
