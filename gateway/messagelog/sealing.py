"""How what a log keeps is sealed: AES-256-GCM, short things whole, long ones as a stream of chunks. Pure.

Short: nonce, ciphertext, tag. Under one key no more than a handful of things are sealed, so a random nonce will do.

A stream is chunks of `CHUNK` bytes (the last one shorter, or empty), each sealed on its own. A chunk's nonce is its number and
whether it is the last: so none can be left out, moved or cut off without showing. A stream's key seals one stream only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from schemas.faults import Fault, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

CHUNK = 256 * 1024
TAG_BYTES = 16
NONCE_BYTES = 12
KEY_BYTES = 32


def seal(key: bytes, nonce: bytes, clear: bytes, label: bytes) -> bytes:
    """Seal something short. ``label`` says what it is, and it opens as nothing else."""
    return nonce + AESGCM(key).encrypt(nonce, clear, label)


def open_sealed(key: bytes, sealed: bytes, label: bytes) -> bytes:
    """Open sealed bytes under the label that they were sealed with. Raises `Fault` (``LOGGING_FAILED``)."""
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], label)
    except (InvalidTag, ValueError):
        raise Fault(
            Kind.LOGGING_FAILED,
            f"the {label.decode('ascii', 'replace')} does not open with the log's key: it was altered, or the keys are not "
            "those of this log",
        ) from None


class StreamSealer:
    """Seals a stream: bytes in by `feed`, sealed chunks out; `finish` gives the last one."""

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)
        self._number = 0
        # Of the chunk that is not complete: pieces as they came, or what was left of them.
        self._waiting: list[bytes | memoryview] = []
        self._size = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes, that nobody changes after; the chunks that are complete now, sealed."""
        missing = CHUNK - self._size
        self._size += len(data)
        if self._size <= CHUNK:  # what fills a chunk may be the last of all
            self._waiting.append(data)
            return []
        view = memoryview(data)
        out = []
        if self._waiting:
            out.append(self._seal(b"".join((*self._waiting, view[:missing])), is_last=False))
            view = view[missing:]
        while len(view) > CHUNK:
            out.append(self._seal(view[:CHUNK], is_last=False))
            view = view[CHUNK:]
        self._waiting, self._size = [view], len(view)
        return out

    def finish(self) -> bytes:
        """The last chunk, sealed; nothing may follow."""
        return self._seal(b"".join(self._waiting), is_last=True)

    def _seal(self, clear: bytes | memoryview, *, is_last: bool) -> bytes:
        nonce = _nonce(self._number, is_last=is_last)
        self._number += 1
        return self._aead.encrypt(nonce, clear, None)


def seal_stream(key: bytes, clear: bytes) -> bytes:
    """All of a stream that is in memory, as `StreamSealer` seals it."""
    sealer = StreamSealer(key)
    return b"".join((*sealer.feed(clear), sealer.finish()))


def open_stream(file: BinaryIO, key: bytes) -> Iterator[bytes]:
    """The clear chunks of a sealed stream. Raises `Fault` at the first that is not what was sealed."""
    aead, number = AESGCM(key), 0
    chunk = file.read(CHUNK + TAG_BYTES)
    while True:
        next_chunk = file.read(CHUNK + TAG_BYTES) if len(chunk) == CHUNK + TAG_BYTES else b""
        yield open_chunk(aead, number, chunk, is_last=not next_chunk)
        if not next_chunk:
            return
        chunk, number = next_chunk, number + 1


def open_chunk(aead: AESGCM, number: int, chunk: bytes, *, is_last: bool) -> bytes:
    """One chunk of a stream. Raises `Fault`."""
    try:
        return aead.decrypt(_nonce(number, is_last=is_last), chunk, None)
    except (InvalidTag, ValueError):
        raise Fault(
            Kind.LOGGING_FAILED, f"chunk {number} of a sealed body was altered, cut off or is of another body"
        ) from None


def _nonce(number: int, *, is_last: bool) -> bytes:
    return number.to_bytes(11, "big") + (b"\1" if is_last else b"\0")
