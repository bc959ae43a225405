"""REST as a message protocol of the exchange: see `gateway.exchange.protocols`. Spec: PR-REST 4."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.exchange.access import CalledEndpoint
from gateway.exchange.ports import ServiceCall
from gateway.exchange.protocols import ConsumerAnswer
from gateway.exchange.wire import MESSAGE_TYPE_HEADER, Body, Outgoing, attachments_of
from gateway.http.whole import WholeBody, whole_of
from schemas import rest
from schemas.faults import BadMessage, Fault, Kind
from schemas.message import Message, MessageProtocol
from schemas.transport import RestPart

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from gateway.clients.model import ServerConf
    from gateway.exchange.ports import ExchangeContext, ServiceAnswer
    from gateway.exchange.protocols import ConsumerRequest, PeerRequest, ProvedRequest, Target
    from gateway.exchange.record import ExchangeRecord
    from gateway.messagelog.spool import Spool
    from schemas.multipart import Headers
    from schemas.transport import SoapPart


class RestConsumer:
    """REST on the consumer side."""

    missing = Kind.MISSING_REST

    async def read_request(
        self, context: ExchangeContext, consumer_request: ConsumerRequest, instance: str
    ) -> rest.RestRequest:
        """The message of the HTTP request."""
        return rest.build_request(
            consumer_request.method,
            consumer_request.target,
            consumer_request.headers,
            instance=instance,
            new_id=context.new_id,
        )

    def message_of(self, request: rest.RestRequest) -> Message:
        """The message that a REST request is, with its identifiers (PR-REST 4)."""
        return request.to_message()

    async def read_bodies(
        self, context: ExchangeContext, consumer_request: ConsumerRequest, request: rest.RestRequest
    ) -> Outgoing:
        """The one body, if a byte of it came."""
        spool = (
            None if consumer_request.body is None else await _spool_request(context, consumer_request.body)
        )
        bodies = () if spool is None else (Body(spool),)
        message = request.to_message(attachments_of(bodies))
        return Outgoing(message, bodies, original_content_type=consumer_request.header("content-type") or "")

    def leaving(self, request: rest.RestRequest, sent: Outgoing) -> ServiceCall | None:
        """The call that the provider's system will be asked to answer."""
        return ServiceCall(
            sent.message,
            request.method,
            rest.service_target(request),
            rest.service_headers(request),
            sent.bodies[0].spool.chunks if sent.bodies else None,
            sent.bodies,
        )

    def discard(self, request: rest.RestRequest) -> None:
        """Nothing is spooled before the body is complete."""

    def headers(self, request: rest.RestRequest) -> Headers:
        """Says that the message is REST."""
        return ((MESSAGE_TYPE_HEADER, "REST"),)

    async def parse_answer(self, head: RestPart | SoapPart, sent: Message) -> rest.RestResponse:
        """Parse the response part. Raises `BadMessage` when another part came."""
        if not isinstance(head, RestPart) or not head.is_response:
            raise BadMessage(Kind.MISSING_REST, "the provider's gateway did not answer with a REST response")
        return rest.parse_response(head.raw)

    def answer_message(self, answer: rest.RestResponse, bodies: Sequence[Body]) -> Message:
        """The response as a message."""
        return answer.to_message(attachments_of(bodies))

    def check_answers(self, request: rest.RestRequest, sent: Message, answer: rest.RestResponse) -> None:
        """Ids and the request hash are the request's."""
        rest.check_answers(request, answer, _request_hash(sent))

    def render(
        self,
        context: ExchangeContext,
        answer: rest.RestResponse,
        bodies: Sequence[Body],
        original_content_type: str,
    ) -> ConsumerAnswer:
        """Status, headers and body as the provider gave them."""
        chunks = bodies[0].spool.chunks() if bodies else None
        return ConsumerAnswer(answer.status, answer.reason, rest.consumer_headers(answer), chunks, bodies)


class RestProvider:
    """REST on the provider side."""

    name = MessageProtocol.REST
    missing = Kind.MISSING_REST

    def check_headers(self, peer_request: PeerRequest) -> None:
        """REST has none of its own."""

    async def parse_request(self, head: RestPart | SoapPart, peer_request: PeerRequest) -> rest.RestRequest:
        """Parse the request part. Raises `BadMessage` when another part came."""
        if not isinstance(head, RestPart) or head.is_response:
            raise BadMessage(Kind.MISSING_REST, "the message has no REST request part")
        return rest.parse_request(head.raw)

    def message_of(self, request: rest.RestRequest) -> Message:
        """The message that a REST request is, with its identifiers (PR-REST 4)."""
        return request.to_message()

    def check_target(self, request: rest.RestRequest, serverconf: ServerConf) -> None:
        """X-Road's provider side does not look at X-Road-Security-Server."""

    def endpoint_of(self, request: rest.RestRequest) -> CalledEndpoint:
        """The method and raw path that access rights are decided by."""
        return CalledEndpoint(request.method, request.service_path, request.overriding)

    async def call(
        self,
        context: ExchangeContext,
        target: Target,
        request: rest.RestRequest,
        proved: ProvedRequest,
        record: ExchangeRecord,
    ) -> Outgoing:
        """The service's HTTP answer, whatever its status, as a response message."""
        forwarded = proved.bodies if rest.forwards_body(request.method) else ()
        service_call = ServiceCall(
            proved.message,
            request.method,
            rest.service_target(request),
            rest.service_headers(request),
            forwarded[0].spool.chunks if forwarded else None,
            proved.bodies,
        )
        async with target(service_call) as answered:
            spool = await _spool_answer(context, answered)
        record.response_in(context.now(), answered.status)
        response = rest.build_response(
            answered.status, answered.reason, answered.headers, request, _request_hash(proved.message)
        )
        bodies = () if spool is None else (Body(spool),)
        return Outgoing(response.to_message(attachments_of(bodies)), bodies)


def _request_hash(message: Message) -> str:
    body_digest = message.attachments[0].digest if message.attachments else None
    return rest.compute_request_hash(message.digest, body_digest)


async def _spool_request(context: ExchangeContext, chunks: AsyncIterator[bytes]) -> Spool | None:
    def too_large() -> Fault:
        return BadMessage(
            Kind.INVALID_REQUEST,
            f"the request body is larger than the {context.max_body_bytes} bytes this gateway accepts",
        )

    return await _spool(context, chunks, too_large)


async def _spool_answer(context: ExchangeContext, answered: ServiceAnswer) -> Spool | None:
    def too_large() -> Fault:
        return Fault(
            Kind.INVALID_BODY,
            f"the service's answer is larger than the {context.max_body_bytes} bytes this gateway accepts",
        )

    return await _spool(context, answered.chunks, too_large)


async def _spool(
    context: ExchangeContext, chunks: AsyncIterator[bytes], too_large: Callable[[], Fault]
) -> Spool | None:
    """The body, digested on its way; None when no byte of it came."""
    whole = whole_of(chunks)
    if whole == b"":
        return None
    spool = context.new_spool()
    if whole is not None:
        if len(whole) <= context.max_body_bytes and spool.take(whole):
            return spool
        chunks = WholeBody(whole)
    try:
        async for chunk in chunks:
            if spool.size + len(chunk) > context.max_body_bytes:
                raise too_large()
            await spool.write(chunk)
        await spool.finish()
    except BaseException:
        spool.discard()
        raise
    if spool.size == 0:
        spool.discard()
        return None
    return spool
