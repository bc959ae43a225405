"""Memory that was freed goes back to the system, a while after it was freed."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import weakref

import pytest

from benchmarks.processes import cost_of
from serving.process.memory import MemoryReturn, give_back_freed


def resident_mib() -> float:
    cost = cost_of(os.getpid())
    assert cost is not None
    return cost.resident_mib


async def until_below(limit_mib: float) -> None:
    for _ in range(1500):
        if resident_mib() <= limit_mib:
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"{resident_mib():.0f} MiB are resident still; at most {limit_mib:.0f} were expected")


async def test_freed_memory_that_the_library_keeps_is_given_back_after_the_pause() -> None:
    if not give_back_freed():
        pytest.skip("this C library has no malloc_trim")
    before = resident_mib()
    pieces = [b"x" * 32_768 for _ in range(4096)]  # 128 MiB, each below what the library maps on its own
    kept = pieces[-1]
    full = resident_mib()
    assert full > before + 100
    del pieces  # the last piece lies above all others, so their pages stay
    MemoryReturn(0.0).later()
    await until_below(before + 40)
    assert len(kept) == 32_768


KEEPING = """
import os
from benchmarks.processes import cost_of
from serving.process.memory import give_back_freed
from serving.process.starting import keep_for_reuse

if not keep_for_reuse():
    raise SystemExit("another C library")
pieces = [b"x" * 262_144 for _ in range(24)]
full = cost_of(os.getpid()).resident_mib
del pieces
kept = cost_of(os.getpid()).resident_mib
give_back_freed()
print(full - kept, kept - cost_of(os.getpid()).resident_mib)
"""


@pytest.mark.processes
def test_some_mebibytes_that_were_freed_are_kept_for_reuse_until_they_are_given_back() -> None:
    run = subprocess.run(
        [sys.executable, "-c", KEEPING], capture_output=True, text=True, timeout=120, check=False
    )
    if "another C library" in run.stderr:
        pytest.skip("this C library has no mallopt")
    gone_mib, given_mib = (float(n) for n in run.stdout.split())
    assert gone_mib < 3
    assert given_mib > 3


def test_without_a_running_loop_nothing_is_given_back() -> None:
    MemoryReturn(0.0).later()


class Ringed:
    """One of two objects that name each other, as a connection and its transport do."""

    def __init__(self) -> None:
        self.other: Ringed | None = None


async def test_what_only_a_collection_finds_is_freed_after_the_pause() -> None:
    one, two = Ringed(), Ringed()
    one.other, two.other = two, one
    gone = asyncio.Event()
    weakref.finalize(one, gone.set)
    del one, two
    MemoryReturn(0.0).later()
    await asyncio.wait_for(gone.wait(), 30)
