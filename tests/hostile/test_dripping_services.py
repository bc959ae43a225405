"""A provider's system that never ends its answer: silence is bounded for each service, the whole by a setting."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

import pytest

from certs.tls import provider_client_context
from gateway.clients.model import Service, ServiceType
from gateway.edges.services import ServiceCaller
from gateway.exchange.ports import ServiceCall
from schemas.faults import Fault
from schemas.identifiers import ClientId, ServiceId
from tests import worlds

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"


@contextlib.asynccontextmanager
async def dripping(every_s: float, count: int) -> AsyncIterator[int]:
    """A system that answers a byte now and then, then nothing more; its port."""

    serving: list[asyncio.Task[None] | None] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(asyncio.current_task())
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD)
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            for _ in range(count):
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(every_s)
            await reader.read()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        tasks = [task for task in serving if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)


async def asked(caller: ServiceCaller, port: int, timeout_s: float) -> str:
    """What became of a call, whose answer is read to its end."""
    message = worlds.world().request()
    service = Service(
        ServiceId(ClientId("MX", "GOB", "1", "S"), "x"),
        ServiceType.REST,
        f"http://127.0.0.1:{port}",
        timeout_s=timeout_s,
    )
    with pytest.raises(Fault) as failed:
        async with caller.call(service, ServiceCall(message, "GET", "/x", (), None)) as answer:
            async for _ in answer.chunks:
                pass
    return failed.value.detail


def caller(total_s: float) -> ServiceCaller:
    return ServiceCaller(lambda: None, lambda: provider_client_context(None), total_s=total_s)  # type: ignore[arg-type, return-value]


async def test_an_answer_that_flows_for_ever_ends_at_the_total_that_is_set() -> None:
    began = time.monotonic()
    async with asyncio.timeout(60), dripping(0.05, 100_000) as port:
        assert "did not end its answer within 0.5 s in all" in await asked(caller(0.5), port, timeout_s=30)
    assert time.monotonic() - began < 30


async def test_silence_is_what_a_service_s_timeout_counts() -> None:
    async with asyncio.timeout(60), dripping(0.5, 5) as port:
        began = time.monotonic()
        detail = await asked(caller(0), port, timeout_s=4.0)
    assert "in all" not in detail
    assert time.monotonic() - began > 5.5  # five bytes came, and then the silence


async def test_the_total_is_taken_by_the_next_call_of_a_running_gateway() -> None:
    kept = caller(0)
    kept.take_total(0.2)
    async with asyncio.timeout(60), dripping(0.05, 100_000) as port:
        assert "0.2 s in all" in await asked(kept, port, timeout_s=30)
