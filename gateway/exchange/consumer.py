"""The consumer side of one exchange: from a consumer system's request to its answer.

`exchange` reads as the ten steps of ARCHITECTURE.md. What is on disk, step by step: nothing until 7; after 7 the
signed request, so a crash leaves evidence of a request that may or may not have left; after 9 the signed answer,
so a consumer that has an answer always has its evidence too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from certs.verifying import verify_message_signature
from gateway.exchange import wire
from gateway.exchange.authentication import ConsumerConnection, check_consumer_system
from gateway.exchange.routing import check_fresh, check_registered_here, choose_servers
from gateway.messagelog.store import LogEntry, Side
from schemas import rest, transport
from schemas.faults import BadMessage, Kind, Origin, PeerFailed, Step, origin, step
from schemas.message import Attachment

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from certs.configuration import TrustedConfiguration
    from gateway.exchange.ports import Road
    from gateway.exchange.record import ExchangeRecord
    from gateway.messagelog.spool import Spool
    from schemas.identifiers import ClientId
    from schemas.message import Message

PROXY_VERSION = "7.8.0"


@dataclass(frozen=True, slots=True)
class ConsumerRequest:
    """A consumer system's HTTP request as it came: raw target, headers in order, body still to be read."""

    method: str
    target: str
    headers: Sequence[tuple[str, str]]
    body: AsyncIterator[bytes] | None
    connection: ConsumerConnection


@dataclass(slots=True)
class ConsumerAnswer:
    """The provider's answer, proved and logged. Whoever sends it discards ``body`` afterwards."""

    status: int
    reason: str
    headers: Sequence[tuple[str, str]]
    body: Spool | None


async def exchange(road: Road, asked: ConsumerRequest, record: ExchangeRecord) -> ConsumerAnswer:
    """Carry one REST request to its provider and bring the proved answer back.

    Raises `Fault` with its origin said; `PeerFault` is the other side's own word, unsigned and passed on as it came.
    """
    with origin(Origin.CLIENT_PROXY):
        configuration = check_fresh(road.configuration(), road.now())  # 1
        request = rest.build_request(
            asked.method,
            asked.target,
            asked.headers,
            instance=configuration.instance,
            new_id=road.new_id,
        )
        record.message(request)
        _check_client(road, configuration, request, asked.connection)  # 2, 3
        servers = choose_servers(configuration, request.service.client, request.security_server)  # 4
        body = await _spool_body(road, asked.body)
        try:
            message = request.to_message(_attachments(body))
            bodies = () if body is None else (body,)
            outgoing = _Outgoing(road, message, bodies)
            record.request_out(road.now())
            async with road.peers.send(
                servers, message.service.client, _headers(request, outgoing.writer), outgoing.chunks
            ) as answer:  # 5, 6, 7: the chunks are asked for only once the peer is proved
                reader = wire.MessageReader(
                    answer.content_type, answer.chunks, road.new_spool, is_response=True
                )
                try:
                    return await _take_answer(road, request, message, answer.hash_algorithm, reader, record)
                except BaseException:
                    reader.discard()
                    raise
        finally:
            if body is not None:
                body.discard()


def _check_client(
    road: Road,
    configuration: TrustedConfiguration,
    request: rest.RestRequest,
    connection: ConsumerConnection,
) -> None:
    serverconf = road.serverconf()
    client = serverconf.client(request.client)
    if client is None:
        raise BadMessage(
            Kind.UNKNOWN_MEMBER,
            f"client {request.client.path()} is not configured on this security server "
            f"({serverconf.server_id.path()}); check the header X-Road-Client",
        )
    check_registered_here(configuration, serverconf.server_id, request.client, "client", Kind.UNKNOWN_MEMBER)
    check_consumer_system(client, connection, road.own_certificates())


