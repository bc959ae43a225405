"""The provider side of one exchange: from a peer's message to the signed answer.

`serve` reads as the ten steps of ARCHITECTURE.md, in the order in which X-Road's server proxy checks, because peers
see which fault wins. What is on disk, step by step: nothing until 6; after 6 the request with the consumer's
signature, so a crash while the service works leaves proof of what was asked; after 9 the signed answer, so a peer
that has an answer can never hold something this side does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from certs.verifying import verify_message_signature
from gateway.exchange import access, wire
from gateway.exchange.routing import check_fresh, check_registered_here
from gateway.messagelog.store import LogEntry, Side
from schemas import rest, transport
from schemas.faults import BadMessage, Kind, NotProved, Origin, Step, origin, step
from schemas.message import Attachment

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from certs.configuration import TrustedConfiguration
    from certs.signing import MessageSignature
    from gateway.exchange.ports import Road, ServiceAnswer
    from gateway.exchange.record import ExchangeRecord
    from gateway.messagelog.spool import Spool
    from gateway.serverconf.model import Service
    from schemas.identifiers import ClientId
    from schemas.message import Message


@dataclass(frozen=True, slots=True)
class PeerRequest:
    """A security server's HTTP request: headers by lower-case name, body still to be read."""

    headers: dict[str, str]
    chunks: AsyncIterator[bytes]
    certificates: Sequence[bytes]


@dataclass(slots=True)
class PeerResponse:
    """The signed answer. Whoever sends it draws ``chunks`` and then calls ``discard``."""

    content_type: str
    chunks: AsyncIterator[bytes]
    body: Spool | None

    def discard(self) -> None:
        """Let go of the spooled body."""
        if self.body is not None:
            self.body.discard()


async def serve(road: Road, came: PeerRequest, record: ExchangeRecord) -> PeerResponse:
    """Prove, allow, log and carry out one REST request, and answer it signed. Raises `Fault` with its origin said."""
    with origin(Origin.SERVER_PROXY):
        configuration = check_fresh(road.configuration(), road.now())  # 1
        with step(Step.SERVICE_FAILED):
            reader = _reader(road, came)
        try:
            with step(Step.SERVICE_FAILED):
                request = await _read_request(road, configuration, came, reader, record)  # 1, 2, 3
                received = await reader.read_rest()
                body = received.rest_body()
            message = request.to_message(_attachments(body))
            service = _allowed_service(road, configuration, request)  # 4
            proof = received.proof()
            _check_signature(proof, message, configuration, road)  # 5
            await _log(road, message, request.service.client, proof, body)  # 6: no log, no call
            record.request_out(road.now())
            answered = await road.services.call(
                service, request, body if rest.forwards_body(request.method) else None
            )  # 7
            record.response_in(road.now(), answered.status)
            try:
                return await _answer(road, request, message, answered)  # 8, 9
            except BaseException:
                if answered.body is not None:
                    answered.body.discard()
                raise
        finally:
            reader.discard()


def _reader(road: Road, came: PeerRequest) -> wire.MessageReader:
    content_type = came.headers.get("content-type", "")
    if not content_type.lower().startswith("multipart/mixed"):
        raise BadMessage(
            Kind.INVALID_CONTENT_TYPE,
            f"security servers send multipart/mixed; this request's Content-Type is {content_type!r}",
        )
    wire.check_hash_algorithm(came.headers.get("x-hash-algorithm"))
    return wire.MessageReader(content_type, came.chunks, road.new_spool, is_response=False)


async def _read_request(
    road: Road,
    configuration: TrustedConfiguration,
    came: PeerRequest,
    reader: wire.MessageReader,
    record: ExchangeRecord,
) -> rest.RestRequest:
    """The request's head, its owner and its peer checked, before a byte of its body is read."""
    head = await reader.read_head()
    if not isinstance(head, transport.RestPart) or head.is_response:
        raise BadMessage(Kind.MISSING_REST, "the message has no REST request part")
    request = rest.parse_request(head.raw)
    record.message(request)
    provider = request.service.client
    serverconf = road.serverconf()
    if serverconf.client(provider) is None:
        raise BadMessage(
            Kind.UNKNOWN_MEMBER,
            f"{provider.path()} is not a client of security server {serverconf.server_id.path()}",
        )
    check_registered_here(configuration, serverconf.server_id, provider, "provider", Kind.UNKNOWN_MEMBER)
    if not reader.ocsp_responses:
        raise NotProved(
            Kind.SSL_AUTHENTICATION_FAILED,
            "the message brings no OCSP response for the TLS certificate of the security server that sent it",
        )
    road.peer_trust.check_consumer_side(
        configuration, came.certificates, reader.ocsp_responses, request.client, road.now()
    )
    return request


def _allowed_service(road: Road, configuration: TrustedConfiguration, request: rest.RestRequest) -> Service:
    serverconf = road.serverconf()
    service = access.find_service(serverconf, request.service, over_rest=True)
    access.check_access(
        serverconf,
        configuration,
        request.client,
        service,
        method=request.method,
        path=request.service_path,
    )
    access.check_enabled(service)
    return service


def _check_signature(
    proof: MessageSignature, message: Message, configuration: TrustedConfiguration, road: Road
) -> None:
    with step(Step.SIGNATURE_VERIFICATION):
        verify_message_signature(
            proof.signature,
            proof.hash_chain_result,
            proof.hash_chain,
            message.parts(),
            message.client.member,
            configuration,
            road.now(),
        )


async def _answer(
    road: Road, request: rest.RestRequest, message: Message, answered: ServiceAnswer
) -> PeerResponse:
    body_digest = message.attachments[0].digest if message.attachments else None
    response = rest.build_response(
        answered.status,
        answered.reason,
        answered.headers,
        request,
        rest.compute_request_hash(message.digest, body_digest),
    )
    answer = response.to_message(_attachments(answered.body))
    now = road.now()
    with step(Step.CANNOT_CREATE_SIGNATURE):
        identity, ocsp_responses = road.identities.signing(request.service.client, now)
        signature = await road.signing.sign(identity, ocsp_responses, answer.parts(), now)  # 8
    await _log(road, answer, request.service.client, signature, answered.body)  # 9: no log, no answer
    writer = transport.ProxyMessageWriter(f"xtop{road.new_id().replace('-', '')[:30]}")
    bodies = () if answered.body is None else (answered.body,)
    return PeerResponse(
        writer.content_type, wire.write_message(writer, answer, bodies, signature), answered.body
    )


def _attachments(body: Spool | None) -> tuple[Attachment, ...]:
    return () if body is None else (Attachment(body.digest, body.size),)


async def _log(
    road: Road, message: Message, owner: ClientId, signature: wire.SignatureLike, body: Spool | None
) -> None:
    entry = LogEntry(
        side=Side.PROVIDER,
        message=message,
        owner=owner,
        signature=signature.signature,
        hash_chain_result=signature.hash_chain_result,
        hash_chain=signature.hash_chain,
        attachments=() if body is None else (body,),
        at=road.now(),
    )
    with step(Step.LOGGING_FAILED):
        await road.log.append(entry)
