"""Call services of other institutes through one's own gateway.

The core (`identifiers`, `calls`, `errors`, `retrying`) has no dependency and does no input or output; `sacbe_client.httpx` and
`sacbe_client.aiohttp` send what it builds, `sacbe_client.soap` gives zeep its headers.

Works with any server that speaks X-Road's REST protocol (PR-REST 1.0) on its consumer side.
"""

from sacbe_client.calls import Answer, Caller, Context, OutgoingCall, build_call, read_answer
from sacbe_client.errors import CallError, Side
from sacbe_client.identifiers import ClientId, ServiceId, parse_client, parse_service
from sacbe_client.retrying import RetryRule

__all__ = [
    "Answer",
    "CallError",
    "Caller",
    "ClientId",
    "Context",
    "OutgoingCall",
    "RetryRule",
    "ServiceId",
    "Side",
    "build_call",
    "parse_client",
    "parse_service",
    "read_answer",
]
