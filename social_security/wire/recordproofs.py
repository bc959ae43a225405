"""Proofs, out of a gateway's transparency log, that the messages in an access log were sent: gathered by a system, opened by a portal.

A system asks its own gateway (``GET /recordproofs``) for the messages of the lines it shows, and puts what it is answered beside
them, packed: JSON, zlib, base64. Nothing in it is content, and nothing is believed of it: whoever shows the lines verifies each proof.

Packed is an object: ``proofs`` (lists by message id), ``waiting`` (in the message log, under no checkpoint yet), ``absent`` (not in
this gateway's log) and ``archived`` (the same, and older than the log's oldest record). A message id in none was not answered of.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

from schemas.jsontext import dump_json, load_json
from social_security.domain import pack
from social_security.domain.faults import DomainError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from social_security.wire.gatewayclient import GatewayClient

# Lines whose proofs go in one answer.
MOST_PROVED = 50
_LARGEST = 8 * 1024 * 1024


class AccessLine(NamedTuple):
    """A line of an access log by the message it is of: the operation's Spanish title, the message's id, and when."""

    action: str
    message_id: str
    at: datetime


def check_proofs(body: Mapping[str, Any]) -> None:
    """Refuse a question for more proofs than an answer takes. Raises `DomainError` SS-100."""
    chosen = body.get("proofs")
    if chosen is not None and (
        len(chosen) > MOST_PROVED or (not chosen and body.get("limit", MOST_PROVED + 1) > MOST_PROVED)
    ):
        raise DomainError(
            "SS-100",
            f"se prueban a lo más {MOST_PROVED} renglones a la vez",
            f"at most {MOST_PROVED} lines are proved at a time",
            field="proofs",
        )


async def gather_proofs(gateway: GatewayClient, rows: Sequence[AccessLine]) -> str:
    """The gateway's answer about the messages of some lines, packed."""
    found: dict[str, Any] = {"proofs": {}, "waiting": [], "absent": [], "archived": []}
    for subsystem, some in _by_subsystem(rows).items():
        answered = await gateway.record_proofs(subsystem, list(some))
        if answered is None:
            continue
        found["proofs"].update({m: p for m, p in answered["proofs"].items() if m in some})
        found["waiting"] += [m for m in answered["waiting"] if m in some]
        for message_id in answered["absent"]:
            earliest, row = answered["earliestMs"], some.get(message_id)
            if row is not None:
                is_older = earliest is not None and row.at.timestamp() * 1000 < earliest
                found["archived" if is_older else "absent"].append(message_id)
    packed = zlib.compress(dump_json(found, ensure_ascii=False, separators=(",", ":")).encode(), 6)
    return base64.b64encode(packed).decode()


def _by_subsystem(rows: Sequence[AccessLine]) -> dict[str, dict[str, AccessLine]]:
    """The rows' messages under the subsystem that serves their operation, which a row names by its Spanish title."""
    subsystems = {o.es: o.subsystem for o in pack.operations().values()}
    found: dict[str, dict[str, AccessLine]] = {}
    for row in rows:
        if row.action in subsystems and row.message_id:
            found.setdefault(subsystems[row.action], {})[row.message_id] = row
    return found


def open_proofs(packed: object) -> dict[str, Any]:
    """Unpack an answer. Raises `ValueError` for what is not of that form, or would be larger than memory is for."""
    if not isinstance(packed, str):
        raise ValueError("a text was expected")
    try:
        unpacking = zlib.decompressobj()
        raw = unpacking.decompress(base64.b64decode(packed, validate=True), _LARGEST)
    except (binascii.Error, zlib.error) as err:
        raise ValueError(str(err)) from err
    if not unpacking.eof:
        raise ValueError("it is cut off, or larger than proofs are")
    value = load_json(raw)
    if not isinstance(value, dict) or not isinstance(value.get("proofs"), dict):
        raise ValueError("an object with proofs was expected")
    if not all(isinstance(value.get(name), list) for name in ("waiting", "absent", "archived")):
        raise ValueError("lists of message ids were expected")
    return value
