"""Places of the consumer's message log, workers and nodes, side by side: SQLite, PostgreSQL, 2 and 4 workers and 2 and 3 nodes over it.

    python -m benchmarks.nodes

Each is a copy of one gateway with a place of its own; all run at once, one is pressed at a time, in turns, so that what else the
machine does falls on all alike. Nodes are pressed at the same time, each by its share of the connections. The provider's gateway,
the service and the generator share the machine with them: on two cores a second worker or node has what these leave. Rows go to
``history.csv`` as cases ``sqlite``, ``postgres``, ``2 workers``, ``4 workers``, ``2 nodes`` and ``3 nodes``.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.federation import Federation, free_base
from benchmarks.load import HISTORY, PAYLOAD, Case, Figures, Table, gateway_specs, http_request, press
from benchmarks.processes import cost_of
from serving.storage.postgres import CONNECTIONS_OF_NODE
from tests.postgres import Cluster

if TYPE_CHECKING:
    from collections.abc import Sequence

# Of each place how many nodes and how many workers a node.
PLACES = {
    "sqlite": (1, 1),
    "postgres": (1, 1),
    "2 workers": (1, 2),
    "4 workers": (1, 4),
    "2 nodes": (2, 1),
    "3 nodes": (3, 1),
}
START_S = 120.0


def processes_of(pid: int) -> list[int]:
    """A process and its children, which are a gateway's workers."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [pid, *map(int, children)]


def cpu_s(federation: Federation, every: Sequence[Case]) -> float:
    """Processor seconds of the nodes of a gateway so far, their workers' among them."""
    names = [name for case in every for name in case.between]
    found = [cost_of(pid) for name in names for pid in processes_of(federation.processes[name].pid)]
    return sum(c.cpu_s for c in found if c is not None)


def press_all(every: Sequence[Case], connections: int, seconds: float) -> dict[str, float]:
    """One turn at every node at once: round trips of all together, and the slowest node's times."""
    share = max(1, connections // len(every))
    with ThreadPoolExecutor(len(every)) as pool:
        turns = list(pool.map(lambda case: press(case, share, seconds), every))
    together = {name: sum(turn[name] for turn in turns) for name in ("per_second", "round_trips")}
    return together | {name: max(turn[name] for turn in turns) for name in ("p50_ms", "p99_ms")}


def start_places(
    federation: Federation, cluster: Cluster, places: Sequence[str]
) -> dict[str, Sequence[Case]]:
    """The nodes of a gateway for every place; what presses each, by the place's name."""
    spec = federation.gateways[0]
    federation.kill(spec.key, signal.SIGTERM)
    request = http_request(
        "s", "/r1/MX/GOB/PROV-EC/SYS/echo", (("X-Road-Client", "MX/GOB/CONS-EC/SYS"),), PAYLOAD
    )
    cases: dict[str, Sequence[Case]] = {}
    for place in places:
        nodes, workers = PLACES[place]
        made = [make_node(federation, f"{place} {n}", 40 + n + 10 * len(cases)) for n in range(nodes)]
        if place != "sqlite":
            share_database(federation, cluster, [name for name, _ in made])
        pin = ["--pin-file", str(federation.folder / "pin"), "--workers", str(workers)]
        for name, _ in made:
            folder = str(federation.folder / name)
            federation.start(name, "gateway", "serve", "--data", folder, *pin)
        cases[place] = [Case(name, place, address, 8080, request, (name,)) for name, address in made]
    for case in (case for every in cases.values() for case in every):
        federation.wait_for(f"http://{case.host}:5588/")
    return cases


def make_node(federation: Federation, name: str, number: int) -> tuple[str, str]:
    """A copy of the consumer's gateway at an address of its own; its name and address."""
    folder, address = federation.folder / name, f"{federation.base}.{number}"
    shutil.copytree(federation.data(federation.gateways[0]), folder)
    (folder / "settings.toml").write_text(
        f'log_level = "warning"\n[listen]\nconsumer_host = "{address}"\npeer_host = "{address}"\nhealth_host = "{address}"\n',
        encoding="utf-8",
    )
    return name, address


def share_database(federation: Federation, cluster: Cluster, names: Sequence[str]) -> None:
    """Move the state of the first node into a fresh database, which the others name as well."""
    database = cluster.new_database()
    move = ["storage", "move", "--data", str(federation.folder / names[0]), "--to", database]
    subprocess.run([sys.executable, "-m", "gateway", *move], check=True, stdout=subprocess.DEVNULL)
    for number, name in enumerate(names):
        settings = federation.folder / name / "settings.toml"
        text = settings.read_text(encoding="utf-8").partition("[node]")[0]
        settings.write_text(
            f'{text}\n[node]\nname = "node-{number}"\ndatabase = "{database}"\n', encoding="utf-8"
        )


def run(options: argparse.Namespace) -> None:
    """Start everything, measure in turns, print, append to the history, stop everything."""
    base, table = free_base(), Table()
    processes = sum(nodes * workers for nodes, workers in PLACES.values())
    cluster = Cluster(is_durable=True, connections=CONNECTIONS_OF_NODE * (processes + 1))
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
            cases = start_places(federation, cluster, options.places)
            for every in cases.values():  # connections, caches and first proofs are not what is measured
                press_all(every, 32, 3)
            for connections in options.connections:
                figures = {name: Figures() for name in cases}
                for _ in range(options.turns):
                    for name, every in cases.items():
                        before = cpu_s(federation, every)
                        turn = press_all(every, connections, options.seconds)
                        turn["cpu_ms"] = (cpu_s(federation, every) - before) * 1000 / turn["round_trips"]
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
    parser.add_argument("--places", nargs="*", choices=[*PLACES], default=[*PLACES])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--dry", action="store_true", help="do not append to the history")
    run(parser.parse_args())


if __name__ == "__main__":
    main()