async def _spool_body(road: Road, chunks: AsyncIterator[bytes] | None) -> Spool | None:
    """The consumer's body, digested on its way; None when it sent no byte."""
    if chunks is None:
        return None
    spool = road.new_spool()
    try:
        async for chunk in chunks:
            if spool.size + len(chunk) > road.max_body_bytes:
                raise BadMessage(
                    Kind.INVALID_REQUEST,
                    f"the request body is larger than the {road.max_body_bytes} bytes this gateway accepts",
                )
            await spool.write(chunk)
        await spool.finish()
    except BaseException:
        spool.discard()
        raise
    if spool.size == 0:
        spool.discard()
        return None
    return spool


def _attachments(body: Spool | None) -> tuple[Attachment, ...]:
    return () if body is None else (Attachment(body.digest, body.size),)


def _headers(request: rest.RestRequest, writer: transport.ProxyMessageWriter) -> tuple[tuple[str, str], ...]:
    content_type = next((v for k, v in request.headers if k.lower() == "content-type"), "")
    return (
        ("content-type", writer.content_type),
        ("x-hash-algorithm", wire.HASH_ALGORITHM),
        ("x-proxy-version", PROXY_VERSION),
        ("x-original-content-type", content_type),
        ("x-road-message-type", "REST"),
        (wire.REQUEST_ID_HEADER, request.request_id),
    )


class _Outgoing:
    """The request on its way out. Its chunks are drawn by the connection, once, after the peer has been proved."""

    def __init__(self, road: Road, message: Message, bodies: Sequence[Spool]) -> None:
        self._road = road
        self._message = message
        self._bodies = bodies
        self.writer = transport.ProxyMessageWriter(f"xtop{road.new_id().replace('-', '')[:30]}")

    async def chunks(self) -> AsyncIterator[bytes]:
        """Sign, log, and only then give out the first byte."""
        road, message = self._road, self._message
        now = road.now()
        ocsp_responses = road.identities.authentication_ocsp(now)
        identity, sign_ocsp = road.identities.signing(message.client, now)
        with step(Step.CANNOT_CREATE_SIGNATURE):
            signature = await road.signing.sign(identity, sign_ocsp, message.parts(), now)
        await _log(road, message, message.client, signature, self._bodies)  # 7: no log, no sending
        async for chunk in wire.write_message(self.writer, message, self._bodies, signature, ocsp_responses):
            yield chunk


async def _take_answer(
    road: Road,
    request: rest.RestRequest,
    message: Message,
    hash_algorithm: str | None,
    reader: wire.MessageReader,
    record: ExchangeRecord,
) -> ConsumerAnswer:
    with step(Step.SERVICE_FAILED):
        head = await reader.read_head()
        wire.check_hash_algorithm(hash_algorithm)
        if not isinstance(head, transport.RestPart) or not head.is_response:
            raise PeerFailed(Kind.MISSING_REST, "the provider's gateway did not answer with a REST response")
        received = await reader.read_rest()
        response = rest.parse_response(head.raw)
        body = received.rest_body()
    answer = response.to_message(_attachments(body))
    record.response_in(road.now(), response.status)
    proof = received.proof()
    with step(Step.SIGNATURE_VERIFICATION):  # 8
        verify_message_signature(
            proof.signature,
            proof.hash_chain_result,
            proof.hash_chain,
            answer.parts(),
            request.service.client.member,
            check_fresh(road.configuration(), road.now()),
            road.now(),
        )
    body_digest = message.attachments[0].digest if message.attachments else None
    rest.check_answers(request, response, rest.compute_request_hash(message.digest, body_digest))
    await _log(road, answer, message.client, proof, () if body is None else (body,))  # 9
    return ConsumerAnswer(response.status, response.reason, rest.consumer_headers(response), body)  # 10


async def _log(
    road: Road, message: Message, owner: ClientId, signature: wire.SignatureLike, bodies: Sequence[Spool]
) -> None:
    entry = LogEntry(
        side=Side.CONSUMER,
        message=message,
        owner=owner,
        signature=signature.signature,
        hash_chain_result=signature.hash_chain_result,
        hash_chain=signature.hash_chain,
        attachments=bodies,
        at=road.now(),
    )
    with step(Step.LOGGING_FAILED):
        await road.log.append(entry)
