"""A piece of work in a Python process of its own: bounded in time and memory, after everybody else, gone with who waits for it.

What computes long in this process's interpreter keeps its event loop waiting for the interpreter, whatever thread it is
in; another process costs the loop only what it is given and what it says.
"""

from __future__ import annotations

import asyncio
import os
import resource
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class ChildLimits:
    """The bounds of one process: seconds on the clock and of processor, bytes of address space."""

    seconds: float = 60.0
    memory_bytes: int = 2 * 1024 * 1024 * 1024


DEFAULT_LIMITS = ChildLimits()


@dataclass(frozen=True, slots=True)
class ChildOutcome:
    """The standard output of a process, or why it is worth nothing: ``failure`` goes into a sentence about it."""

    output: bytes
    failure: str = ""


async def run_child(
    module: str,
    arguments: Sequence[str],
    content: bytes,
    limits: ChildLimits = DEFAULT_LIMITS,
    environment: Mapping[str, str] | None = None,
) -> ChildOutcome:
    """Run ``python -m module`` with ``content`` on standard input; it is gone when this returns, raises or is cancelled.

    It has no environment but ``environment``, and must call `bound_itself` before it reads.
    """
    bounds = [str(limits.seconds), str(limits.memory_bytes)]
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *bounds, *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={"PYTHONPATH": os.pathsep.join(p or "." for p in sys.path), **(environment or {})},
    )
    try:
        async with asyncio.timeout(limits.seconds):
            output, _ = await child.communicate(content)
    except TimeoutError:
        return ChildOutcome(b"", f"took longer than {limits.seconds:g} s")
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode != 0:
        mebibytes = limits.memory_bytes >> 20
        return ChildOutcome(b"", f"took more than {mebibytes} MiB or ended (status {child.returncode})")
    return ChildOutcome(output)


def bound_itself(seconds: str, memory_bytes: str, *, priority: int, may_write: bool = False) -> None:
    """In the child, first of all: the bounds that the kernel holds it to, and its place behind others (``nice``)."""
    processor_s = int(float(seconds)) + 1
    resource.setrlimit(resource.RLIMIT_AS, (int(memory_bytes), int(memory_bytes)))
    resource.setrlimit(resource.RLIMIT_CPU, (processor_s, processor_s))
    if not may_write:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(priority)
