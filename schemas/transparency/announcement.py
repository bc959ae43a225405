"""A security server's announcement of the keys of its transparency log and its witness, to the central server.

Signed with the key of one of its registered authentication certificates, as its registration was: who holds that key is the
server. The statement begins with a line of its own, so that no other signature of the key can be taken for one. A time goes
with it: an older announcement never takes the place of a newer one.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from schemas.faults import BadMessage, Kind
from schemas.identifiers import parse_server_path
from schemas.transparency.notes import COSIGNATURE_ED25519, ED25519, VerifierKey, parse_verifier_key

if TYPE_CHECKING:
    from schemas.identifiers import ServerId

LONGEST_ANNOUNCEMENT = 8 * 1024
_LABEL = "sacbe transparency keys 1"
_TIME = "%Y-%m-%dT%H:%M:%SZ"


def log_origin(server: ServerId) -> str:
    """The name of a server's transparency log, and of its key in notes."""
    return quote(server.path(), safe="/")


def log_name(origin: str) -> str:
    """The name of the server's log without the number of one that was declared to go on after another (``…/log/2``)."""
    stem, _, number = origin.rpartition("/log/")
    return stem if stem and number.isascii() and number.isdigit() else origin


def witness_name(server: ServerId) -> str:
    """The name of a server as a witness."""
    return f"{log_origin(server)}/witness"


@dataclass(frozen=True, slots=True)
class KeyAnnouncement:
    """The two keys of a server, and when (UTC, whole seconds) it says so."""

    server: ServerId
    log_key: VerifierKey
    witness_key: VerifierKey
    at: datetime

    def statement(self) -> bytes:
        """The bytes that are signed: five lines."""
        lines = (
            _LABEL,
            log_origin(self.server),
            self.log_key.render(),
            self.witness_key.render(),
            self.at.astimezone(UTC).strftime(_TIME),
        )
        return "".join(f"{line}\n" for line in lines).encode()


@dataclass(frozen=True, slots=True)
class SignedAnnouncement:
    """An announcement with its signature, ECDSA in DER; ``statement`` is what was signed, as it came."""

    announcement: KeyAnnouncement
    statement: bytes
    algorithm: str
    signature: bytes

    def render(self) -> bytes:
        """The statement, an empty line, and a line of algorithm and signature in base64."""
        return self.statement + f"\n{self.algorithm} {base64.b64encode(self.signature).decode()}\n".encode()


def parse_announcement(raw: bytes) -> SignedAnnouncement:
    """Read an announcement; its signature is not proved yet. Raises `BadMessage` (``bad_request``)."""
    statement, blank, last = raw.partition(b"\n\n")
    try:
        label, server, log_key, witness_key, at = statement.decode().split("\n")
        algorithm, _, signature = last.decode("ascii").removesuffix("\n").partition(" ")
        value = base64.b64decode(signature, validate=True)
        moment = datetime.strptime(at, _TIME).replace(tzinfo=UTC)
    except (ValueError, binascii.Error) as err:
        raise _bad("it has not the five lines, the empty one and the signature that it is made of") from err
    if len(raw) > LONGEST_ANNOUNCEMENT or label != _LABEL or not blank:
        raise _bad(f"it has at most {LONGEST_ANNOUNCEMENT} bytes and begins with {_LABEL!r}")
    found = KeyAnnouncement(
        parse_server_path(server), parse_verifier_key(log_key), parse_verifier_key(witness_key), moment
    )
    for key, kind, name in (
        (found.log_key, ED25519, log_origin(found.server)),
        (found.witness_key, COSIGNATURE_ED25519, witness_name(found.server)),
    ):
        if (key.kind, key.name) != (kind, name):
            raise _bad(f"key {key.name!r} of type {key.kind} came where {name!r} of type {kind} was expected")
    if found.statement() != statement + b"\n":
        raise _bad("it is not written as announcements are")
    return SignedAnnouncement(found, statement + b"\n", algorithm, value)


def _bad(reason: str) -> BadMessage:
    return BadMessage(Kind.BAD_REQUEST, f"the announcement of transparency keys cannot be read: {reason}")
