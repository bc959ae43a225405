"""What stands in the transparency log for a record: a commitment that says nothing, and the opening that says what it is of.

Entry 0 says how the log begins. Every other entry is of one record of the message log, in the order of their numbers: a type
and SHA-256 over a label, a salt and the record's number, side, time and digests. The opening has all of that; it stays in the
gateway, and is handed out record by record to whoever is to prove that record.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from datetime import UTC, datetime

import msgspec

from schemas.faults import BadMessage, Kind
from schemas.jsontext import dump_json, load_json
from schemas.message import Side

SALT_BYTES = 32
_LABEL = b"sacbe transparency record 1\x00"
_RECORD, _BEGIN = b"\x01", b"\x00"
_FORM = struct.Struct(f">{SALT_BYTES}sQBQ32s32s")
OPENING_BYTES = _FORM.size
_SIDES = (Side.CONSUMER, Side.PROVIDER)


class Opening(msgspec.Struct, frozen=True):
    """The values an entry commits to: number, side and time (ms since 1970) of a record, its digest and that of its signature value."""

    salt: bytes
    number: int
    side: Side
    at_ms: int
    record_digest: bytes
    signature_digest: bytes

    @property
    def at(self) -> datetime:
        """When the record was written."""
        return datetime.fromtimestamp(self.at_ms / 1000, UTC)

    def entry(self) -> bytes:
        """The entry of the log."""
        return entry_of(self.render())

    def render(self) -> bytes:
        """Its form in the file of openings and in the ``extra`` of a proof, `OPENING_BYTES` long."""
        side = _SIDES.index(self.side)
        return _FORM.pack(self.salt, self.number, side, self.at_ms, self.record_digest, self.signature_digest)


def entry_of(rendered: bytes) -> bytes:
    """The entry of the log for a rendered opening."""
    return _RECORD + hashlib.sha256(_LABEL + rendered).digest()


# Stands at the place of entry 0, which is of no record.
NO_OPENING = Opening(bytes(SALT_BYTES), 0, Side.CONSUMER, 0, bytes(32), bytes(32))


def parse_opening(raw: bytes) -> Opening:
    """Read an opening. Raises `BadMessage` (``malformed_hash_chain``)."""
    if len(raw) != OPENING_BYTES:
        raise _malformed(f"an opening has {OPENING_BYTES} bytes; {len(raw)} came")
    salt, number, side, at_ms, digest, signature = _FORM.unpack(raw)
    if side >= len(_SIDES):
        raise _malformed(f"an opening has side 0 or 1; {side} came")
    return Opening(salt, number, _SIDES[side], at_ms, digest, signature)


class FirstEntry(msgspec.Struct, frozen=True):
    """The beginning of a log: its first record's number, when and why, and the head of the log before it, if there was one.

    ``lost_after``: the size up to which witnesses had seen the log before, where a restored copy has less than that.
    """

    first: int
    at: datetime
    reason: str = "first"
    previous_origin: str = ""
    previous_size: int = 0
    previous_root: bytes = b""
    lost_after: int = 0

    def entry(self) -> bytes:
        """Entry 0 of the log."""
        fields = {
            "first": self.first,
            "at": self.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "reason": self.reason,
            "previous_origin": self.previous_origin,
            "previous_size": self.previous_size,
            "previous_root": base64.b64encode(self.previous_root).decode(),
            "lost_after": self.lost_after,
        }
        return _BEGIN + dump_json(fields, separators=(",", ":"), ensure_ascii=False).encode()


def parse_first_entry(entry: bytes) -> FirstEntry:
    """Read entry 0. Raises `BadMessage` (``malformed_hash_chain``)."""
    try:
        fields = load_json(entry[1:])
        if entry[:1] != _BEGIN or not isinstance(fields, dict):
            raise ValueError("another type of entry")
        return FirstEntry(
            int(fields["first"]),
            datetime.strptime(str(fields["at"]), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC),
            str(fields["reason"]),
            str(fields["previous_origin"]),
            int(fields["previous_size"]),
            base64.b64decode(str(fields["previous_root"]), validate=True),
            int(fields["lost_after"]),
        )
    except (ValueError, KeyError, TypeError) as err:
        raise _malformed(
            f"entry 0 of a transparency log says how it begins; {err!r} hinders reading it"
        ) from err


def _malformed(detail: str) -> BadMessage:
    return BadMessage(Kind.MALFORMED_HASH_CHAIN, detail)
