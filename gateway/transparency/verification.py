"""Proves that a message log is the one its transparency log tells of, and names the first entry that is not.

What can be compared is compared in this order, and the first difference that has a place is the verdict:

1. the checkpoint is signed by the log, and earlier checkpoints that are given are of this log and covered by it;
2. every entry hashes to its place in the tiles, every opening to its entry, and the root over all is the checkpoint's;
3. every record that is there, and every archived container that is shown, is the one its opening tells of, none missing.

It needs the files and what somebody else kept: an earlier checkpoint, better with its tiles. Who could rebuild everything on a
disk cannot rebuild those.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import msgspec

from certs.transparency import verify_log
from schemas.faults import Fault
from schemas.transparency.entries import parse_first_entry
from schemas.transparency.merkle import HASH_BYTES, leaf_hash
from schemas.transparency.tiles import WIDTH, GrowingTree, TileName

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from gateway.messagelog.committed import CommittedRecord
    from gateway.transparency.builder import CommittedRecords
    from gateway.transparency.files import OpeningTable, TransparencyFiles
    from schemas.transparency.entries import FirstEntry, Opening
    from schemas.transparency.notes import Checkpoint, SignedNote, VerifierKey

_TOGETHER = 500


class ShownContainer(msgspec.Struct, frozen=True):
    """A container of an archive: the number of its record by its name, the digest of its signature value, where it lies."""

    number: int
    signature_digest: bytes
    where: str


class Findings(msgspec.Struct, frozen=True):
    """The findings about a log: its head and beginning, first and last time, and differences, the first one first."""

    checkpoint: Checkpoint | None
    first_entry: FirstEntry | None
    first_at: datetime | None = None
    last_at: datetime | None = None
    records: int = 0
    removed: int = 0
    waiting: int = 0
    containers: int = 0
    differences: tuple[Difference, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether the log agrees with its records: no difference was found."""
        return not self.differences


class Difference(msgspec.Struct, frozen=True):
    """One thing that is not as it was: what happened, to which record (0: to none in particular), said for a person."""

    what: str
    record: int
    detail: str


class _Comparison(msgspec.Struct):
    """Findings gathered so far, and the openings still to be looked up."""

    first_entry: FirstEntry
    size: int
    openings: OpeningTable
    found: list[Difference] = msgspec.field(default_factory=list)

    def opening(self, number: int) -> Opening | None:
        return self.openings.at(number - self.first_entry.first + 1)

    def number_of(self, index: int) -> int:
        return self.first_entry.first + index - 1


def verify_message_log(
    files: TransparencyFiles,
    records: CommittedRecords,
    key: VerifierKey,
    *,
    earlier: Iterable[SignedNote] = (),
    mirror: TransparencyFiles | None = None,
    containers: Iterable[ShownContainer] = (),
) -> Findings:
    """Compare everything that is there. ``mirror``: tiles that somebody kept of this log. Raises OSError where a disk does.

    Of a log nothing is kept in memory but the page that is compared; of containers their numbers.
    """
    try:
        note = files.read_checkpoint()
        if note is None:
            return _nothing(
                "missing", "there is no checkpoint: the transparency log was removed, or never begun"
            )
        checkpoint = verify_log(note, key)
        begun = parse_first_entry(next(iter(files.entries(1))))
    except (Fault, OSError, StopIteration) as err:
        return _nothing("edited", _reason(err))
    try:
        with files.opening_table(checkpoint.size) as openings:
            walk = _Comparison(begun, checkpoint.size, openings)
            older = _check_earlier(walk, checkpoint, earlier, key)
            _check_tiles(walk, files, older, mirror)
            last = _check_records(walk, records)
            shown = _check_containers(walk, containers)
            return _findings(walk, checkpoint, records.removed_up_to(), last, shown)
    except Fault as fault:
        return _nothing("missing", fault.detail)


def _findings(walk: _Comparison, checkpoint: Checkpoint, removed: int, last: int, shown: int) -> Findings:
    first, newest = walk.openings.at(1), walk.openings.at(checkpoint.size - 1)
    last_known = walk.number_of(checkpoint.size - 1)
    return Findings(
        checkpoint,
        walk.first_entry,
        None if first is None else first.at,
        None if newest is None else newest.at,
        records=checkpoint.size - 1,
        removed=max(0, min(removed, last_known) - walk.first_entry.first + 1),
        waiting=max(0, last - last_known),
        containers=shown,
        differences=tuple(walk.found),
    )


