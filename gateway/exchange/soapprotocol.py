"""SOAP as a message protocol of the exchange: see `gateway.exchange.protocols`.

What a consumer system sends wrongly is ``client.*``; what a provider system answers wrongly is
``server.serverproxy.service_failed.*``; a fault that the provider's system itself answers is raised as `PeerFault` with
its envelope, and passed on unsigned and unlogged, as X-Road does.

Spec: PR-MESS 2, 3; X-Road 7.8's ClientMessageProcessor and ServerMessageProcessor (order of checks, prefixes).
"""

from __future__ import annotations

import contextlib
from types import coroutine
from typing import TYPE_CHECKING

import msgspec

from gateway.exchange.ports import ServiceCall
from gateway.exchange.protocols import ConsumerAnswer
from gateway.exchange.soapentity import EntityReader, Envelope, content_type_for, write_entity
from gateway.exchange.wire import (
    ORIGINAL_CONTENT_TYPE_HEADER,
    REQUEST_ID_HEADER,
    SOAP_ACTION_HEADER,
    Outgoing,
    attachments_of,
    system_boundary,
    without_type,
)
from gateway.http.whole import WholeBody
from schemas import soap
from schemas.faults import BadMessage, Fault, Kind, Origin, PeerFault, Step, step
from schemas.message import Message, MessageProtocol
from schemas.soapenvelope import DEFAULT_LIMITS
from schemas.transport import SoapPart

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from gateway.clients.model import ServerConf
    from gateway.exchange.ports import ExchangeContext, ServiceAnswer
    from gateway.exchange.protocols import ConsumerRequest, PeerRequest, ProvedRequest, Target
    from gateway.exchange.record import ExchangeRecord
    from gateway.exchange.wire import Body
    from schemas.multipart import Headers
    from schemas.transport import RestPart

# The status of a service's answer that holds a message; 500 is what SOAP 1.1 gives a fault (WS-I BP R1126).
_ANSWER_STATUS = (200, 500)
_BEFORE_THE_CALL = (Kind.SERVICE_MISSING_URL, Kind.SERVICE_MALFORMED_URL)


class SoapConsumerRequest(msgspec.Struct, frozen=True):
    """A consumer system's request: its envelope read, its attachments still in ``reader``."""

    soap: soap.SoapMessage
    envelope: Envelope
    message: Message
    soap_action: str | None
    reader: EntityReader


class SoapReceived(msgspec.Struct, frozen=True):
    """A message off the wire, with the labels of its part; the last two only of requests."""

    soap: soap.SoapMessage
    envelope: Envelope
    message: Message
    original_content_type: str = ""
    soap_action: str | None = None


