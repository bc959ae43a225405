"""Twenty-two institutes that really run: a gateway and a system each, with the registry and ONIESS, every pair exchanging messages.

``python -m benchmarks.nation`` sets all of it up on loopback addresses of this machine, lets every institute ask every other one
(462 ordered pairs) and the registry, and prints a row a figure; exit 1 when an answer is not what the rights say. Processes are
scaled down to one machine; messages are real: signed, logged and checked on both sides, over mutual TLS.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.calls import Call
from benchmarks.country import ONIESS, REGISTRY, Country
from benchmarks.federation import free_base
from social_security.domain import pack

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.calls import Reply

INSTITUTES = 22
# The last number of an address that a server of the exercises has, and some room.
BEYOND = 40
# Asked at once: more would only wait for the same two cores.
AT_ONCE = 4
# A published specimen; nobody's.
SPECIMEN = "SABC560626MDFLRN01"
# A pseudonym in form, of nobody: who is asked answers so.
NOBODY = "VMP5P6A3TQ8FQZ4H1PX3GS1Q24R"


class Nation(Country):
    """A country of more institutes than the exercises have: their addresses are beyond those of the other servers."""

    def address(self, code: str) -> str:
        """A member's address: an institute's by its entity's number, after the servers that all share."""
        if code.startswith("00-"):
            return super().address(code)
        return f"{self.base}.{BEYOND + int(code[:2])}"


def institutes(count: int) -> list[str]:
    """The first institutes of the pack, those of the fixture's persons among them."""
    every = [
        m.code for m in pack.members().values() if m.member_class == "GOB" and not m.code.startswith("00-")
    ]
    first = [c for c in ("15-ISSEMYM", "26-ISSSTESON", "30-IPE") if c in every]
    return [*first, *(c for c in every if c not in first)][:count]


def run(folder: Path, base: str, count: int) -> list[tuple[str, str, bool]]:
    """Each figure with what was measured and whether it is as it must be."""
    codes = institutes(count)
    country = Nation(folder, (REGISTRY, ONIESS, *codes), base, clock=True)
    country.federation.start_timeout_s = 300.0
    country.set_clock("2026-03-02T09:00:00-06:00")
    began = time.monotonic()
    rows: list[tuple[str, str, bool]] = []
    try:
        country.set_up()
        rows.append(("set up, s", f"{time.monotonic() - began:.0f}", True))
        began = time.monotonic()
        country.start()
        rows.append((f"{2 * len(country.codes)} servers started, s", f"{time.monotonic() - began:.0f}", True))
        rows += asyncio.run(_exchange(country, codes))
        rows.append(("resident memory of all processes, MiB", f"{_resident_mib(country):,.0f}", True))
    finally:
        country.stop()
    return rows


async def _exchange(country: Country, codes: list[str]) -> list[tuple[str, str, bool]]:
    pairs = [(a, b) for a in codes for b in codes if a != b]
    began = time.monotonic()
    answers = await _together((country, a, b) for a, b in pairs)
    took = time.monotonic() - began
    # Nobody is known by this pseudonym: the provider's system says so, by its own code, in a signed answer.
    wrong = [r for r in answers if r.error is not None or r.body.get("codigo") != "SS-300"]
    times = sorted(r.took_ms for r in answers)
    found = await _together((country, code, REGISTRY) for code in codes)
    answering = [r for r in found if r.body.get("resultado") != "NO_COINCIDE"]
    return [
        (f"{len(pairs)} ordered pairs answered", f"{len(pairs) - len(wrong)}", not wrong),
        ("exchanges a second", f"{len(pairs) / took:.1f}", True),
        (
            "round trip, median and 95 %, ms",
            f"{times[len(times) // 2]:.0f}, {times[len(times) * 95 // 100]:.0f}",
            True,
        ),
        (
            f"{len(codes)} institutes answered by the registry",
            f"{len(codes) - len(answering)}",
            not answering,
        ),
    ]


async def _together(answering: Iterable[tuple[Country, str, str]]) -> list[Reply]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(country: Country, client: str, provider: str) -> Reply:
        async with gate:
            return await asyncio.to_thread(_ask, country, client, provider)

    return await asyncio.gather(*(one(*a) for a in answering))


def _ask(country: Country, client: str, provider: str) -> Reply:
    case = f"CONS-{client[:2]}-2026-00000001"
    if provider == REGISTRY:
        why = Call("PUR-IDENT", case, "ANALISTA_AFILIACION", "Identificación")
        return country.call(f"{client}/AFIL", provider, "buscarBeneficiario", {"curp": SPECIMEN}, why)
    why = Call("PUR-AFIL", case, "ANALISTA_AFILIACION", "Verificar")
    return country.call(f"{client}/AFIL", provider, "consultarAfiliacion", {"pid": NOBODY}, why)


def _resident_mib(country: Country) -> float:
    """What the processes of the country hold in memory now."""
    pages = 0
    for process in country.federation.processes.values():
        statm = Path(f"/proc/{process.pid}/statm")
        pages += int(statm.read_text(encoding="ascii").split()[1]) if statm.exists() else 0
    return pages * 4096 / 2**20


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.nation")
    parser.add_argument("--institutes", type=int, default=INSTITUTES)
    parser.add_argument("--dir", type=Path, default=Path(".nation"))
    options = parser.parse_args()
    folder = options.dir.absolute()
    shutil.rmtree(folder, ignore_errors=True)
    rows = run(folder, free_base(), options.institutes)
    for what, measured, ok in rows:
        print(f"S15  {'ok' if ok else 'MISSED':6}  {what:48}  {measured:>16}", flush=True)
    sys.exit(0 if all(ok for _, _, ok in rows) else 1)


if __name__ == "__main__":
    main()
