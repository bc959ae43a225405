"""Logging in to the tokens of a starting central server, as far as that goes without a person."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from central_server.store.records import OPERATOR
from certs.tokens.port import SOFTWARE_TOKEN_ID

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from central_server.publication.nodekeys import NodeKeys
    from serving.config.tokensettings import TokensSection

log = logging.getLogger("central_server.tokens")


async def open_tokens(
    keys: NodeKeys,
    settings: TokensSection,
    pin: str | None,
    environ: Mapping[str, str],
    now: datetime,
    *,
    wait_s: float = 10.0,
) -> None:
    """Log in where the PIN is known; what cannot be used is said in the log and waits for a login.

    ``pin`` opens the software token. Raises `TokenFailed` when it is wrong: that start was meant to work.
    """
    for token in settings.all_tokens():
        if token.is_remote:
            await _wait_for(keys, token.id, wait_s)
        reason = "not logged in"
        try:
            if token.id == SOFTWARE_TOKEN_ID and pin is not None:
                await keys.log_in(pin, OPERATOR, now)
            elif not token.is_remote and token.pin.is_set:
                await keys.log_in(token.pin.read(environ), OPERATOR, now)
        except ValueError as err:  # a PIN's place that holds none
            reason = str(err)
        state = await keys.state(token.id)
        if state is None or not state.logged_in:
            reason = (state and state.failure) or reason
            log.error("token not usable", extra={"event": "token", "token": token.id, "reason": reason})
    await keys.call_opened()


async def _wait_for(keys: NodeKeys, token_id: str, wait_s: float) -> None:
    """Until the process of a token answers; it logs in before it does."""
    deadline = asyncio.get_running_loop().time() + wait_s
    while asyncio.get_running_loop().time() < deadline:
        state = await keys.state(token_id)
        if state is not None and state.available:
            return
        await asyncio.sleep(0.05)