def _check_earlier(
    walk: _Comparison, checkpoint: Checkpoint, earlier: Iterable[SignedNote], key: VerifierKey
) -> dict[int, bytes]:
    """The roots that the log had by earlier checkpoints, by size."""
    roots = {checkpoint.size: checkpoint.root}
    for note in earlier:
        origin = note.text.partition("\n")[0]
        if origin != checkpoint.origin:
            same_before = origin == walk.first_entry.previous_origin
            declared = f"; it declares itself as following {walk.first_entry.previous_origin} ({walk.first_entry.reason})"
            walk.found.append(
                Difference(
                    "declared" if same_before else "begun anew",
                    0,
                    f"the checkpoint is of the log {origin}, this one is {checkpoint.origin}{declared if same_before else ''}",
                )
            )
            continue
        try:
            older = verify_log(note, key)
        except Fault as fault:
            walk.found.append(
                Difference("foreign", 0, f"the earlier checkpoint does not hold: {fault.detail}")
            )
            continue
        if older.size > checkpoint.size:
            first = walk.number_of(checkpoint.size)
            walk.found.append(
                Difference(
                    "rolled back",
                    first,
                    f"this log ends before record {first}; a checkpoint with {older.size - checkpoint.size} more exists: "
                    "it was truncated, or is an old copy",
                )
            )
        elif roots.setdefault(older.size, older.root) != older.root:
            walk.found.append(
                Difference("forked", 0, f"two checkpoints of {older.size} entries have different roots")
            )
    return roots


def _check_tiles(
    walk: _Comparison,
    files: TransparencyFiles,
    roots: dict[int, bytes],
    mirror: TransparencyFiles | None,
) -> None:
    tree, index, size, agreed = GrowingTree(), 0, walk.size, 0
    kept = _level_0(files, size)
    theirs = iter(()) if mirror is None else _level_0(mirror, _size_of(mirror, size))
    try:
        for index, entry in enumerate(files.entries(size)):
            full = tree.extend([entry])
            hashed, number = leaf_hash(entry), walk.number_of(index)
            _check_leaf(walk, number, hashed, next(kept), next(theirs, hashed))
            if index:
                opening = walk.openings.at(index)
                if opening is None or opening.entry() != entry or opening.number != number:
                    walk.found.append(
                        Difference(
                            "edited", number, f"entry {index} of the transparency log is not of its opening"
                        )
                    )
            _check_full(walk, files, full)
            root = roots.get(tree.size)
            if root is not None and root != tree.root():
                walk.found.append(_rebuilt(walk, agreed, tree.size, root))
            elif root is not None:
                agreed = tree.size
        for name, content in tree.partial():
            if files.read(name) != content:
                walk.found.append(_wrong_tile(walk, name))
    except (Fault, OSError, StopIteration) as err:
        number = walk.number_of(index + 1)
        walk.found.append(Difference("missing", number, f"at record {number}: {_reason(err)}"))


def _check_leaf(walk: _Comparison, number: int, hashed: bytes, kept: bytes, mirrored: bytes) -> None:
    if mirrored != hashed:
        walk.found.append(
            Difference(
                "rebuilt", number, f"the entry of record {number} is not the one in the tiles that were kept"
            )
        )
    elif kept != hashed:
        walk.found.append(
            Difference(
                "edited", number, f"the entry of record {number} does not hash to its place in the tiles"
            )
        )


def _check_full(walk: _Comparison, files: TransparencyFiles, full: list[tuple[TileName, bytes]]) -> None:
    for name, content in full:
        if name.level and files.read(name) != content:
            walk.found.append(_wrong_tile(walk, name))


def _wrong_tile(walk: _Comparison, name: TileName) -> Difference:
    first = walk.number_of(name.index * WIDTH << 8 * (name.level or 0))
    return Difference(
        "edited", max(first, walk.first_entry.first), f"the tile {name.path} is not that of its entries"
    )


