"""The two doors of management requests: registration (4001) for new servers, and the management service (4002).

4001 takes ``authCertReg`` alone, from servers that are not registered yet, and says what became of a request to whoever
knows the id of the message that made it. 4002 stands behind the management security server and takes everything else;
only that server gets in, by its pinned internal TLS certificate; where none is to be pinned only this machine does. Every refusal is a SOAP fault with HTTP 500, as X-Road
gives it, and a row of the audit log.
"""

from __future__ import annotations

import hmac
import ipaddress
import logging
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from aiohttp import web

from central_server.management import requests as rules
from central_server.management.trusted import trusted_configuration
from central_server.management.verification import verify_request
from central_server.registry.refusals import RegistryCode, refuse
from central_server.store.loading import load_registry
from central_server.store.records import Actor
from central_server.store.requests import need_request, remember_message
from certs.profiles import STANDARD_PROFILES
from certs.tls import peer_certificates
from schemas.faults import BadMessage, Fault, Kind
from schemas.faultxml import render_soap_fault
from schemas.management import (
    LARGEST_BODY,
    SOAP_CONTENT_TYPE,
    ManagementServiceCode,
    RequestStatus,
    parse_parts,
    parse_request,
    render_response,
    render_status,
)
from schemas.numbers import whole_number
from serving.errors import Refused
from serving.storage.audit import AuditEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from datetime import datetime

    from central_server.store.records import CentralStore
    from central_server.store.requests import NewRequest
    from certs.configuration import TrustedConfiguration
    from certs.profiles import CertificateProfiles
    from schemas.identifiers import ClientId
    from schemas.management import ManagementMessage, ManagementRequest
    from serving.api.limits import RateLimit
    from serving.storage.audit import AuditLog

log = logging.getLogger("central_server.management")


class RequestKeeper(Protocol):
    """The port through which proved requests come into the registry."""

    def trusted(self) -> TrustedConfiguration:
        """The configuration that requests are judged by. Raises `Refused` while there is none."""
        ...

    def keep(self, message: ManagementMessage, request: NewRequest, actor: Actor, now: datetime) -> int:
        """Keep a proved request; its number, 0 for a dry run. Raises `Refused`."""
        ...

    def find(self, number: int, message_id: str) -> RequestStatus:
        """The state of request ``number``, for whoever knows its message's id. Raises `Refused`."""
        ...


@dataclass(slots=True)
class StoreKeeper:
    """Keeps requests in the store, by the rules."""

    store: CentralStore
    policy: Callable[[], rules.ApprovalPolicy]
    profiles: CertificateProfiles = STANDARD_PROFILES
    _trusted: tuple[int, TrustedConfiguration] | None = None

    def trusted(self) -> TrustedConfiguration:
        """The registry as a configuration to verify by. Raises `Refused` while none can be made."""
        generation = self.store.generation()
        if self._trusted is None or self._trusted[0] != generation:
            self._trusted = (
                generation,
                trusted_configuration(load_registry(self.store.read()), self.profiles),
            )
        return self._trusted[1]

    def keep(self, message: ManagementMessage, request: NewRequest, actor: Actor, now: datetime) -> int:
        """Keep a proved request that has not been handled before; 0 for a dry run, which leaves nothing."""
        transaction = self.store.rehearse if message.request.dry_run else self.store.change
        with transaction(actor, now) as records:
            remember_message(records, message.header.client.path(), message.header.message_id)
            number = rules.add_request(records, request, self.policy()).number
        return 0 if message.request.dry_run else number

    def find(self, number: int, message_id: str) -> RequestStatus:
        """The state of request ``number``. Raises `Refused` (``management_request_not_found``), also when its message has another id."""
        found = need_request(self.store.read(), number)
        known = found.content.message_id or ""
        if not known or not hmac.compare_digest(known.encode(), message_id.encode()):
            raise refuse(RegistryCode.MANAGEMENT_REQUEST_NOT_FOUND, number)
        return RequestStatus(
            found.number, found.content.type.value, found.state.value, found.content.comments
        )


