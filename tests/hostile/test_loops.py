"""Background loops outlive whatever happens in a round; none runs outside the one mechanism that sees to that."""

from __future__ import annotations

import ast
import asyncio
import logging
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest

from central_server.app import CentralServer
from central_server.config import Catalogue
from gateway.messagelog.timestamper import Timestamper, TimestampSettings
from gateway.server.process import GatewayProcess
from gateway.settings.config import KeySettings
from gateway.settings.datafolder import DataFolder
from schemas.faults import BadMessage, Fault, Kind
from serving.process.loops import Loop, Loops, growing_retry_s
from tests.integration import centralhosting, hosting
from tests.worlds import PIN

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PACKAGES = ("gateway", "central_server", "serving", "social_security", "certs", "schemas")
ERRORS = (
    RecursionError("maximum recursion depth exceeded"),
    MemoryError(),
    OSError(28, "No space left on device"),
    KeyError("no such key"),
    sqlite3.DatabaseError("database disk image is malformed"),
    sqlite3.OperationalError("database is locked"),
    UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"),
    AssertionError(),
    StopIteration(),
    TimeoutError(),
    asyncio.CancelledError(),
    BadMessage(Kind.INVALID_REQUEST, "an answer that cannot be read"),
)


def failing_with(error: BaseException, done: asyncio.Event) -> Loop:
    """A loop whose first two rounds fail."""
    rounds = 0

    async def work() -> None:
        nonlocal rounds
        rounds += 1
        if rounds <= 2:
            raise error
        done.set()

    return Loop("drill", work, lambda: 3600.0, retry_s=lambda _: 0.0)


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: f"{type(e).__name__}")
async def test_a_loop_goes_on_after_any_exception_and_says_so_meanwhile(error: BaseException) -> None:
    done, loops = asyncio.Event(), Loops()
    loop = failing_with(error, done)
    loops.start([loop])
    async with asyncio.timeout(60):
        await done.wait()
        await asyncio.sleep(0)
    assert loop.failures == 0
    assert loops.failures() == []
    await loops.stop()


