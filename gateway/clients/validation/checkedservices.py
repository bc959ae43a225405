"""Calling services whose messages are checked on the way: a layer over the port to the providers' systems.

A service set to ``REFUSE`` never sees a request that its description does not allow, and its consumer never an answer that
it does not allow; with ``REPORT`` both pass and the findings are logged, without values. Bodies up to a bound are checked;
larger ones pass with a report, or are refused. The message log holds what was sent either way.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from gateway.clients.model import ServiceType, Validation
from gateway.clients.validation.restchecks import RestChecks, build_rest_checks
from gateway.clients.validation.soapchecks import SoapChecks, build_soap_checks
from schemas.faults import BadMessage, Fault, Kind, Origin, origin
from schemas.multipart import MultipartParser, PartData, PartStart, parse_content_type
from schemas.soap import SoapFault, parse_envelope
from serving.errors import Refused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from gateway.clients.model import Service
    from gateway.clients.records import Document
    from gateway.exchange.ports import ProviderSystems, ServiceAnswer, ServiceCall
    from schemas.identifiers import ServiceId

log = logging.getLogger("gateway.validation")

MAX_BODY_BYTES = 10 * 1024 * 1024
_KEPT = 256
_NOT_APPLIED = "the description cannot be applied: it breaks a rule of its own language; correct it, or switch the validation off"
_TOO_LARGE = f"the body has more than {MAX_BODY_BYTES} bytes and is not checked"


class CannotCheck(msgspec.Struct, frozen=True):
    """Why a service's messages cannot be checked."""

    reason: str


Checks = SoapChecks | RestChecks | CannotCheck


class CheckedServices:
    """The port to providers' systems, with the checks each service asks for."""

    def __init__(self, inner: ProviderSystems, documents: Callable[[ServiceId], Document | None]) -> None:
        self._inner = inner
        self._documents = documents
        self._checks: dict[tuple[str, ServiceId], Checks] = {}

    def call(self, service: Service, call: ServiceCall) -> AbstractAsyncContextManager[ServiceAnswer]:
        """One call. Raises `BadMessage` (the consumer's own mistake) or `Fault` (the provider's)."""
        is_checked = service.validation is not Validation.OFF
        return self._checked(service, call) if is_checked else self._inner.call(service, call)

    @contextlib.asynccontextmanager
    async def _checked(self, service: Service, call: ServiceCall) -> AsyncIterator[ServiceAnswer]:
        checks = await self._checks_of(service)
        self._judge_request(service, await _check_request(checks, call))
        async with self._inner.call(service, call) as answer:
            content, rest = await _read(answer.chunks)
            findings = (
                (_TOO_LARGE,) if rest is not None else await _check_response(checks, call, answer, content)
            )
            self._judge_response(service, findings)
            yield msgspec.structs.replace(answer, chunks=_again(content, rest))

    async def _checks_of(self, service: Service) -> Checks:
        key = (service.digest, service.id)
        if key not in self._checks:
            if len(self._checks) >= _KEPT:
                self._checks.clear()
            self._checks[key] = await asyncio.to_thread(build_checks, service, self._documents(service.id))
        return self._checks[key]

    def _judge_request(self, service: Service, findings: tuple[str, ...]) -> None:
        if findings and _decide(service, findings, "request"):
            with origin(Origin.CLIENT):
                raise BadMessage(
                    Kind.INVALID_REQUEST,
                    f"the request does not fit the description of service {service.id.path()}: {'; '.join(findings)}",
                )

    def _judge_response(self, service: Service, findings: tuple[str, ...]) -> None:
        if findings and _decide(service, findings, "answer"):
            raise Fault(
                Kind.INVALID_BODY,
                f"the answer of service {service.id.path()} does not fit its description: {'; '.join(findings)}",
            )


def build_checks(service: Service, document: Document | None) -> Checks:
    """The checks of a service, or why there are none."""
    if document is None or service.type is ServiceType.REST:
        return CannotCheck("the service has no stored description to check against")
    try:
        if service.type is ServiceType.WSDL:
            return build_soap_checks(document.content, service.id)
        return build_rest_checks(document.content)
    except Refused as refusal:
        return CannotCheck(str(refusal))


def _decide(service: Service, findings: tuple[str, ...], what: str) -> bool:
    refused = service.validation is Validation.REFUSE
    log.warning(
        "message does not fit its description",
        extra={
            "event": "validation",
            "service": service.id.path(),
            "what": what,
            "refused": refused,
            "findings": list(findings),
        },
    )
    return refused


async def _check_request(checks: Checks, call: ServiceCall) -> tuple[str, ...]:
    if isinstance(checks, CannotCheck):
        return (checks.reason,)
    if isinstance(checks, SoapChecks):
        return await _applied(partial(checks.check_request, call.message.raw))
    content, rest = (b"", None) if call.chunks is None else await _read(call.chunks())
    if rest is not None:
        return (_TOO_LARGE,)
    content_type = next((v for n, v in call.headers if n.lower() == "content-type"), None)
    return await _applied(partial(checks.check_request, call.method, call.target, content_type, content))


async def _check_response(
    checks: Checks, call: ServiceCall, answer: ServiceAnswer, content: bytes
) -> tuple[str, ...]:
    if isinstance(checks, CannotCheck):
        return ()  # said of the request already
    content_type = answer.header("content-type")
    if isinstance(checks, SoapChecks):
        return await _applied(partial(_check_envelope, checks, content_type or "", content))
    return await _applied(
        partial(checks.check_response, call.method, call.target, answer.status, content_type, content)
    )


async def _applied(check: Callable[[], tuple[str, ...]]) -> tuple[str, ...]:
    """The findings of a check, made in a thread. A description that breaks its own rules fails anywhere in it: that is a finding too."""
    try:
        return await asyncio.to_thread(check)
    except Refused as refusal:
        return (f"the description cannot be applied: {refusal}",)
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as err:
        log.warning(
            "a description cannot be applied",
            extra={"event": "validation_failed", "reason": type(err).__name__},
            exc_info=err,
        )
        return (_NOT_APPLIED,)


def _check_envelope(checks: SoapChecks, content_type: str, content: bytes) -> tuple[str, ...]:
    """Check the envelope, alone or first in a multipart. What is no SOAP at all is the exchange's to tell; faults pass."""
    try:
        media, parameters = parse_content_type(content_type)
        envelope = content
        if media.startswith("multipart/"):
            envelope = _first_part(content, parameters["boundary"])
        if isinstance(parse_envelope(envelope), SoapFault):
            return ()
    except (BadMessage, KeyError):
        return ()
    return checks.check_response(envelope)


def _first_part(content: bytes, boundary: str) -> bytes:
    found: list[bytes] = []
    started = 0
    for event in MultipartParser(boundary).feed(content):
        started += isinstance(event, PartStart)
        if isinstance(event, PartData) and started == 1:
            found.append(event.data)
    return b"".join(found)


async def _read(chunks: AsyncIterator[bytes]) -> tuple[bytes, AsyncIterator[bytes] | None]:
    """The body as far as the bound, and what gives the rest of it when that was not all."""
    content = bytearray()
    async for chunk in chunks:
        content += chunk
        if len(content) > MAX_BODY_BYTES:
            return bytes(content), chunks
    return bytes(content), None


async def _again(content: bytes, rest: AsyncIterator[bytes] | None) -> AsyncIterator[bytes]:
    if content:
        yield content
    if rest is not None:
        async for chunk in rest:
            yield chunk
