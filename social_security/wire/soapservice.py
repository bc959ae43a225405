"""The HTTP door of the services over SOAP: ``POST /soap``, and the WSDL of each subsystem at ``GET /wsdl/{subsystem}``.

Edge. What is no message of these services gets a SOAP fault; everything else an ordinary answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from social_security.domain.faults import InputError
from social_security.wire.soapface import (
    CONTENT_TYPE,
    check_element,
    parse_request,
    render_answer,
    render_fault,
)
from social_security.wire.wsdl import render_wsdl

if TYPE_CHECKING:
    from social_security.wire.service import SystemOperations


def add_soap(app: web.Application, services: SystemOperations) -> None:
    """Serve those of the system's operations that have a SOAP form."""

    async def call(request: web.Request) -> web.Response:
        raw = await request.read()
        try:
            parsed = parse_request(raw, services.system.member)
            if parsed.operation.name not in services.acts:
                raise InputError("envelope", f"{services.system.member} does not offer {parsed.service}")
        except InputError as err:
            return _xml(render_fault(str(err)), 500)
        headers = {**parsed.headers, "SOAPAction": request.headers.get("SOAPAction", "")}
        outcome = await services.carry_out(
            parsed.operation,
            headers,
            request.path_qs,
            parsed.path,
            parsed.body,
            lambda today: check_element(parsed, today),
        )
        return _xml(render_answer(parsed, outcome.body, outcome.status), 200)

    async def describe(request: web.Request) -> web.Response:
        try:
            return _xml(render_wsdl(request.match_info["subsystem"]), 200)
        except LookupError:
            raise web.HTTPNotFound from None

    app.router.add_post("/soap", call)
    app.router.add_get("/wsdl/{subsystem}", describe)


def _xml(body: bytes, status: int) -> web.Response:
    return web.Response(body=body, status=status, content_type=CONTENT_TYPE, charset="utf-8")
