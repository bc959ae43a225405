"""A registered consumer's times, quiet and under attack: ``.venv/bin/python -m benchmarks.underattack``.

Two gateways, a central server and their systems as processes with ``--files`` files each. One consumer system asks at an even
pace, first alone, then while

- ``--strangers`` connections from a hundred addresses hold on to the listeners: half handshakes (5500, 8443, 4001), half heads,
  bodies that drip and silence (8080 of a gateway and of the central server); whoever is closed comes again within seconds,
- a registered peer sends a hash chain bomb a second, signed (`benchmarks.peerbomb`),
- an administrator's program posts one WSDL bomb after the other to the consumer's gateway.

Times count from when a request was due, so a stall is not hidden by the requests that wait behind it. Exits 1 when the 99th
percentile under attack is above ``--ratio`` times the quiet one, a request failed, or an attack did not come about. Processes of the attack get the
processor time that is left (SCHED_IDLE, or ``--nice``) and none of the consumer's: they would be other machines. How far each attack came is said. Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import uvloop
from aiohttp import web

from benchmarks.federation import Federation, GatewaySpec, free_base, run_command
from benchmarks.generator import percentile
from benchmarks.load import PAYLOAD, http_request
from benchmarks.processes import machine
from gateway.cli.main import main as gateway_command

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CLIENT_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
HALF_HEAD = b"GET /r1/MX HTTP/1.1\r\nHost: x\r\nX-A: "
DRIPPING = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: text/xml\r\nContent-Length: 1000000\r\n\r\n<"
DRIP_S = 5.0
RETRY_S = 10.0
ADDRESSES = 100
ATTACKS = ("strangers", "chains", "wsdl")
# A consumer that waits longer than this behind its own requests gives up.
LATEST_S = 30.0


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of stranger: where it connects, what it says first, and of how many parts it is one."""

    number: int  # the last octet of the address
    port: int
    says: bytes
    weight: int


# Addresses: 1 the central server, 10 the consumer's gateway, 11 the provider's.
KINDS = (
    Kind(10, 8080, HALF_HEAD, 4),
    Kind(10, 8080, DRIPPING, 4),
    Kind(10, 8080, b"", 1),
    Kind(10, 8443, CLIENT_HELLO, 3),
    Kind(10, 5500, CLIENT_HELLO, 2),
    Kind(11, 5500, CLIENT_HELLO, 4),
    Kind(1, 4001, CLIENT_HELLO, 1),
    Kind(1, 8080, HALF_HEAD, 1),
)


# Strangers, in a process of their own


@dataclass(slots=True)
class Tally:
    """Of all strangers: connections now, connections in all, and attempts that were not let in."""

    connections: int = 0
    made: int = 0
    refused: int = 0


async def stranger(base: str, number: int, kind: Kind, tally: Tally) -> None:
    """Hold on, and come again when closed; until cancelled."""
    address = f"{base}.{101 + number % ADDRESSES}"
    await asyncio.sleep(random.random() * RETRY_S)
    while True:
        try:
            async with asyncio.timeout(30):
                reader, writer = await asyncio.open_connection(
                    f"{base}.{kind.number}", kind.port, local_addr=(address, 0)
                )
        except OSError:
            tally.refused += 1
            await asyncio.sleep(RETRY_S)
            continue
        tally.connections += 1
        tally.made += 1
        with contextlib.suppress(OSError):
            await _hold(reader, writer, kind)
        tally.connections -= 1
        writer.close()
        await asyncio.sleep(RETRY_S * (0.5 + random.random()))


async def _hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kind: Kind) -> None:
    writer.write(kind.says)
    closed = asyncio.ensure_future(reader.read(65536))
    try:
        while not closed.done():
            await asyncio.wait([closed], timeout=DRIP_S)
            if not closed.done() and kind.says and kind.says != CLIENT_HELLO:
                writer.write(b"a")
    finally:
        closed.cancel()


