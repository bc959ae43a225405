"""A batch of records as it will stand in the database: numbered, digested, chained and sealed. Values in, values out; no IO.

The only thing drawn from outside is randomness, for nonces. Sealing under one key more than once is safe: a batch that could not be
written is built anew, under the same numbers and other nonces.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import msgspec

from gateway.messagelog import rows
from gateway.messagelog.record import FIRST_CHAIN_VALUE, Links, RecordForm, chain_value, sealed_label
from gateway.messagelog.sealing import NONCE_BYTES, seal
from schemas.reduced import reduce_message
from schemas.transparency.records import record_digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.messagelog.body_store import KeptBody
    from gateway.messagelog.bodyrules import BodyRules
    from gateway.messagelog.record import LogEntry


class ChainEnd(msgspec.Struct, frozen=True):
    """Number and chain value of the last record on the disk; those of an empty log by default."""

    number: int = 0
    value: bytes = FIRST_CHAIN_VALUE


class Batch(msgspec.Struct, frozen=True):
    """Records to be written together: their rows and digests, the bodies that need files, and the chain's end once they are there."""

    records: Sequence[Sequence[rows.Field]]
    digests: Sequence[bytes]
    attachments: Sequence[Sequence[rows.Field]]
    in_files: Sequence[KeptBody]
    end: ChainEnd


def build_batch(
    entries: Sequence[LogEntry],
    kept: Sequence[Sequence[KeptBody]],
    keys: Sequence[bytes],
    after: ChainEnd,
    rules: BodyRules,
) -> Batch:
    """The batch of ``entries``, in their order, after the chain's end; ``kept`` and ``keys`` are theirs, one each."""
    number, chain = after.number, after.value
    records: list[list[rows.Field]] = []
    digests: list[bytes] = []
    attachments: list[list[rows.Field]] = []
    in_files: list[KeptBody] = []
    for entry, bodies, key in zip(entries, kept, keys, strict=True):
        number += 1
        message = entry.message
        row = rows.digested_row(entry, message.digest)
        digests.append(record_digest([*row, *[b.digest for b in bodies]]))
        chain = chain_value(chain, digests[-1])
        is_reduced = not rules.keeps(entry.side, message.service.client)
        row[rows.MESSAGE_PLACE] = _sealed(
            key, reduce_message(message) if is_reduced else message.raw, number, "message"
        )
        state = (int(RecordForm.SEALED), int(Links.DIGEST), message.digest, int(is_reduced), chain)
        records.append([number, *row, *state])
        for body in bodies:
            attachments.append([number, *_attachment_row(body, key, number)])
            if body.is_near:
                in_files.append(body)
    return Batch(records, digests, attachments, in_files, ChainEnd(number, chain))


def _sealed(key: bytes, clear: bytes, record_id: int, what: str) -> bytes:
    return seal(key, secrets.token_bytes(NONCE_BYTES), clear, sealed_label(record_id, what))


def _attachment_row(body: KeptBody, key: bytes, record_id: int) -> list[rows.Field]:
    what = f"attachment {body.number}"
    content = None if body.content is None else _sealed(key, body.content, record_id, what)
    file_key = None if body.file_name is None else _sealed(key, body.file_key, record_id, f"key of {what}")
    return [body.number, body.size_bytes, body.digest, content, body.file_name, file_key, body.kept_bytes]
