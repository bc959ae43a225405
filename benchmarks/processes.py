"""What a running process costs: memory and processor time, from /proc. Linux only; elsewhere the figures are None."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_MIB = 1024


@dataclass(frozen=True, slots=True)
class Cost:
    """Resident memory now and at its highest (MiB), and processor seconds so far, user and system."""

    resident_mib: float
    peak_mib: float
    cpu_s: float


def cost_of(pid: int) -> Cost | None:
    """What a process costs; None where /proc does not tell."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2]
    except OSError:
        return None
    values = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    user, system = (int(n) for n in fields.split()[11:13])
    return Cost(
        int(values["VmRSS"].split()[0]) / _MIB,
        int(values["VmHWM"].split()[0]) / _MIB,
        (user + system) / os.sysconf("SC_CLK_TCK"),
    )


def reset_peak(pid: int) -> None:
    """Let the peak of resident memory count from now on."""
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")


def machine() -> str:
    """The kind of machine, in words: processor model and how many."""
    model = "unknown processor"
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    except OSError:
        model = os.uname().machine
    return f"{model} x{os.cpu_count()}"
