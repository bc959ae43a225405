"""``python -m tests.mutationtable``: every mutation of a long log, and what a third party with one earlier cosigned checkpoint finds.

The earlier checkpoint is from after four fifths of the records. Of a log that was changed after it and built anew with its own
key, the newest checkpoint of a witness takes its place.

Prints a row for each mutation: where it was made, at which records, before or after stamping, how many were found and how many
named the very record. Ends with 1 when one was not found, or another record was named.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gateway.messagelog.store import MessageLog, Stamp
from tests.logs import NOW, entry, open_log
from tests.mutations import IN_ARCHIVES, IN_DATABASE, IN_TILES, Books, archives_changed, rechain, verify

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.messagelog.store import LogEntry
    from gateway.transparency.verification import Findings

TOGETHER = 500


def numbered(number: int) -> LogEntry:
    """A record whose signature is its own."""
    return msgspec.structs.replace(entry(f"m{number}"), signature=hashlib.sha256(b"%d" % number).digest())


async def append(log: MessageLog, first: int, last: int) -> None:
    """Log the records from ``first`` to ``last``."""
    for begin in range(first, last + 1, TOGETHER):
        end = min(begin + TOGETHER, last + 1)
        await asyncio.gather(*(log.append(numbered(n)) for n in range(begin, end)))


async def make_log(folder: Path, records: int, earlier: int, *, is_stamped: bool) -> tuple[bytes, bytes]:
    """A log of some records; its cosigned checkpoints after ``earlier`` of them and at its end."""
    log, books = open_log(folder), Books(folder)
    await append(log, 1, earlier)
    books.builder().catch_up()
    before = books.cosigned().render()
    await append(log, earlier + 1, records)
    if is_stamped:
        stamped = [(n, b"chain", None) for n in range(1, records + 1)]
        await log.keep_stamp(Stamp(b"token", b"result", NOW, "tsa", stamped))
    books.builder().catch_up()
    await log.close()
    return before, books.cosigned().render()


@dataclass(slots=True)
class Tally:
    """How often each mutation was made, found, and its record named."""

    made: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    named: Counter[str] = field(default_factory=Counter)
    kinds: dict[str, set[str]] = field(default_factory=dict)

    def take(self, name: str, record: int, findings: Findings, *, earliest: bool = False) -> None:
        """Note what was found of a mutation at a record: the first difference, or that of the earliest record."""
        self.made[name] += 1
        if findings.differences:
            first = findings.differences[0]
            if earliest:
                first = min(findings.differences, key=lambda d: d.record or 1 << 40)
            self.found[name] += 1
            self.named[name] += first.record == record
            self.kinds.setdefault(name, set()).add(first.what)

    def is_whole(self) -> bool:
        """Whether everything was found and named."""
        return self.made == self.found == self.named

    def render(self) -> str:
        """The table in Markdown."""
        lines = ["| mutation | made | found | record named | as |", "|---|---|---|---|---|"]
        for name, made in self.made.items():
            said = ", ".join(sorted(self.kinds.get(name, ())))
            lines.append(f"| {name} | {made} | {self.found[name]} | {self.named[name]} | {said} |")
        return "\n".join(lines)


def mutate(original: Books, work: Path, change: Callable[[Books], None]) -> Books:
    """A copy of a log, changed."""
    shutil.rmtree(work, ignore_errors=True)
    copy = original.copy(work)
    change(copy)
    return copy


def at_record(change: Callable[[Books, int], None], n: int) -> Callable[[Books], None]:
    """A change, at record n."""
    return lambda books: change(books, n)


def in_database(what: str, n: int, *, with_chain: bool) -> Callable[[Books], None]:
    """A change of the database at record n, and perhaps the chain computed anew."""

    def change(books: Books) -> None:
        with books.changing() as connection:
            IN_DATABASE[what](connection, n)
            if with_chain:
                rechain(connection)

    return change


def rebuild(books: Books) -> None:
    """Make the transparency log anew of the message log as it is, renumbered without gaps, with the log's own key."""
    with books.changing() as connection:
        rows = connection.execute("SELECT id FROM record ORDER BY id").fetchall()
        for number, (old,) in enumerate(rows, 1):
            if number != old:
                connection.execute("UPDATE record SET id = ? WHERE id = ?", (number, old))
        rechain(connection)
    shutil.rmtree(books.files.folder)
    books.builder().catch_up()


def take_rebuilt(tally: Tally, label: str, n: int, books: Books, kept: tuple[Books, bytes, bytes]) -> None:
    """What is found of a log that agrees with itself: by a checkpoint from before, by the newest one of a witness, and the place.

    A checkpoint from before record ``n`` cannot tell; the newest one that any witness has seen always does. The place is named by
    who has a copy of the tiles.
    """
    original, earlier, last = kept
    by_earlier = not verify(books, earlier).is_whole
    is_covered = n < int(earlier.decode().split("\n")[1])
    if by_earlier != is_covered or verify(books, last).is_whole:
        tally.made[f"{label}: UNEXPECTED at record {n}"] += 1
    found = verify(books, last, mirror=original)
    tally.take(f"{label}; newest checkpoint of a witness, kept tiles", n, found, earliest=True)


def run(folder: Path, records: int, places: Sequence[int], tally: Tally, *, is_stamped: bool) -> None:
    """Make every mutation at every place of one log, and verify each with the earlier checkpoint alone."""
    when = "after stamping" if is_stamped else "before stamping"
    (folder / "log").mkdir(parents=True)
    earlier, last = asyncio.run(make_log(folder / "log", records, records * 4 // 5, is_stamped=is_stamped))
    original, work = Books(folder / "log"), folder / "copy"
    assert verify(original, earlier, last).is_whole
    containers = original.containers()
    for n in places:
        for what in IN_DATABASE:
            for with_chain in (False, True):
                books = mutate(original, work, in_database(what, n, with_chain=with_chain))
                label = f"database: {what}{', with a new chain' if with_chain else ''}, {when}"
                tally.take(label, n, verify(books, earlier))
        for what, change in IN_TILES.items():
            books = mutate(original, work, at_record(change, n))
            tally.take(f"tiles: {what}, {when}", n, verify(books, earlier))
        for what in IN_ARCHIVES:
            shown = archives_changed(what, containers, n)
            tally.take(f"archives: {what}, {when}", n, verify(original, earlier, containers=shown))
        for what in IN_DATABASE:
            books = mutate(original, work, in_database(what, n, with_chain=True))
            rebuild(books)
            label = f"all: {what}, the tree built anew with the log's key, {when}"
            take_rebuilt(tally, label, n, books, (original, earlier, last))
        print(f"{when}, record {n}: done", file=sys.stderr, flush=True)


def main() -> None:
    """Make the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--places", type=int, nargs="+", default=[256, 7_777, 9_000])
    options = parser.parse_args()
    tally, begun = Tally(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="sacbe-mutations-") as name:
        for is_stamped in (False, True):
            folder = Path(name) / str(is_stamped)
            run(folder, options.records, options.places, tally, is_stamped=is_stamped)
    print(tally.render())
    print(
        f"{options.records} records, {sum(tally.made.values())} mutations, {time.monotonic() - begun:.0f} s"
    )
    sys.exit(0 if tally.is_whole() else 1)


if __name__ == "__main__":
    main()
