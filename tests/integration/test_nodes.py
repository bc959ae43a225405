"""Equal nodes of one gateway over one PostgreSQL, killed at random under load: every acknowledged exchange has its record.

The consumer's gateway is set up in SQLite, moved to the database, and its data folder copied to two more nodes, behind HAProxy.
Nodes are killed at random and started again; afterwards every answer that came is looked up, the chain of all is walked, each record
has one timestamp and is in one archive, and any node gives the container of any message. Then the database goes, and comes back; its
standby takes over; and the nodes are upgraded in turn while they are called.

How often they are killed is ``SACBE_NODE_KILLS``; what was counted is printed (``pytest -s``):

    SACBE_NODE_KILLS=200 python -m pytest -s tests/integration/test_nodes.py -k "killed or still or once or one_archive or any_node"
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import functools
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import psycopg
import pytest

from benchmarks.federation import Federation, free_base
from gateway.messagelog.sealedarchive import SUFFIX
from schemas.jsontext import decode_json
from tests.integration.calling import AFIL, ECHO, call, until, works
from tests.integration.pair import consumer, provider, start
from tests.postgres import Cluster
from tests.programs import need

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

KILLS = int(os.environ.get("SACBE_NODE_KILLS", "10"))
pytestmark = [pytest.mark.processes, pytest.mark.timeout(600 + 30 * KILLS)]
CONSUMERS = 4
# Three times the life of a lease.
STANDS_STILL_S = 30
NODES = 3
PROJECT = Path(__file__).parents[2]
HANDED_OUT = PROJECT / "deploy" / "haproxy" / "nodes.cfg"


def run_gateway(*arguments: str) -> str:
    """A command of its own process; its output."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway", *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout


@dataclass
class NodeSet:
    """The nodes of one gateway, in a federation, over a database."""

    made: Federation
    cluster: Cluster
    database: str
    folders: list[Path] = field(default_factory=list)
    standby: Cluster | None = None

    def address(self, number: int) -> str:
        """Where a node listens."""
        return f"{self.made.base}.{20 + number}"

    def add(self, folder: Path) -> None:
        """Make a copy of a stopped node's folder another node."""
        number = len(self.folders)
        mine = self.made.folder / f"node-{number}"
        shutil.copytree(folder, mine)
        address = self.address(number)
        (mine / "settings.toml").write_text(
            f'[node]\nname = "node-{number}"\ndatabase = "{self.database}"\n'
            "[log]\ntimestamp_interval_s = 1\narchive_interval_s = 2\n[transparency]\ncheckpoint_s = 2\n"
            f'[listen]\nconsumer_host = "{address}"\npeer_host = "{address}"\nhealth_host = "{address}"\ndrain_s = 60\n',
            encoding="utf-8",
        )
        self.folders.append(mine)

    def start(self, number: int, *, wait: bool = True) -> None:
        """Start a node."""
        pin = str(self.made.folder / "pin")
        folder = str(self.folders[number])
        self.made.start(f"node-{number}", "gateway", "serve", "--data", folder, "--pin-file", pin)
        if wait:
            self.made.wait_for(f"http://{self.address(number)}:5588/")

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        """What the database says."""
        with psycopg.connect(self.database) as connection:
            return connection.execute(sql).fetchall()


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeSet]:
    base = free_base()
    asking = consumer(base)
    made = Federation(tmp_path_factory.mktemp("nodes"), [asking, provider(base)], base=base)
    cluster = Cluster(is_durable=True)
    found: NodeSet | None = None
    try:
        made.set_up()
        start(made)
        before = call(asking.address, headers={"X-Road-Id": "before"})
        assert before.status == 200
        made.kill(asking.key)
        # Both hosts of the database; the second one is there once the first is lost.
        database = f"{cluster.new_database()},{cluster.standby_folder}"
        found = NodeSet(made, cluster, database)
        said = run_gateway("storage", "move", "--data", str(made.data(asking)), "--to", database)
        assert "chain of 2 records: whole" in said
        for _ in range(NODES):
            found.add(made.data(asking))
        for number in range(NODES):
            found.start(number, wait=False)
        for number in range(NODES):
            made.wait_for(f"http://{found.address(number)}:5588/")
        yield found
    finally:
        for name in [name for name in made.processes if name.startswith("node-")]:
            made.kill(name)  # none of them is to wait for balancers any more
        made.stop()
        with contextlib.ExitStack() as stack:
            stack.callback(cluster.remove)
            if found is not None and found.standby is not None:
                stack.callback(found.standby.remove)


