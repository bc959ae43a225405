"""Bytecodes an exchange, by part of the software: ``python -m benchmarks.bytecodes``.

Both gateways of `tests.vectors.stage` run in this process with a message log on disk, and carry one exchange after another: 1 KB
there, 1 KB back. The interpreter reports every bytecode of our own modules, on whatever thread. No clock and no other process
takes part; on a machine with much else to do messages come in more pieces and the loop goes round more often, so the exchange that took
the least of many counts. That figure is the same on every machine with the same Python, and a change of it is a change of the software.
What the cryptography library, SQLite, TLS, the event loop and the kernel do is not in it: `benchmarks.instructions` counts that too.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.load import COLUMNS, HISTORY, Table
from tests.logs import open_log
from tests.vectors import stage

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

CASE = f"bytecodes {sys.implementation.name} {sys.version_info.major}.{sys.version_info.minor}"
TOTAL = "total"
MOST_GROWTH = 1.05
WARM, COUNTED = 30, 30
_ROOT = Path(__file__).resolve().parent.parent
_PARTS = ("gateway", "schemas", "certs", "serving")
_HEAD = (
    b"POST /r1/EE/BUSINESS/producer/sub/echo HTTP/1.1\r\nHost: gw\r\nX-Road-Client: EE/BUSINESS/consumer/sub\r\n"
    b"Content-Type: application/json\r\nContent-Length: 1024\r\n\r\n"
)
_REQUEST = _HEAD + b"x" * 1024
_ANSWER = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1024\r\n\r\n" + b"y" * 1024


class Counting:
    """Counts bytecodes of our own modules by part (``gateway/exchange``) while `is_on`."""

    def __init__(self) -> None:
        self.by_part: Counter[str] = Counter()
        self.by_function: Counter[str] = Counter()
        self.is_on = False
        self._of_file: dict[str, str | None] = {}

    def trace(self, frame: FrameType, _event: str, _argument: object) -> Callable[..., Any] | None:
        """The interpreter's call for each new frame: none of another's software is followed."""
        file = frame.f_code.co_filename
        if file not in self._of_file:
            self._of_file[file] = _part(file)
        part = self._of_file[file]
        if part is None or not self.is_on:
            return None
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        by_part, by_function = self.by_part, self.by_function
        function = f"{part} {frame.f_code.co_qualname}"

        def local(_frame: FrameType, event: str, _argument: object) -> Callable[..., Any]:
            if event == "opcode":
                by_part[part] += 1
                by_function[function] += 1
            return local

        return local


def _part(file: str) -> str | None:
    """The folder of a module of ours, two steps deep; None for any other file, and for the test authority."""
    path = Path(file)
    if not path.is_relative_to(_ROOT):
        return None
    parts = path.relative_to(_ROOT).parts
    if parts[0] not in _PARTS or parts[:2] == ("certs", "dev"):
        return None
    return "/".join(parts[:2] if len(parts) > 2 else parts[:1])


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(_REQUEST)
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"expected an answer of 200; came {head[:200]!r} {await reader.read(500)!r}")
    await reader.readexactly(1024)


async def _count(folder: Path, counting: Counting) -> tuple[Counter[str], Counter[str]]:
    """The bytecodes of the exchange that took the least, by part and by function."""
    counted = []
    setup = stage.Setup(rest=True)
    log = open_log(folder / "log")
    async with stage.answering(lambda _seen: _ANSWER) as (port, _):
        setup.port = port
        async with stage.put_up(setup, kept=log) as up:
            reader, writer = await asyncio.open_connection(stage.HOST, up.consumer_port)
            for number in range(WARM + COUNTED):
                counting.is_on = number >= WARM
                before = Counter(counting.by_part), Counter(counting.by_function)
                await _exchange(reader, writer)
                if counting.is_on:
                    counted.append((counting.by_part - before[0], counting.by_function - before[1]))
            counting.is_on = False
            writer.close()
    await log.close()
    return min(counted, key=lambda found: found[0].total())


def count() -> tuple[dict[str, int], dict[str, int]]:
    """Bytecodes of an exchange by part, ``total`` first, and by function; of both gateways and four records together."""
    counting = Counting()
    before = sys.gettrace()
    threading.settrace(counting.trace)
    sys.settrace(counting.trace)
    try:
        with tempfile.TemporaryDirectory(prefix="sacbe-bytecodes-") as folder:
            parts, functions = asyncio.run(_count(Path(folder), counting))
    finally:
        sys.settrace(before)
        threading.settrace(before)
    return {TOTAL: parts.total(), **dict(parts.most_common())}, dict(functions.most_common())


def last_total(history: Path = HISTORY) -> float | None:
    """The total of the newest row that was counted with this Python."""
    with history.open(encoding="utf-8", newline="") as file:
        rows = [dict(zip(COLUMNS, row, strict=True)) for row in csv.reader(file)]
    found = [float(r["value"]) for r in rows if (r["case"], r["figure"]) == (CASE, TOTAL)]
    return found[-1] if found else None


def main() -> None:
    """Count, print, and append to the history."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dry", action="store_true", help="do not append to the history")
    parser.add_argument("--functions", type=int, default=0, help="print so many of the dearest functions too")
    options = parser.parse_args()
    table = Table()
    parts, functions = count()
    for part, value in parts.items():
        print(f"{part:28}{value:10.0f}")
        table.keep(CASE, 1, part, value)
    for name, value in list(functions.items())[: options.functions]:
        print(f"  {value:8.0f}  {name}")
    if not options.dry:
        table.append_to(HISTORY)


if __name__ == "__main__":
    main()
