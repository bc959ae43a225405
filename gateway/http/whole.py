"""Bodies as async iterators of bytes that can say when they are all there, so that what came whole is taken without waiting.

Whoever reads a body asks `whole_of` first, and draws chunks when that is None. A body is read once, in one of the two ways.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Chunks:
    """A body; `whole` gives all of it when it is there."""

    __slots__ = ()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        raise NotImplementedError

    def whole(self) -> bytes | None:
        """The body, taken, when all of it is there; None, and nothing is taken, while more may come."""
        raise NotImplementedError


class WholeBody(Chunks):
    """A body that is at hand."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data: bytes | None = data

    async def __anext__(self) -> bytes:
        data, self._data = self._data, None
        if not data:
            raise StopAsyncIteration
        return data

    def whole(self) -> bytes:
        """The bytes that have not been drawn yet, all at once."""
        data, self._data = self._data, None
        return data or b""


def whole_of(chunks: AsyncIterator[bytes]) -> bytes | None:
    """All of a body when it is there, taken; None when it must be drawn."""
    return chunks.whole() if isinstance(chunks, Chunks) else None