@dataclass(slots=True)
class Answered:
    """Whom a load calls in turn, the ids that were answered with 200, each beginning with its name, what else came, when to stop."""

    name: str
    addresses: Sequence[str]
    ids: list[str] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    came: asyncio.Event = field(default_factory=asyncio.Event)
    stop: asyncio.Event = field(default_factory=asyncio.Event)


async def consume(number: int, load: Answered) -> None:
    """Call until told to stop, each call over a connection of its own."""
    timeout, connector = aiohttp.ClientTimeout(total=10), aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        count = 0
        while not load.stop.is_set():
            count += 1
            message_id = f"{load.name}-{number}-{count}"
            address = load.addresses[(number + count) % len(load.addresses)]
            headers = {"X-Road-Client": AFIL, "X-Road-Id": message_id}
            try:
                async with session.get(
                    f"http://{address}:8080/r1/MX/GOB/{ECHO}/x", headers=headers
                ) as answer:
                    await answer.read()
                    if answer.status == 200:
                        load.ids.append(message_id)
                        load.came.set()
                        continue
                    load.others[answer.headers.get("X-Road-Error", str(answer.status))] += 1
            except (aiohttp.ClientError, TimeoutError) as err:
                load.others[type(err).__name__] += 1
            await asyncio.sleep(0.02)


async def another_answer(load: Answered) -> None:
    """Wait until one more exchange is answered."""
    load.came.clear()
    async with asyncio.timeout(90):
        await load.came.wait()


def answered_without_record(nodes: NodeSet, load: Answered) -> set[str]:
    """The answered messages of which request and response are not both in the log."""
    kept = nodes.rows(
        "SELECT message_id FROM messagelog.record GROUP BY message_id HAVING count(*) FILTER (WHERE is_response = 0) >= 1 "
        "AND count(*) FILTER (WHERE is_response = 1) >= 1"
    )
    return set(load.ids) - {str(row[0]) for row in kept}


async def check_whole(nodes: NodeSet) -> None:
    """Walk the chain of the log of all nodes."""
    folder, pin = str(nodes.folders[0]), str(nodes.made.folder / "pin")
    said = await asyncio.to_thread(run_gateway, "log", "verify", "--data", folder, "--pin-file", pin)
    assert "the chain is whole" in said


# Besides the configuration that is handed out: how the test looks into HAProxy.
WATCHED = "global\n    stats socket {folder}/haproxy.sock level admin\n"


