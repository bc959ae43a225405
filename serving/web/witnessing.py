"""The HTTP side of a witness: ``POST .../add-checkpoint`` on a listener that is there already, within its bounds.

``GET .../witnessed/<origin>`` gives the newest checkpoint that it cosigned of a log, its name percent-encoded: whoever has it can
tell that the log was changed, truncated or forked since, without having kept a checkpoint.

Spec: C2SP tlog-witness; ``witnessed`` is this product's own.
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

    from schemas.transparency.notes import VerifierKey
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
        also: Callable[[str], VerifierKey | None] = lambda _name: None,
    ) -> None:
        """``follows`` are verifier keys; ``also`` finds that of another log by its name, as a configuration says it."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._name = name
        self._follows = tuple(follows)
        self._safe = safe
        self._now = now
        self._also = also
        self._lock = threading.Lock()

    def signer(self) -> NoteSigner:
        """The key under this witness's name. Raises `NotAtHand`."""
        return NoteSigner(self._name(), kept_note_key(self._folder / f"witness{SUFFIX}", self._safe))

    def add_checkpoint(self, body: bytes) -> WitnessReply:
        """Answer one request; one at a time. Raises `NotAtHand` while the key's seal is not there."""
        with self._lock, contextlib.closing(self._book()) as book:
            return book.add_checkpoint(body, self.signer(), self._now())

    def newest(self, origin: str) -> bytes | None:
        """The newest checkpoint this witness has seen of a log, cosigned now; None when there is none. Raises `NotAtHand`."""
        with self._lock, contextlib.closing(self._book()) as book:
            note = book.newest(origin)
        return None if note is None else note.signed_also(self.signer().cosign(note, self._now())).render()

    def _book(self) -> WitnessBook:
        return WitnessBook(self._folder / "witness.sqlite", self._follows, self._also)

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """The routes a listener serves for it; a log that is not followed is answered so."""
        return [
            web.post(f"{prefix}/add-checkpoint", self._answer),
            web.get(prefix + "/witnessed/{origin:.+}", self._give),
        ]

    async def _give(self, request: web.Request) -> web.Response:
        try:
            found = await asyncio.to_thread(self.newest, request.match_info["origin"])
        except NotAtHand:
            raise web.HTTPServiceUnavailable(text="this witness has no key at hand yet\n") from None
        if found is None:
            raise web.HTTPNotFound(text="this witness has seen no log of that name\n")
        return web.Response(body=found, headers={"Content-Type": "text/plain; charset=utf-8"})

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
