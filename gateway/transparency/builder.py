"""Follows the message log into its transparency log: a round takes what was committed since, and signs a checkpoint.

On disk, each on it before the next begins: openings, then bundles and tiles, then the checkpoint. A crash leaves tiles that no
checkpoint covers, made again from the message log, byte by byte the same, by the next round. A checkpoint is on the disk before
anybody is shown it, so two different ones of a size are never signed, whenever the process is killed.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

from certs.edges.tokenfiles import sync_folder, write_whole
from certs.transparency import NoteSigner, verify_log
from schemas.faults import Fault, Kind
from schemas.transparency.announcement import log_name
from schemas.transparency.entries import NO_OPENING, FirstEntry, Opening, entry_of, parse_first_entry
from schemas.transparency.notes import ED25519, Checkpoint, SignedNote
from schemas.transparency.tiles import WIDTH, GrowingTree, TileName, render_bundle

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path
    from typing import Protocol

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from gateway.messagelog.committed import CommittedRecord
    from gateway.transparency.files import TransparencyFiles

    class CommittedRecords(Protocol):
        """The message log as this needs it: what is committed, in the order of the records' numbers."""

        def removed_up_to(self) -> int:
            """The number of the last record that retention removed; 0 for none."""

        def committed_after(self, number: int, limit: int) -> Sequence[CommittedRecord]:
            """Records after one, oldest first."""


ROUND = 5_000
_HASH_BLOCK = 64
# In the folder of a log that ended: how the one after it begins, written before anything is moved.
_DECLARED = "declared"
_TO_DO = "see what `gateway log verify` says; a restored copy is declared with `gateway log declare`"


@dataclass(slots=True)
class _Growing:
    """The growing end: the tree, the entries of the bundle that is not full, the number of the next record, the origin."""

    tree: GrowingTree
    bundle: list[bytes]
    next_number: int
    origin: str


