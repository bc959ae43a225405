"""Want of memory at any place is a refusal that says so: nothing is answered without its record, and the log stays whole."""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gateway.edges import http
from gateway.edges.consumers import ConsumerListener
from schemas.faults import Fault, Kind, Spelling
from tests.doubles import Trouble
from tests.exchanges import SERVICE, GatewayPair
from tests.logs import entry, open_log
from tests.worlds import CONSUMER, PROVIDER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

SLACK = 48 << 20
SIZES = (1_000, 200_000, 6_000_000, 30_000_000, 1_000, 16_000_000, 60_000_000, 1_000)

PLACES: dict[str, Callable[[GatewayPair], None]] = {
    "the consumer's identity": lambda r: setattr(r.consumer_identities, "signing_trouble", Trouble(MemoryError())),
    "the consumer's signing": lambda r: setattr(r.consumer_signing, "trouble", Trouble(MemoryError())),
    "after the consumer signed": lambda r: setattr(r.consumer_signing, "trouble", Trouble(None, MemoryError())),
    "the consumer's log": lambda r: r.consumer_log.fails(is_response=False, before=MemoryError()),
    "after the consumer logged": lambda r: r.consumer_log.fails(is_response=False, after=MemoryError()),
    "the way to the provider": lambda r: setattr(r.peers, "trouble", Trouble(MemoryError())),
    "the way back": lambda r: setattr(r.peers, "trouble", Trouble(None, MemoryError())),
    "the provider's log": lambda r: r.provider_log.fails(is_response=False, before=MemoryError()),
    "the service": lambda r: setattr(r.services, "trouble", Trouble(MemoryError())),
    "after the service": lambda r: setattr(r.services, "trouble", Trouble(None, MemoryError())),
    "the provider's signing": lambda r: setattr(r.provider_signing, "trouble", Trouble(MemoryError())),
    "the provider's log of the answer": lambda r: r.provider_log.fails(is_response=True, before=MemoryError()),
    "the consumer's log of the answer": lambda r: r.consumer_log.fails(is_response=True, before=MemoryError()),
    "after the answer was logged": lambda r: r.consumer_log.fails(is_response=True, after=MemoryError()),
}  # fmt: skip


async def no_download(_query: dict[str, str]) -> bytes:
    raise AssertionError("nobody downloads")


@pytest.fixture
async def asked(tmp_path: Path) -> AsyncIterator[tuple[GatewayPair, http.Listening]]:
    pair = GatewayPair(tmp_path)
    listener = ConsumerListener(pair.consumer_context(), Spelling.SNAKE, no_download, lambda: b"")  # type: ignore[arg-type]
    listening = await http.listen(listener.server(), "127.0.0.1", 0)
    yield pair, listening
    await listening.cleanup()


async def ask(listening: http.Listening) -> tuple[int, bytes]:
    """Status and body of one request of the consumer's system."""
    reader, writer = await asyncio.open_connection(*listening.addresses[0][:2])
    target = f"/r1/{PROVIDER.path()}/{SERVICE.service_code}/v1/x"
    head = f"POST {target} HTTP/1.1\r\nHost: x\r\nX-Road-Client: {CONSUMER.path()}\r\nConnection: close\r\n"
    writer.write(f"{head}Content-Length: 2\r\n\r\n{{}}".encode())
    async with asyncio.timeout(60):
        answer = await reader.read()
    writer.close()
    return int(answer[9:12]), answer.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("place", PLACES)
async def test_no_memory_at_any_place_is_a_refusal_and_the_next_message_goes_through(
    asked: tuple[GatewayPair, http.Listening], place: str
) -> None:
    pair, listening = asked
    untroubled = [
        (part, name, getattr(part, name))
        for part, name in (
            (pair.consumer_identities, "signing_trouble"),
            (pair.consumer_signing, "trouble"),
            (pair.provider_signing, "trouble"),
            (pair.peers, "trouble"),
            (pair.services, "trouble"),
        )
    ]
    PLACES[place](pair)
    status, body = await ask(listening)
    assert status == 500
    if "provider" not in place and "service" not in place:  # there it is the peer's fault that is passed on
        assert b"no memory for this message now" in body
    for part, name, trouble in untroubled:
        setattr(part, name, trouble)
    for log in (pair.consumer_log, pair.provider_log):
        log.trouble = {False: Trouble(), True: Trouble()}
        log.entries.clear()
    assert await ask(listening) == (200, b"found")
    assert [len(log.entries) for log in (pair.consumer_log, pair.provider_log)] == [2, 2]


def test_a_log_whose_process_has_no_memory_left_holds_all_that_it_said_it_holds_and_nothing_by_half(
    tmp_path: Path,
) -> None:
    (tmp_path / "log").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile.test_memory", str(tmp_path / "log")],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        timeout=300,
        check=False,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    said = [line["number"] for line in lines if "number" in line]
    refusals = [line["refused"] for line in lines if "refused" in line]
    assert said and refusals, done.stderr[-2000:]
    assert {kind for kind, _ in refusals} <= {"logging_failed", "MemoryError"}
    for kind, detail in refusals:
        assert "no memory" in detail or kind == "MemoryError"

    async def look() -> tuple[int | None, int]:
        log = open_log(tmp_path / "log")
        try:
            return await log.verify_chain(), await log.append(entry("after"))
        finally:
            await log.close()

    damaged, after = asyncio.run(look())
    assert damaged is None
    assert after > max(said)


def leave_memory(size: int) -> None:
    """Let this process have so many bytes of address space more than it has now, and no more."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + size
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


async def fill(folder: Path) -> None:
    """Log messages of several sizes with hardly any memory left; a line says what became of each."""
    log = open_log(folder)
    await log.append(entry("before"))
    leave_memory(SLACK)
    for number, size in enumerate(SIZES):
        try:
            said: dict[str, object] = {"number": await log.append(entry(f"m{number}", raw=bytes(size)))}
        except Fault as fault:
            assert fault.kind is Kind.LOGGING_FAILED
            said = {"refused": (fault.kind.value, fault.detail)}
        except MemoryError:
            said = {"refused": ("MemoryError", "")}
        print(json.dumps(said), flush=True)
    await log.close()


if __name__ == "__main__":
    asyncio.run(fill(Path(sys.argv[1])))
