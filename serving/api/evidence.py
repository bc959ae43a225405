"""A signed container that somebody uploads, judged by the code of ``gateway container verify``.

`verify_proof` does the same for the proof that a record is in a transparency log (`schemas.transparency.records`).

The configuration to judge by is one that a gateway gives out (``/verificationconf``), kept in a folder. What the verdict
says of the message is who signed it, when, and whether it is whole; the message's content is not shown.
"""

from __future__ import annotations

import io
import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from certs.edges.configurationfiles import load_configuration_folder
from certs.edges.tokenfiles import sync_folder, write_whole
from certs.transparency import appointments_in, verify_record
from certs.verify.container import Verdict, VerdictStep, verify_container
from schemas.faults import Fault
from schemas.globalconf.witnesses import Appointments
from schemas.transparency.records import record_proof_of
from schemas.zipreading import open_zip
from serving.errors import OperatorError
from serving.language import N_

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "KnownLogs",
    "ProofVerdict",
    "Verdict",
    "VerdictStep",
    "load_known_logs",
    "save_configuration",
    "verify_proof",
    "verify_upload",
]

MOST_CONFIGURATION_BYTES = 64 * 1024 * 1024
_MOST_FILES = 10_000


def save_configuration(content: bytes, folder: Path) -> None:
    """Keep a verification configuration in place of the one before. Raises `OperatorError` when it is none."""
    fresh = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        archive = open_zip(io.BytesIO(content), most_entries=_MOST_FILES)
        if sum(entry.size_bytes for entry in archive.entries.values()) > MOST_CONFIGURATION_BYTES:
            raise OperatorError(N_("the verification configuration is too large"))
        for name in archive.names:  # plain relative names, every one
            path = fresh / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, archive.read(name, MOST_CONFIGURATION_BYTES))
    except (Fault, OSError) as err:
        reason = err.detail if isinstance(err, Fault) else err.strerror
        raise OperatorError(
            N_("the verification configuration cannot be read: {reason}", reason=reason)
        ) from err
    # On disk now: both configurations, whole. A crash after the next line leaves none in place, and the new one is given again.
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)
    sync_folder(folder.parent)


def verify_upload(content: bytes, folder: Path) -> Verdict:
    """The verdict on a container. Slow: call it in a thread. Raises `OperatorError`."""
    try:
        trusted = load_configuration_folder(folder, strict=False)
    except (Fault, ValueError, OSError) as err:
        raise OperatorError(err.detail if isinstance(err, Fault) else str(err)) from err
    return verify_container(io.BytesIO(content), trusted)


class KnownLogs(msgspec.Struct, frozen=True):
    """The keys of transparency logs and witnesses that a configuration names."""

    appointments: Appointments


class ProofVerdict(msgspec.Struct, frozen=True):
    """The record that a proof proves, and who cosigned the head over it; with a ``reason`` it proves nothing, for that."""

    reason: str = ""
    number: int = 0
    at: datetime = datetime.fromtimestamp(0, UTC)
    message_id: str = ""
    is_response: bool = False
    side: str = ""
    owner: str = ""
    client: str = ""
    service: str = ""
    log: str = ""
    size: int = 0
    cosigned: tuple[str, ...] = ()


def load_known_logs(folder: Path) -> KnownLogs:
    """The logs and witnesses of a kept configuration. Raises `OperatorError` when it cannot be read."""
    try:
        return KnownLogs(appointments_in(load_configuration_folder(folder, strict=False)))
    except (Fault, ValueError, OSError) as err:
        raise OperatorError(err.detail if isinstance(err, Fault) else str(err)) from err


def verify_proof(value: object, known: KnownLogs) -> ProofVerdict:
    """The verdict on a proof of a record, as JSON that was read."""
    try:
        if not isinstance(value, dict):
            return ProofVerdict("a JSON object was expected")
        proved = verify_record(record_proof_of(value), known.appointments)
    except Fault as fault:
        return ProofVerdict(fault.detail)
    s = proved.statement
    return ProofVerdict(
        number=proved.number,
        at=datetime.fromtimestamp(s.at_ms / 1000, UTC),
        message_id=s.message_id,
        is_response=s.is_response,
        side=s.side.value,
        owner=s.owner,
        client=s.client,
        service=s.service,
        log=proved.checkpoint.origin,
        size=proved.checkpoint.size,
        cosigned=tuple(proved.cosigned),
    )