@dataclass(slots=True)
class ManagementEdge:
    """Takes management requests over HTTP."""

    keeper: RequestKeeper
    audit: AuditLog
    clock: Callable[[], datetime]
    monotonic: Callable[[], float]
    limit: RateLimit
    # Certificates (DER) of the management security server; None where none is to be pinned. The files are looked at
    # again while the server runs, so this changes: an empty one lets nobody in.
    pinned: Collection[bytes] | None = None

    def registration_app(self) -> web.Application:
        """The application on port 4001: registrations of authentication certificates."""
        app = web.Application(client_max_size=LARGEST_BODY * 2)
        for path in ("/managementservice", "/managementservice/"):
            app.router.add_post(path, self._register)
        app.router.add_get("/managementservice/requests/{number:[0-9]+}/{message_id}", self._status)
        return app

    def service_app(self) -> web.Application:
        """The application on port 4002: every other management request."""
        app = web.Application(client_max_size=LARGEST_BODY * 2)
        for path in ("/managementservice/manage", "/managementservice/manage/"):
            app.router.add_post(path, self._manage)
        return app

    async def _register(self, request: web.Request) -> web.Response:
        return await self._answer(request, registration=True)

    async def _manage(self, request: web.Request) -> web.Response:
        return await self._answer(request, registration=False)

    async def _answer(self, request: web.Request, *, registration: bool) -> web.Response:
        address = request.remote or ""
        if not self.limit.admits(address, self.monotonic()):
            return web.Response(status=429, headers={"Connection": "close"})
        try:
            if not registration:
                self._check_allowed(request)
            body = await _read(request)
            raw = self._take(
                request.headers.get("Content-Type", ""), body, address, registration=registration
            )
        except Fault as fault:
            self._refused(address, fault.code, fault.detail)
            return _fault(fault.code, fault.detail, fault.identify(lambda: str(uuid.uuid4())))
        except Refused as refusal:
            text = f"the central server refuses: {refusal}"
            self._refused(address, refusal.code, text)
            return _fault(refusal.code, text)
        return web.Response(body=raw, headers={"Content-Type": SOAP_CONTENT_TYPE})

    def _check_allowed(self, request: web.Request) -> None:
        """Refuse everybody but who is pinned; while nobody is, everybody but this machine."""
        if self.pinned is None:
            if not _is_of_this_machine(request.remote or ""):
                raise Fault(
                    Kind.ACCESS_DENIED,
                    "no certificate of a management security server is pinned yet (management.pinned_certificates), "
                    "so only processes of the central server's own machine may call here",
                )
            return
        tls = None if request.transport is None else request.transport.get_extra_info("ssl_object")
        shown = () if tls is None else peer_certificates(tls)
        if not shown or shown[0] not in self.pinned:
            raise Fault(
                Kind.ACCESS_DENIED,
                "only the management security server may call here, with its internal TLS certificate",
            )

    def _take(self, content_type: str, body: bytes, address: str, *, registration: bool) -> bytes:
        if registration and not content_type.lower().startswith("multipart/related"):
            raise BadMessage(
                Kind.INVALID_REQUEST, f"multipart/related was expected, {content_type[:100]!r} came"
            )
        parts = parse_parts(content_type, body)
        message = parse_request(parts.soap)
        request = message.request
        if registration is not (request.service is ManagementServiceCode.AUTH_CERT_REG):
            raise BadMessage(Kind.INVALID_REQUEST, f"{request.service.value} is not taken at this address")
        now = self.clock()
        new_request = verify_request(parts, message, self.keeper.trusted(), now)
        vouched = (
            self.pinned is not None and not registration
        )  # the management security server has proved the sender
        signed = bool(parts.signatures) and _speaks_for(request) == request.server.owner
        actor = Actor(
            f"{'' if vouched or signed else 'unproved '}security server {request.server.path()}", address
        )
        number = self.keeper.keep(message, new_request, actor, now)
        return render_response(parts.soap, number)

    def _refused(self, address: str, code: str, detail: str) -> None:
        entry = AuditEntry(
            self.clock(),
            "a security server",
            address,
            "ADD_MANAGEMENT_REQUEST",
            "refused",
            "",
            {"code": code, "detail": detail},
        )
        self.audit.refuse(entry, self.monotonic())

    async def _status(self, request: web.Request) -> web.Response:
        if not self.limit.admits(request.remote or "", self.monotonic()):
            return web.Response(status=429, headers={"Connection": "close"})
        number = whole_number(request.match_info["number"])
        try:
            found = None if number is None else self.keeper.find(number, request.match_info["message_id"])
        except Refused:
            found = None
        if found is None:
            return web.json_response({"status": 404}, status=404)
        return web.Response(body=render_status(found), content_type="application/json")


async def _read(request: web.Request) -> bytes:
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise BadMessage(
                Kind.INVALID_REQUEST, f"the request is larger than the {LARGEST_BODY} bytes accepted"
            )
    return bytes(body)


def _speaks_for(request: ManagementRequest) -> ClientId:
    """The member whose signature a signed request has; `verify_request` has checked it."""
    return request.server.owner if request.client is None else request.client.member


def _is_of_this_machine(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _fault(code: str, text: str, detail: str = "") -> web.Response:
    return web.Response(
        status=500,
        body=render_soap_fault(code, text, "", detail),
        headers={"Content-Type": SOAP_CONTENT_TYPE},
    )
