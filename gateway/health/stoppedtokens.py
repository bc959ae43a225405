"""The tokens of a gateway that does not run: what is known of them from its folder, its settings and their modules.

A vendor's module is loaded in a process of its own, for it may crash or hang, and is only looked at: nobody logs in, so no
try is spent.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from serving.process.failing import FailureReason

if TYPE_CHECKING:
    from gateway.keys.tokens import Tokens
    from gateway.settings.config import KeySettings
    from serving.config.tokensettings import TokenSettings

PROBE_TIMEOUT_S = 30.0
_LOOK = """
import sys
from certs.tokens.hardware import HardToken, HardTokenPlace
from schemas.faults import Fault
try:
    shown = HardToken(HardTokenPlace(*sys.argv[1:4], tuple(map(int, sys.argv[4:])))).state()
except Fault as fault:
    print(fault.detail)
else:
    print("the token's PIN was never set" if not shown.pin_initialised
        else "the token is locked after too many wrong PINs" if shown.pin_locked else "there")
"""


class StoppedTokens:
    """The reasons why tokens could not be used by the next start, looked at while no gateway runs."""

    def __init__(self, tokens: Tokens, keys: KeySettings) -> None:
        self._tokens = tokens
        self._keys = keys

    async def failure(self, token_id: str) -> FailureReason | None:
        """The reason why a token cannot be used; None when the gateway's start is all that is missing."""
        found = next((t for t in self._keys.all_tokens() if t.id == token_id), None)
        if found is None or not found.module:
            return await self._tokens.failure(token_id)
        state = await self._tokens.device(token_id).state()
        if state.available:  # its process runs without the gateway
            return await self._tokens.failure(token_id)
        reason = await asyncio.to_thread(look_at, found)
        return None if reason is None else FailureReason(reason, ("token_fails",))


def look_at(token: TokenSettings, timeout_s: float = PROBE_TIMEOUT_S) -> str | None:
    """The failure of a token or of its module, found by a process of its own; None when the token is there."""
    try:
        done = subprocess.run(  # this Python, and the operator's own module
            [sys.executable, "-c", _LOOK, token.module, token.label, token.serial, *map(str, token.slots)],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            env={**os.environ, **token.environment},
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"the module {token.module} does not answer within {timeout_s:.0f} s"
    line = done.stdout.strip().rpartition("\n")[2]
    if done.returncode != 0 or not line:
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"status {done.returncode}"
        return f"looking at the module {token.module} ended with {how}"
    return None if line == "there" else line
