"""Instructions an exchange, by side and by part: ``python -m benchmarks.instructions``. Needs valgrind.

Two gateways run under callgrind, which counts what the processor is told to do, kernel excluded. A fixed number of the round trips of
`benchmarks.load` is counted after as many that are not; what the gateways do unasked in as many seconds is taken off. Machines differ
in what their cryptography chooses, so the figures are compared on one kind of machine, with the last row of ``history.csv`` there. How many
messages share a signature and a commit still depends on how busy the machine is: compare two trees at the same time.
"""

from __future__ import annotations

import argparse
import csv
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.federation import Federation, free_base
from benchmarks.load import COLUMNS, HISTORY, Case, Table, cases, gateway_specs, press
from benchmarks.processes import machine

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CASE = "instructions"
TOTAL = "total"
# Under callgrind everything takes some fifty times as long.
START_TIMEOUT_S = 240.0
MOST_GROWTH = 1.05
_SIDES = ("CONS-EC", "PROV-EC")
_PARTS = (
    ("python", re.compile(r"libpython|/bin/python|_asyncio|_struct|_json|_datetime|binascii")),
    ("cryptography", re.compile(r"_rust|libcrypto|_hashlib|_sha")),
    ("tls", re.compile(r"libssl|/_ssl\.")),
    ("database", re.compile(r"sqlite")),
    ("loop and http", re.compile(r"uvloop|httptools")),
    ("libc", re.compile(r"libc\.so|ld-linux|libpthread|vdso")),
)


def part_of(binary: str) -> str:
    """The part of the software that a binary file is."""
    return next((part for part, pattern in _PARTS if pattern.search(binary)), "other")


def count_parts(dump: str) -> dict[str, int]:
    """Instructions by part in a callgrind dump: each function's own, not those of what it calls."""
    counts: dict[str, int] = {}
    parts: dict[str, str] = {}  # by the number that stands for a binary once it has been named
    part, of_call = "other", False
    for line in dump.splitlines():
        if line.startswith(("ob=", "cob=")):
            number, _, name = line.partition("=")[2].partition(" ")
            if name:
                parts[number] = part_of(name)
            if line[0] == "o":
                part = parts.get(number, "other")
        elif line.startswith("calls="):
            of_call = True  # the next line has what the called function cost, which its own lines say too
        elif line and line[0] in "0123456789+-*":
            if not of_call:
                counts[part] = counts.get(part, 0) + int(line.split()[1])
            of_call = False
    return counts


class Counted:
    """A process under callgrind."""

    def __init__(self, pid: int, dumps: Path) -> None:
        self._pid = pid
        self._dumps = dumps

    def _command(self, *arguments: str) -> None:
        subprocess.run(
            ["callgrind_control", *arguments, str(self._pid)], check=True, capture_output=True, timeout=120
        )

    def begin(self) -> None:
        """Count from now on."""
        self._command("-i", "on")

    def end(self) -> dict[str, int]:
        """Instructions by part since `begin`."""
        self._command("-d")
        self._command("-i", "off")
        newest = max(self._dumps.glob(f"{self._pid}.*"), key=lambda p: p.stat().st_mtime_ns)
        return count_parts(newest.read_text(encoding="ascii", errors="replace"))


def count(
    counted: Mapping[str, Counted], case: Case, connections: int, seconds: float
) -> dict[str, dict[str, float]]:
    """Instructions a round trip, by side and part, without what the gateways do when nobody asks."""
    press(case, connections, seconds / 2)
    begin(counted)
    time.sleep(seconds)
    idle_counts = end(counted)
    begin(counted)
    trips = press(case, connections, seconds)["round_trips"]
    counts = end(counted)
    return {
        side: {
            part: max(0.0, value - idle_counts[side].get(part, 0)) / trips
            for part, value in sorted(counts[side].items())
        }
        for side in counted
    }


def begin(counted: Mapping[str, Counted]) -> None:
    """Count in all of the processes from now on."""
    for process in counted.values():
        process.begin()


def end(counted: Mapping[str, Counted]) -> dict[str, dict[str, int]]:
    """Instructions of each since then, by part."""
    return {side: process.end() for side, process in counted.items()}


def measure(connections: Sequence[int], seconds: float, folder: Path) -> Table:
    """Start both gateways under callgrind, count, stop; the figures are printed and given."""
    base = free_base()
    specs = [s for s in gateway_specs(base) if s.member in _SIDES]
    dumps = folder / "dumps"
    dumps.mkdir()
    under = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={dumps}/%p"]
    federation = Federation(folder / "federation", specs, base=base, dies_with_us=True)
    federation.start_timeout_s = START_TIMEOUT_S
    federation.under = dict.fromkeys(_SIDES, under)
    federation.set_up()
    table = Table()
    try:
        federation.start("echo", "benchmarks.echo", "--host", f"{base}.30")
        federation.start_all()
        case = next(c for c in cases(base) if c.name == "c")
        counted = {side: Counted(federation.processes[side].pid, dumps) for side in _SIDES}
        for number in connections:
            print(f"{number} connection{'s' if number > 1 else ''}")
            for side, parts in count(counted, case, number, seconds).items():
                table.keep(f"{CASE} {side}", number, TOTAL, sum(parts.values()))
                print(f"  {side}: {sum(parts.values()) / 1e6:.2f} million an exchange")
                for part, value in sorted(parts.items(), key=lambda kv: -kv[1]):
                    table.keep(f"{CASE} {side}", number, part, value)
                    print(f"    {part:16}{value / 1e6:8.2f}")
    finally:
        federation.stop()
    return table


def last_totals(history: Path, on_machine: str) -> dict[tuple[str, int], float]:
    """The totals that were counted last on a kind of machine, by case and connections."""
    with history.open(encoding="utf-8", newline="") as file:
        rows = [dict(zip(COLUMNS, row, strict=True)) for row in csv.reader(file)]
    return {
        (r["case"], int(r["connections"])): float(r["value"])
        for r in rows
        if r["machine"] == on_machine and r["case"].startswith(CASE) and r["figure"] == TOTAL
    }


def grown(table: Table, before: Mapping[tuple[str, int], float]) -> list[str]:
    """What takes more instructions than may be, in words; empty when nothing does."""
    return [
        f"{case} at {number} connections: {value / 1e6:.2f} million instructions an exchange, "
        f"{value / before[case, number]:.2f} times the {before[case, number] / 1e6:.2f} of the last row"
        for case, number, figure, value in table.rows
        if figure == TOTAL and (case, number) in before and value > MOST_GROWTH * before[case, number]
    ]


def main() -> None:
    """Count; with ``--check`` compare, else append to the history."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--connections", type=int, nargs="+", default=[16])
    parser.add_argument("--seconds", type=float, default=12.0, help="how long round trips are counted")
    parser.add_argument("--check", action="store_true", help="fail when more than the last row, and 5 %%")
    parser.add_argument("--dry", action="store_true", help="do not append to the history")
    options = parser.parse_args()
    if shutil.which("callgrind_control") is None:
        sys.exit("valgrind is not installed; it counts the instructions")
    before = last_totals(HISTORY, machine())
    with tempfile.TemporaryDirectory(prefix="sacbe-count-") as folder:
        table = measure(options.connections, options.seconds, Path(folder))
    if options.check:
        sys.exit("\n".join(grown(table, before)) or 0)
    if not options.dry:
        table.append_to(HISTORY)


if __name__ == "__main__":
    main()
