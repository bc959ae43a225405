"""The provider side of one exchange: from a peer's message to the signed answer.

`serve` reads as the ten steps of ARCHITECTURE.md, in the order in which X-Road's server proxy checks, because peers
see which fault wins; what differs by message protocol is asked of a `ProviderProtocol`. What is on disk, step by step:
nothing until 6; after 6 the request with the consumer's signature, so a crash while the service works leaves proof of
what was asked; after 9 the signed answer, so a peer that has an answer can never hold something this side does not.

A service is a provider's system behind a URL, or the gateway itself (`LocalService`); the exchange treats both alike,
but for access rights, which a local service decides on its own.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import msgspec

from certs.verify.signature import verify_message_signature
from gateway.exchange import access, wire
from gateway.exchange.evidence import log_message
from gateway.exchange.ports import ServiceAnswer
from gateway.exchange.protocols import PeerRequest, ProvedRequest
from gateway.exchange.restprotocol import RestProvider
from gateway.exchange.routing import check_fresh, check_registered_here
from gateway.exchange.soapprotocol import SoapProvider
from gateway.exchange.versions import PROXY_VERSION_HEADER, check_client_version
from gateway.http.whole import WholeBody
from schemas import transport
from schemas.faults import BadMessage, Kind, Origin, Step, origin, step
from schemas.headers import without_gateways_own
from schemas.message import MessageProtocol, Side
from schemas.rest import check_final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from certs.configuration import TrustedConfiguration
    from certs.signing import MessageSignature
    from gateway.clients.model import Service
    from gateway.exchange.ports import ExchangeContext, LocalService, ServiceCall
    from gateway.exchange.protocols import ProviderProtocol, Q, Target
    from gateway.exchange.record import ExchangeRecord
    from schemas.message import Message

__all__ = ["PeerRequest", "PeerResponse", "serve"]


class PeerResponse(msgspec.Struct, frozen=True):
    """The signed answer. Whoever sends it draws ``chunks`` and then calls ``discard``."""

    content_type: str
    original_content_type: str
    chunks: AsyncIterator[bytes]
    bodies: Sequence[wire.Body]

    def discard(self) -> None:
        """Discard the spooled bodies: their memory, or their files."""
        wire.discard_all(self.bodies)


async def serve(context: ExchangeContext, peer_request: PeerRequest, record: ExchangeRecord) -> PeerResponse:
    """Prove, allow, log and carry out one request, and answer it signed. Raises `Fault` with its origin said."""
    with origin(Origin.SERVER_PROXY):
        check_client_version(peer_request.headers.get(PROXY_VERSION_HEADER), context.minimum_client_version())
        configuration = check_fresh(context.configuration(), context.now())  # 1
        if peer_request.headers.get(wire.MESSAGE_TYPE_HEADER) == "REST":
            return await _serve(context, configuration, peer_request, RestProvider(), record)
        return await _serve(context, configuration, peer_request, SoapProvider(), record)


async def _serve(
    context: ExchangeContext,
    configuration: TrustedConfiguration,
    peer_request: PeerRequest,
    protocol: ProviderProtocol[Q],
    record: ExchangeRecord,
) -> PeerResponse:
    protocol.check_headers(peer_request)
    with step(Step.SERVICE_FAILED):
        reader = _reader(context, peer_request)
    try:
        with step(Step.SERVICE_FAILED):
            head = await reader.read_head()  # 1
        if head is None:
            raise BadMessage(protocol.missing, "the peer's request ended before its message")
        with step(Step.SERVICE_FAILED):
            request = await protocol.parse_request(head, peer_request)
            message = protocol.message_of(request)
            record.message(message)
            protocol.check_target(request, context.serverconf())
            _check_provider(context, configuration, message)  # 2
            context.peer_trust(
                configuration, peer_request.certificates, reader.ocsp_responses, message.client, context.now()
            )  # 3: before a byte of a body is read
            received = await reader.read_rest()
        proof = received.proof()
        message = message.with_attachments(wire.attachments_of(received.attachments))
        record.message(message)
        target = _target(context, configuration, protocol, request, message)  # 4
        _check_signature(proof, message, configuration, context)  # 5
        # 6: no log, no call. On disk from here on: the signed request; a crash leaves it, called or not.
        await log_message(
            context, Side.PROVIDER, message, message.service.client, proof, received.attachments
        )
        record.request_out(context.now())
        outgoing = await protocol.call(
            context, target, request, ProvedRequest(message, received.attachments), record
        )  # 7
        record.answer(outgoing.message)
        try:
            return await _answer(context, message, outgoing)  # 8, 9
        except BaseException:
            wire.discard_all(outgoing.bodies)
            raise
    finally:
        reader.discard()


def _reader(context: ExchangeContext, peer_request: PeerRequest) -> wire.MessageReader:
    content_type = peer_request.headers.get("content-type", "")
    if not content_type.lower().startswith("multipart/mixed"):
        raise BadMessage(
            Kind.INVALID_CONTENT_TYPE,
            f"security servers send multipart/mixed; this request's Content-Type is {content_type!r}",
        )
    wire.check_hash_algorithm(peer_request.headers.get("x-hash-algorithm"))
    return wire.MessageReader(
        content_type,
        peer_request.chunks,
        context.new_spool,
        is_response=False,
        max_body_bytes=context.max_body_bytes,
    )


def _check_provider(context: ExchangeContext, configuration: TrustedConfiguration, message: Message) -> None:
    provider = message.service.client
    serverconf = context.serverconf()
    if serverconf.client(provider) is None:
        raise BadMessage(
            Kind.UNKNOWN_MEMBER,
            f"{provider.path()} is not a client of security server {serverconf.server_id.path()}",
        )
    check_registered_here(configuration, serverconf.server_id, provider, "provider", Kind.UNKNOWN_MEMBER)


def _target(
    context: ExchangeContext,
    configuration: TrustedConfiguration,
    protocol: ProviderProtocol[Q],
    request: Q,
    message: Message,
) -> Target:
    local = context.local_services.find(message.service, protocol.name)
    if local is not None:
        return _local_target(local)
    service = _allowed_service(context, configuration, protocol, request, message)
    return context.policies.guard(service, lambda call: _called(context, service, call))


def _allowed_service(
    context: ExchangeContext,
    configuration: TrustedConfiguration,
    protocol: ProviderProtocol[Q],
    request: Q,
    message: Message,
) -> Service:
    serverconf = context.serverconf()
    service = access.find_service(
        serverconf, message.service, over_rest=protocol.name is MessageProtocol.REST
    )
    called = protocol.endpoint_of(request)
    access.check_access(serverconf, configuration, message.client, service, called)
    access.check_enabled(service)
    return service


@contextlib.asynccontextmanager
async def _called(
    context: ExchangeContext, service: Service, call: ServiceCall
) -> AsyncIterator[ServiceAnswer]:
    """A system's answer, without what only a gateway may say. Raises `Fault` for a status that is not final."""
    async with context.services.call(service, call) as answered:
        check_final(answered.status)
        yield msgspec.structs.replace(answered, headers=without_gateways_own(answered.headers))


