"""``GET /wsdl``: a service's description for toolkits that start from a URL.

X-Road 6 and its relatives had this path and some consumer libraries still begin with it; X-Road 7.8 has not. It is
``getWsdl`` asked of the provider by an ordinary, signed and logged exchange, in the name of a client of this server: its
owner where the owner is one. Descriptions need no access right, so nobody learns what that client alone may know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.exchange.authentication import ConsumerConnection
from gateway.exchange.consumer import ConsumerRequest, exchange
from gateway.exchange.soapprotocol import SoapConsumer
from gateway.exchange.wire import discard_all
from schemas import metadata, soap
from schemas.faults import BadMessage, Kind
from schemas.identifiers import ClientId, ServiceId

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from gateway.exchange.ports import ExchangeContext
    from gateway.exchange.record import ExchangeRecord

LARGEST = 32 * 1024 * 1024


async def fetch_wsdl(context: ExchangeContext, query: Mapping[str, str], record: ExchangeRecord) -> bytes:
    """The description of the service that a query names. Raises `Fault` as any exchange does."""
    missing = [n for n in ("xRoadInstance", "memberClass", "memberCode", "serviceCode") if not query.get(n)]
    if missing:
        raise BadMessage(Kind.BAD_REQUEST, f"the query lacks {', '.join(missing)}")
    provider = ClientId(
        query["xRoadInstance"],
        query["memberClass"],
        query["memberCode"],
        query.get("subsystemCode") or None,
    )
    body = metadata.render_get_wsdl_body(query["serviceCode"], query.get("version") or None)
    raw = soap.render_request(
        _asking(context), ServiceId(provider, metadata.GET_WSDL), f"wsdl-{context.new_id()}", body
    )
    own = next(iter(context.own_certificates()), None)
    consumer_request = ConsumerRequest(
        "POST",
        "/",
        (("Content-Type", soap.CONTENT_TYPE),),
        _once(raw),
        ConsumerConnection(over_tls=True, certificate=own),
    )
    answer = await exchange(context, consumer_request, SoapConsumer(), record)
    try:
        if not answer.bodies or answer.bodies[0].spool.size > LARGEST:
            raise BadMessage(
                Kind.INVALID_MESSAGE, f"the provider's answer has no description below {LARGEST} bytes"
            )
        return b"".join([chunk async for chunk in answer.bodies[0].spool.chunks()])
    finally:
        discard_all(answer.bodies)


def _asking(context: ExchangeContext) -> ClientId:
    serverconf = context.serverconf()
    owner = serverconf.server_id.owner
    clients = sorted((c.id for c in serverconf.clients), key=lambda c: (c.member != owner, c))
    if not clients:
        raise BadMessage(
            Kind.UNKNOWN_MEMBER, "this security server has no client in whose name to ask for a description"
        )
    return clients[0]


async def _once(chunk: bytes) -> AsyncIterator[bytes]:
    yield chunk
