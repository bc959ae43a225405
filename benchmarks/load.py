"""Whole round trips through real processes, as ratios within one run: ``make bench``, or ``python -m benchmarks.load``.

Four cases take the same request to the same service: (a) directly, (b) through a bare aiohttp double proxy with mutual TLS
that neither signs nor logs, (c) through two gateways with P-256 keys, (d) with RSA-2048. They take turns, round by round, so
that a machine whose speed drifts slows all of them; quote the ratios. Processor time is that of the two processes in the
middle, over the answers they gave. Everything listens on loopback and each turn is bounded in time.

By how much the message log grows with an exchange follows, then bodies of several sizes through (b) and (c), four
connections each.

Another case (another protocol, another payload) is one more `Case` in `cases`. Rows go to ``history.csv``.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from benchmarks.federation import Federation, GatewaySpec, free_base
from benchmarks.processes import Cost, cost_of, machine
from certs.dev.authority import DevPki
from schemas import soap
from schemas.identifiers import ClientId, ServerId, ServiceId

if TYPE_CHECKING:
    from collections.abc import Sequence

HISTORY = Path(__file__).parent / "history.csv"
COLUMNS = ("commit", "date", "machine", "case", "connections", "figure", "value")
BODIES = (10_000, 100_000, 1_000_000, 20_000_000)
BODY_CONNECTIONS = 4
# By then a gateway has closed the connections that a burst left, and given back what they held.
REST_S = 20.0
# Above this load average of a minute at the beginning, rows say that the machine was loaded.
QUIET_LOAD = 1.5
# How such a row's machine ends.
LOADED = ", loaded"
PAYLOAD = json.dumps({"curp": "LOOA531113HTCPBN07", "periodo": "2026-01", "nota": "x" * 900}).encode()


@dataclass(frozen=True, slots=True)
class Case:
    """One way to the service: where to connect, what to send, and which processes stand in between."""

    name: str
    label: str
    host: str
    port: int
    request: bytes
    between: tuple[str, ...] = ()


@dataclass(slots=True)
class Figures:
    """What the turns of one case at one number of connections brought."""

    turns: list[dict[str, float]] = field(default_factory=list)

    def median(self, name: str) -> float:
        """The median of a figure over the turns."""
        return statistics.median(t[name] for t in self.turns)


def http_request(
    host: str,
    path: str,
    headers: Sequence[tuple[str, str]],
    body: bytes,
    content_type: str = "application/json",
) -> bytes:
    """The bytes of one POST that keeps its connection."""
    lines = [f"POST {path} HTTP/1.1", f"Host: {host}", f"Content-Type: {content_type}"]
    lines += [f"{n}: {v}" for n, v in (*headers, ("Content-Length", str(len(body))))]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


# The processes


def gateway_specs(base: str) -> list[GatewaySpec]:
    """Two pairs of gateways, one with P-256 keys and one with RSA-2048."""
    specs = []
    for number, kind in ((10, "ec-p256"), (20, "rsa-2048")):
        tag = kind.partition("-")[0].upper()
        consumer, provider = f"CONS-{tag}", f"PROV-{tag}"
        specs += [
            GatewaySpec(
                consumer,
                consumer,
                f"{base}.{number}",
                ["SYS"],
                f'[[client]]\nid = "MX/GOB/{consumer}/SYS"\nconnection = "HTTP"\n',
                kind,
                'log_level = "warning"',
            ),
            GatewaySpec(
                provider,
                provider,
                f"{base}.{number + 1}",
                ["SYS"],
                f'[[client]]\nid = "MX/GOB/{provider}/SYS"\nconnection = "HTTP"\n[[client.service]]\ncode = "echo"\n'
                f'url = "http://{base}.30:9000"\n[[client.service.allow]]\nsubject = "MX/GOB/{consumer}/SYS"\n'
                f'[[client.service]]\ncode = "soapEcho"\ntype = "WSDL"\nurl = "http://{base}.30:9000/soap"\n'
                f'[[client.service.allow]]\nsubject = "MX/GOB/{consumer}/SYS"\n',
                kind,
                'log_level = "warning"',
            ),
        ]
    return specs


def write_proxy_certificates(folder: Path) -> None:
    """An authority and a pair for each half of the bare proxy; P-256."""
    pki = DevPki.create(folder / "authority")
    chain = pki.intermediate.public_bytes(serialization.Encoding.PEM)
    (folder / "ca.pem").write_bytes(pki.root.public_bytes(serialization.Encoding.PEM) + chain)
    for side in ("consumer", "provider"):
        key = ec.generate_private_key(ec.SECP256R1())
        issued = pki.issue_auth(key.public_key(), ServerId("MX", "GOB", side, "SS1"), "localhost")
        (folder / f"{side}.pem").write_bytes(issued.public_bytes(serialization.Encoding.PEM) + chain)
        (folder / f"{side}.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )


def start_proxies(federation: Federation, folder: Path) -> None:
    """Start both halves of the bare proxy in front of the echo service."""
    base = federation.base
    folder.mkdir()
    write_proxy_certificates(folder)
    for side, host, port, onward in (
        ("provider", f"{base}.31", 5500, f"http://{base}.30:9000"),
        ("consumer", f"{base}.32", 8080, f"https://{base}.31:5500"),
    ):
        arguments = ["--side", side, "--host", host, "--port", str(port), "--onward", onward]
        federation.start(f"bare-{side}", "benchmarks.bareproxy", *arguments, "--certificates", str(folder))
    federation.wait_for(f"http://{base}.32:8080/")


def cases(base: str, payload: bytes = PAYLOAD) -> list[Case]:
    """What is measured, the baselines first."""
    found = [
        Case("a", "service directly", f"{base}.30", 9000, http_request("s", "/echo", (), payload)),
        Case(
            "b",
            "bare double mTLS proxy",
            f"{base}.32",
            8080,
            http_request("s", "/echo", (), payload),
            ("bare-consumer", "bare-provider"),
        ),
    ]
    for name, tag, label, number in (
        ("c", "EC", "gateways, P-256", 10),
        ("d", "RSA", "gateways, RSA-2048", 20),
    ):
        request = http_request(
            "s", f"/r1/MX/GOB/PROV-{tag}/SYS/echo", (("X-Road-Client", f"MX/GOB/CONS-{tag}/SYS"),), payload
        )
        found.append(Case(name, label, f"{base}.{number}", 8080, request, (f"CONS-{tag}", f"PROV-{tag}")))
    for name, tag, number in (("e", "EC", 10), ("f", "RSA", 20)):
        label = f"SOAP, {'P-256' if tag == 'EC' else 'RSA-2048'}"
        request = http_request("s", "/", (), soap_envelope(tag), soap.CONTENT_TYPE)
        found.append(Case(name, label, f"{base}.{number}", 8080, request, (f"CONS-{tag}", f"PROV-{tag}")))
    return found


def soap_envelope(tag: str) -> bytes:
    """A request whose body carries as much as the REST payload."""
    client, provider = (ClientId("MX", "GOB", f"{side}-{tag}", "SYS") for side in ("CONS", "PROV"))
    body = f'<t:soapEcho xmlns:t="urn:t"><t:text>{"x" * len(PAYLOAD)}</t:text></t:soapEcho>'
    return soap.render_request(client, ServiceId(provider, "soapEcho"), "bench", body)


def start_up_s(federation: Federation, spec: GatewaySpec) -> float:
    """Seconds from the start of a gateway's process until it can exchange messages."""
    federation.kill(spec.member)
    begun = time.monotonic()
    federation.start_gateway(spec, wait=False)
    federation.wait_for(f"http://{spec.address}:5588/")
    return time.monotonic() - begun


