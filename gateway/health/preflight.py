"""What a machine must be able to do before it may join: written targets, and what was found beside each. Pure.

Facts are gathered in `gateway.health.preflighting`; a report is what the member signs (`gateway preflight`) and what an
onboarding asks for. A target that could not be measured is one that was not met.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import msgspec

from schemas.jsontext import dump_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

FORMAT = "sacbe-preflight/1"


class Targets(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The least that a machine must have; a file of the governing body may set other values."""

    # Processor cores.
    cores: int = 2
    # Memory of the machine, in MiB.
    memory_mib: int = 3500
    # Free room where the data folder is, in MiB.
    disk_mib: int = 10_000
    # How far the clock may be off, in seconds.
    clock_s: float = 2.0


@dataclass(frozen=True, slots=True)
class PreflightFacts:
    """The facts about a machine. Mappings go from what was tried to its failure, empty when it went well."""

    cores: int
    memory_mib: int
    disk_mib: int
    clock_offset_s: float | None
    ports: Mapping[str, str]
    names: Mapping[str, str]
    authorities: Mapping[str, str]
    responders: Mapping[str, str]
    findings: Sequence[str]
    backup: str


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report."""

    id: str
    target: str
    found: str
    passed: bool


def judge(facts: PreflightFacts, targets: Targets) -> list[Check]:
    """Each target with what was found, in the order of the report."""
    offset = facts.clock_offset_s
    return [
        _at_least("cpu", targets.cores, facts.cores, "cores"),
        _at_least("memory", targets.memory_mib, facts.memory_mib, "MiB"),
        _at_least("disk", targets.disk_mib, facts.disk_mib, "MiB free"),
        Check(
            "clock",
            f"at most {targets.clock_s:g} s off",
            "not measured: no authority of the configuration answered"
            if offset is None
            else f"{offset:+.3f} s",
            offset is not None and abs(offset) <= targets.clock_s,
        ),
        _all("ports", "every listener's port is this gateway's, or free", facts.ports),
        _all("dns", "every name in the configuration resolves", facts.names),
        _all("tsa", "every approved timestamping authority can be reached", facts.authorities),
        _all("ocsp", "every OCSP responder can be reached", facts.responders),
        Check(
            "certificates",
            "diagnosis finds nothing that stops traffic",
            "; ".join(facts.findings) or "nothing",
            not facts.findings,
        ),
        Check("backup", "a backup is made and restored", facts.backup or "restored", not facts.backup),
    ]


def render_report(server: str, at: datetime, checks: Sequence[Check]) -> bytes:
    """The document that is signed."""
    body = {
        "format": FORMAT,
        "server": server,
        "at": at.isoformat(timespec="seconds"),
        "passed": all(c.passed for c in checks),
        "checks": [asdict(c) for c in checks],
    }
    return dump_json(body, ensure_ascii=False, indent=1).encode()


def _at_least(name: str, minimum: int, found: int, unit: str) -> Check:
    return Check(name, f"at least {minimum} {unit}", f"{found} {unit}", found >= minimum)


def _all(name: str, target: str, tried: Mapping[str, str]) -> Check:
    wrong = [f"{what}: {reason}" for what, reason in tried.items() if reason]
    found = "; ".join(wrong) or f"{len(tried)} of {len(tried)}"
    # Nothing to try is nothing shown.
    return Check(name, target, found, bool(tried) and not wrong)