def _local_target(local: LocalService) -> Target:
    @contextlib.asynccontextmanager
    async def call(service_call: ServiceCall) -> AsyncIterator[ServiceAnswer]:
        # The origin is given here, so that what the gateway itself refuses is not told as the failure of a system.
        with origin(Origin.SERVER_PROXY):
            answered = await local.answer(service_call)
        yield ServiceAnswer(answered.status, answered.reason, answered.headers, WholeBody(answered.body))

    return call


def _check_signature(
    proof: MessageSignature, message: Message, configuration: TrustedConfiguration, context: ExchangeContext
) -> None:
    with step(Step.SIGNATURE_VERIFICATION):
        verify_message_signature(
            proof.signature,
            proof.hash_chain_result,
            proof.hash_chain,
            message.parts(),
            message.client.member,
            configuration,
            context.now(),
        )


async def _answer(context: ExchangeContext, request: Message, outgoing: wire.Outgoing) -> PeerResponse:
    answer, provider = outgoing.message, request.service.client
    now = context.now()
    with step(Step.CANNOT_CREATE_SIGNATURE):
        identity, ocsp_responses = context.identities.signing(provider, now)
        signature = await context.signing.sign(identity, ocsp_responses, answer.parts(), now)  # 8
    await log_message(
        context, Side.PROVIDER, answer, provider, signature, outgoing.bodies
    )  # 9: no log, no answer
    writer = transport.ProxyMessageWriter(wire.new_boundary(context.new_id()))
    return PeerResponse(
        writer.content_type,
        outgoing.original_content_type,
        wire.write_message(writer, outgoing, signature),
        outgoing.bodies,
    )
