"""``make scenarios``: every scenario through real gateways, a row each, and a scan of what was written for CURPs.

Then a variation for each fault that was found beside them (V01 to V27), over every system's services in one process.

``--only S03 V04`` runs some. Exit 0 when everything held, 1 when not. Everything is made anew in ``--dir``.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path

from benchmarks.country import Country
from benchmarks.federation import free_base
from benchmarks.scenarios import accesses, governance, incidents, mobility, people, rights, scan
from benchmarks.scenarios.stage import Failed, Outcome, Stage
from benchmarks.scenarios.variations import VARIATIONS
from benchmarks.scenarios.variations import play as play_variation

CODES = ("00-RNSS", "00-ONIESS", "15-ISSEMYM", "26-ISSSTESON", "30-IPE", "22-MQRO", "15-GARANTE")
PLATFORM_PORT = 9100
SCENARIOS = {
    "S01": governance.s01,
    "S02": mobility.s02,
    "S03": mobility.s03,
    "S04": mobility.s04,
    "S05": rights.s05,
    "S06": rights.s06,
    "S07": rights.s07,
    "S08": accesses.s08,
    "S09": accesses.s09,
    "S10": governance.s10,
    "S11": people.s11,
    "S12": people.s12,
    "S13": people.s13,
    "S14": incidents.s14,
}


def main() -> None:
    """Run them."""
    parser = argparse.ArgumentParser(prog="make scenarios")
    parser.add_argument(
        "--only", nargs="*", choices=sorted({*SCENARIOS, *VARIATIONS}), help="these (S01 always runs)"
    )
    parser.add_argument("--dir", type=Path, default=Path(".scenarios"))
    parser.add_argument("--base", default="", help="loopback network; left out: a free one")
    options = parser.parse_args()
    folder = options.dir.absolute()
    shutil.rmtree(folder, ignore_errors=True)
    chosen = options.only or sorted({*SCENARIOS, *VARIATIONS})
    outcomes = run(folder, options.base or free_base(), [n for n in chosen if n in SCENARIOS])
    for name in (n for n in chosen if n in VARIATIONS):
        outcomes.append(play_variation(name))
        _print(outcomes[-1])
    sys.exit(1 if any(o.failures for o in outcomes) else 0)


def run(folder: Path, base: str, names: list[str], *, quota: int | None = None) -> list[Outcome]:
    """The outcomes, each printed as it comes. ``quota``: another number of look-ups a day than the pack's 2,000."""
    country = Country(
        folder,
        CODES,
        base,
        clock=True,
        quota=quota,
        system_settings={
            "": f'platform = "http://{base}.12:{PLATFORM_PORT}/registros"',
            "00-ONIESS": "collect_s = 10",
        },
    )
    country.set_clock("2026-03-02T09:00:00-06:00")
    outcomes: list[Outcome] = []
    try:
        country.set_up()
        country.start()
        country.federation.start(
            "plataforma", "benchmarks.scenarios.platform", f"{base}.12", str(PLATFORM_PORT)
        )
        country.federation.wait_for(f"http://{base}.12:{PLATFORM_PORT}/")
        for name in sorted({"S01", *names}):
            outcomes.append(_play(country, name))
            _print(outcomes[-1])
        outcomes.append(scan.scan(country))
        _print(outcomes[-1])
    finally:
        country.stop()
    return outcomes


def _play(country: Country, name: str) -> Outcome:
    play = SCENARIOS[name]
    outcome = Outcome(name, (play.__doc__ or "").splitlines()[0])
    started = time.monotonic()
    try:
        play(Stage(country, outcome))
    except Failed as err:
        if str(err) not in outcome.failures:
            outcome.failures.append(str(err))
    except Exception as err:  # a scenario that breaks is a failed one; the others still run
        outcome.failures.append(f"{type(err).__name__}: {err}")
    outcome.took_s = time.monotonic() - started
    return outcome


def _print(o: Outcome) -> None:
    state = "ok" if not o.failures else "FAILED"
    print(
        f"{o.name}  {state:6}  {o.checks:3} checks  {o.containers:3} containers verified  {o.took_s:5.1f} s  {o.title}",
        flush=True,
    )
    for figure in o.figures:
        print(f"        {figure}", flush=True)
    for failure in o.failures:
        print(f"        {failure[:400]}", flush=True)


if __name__ == "__main__":
    main()
