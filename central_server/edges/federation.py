"""Looking at another instance before it is trusted: its external configuration must be there and be what it should.

1. The directory is signed by a key of the anchor and has not expired. 2. It lists shared parameters and no private ones:
an internal anchor is not for strangers. 3. The shared parameters have their digest and are of the anchor's instance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urljoin

import aiohttp

from certs.configuration import verify_directory
from schemas.faults import Fault, Kind, UnexpectedStatus
from schemas.globalconf.parts import PRIVATE_ID, SHARED_ID
from schemas.globalconf.shared import CURRENT_VERSION, MINIMUM_VERSION, parse_shared
from serving.process.failing import gathered
from serving.process.outward import outward_session

if TYPE_CHECKING:
    from datetime import datetime

    from schemas.globalconf.anchor import Anchor

TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=10)
_LARGEST = 64 * 1024 * 1024


async def check_external_source(anchor: Anchor, now: datetime) -> None:
    """Prove that one of an anchor's sources serves an external configuration. Raises `Fault`."""
    failures: list[tuple[str, Exception]] = []
    async with outward_session() as session:
        for source in anchor.sources:
            try:
                await _check(
                    session, anchor.instance, source.download_url, source.verification_certificates, now
                )
            except (TimeoutError, Fault, aiohttp.ClientError, OSError, ValueError) as err:
                failures.append((source.download_url, err))
                continue
            return
    text, errors = gathered(failures)
    text = f"the external configuration of {anchor.instance} could not be verified: {text}"
    raise Fault(Kind.GLOBAL_CONF_DOWNLOAD_FAILED, text) from errors


async def _check(
    session: aiohttp.ClientSession, instance: str, url: str, certificates: tuple[bytes, ...], now: datetime
) -> None:
    for version in range(CURRENT_VERSION, MINIMUM_VERSION - 1, -1):
        status, raw = await get_bounded(session, f"{url}?version={version}")
        if status != 404:
            break
    if status != 200:
        raise UnexpectedStatus(status)
    directory = verify_directory(raw, certificates, now)
    listed = {part.content_id: part for part in directory.parts}
    if PRIVATE_ID in listed or SHARED_ID not in listed:
        raise Fault(
            Kind.MALFORMED_GLOBAL_CONF,
            "the anchor is of an internal source; an external one lists shared parameters and no private ones",
        )
    part = listed[SHARED_ID]
    status, content = await get_bounded(session, urljoin(url, part.location))
    if status != 200:
        raise UnexpectedStatus(status, f"200 was expected for {part.location}")
    part.check(content)
    found = parse_shared(content, directory.version).instance
    if found != instance:
        raise Fault(
            Kind.MALFORMED_GLOBAL_CONF,
            f"the configuration is of instance {found}; the anchor is of {instance}",
        )


async def get_bounded(session: aiohttp.ClientSession, url: str) -> tuple[int, bytes]:
    """Status and body of a GET, which follows no redirect. Raises ValueError for a body beyond the bound."""
    async with session.get(url, timeout=TIMEOUT, allow_redirects=False) as answer:
        content = bytearray()
        async for chunk in answer.content.iter_any():
            content += chunk
            if len(content) > _LARGEST:
                raise ValueError(f"more than {_LARGEST} bytes came")
        return answer.status, bytes(content)
