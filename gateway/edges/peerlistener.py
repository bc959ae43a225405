"""The listener for other security servers (port 5500): TLS in, provider side called, signed answer out.

Faults go out as X-Road sends them before an answer has begun: HTTP 200, ``text/xml``, a SOAP fault, for REST too.
Since everything is known before the first byte leaves, no answer ever breaks off into a fault.

Header names are spelled as X-Road spells them: its client reads them from a case-sensitive map.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from certs.tls import peer_certificates
from gateway.edges.http import Bounds, DataPlaneServer, RawRequest, RawResponse
from gateway.edges.report import report_exchange
from gateway.exchange import provider, wire
from gateway.exchange.record import ExchangeRecord
from schemas import transport
from schemas.faults import Fault, Kind, Origin, PeerFault, Spelling
from schemas.faultxml import render_soap_fault

if TYPE_CHECKING:
    from gateway.exchange.ports import ExchangeContext

log = logging.getLogger("gateway.peers")

# The longest silence within a peer's message. X-Road's gateways pass a slow consumer's bytes on as they come.
IDLE_S = 60.0


class PeerListener:
    """The listener for messages of other security servers, over mutual TLS."""

    def __init__(self, context: ExchangeContext, spelling: Spelling) -> None:
        self._context = context
        self._spelling = spelling

    def reconfigure(self, context: ExchangeContext, spelling: Spelling) -> None:
        """Serve the messages that come from now on otherwise."""
        self._context, self._spelling = context, spelling

    def server(self, bounds: Bounds | None = None) -> DataPlaneServer:
        """The server to listen with."""
        return DataPlaneServer(self.handle, self._render_error, bounds=bounds or Bounds())

    async def handle(self, request: RawRequest) -> None:
        """One message of a peer."""
        record = ExchangeRecord("Producer", self._context.now())
        fault: Fault | None = None
        try:
            await self._serve(request, record)
            return
        except Fault as err:
            fault = err
            fault.identify(self._context.new_id)
        except (ConnectionError, TimeoutError) as err:
            log.warning("peer went away", extra={"event": "peer_gone", "reason": type(err).__name__})
            raise
        except Exception as err:
            fault = wire.internal_fault(err)
            fault.origin = Origin.SERVER_PROXY
            fault_id = fault.identify(self._context.new_id)
            log.exception(
                "exchange failed unexpectedly", extra={"event": "internal_error", "fault_id": fault_id}
            )
        finally:
            report_exchange(log, record.finish(self._context.now(), fault))
            self._context.observe(record)
        await request.send(self._fault_answer(fault), stall_s=IDLE_S)

    async def _serve(self, request: RawRequest, record: ExchangeRecord) -> None:
        if request.method != "POST":
            fault = Fault(
                Kind.INVALID_HTTP_METHOD, f"security servers send POST; this request is {request.method}"
            )
            fault.origin = Origin.SERVER_PROXY
            raise fault
        connection = request.transport
        ssl_object = None if connection is None else connection.get_extra_info("ssl_object")
        peer_request = provider.PeerRequest(
            headers={name.lower(): value for name, value in request.header_pairs()},
            chunks=request.arriving(IDLE_S),
            certificates=() if ssl_object is None else peer_certificates(ssl_object),
        )
        answered = await provider.serve(self._context, peer_request, record)
        try:
            request.trust()
            await _send(request, answered)
        finally:
            answered.discard()

    def _fault_answer(self, fault: Fault) -> RawResponse:
        if isinstance(fault, PeerFault) and fault.raw is not None:
            return self._passed_on(fault.raw)
        fault_id = fault.identify(self._context.new_id)
        body = render_soap_fault(fault.code_in(self._spelling), fault.detail, "", fault_id)
        return RawResponse(
            body=body, headers=(("Content-Type", "text/xml;charset=utf-8"), ("SOAPAction", ""))
        )

    def _passed_on(self, raw: bytes) -> RawResponse:
        """A fault of the provider's system, as X-Road passes it on: the only part of an unsigned message."""
        writer = transport.ProxyMessageWriter(wire.new_boundary(self._context.new_id()))
        return RawResponse(
            status=200,
            body=writer.fault(raw) + writer.close(),
            headers=(("Content-Type", writer.content_type), ("x-hash-algorithm", wire.HASH_ALGORITHM)),
        )

    def _render_error(self, status: int, text: str) -> RawResponse:
        kind = Kind.INTERNAL_ERROR if status >= 500 else Kind.BAD_REQUEST
        fault = Fault(kind, text.splitlines()[0][:200] if text else "the HTTP request is malformed")
        fault.origin = Origin.SERVER_PROXY
        return self._fault_answer(fault)


async def _send(request: RawRequest, answered: provider.PeerResponse) -> None:
    headers = [("Content-Type", answered.content_type), ("x-hash-algorithm", wire.HASH_ALGORITHM)]
    if answered.original_content_type:
        headers.append((wire.ORIGINAL_CONTENT_TYPE_HEADER, answered.original_content_type))
    await request.send(RawResponse(headers=headers), answered.chunks, stall_s=IDLE_S)
