"""kill -9 of either gateway at random points under load: no answer ever reached a consumer without its evidence.

Six consumers call without a break while, fifty times, one gateway is killed and started again on the same data. Afterwards
every answer that came is looked up in both logs, and both logs' chains are walked.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aiohttp
import pytest

from certs.transparency import NoteSigner
from gateway.messagelog.committed import CommittedReader
from gateway.transparency.files import TransparencyFiles
from gateway.transparency.logloop import FOLDER, KEY_FILE
from gateway.transparency.verification import verify_message_log
from schemas.transparency.notes import ED25519
from serving.cli.safecommands import open_folder_safe
from serving.storage.keysafe import SealSettings
from serving.web.witnessing import kept_note_key
from tests.integration.calling import AFIL, ECHO, works
from tests.integration.conftest import CONSUMER, PROVIDER
from tests.logs import open_gateway_log

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.federation import Federation, GatewaySpec
    from gateway.messagelog.store import MessageLog

# Fifty restarts: longer than one test may take elsewhere.
pytestmark = [pytest.mark.processes, pytest.mark.timeout(900)]
KILLS = 50
CONSUMERS = 6
URL = f"http://{CONSUMER.address}:8080/r1/MX/GOB/{ECHO}/x"


@dataclass(slots=True)
class Load:
    """What was answered with 200 so far, and when to stop."""

    answered: list[str] = field(default_factory=list)
    came: asyncio.Event = field(default_factory=asyncio.Event)
    stop: asyncio.Event = field(default_factory=asyncio.Event)


async def consume(number: int, load: Load) -> None:
    """Call until told to stop; every other call has a body."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        count = 0
        while not load.stop.is_set():
            count += 1
            message_id = f"kill-{number}-{count}"
            headers = {"X-Road-Client": AFIL, "X-Road-Id": message_id}
            body = b'{"a":1}' if count % 2 else None
            try:
                async with session.request(
                    "POST" if body else "GET", URL, headers=headers, data=body
                ) as answer:
                    await answer.read()
                    if answer.status == 200:
                        load.answered.append(message_id)
                        load.came.set()
                        continue
            except (aiohttp.ClientError, TimeoutError):
                pass
            await asyncio.sleep(0.02)


async def kill_often(federation: Federation, load: Load) -> None:
    """Kill and start, each time at a random moment after exchanges succeed again."""
    for number in range(KILLS):
        spec = (CONSUMER, PROVIDER)[number % 2]
        before = len(load.answered)
        async with asyncio.timeout(90):
            while len(load.answered) <= before + CONSUMERS // 2:
                load.came.clear()
                await load.came.wait()
        await asyncio.sleep(random.uniform(0.0, 0.25))
        federation.kill(spec.key)
        federation.start_gateway(spec, wait=False)


def kept(federation: Federation, spec: GatewaySpec) -> set[str]:
    """The message ids of which a gateway has both the request and the response."""
    with sqlite3.connect(federation.data(spec) / "log" / "messages.sqlite", timeout=60) as log:
        rows = log.execute(
            "SELECT message_id FROM record WHERE message_id LIKE 'kill-%' GROUP BY message_id "
            "HAVING sum(is_response = 0) >= 1 AND sum(is_response = 1) >= 1"
        ).fetchall()
    return {row[0] for row in rows}


def verify_transparency(data: Path, log: MessageLog, pin: str) -> None:
    """The transparency log was followed through every kill, forked nowhere and lost nothing it had signed."""
    files = TransparencyFiles(data / "log" / FOLDER)
    key = kept_note_key(files.folder / KEY_FILE, open_folder_safe(data, SealSettings(), lambda: pin))
    note = files.read_checkpoint()
    assert note is not None
    signer = NoteSigner(note.text.partition("\n")[0], key)
    found = verify_message_log(files, CommittedReader(log.reader), signer.verifier(ED25519), earlier=[note])
    assert found.differences == ()
    assert found.records > KILLS


@pytest.mark.xroad("F100")
async def test_no_answer_without_a_durable_record_on_both_sides(federation: Federation) -> None:
    load = Load()
    async with asyncio.TaskGroup() as group:
        for number in range(CONSUMERS):
            group.create_task(consume(number, load))
        await kill_often(federation, load)
        load.stop.set()
    await asyncio.to_thread(works, CONSUMER.address)
    assert len(load.answered) > KILLS * CONSUMERS // 2
    for spec in (CONSUMER, PROVIDER):
        missing = set(load.answered) - kept(federation, spec)
        assert not missing
        federation.kill(spec.key)
        log = open_gateway_log(federation.data(spec), (federation.folder / "pin").read_text())
        assert await log.verify_chain() is None
        verify_transparency(federation.data(spec), log, (federation.folder / "pin").read_text())
        await log.close()
        federation.start_gateway(spec)
