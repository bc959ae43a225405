"""How far this machine's clock is from another's, by the ``Date`` of an HTTP answer: known before anything was timestamped.

It is exact to a second and signed by nobody, so it serves to find a clock that is wrong and for nothing else. Answers that
a cache kept count with their ``Age``. Spec: RFC 9110 6.6.1, RFC 9111 5.1.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

TIMEOUT = aiohttp.ClientTimeout(total=5)


def clock_offset_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """By how many seconds ``now`` is ahead of whoever answered; None when the answer does not say the time."""
    try:
        date = parsedate_to_datetime(headers["Date"])
        age = timedelta(seconds=int(headers.get("Age", "0")))
    except (KeyError, ValueError, TypeError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    offset = (now - (date + age)).total_seconds()
    # The second it was written in is over at most a second later.
    return 0.0 if 0 <= offset < 1 else offset


async def ask_clocks(
    session: aiohttp.ClientSession, urls: Sequence[str], now: Callable[[], datetime]
) -> tuple[float, str] | None:
    """The offset by the first server that answers at all, whatever it answers, and which that was."""
    for url in dict.fromkeys(urls):
        try:
            async with session.head(url, timeout=TIMEOUT, allow_redirects=False) as answer:
                offset = clock_offset_s(answer.headers, now())
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            continue
        if offset is not None:
            return offset, urlsplit(url).netloc
    return None