class SoapConsumer:
    """SOAP on the consumer side."""

    missing = Kind.MISSING_SOAP

    async def read_request(
        self, context: ExchangeContext, consumer_request: ConsumerRequest, instance: str
    ) -> SoapConsumerRequest:
        """The envelope, checked as far as it can be on its own. Raises `BadMessage` (``invalid_request``, ``missing_soap``) or `PeerFault`."""
        with _consumers_own():
            action = _one_value("SOAPAction", consumer_request.values("soapaction"))
            soap.check_soap_action(action)
            soap.check_plain(consumer_request.values("content-encoding"))
            content_type = _one_value("Content-Type", consumer_request.values("content-type"))
            if not content_type:
                raise BadMessage(
                    Kind.INVALID_REQUEST,
                    "the request has no Content-Type; text/xml or multipart/related was expected",
                )
            reader = EntityReader(
                content_type,
                consumer_request.body or WholeBody(b""),
                context.new_spool,
                context.max_body_bytes,
            )
            envelope = await reader.read_envelope()
            if envelope is None:
                raise BadMessage(Kind.MISSING_SOAP, "the multipart request has no part; SOAP was expected")
            parsed = await _read(envelope.raw)
            if isinstance(parsed, soap.SoapFault):
                code = f"{Origin.CLIENT}.{parsed.wire.code.lower()}"
                raise PeerFault(msgspec.structs.replace(parsed.wire, code=code))
        message = parsed.to_message(context.new_id(), is_response=False)
        return SoapConsumerRequest(parsed, envelope, message, action, reader)

    def message_of(self, request: SoapConsumerRequest) -> Message:
        """The message that a SOAP request is, with its identifiers (PR-MESS 2.2)."""
        return request.message

    async def read_bodies(
        self, context: ExchangeContext, consumer_request: ConsumerRequest, request: SoapConsumerRequest
    ) -> Outgoing:
        """Read the attachments that follow the envelope. Raises `BadMessage`."""
        with _consumers_own():
            bodies = await request.reader.read_bodies()
        return Outgoing(
            request.message.with_attachments(attachments_of(bodies)),
            bodies,
            request.envelope.content_type,
            request.envelope.headers,
            consumer_request.header("content-type") or "",
        )

    def leaving(self, request: SoapConsumerRequest, sent: Outgoing) -> ServiceCall | None:
        """Not judged on this side: policies of leaving requests are about REST."""
        return None

    def discard(self, request: SoapConsumerRequest) -> None:
        """Discard the attachments read so far."""
        request.reader.discard()

    def headers(self, request: SoapConsumerRequest) -> Headers:
        """The SOAPAction, if there was one."""
        return () if request.soap_action is None else ((SOAP_ACTION_HEADER, request.soap_action),)

    async def parse_answer(self, head: RestPart | SoapPart, sent: Message) -> SoapReceived:
        """Parse the envelope of the answer, and check that it answers the message sent. Raises `BadMessage`."""
        return await _parse_part(head, sent.request_id, is_response=True)

    def answer_message(self, answer: SoapReceived, bodies: Sequence[Body]) -> Message:
        """The answer as a message."""
        return answer.message.with_attachments(attachments_of(bodies))

    def check_answers(self, request: SoapConsumerRequest, sent: Message, answer: SoapReceived) -> None:
        """Headers and the request hash are the request's."""
        with step(Step.SERVICE_FAILED):
            soap.check_consistent(request.soap, answer.soap)
        soap.check_request_hash(sent.digest, answer.soap)

    def render(
        self,
        context: ExchangeContext,
        answer: SoapReceived,
        bodies: Sequence[Body],
        original_content_type: str,
    ) -> ConsumerAnswer:
        """The envelope, in the provider's multipart where it was one."""
        content_type = content_type_for(
            original_content_type, answer.envelope, bodies, system_boundary(context.new_id())
        )
        chunks = write_entity(answer.envelope, bodies, content_type)
        return ConsumerAnswer(200, "OK", (("Content-Type", content_type),), chunks, bodies)


class SoapProvider:
    """SOAP on the provider side."""

    name = MessageProtocol.SOAP
    missing = Kind.MISSING_SOAP

    def check_headers(self, peer_request: PeerRequest) -> None:
        """Check that the SOAPAction header is well formed. Raises `BadMessage`."""
        soap.check_soap_action(peer_request.headers.get(SOAP_ACTION_HEADER))

    async def parse_request(self, head: RestPart | SoapPart, peer_request: PeerRequest) -> SoapReceived:
        """Parse the request's envelope, with the headers that came beside it. Raises `BadMessage`."""
        received = await _parse_part(head, peer_request.headers.get(REQUEST_ID_HEADER, ""), is_response=False)
        return msgspec.structs.replace(
            received,
            original_content_type=peer_request.headers.get(ORIGINAL_CONTENT_TYPE_HEADER, ""),
            soap_action=peer_request.headers.get(SOAP_ACTION_HEADER),
        )

    def message_of(self, request: SoapReceived) -> Message:
        """The message that a SOAP request is, with its identifiers (PR-MESS 2.2)."""
        return request.message

    def check_target(self, request: SoapReceived, serverconf: ServerConf) -> None:
        """A request that names a security server must name this one. Raises `BadMessage` (``invalid_security_server``)."""
        target = request.soap.security_server
        if target is not None and target != serverconf.server_id:
            raise BadMessage(
                Kind.INVALID_SECURITY_SERVER,
                f"the request is for security server {target.path()}; this is {serverconf.server_id.path()}",
            )

    def endpoint_of(self, request: SoapReceived) -> None:
        """Rights are to whole services."""

    async def call(
        self,
        context: ExchangeContext,
        target: Target,
        request: SoapReceived,
        proved: ProvedRequest,
        record: ExchangeRecord,
    ) -> Outgoing:
        """The service's answer with the request's hash put in."""
        original = request.original_content_type
        content_type = content_type_for(
            original, request.envelope, proved.bodies, system_boundary(context.new_id())
        )
        service_call = ServiceCall(
            proved.message,
            "POST",
            "",
            (("Content-Type", content_type), ("SOAPAction", request.soap_action or "")),
            lambda: write_entity(request.envelope, proved.bodies, content_type),
            proved.bodies,
        )
        with _services_own():
            async with target(service_call) as answered:
                return await _read_answer(context, request, proved, answered, record)


