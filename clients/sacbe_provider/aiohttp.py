"""For aiohttp: only the own gateway gets in, and the call is in ``request[CALL]``.

``web.Application(middlewares=[gateway_only(GatewayOrigin(certificates=frozenset({digest})))])`` on a listener with mutual TLS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from sacbe_provider.calls import BadCallError, ContextHeaders, IncomingCall, read_call
from sacbe_provider.origin import GatewayOrigin, NotFromGatewayError

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler, Middleware

CALL: web.RequestKey[IncomingCall] = web.RequestKey("call", IncomingCall)


def gateway_only(origin: GatewayOrigin, names: ContextHeaders | None = None) -> Middleware:
    """A middleware that answers 403 to a connection that is not the gateway's and 400 to headers that no gateway sends."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        transport = request.transport
        secure = transport.get_extra_info("ssl_object") if transport is not None else None
        peer = transport.get_extra_info("peername") if transport is not None else None
        try:
            origin.check(peer[0] if peer else None, secure.getpeercert(True) if secure is not None else None)
            headers = [
                (n.decode("latin-1"), v.decode("utf-8", "surrogateescape")) for n, v in request.raw_headers
            ]
            request[CALL] = read_call(headers, names)
        except NotFromGatewayError as refused:
            return web.json_response({"error": str(refused)}, status=403)
        except BadCallError as refused:
            return web.json_response({"error": str(refused)}, status=400)
        return await handler(request)

    return middleware