class LogBuilder:
    """Builds one transparency log; every method blocks and is called from one thread at a time."""

    def __init__(
        self,
        files: TransparencyFiles,
        records: CommittedRecords,
        key: Ed25519PrivateKey,
        origin: str,
        now: Callable[[], datetime],
    ) -> None:
        self._files = files
        self._records = records
        self._key = key
        self._origin = origin
        self._now = now
        self._salts = _Salts(hmac.digest(key.private_bytes_raw(), b"sacbe transparency salts 1", "sha256"))
        self._growing: _Growing | None = None

    def catch_up(self) -> SignedNote:
        """Take everything that is committed; the newest checkpoint, the old one when nothing came.

        Raises `Fault` when the message log is not the one that the checkpoint covers: nothing is signed then.
        """
        growing = self._growing or self._open()
        self._growing = None  # a round that fails begins anew from the disk
        note = self._files.read_checkpoint()
        while True:
            records = self._records.committed_after(growing.next_number - 1, ROUND)
            if records or note is None:
                note = self._take(growing, records)
            if len(records) < ROUND:
                self._growing = growing
                return note

    def _take(self, growing: _Growing, records: Sequence[CommittedRecord]) -> SignedNote:
        start = growing.tree.size
        tiles: list[tuple[TileName, bytes]] = []
        openings = [] if start else [NO_OPENING.render()]
        entries = [] if start else [FirstEntry(growing.next_number, self._now()).entry()]
        origin = growing.origin.encode()
        for record in records:
            if record.number != growing.next_number:
                raise Fault(
                    Kind.LOGGING_FAILED,
                    f"record {growing.next_number} of the message log is missing: {record.number} came in its place; {_TO_DO}",
                )
            openings.append(_opening_of(record, self._salts.salt(origin, record)).render())
            entries.append(entry_of(openings[-1]))
            growing.next_number += 1
        while entries:
            room = WIDTH - len(growing.bundle)
            some, entries = entries[:room], entries[room:]
            tiles += growing.tree.extend(some)
            growing.bundle += some
            if len(growing.bundle) == WIDTH:
                tiles.append((TileName(None, growing.tree.size // WIDTH - 1), render_bundle(growing.bundle)))
                growing.bundle.clear()
        return self._write(growing, start, openings, tiles)

    def _write(
        self,
        growing: _Growing,
        start: int,
        openings: Sequence[bytes],
        full: Sequence[tuple[TileName, bytes]],
    ) -> SignedNote:
        tree, partial = growing.tree, growing.tree.partial()
        if growing.bundle:
            name = TileName(None, tree.size // WIDTH, len(growing.bundle))
            partial.append((name, render_bundle(growing.bundle)))
        self._files.write_openings(start, openings)
        self._files.write_tiles([*full, *partial])
        # On disk now: all that the checkpoint will cover. A crash here: the next round makes these tiles again.
        checkpoint = Checkpoint(growing.origin, tree.size, tree.root())
        note = NoteSigner(growing.origin, self._key).sign(SignedNote(checkpoint.render()))
        self._files.write_checkpoint(note)
        # From here on this is the log's head, whatever happens; partial tiles that were filled are not needed any more.
        self._files.remove_filled(full)
        return note

    # Opening

    def _open(self) -> _Growing:
        note = self._files.read_checkpoint()
        if note is None:
            return _Growing(GrowingTree(), [], self._records.removed_up_to() + 1, self._origin)
        pending = _pending(self._files, note)
        if pending is not None:
            _begin_again(self._files, self._key, note, pending)
            return self._open()
        origin = note.text.partition("\n")[0]
        checkpoint = verify_log(note, NoteSigner(origin, self._key).verifier(ED25519))
        growing = self._load(checkpoint)
        self._check_last(growing, checkpoint)
        if log_name(origin) == self._origin:
            return growing
        # The server has another name now, by which alone witnesses know its log: it goes on under that one, and says so.
        reason = f"the server was named {log_name(origin)}"
        first, now = growing.next_number, self._now()
        declare_restored(self._files, self._key, first, reason, 0, now, self._origin)
        return self._open()

    def _load(self, checkpoint: Checkpoint) -> _Growing:
        size = checkpoint.size
        try:
            tree = GrowingTree.load(size, self._files.read)
            bundle = list(self._files.entries(size, size - size % WIDTH)) if size % WIDTH else []
            first_entry = parse_first_entry(next(iter(self._files.entries(1))))
        except (Fault, OSError) as err:
            reason = err.detail if isinstance(err, Fault) else str(err)
            raise Fault(Kind.LOGGING_FAILED, f"{reason}; {_TO_DO}") from err
        if tree.root() != checkpoint.root:
            raise Fault(
                Kind.LOGGING_FAILED,
                f"the tiles of {self._files.folder} are not those of its checkpoint; {_TO_DO}",
            )
        return _Growing(tree, bundle, first_entry.first + size - 1, checkpoint.origin)

    def _check_last(self, growing: _Growing, checkpoint: Checkpoint) -> None:
        """The message log still has the last record of the tree, as it was; if it was not removed with all before it."""
        last = growing.next_number - 1
        if checkpoint.size == 1 or last <= self._records.removed_up_to():
            return
        (opening,) = self._files.openings(checkpoint.size, checkpoint.size - 1)
        found = self._records.committed_after(last - 1, 1)
        if not found or (found[0].number, found[0].digest) != (last, opening.record_digest):
            raise Fault(
                Kind.LOGGING_FAILED,
                f"the transparency log goes to record {last}, which the message log does not have as it was written; {_TO_DO}",
            )


class _Salts:
    """Salts that nobody without the log's key can guess; whoever builds this log with the key builds the same: every node does.

    HMAC-SHA-256 (RFC 2104) whose two beginnings are hashed once: `hmac.digest` looks its algorithm up each time, four times as long.
    """

    def __init__(self, key: bytes) -> None:
        padded = key.ljust(_HASH_BLOCK, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in padded))

    def salt(self, origin: bytes, record: CommittedRecord) -> bytes:
        """The salt of a record in the log of that origin."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(b"%s\n%d\n%s" % (origin, record.number, record.digest))
        outer.update(inner.digest())
        return outer.digest()


def _opening_of(record: CommittedRecord, salt: bytes) -> Opening:
    return Opening(salt, record.number, record.side, record.at_ms, record.digest, record.signature_digest)


def declare_restored(
    files: TransparencyFiles,
    key: Ed25519PrivateKey,
    first: int,
    reason: str,
    lost_after: int,
    now: datetime,
    name: str | None = None,
) -> FirstEntry:
    """Begin another log after the one in ``files``, which cannot go on as it is; entry 0 says so.

    The files of the earlier log are kept beside, in ``before-<number>``. ``lost_after`` is the size that witnesses had seen,
    ``name`` the server's own where that has changed. Raises `Fault` when there is no earlier log.
    """
    note = files.read_checkpoint()
    if note is None:
        raise Fault(Kind.LOGGING_FAILED, "there is no transparency log to declare anything of")
    pending = _pending(files, note)
    if pending is not None:
        return _begin_again(files, key, note, pending)
    old = note.text.partition("\n")[0]
    before = verify_log(note, NoteSigner(old, key).verifier(ED25519))
    first_entry = FirstEntry(first, now, reason, before.origin, before.size, before.root, lost_after)
    kept = _kept_beside(files, old)
    kept.mkdir(mode=0o700, exist_ok=True)
    number = kept.name.removeprefix("before-")
    origin = f"{name or log_name(old)}/log/{number}"
    # From here on the declaration is made: a crash leaves it to be carried out by whoever opens the log next.
    write_whole(kept / _DECLARED, origin.encode() + b"\n" + first_entry.entry())
    sync_folder(files.folder)
    return _begin_again(files, key, note, kept)


def _pending(files: TransparencyFiles, note: SignedNote) -> Path | None:
    """The folder with a declaration that a crash kept from being carried out; None when there is none."""
    kept = _kept_beside(files, note.text.partition("\n")[0])
    return kept if (kept / _DECLARED).exists() else None


def _kept_beside(files: TransparencyFiles, origin: str) -> Path:
    """The folder that keeps the files of the log ``origin`` once another one begins after it."""
    number = origin.removeprefix(f"{log_name(origin)}/log/")
    return files.folder / f"before-{int(number) + 1 if number.isdigit() else 2}"


def _begin_again(
    files: TransparencyFiles, key: Ed25519PrivateKey, note: SignedNote, kept: Path
) -> FirstEntry:
    """Carry a declaration out, from wherever it stands."""
    line, _, entry = (kept / _DECLARED).read_bytes().partition(b"\n")
    origin = line.decode()
    for name in ("tile", "openings", "stamped"):
        if (files.folder / name).exists() and not (kept / name).exists():
            (files.folder / name).rename(kept / name)
    write_whole(kept / "checkpoint", note.render())
    sync_folder(kept)
    sync_folder(files.folder)
    # The checkpoint goes last and is replaced, never absent: a crash before leaves one whose tiles stand in `before-`.
    tree = GrowingTree()
    tree.extend([entry])
    files.write_openings(0, [NO_OPENING.render()])
    files.write_tiles([*tree.partial(), (TileName(None, 0, 1), render_bundle([entry]))])
    files.write_checkpoint(
        NoteSigner(origin, key).sign(SignedNote(Checkpoint(origin, 1, tree.root()).render()))
    )
    return parse_first_entry(entry)
