"""The processes and software packages of this machine, for environmental monitoring. What cannot be read is left out.

Spec: PR-ENVMONMES; X-Road takes the same from ``ps`` and ``dpkg-query``.
"""

from __future__ import annotations

import os
from functools import lru_cache
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING

from schemas.monitoring import Metric

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROC = Path("/proc")
_DPKG = Path("/var/lib/dpkg/status")


def process_metrics(proc: Path = _PROC) -> tuple[Metric, ...]:
    """``Processes``: every process; ``Xroad Processes``: those of this gateway, which is this process and its children."""
    every = [p for p in map(_process, _numbers(proc)) if p is not None]
    own = {os.getpid()}
    for pid, parent, _ in sorted(every, key=lambda p: p[0]):
        if parent in own:
            own.add(pid)
    return (
        Metric("Processes", tuple(m for _, _, m in every)),
        Metric("Xroad Processes", tuple(m for pid, _, m in every if pid in own)),
    )


def package_metrics(dpkg: Path = _DPKG) -> Metric:
    """``Packages``: of the operating system, and of the Python environment that this server runs in."""
    try:
        changed = dpkg.stat().st_mtime_ns
    except OSError:
        changed = 0
    return _packages(dpkg, changed)


@lru_cache(maxsize=2)
def _packages(dpkg: Path, changed: int) -> Metric:
    found = dict(_debian(dpkg)) if changed else {}
    for distribution in distributions():
        name = distribution.metadata["Name"]
        if name:
            found[f"python:{name}"] = distribution.version
    return Metric("Packages", tuple(Metric(name, f"{version}") for name, version in sorted(found.items())))


def _debian(dpkg: Path) -> Iterator[tuple[str, str]]:
    """Installed packages with their versions."""
    try:
        paragraphs = dpkg.read_text(encoding="utf-8", errors="replace").split("\n\n")
    except OSError:
        return
    for paragraph in paragraphs:
        fields = dict(
            line.split(": ", 1) for line in paragraph.splitlines() if line[:1].isalpha() and ": " in line
        )
        if "installed" in fields.get("Status", "").split() and "Package" in fields:
            yield fields["Package"], fields.get("Version", "")


def _numbers(proc: Path) -> Iterator[Path]:
    try:
        yield from sorted((p for p in proc.iterdir() if p.name.isdigit()), key=lambda p: int(p.name))
    except OSError:
        return


def _process(folder: Path) -> tuple[int, int, Metric] | None:
    """A process: its number, its parent's, and what is told of it. None when it has ended or is not ours to see."""
    try:
        raw = (folder / "stat").read_text(encoding="utf-8", errors="replace")
        resident = int((folder / "statm").read_text(encoding="ascii").split()[1])
        user = folder.stat().st_uid
    except (OSError, ValueError, IndexError):
        return None
    command, _, rest = raw.partition("(")[2].rpartition(")")
    fields = rest.split()
    number, ticks = int(folder.name), os.sysconf("SC_CLK_TCK")
    processes = (
        Metric("processId", number),
        Metric("command", command),
        Metric("userId", f"{user}"),
        Metric("cpuSeconds", round((int(fields[11]) + int(fields[12])) / ticks, 2)),
        Metric("memUsed", resident * os.sysconf("SC_PAGE_SIZE")),
        Metric("startTime", round(int(fields[19]) / ticks, 2)),
    )
    return number, int(fields[1]), Metric(folder.name, processes)