async def test_a_failing_loop_is_named_with_its_reason_until_it_works(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failed, mended, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        if not mended.is_set():
            failed.set()
            raise KeyError("the row of MX/GOB/X")
        done.set()

    loops, loop = Loops(), Loop("drill", work, lambda: 3600.0, retry_s=lambda _: 0.01)
    with caplog.at_level(logging.WARNING, "loops"):
        loops.start([loop])
        async with asyncio.timeout(60):
            await failed.wait()
            (failure,) = loops.failures()
            assert failure.name == "drill"
            assert "KeyError" in str(failure)
            assert "MX/GOB/X" in str(failure)
            mended.set()
            await done.wait()
    await loops.stop()
    assert "KeyError" in caplog.text
    assert any(r.__dict__.get("event") == "loop_works" for r in caplog.records)


async def test_a_loop_that_waits_long_after_its_own_failures_looks_soon_again_after_any_other() -> None:
    """A timestamper asks its authority again after a minute; a database that was lost for a moment is no reason to wait so long."""
    for error, soon in (
        (ConnectionError("the database is away"), True),
        (BadMessage(Kind.INVALID_REQUEST, "no"), False),
    ):
        loop = failing_with(error, asyncio.Event())
        loop.retry_s = lambda _: 3600.0
        loops = Loops()
        loops.start([loop])
        while not loop.failures:
            await asyncio.sleep(0)
        assert (loop._retry_s() <= 1.0) is soon
        await loops.stop()


async def test_a_discreet_loop_tells_the_type_of_a_failure_and_nothing_of_its_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failed = asyncio.Event()

    async def work() -> None:
        failed.set()
        raise ValueError("GOCP800101HDFRRR00")

    loops = Loops()
    loops.start([Loop("drill", work, lambda: 3600.0, retry_s=lambda _: 3600.0, discreet=True)])
    async with asyncio.timeout(60):
        await failed.wait()
        await asyncio.sleep(0)
    assert "ValueError" in str(loops.failures()[0])
    assert "GOCP" not in str(loops.failures()[0])
    assert all("GOCP" not in str(r.__dict__) for r in caplog.records)
    await loops.stop()


async def test_an_interval_that_cannot_be_worked_out_does_not_end_a_loop() -> None:
    def interval() -> float:
        raise ZeroDivisionError

    again, rounds = asyncio.Event(), 0

    async def work() -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 2:
            again.set()

    loops = Loops()
    loops.start([Loop("drill", work, interval)])
    async with asyncio.timeout(60):
        await again.wait()
    await loops.stop()


async def test_stopping_ends_a_loop_within_a_round_and_within_a_pause() -> None:
    began = asyncio.Event()

    async def work() -> None:
        began.set()
        await asyncio.Event().wait()

    loops = Loops()
    loops.start(
        [Loop("in a round", work, lambda: 0.0), Loop("in a pause", asyncio.Event().wait, lambda: None)]
    )
    async with asyncio.timeout(60):
        await began.wait()
        await loops.stop()


def test_pauses_after_failures_grow_and_stay_bounded() -> None:
    pauses = [growing_retry_s(n) for n in (1, 2, 3, 10, 10_000)]
    assert pauses == sorted(pauses)
    assert pauses[0] == 1.0
    assert pauses[-1] == 60.0


# Every loop of every server


def drill(loop: Loop, error: BaseException) -> tuple[Loop, asyncio.Event]:
    """The same loop with a first round that fails and its own work afterwards, as quickly as may be."""
    real, done, failed = loop.work, asyncio.Event(), False

    async def work() -> None:
        nonlocal failed
        if not failed:
            failed = True
            raise error
        done.set()
        await real()

    return Loop(loop.name, work, loop.interval_s, retry_s=lambda _: 0.0, discreet=loop.discreet), done


async def outlives_everything(loops: Loops) -> list[str]:
    names = []
    for loop in list(loops):
        for error in ERRORS:
            drilled, done = drill(loop, error)
            task = asyncio.create_task(drilled.run())
            async with asyncio.timeout(30):
                await done.wait()
            assert not task.done(), (loop.name, error)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        names.append(loop.name)
    return names


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "data"
    place.mkdir()
    hosting.prepare(place)
    return place


async def test_every_loop_of_a_gateway_outlives_every_exception(folder: Path) -> None:
    host = GatewayProcess(DataFolder(folder), hosting.settings(KeySettings()), PIN)
    await host.start()
    gateway = host.gateway
    assert gateway is not None
    try:
        names = [*await outlives_everything(gateway.loops), *await outlives_everything(host.loops)]
        assert {"timestamper", "archiver", "configuration", "revocation", "serverconf", "settings"} <= set(
            names
        )
        assert {"message log", "monitoring", "requests", "notices", "renewals"} <= set(names)
        assert gateway.failed_loops() == []
    finally:
        await host.stop()


async def test_a_needed_loop_that_fails_is_on_health_and_in_the_diagnosis_and_another_is_a_warning(
    folder: Path,
) -> None:
    host = GatewayProcess(DataFolder(folder), hosting.settings(KeySettings()), PIN)
    await host.start()
    gateway = host.gateway
    assert gateway is not None
    failed = [asyncio.Event(), asyncio.Event()]

    def failing(name: str, event: asyncio.Event, *, needed: bool) -> Loop:
        async def work() -> None:
            event.set()
            raise RecursionError("30 80 30 80")

        return Loop(name, work, lambda: 3600.0, retry_s=lambda _: 3600.0, needed=needed)

    try:
        gateway.loops.start(
            [failing("needed", failed[0], needed=True), failing("spare", failed[1], needed=False)]
        )
        async with asyncio.timeout(60):
            for event in failed:
                await event.wait()
        assert any("'needed'" in line and "RecursionError" in line for line in await gateway.problems())
        assert not any("'spare'" in line for line in await gateway.problems())
        assert any("'spare'" in line for line in gateway.warnings())
        diagnosis = await gateway.diagnosis()
        assert {f.subject for f in diagnosis.findings if f.code == "loop-failing"} == {"needed", "spare"}
    finally:
        await host.stop()


async def test_every_loop_of_a_central_server_outlives_every_exception(tmp_path: Path) -> None:
    chosen = msgspec.structs.replace(
        centralhosting.settings(),
        catalogue=Catalogue(port=0, gateway="http://127.0.0.1:9", client="MX/GOB/A/B"),
    )
    server = CentralServer(tmp_path / "central", chosen)
    await centralhosting.initialise(server, tmp_path)
    await server.start()
    try:
        names = await outlives_everything(server.loops)
        assert set(names) == {"publishing", "notices", "catalogue"}
    finally:
        await server.stop()


async def test_a_clock_that_is_set_back_or_forward_does_not_stop_the_publication(tmp_path: Path) -> None:
    server = CentralServer(tmp_path / "central", centralhosting.settings())
    await centralhosting.initialise(server, tmp_path)
    node, now = server.node, datetime.now(UTC)
    assert await node.publish_if_due(now)
    assert not await node.publish_if_due(now + timedelta(seconds=1))
    for jump in (timedelta(days=-30), timedelta(days=400), timedelta(seconds=-5)):
        assert await node.publish_if_due(now + jump), jump
    await server.stop()


# No loop elsewhere


# Loops that pause or never end, and are no background loops of a server; each with why.
ALLOWED = {
    ("serving/process/loops.py", "run"): "the mechanism itself",
    ("serving/process/pace.py", "pause"): "one pause: ends with its interval",
    ("serving/process/workers.py", "_watch"): "one process: ends with it",
    ("serving/process/workers.py", "wait_ready"): "one start: ends when the process is ready, or has ended",
    (
        "gateway/keys/devices.py",
        "_wait_for",
    ): "the start: ends when the token answers or its patience is over",
    (
        "central_server/edges/tokens.py",
        "_wait_for",
    ): "the start: ends when the token answers or its patience is over",
    (
        "central_server/proxy/folder.py",
        "open_token",
    ): "the start: ends when the token answers or its patience is over",
    (
        "certs/edges/signerclient.py",
        "_read",
    ): "one connection: ends with it and is made anew at the next call",
    (
        "gateway/edges/http.py",
        "_accept",
    ): "one listener: ends when it is closed; what fails is logged and it goes on",
    ("serving/api/requestbodies.py", "while_connected"): "one request: ends with its answer or its caller",
    ("gateway/edges/peers.py", "_race"): "attempts to connect: ends with the last",
    ("gateway/messagelog/store.py", "_settled"): "one message: ends when the writer has answered",
    ("certs/edges/signer.py", "_serve"): "one connection: ends with it",
    ("certs/edges/signerclient.py", "sign"): "one signature: ends when its patience is over",
}
TASKS_ALLOWED = {
    "serving/process/loops.py",
    "serving/process/listener.py",  # one task a connection, which ends with it
    "serving/process/ending.py",  # a server's start, which is waited for or ended by a signal
    "gateway/messagelog/authorities.py",  # a race that its caller waits for
    "gateway/messagelog/openpgp.py",  # what gpg prints while it is fed, which ends with it
    "gateway/server/workers.py",  # the wait for a second signal, which ends with the end
    "gateway/cli/keytrials.py",  # a command's signatures at once, for which it waits
    "gateway/edges/peers.py",  # attempts to connect that their caller waits for
    "gateway/edges/http.py",  # one handshake, which ends with its connection; the accepting of one listener
    "gateway/http/client.py",  # one request's body
    "gateway/http/server.py",  # one connection's requests
    "serving/storage/audit.py",  # one record, for which its caller waits
    "serving/api/requestbodies.py",  # one request's work, for which its caller waits
    "certs/edges/signer.py",  # one question each
    "certs/edges/signerclient.py",  # one connection's answers
    "certs/signing.py",  # one batch of signatures
}


def python_files() -> Iterator[tuple[str, ast.Module]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"))


def never_ends_or_pauses(loop: ast.While) -> bool:
    """Whether a loop waits for something and has no way out, or waits for time to pass."""
    nodes = list(ast.walk(loop))
    waits = any(isinstance(n, ast.Await | ast.AsyncFor | ast.AsyncWith) for n in nodes)
    pauses = any(isinstance(n, ast.Attribute) and n.attr in ("sleep", "pause", "run", "wait") for n in nodes)
    endless = isinstance(loop.test, ast.Constant) and not any(
        isinstance(n, ast.Return | ast.Break) for n in nodes
    )
    return waits and (pauses or endless)


def test_no_loop_waits_for_ever_outside_the_mechanism() -> None:
    found = {
        (path, function.name)
        for path, tree in python_files()
        for function in ast.walk(tree)
        if isinstance(function, ast.AsyncFunctionDef)
        for loop in ast.walk(function)
        if isinstance(loop, ast.While) and never_ends_or_pauses(loop)
    }
    assert found <= set(ALLOWED), f"give these to serving.process.loops: {sorted(found - set(ALLOWED))}"


def test_no_task_is_started_outside_the_mechanism_but_where_somebody_waits_for_it() -> None:
    found = {
        path
        for path, tree in python_files()
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in ("create_task", "ensure_future")
    }
    assert found <= TASKS_ALLOWED, f"give these to serving.process.loops: {sorted(found - TASKS_ALLOWED)}"


# Deadlines count from the last success


class Log:
    """A message log whose records cannot be read."""

    def __init__(self) -> None:
        self.guards: list[object] = []

    def guard(self, check: object) -> None:
        self.guards.append(check)

    async def untimestamped(self, _size: int) -> list[object]:
        raise sqlite3.DatabaseError("malformed")


def test_traffic_stops_when_no_round_of_timestamping_succeeds_whatever_became_of_it() -> None:
    clock = [1_000.0]
    settings = TimestampSettings(interval_s=60.0, acceptable_failure_s=600.0)
    stamper = Timestamper(
        cast("Any", Log()),  # what the check does not look at is not there
        lambda: None,
        cast("Any", None),
        lambda: datetime.now(UTC),
        settings,
        monotonic=lambda: clock[0],
    )
    now = datetime.now(UTC)
    stamper.check(now)
    clock[0] += 600.0
    stamper.check(now)  # a round was due after 60 s; 600 s of failing are allowed
    stamper.check(now + timedelta(days=400))  # a clock that is set forwards says nothing
    stamper.check(now - timedelta(days=400))
    clock[0] += 61.0
    with pytest.raises(Fault, match="no round of timestamping has succeeded"):
        stamper.check(now)


def test_a_silent_server_owes_no_timestamp() -> None:
    clock = [1_000.0]
    stamper = Timestamper(
        Log(),  # type: ignore[arg-type]
        lambda: None,
        None,  # type: ignore[arg-type]
        lambda: datetime.now(UTC),
        TimestampSettings(interval_s=60.0, acceptable_failure_s=600.0),
        monotonic=lambda: clock[0],
    )
    clock[0] += 1_000_000.0  # nothing came all that while
    stamper.check(datetime.now(UTC))
