"""A load generator: keeps N connections busy with one prepared HTTP/1.1 request for a bounded time, in its own process.

Raw asyncio, so that it costs little beside what it measures. Run as ``python -m benchmarks.generator HOST PORT``; the
request comes on standard input; out goes one JSON line: counts by status, seconds, and latencies' percentiles.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from typing import cast

import uvloop

LARGEST_HEAD = 64 * 1024


@dataclass(slots=True)
class Tally:
    """What came back so far; times in nanoseconds."""

    latencies: list[int] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)
    broken: int = 0

    def summary(self, elapsed_s: float) -> dict[str, object]:
        """The figures of one run. Only answers with status 200 count as round trips."""
        ordered = sorted(self.latencies)
        return {
            "round_trips": len(ordered),
            "per_second": len(ordered) / elapsed_s,
            "p50_ms": percentile(ordered, 50) / 1e6,
            "p95_ms": percentile(ordered, 95) / 1e6,
            "p99_ms": percentile(ordered, 99) / 1e6,
            "refused": self.refused,
            "broken": self.broken,
        }


def percentile(ordered: list[int], percent: int) -> float:
    """The nearest-rank percentile of sorted values; 0 when there are none."""
    if not ordered:
        return 0.0
    return float(ordered[min(len(ordered) - 1, max(0, -(-len(ordered) * percent // 100) - 1))])


class Connection(asyncio.Protocol):
    """One kept-alive connection that sends its next request when the answer to the last one is complete."""

    def __init__(self, request: bytes, until: float, tally: Tally, done: asyncio.Future[None]) -> None:
        self._request = request
        self._until = until
        self._tally = tally
        self._done = done
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._sent = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if not self._done.done():
            self._tally.broken += 1
            self._done.set_result(None)

    def _send(self) -> None:
        assert self._transport is not None
        if time.monotonic() >= self._until:
            self._done.set_result(None)
            self._transport.close()
            return
        self._sent = time.perf_counter_ns()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head_end = self._buffer.find(b"\r\n\r\n")
        if head_end < 0:
            if len(self._buffer) > LARGEST_HEAD and self._transport is not None:
                self._transport.abort()
            return
        head = bytes(self._buffer[:head_end]).lower()
        if not self._is_complete(head, head_end + 4):
            return
        self._buffer.clear()
        status = head[9:12].decode("ascii", "replace")
        if status == "200":
            self._tally.latencies.append(time.perf_counter_ns() - self._sent)
        else:
            self._tally.refused[status] = self._tally.refused.get(status, 0) + 1
        self._send()

    def _is_complete(self, head: bytes, start: int) -> bool:
        place = head.find(b"content-length:")
        if place >= 0:
            length = int(head[place + 15 :].partition(b"\r\n")[0])
            return len(self._buffer) >= start + length
        return self._buffer.endswith(b"0\r\n\r\n")


async def press(host: str, port: int, request: bytes, connections: int, seconds: float) -> dict[str, object]:
    """Keep ``connections`` busy for ``seconds``; the figures."""
    loop = asyncio.get_running_loop()
    tally = Tally()
    begun = time.monotonic()
    until = begun + seconds
    ended: list[asyncio.Future[None]] = []
    for _ in range(connections):
        done: asyncio.Future[None] = loop.create_future()
        ended.append(done)
        try:
            await loop.create_connection(
                lambda done=done: Connection(request, until, tally, done),  # type: ignore[misc]
                host,
                port,
            )
        except OSError:
            tally.broken += 1
            if not done.done():
                done.set_result(None)
    async with asyncio.timeout(seconds + 60):
        await asyncio.gather(*ended)
    return tally.summary(time.monotonic() - begun)


def main() -> None:
    """Read a request from standard input, press, print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    request = sys.stdin.buffer.read()
    print(
        json.dumps(
            uvloop.run(press(options.host, options.port, request, options.connections, options.seconds))
        )
    )


if __name__ == "__main__":
    main()