@contextlib.contextmanager
def balancer(nodes: NodeSet) -> Iterator[str]:
    """HAProxy before the nodes; the address at which systems call it."""
    program = need("haproxy", package="haproxy", beside="/usr/sbin")
    address, folder = f"{nodes.made.base}.30", nodes.made.folder
    text = HANDED_OUT.read_text(encoding="utf-8").replace("10.0.0.10:", f"{address}:")
    for number in range(3):
        text = text.replace(f"10.0.0.1{number + 1}:", f"{nodes.address(number)}:")
    (folder / "nodes.cfg").write_text(text, encoding="utf-8")
    (folder / "watched.cfg").write_text(WATCHED.format(folder=folder), encoding="utf-8")
    process = subprocess.Popen(
        [program, "-f", str(folder / "watched.cfg"), "-f", str(folder / "nodes.cfg")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        works(address)
        yield address
    finally:
        process.terminate()
        process.wait()


def ready_nodes(nodes: NodeSet) -> list[int]:
    """The nodes that say that they are well."""
    found = []
    for number in range(NODES):
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"http://{nodes.address(number)}:5588/", timeout=5).close()
            found.append(number)
    return found


async def kill_often(nodes: NodeSet, load: Answered) -> None:
    """Kill any node that is well, at a random moment, while another one is well too; start it again at once."""
    for _ in range(KILLS):
        await another_answer(load)
        ready = await asyncio.to_thread(
            until, functools.partial(ready_nodes, nodes), lambda found: len(found) > 1
        )
        await asyncio.sleep(random.uniform(0.0, 0.25))
        number = random.choice(ready)
        nodes.made.kill(f"node-{number}")
        nodes.start(number, wait=False)


@pytest.mark.xroad("F007", "F112", "F149")
async def test_no_answer_without_a_record_while_nodes_are_killed(nodes: NodeSet) -> None:
    with balancer(nodes) as address:
        load = Answered("kills", [address])
        async with asyncio.TaskGroup() as group:
            for number in range(CONSUMERS):
                group.create_task(consume(number, load))
            await kill_often(nodes, load)
            load.stop.set()
    for number in range(NODES):
        await asyncio.to_thread(works, nodes.address(number))
    print(f"{KILLS} kills, {len(load.ids)} answered, others: {dict(load.others)}")
    assert len(load.ids) > KILLS * 2
    assert answered_without_record(nodes, load) == set()
    await check_whole(nodes)


def stamping_node(nodes: NodeSet) -> int:
    """The node that timestamps for all of them now."""
    ((process,),) = nodes.rows("SELECT process FROM nodes.lease WHERE name = 'timestamper'")
    return int(str(process).partition("/")[0].removeprefix("node-"))


@pytest.mark.xroad("F112")
async def test_a_node_that_stands_still_loses_no_answer_and_does_nothing_after_others_took_its_work_over(
    nodes: NodeSet,
) -> None:
    number = await asyncio.to_thread(stamping_node, nodes)
    standing = nodes.made.processes[f"node-{number}"]
    with balancer(nodes) as address:
        load = Answered("still", [address])
        async with asyncio.TaskGroup() as group:
            for consumer_number in range(CONSUMERS):
                group.create_task(consume(consumer_number, load))
            await another_answer(load)
            standing.send_signal(signal.SIGSTOP)
            begun = time.monotonic()
            try:
                taken_by = await asyncio.to_thread(
                    until, functools.partial(stamping_node, nodes), lambda found: found != number
                )
                before = len(load.ids)
                while time.monotonic() - begun < STANDS_STILL_S or len(load.ids) == before:
                    await another_answer(load)
            finally:
                standing.send_signal(signal.SIGCONT)
            answered = len(load.ids) - before
            await asyncio.to_thread(works, nodes.address(number))
            for _ in range(CONSUMERS):
                await another_answer(load)
            load.stop.set()
    print(
        f"node-{number} stood still for {time.monotonic() - begun:.0f} s; node-{taken_by} went on with its work, "
        f"{answered} answered meanwhile, {len(load.ids)} in all, others: {dict(load.others)}"
    )
    assert answered_without_record(nodes, load) == set()
    # It was no process that was started again, and took nothing back: a lease that is held is no one else's.
    assert standing.poll() is None
    assert await asyncio.to_thread(stamping_node, nodes) != number
    await check_whole(nodes)


def test_background_work_is_done_once(nodes: NodeSet) -> None:
    left = (
        "SELECT count(*) FROM messagelog.record WHERE id NOT IN (SELECT record_id FROM messagelog.stamped) "
        "OR id NOT IN (SELECT record_id FROM messagelog.archived)"
    )
    # Under hundreds of kills archives fall behind: those that were begun and not ended are begun anew.
    until(lambda: nodes.rows(left), lambda found: found == [(0,)], within_s=120 + 5 * KILLS)
    # A node that had stamped what another one did too would have left a timestamp that is over nothing.
    idle = "SELECT count(*) FROM messagelog.stamp WHERE id NOT IN (SELECT stamp_id FROM messagelog.stamped)"
    assert nodes.rows(idle) == [(0,)]

    def held_by_a_living_one() -> bool:
        holders = nodes.rows("SELECT process FROM nodes.lease WHERE name = 'timestamper'")
        # One that was killed may have been seen after another one was seen last; it is not seen again.
        alive = nodes.rows("SELECT process FROM nodes.node ORDER BY seen_ms DESC LIMIT 3")
        return set(holders) <= set(alive)

    until(held_by_a_living_one, bool)


def test_each_record_is_in_one_archive_of_all_nodes(nodes: NodeSet) -> None:
    """Each archive is at the node that made it, whole under its name, and they follow one another without a gap or a fork."""

    def archives() -> tuple[list[str], dict[str, str]]:
        known = [str(row[0]) for row in nodes.rows("SELECT file_name FROM messagelog.archive ORDER BY id")]
        found = [path for folder in nodes.folders for path in (folder / "log" / "archive").iterdir()]
        return known, {path.name.removesuffix(SUFFIX): str(path) for path in found if path.is_file()}

    known, places = until(archives, lambda found: sorted(found[0]) == sorted(found[1]))
    verdicts = run_gateway("archive", "verify", "--first", "--json", *(places[name] for name in known))
    inside = sum(int(decode_json(line)["containers"]) for line in verdicts.splitlines())
    print(
        f"{len(known)} archives of {inside} records, made by {len({Path(p).parts[-4] for p in places.values()})} nodes"
    )
    counted = "SELECT count(*) FROM messagelog.archived JOIN messagelog.archive ON archive.id = archive_id"
    assert nodes.rows(f"{counted} WHERE file_name = ANY ('{{{','.join(known)}}}')") == [(inside,)]


@pytest.mark.xroad("F112")
def test_any_node_gives_the_container_of_any_message(nodes: NodeSet) -> None:
    killed = [
        str(row[0])
        for row in nodes.rows("SELECT message_id FROM messagelog.record WHERE message_id LIKE 'kills-%'")
    ]
    some = random.sample(sorted(set(killed)), min(100, len(set(killed))))
    for message_id in ("before", *some):
        query = (
            f"xRoadInstance=MX&memberClass=GOB&memberCode=15-ISSEMYM&subsystemCode=AFIL&queryId={message_id}"
        )
        for number in range(NODES):
            with urllib.request.urlopen(
                f"http://{nodes.address(number)}:8080/asic?{query}", timeout=30
            ) as found:
                assert found.read(2) == b"PK", (message_id, number)


def test_a_change_holds_at_every_node_within_seconds(nodes: NodeSet) -> None:
    def statuses() -> set[int]:
        return {call(nodes.address(number)).status for number in range(NODES)}

    assert statuses() == {200}
    # The command writes to the database; each node finds the change by itself.
    for kind, status in (("HTTPS", 500), ("HTTP", 200)):
        run_gateway("client", "connect", "--data", str(nodes.folders[0]), AFIL, kind)
        until(statuses, {status}.__eq__, within_s=90)


def test_a_lost_database_refuses_and_comes_back_by_itself(nodes: NodeSet) -> None:
    nodes.cluster.stop()
    try:
        refused = call(nodes.address(0), headers={"X-Road-Id": "lost"})
        assert (refused.status, str(nodes.cluster.folder) in refused.message) == (500, False)
        assert refused.code.endswith("logging_failed")
        with pytest.raises(urllib.error.HTTPError) as health:
            urllib.request.urlopen(f"http://{nodes.address(0)}:5588/", timeout=30)
        assert health.value.code == 503
        assert b"cannot be used" in health.value.read()
        health.value.close()
    finally:
        nodes.cluster.start()
    for number in range(NODES):
        works(nodes.address(number))
    assert nodes.rows("SELECT count(*) FROM messagelog.record WHERE message_id = 'lost'") == [(0,)]


def test_a_folder_of_another_server_is_refused_by_name(nodes: NodeSet) -> None:
    other = nodes.made.data(nodes.made.gateways[1])
    stranger = nodes.made.folder / "stranger"
    shutil.copytree(other, stranger)
    (stranger / "settings.toml").write_text(
        f'[node]\ndatabase = "{nodes.database}"\n[listen]\nconsumer_host = "{nodes.address(9)}"\n'
        f'peer_host = "{nodes.address(9)}"\nhealth_host = "{nodes.address(9)}"\n',
        encoding="utf-8",
    )
    process = nodes.made.start(
        "stranger", "gateway", "serve", "--data", str(stranger), "--pin-file", str(nodes.made.folder / "pin")
    )
    assert process.wait(60) != 0
    said = (nodes.made.folder / "stranger.log").read_text()
    assert "MX/GOB/00-RNSS/SS1" in said
    assert "MX/GOB/15-ISSEMYM" in said


async def test_a_standby_that_is_promoted_has_every_answered_exchange(nodes: NodeSet) -> None:
    nodes.standby = Cluster(is_durable=True, standby_of=nodes.cluster)
    await asyncio.to_thread(nodes.cluster.wait_for_standby)
    load = Answered("promotion", [nodes.address(number) for number in range(NODES)])
    async with asyncio.TaskGroup() as group:
        for number in range(CONSUMERS):
            group.create_task(consume(number, load))
        for _ in range(NODES):
            await another_answer(load)
        await asyncio.to_thread(nodes.cluster.stop)
        before = len(load.ids)
        refused = await asyncio.to_thread(call, nodes.address(0))
        assert refused.code.endswith("logging_failed")
        await asyncio.to_thread(nodes.standby.promote)
        for number in range(NODES):
            await asyncio.to_thread(works, nodes.address(number))
        await another_answer(load)
        load.stop.set()
    assert before >= NODES
    assert len(load.ids) > before
    assert answered_without_record(nodes, load) == set()
    await check_whole(nodes)


def tell_balancer(nodes: NodeSet, command: str) -> str:
    """A line to HAProxy's own socket, and its answer."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(nodes.made.folder / "haproxy.sock"))
        connection.sendall(f"{command}\n".encode())
        with connection.makefile(encoding="ascii") as answer:
            return answer.read()


def found_by_balancer(nodes: NodeSet, number: int) -> str:
    """What HAProxy's own checks found of a node: UP, DOWN, or on its way as in "UP 1/2"; it gets calls while that begins with UP.

    "unchecked" until the first check: HAProxy takes servers for well before it has looked.
    """
    rows = csv.DictReader(tell_balancer(nodes, "show stat").removeprefix("# ").splitlines())
    mine = next(row for row in rows if (row["pxname"], row["svname"]) == ("systems", f"node-{number}"))
    return "unchecked" if mine["check_status"] in ("", "INI") else mine["status"]


def make_next_version(folder: Path) -> None:
    """The packages as they are now, with one more step of the configuration's database and of the message log's."""
    for package in ("schemas", "certs", "serving", "gateway"):
        shutil.copytree(PROJECT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    for module, table in (("migrations/serverconf", "client"), ("messagelog/steps", "record")):
        with (folder / "gateway" / f"{module}.py").open("a", encoding="utf-8") as source:
            source.write(f'\nSTEPS = (*STEPS, "ALTER TABLE {table} ADD COLUMN of_next_version TEXT")\n')


def upgrade_in_turn(nodes: NodeSet) -> None:
    """Stop one node after the other and start its next version; HAProxy hears of it from the health addresses alone."""
    following = nodes.made.folder / "next"
    make_next_version(following)
    for number in range(NODES):
        # It says that it stops; once HAProxy has heard so, a second signal ends the wait.
        nodes.made.processes[f"node-{number}"].send_signal(signal.SIGTERM)
        found = functools.partial(found_by_balancer, nodes, number)
        until(found, lambda status: not status.startswith("UP"))
        nodes.made.kill(f"node-{number}", signal.SIGTERM)
        # A module is looked for where a process is started before it is where packages are installed.
        nodes.made.under = {**nodes.made.under, f"node-{number}": ("env", "-C", str(following))}
        nodes.start(number)
        until(found, lambda status: status == "UP")


@pytest.mark.xroad("F149", "F151")
async def test_nodes_upgraded_in_turn_behind_a_balancer_fail_no_exchange(nodes: NodeSet) -> None:
    failed, good, stop = list[str](), list[str](), asyncio.Event()

    async def consume_behind(address: str) -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
            while not stop.is_set():
                url = f"http://{address}:8080/r1/MX/GOB/{ECHO}/x"
                async with session.get(url, headers={"X-Road-Client": AFIL}) as answer:
                    text = await answer.text()
                    (good if answer.status == 200 else failed).append(text)

    with balancer(nodes) as address:
        for number in range(NODES):
            until(functools.partial(found_by_balancer, nodes, number), lambda status: status == "UP")
        async with asyncio.TaskGroup() as group:
            for _ in range(CONSUMERS):
                group.create_task(consume_behind(address))
            await asyncio.to_thread(upgrade_in_turn, nodes)
            stop.set()
    assert failed == []
    assert len(good) > 10
    # The log's partitions have the column from the table that they inherit from.
    added = (
        "SELECT count(*) FROM information_schema.columns WHERE column_name = 'of_next_version' "
        "AND table_name IN ('client', 'record')"
    )
    assert nodes.rows(added) == [(2,)]
