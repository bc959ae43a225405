"""Asking OCSP responders and timestamping authorities over HTTP, within limits of time and size.

What comes back is bytes; whether they prove anything is decided by the caller. Spec: RFC 6960 A, RFC 3161 3.4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp

from schemas.faults import Kind, NotProved, UnexpectedStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

TIMEOUT_S = 20.0
_LARGEST = 256 * 1024


async def fetch_ocsp(
    session: aiohttp.ClientSession,
    urls: Sequence[str],
    request: bytes,
    *,
    timeout_s: float = TIMEOUT_S,
) -> bytes:
    """The answer of the first responder that gives one. Raises `NotProved` naming every failure."""
    failures: list[str] = []
    errors: list[Exception] = []
    for url in urls:
        try:
            return await _post(session, url, request, "application/ocsp-request", timeout_s)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as err:
            failures.append(f"{url}: {err or type(err).__name__}")
            errors.append(err)
    raise NotProved(
        Kind.CERT_VALIDATION,
        "no OCSP responder answered: " + ("; ".join(failures) or "none is configured for this CA"),
    ) from (ExceptionGroup("no responder answered", errors) if errors else None)


async def fetch_timestamp(
    session: aiohttp.ClientSession,
    url: str,
    request: bytes,
    *,
    timeout_s: float = TIMEOUT_S,
) -> bytes:
    """The reply of one timestamping authority. Raises `NotProved`."""
    try:
        return await _post(session, url, request, "application/timestamp-query", timeout_s)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as err:
        raise NotProved(
            Kind.TIMESTAMPING_FAILED,
            f"the timestamping authority at {url} did not answer: {err or type(err).__name__}",
        ) from err


async def _post(
    session: aiohttp.ClientSession, url: str, body: bytes, content_type: str, timeout_s: float
) -> bytes:
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    async with session.post(
        url, data=body, headers={"Content-Type": content_type}, timeout=timeout, allow_redirects=False
    ) as answer:
        if answer.status != 200:
            raise UnexpectedStatus(answer.status)
        return await read_answer(answer, _LARGEST)


async def read_answer(answer: aiohttp.ClientResponse, most: int) -> bytes:
    """The body of an answer, in however many pieces it comes. Raises ValueError once more than ``most`` bytes came, `aiohttp.ClientError`."""
    content = b""
    async for piece in answer.content.iter_any():
        content += piece
        if len(content) > most:
            raise ValueError(f"more than {most} bytes came")
    return content
