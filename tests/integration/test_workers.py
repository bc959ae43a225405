"""One gateway in several processes on one machine: sockets shared, one log, killed at random, ended in order and all at once."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.federation import Federation, free_base
from tests.integration.calling import AFIL, ECHO, call, until
from tests.integration.pair import consumer, provider
from tests.integration.test_nodes import run_gateway
from tests.postgres import Cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKERS = 2
KILLS = int(os.environ.get("SACBE_WORKER_KILLS", "3"))
pytestmark = [pytest.mark.processes, pytest.mark.timeout(600 + 60 * KILLS)]
CONSUMERS = 2
SERVER = "gateway"


@dataclass
class Gateway:
    """The consumer's gateway, over a database, run by several workers."""

    made: Federation
    address: str
    data: Path
    database: str

    def start(self) -> None:
        """Start it; it answers when this returns."""
        pin = str(self.made.folder / "pin")
        self.made.start(
            SERVER, "gateway", "serve", "--data", str(self.data), "--pin-file", pin, "--workers", str(WORKERS)
        )
        self.made.wait_for(f"http://{self.address}:5588/")

    @property
    def starter(self) -> int:
        """The process that holds the sockets."""
        return self.made.processes[SERVER].pid

    def workers(self) -> list[int]:
        """The workers that run, by process id."""
        return [
            int(p) for p in Path(f"/proc/{self.starter}/task/{self.starter}/children").read_text().split()
        ]

    def health(self) -> dict[str, object]:
        """What the health address says."""
        with urllib.request.urlopen(f"http://{self.address}:5588/", timeout=30) as answer:
            found: dict[str, object] = json.loads(answer.read())
            return found

    def exchanges(self) -> float:
        """How many exchanges the figures count."""
        with urllib.request.urlopen(f"http://{self.address}:5588/metrics", timeout=30) as answer:
            text = answer.read().decode()
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "sacbe_exchanges_total"
        )

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        """What the database says."""
        with psycopg.connect(self.database) as connection:
            return connection.execute(sql).fetchall()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    base = free_base()
    asking = consumer(base)
    made = Federation(tmp_path_factory.mktemp("workers"), [asking, provider(base)], base=base)
    cluster = Cluster(is_durable=True)
    try:
        made.set_up()
        made.start("echo", "benchmarks.echo", "--host", f"{base}.10")
        made.start_trust()
        made.start_central()
        made.start_gateway(made.gateways[1])
        database = cluster.new_database()
        data = made.data(asking)
        run_gateway("storage", "move", "--data", str(data), "--to", database)
        found = Gateway(made, asking.address, data, database)
        found.start()
        yield found
    finally:
        made.stop()
        cluster.remove()


@dataclass(slots=True)
class Load:
    """Consumers that call until told to stop, each call on a connection of its own."""

    address: str
    name: str
    answered: list[str] = field(default_factory=list)
    # Requests whose connection broke, with how.
    broken: list[str] = field(default_factory=list)
    refused: int = 0
    came: asyncio.Event = field(default_factory=asyncio.Event)
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, number: int) -> None:
        """One consumer."""
        timeout = aiohttp.ClientTimeout(total=60)
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True), timeout=timeout
        ) as session:
            count = 0
            while not self.stop.is_set():
                count += 1
                message_id = f"{self.name}-{number}-{count}"
                try:
                    await self._call(session, message_id)
                except aiohttp.ClientConnectorError:
                    self.refused += 1
                    await asyncio.sleep(0.02)
                except (aiohttp.ClientError, TimeoutError) as err:
                    self.broken.append(f"{message_id}: {type(err).__name__} {err}")

    async def _call(self, session: aiohttp.ClientSession, message_id: str) -> None:
        url = f"http://{self.address}:8080/r1/MX/GOB/{ECHO}/x"
        async with session.get(url, headers={"X-Road-Client": AFIL, "X-Road-Id": message_id}) as answer:
            text = await answer.text()
            if answer.status == 200:
                self.answered.append(message_id)
                self.came.set()
            else:
                self.broken.append(f"{message_id}: {answer.status} {text:.300}")

    async def more(self) -> None:
        """Wait until one more is answered."""
        self.came.clear()
        async with asyncio.timeout(90):
            await self.came.wait()


