"""The seals of a data folder's own keys, for a command that works beside the server or without it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from certs.edges.tokenfiles import TokenFolder
from certs.tokens.soft import SoftToken
from serving.language import _
from serving.storage.keysafe import TOKEN_PURPOSE, KeySafe, Seal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from serving.storage.keysafe import SealSettings


def open_folder_safe(data: Path, settings: SealSettings, pin: Callable[[], str]) -> KeySafe:
    """The safe of a data folder, opened by the secrets in the settings, else by the software token, for which ``pin`` is called.

    Raises ValueError when there is neither, `TokenFailed` when the PIN is wrong.
    """
    seals = settings.seals(os.environ)
    if seals:
        return KeySafe(seals)
    if not (data / "token").is_dir():
        raise ValueError(
            _(
                "nothing can seal or open the keys in {data}: it has no software token, and the settings name no secret (seal.secret)",
                data=data,
            )
        )
    token = SoftToken(TokenFolder(data / "token"))
    try:
        token.unlock(pin())
        return KeySafe((Seal.of_token(token.derive_secret(TOKEN_PURPOSE)),))
    finally:
        token.close()
