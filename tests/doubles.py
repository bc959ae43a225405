"""In-memory stand-ins for what the software needs from outside. Each keeps its port's promises, and fails only when told.

A port that fails *before* has done nothing; one that fails *after* has done its work and then says it failed.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from certs.algorithms import SignatureAlgorithm
    from certs.tokens import KeyId, Signer
    from gateway.messagelog.record import LogEntry


class MemoryTokens:
    """Where a software token keeps its sealed records: nowhere."""

    def __init__(self) -> None:
        self.token: bytes | None = None
        self.keys: dict[str, bytes] = {}

    def read_token(self) -> bytes | None:
        return self.token

    def write_token(self, record: bytes) -> None:
        self.token = record

    def read_keys(self) -> dict[str, bytes]:
        return dict(self.keys)

    def write_key(self, key_id: str, record: bytes) -> None:
        self.keys[key_id] = record

    def remove_key(self, key_id: str) -> None:
        del self.keys[key_id]


class GatheringSigner:
    """A signer that lets everyone who is ready come in line before it signs, as a slow key does."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        self.signed = 0

    async def sign(self, key_id: KeyId, digest: bytes, algorithm: SignatureAlgorithm) -> bytes:
        for _ in range(3):
            await asyncio.sleep(0)
        self.signed += 1
        return await self._signer.sign(key_id, digest, algorithm)


class MemoryLog:
    """A message log in a list. What it holds of bodies is what their digests say: the spools go on to be discarded."""

    def __init__(self) -> None:
        self.entries: list[LogEntry] = []

    async def append(self, entry: LogEntry) -> int:
        self.entries.append(entry)
        return len(self.entries)