async def strangers(base: str, count: int) -> None:
    """All of them, until this process is ended; a line a second says how they fare."""
    tally = Tally()
    kinds = [kind for kind in KINDS for _ in range(kind.weight)]
    crowd = [asyncio.create_task(stranger(base, n, kinds[n % len(kinds)], tally)) for n in range(count)]
    while crowd:
        print(
            f"{tally.connections} connections held, {tally.made} made, {tally.refused} not let in", flush=True
        )
        await asyncio.sleep(1)


# The consumer


@dataclass(slots=True)
class Times:
    """What a paced consumer met; milliseconds."""

    taken: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    idle: float = 0.0  # the processors' share meanwhile; none left: the machine was measured, not the servers

    def at(self, percent: int) -> float:
        """A percentile."""
        return percentile([int(t * 1000) for t in sorted(self.taken)], percent) / 1000

    def summary(self) -> str:
        """One line."""
        figures = "  ".join(f"p{p} {self.at(p):7.1f} ms" for p in (50, 95, 99))
        figures += f"  processors idle {self.idle:3.0%}"
        return f"{figures}  longest {max(self.taken, default=0):7.1f} ms  {len(self.taken)} answered, {len(self.failed)} failed"


async def consume(host: str, request: bytes, *, connections: int, each_s: float, seconds: float) -> Times:
    """Ask on kept-alive connections, each every ``each_s``; a broken one is opened again and its request counts as failed."""
    times, loop = Times(), asyncio.get_running_loop()
    end = loop.time() + seconds

    async def one(number: int) -> None:
        due = loop.time() + each_s * number / connections
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        while due < end and loop.time() < end + LATEST_S:
            await asyncio.sleep(due - loop.time())
            try:
                async with asyncio.timeout(30):
                    streams = streams or await asyncio.open_connection(host, 8080)
                    status = await _ask(*streams, request)
                if status != 200:
                    times.failed.append(str(status))
                else:
                    times.taken.append((loop.time() - due) * 1000)
            except (OSError, EOFError, asyncio.IncompleteReadError) as err:
                times.failed.append(type(err).__name__)
                streams = None
            due += each_s
        if streams is not None:
            streams[1].close()

    before = _processor_ticks()
    await asyncio.gather(*(one(n) for n in range(connections)))
    spent = [after - first for first, after in zip(before, _processor_ticks(), strict=True)]
    times.idle = spent[3] / max(1, sum(spent))
    return times


def _processor_ticks() -> list[int]:
    """Ticks of all processors since the start: user, nice, system, idle, and what else proc(5) tells of /proc/stat."""
    return [int(ticks) for ticks in Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]]


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> int:
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
    await reader.readexactly(int(length or b"0"))
    return int(head[9:12])


# The other attacks


def wsdl_bomb(operations: int) -> bytes:
    """As many operations as a description may have, each referred to by a binding."""
    ports = "".join(f'<operation name="op{n}"><input message="t:m"/></operation>' for n in range(operations))
    bound = "".join(
        f'<operation name="op{n}"><s:operation soapAction=""/></operation>' for n in range(operations)
    )
    return (
        '<definitions xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:s="http://schemas.xmlsoap.org/wsdl/soap/" '
        'xmlns:t="urn:t" targetNamespace="urn:t"><message name="m"/>'
        f'<portType name="p">{ports}</portType><binding name="b" type="t:p">'
        f'<s:binding transport="http://schemas.xmlsoap.org/soap/http"/>{bound}</binding>'
        '<service name="s"><port name="q" binding="t:b"><s:address location="http://h/"/></port></service></definitions>'
    ).encode()