async def _read_answer(
    context: ExchangeContext,
    request: SoapReceived,
    proved: ProvedRequest,
    answered: ServiceAnswer,
    record: ExchangeRecord,
) -> Outgoing:
    record.response_in(context.now(), answered.status)
    if answered.status not in _ANSWER_STATUS:
        raise Fault(Kind.HTTP_ERROR, f"the service answered HTTP {answered.status}; 200 or 500 was expected")
    soap.check_plain([v for n, v in answered.headers if n.lower() == "content-encoding"])
    content_type = answered.header("content-type")
    if not content_type:
        raise Fault(Kind.INVALID_CONTENT_TYPE, "the service's answer has no Content-Type")
    reader = EntityReader(content_type, answered.chunks, context.new_spool, context.max_body_bytes)
    try:
        envelope = await reader.read_envelope()
        if envelope is None:
            raise Fault(Kind.INVALID_MESSAGE, "the service answered a multipart without any part")
        parsed = await _read(envelope.raw)
        if isinstance(parsed, soap.SoapFault):
            raise PeerFault(parsed.wire, parsed.raw)
        bodies = await reader.read_bodies()
    except BaseException:
        reader.discard()
        raise
    answer = soap.with_request_hash(parsed, soap.compute_request_hash(proved.message.digest))
    if len(answer.raw) > DEFAULT_LIMITS.size_bytes:
        reader.discard()
        raise Fault(
            Kind.INVALID_BODY,
            f"the service's envelope has {len(answer.raw)} bytes with the request's hash; gateways take "
            f"{DEFAULT_LIMITS.size_bytes}. Large content belongs in an attachment",
        )
    message = answer.to_message(proved.message.request_id, is_response=True)
    return Outgoing(
        message.with_attachments(attachments_of(bodies)),
        bodies,
        envelope.content_type,
        envelope.headers,
        content_type,
    )


async def _parse_part(head: RestPart | SoapPart, request_id: str, *, is_response: bool) -> SoapReceived:
    if not isinstance(head, SoapPart):
        raise BadMessage(Kind.MISSING_SOAP, "the message has a REST part where SOAP was expected")
    soap.check_soap_type(head.content_type)
    parsed = await _read(head.raw)
    if isinstance(parsed, soap.SoapFault):
        raise BadMessage(Kind.INVALID_MESSAGE, "a SOAP message was expected; a fault came")
    return SoapReceived(
        parsed,
        Envelope(head.raw, head.content_type, without_type(head.headers)),
        parsed.to_message(request_id, is_response=is_response),
    )


@coroutine
def _read(raw: bytes) -> Generator[None, None, soap.SoapMessage | soap.SoapFault]:
    """Read an envelope. However large it is, others are served in between: each stop is a turn of the loop."""
    return (yield from soap.parse_in_pieces(raw))


def _one_value(name: str, values: Sequence[str]) -> str | None:
    """The value of a header that may come twice only if it says the same."""
    if len(set(values)) > 1:
        raise BadMessage(
            Kind.INVALID_REQUEST, f"the header {name} came {len(values)} times with different values"
        )
    return values[0] if values else None


@contextlib.contextmanager
def _consumers_own() -> Iterator[None]:
    """Give a fault raised inside the side ``client``: the consumer system's message is at fault."""
    try:
        yield
    except BadMessage as fault:
        fault.origin = fault.origin or Origin.CLIENT
        raise


@contextlib.contextmanager
def _services_own() -> Iterator[None]:
    """Add the step ``service_failed`` to a fault raised inside, unless it says that this gateway could not use the URL."""
    try:
        yield
    except Fault as fault:
        if fault.kind in _BEFORE_THE_CALL:
            raise
        with step(Step.SERVICE_FAILED):
            raise