# Measuring


def costs(federation: Federation, names: Sequence[str]) -> list[Cost]:
    """What the named processes cost so far; empty where that cannot be known."""
    found = [cost_of(federation.processes[name].pid) for name in names]
    return [c for c in found if c is not None]


def press(case: Case, connections: int, seconds: float) -> dict[str, float]:
    """One turn by a generator process. Raises RuntimeError when an answer was not 200."""
    arguments = ["--connections", str(connections), "--seconds", str(seconds)]
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.generator", case.host, str(case.port), *arguments],
        input=case.request,
        capture_output=True,
        timeout=seconds + 90,
        check=False,
    )
    if run.returncode:
        raise RuntimeError(f"the load generator failed: {run.stderr.decode()[-2000:]}")
    turn: dict[str, float] = json.loads(run.stdout)
    if turn["refused"] or turn["broken"] or not turn["round_trips"]:
        raise RuntimeError(f"case {case.name} at {connections} connections was not answered: {turn}")
    return turn


def measure(
    federation: Federation, every: Sequence[Case], connections: int, turns: int, seconds: float
) -> dict[str, Figures]:
    """The figures of every case at one number of connections, taken in turns."""
    figures = {case.name: Figures() for case in every}
    for _ in range(turns):
        for case in every:
            before = sum(c.cpu_s for c in costs(federation, case.between))
            turn = press(case, connections, seconds)
            spent = sum(c.cpu_s for c in costs(federation, case.between)) - before
            turn["cpu_ms"] = spent * 1000 / turn["round_trips"]
            figures[case.name].turns.append(turn)
    return figures


