"""``python -m tests.logkills``: kill -9 at the commit points of message log, tiles, checkpoint, archive and cleaning, many times.

A process logs, stamps, builds its transparency log, archives and removes without a pause, and says on a pipe what was acknowledged. It
kills itself at the n-th time it opens a file to write, renames or removes one (each n in turn), or is killed at a random moment, in
the middle of the database's commits. After each kill another process opens what is left: everything acknowledged must be there, in
the log or in the archives, nothing twice, the chain whole, every checkpoint that was shown extended.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.messagelog.committed import CommittedReader
from gateway.messagelog.retention import Retention, RetentionSettings
from gateway.transparency.archives import shown_containers
from gateway.transparency.builder import LogBuilder
from gateway.transparency.files import TransparencyFiles
from gateway.transparency.verification import verify_message_log
from schemas.transparency.notes import parse_note
from tests import worlds
from tests.logs import append_signed, open_log, stamp_alone
from tests.mutations import KEY, ORIGIN, log_key
from tests.worlds import NOW

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from gateway.messagelog.store import MessageLog

_WRITES = os.O_WRONLY | os.O_RDWR
_SETTINGS = RetentionSettings(seal=False, keep_days=1, file_bytes=4_000)
_AT_ONCE = 3
# A folder is used for so many kills, so that its log has archives, removed records and more than one bundle.
_KILLS_EACH = 25


@dataclass(slots=True)
class Told:
    """What the killed processes had acknowledged: numbers of records, and the newest checkpoint."""

    records: set[int] = field(default_factory=set)
    checkpoint: bytes = b""
    places: Counter[str] = field(default_factory=Counter)

    def take(self, raw: bytes) -> None:
        """Read the pipe of a process; a line that was cut off acknowledges nothing."""
        for line in raw.split(b"\n")[:-1]:
            kind, _, value = line.partition(b" ")
            if kind == b"record":
                self.records.add(int(value))
            elif kind == b"checkpoint":
                self.checkpoint = bytes.fromhex(value.decode())


def builder_of(folder: Path, log: MessageLog) -> LogBuilder:
    """The builder of the transparency log beside a message log."""
    files = TransparencyFiles(folder / "transparency")
    files.folder.mkdir(exist_ok=True)
    return LogBuilder(files, CommittedReader(log.reader), KEY, ORIGIN, lambda: NOW)


async def work(folder: Path, say: Callable[[bytes], object]) -> None:
    """Log, stamp, build, archive and remove until killed."""
    log = open_log(folder)
    keeper = Retention(log, folder, lambda: NOW + timedelta(days=30), _SETTINGS)
    builder = builder_of(folder, log)
    while True:
        numbers = await asyncio.gather(*(append_signed(log, folder) for _ in range(_AT_ONCE)))
        say(b"".join(b"record %d\n" % number for number in numbers))
        await stamp_alone(log, *(waiting.id for waiting in await log.untimestamped(1_000)))
        say(b"checkpoint %s\n" % builder.catch_up().render().hex().encode())
        await keeper.archive()
        await keeper.remove_old()


async def check(folder: Path, told: Told, _say: Callable[[bytes], object]) -> None:
    """Everything that was acknowledged is there, once, and nothing forked. Raises AssertionError."""
    log = open_log(folder)
    keeper = Retention(log, folder, lambda: NOW + timedelta(days=30), _SETTINGS)
    await stamp_alone(log, *(waiting.id for waiting in await log.untimestamped(1_000)))
    await keeper.archive()  # ends what was interrupted
    assert await log.verify_chain() is None, "the chain is broken"
    builder_of(folder, log).catch_up()
    archives = sorted(keeper.folder.glob("*.zip"))
    assert not list(keeper.folder.glob("*.tmp")), "a temporary archive stayed"
    shown = [container for path in archives for container in shown_containers(path)]
    reader = CommittedReader(log.reader)
    found = verify_message_log(
        TransparencyFiles(folder / "transparency"),
        reader,
        log_key(),
        earlier=[parse_note(told.checkpoint)] if told.checkpoint else [],
        containers=shown,
    )
    assert found.differences == (), found.differences
    there, number = {container.number for container in shown}, reader.removed_up_to()
    removed = number
    while some := reader.committed_after(number, 500):
        there |= {record.number for record in some}
        number = some[-1].number
    assert told.records <= there, f"lost: {sorted(told.records - there)[:5]}"
    assert set(range(1, removed + 1)) <= {container.number for container in shown}, "removed before archived"
    await log.close()


def _die_at(place: int, say: Callable[[bytes], object]) -> None:
    """Kill this process at the n-th time it opens a file to write, renames or removes one."""
    count = 0

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        is_write = event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITES
        if is_write or event in ("os.rename", "os.remove"):
            count += 1
            if count == place:
                say(b"at %s\n" % event.encode())
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(look)


def forked(
    run: Callable[[Callable[[bytes], object]], Coroutine[Any, Any, None]], place: int, delay_s: float
) -> tuple[int, bytes]:
    """Run in a copy of this process, killed at a place or after a delay; its wait status and what it said."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)

        def say(line: bytes) -> None:
            os.write(writing, line)

        code = 1
        try:
            if place:
                _die_at(place, say)
            asyncio.run(run(say))
            code = 0
        except BaseException:
            traceback.print_exc()
        os._exit(code)
    os.close(writing)
    if delay_s:
        time.sleep(delay_s)
        os.kill(child, signal.SIGKILL)
    said = b""
    while some := os.read(reading, 65_536):
        said += some
    os.close(reading)
    return os.waitpid(child, 0)[1], said


def kill_often(folder: Path, kills: int, chance: random.Random, first: int = 1) -> Counter[str]:
    """Kill so many times, every other one at a random moment; how often at what. Raises AssertionError when anything is lost."""
    places: Counter[str] = Counter()
    told, place = Told(), folder
    worlds.world()  # its keys are made once, before there are copies of this process
    for number in range(kills):
        if number % _KILLS_EACH == 0:
            told, place = Told(), folder / f"log-{number}"
            place.mkdir()
        at = first + number // 2 if number % 2 == 0 else 0
        delay_s = 0.0 if at else chance.uniform(0.05, 1.5)
        status, said = forked(functools.partial(work, place), at, delay_s)
        assert os.WIFSIGNALED(status), f"kill {number}: it ended by itself ({status})"
        told.take(said)
        before = [line for line in said.split(b"\n") if line.startswith(b"at ")]
        places[before[-1].decode() if before else "at a random moment"] += 1
        status, _ = forked(functools.partial(check, place, told), 0, 0.0)
        assert status == 0, f"kill {number} ({places}): what is left is not whole"
    return places


def main() -> None:
    """Kill as often as asked, and print at what."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--first", type=int, default=1, help="the first commit point that is counted to")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="sacbe-kills-") as name:
        places = kill_often(Path(name), options.kills, random.Random(options.seed), options.first)
    print(
        f"{options.kills} kills in {time.monotonic() - begun:.0f} s, nothing lost, nothing forked: {dict(places)}"
    )


if __name__ == "__main__":
    main()
