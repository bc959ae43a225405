"""Offer services behind one's own gateway: be sure that a call came from it, and read who asks, for what, on which basis.

The core (`calls`, `origin`) has no dependency; `sacbe_provider.asgi` serves FastAPI, Starlette and every ASGI application,
`sacbe_provider.aiohttp` serves aiohttp.
"""

from sacbe_provider.calls import BadCallError, ContextHeaders, IncomingCall, read_call
from sacbe_provider.origin import GatewayOrigin, NotFromGatewayError

__all__ = [
    "BadCallError",
    "ContextHeaders",
    "GatewayOrigin",
    "IncomingCall",
    "NotFromGatewayError",
    "read_call",
]
