"""Reading what another system answered, within a bound: a provider's answer is a stranger's."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp import ClientResponse

LARGEST_ANSWER = 64 * 1024 * 1024


async def read_answer(answer: ClientResponse, most: int = LARGEST_ANSWER) -> bytes:
    """The body of an answer. Raises `ValueError` when it has more than ``most`` bytes, once unpacked."""
    content = bytearray()
    async for chunk in answer.content.iter_any():
        content += chunk
        if len(content) > most:
            raise ValueError(f"more than {most} bytes came")
    return bytes(content)
