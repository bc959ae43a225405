"""The consumer side of one exchange: from a consumer system's request to its answer.

`exchange` reads as the ten steps of ARCHITECTURE.md, whatever the message protocol: what differs is asked of a
`ConsumerProtocol`. What is on disk, step by step: nothing until 7; after 7 the signed request, so a crash leaves evidence
of a request that may or may not have left; after 9 the signed answer, so a consumer that has an answer always has its
evidence too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from certs.verify.signature import verify_message_signature
from gateway.exchange import wire
from gateway.exchange.authentication import check_consumer_system
from gateway.exchange.evidence import log_message
from gateway.exchange.protocols import ConsumerAnswer, ConsumerRequest
from gateway.exchange.routing import check_fresh, check_registered_here, choose_servers
from gateway.exchange.versions import PROXY_VERSION, PROXY_VERSION_HEADER
from schemas import transport
from schemas.faults import BadMessage, Fault, Kind, Origin, Step, origin, step
from schemas.message import Side

if TYPE_CHECKING:
    from collections.abc import Sequence

    from certs.configuration import TrustedConfiguration
    from certs.signing import MessageSignature
    from gateway.exchange.authentication import ConsumerConnection
    from gateway.exchange.ports import ExchangeContext, PeerAnswer
    from gateway.exchange.protocols import A, ConsumerProtocol, Q
    from gateway.exchange.record import ExchangeRecord
    from schemas.message import Message
    from schemas.multipart import Headers

__all__ = ["ConsumerAnswer", "ConsumerRequest", "exchange"]

_HEADER_ORDER = (
    wire.MESSAGE_TYPE_HEADER,
    "x-hash-algorithm",
    wire.ORIGINAL_CONTENT_TYPE_HEADER,
    wire.REQUEST_ID_HEADER,
    PROXY_VERSION_HEADER,
    wire.SOAP_ACTION_HEADER,
    "Content-Type",
)


async def exchange(
    context: ExchangeContext,
    consumer_request: ConsumerRequest,
    protocol: ConsumerProtocol[Q, A],
    record: ExchangeRecord,
) -> ConsumerAnswer:
    """Carry one request to its provider and bring the proved answer back.

    Raises `Fault` with its origin said; `PeerFault` is the other side's own word, unsigned and passed on as it came.
    """
    with origin(Origin.CLIENT_PROXY):
        configuration = check_fresh(context.configuration(), context.now())  # 1
        request = await protocol.read_request(context, consumer_request, configuration.instance)
        try:
            head = protocol.message_of(request)
            record.message(head)
            _check_client(context, configuration, head, consumer_request.connection)  # 2, 3
            servers = choose_servers(configuration, head.service.client, head.security_server)  # 4
            sent = await protocol.read_bodies(context, consumer_request, request)
        except BaseException:
            protocol.discard(request)
            raise
        try:
            message = sent.message
            record.message(message)
            leaving = protocol.leaving(request, sent)
            if leaving is not None:  # 4: and nothing leaves that a policy keeps here
                await context.policies.check_leaving(leaving)
            record.request_out(context.now())
            async with context.peers.connect(servers, head.service.client) as peer:  # 5: the peer is proved
                signature, ocsp_responses = await _sign(context, message)  # 6
                # 7: no log, no sending. On disk from here on: the signed request; a crash leaves it, sent or not.
                await log_message(context, Side.CONSUMER, message, message.client, signature, sent.bodies)
                writer = transport.ProxyMessageWriter(wire.new_boundary(context.new_id()))
                headers = _headers(writer, sent, protocol.headers(request))
                chunks = wire.write_message(writer, sent, signature, ocsp_responses)
                answer = await peer.post(headers, chunks)
                reader = _reader(context, answer)
                try:
                    return await _take_answer(context, protocol, request, message, answer, reader, record)
                except BaseException:
                    reader.discard()
                    raise
        finally:
            wire.discard_all(sent.bodies)


def _check_client(
    context: ExchangeContext,
    configuration: TrustedConfiguration,
    message: Message,
    connection: ConsumerConnection,
) -> None:
    serverconf = context.serverconf()
    client = serverconf.client(message.client)
    if client is None:
        raise BadMessage(
            Kind.UNKNOWN_MEMBER,
            f"client {message.client.path()} is not configured on this security server "
            f"({serverconf.server_id.path()}); check the client that the request names",
        )
    check_registered_here(configuration, serverconf.server_id, message.client, "client", Kind.UNKNOWN_MEMBER)
    check_consumer_system(client, connection, context.own_certificates())


async def _sign(context: ExchangeContext, message: Message) -> tuple[MessageSignature, Sequence[bytes]]:
    """The client's signature, and the OCSP responses that this server's own certificate travels with."""
    now = context.now()
    ocsp_responses = context.identities.authentication_ocsp(now)
    identity, sign_ocsp = context.identities.signing(message.client, now)
    with step(Step.CANNOT_CREATE_SIGNATURE):
        signature = await context.signing.sign(identity, sign_ocsp, message.parts(), now)
    return signature, ocsp_responses


def _headers(writer: transport.ProxyMessageWriter, sent: wire.Outgoing, of_protocol: Headers) -> Headers:
    """The HTTP headers between gateways, those of the message protocol among them, in X-Road's order."""
    headers = (
        *of_protocol,
        ("x-hash-algorithm", wire.HASH_ALGORITHM),
        (wire.ORIGINAL_CONTENT_TYPE_HEADER, sent.original_content_type),
        (wire.REQUEST_ID_HEADER, sent.message.request_id),
        (PROXY_VERSION_HEADER, PROXY_VERSION),
        ("Content-Type", writer.content_type),
    )
    return tuple(sorted(headers, key=lambda pair: _HEADER_ORDER.index(pair[0])))


def _reader(context: ExchangeContext, answer: PeerAnswer) -> wire.MessageReader:
    with step(Step.SERVICE_FAILED):
        return wire.MessageReader(
            answer.content_type,
            answer.chunks,
            context.new_spool,
            is_response=True,
            max_body_bytes=context.max_body_bytes,
        )


async def _take_answer(
    context: ExchangeContext,
    protocol: ConsumerProtocol[Q, A],
    request: Q,
    sent: Message,
    answered: PeerAnswer,
    reader: wire.MessageReader,
    record: ExchangeRecord,
) -> ConsumerAnswer:
    with step(Step.SERVICE_FAILED):
        head = await reader.read_head()
    if head is None:
        raise Fault(protocol.missing, "the provider's gateway answered without a message")
    with step(Step.SERVICE_FAILED):
        wire.check_hash_algorithm(answered.hash_algorithm)
        answer = await protocol.parse_answer(head, sent)
        received = await reader.read_rest()
        message = protocol.answer_message(answer, received.attachments)
    record.response_in(context.now(), 200)
    record.answer(message)
    proof = received.proof()
    with step(Step.SIGNATURE_VERIFICATION):  # 8
        verify_message_signature(
            proof.signature,
            proof.hash_chain_result,
            proof.hash_chain,
            message.parts(),
            sent.service.client.member,
            check_fresh(context.configuration(), context.now()),
            context.now(),
        )
    protocol.check_answers(request, sent, answer)
    # 9. On disk from here on: the signed answer; a crash leaves it, and a consumer system without an answer.
    await log_message(context, Side.CONSUMER, message, sent.client, proof, received.attachments)
    return protocol.render(context, answer, received.attachments, answered.original_content_type)  # 10