def ratio(figures: dict[str, Figures], name: str, to: str) -> float:
    """Round trips per second of one case over another's, the median of the turns' own ratios."""
    pairs = zip(figures[name].turns, figures[to].turns, strict=True)
    return statistics.median(x["per_second"] / y["per_second"] for x, y in pairs)


class Table:
    """Prints figures and keeps them as rows for the history."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, int, str, float]] = []
        self.machine = machine() + (LOADED if os.getloadavg()[0] > QUIET_LOAD else "")

    def keep(self, case: str, connections: int, figure: str, value: float) -> None:
        """Remember one figure."""
        self.rows.append((case, connections, figure, round(value, 3)))

    def show(self, every: Sequence[Case], connections: int, figures: dict[str, Figures]) -> None:
        """Print what one number of connections brought."""
        print(f"\n{connections} connection{'s' if connections > 1 else ''}")
        print(
            f"  {'':28}{'round trips/s':>14}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}{'CPU ms':>9}{'to (b)':>9}"
        )
        for case in every:
            found = figures[case.name]
            values = [found.median(n) for n in ("per_second", "p50_ms", "p95_ms", "p99_ms", "cpu_ms")]
            to_bare = ratio(figures, case.name, "b")
            for name, value in zip(
                ("per_second", "p50_ms", "p95_ms", "p99_ms", "cpu_ms"), values, strict=True
            ):
                self.keep(case.name, connections, name, value)
            self.keep(case.name, connections, "ratio_to_b", to_bare)
            cpu = f"{values[4]:9.2f}" if case.between else f"{'':9}"
            print(
                f"  ({case.name}) {case.label:24}{values[0]:14.0f}{values[1]:9.2f}{values[2]:9.2f}{values[3]:9.2f}"
                f"{cpu}{to_bare:9.2f}"
            )

    def append_to(self, path: Path) -> None:
        """Append the rows to the history."""
        commit = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"],
            capture_output=True,
            text=True,
            check=False,
        ).stdout.strip()
        date = datetime.now(UTC).strftime("%Y-%m-%d")
        is_new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            if is_new:
                writer.writerow(COLUMNS)
            writer.writerows((commit, date, self.machine, *row) for row in self.rows)


def show_bodies(
    federation: Federation, sizes: Sequence[int], turns: int, seconds: float, table: Table
) -> None:
    """Print what bodies of other sizes cost through the bare proxy and through gateways: megabytes are of one direction."""
    print(
        f"\n{'body, bytes':>12}{'bare MB/s':>12}{'CPU ms':>9}{'gateways MB/s':>15}{'CPU ms':>9}{'to (b)':>9}"
    )
    for size in sizes:
        payload = b'{"x": "' + b"x" * (size - 9) + b'"}'
        both = [c for c in cases(federation.base, payload) if c.name in "bc"]
        figures = measure(federation, both, BODY_CONNECTIONS, turns, seconds)
        columns = []
        for name in "bc":
            rate = figures[name].median("per_second") * size / 1e6
            table.keep(f"{name} {size}", BODY_CONNECTIONS, "megabytes_per_second", rate)
            table.keep(f"{name} {size}", BODY_CONNECTIONS, "cpu_ms", figures[name].median("cpu_ms"))
            columns += [rate, figures[name].median("cpu_ms")]
        to_bare = ratio(figures, "c", "b")
        table.keep(f"c {size}", BODY_CONNECTIONS, "ratio_to_b", to_bare)
        print(
            f"{size:12}{columns[0]:12.1f}{columns[1]:9.2f}{columns[2]:15.1f}{columns[3]:9.2f}{to_bare:9.2f}"
        )


def log_bytes(folder: Path) -> int:
    """Bytes of a message log's files; SQLite's write-ahead files, which stay at the size they once reached, left out."""
    files = (f for f in folder.rglob("*") if f.is_file() and not f.name.endswith(("-wal", "-shm")))
    return sum(f.stat().st_size for f in files)


def show_log(
    federation: Federation, every: Sequence[Case], specs: Sequence[GatewaySpec], seconds: float, table: Table
) -> None:
    """Print by how many bytes the message log of the consumer's side grows with an exchange: records, tiles, indices."""
    for case in (c for c in every if c.name in "ce"):
        log = federation.data(next(s for s in specs if s.member == case.between[0])) / "log"
        press(case, 32, seconds / 4)  # the write-ahead file is full from here on
        before = log_bytes(log)
        turn = press(case, 32, seconds)
        grown = (log_bytes(log) - before) / turn["round_trips"]
        table.keep(case.name, 32, "log_bytes", grown)
        print(f"({case.name}) {case.label}: {grown:.0f} bytes of message log a side for each exchange")


