"""``gateway serve --workers N``: the process that starts the workers, holds the sockets they share, and speaks for them all.

It takes no message itself. Bound once, a socket is inherited by every worker, so each connection is taken by whoever is free and
none is lost with a worker. The first worker also serves administrators and does what is done once (timestamps, archives, orders of
certificates), under the leases it competes for with other machines' nodes; the others only carry messages. The health address is
here: it says how the workers are, and gives their figures summed. Decision 0031.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web

from certs.tokens.port import SOFTWARE_TOKEN_ID
from gateway.clients.store import ServerConfStore
from gateway.server.addresses import listen_addresses, settings_of
from gateway.server.listeners import serve
from gateway.server.process import admin_settings
from gateway.server.summing import sum_metrics
from gateway.settings.datafolder import find_folder, worker_folder
from schemas.jsontext import decode_json, encode_json
from serving.api.limits import AddressList
from serving.api.metrics import CONTENT_TYPE, LOOPBACK, PATH, REFUSAL
from serving.errors import OperatorError
from serving.language import N_
from serving.process.binding import bind_address
from serving.process.loops import Loops
from serving.process.supervised import report_ready, report_stopped, report_stopping
from serving.process.workers import Worker, WorkerArguments

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

    from gateway.settings.config import GatewaySettings
    from serving.process.ending import Ending

log = logging.getLogger("gateway.server.workers")

ANSWER_TIMEOUT = aiohttp.ClientTimeout(total=10)
HEALTH = "listen.health_port"
BACKLOG = 1024
# Longer than any drain: after a second signal nobody waits.
LONGEST_DRAIN_S = 86_400.0
# What the first worker alone listens to.
OF_FIRST = ("admin.port", "acme.challenge_port")


def check_shareable(
    data: Path, settings: GatewaySettings, pin_file: Path | None, environ: Mapping[str, str]
) -> None:
    """Refuse what several workers cannot share. Raises `OperatorError`."""
    folder = find_folder(data, environ)
    if not folder.database:
        raise OperatorError(
            N_(
                "several workers write at a time, which SQLite does not let them: bring the gateway into PostgreSQL (gateway storage move --data {data} --to postgresql://...), or run one worker",
                data=data,
            )
        )
    with contextlib.closing(ServerConfStore(folder.serverconf)) as store:
        if not store.is_initialised():
            raise OperatorError(
                N_(
                    "{data} is not initialised yet: found the server first (gateway init, or serve with one worker)",
                    data=data,
                )
            )
    token = settings.keys.token(SOFTWARE_TOKEN_ID)
    if not (token.own_process or token.pin.is_set or pin_file is not None or "SACBE_PIN" in environ):
        raise OperatorError(
            N_(
                "each worker opens the token by itself, so nobody can be asked for its PIN: give --pin-file, the token's pin in the settings, or SACBE_PIN"
            )
        )


@dataclass(slots=True, eq=False)
class Workers:
    """The workers of one gateway, from their start to their end."""

    data: Path
    settings: GatewaySettings
    pin_file: Path | None
    settings_file: Path | None
    count: int
    # The lock of the data folder: each worker has it open too, so that nobody claims the folder while one still runs.
    lock: int
    workers: list[Worker] = field(default_factory=list)
    _sockets: dict[str, list[socket.socket]] = field(default_factory=dict)
    # Where each worker says how it is.
    _urls: dict[int, str] = field(default_factory=dict)
    _loops: Loops = field(default_factory=Loops)
    _runners: list[web.BaseRunner] = field(default_factory=list)

    async def run(self, ending: Ending) -> None:
        """Until told to end. Raises `OperatorError` when a worker cannot start, OSError when an address cannot be had."""
        addresses = listen_addresses(self.settings, admin_settings(self.settings))
        try:
            if not await ending.start(self._start(ending)):
                return
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._reload)
            report_ready(log, addresses, os.environ, f"; {self.count} workers")
            await ending.wait()
            report_stopping(os.environ)
        finally:
            await self._stop(ending)
            report_stopped(log)

    async def _start(self, ending: Ending) -> None:
        """Bind, start the first worker, and once it has brought everything up to this version, the others."""
        await self._bind()
        health = web.Application()
        health.router.add_get("/", self._give_health)
        health.router.add_get(PATH, self._give_metrics)
        health.router.add_get("/diagnosis", self._give_diagnosis)
        where = self.settings.listen
        self._runners.append(await serve(health, where.health_host, where.health_port, HEALTH))
        for number in range(1, self.count + 1):
            self.workers.append(await self._worker(number, ending))
        first, *others = self.workers
        await self._begin([first])
        await asyncio.to_thread(self._seed)
        await self._begin(others)

    async def _begin(self, workers: list[Worker]) -> None:
        self._loops.start([worker.loop() for worker in workers])
        for worker in workers:
            if not await worker.wait_ready():
                raise OperatorError(
                    N_(
                        "worker {number} could not start (status {failed_start}); it said why above",
                        number=worker.number,
                        failed_start=worker.failed_start,
                    )
                )

    async def _bind(self) -> None:
        admin = admin_settings(self.settings)
        for address in listen_addresses(self.settings, admin):
            if address.port and address.port_setting != HEALTH:
                host = address.host or ("127.0.0.1" if address.port_setting == "admin.port" else "")
                self._sockets[address.port_setting] = await bind_address(
                    host, address.port, address.port_setting, backlog=BACKLOG
                )

    async def _worker(self, number: int, ending: Ending) -> Worker:
        own = self._sockets[f"{HEALTH}/{number}"] = await bind_address("127.0.0.1", 0, HEALTH)
        host, port = own[0].getsockname()[:2]
        self._urls[number] = f"http://{host}:{port}"
        given = {
            name: [s.fileno() for s in sockets]
            for name, sockets in self._sockets.items()
            if "/" not in name and (number == 1 or name not in OF_FIRST)
        }
        given[HEALTH] = [s.fileno() for s in own]
        arguments = WorkerArguments(
            str(self.data),
            number,
            os.getpid(),
            str(self.pin_file or ""),
            str(self.settings_file or ""),
            given,
        )
        return Worker(
            number,
            [sys.executable, "-m", "gateway.cli.worker", encode_json(arguments).decode()],
            {name: value for name, value in os.environ.items() if name != "WATCHDOG_PID"},
            given=[self.lock, *(descriptor for found in given.values() for descriptor in found)],
            restart=ending.restart,
        )

    def _seed(self) -> None:
        """Let a worker that is new here begin with the global configuration that the first one has."""
        for number in range(2, self.count + 1):
            target, source = worker_folder(self.data, number) / "globalconf", self.data / "globalconf"
            if source.exists() and not target.exists():
                # A crash leaves a part; the worker finds it unusable and fetches a whole one.
                shutil.copytree(source, target)

    async def _stop(self, ending: Ending) -> None:
        """Take no more, let the workers answer what they have, and end when they did."""
        for name, sockets in self._sockets.items():
            if "/" not in name:
                for listening in sockets:
                    listening.close()
        hurry = asyncio.create_task(self._hurry(ending))
        await asyncio.gather(*(worker.stop() for worker in self.workers))
        hurry.cancel()
        await self._loops.stop()
        for runner in self._runners:
            await runner.cleanup()

    async def _hurry(self, ending: Ending) -> None:
        await ending.wait_again(LONGEST_DRAIN_S)
        for worker in self.workers:
            worker.ask_to_end()

    def _reload(self) -> None:
        for worker in self.workers:
            if worker.ready.is_set():  # one that starts reads the settings anyway
                worker.send(signal.SIGHUP)

    # The health address

    async def _ask(self, number: int, path: str) -> tuple[int, bytes]:
        try:
            async with (
                aiohttp.ClientSession(trust_env=False, timeout=ANSWER_TIMEOUT) as session,
                session.get(f"{self._urls[number]}{path}", allow_redirects=False) as answer,
            ):
                return answer.status, await answer.read()
        except (aiohttp.ClientError, TimeoutError) as err:
            reason = (
                f"worker {number} does not answer ({type(err).__name__}); it is started anew when it ends"
            )
            return 503, encode_json({"status": "down", "problems": [reason], "warnings": []})

    async def _ask_all(self, path: str) -> dict[int, tuple[int, bytes]]:
        """The answers of the workers that are ready, by number."""
        numbers = [w.number for w in self.workers if w.ready.is_set()]
        found = await asyncio.gather(*(self._ask(number, path) for number in numbers))
        return dict(zip(numbers, found, strict=True))

    async def _give_health(self, _request: web.Request) -> web.Response:
        answers = await self._ask_all("/")
        status, state = combine_health({n: decode_json(raw) for n, (_, raw) in answers.items()}, self.count)
        return web.json_response(state, status=status)

    async def _give_diagnosis(self, _request: web.Request) -> web.Response:
        for status, raw in (await self._ask_all("/diagnosis")).values():
            if status == 200:
                return web.Response(body=raw, content_type="application/json")
        return web.Response(status=503, text="no worker answers yet\n")

    async def _give_metrics(self, request: web.Request) -> web.Response:
        with contextlib.suppress(OSError):  # while the database is away, as it was last
            self.settings = await asyncio.to_thread(settings_of, self.data, self.settings_file)
        networks = f"{LOOPBACK},{self.settings.monitoring.metrics_from}"
        if not AddressList.parse(networks).admits(request.remote or ""):
            return web.Response(status=403, text=REFUSAL)
        answers = await self._ask_all(PATH)
        texts = {number: raw.decode() for number, (status, raw) in answers.items() if status == 200}
        return web.Response(body=sum_metrics(texts), headers={"Content-Type": CONTENT_TYPE})


def combine_health(states: Mapping[int, Mapping[str, Any]], count: int) -> tuple[int, dict[str, Any]]:
    """The status and the state of all: up while one worker is, for it takes what comes; the others' problems are warnings then."""
    up = [n for n, state in states.items() if state["status"] == "up"]
    missing = [f"worker {n} does not run" for n in range(1, count + 1) if n not in states]
    problems = list(dict.fromkeys(p for state in states.values() for p in state["problems"]))
    warnings = list(dict.fromkeys(w for state in states.values() for w in state["warnings"]))
    if up:
        return 200, {
            "status": "up",
            "problems": [],
            "warnings": [*problems, *warnings, *missing],
            "workers": len(up),
        }
    status = next((state["status"] for state in states.values()), "starting")
    return 503, {"status": status, "problems": [*problems, *missing], "warnings": warnings, "workers": 0}
