"""The HTTP side of a witness: ``POST .../add-checkpoint`` on a listener that is there already, within its bounds.

Spec: C2SP tlog-witness.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from certs.transparency import NoteSigner
from schemas.transparency.notes import LONGEST_NOTE
from serving.storage.keysafe import SUFFIX, NotAtHand
from serving.storage.witnessed import WitnessBook, WitnessReply

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from serving.storage.keysafe import KeySafe

LONGEST_REQUEST = LONGEST_NOTE + 8 * 1024


def kept_note_key(path: Path, safe: KeySafe) -> Ed25519PrivateKey:
    """The Ed25519 key in a sealed file, made if there is none. Raises `NotAtHand`, or ValueError when it does not open."""
    if path.exists():
        key = safe.read(path)
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError(f"{path} is no Ed25519 key; restore it from a backup")
        return key
    made = Ed25519PrivateKey.generate()
    safe.write(path, made)
    return made


class Witness:
    """Cosigns checkpoints under ``name``; its key and what it has seen are in ``folder``."""

    def __init__(
        self,
        folder: Path,
        name: Callable[[], str],
        follows: Sequence[str],
        safe: KeySafe,
        now: Callable[[], datetime],
    ) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._name = name
        self._follows = tuple(follows)
        self._safe = safe
        self._now = now
        self._lock = threading.Lock()

    def signer(self) -> NoteSigner:
        """The key under this witness's name. Raises `NotAtHand`."""
        return NoteSigner(self._name(), kept_note_key(self._folder / f"witness{SUFFIX}", self._safe))

    def add_checkpoint(self, body: bytes) -> WitnessReply:
        """Answer one request; one at a time. Raises `NotAtHand` while the key's seal is not there."""
        with (
            self._lock,
            contextlib.closing(WitnessBook(self._folder / "witness.sqlite", self._follows)) as book,
        ):
            return book.add_checkpoint(body, self.signer(), self._now())

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """The routes a listener serves for it; none when no log is followed."""
        return [web.post(f"{prefix}/add-checkpoint", self._answer)] if self._follows else []

    async def _answer(self, request: web.Request) -> web.Response:
        if (request.content_length or 0) > LONGEST_REQUEST:
            raise web.HTTPRequestEntityTooLarge(LONGEST_REQUEST, request.content_length or 0)
        body = await request.content.read(LONGEST_REQUEST + 1)
        while len(body) <= LONGEST_REQUEST and not request.content.at_eof():
            body += await request.content.read(LONGEST_REQUEST + 1 - len(body))
        if len(body) > LONGEST_REQUEST:
            raise web.HTTPRequestEntityTooLarge(LONGEST_REQUEST, len(body))
        try:
            reply = await asyncio.to_thread(self.add_checkpoint, body)
        except NotAtHand:
            raise web.HTTPServiceUnavailable(text="this witness has no key at hand yet\n") from None
        kind = "text/x.tlog.size" if reply.is_size else "text/plain"
        return web.Response(status=reply.status, text=reply.body, content_type=kind)