def show_rest(
    federation: Federation, specs: Sequence[GatewaySpec], connections: int, seconds: float, table: Table
) -> None:
    """Print what is resident at once after a run at so many connections, and when it has been over for `REST_S`."""
    case = next(c for c in cases(federation.base) if c.name == "c")
    press(case, connections, seconds)
    print()
    for figure, after_s in (("busy_mib", 0.0), ("rested_mib", REST_S)):
        time.sleep(after_s)
        for spec in (s for s in specs if s.member in case.between):
            for found in costs(federation, [spec.member]):
                table.keep(spec.member, connections, figure, found.resident_mib)
                print(
                    f"{spec.member:10} {found.resident_mib:6.0f} MiB resident {after_s:g} s after {connections} connections"
                )


def show_resources(federation: Federation, specs: Sequence[GatewaySpec], table: Table) -> None:
    """Memory after all that load, and how long a start takes."""
    print()
    for spec in specs:
        found = costs(federation, [spec.member])
        if found:
            table.keep(spec.member, 0, "resident_mib", found[0].resident_mib)
            table.keep(spec.member, 0, "peak_mib", found[0].peak_mib)
            print(
                f"{spec.member:10} {found[0].resident_mib:6.0f} MiB resident, {found[0].peak_mib:.0f} at its highest"
            )
    took = [start_up_s(federation, specs[0]) for _ in range(3)]
    table.keep(specs[0].member, 0, "start_up_s", statistics.median(took))
    print(f"start-up until messages can be exchanged: {statistics.median(took):.2f} s (median of 3)")


def run(options: argparse.Namespace, folder: Path) -> None:
    """Start everything, measure, print, append to the history, stop everything."""
    base = free_base()
    specs = gateway_specs(base)
    # Compiled once, as an installed package is: else each start would compile all of it again.
    compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(folder / "compiled")}
    federation = Federation(folder, specs, base=base, environment=compiled, dies_with_us=True)
    federation.set_up()
    table = Table()
    try:
        federation.start("echo", "benchmarks.echo", "--host", f"{base}.30")
        federation.start_all()
        federation.wait_for(f"http://{base}.30:9000/")
        start_proxies(federation, folder / "proxies")
        every = [c for c in cases(base) if c.name in options.cases]
        print(
            f"{machine()}; {len(PAYLOAD)} bytes each way; {options.turns} turns of {options.seconds:g} s each"
        )
        for case in every:  # connections, caches and first proofs are not what is measured
            press(case, 8, 0.5)
        for connections in options.connections:
            table.show(
                every, connections, measure(federation, every, connections, options.turns, options.seconds)
            )
        if options.connections:
            show_rest(federation, specs, max(options.connections), options.seconds, table)
        show_log(federation, every, specs, 2 * options.seconds, table)
        show_bodies(federation, options.bodies, options.turns, options.seconds, table)
        if options.connections:  # without load there is nothing to see of it
            show_resources(federation, specs, table)
    finally:
        federation.stop()
    if not options.dry:
        table.append_to(HISTORY)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--connections", type=int, nargs="*", default=[1, 32, 256])
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a turn")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--cases", default="abcdef", help="which cases to run; b must be among them")
    parser.add_argument("--bodies", type=int, nargs="*", default=BODIES, help="sizes of other bodies, bytes")
    parser.add_argument("--dry", action="store_true", help="do not append to the history")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sacbe-bench-") as folder:
        run(options, Path(folder))


if __name__ == "__main__":
    main()
