"""The verification configuration that a portal verifies evidence by, as its member's gateway gives it out."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import aiohttp

from serving.api.evidence import save_configuration
from serving.errors import OperatorError
from social_security.wire.answers import read_answer

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger("portal")

FETCH_S = 30.0


async def fetch_configuration(gateway: str, folder: Path) -> None:
    """Fetch it anew; when the gateway is away, the one of before serves (its own dates are checked)."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=FETCH_S)) as session,
            session.get(f"{gateway}/verificationconf", allow_redirects=False) as answer,
        ):
            if answer.status != 200:
                raise ValueError(f"HTTP {answer.status}")
            await asyncio.to_thread(save_configuration, await read_answer(answer), folder)
    except (aiohttp.ClientError, TimeoutError, ValueError, OperatorError) as err:
        log.warning(
            "no fresh verification configuration",
            extra={"event": "verificationconf", "reason": type(err).__name__},
        )
