"""A record of a message log in clear, by digests where it has content, and the proof that the transparency log has it.

`RecordStatement` has everything that a record's digest is over: parties, service, ids, side, time, the signature document, and
the digests of message and bodies. Who has one with the opening of its entry and an inclusion proof knows that this very record is
in the log, without any of its content. `RecordProof` is the three together, as a file to take along.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from schemas.faults import BadMessage, Kind
from schemas.jsontext import dump_json, load_json
from schemas.message import Side
from schemas.transparency.entries import parse_opening
from schemas.transparency.proofs import InclusionProof, parse_inclusion_proof

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from schemas.transparency.entries import Opening

FORM = "sacbe record proof 1"
LONGEST_RECORD_PROOF = 4 * 1024 * 1024


def record_digest(fields: Sequence[bytes | str | int | None]) -> bytes:
    """SHA-256 over the fields, each with its length, so that nothing can move from one to the next."""
    pieces = [
        b"%d:%b" % (len(v), v) if type(v) is bytes else b"-1:" if v is None else _text_piece(v)
        for v in fields
    ]
    return hashlib.sha256(b"".join(pieces)).digest()


@lru_cache(maxsize=1024, typed=True)
def _text_piece(value: str | int | bytes) -> bytes:
    """A field that is no bytes, with its length: side, protocol and parties are the same in most records."""
    raw = str(value).encode()
    return b"%d:%b" % (len(raw), raw)


class RecordStatement(msgspec.Struct, frozen=True):
    """The fields of a record in the order of its digest, the message by its SHA-512, the bodies by theirs. ``at_ms``: since 1970."""

    message_id: str
    request_id: str
    is_response: bool
    side: Side
    owner: str
    client: str
    service: str
    protocol: str
    message_digest: bytes
    signature: bytes
    hash_chain_result: bytes | None
    hash_chain: bytes | None
    at_ms: int
    bodies: tuple[bytes, ...] = ()

    def digest(self) -> bytes:
        """The record's digest, to which its entry of the transparency log commits."""
        return record_digest(
            (
                self.message_id,
                self.request_id,
                int(self.is_response),
                str(self.side),
                self.owner,
                self.client,
                self.service,
                self.protocol,
                self.message_digest,
                self.signature,
                self.hash_chain_result,
                self.hash_chain,
                self.at_ms,
                *self.bodies,
            )
        )


class RecordProof(msgspec.Struct, frozen=True):
    """A statement and the inclusion proof whose ``extra`` is the opening of the record's entry; nothing of it is verified yet."""

    statement: RecordStatement
    inclusion: InclusionProof

    def opening(self) -> Opening:
        """The opening of the entry. Raises `BadMessage` when it cannot be read."""
        return parse_opening(self.inclusion.extra)

    def to_json(self) -> dict[str, object]:
        """The file's content. ``entry`` is what RFC 6962 hashes into the leaf, for tools that do not know the opening's form."""
        s = self.statement
        return {
            "form": FORM,
            "record": {
                "number": self.opening().number,
                "messageId": s.message_id,
                "requestId": s.request_id,
                "isResponse": s.is_response,
                "side": s.side.value,
                "owner": s.owner,
                "client": s.client,
                "service": s.service,
                "protocol": s.protocol,
                "messageSha512": s.message_digest.hex(),
                "signature": _base64(s.signature),
                "hashChainResult": None if s.hash_chain_result is None else _base64(s.hash_chain_result),
                "hashChain": None if s.hash_chain is None else _base64(s.hash_chain),
                "atMs": s.at_ms,
                "bodiesSha512": [digest.hex() for digest in s.bodies],
            },
            "entry": _base64(self.opening().entry()),
            "proof": self.inclusion.render().decode(),
        }

    def render(self) -> bytes:
        """A ``.record-proof.json`` file, in UTF-8."""
        return dump_json(self.to_json(), ensure_ascii=False, indent=1).encode() + b"\n"


def parse_record_proofs(raw: bytes) -> list[RecordProof]:
    """Read a ``.record-proof.json`` file of one proof, or of a list of them. Raises `BadMessage` (``bad_request``)."""
    if len(raw) > LONGEST_RECORD_PROOF:
        raise _bad(f"it has {len(raw)} bytes, more than {LONGEST_RECORD_PROOF}")
    try:
        value = load_json(raw)
    except ValueError as err:
        raise _bad("it is not JSON") from err
    found = value if isinstance(value, list) else [value]
    if not found or not all(isinstance(one, dict) for one in found):
        raise _bad("a JSON object, or a list of them, was expected")
    return [record_proof_of(one) for one in found]


def record_proof_of(value: Mapping[str, object]) -> RecordProof:
    """The same out of JSON that was read. Raises `BadMessage` (``bad_request``)."""
    record, proof = value.get("record"), value.get("proof")
    if value.get("form") != FORM or not isinstance(record, dict) or not isinstance(proof, str):
        raise _bad(f"an object with form {FORM!r}, record and proof was expected")
    try:
        statement = RecordStatement(
            message_id=_text(record["messageId"]),
            request_id=_text(record["requestId"]),
            is_response=_flag(record["isResponse"]),
            side=Side(_text(record["side"])),
            owner=_text(record["owner"]),
            client=_text(record["client"]),
            service=_text(record["service"]),
            protocol=_text(record["protocol"]),
            message_digest=bytes.fromhex(_text(record["messageSha512"])),
            signature=_bytes(record["signature"]),
            hash_chain_result=_bytes_or_none(record["hashChainResult"]),
            hash_chain=_bytes_or_none(record["hashChain"]),
            at_ms=_number(record["atMs"]),
            bodies=tuple(bytes.fromhex(_text(digest)) for digest in record["bodiesSha512"]),
        )
        inclusion = parse_inclusion_proof(proof.encode())
        found = RecordProof(statement, inclusion)
        same = (found.opening().number, found.opening().entry()) == (record["number"], _bytes(value["entry"]))
    except (KeyError, TypeError, ValueError, binascii.Error) as err:
        raise _bad(f"{type(err).__name__} {err} hinders reading it") from err
    if not same:
        raise _bad("its number or its entry is not that of its opening")
    return found


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a text was expected")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError("true or false was expected")
    return value


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 63:
        raise TypeError("a number from 0 on was expected")
    return value


def _bytes(value: object) -> bytes:
    return base64.b64decode(_text(value), validate=True)


def _bytes_or_none(value: object) -> bytes | None:
    return None if value is None else _bytes(value)


def _bad(reason: str) -> BadMessage:
    return BadMessage(Kind.BAD_REQUEST, f"the proof of a record cannot be read: {reason}")
