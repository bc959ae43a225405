"""For FastAPI, Starlette and every ASGI application: only the own gateway gets in, and the call is in ``scope["state"]``.

In FastAPI: ``app.add_middleware(GatewayOnly, origin=GatewayOrigin(networks=("10.0.0.5",)))``, then ``request.state.call``.
A certificate is seen when the server has ASGI's TLS extension; without it only ``networks`` can be checked, and a `GatewayOrigin` that
names certificates refuses everything.
"""

from __future__ import annotations

import json
import ssl
from typing import TYPE_CHECKING, Any

from sacbe_provider.calls import BadCallError, ContextHeaders, read_call
from sacbe_provider.origin import GatewayOrigin, NotFromGatewayError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
    Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class GatewayOnly:
    """Answers 403 to a connection that is not the gateway's and 400 to headers that no gateway sends; else calls ``app``."""

    def __init__(self, app: Application, origin: GatewayOrigin, names: ContextHeaders | None = None) -> None:
        self._app, self._origin, self._names = app, origin, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; the server's own life-cycle messages pass, web sockets do not: no gateway sends them."""
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        if scope["type"] != "http":
            raise NotFromGatewayError(f"a gateway sends HTTP requests only, not {scope['type']}")
        try:
            self._origin.check((scope.get("client") or (None,))[0], _certificate(scope))
            headers = [
                (n.decode("latin-1"), v.decode("utf-8", "surrogateescape")) for n, v in scope["headers"]
            ]
            scope.setdefault("state", {})["call"] = read_call(headers, self._names)
        except NotFromGatewayError as refused:
            return await _refuse(send, 403, str(refused))
        except BadCallError as refused:
            return await _refuse(send, 400, str(refused))
        await self._app(scope, receive, send)


def _certificate(scope: Scope) -> bytes | None:
    chain = scope.get("extensions", {}).get("tls", {}).get("client_cert_chain") or ()
    return ssl.PEM_cert_to_DER_cert(chain[0]) if chain else None


async def _refuse(send: Send, status: int, message: str) -> None:
    body = json.dumps({"error": message}, ensure_ascii=False).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
