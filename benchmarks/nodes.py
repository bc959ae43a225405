"""Places of the consumer's message log and numbers of workers, side by side: SQLite, PostgreSQL, and 2 and 4 workers over it.

    python -m benchmarks.nodes

Each is a copy of one gateway with a place of its own; all run at once, one is pressed at a time, in turns, so that what else the
machine does falls on all alike. The provider's gateway, the service and the generator share the machine with them: on two cores
a second worker has what these leave. Rows go to ``history.csv`` as cases ``sqlite``, ``postgres``, ``2 workers`` and ``4 workers``.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.federation import Federation, free_base
from benchmarks.load import HISTORY, PAYLOAD, Case, Figures, Table, gateway_specs, http_request, press
from benchmarks.processes import cost_of
from tests.postgres import Cluster

WORKERS = {"sqlite": 1, "postgres": 1, "2 workers": 2, "4 workers": 4}
START_S = 120.0


def processes_of(pid: int) -> list[int]:
    """A process and its children, which are a gateway's workers."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [pid, *map(int, children)]


def cpu_s(federation: Federation, name: str) -> float:
    """Processor seconds of a gateway so far, its workers' among them."""
    found = [cost_of(pid) for pid in processes_of(federation.processes[name].pid)]
    return sum(c.cpu_s for c in found if c is not None)


def start_places(federation: Federation, cluster: Cluster) -> dict[str, Case]:
    """A gateway for every place; what presses it, by its name."""
    spec = federation.gateways[0]
    federation.kill(spec.key, signal.SIGTERM)
    request = http_request(
        "s", "/r1/MX/GOB/PROV-EC/SYS/echo", (("X-Road-Client", "MX/GOB/CONS-EC/SYS"),), PAYLOAD
    )
    cases = {}
    for number, (name, workers) in enumerate(WORKERS.items()):
        folder, address = federation.folder / f"place-{number}", f"{federation.base}.{40 + number}"
        shutil.copytree(federation.data(spec), folder)
        (folder / "settings.toml").write_text(
            f'log_level = "warning"\n[listen]\nconsumer_host = "{address}"\npeer_host = "{address}"\nhealth_host = "{address}"\n',
            encoding="utf-8",
        )
        if name != "sqlite":
            move = ["storage", "move", "--data", str(folder), "--to", cluster.new_database()]
            subprocess.run([sys.executable, "-m", "gateway", *move], check=True, stdout=subprocess.DEVNULL)
        pin = str(federation.folder / "pin")
        federation.start(
            name, "gateway", "serve", "--data", str(folder), "--pin-file", pin, "--workers", str(workers)
        )
        cases[name] = Case(name, name, address, 8080, request, (name,))
    for case in cases.values():
        federation.wait_for(f"http://{case.host}:5588/")
    return cases


def run(options: argparse.Namespace) -> None:
    """Start everything, measure in turns, print, append to the history, stop everything."""
    base, table = free_base(), Table()
    cluster = Cluster(is_durable=True)
    with tempfile.TemporaryDirectory() as folder:
        federation = Federation(
            Path(folder) / "federation",
            gateway_specs(base)[:2],
            base=base,
            start_timeout_s=START_S,
            dies_with_us=True,
        )
        try:
            federation.set_up()
            federation.start("echo", "benchmarks.echo", "--host", f"{base}.30")
            federation.start_all()
            cases = start_places(federation, cluster)
            for case in cases.values():  # connections, caches and first proofs are not what is measured
                press(case, 32, 3)
            for connections in options.connections:
                figures = {name: Figures() for name in cases}
                for _ in range(options.turns):
                    for name, case in cases.items():
                        before = cpu_s(federation, name)
                        turn = press(case, connections, options.seconds)
                        turn["cpu_ms"] = (cpu_s(federation, name) - before) * 1000 / turn["round_trips"]
                        figures[name].turns.append(turn)
                for name, found in figures.items():
                    for figure in ("per_second", "p50_ms", "p99_ms", "cpu_ms"):
                        table.keep(name, connections, figure, found.median(figure))
                    print(
                        f"{name:>12} {connections:4} connections: {found.median('per_second'):7.1f}/s, p50 "
                        f"{found.median('p50_ms'):6.1f} ms, p99 {found.median('p99_ms'):6.1f} ms, {found.median('cpu_ms'):5.2f} ms CPU",
                        flush=True,
                    )
        finally:
            federation.stop()
            cluster.remove()
    if not options.dry:
        table.append_to(HISTORY)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--connections", type=int, nargs="*", default=[1, 32])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--dry", action="store_true", help="do not append to the history")
    run(parser.parse_args())


if __name__ == "__main__":
    main()