@contextlib.asynccontextmanager
async def serving_bomb(host: str) -> AsyncIterator[str]:
    """An address that gives the WSDL bomb."""
    content = wsdl_bomb(4_900)

    async def give(_request: web.BaseRequest) -> web.Response:
        return web.Response(body=content, content_type="text/xml")

    runner = web.ServerRunner(web.Server(give, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, host, 9001).start()
    try:
        yield f"http://{host}:9001/bomb.wsdl"
    finally:
        await runner.cleanup()


async def post_bombs(base: str, key: str) -> None:
    """Publish the bomb and take it away, again and again, until this process is ended; a line for each says what came of it."""
    async with serving_bomb(f"{base}.31") as url:
        await _post(f"https://{base}.10:4000", key, "MX:GOB:CONS:SYS", url)


async def _post(admin: str, key: str, client: str, url: str) -> None:
    headers = {"Authorization": f"X-Road-ApiKey token={key}"}
    body = {"url": url, "type": "WSDL", "ignore_warnings": True}
    api = f"{admin}/api/v1"
    async with aiohttp.ClientSession(headers=headers) as session:
        while True:
            async with session.post(
                f"{api}/clients/{client}/service-descriptions", json=body, ssl=False
            ) as answer:
                answered = await answer.json()
            print(f"{answer.status} {answered.get('error', {}).get('code', '')}".strip(), flush=True)
            if made := answered.get("id"):
                async with session.delete(f"{api}/service-descriptions/{made}", ssl=False) as gone:
                    gone.raise_for_status()
            else:
                await asyncio.sleep(1)


# All together


def specs(base: str) -> list[GatewaySpec]:
    """The consumer's gateway, the provider's, and a registered peer that never runs: the attacker has its keys."""
    found = []
    for number, member, allowed in ((10, "CONS", ()), (11, "PROV", ("CONS", "EVIL")), (12, "EVIL", ())):
        desired = f'[[client]]\nid = "MX/GOB/{member}/SYS"\nconnection = "HTTP"\n'
        if allowed:
            desired += f'[[client.service]]\ncode = "echo"\nurl = "http://{base}.30:9000"\n'
            desired += "".join(f'[[client.service.allow]]\nsubject = "MX/GOB/{a}/SYS"\n' for a in allowed)
        settings = f'log_level = "error"\n[admin]\nhost = "{base}.{number}"'
        found.append(GatewaySpec(member, member, f"{base}.{number}", ["SYS"], desired, "ec-p256", settings))
    return found


@dataclass(frozen=True, slots=True)
class Attacked:
    """The consumer's times under attack, how each attack fared, and those that did not come about."""

    times: Times
    fared: list[str]
    missing: list[str]


async def attack(federation: Federation, options: argparse.Namespace, request: bytes) -> Attacked:
    """Ask while the attacks of ``options.attacks`` go on."""
    base = federation.base
    commands = {
        "strangers": [*_ATTACKER, "strangers", "--strangers", str(options.strangers), "--base", base],
        "chains": ["benchmarks.peerbomb", base, str(federation.folder)],
        "wsdl": [*_ATTACKER, "wsdl", "--key", _administrator(federation), "--base", base],
    }
    attackers = {name: _nicely(options.nice, *commands[name]) for name in options.attacks}
    try:
        await asyncio.sleep(options.settle)
        times = await consume(
            f"{base}.10",
            request,
            connections=options.connections,
            each_s=options.connections / options.rate,
            seconds=options.seconds,
        )
    finally:
        answered = {name: _ended(attacker) for name, attacker in attackers.items()}
    connections, bombs, outcomes = (answered.get(name, []) for name in ATTACKS)
    fared = [
        f"strangers at the end: {connections[-1] if connections else 'none'}",
        f"hash chain bombs: {_counted(bombs)}",
        f"WSDL bombs: {_counted(outcomes)}",
    ]
    return Attacked(times, fared, _missing(options, connections, bombs, outcomes))


def _administrator(federation: Federation) -> str:
    """The key of an administrator's program at the consumer's gateway."""
    data = str(federation.folder / "CONS")
    made = run_command(gateway_command, "api-key", "make", "--data", data, *_ROLES, "--json")
    return str(json.loads(made)["key"])


def _missing(
    options: argparse.Namespace, connections: list[str], bombs: list[str], outcomes: list[str]
) -> list[str]:
    """The attacks that were asked for and did not come about."""
    found = []
    if "strangers" in options.attacks and (
        not connections or int(connections[-1].split()[3]) < options.strangers
    ):
        found.append("fewer strangers connected than were asked for")
    looked_at = sum(bomb.endswith(".malformed_hash_chain") for bomb in bombs)
    if "chains" in options.attacks and looked_at < options.seconds / 2:
        found.append("fewer than a hash chain bomb in two seconds was looked at")
    if "wsdl" in options.attacks and "201" not in outcomes:
        found.append("no WSDL bomb was published")
    return found


def _ended(process: subprocess.Popen[bytes]) -> list[str]:
    """The lines that a process of the attack said until it was ended now."""
    process.terminate()
    return process.communicate()[0].decode().splitlines()


_ROLES = ("--role", "XROAD_SERVICE_ADMINISTRATOR")
_ATTACKER = ("benchmarks.underattack", "--as")


def _nicely(nice: int | None, *module: str) -> subprocess.Popen[bytes]:
    behind = ["chrt", "--idle", "0"] if nice is None else ["nice", "-n", str(nice)]
    command = [*behind, sys.executable, "-m", *module]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def _counted(outcomes: list[str]) -> str:
    return ", ".join(f"{outcomes.count(o)} x {o}" for o in dict.fromkeys(outcomes)) or "none ended"


def run(options: argparse.Namespace, folder: Path) -> int:
    """Start everything, measure, print, stop everything; the status to exit with."""
    base = free_base()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    federation = Federation(folder, specs(base), base=base, dies_with_us=True)
    federation.set_up()
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (options.files, hard))
        federation.start("echo", "benchmarks.echo", "--host", f"{base}.30")
        federation.start_trust()
        federation.start_central()
        for spec in federation.gateways[:2]:
            federation.start_gateway(spec)
        federation.wait_for(f"http://{base}.30:9000/")
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        request = http_request(
            "s", "/r1/MX/GOB/PROV/SYS/echo", (("X-Road-Client", "MX/GOB/CONS/SYS"),), PAYLOAD
        )
        pace = {"connections": options.connections, "each_s": options.connections / options.rate}
        uvloop.run(consume(f"{base}.10", request, seconds=3, **pace))  # first proofs are not what is measured
        quiet = uvloop.run(consume(f"{base}.10", request, seconds=options.seconds, **pace))
        print(f"{machine()}; {options.rate:g} requests a second, {options.files} files a process")
        print(f"quiet         {quiet.summary()}", flush=True)
        began = time.monotonic()
        attacked = uvloop.run(attack(federation, options, request))
        print(f"under attack  {attacked.times.summary()}")
        print("\n".join(attacked.fared), f"\n{time.monotonic() - began:.0f} s")
    finally:
        federation.stop()
    ratio = attacked.times.at(99) / quiet.at(99)
    print(f"p99 {ratio:.1f} times the quiet one; aim: {options.ratio:g}")
    for missing in attacked.missing:
        print(f"says nothing: {missing}")
    return int(ratio > options.ratio or bool(attacked.times.failed or attacked.missing))


def main() -> None:
    """Measure, or be the strangers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--strangers", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--settle", type=float, default=12.0, help="before the consumer's times count")
    parser.add_argument("--rate", type=float, default=20.0, help="the consumer's requests a second")
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--files", type=int, default=1024, help="how many files a server may open")
    parser.add_argument("--ratio", type=float, default=3.0)
    parser.add_argument(
        "--nice",
        type=int,
        help="the attack's niceness instead of SCHED_IDLE, which on a machine that others use gets nothing done",
    )
    parser.add_argument(
        "--attacks", nargs="+", default=ATTACKS, choices=ATTACKS, help="only these, to tell them apart"
    )
    parser.add_argument("--as", dest="role", default="", help=argparse.SUPPRESS)
    parser.add_argument("--key", default="", help=argparse.SUPPRESS)
    parser.add_argument("--base", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role == "strangers":
        uvloop.run(strangers(options.base, options.strangers))
    if options.role == "wsdl":
        uvloop.run(post_bombs(options.base, options.key))
    with tempfile.TemporaryDirectory(prefix="sacbe-attack-") as folder:
        sys.exit(run(options, Path(folder)))


if __name__ == "__main__":
    main()
