"""Trying the TLS of a provider's system before an administrator relies on it: connect, shake hands, compare, hang up.

No request is sent. What is compared is what a call compares (`gateway.edges.services`): the certificate, byte for byte, with
those registered for the client.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Collection

HTTPS_PORT = 443
TRY_S = 10.0
# X-Road's words: no handshake that proves the system; no connection at all.
HANDSHAKE = "internal_server_ssl_handshake_error"
UNREACHED = "internal_server_ssl_error"


async def try_provider_tls(
    url: str, certificates: Collection[bytes], context: ssl.SSLContext, *, timeout_s: float = TRY_S
) -> str | None:
    """The warning's code when the system at an https URL is not reached or not proved; None when it is."""
    parts = urlsplit(url)
    try:
        async with asyncio.timeout(timeout_s):
            _, writer = await asyncio.open_connection(
                parts.hostname, parts.port or HTTPS_PORT, ssl=context, server_hostname=parts.hostname
            )
    except ssl.SSLError:
        return HANDSHAKE
    except (OSError, TimeoutError, ValueError):
        return UNREACHED
    try:
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(timeout_s):
                await writer.wait_closed()
    return None if shown in certificates else HANDSHAKE
