"""The listeners for consumer systems (8080 and 8443).

``/r1/...`` is an exchange over REST. ``GET /listClients`` says who is there; ``GET /asic``, ``GET /recordproofs`` and
``GET /verificationconf`` hand out evidence, ``GET /wsdl`` a service's description. Everything else is SOAP, whatever its
path, and must be POST. Errors have the shape of the protocol that was spoken: PR-REST 4.6, or a SOAP
fault under status 200; what the HTTP protocol itself refuses is told in the shape of REST.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from gateway.edges.http import STALL_S, Bounds, DataPlaneServer, RawRequest, RawResponse
from gateway.edges.report import report_certificate, report_exchange
from gateway.edges.wsdl import fetch_wsdl
from gateway.exchange import wire
from gateway.exchange.authentication import ConsumerConnection, check_consumer_system
from gateway.exchange.consumer import ConsumerAnswer, ConsumerRequest, exchange
from gateway.exchange.record import ExchangeRecord
from gateway.exchange.restprotocol import RestConsumer
from gateway.exchange.routing import check_fresh
from gateway.exchange.soapprotocol import SoapConsumer
from gateway.exchange.wire import discard_all
from gateway.http.heads import NotHttpError
from gateway.metaservices.listing import list_clients
from schemas import rest
from schemas.faults import BadMessage, Fault, Kind, Origin, PeerFault, Spelling, origin
from schemas.faultxml import render_soap_fault
from schemas.identifiers import ClientId
from schemas.jsontext import dump_json
from schemas.metadata import render_clients_json, render_clients_xml

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from gateway.exchange.ports import ExchangeContext
    from gateway.exchange.protocols import A, ConsumerProtocol, Q
    from gateway.messagelog.export import EvidenceFile
    from gateway.transparency.proving import MessageProofs

    AsicDownload = Callable[[dict[str, str]], Awaitable[EvidenceFile]]
    ProveMessages = Callable[[str, Sequence[str]], MessageProofs]
    VerificationConf = Callable[[], bytes]

log = logging.getLogger("gateway.consumers")

# Messages whose proofs are given in one answer: each has some 20 KiB.
MOST_PROVED = 50


class ConsumerListener:
    """The listener for consumer systems: messages, and downloads of containers and the verification configuration."""

    def __init__(
        self,
        context: ExchangeContext,
        spelling: Spelling,
        asic: AsicDownload,
        verificationconf: VerificationConf,
        *,
        prove: ProveMessages | None = None,
        idle_s: float = 30.0,
        log_certificates: bool = False,
    ) -> None:
        self._idle_s = idle_s
        self._log_certificates = log_certificates
        self._context = context
        self._spelling = spelling
        self._asic = asic
        self._verificationconf = verificationconf
        self._prove = prove

    def reconfigure(
        self, context: ExchangeContext, spelling: Spelling, idle_s: float, *, log_certificates: bool
    ) -> None:
        """Serve the requests that come from now on otherwise; those under way keep what they began with."""
        self._context, self._spelling, self._idle_s = context, spelling, idle_s
        self._log_certificates = log_certificates

    def server(self, bounds: Bounds | None = None) -> DataPlaneServer:
        """The server to listen with."""
        return DataPlaneServer(self.handle, self._render_error, bounds=bounds or Bounds())

    async def handle(self, request: RawRequest) -> None:
        """One request of a consumer system."""
        answer = await self._answer(request)
        if answer is not None:
            await request.send(answer, stall_s=STALL_S)

    async def _answer(self, request: RawRequest) -> RawResponse | None:
        """The response to send; None when the exchange has streamed it already."""
        path = request.target.partition("?")[0]
        if request.method == "GET" and path in ("/listClients", "/r1/listClients"):
            return self._give_clients(request, as_json=path.startswith("/r1/"))
        if path.startswith("/r1/") or path == "/r1":
            return await self._exchange(request, RestConsumer(), self._rest_fault)
        try:
            if request.method == "GET" and path == "/asic":
                return await self._give_containers(request)
            if request.method == "GET" and path == "/recordproofs":
                return await self._give_proofs(request)
            if request.method == "GET" and path == "/verificationconf":
                return self._give_verificationconf()
            if request.method == "GET" and path == "/wsdl":
                return await self._give_wsdl(request)
        except Fault as fault:
            return self._rest_fault(request, fault)
        if request.method != "POST":
            what = (
                f"{request.method} {path}: SOAP is sent by POST; REST goes to /r1/{{instance}}/{{class}}/..."
            )
            return self._soap_fault(request, _at(Origin.CLIENT, Fault(Kind.INVALID_HTTP_METHOD, what)))
        return await self._exchange(request, SoapConsumer(), self._soap_fault)

    async def _exchange(
        self,
        request: RawRequest,
        protocol: ConsumerProtocol[Q, A],
        render_fault: Callable[[RawRequest, Fault], RawResponse],
    ) -> RawResponse | None:
        record = ExchangeRecord("Client", self._context.now())
        fault: Fault | None = None
        consumer_request = ConsumerRequest(
            request.method,
            request.target,
            request.header_pairs(),
            request.body_chunks(self._idle_s),
            _connection(request),
        )
        try:
            answer = await exchange(self._context, consumer_request, protocol, record)
            request.trust()
            await _send(request, answer, self._idle_s)
            return None
        except Fault as err:
            fault = err
            fault.identify(self._context.new_id)
        except (ConnectionError, TimeoutError) as err:
            log.warning("consumer went away", extra={"event": "consumer_gone", "reason": type(err).__name__})
            raise
        except Exception as err:
            fault = _at(Origin.CLIENT_PROXY, wire.internal_fault(err))
            fault_id = fault.identify(self._context.new_id)
            log.exception(
                "exchange failed unexpectedly", extra={"event": "internal_error", "fault_id": fault_id}
            )
        finally:
            report_exchange(log, record.finish(self._context.now(), fault))
            if self._log_certificates:
                report_certificate(log, record, consumer_request.connection.certificate)
            self._context.observe(record)
        return render_fault(request, fault)

    async def _give_containers(self, request: RawRequest) -> RawResponse | None:
        query = dict(parse_qsl(request.target.partition("?")[2], keep_blank_values=True))
        with origin(Origin.CLIENT_PROXY):
            check_fresh(self._context.configuration(), self._context.now())
            self._check_may_read(request, query)
            download = await self._asic(query)
        answer = RawResponse(
            headers=(
                ("Content-Type", download.content_type),
                ("Content-Disposition", f'attachment; filename="{download.file_name}"'),
            )
        )
        await request.send(answer, download.chunks, stall_s=self._idle_s)
        return None

    async def _give_proofs(self, request: RawRequest) -> RawResponse:
        """Proofs that a client's records of some messages (``queryId``, each once) are in the transparency log; no content."""
        pairs = parse_qsl(request.target.partition("?")[2], keep_blank_values=True)
        message_ids = list(dict.fromkeys(value for name, value in pairs if name == "queryId"))
        with origin(Origin.CLIENT_PROXY):
            check_fresh(self._context.configuration(), self._context.now())
            client = self._check_may_read(request, dict(pairs))
            if self._prove is None:
                raise Fault(Kind.LOGGING_FAILED, "this security server keeps no transparency log")
            if len(message_ids) > MOST_PROVED:
                raise BadMessage(
                    Kind.BAD_REQUEST, f"at most {MOST_PROVED} queryId were expected; {len(message_ids)} came"
                )
            found = await asyncio.to_thread(self._prove, client.path(), message_ids)
        body = dump_json(found.to_json(), ensure_ascii=False).encode()
        return RawResponse(body=body, headers=(("Content-Type", "application/json; charset=utf-8"),))

    def _check_may_read(self, request: RawRequest, query: dict[str, str]) -> ClientId:
        """The client, whose evidence whoever may send for it may read."""
        missing = [n for n in ("xRoadInstance", "memberClass", "memberCode", "queryId") if not query.get(n)]
        if missing:
            raise BadMessage(Kind.BAD_REQUEST, f"the query lacks {', '.join(missing)}")
        client_id = ClientId(
            query["xRoadInstance"],
            query["memberClass"],
            query["memberCode"],
            query.get("subsystemCode") or None,
        )
        client = self._context.serverconf().client(client_id)
        if client is None:
            raise BadMessage(
                Kind.NOT_FOUND,
                f"{client_id.path()} is not a client of this security server; it has no records here",
            )
        check_consumer_system(client, _connection(request), self._context.own_certificates())
        return client_id

    def _give_clients(self, request: RawRequest, *, as_json: bool) -> RawResponse:
        """Who is there: XML, or JSON where it is accepted; the path GovStack names gives JSON."""
        query = dict(parse_qsl(request.target.partition("?")[2]))
        try:
            with origin(Origin.CLIENT_PROXY):
                configuration = check_fresh(self._context.configuration(), self._context.now())
            with origin(Origin.CLIENT):
                clients = list_clients(configuration, query.get("xRoadInstance"))
        except Fault as fault:
            return self._rest_fault(request, fault)
        if as_json or _accepts_json(request):
            body, content_type = render_clients_json(clients), "application/json; charset=utf-8"
        else:
            body, content_type = render_clients_xml(clients), "text/xml; charset=UTF-8"
        return RawResponse(body=body, headers=(("Content-Type", content_type),))

    async def _give_wsdl(self, request: RawRequest) -> RawResponse:
        record = ExchangeRecord("Client", self._context.now())
        fault: Fault | None = None
        query = dict(parse_qsl(request.target.partition("?")[2]))
        try:
            with origin(Origin.CLIENT_PROXY):
                body = await fetch_wsdl(self._context, query, record)
        except Fault as err:
            fault = err
            fault.identify(self._context.new_id)
            raise
        finally:
            report_exchange(log, record.finish(self._context.now(), fault))
        return RawResponse(body=body, headers=(("Content-Type", "text/xml; charset=utf-8"),))

    def _give_verificationconf(self) -> RawResponse:
        with origin(Origin.CLIENT_PROXY):
            check_fresh(self._context.configuration(), self._context.now())
        return RawResponse(
            body=self._verificationconf(),
            headers=(
                ("Content-Type", "application/zip"),
                ("Content-Disposition", 'attachment; filename="verificationconf.zip"'),
            ),
        )

    def _soap_fault(self, request: RawRequest, fault: Fault) -> RawResponse:
        """A SOAP fault under status 200, as X-Road answers; another party's comes with the envelope it had."""
        raw = fault.raw if isinstance(fault, PeerFault) else None
        fault_id = fault.identify(self._context.new_id)
        body = raw or render_soap_fault(fault.code_in(self._spelling), fault.detail, "", fault_id)
        return RawResponse(status=200, body=body, headers=_FAULT_HEADERS)

    def _rest_fault(self, request: RawRequest, fault: Fault) -> RawResponse:
        fault.identify(self._context.new_id)
        answer = rest.render_error(fault, next(iter(request.values("accept")), None), self._spelling)
        status = _DOWNLOAD_STATUS.get(fault.kind, answer.status) if _is_download(request) else answer.status
        return RawResponse(status=status, headers=answer.headers, body=answer.body)

    def _render_error(self, status: int, text: str) -> RawResponse:
        kind = Kind.INTERNAL_ERROR if status >= 500 else Kind.BAD_REQUEST
        fault = Fault(kind, text.splitlines()[0][:200] if text else "the HTTP request is malformed")
        fault.origin = Origin.CLIENT_PROXY if status >= 500 else Origin.CLIENT
        fault.identify(self._context.new_id)
        answer = rest.render_error(fault, None, self._spelling)
        return RawResponse(status=status, headers=answer.headers, body=answer.body)