def _rebuilt(walk: _Comparison, agreed: int, size: int, root: bytes) -> Difference:
    """``agreed``: entries up to which the last checkpoint before agrees; where the change lies is known to be after them."""
    first = walk.number_of(max(agreed, 1))
    return Difference(
        "rebuilt",
        0,
        f"the first {size} entries (to record {walk.number_of(size - 1)}) are not those of a checkpoint of that size "
        f"(root {root.hex()[:16]}…): from record {first} on, entries were edited, reordered or taken out and the tree built anew",
    )


def _level_0(files: TransparencyFiles, size: int) -> Iterator[bytes]:
    for index in range(-(-size // WIDTH)):
        raw = files.read(TileName(0, index, min(WIDTH, size - index * WIDTH)))
        yield from (raw[i : i + HASH_BYTES] for i in range(0, len(raw), HASH_BYTES))


def _size_of(mirror: TransparencyFiles, size: int) -> int:
    note = mirror.read_checkpoint()
    return size if note is None else min(size, int(note.text.split("\n")[1]))


# Records


def _check_records(walk: _Comparison, records: CommittedRecords) -> int:
    """Compare what is there; the number of the last record."""
    removed, last = records.removed_up_to(), walk.number_of(walk.size - 1)
    expected, number = max(removed + 1, walk.first_entry.first), removed
    before = len(walk.found)
    while some := records.committed_after(number, _TOGETHER):
        for record, after in itertools.pairwise([*some, None]):
            if record is None:
                continue
            number = record.number
            if number <= last and len(walk.found) == before:
                _check_record(walk, record, after, expected)
            expected = number + 1
    if number < last and len(walk.found) == before:
        walk.found.append(
            Difference(
                "truncated",
                max(number + 1, walk.first_entry.first),
                f"records {max(number + 1, walk.first_entry.first)} to {last} were deleted from the message log",
            )
        )
    return number


def _check_record(
    walk: _Comparison, record: CommittedRecord, after: CommittedRecord | None, expected: int
) -> None:
    number, opening = record.number, walk.opening(record.number)
    if number != expected:
        detail = (
            f"record {expected} was deleted"
            if number == expected + 1
            else f"records {expected} to {number - 1} were deleted"
        )
        walk.found.append(Difference("deleted", expected, f"{detail} from the message log"))
    elif opening is None or opening.record_digest == record.digest:
        return
    else:
        walk.found.append(_changed(walk, record, after))


def _changed(walk: _Comparison, record: CommittedRecord, after: CommittedRecord | None) -> Difference:
    number, stood = record.number, _number_of(walk, record)
    next_number = None if after is None else _number_of(walk, after)
    if stood is None and next_number == number:
        return Difference(
            "inserted", number, f"what stands as record {number} was put in; the true one stands after it"
        )
    if stood is None:
        return Difference("edited", number, f"record {number} is not what was written")
    if stood == number + 1 and next_number in (None, number + 2):
        return Difference("deleted", number, f"record {number} was deleted, and those after it renumbered")
    return Difference("reordered", number, f"what stands as record {number} was written as record {stood}")


def _number_of(walk: _Comparison, record: CommittedRecord) -> int | None:
    found = walk.openings.find(record.digest)
    return None if found is None else found.number


def _check_containers(walk: _Comparison, containers: Iterable[ShownContainer]) -> int:
    count = 0
    seen: dict[int, str] = {}
    for shown in containers:
        count += 1
        opening = walk.opening(shown.number)
        if opening is None or opening.signature_digest != shown.signature_digest:
            walk.found.append(
                Difference(
                    "archive edited" if opening is not None else "archive inserted",
                    shown.number,
                    f"{shown.where} is not the container of record {shown.number}",
                )
            )
        if shown.number in seen:
            walk.found.append(
                Difference(
                    "archive inserted",
                    shown.number,
                    f"{shown.where} is there twice, also as {seen[shown.number]}",
                )
            )
        seen[shown.number] = shown.where
    if seen:
        for number in range(min(seen), max(seen) + 1):
            if number not in seen and walk.opening(number) is not None:
                walk.found.append(
                    Difference(
                        "archive deleted",
                        number,
                        f"record {number} is in none of the archives that were shown",
                    )
                )
                break
    return count


def _nothing(what: str, detail: str) -> Findings:
    return Findings(None, None, differences=(Difference(what, 0, detail),))


def _reason(err: BaseException) -> str:
    return err.detail if isinstance(err, Fault) else f"{type(err).__name__} {err}".strip()
