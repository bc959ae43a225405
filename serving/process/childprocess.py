"""A piece of work in a Python process of its own: bounded in time and memory, after everybody else, gone with who waits for it.

What computes long in this process's interpreter keeps its event loop waiting for the interpreter, whatever thread it is
in; another process costs the loop only what it is given and what it says.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from serving.process.parent import end_with_parent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class ChildLimits:
    """The bounds of one process: seconds on the clock and of processor, bytes of address space, its place behind others (``nice``).

    The clock's are many more: a process that comes after everybody else has next to no processor where messages take it all.
    """

    seconds: float = 300.0
    processor_s: int = 60
    memory_bytes: int = 2 * 1024 * 1024 * 1024
    priority: int = 19  # messages go first


DEFAULT_LIMITS = ChildLimits()


@dataclass(frozen=True, slots=True)
class ChildOutcome:
    """The standard output of a process, or why it is worth nothing: ``failure`` goes into a sentence about it."""

    output: bytes
    failure: str = ""


class _Child:
    """One process, begun and waited for in a thread: there the kernel lends it this process's memory until it is another program.

    The event loop's own way (fork) copies the tables of all this memory, and each page that is written to afterwards: 10 ms of
    the loop for 200 MiB.
    """

    def __init__(self, command: Sequence[str], limits: ChildLimits, environment: Mapping[str, str]) -> None:
        self._command, self._limits, self._environment = command, limits, environment
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_cancelled = False

    def run(self, content: bytes) -> ChildOutcome:
        """Run it to its end, which `cancel` hastens; it is gone when this returns."""
        with self._lock:
            if self._is_cancelled:
                return ChildOutcome(b"", "was cancelled")
            try:
                self._process = subprocess.Popen(
                    self._command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env={**self._environment},
                )
            except (OSError, MemoryError) as err:  # no process, file or memory to be had
                return ChildOutcome(
                    b"", f"could not be begun ({getattr(err, 'strerror', None) or 'no memory'})"
                )
        with self._process as process:
            try:
                output, _ = process.communicate(content, timeout=self._limits.seconds)
            except subprocess.TimeoutExpired:
                return ChildOutcome(
                    b"",
                    f"took longer than {self._limits.seconds:g} s; where other work took the processor meanwhile, try again",
                )
            finally:
                process.kill()
        if process.returncode == -signal.SIGXCPU:
            return ChildOutcome(b"", f"took more than {self._limits.processor_s} s of processor time")
        if process.returncode != 0:
            mebibytes = self._limits.memory_bytes >> 20
            return ChildOutcome(b"", f"took more than {mebibytes} MiB or ended (status {process.returncode})")
        return ChildOutcome(output)

    def cancel(self) -> None:
        """Nobody waits for it any more."""
        with self._lock:
            self._is_cancelled = True
            if self._process is not None:
                self._process.kill()


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
    bounds = [str(limits.processor_s), str(limits.memory_bytes), str(limits.priority)]
    path = {"PYTHONPATH": os.pathsep.join(p or "." for p in sys.path)}
    child = _Child(
        (sys.executable, "-m", module, *bounds, *arguments), limits, {**path, **(environment or {})}
    )
    thread = ThreadPoolExecutor(
        1, "child"
    )  # its own: minutes of waiting take no place of those that all share
    working = asyncio.get_running_loop().run_in_executor(thread, child.run, content)
    try:
        return await asyncio.shield(working)
    finally:
        if not working.done():
            child.cancel()
            await asyncio.wait([working])
        thread.shutdown(wait=False)


def bound_itself(processor_s: str, memory_bytes: str, priority: str, *, may_write: bool = False) -> None:
    """In the child, first of all: the bounds that the kernel holds it to, and its place behind others."""
    resource.setrlimit(resource.RLIMIT_AS, (int(memory_bytes), int(memory_bytes)))
    resource.setrlimit(resource.RLIMIT_CPU, (int(processor_s), int(processor_s) + 1))
    if not may_write:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(int(priority))
    end_with_parent(signal.SIGKILL)  # nobody would hear what it finds
