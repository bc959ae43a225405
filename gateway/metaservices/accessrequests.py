"""``requestAccess`` over the exchange: a client asks for access to a service here, or how its request stands.

Who asks is who signed; nothing is granted by asking. The provider's operators decide on their page, and the right is granted there.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from gateway.clients.access_request_table import AccessPlea
from gateway.exchange.access import build_unknown_service
from gateway.exchange.ports import LocalAnswer
from schemas.accessrequests import LONGEST_QUESTION, REQUEST_ACCESS, AccessRequestState, parse_question
from schemas.faults import BadMessage, Fault, Kind
from schemas.identifiers import ServiceId
from schemas.jsontext import encode_json
from schemas.message import MessageProtocol
from serving.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from gateway.clients.access_request_table import AccessRequestRecord
    from gateway.clients.store import ServerConfStore
    from gateway.exchange.ports import LocalService, ServiceCall
    from schemas.identifiers import ClientId


@dataclass(frozen=True, slots=True)
class AccessRequests:
    """Answers ``requestAccess`` of every provider here."""

    store: ServerConfStore
    now: Callable[[], datetime]

    def find(self, service: ServiceId, protocol: MessageProtocol) -> LocalService | None:
        """This service for its code over REST, else None."""
        is_mine = protocol is MessageProtocol.REST and service.service_code == REQUEST_ACCESS
        return self if is_mine else None

    async def answer(self, call: ServiceCall) -> LocalAnswer:
        """Keep a request (POST), or say how it stands (GET). Raises `Fault`."""
        client, provider = call.message.client, call.message.service.client
        if call.method == "POST":
            record = await asyncio.to_thread(self._add, call, await _body(call))
        elif call.method == "GET":
            query = dict(parse_qsl(call.target.partition("?")[2]))
            record = await asyncio.to_thread(self._find, client, provider, query.get("serviceCode", ""))
        else:
            raise Fault(
                Kind.UNKNOWN_SERVICE, f"{REQUEST_ACCESS} is asked with GET or POST, not {call.method}"
            )
        return LocalAnswer((("Content-Type", "application/json"),), encode_json(_answer(record)))

    def _add(self, call: ServiceCall, raw: bytes) -> AccessRequestRecord:
        question, message = parse_question(raw), call.message
        provider = message.service.client
        if all(s.id.service_code != question.service_code for s in self.store.load().services_of(provider)):
            raise build_unknown_service(ServiceId(provider, question.service_code))
        plea = AccessPlea(
            message.client,
            provider,
            question.service_code,
            question.purpose,
            question.legal_basis,
            question.contact,
            message.message_id,
        )
        try:
            return self.store.add_access_request(plea, self.now())
        except Refused as refusal:
            raise BadMessage(Kind.INVALID_REQUEST, str(refusal)) from refusal

    def _find(self, client: ClientId, provider: ClientId, code: str) -> AccessRequestRecord:
        found = self.store.view.access_requests.find(client, provider, code)
        if found is None:
            raise BadMessage(
                Kind.NOT_FOUND, f"{client.path()} has not asked {provider.path()} for access to {code!r}"
            )
        return found


async def _body(call: ServiceCall) -> bytes:
    """The body of a question, whose length is bounded. Raises `BadMessage`."""
    raw = b""
    if call.chunks is not None:
        async for chunk in call.chunks():
            raw += chunk
            if len(raw) > LONGEST_QUESTION:
                raise BadMessage(
                    Kind.INVALID_REQUEST, f"a request for access has at most {LONGEST_QUESTION} bytes"
                )
    return raw


def _answer(record: AccessRequestRecord) -> AccessRequestState:
    decided = None if record.decided_at is None else f"{record.decided_at:%Y-%m-%dT%H:%M:%SZ}"
    return AccessRequestState(
        record.plea.service_code,
        record.state.value,
        f"{record.asked_at:%Y-%m-%dT%H:%M:%SZ}",
        decided,
        record.reason,
    )