def without_record(gateway: Gateway, load: Load) -> set[str]:
    """The answered messages of which request and response are not both in the log."""
    kept = gateway.rows(
        "SELECT message_id FROM messagelog.record GROUP BY message_id HAVING count(DISTINCT is_response) = 2"
    )
    return set(load.answered) - {str(row[0]) for row in kept}


def check_chain(gateway: Gateway) -> None:
    """Walk the chain of the log that all workers wrote."""
    pin = str(gateway.made.folder / "pin")
    assert "the chain is whole" in run_gateway(
        "log", "verify", "--data", str(gateway.data), "--pin-file", pin
    )


async def test_no_answer_without_a_record_while_workers_are_killed(gateway: Gateway) -> None:
    load = Load(gateway.address, "kills")
    async with asyncio.TaskGroup() as group:
        for number in range(CONSUMERS):
            group.create_task(load.run(number))
        for _ in range(KILLS):
            await asyncio.to_thread(until, gateway.health, lambda found: found.get("workers") == WORKERS)
            await load.more()
            await asyncio.sleep(random.uniform(0.0, 0.2))
            with suppress(ProcessLookupError):
                os.kill(random.choice(gateway.workers()), signal.SIGKILL)
        await load.more()
        load.stop.set()
    assert load.refused == 0, "a connection waits for a worker, whatever becomes of another one"
    assert len(load.answered) > KILLS
    assert without_record(gateway, load) == set()
    await asyncio.to_thread(check_chain, gateway)


def test_figures_are_those_of_all_workers_together(gateway: Gateway) -> None:
    until(gateway.health, lambda found: found.get("workers") == WORKERS)
    before = gateway.exchanges()
    for _ in range(12):
        assert call(gateway.address).status == 200
    # Each is counted a moment after its answer has left.
    until(gateway.exchanges, lambda found: found == before + 12)


def test_a_change_reaches_every_worker(gateway: Gateway) -> None:
    def statuses() -> set[int]:
        # Whoever is free takes a connection: of so many that stand open together each worker has some.
        async def ask_together() -> set[int]:
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
                url = f"http://{gateway.address}:8080/r1/MX/GOB/{ECHO}/x"

                async def one() -> int:
                    async with session.get(url, headers={"X-Road-Client": AFIL}) as answer:
                        return answer.status

                return set(await asyncio.gather(*(one() for _ in range(16))))

        return asyncio.run(ask_together())

    for kind, status in (("HTTPS", 500), ("HTTP", 200)):
        run_gateway("client", "connect", "--data", str(gateway.data), AFIL, kind)
        until(statuses, {status}.__eq__, within_s=90)


async def test_told_to_end_it_answers_what_came_and_begins_again(gateway: Gateway) -> None:
    load = Load(gateway.address, "ending")
    async with asyncio.TaskGroup() as group:
        for number in range(CONSUMERS):
            group.create_task(load.run(number))
        await load.more()
        await asyncio.to_thread(gateway.made.kill, SERVER, signal.SIGTERM)
        await asyncio.to_thread(gateway.start)
        await load.more()
        load.stop.set()
    assert load.broken == []
    assert without_record(gateway, load) == set()


def test_workers_end_with_their_starter_and_the_folder_is_free_again(gateway: Gateway) -> None:
    workers = until(gateway.workers, lambda found: len(found) == WORKERS)
    gateway.made.kill(SERVER)

    def left() -> list[int]:
        return [pid for pid in workers if Path(f"/proc/{pid}").exists()]

    until(left, lambda found: found == [])
    pin = str(gateway.made.folder / "pin")
    assert "8080" in run_gateway("serve", "--data", str(gateway.data), "--pin-file", pin, "--check")
    check_chain(gateway)


def test_several_workers_are_refused_over_sqlite(gateway: Gateway) -> None:
    data = gateway.made.data(gateway.made.gateways[1])
    gateway.made.kill(gateway.made.gateways[1].key, signal.SIGTERM)
    pin = str(gateway.made.folder / "pin")
    process = gateway.made.start(
        "refused", "gateway", "serve", "--data", str(data), "--pin-file", pin, "--workers", "2"
    )
    assert process.wait(60) != 0
    assert "gateway storage move" in (gateway.made.folder / "refused.log").read_text()
