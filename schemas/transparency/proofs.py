"""Proofs that go by hand: an inclusion proof with its checkpoint, and what a log asks a witness.

Spec: C2SP tlog-proof, tlog-witness (``add-checkpoint``).
"""

from __future__ import annotations

import base64
import binascii

import msgspec

from schemas.faults import BadMessage, Kind
from schemas.showing import shown
from schemas.transparency.merkle import HASH_BYTES, LONGEST_PROOF
from schemas.transparency.notes import SignedNote, parse_note, parse_size

HEAD = "c2sp.org/tlog-proof@v1"
LONGEST_EXTRA = 16 * 1024


class InclusionProof(msgspec.Struct, frozen=True):
    """An entry's place in a log, the path to the root and the checkpoint with that root. ``extra`` proves nothing by itself."""

    index: int
    path: tuple[bytes, ...]
    checkpoint: SignedNote
    extra: bytes = b""

    def render(self) -> bytes:
        """The content of a ``.tlog-proof`` file, in UTF-8."""
        extra = f"extra {base64.b64encode(self.extra).decode()}\n" if self.extra else ""
        head = f"{HEAD}\n{extra}index {self.index}\n{_hash_lines(self.path)}\n"
        return head.encode() + self.checkpoint.render()


def parse_inclusion_proof(raw: bytes) -> InclusionProof:
    """Read a ``.tlog-proof`` file. Raises `BadMessage` (``bad_request``)."""
    lines, note = _head_and_note(raw, LONGEST_EXTRA * 2 + LONGEST_PROOF * 45 + 200)
    if not lines or lines.pop(0) != HEAD:
        raise _bad(f"a proof begins with the line {HEAD}")
    extra = b""
    if lines and lines[0].startswith("extra "):
        encoded = lines.pop(0).removeprefix("extra ")
        try:
            extra = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError) as err:
            raise _bad("the extra data of a proof is base64") from err
    if not lines or not lines[0].startswith("index "):
        raise _bad("a proof has a line 'index <number>'")
    index = parse_size(lines.pop(0).removeprefix("index "))
    return InclusionProof(index, _parse_hashes(lines), note, extra)


class WitnessRequest(msgspec.Struct, frozen=True):
    """A log's request to a witness: from which size on, the consistency proof, and the checkpoint."""

    old_size: int
    path: tuple[bytes, ...]
    checkpoint: SignedNote

    def render(self) -> bytes:
        """The body of an ``add-checkpoint`` request, in UTF-8."""
        return f"old {self.old_size}\n{_hash_lines(self.path)}\n".encode() + self.checkpoint.render()


def parse_witness_request(raw: bytes) -> WitnessRequest:
    """Read the body of ``add-checkpoint``. Raises `BadMessage` (``bad_request``)."""
    lines, note = _head_and_note(raw, LONGEST_PROOF * 45 + 100)
    if not lines or not lines[0].startswith("old "):
        raise _bad("a request to a witness begins with the line 'old <size>'")
    return WitnessRequest(parse_size(lines[0].removeprefix("old ")), _parse_hashes(lines[1:]), note)


def _head_and_note(raw: bytes, longest: int) -> tuple[list[str], SignedNote]:
    """The lines before the first empty one, and the note after it."""
    head, blank, note = raw.partition(b"\n\n")
    if not blank or len(head) > longest:
        raise _bad(f"lines of at most {longest} bytes, an empty line and a checkpoint were expected")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError as err:
        raise _bad("the lines of a proof are ASCII") from err
    return lines, parse_note(note)


def _parse_hashes(lines: list[str]) -> tuple[bytes, ...]:
    if len(lines) > LONGEST_PROOF:
        raise _bad(f"a proof has at most {LONGEST_PROOF} hashes; {len(lines)} came")
    return tuple(_parse_hash(line) for line in lines)


def _parse_hash(line: str) -> bytes:
    try:
        raw = base64.b64decode(line, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != HASH_BYTES or base64.b64encode(raw).decode() != line:
        raise _bad(f"a hash of a proof is {HASH_BYTES} bytes in base64; {shown(line, 60)!r} came")
    return raw


def _hash_lines(path: tuple[bytes, ...]) -> str:
    return "".join(f"{base64.b64encode(h).decode()}\n" for h in path)


def _bad(detail: str) -> BadMessage:
    return BadMessage(Kind.BAD_REQUEST, detail)