# The empty SOAPAction is X-Road's.
_FAULT_HEADERS = (("Content-Type", "text/xml;charset=utf-8"), ("SOAPAction", ""))
_DOWNLOAD_STATUS = {
    Kind.BAD_REQUEST: 400,
    Kind.NOT_FOUND: 404,
    Kind.SSL_AUTHENTICATION_FAILED: 401,
}


def _is_download(request: RawRequest) -> bool:
    return request.target.startswith(("/asic", "/recordproofs", "/verificationconf", "/wsdl"))


def _accepts_json(request: RawRequest) -> bool:
    """Whether an Accept header names JSON, alone or in a list, whatever its weight (PR-MREST 4.1)."""
    accepted = ",".join(request.values("accept"))
    return "application/json" in {part.partition(";")[0].strip().lower() for part in accepted.split(",")}


def _at(side: Origin, fault: Fault) -> Fault:
    fault.origin = side
    return fault


def _connection(request: RawRequest) -> ConsumerConnection:
    transport = request.transport
    ssl_object = None if transport is None else transport.get_extra_info("ssl_object")
    if ssl_object is None:
        return ConsumerConnection(over_tls=False)
    return ConsumerConnection(over_tls=True, certificate=ssl_object.getpeercert(True))


async def _send(request: RawRequest, answer: ConsumerAnswer, stall_s: float) -> None:
    try:
        if not 200 <= answer.status <= 999:
            raise _at(
                Origin.CLIENT_PROXY,
                Fault(
                    Kind.INVALID_MESSAGE,
                    f"the provider answered HTTP {answer.status}, which ends no exchange",
                ),
            )
        response = RawResponse(answer.status, answer.headers, reason=answer.reason or None)
        try:
            await request.send(response, answer.chunks, stall_s=stall_s)
        except NotHttpError as err:
            raise _at(
                Origin.CLIENT_PROXY,
                Fault(Kind.INVALID_MESSAGE, f"the provider's answer cannot be passed on: {err.reason}"),
            ) from err
    finally:
        discard_all(answer.bodies)
