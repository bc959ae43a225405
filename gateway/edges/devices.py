"""The tokens the settings name, as devices: in this process, or behind processes that are started here or elsewhere."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from certs.edges.tokenfiles import TokenFolder
from certs.softtoken import SoftToken
from gateway.edges.signerclient import RemoteDevice
from gateway.edges.signerprocess import SignerProcess
from gateway.keyconf.devices import SoftwareDevice
from gateway.keyconf.model import TokenType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from gateway.config import Keys, TokenSettings
    from gateway.keyconf.devices import Device
    from gateway.keyconf.tokens import Tokens

log = logging.getLogger("gateway.tokens")


def build_devices(keys: Keys, data: Path) -> list[Device]:
    """A device for every token."""
    return [_device(keys, data, token) for token in keys.all_tokens()]


def _device(keys: Keys, data: Path, token: TokenSettings) -> Device:
    if not token.is_remote:
        return SoftwareDevice(token.id, SoftToken(TokenFolder(data / "token")))
    kind = TokenType.HARDWARE if token.module else TokenType.SOFTWARE
    return RemoteDevice(token.id, kind, keys.sockets(data, token), patience_s=keys.signer_patience_s)


def build_signers(keys: Keys, data: Path, arguments: Sequence[str]) -> list[SignerProcess]:
    """The processes to start; ``arguments`` say where settings and PIN are."""
    if not keys.start_signers:
        return []
    return [
        SignerProcess(
            token.id,
            ["--data", str(data), "--token", token.id, "--number", str(number), "--child", *arguments],
        )
        for token in keys.all_tokens()
        if token.is_remote
        for number in range(token.processes)
    ]


async def open_tokens(
    tokens: Tokens, keys: Keys, pin: str | None, environ: Mapping[str, str], *, wait_s: float = 10.0
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
            failure = await tokens.failure(token.id)
        except ValueError as err:
            failure = str(err)
        if failure is None:
            await tokens.sync(token.id)
        else:
            log.error("token not usable", extra={"event": "token", "token": token.id, "reason": failure})


async def _wait_for(tokens: Tokens, token_id: str, wait_s: float) -> None:
    """Until the process of a token answers; it logs in before it does."""
    deadline = asyncio.get_running_loop().time() + wait_s
    while asyncio.get_running_loop().time() < deadline:
        if (await tokens.device(token_id).state()).available:
            return
        await asyncio.sleep(0.05)
