"""Logging in to the tokens of a starting gateway."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from certs.tokens.port import SOFTWARE_TOKEN_ID
from schemas.faults import Fault
from serving.errors import Refused
from serving.storage.keysafe import TOKEN_PURPOSE, Seal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.keys.tokens import Tokens
    from gateway.settings.config import KeySettings
    from serving.storage.keysafe import KeySafe

log = logging.getLogger("gateway.tokens")


async def open_tokens(
    tokens: Tokens, keys: KeySettings, pin: str | None, environ: Mapping[str, str], *, wait_s: float = 10.0
) -> None:
    """Log in to what can be logged in to without a person; what cannot is said in the log and waits for a login.

    ``pin`` opens the software token in this process. Raises `TokenFailed` when it is wrong: that start was meant to work.
    """
    for token in keys.all_tokens():
        try:
            if token.is_remote:
                await _wait_for(tokens, token.id, wait_s)
            elif pin is not None:
                await tokens.login(token.id, pin)
            elif token.pin.is_set:
                await tokens.login(token.id, token.pin.read(environ))
            found = await tokens.failure(token.id)
            failure = None if found is None else found.detail
        except ValueError as err:
            failure = str(err)
        if failure is None:
            await tokens.sync(token.id)
        else:
            log.error("token not usable", extra={"event": "token", "token": token.id, "reason": failure})


async def give_seal(tokens: Tokens, safe: KeySafe) -> None:
    """Once the software token is logged in, let it seal this server's other keys."""
    with contextlib.suppress(Fault, Refused):  # it is locked, was never made, or is not set up
        safe.give(Seal.of_token(await tokens.device(SOFTWARE_TOKEN_ID).derive_secret(TOKEN_PURPOSE)))


async def _wait_for(tokens: Tokens, token_id: str, wait_s: float) -> None:
    """Until the process of a token answers; it logs in before it does."""
    deadline = asyncio.get_running_loop().time() + wait_s
    while asyncio.get_running_loop().time() < deadline:
        if (await tokens.device(token_id).state()).available:
            return
        await asyncio.sleep(0.05)
