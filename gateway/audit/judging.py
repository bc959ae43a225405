"""One container judged: the verdict, and what its message says of itself, as a row that can be written anywhere.

What a message says is shown of containers that hold it whole; the verdict is `certs.verify.container`'s, word for word.
"""

from __future__ import annotations

import hashlib
import io
from functools import lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING

import msgspec

from certs.configuration import TrustedConfiguration
from certs.edges.configurationfiles import load_configuration_folder
from certs.verify.container import Verdict, verify_container
from gateway.audit.evidence import contained, containers_in, digest_of_file, open_evidence
from schemas import rest, soap
from schemas.asic.container import record_number
from schemas.faults import Fault
from schemas.zipreading import open_zip

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from gateway.audit.evidence import EvidenceUnit

_IN_MEMORY = 4 * 1024 * 1024
VALID, PROVED, INVALID, UNCHECKED = "valid", "proved", "invalid", "unchecked"


class Judgement(msgspec.Struct, frozen=True):
    """A row of a report. Empty texts and 0 where nothing is known. ``status`` is the HTTP status of a REST answer."""

    file: str
    container: str
    sha256: str
    verdict: str
    code: str = ""
    signer: str = ""
    message_id: str = ""
    timestamp: str = ""
    record: int = 0
    direction: str = ""
    protocol: str = ""
    client: str = ""
    service: str = ""
    method: str = ""
    status: int = 0
    steps: tuple[tuple[int, str, str, str], ...] = ()

    def row(self) -> dict[str, object]:
        """The row by column, without its steps."""
        return {name: getattr(self, name) for name in COLUMNS}


COLUMNS = tuple(name for name in Judgement.__struct_fields__ if name != "steps")


def load_trust(folder: Path) -> TrustedConfiguration:
    """The configuration in a folder, as it was when it was kept. Raises `Fault`, ValueError."""
    return load_configuration_folder(folder, strict=False)


class _ThisProcess:
    """The configuration that this process judges by: a pool gives it once, before the first unit."""

    trust: TrustedConfiguration | None = None


def begin_process(trust: TrustedConfiguration | str) -> None:
    """Keep the configuration that this process judges by; from a folder where it could not be handed over as it is."""
    _ThisProcess.trust = load_trust(Path(trust)) if isinstance(trust, str) else trust


def judge_in_process(units: Sequence[EvidenceUnit]) -> list[list[Judgement]]:
    """The judgements on each of some units, with the configuration of `begin_process`."""
    trust = _ThisProcess.trust
    if trust is None:
        raise RuntimeError("begin_process comes first")
    return [list(judge_unit(unit, trust)) for unit in units]


def judge_unit(unit: EvidenceUnit, trust: TrustedConfiguration) -> Iterator[Judgement]:
    """A judgement on each container of a unit; on a file that cannot be read one that says so."""
    try:
        with open_evidence(unit.path) as raw:
            source, digest = _taken(raw) if not unit.end else (raw, "")
            if digest:
                verdict = verify_container(source, trust)
                # What is a container needs not be looked at twice; what is none may be a bundle of them.
                if verdict.is_proved or not contained(source):
                    yield _judgement(unit.path, "", digest, verdict)
                    return
            archive = open_zip(source)
            for name in containers_in(archive)[unit.start : unit.end or None]:
                with archive.open(name) as container:
                    yield judge(container, unit.path, name, trust)
    except (Fault, OSError, MemoryError) as err:
        reason = err.detail if isinstance(err, Fault) else str(err) or type(err).__name__
        yield Judgement(unit.path, "", "", UNCHECKED, code=reason)


def judge(source: IO[bytes], file: str, name: str, trust: TrustedConfiguration) -> Judgement:
    """The judgement on one container."""
    source, digest = _taken(source)
    return _judgement(file, name, digest, verify_container(source, trust))


def _judgement(file: str, name: str, digest: str, verdict: Verdict) -> Judgement:
    facts = _message_columns(verdict.message) if verdict.is_valid else {}
    return Judgement(
        file=file,
        container=name,
        sha256=digest,
        verdict=VALID if verdict.is_valid else PROVED if verdict.is_proved else INVALID,
        code=verdict.code or "",
        signer="" if verdict.signer is None else verdict.signer.path(),
        message_id=verdict.message_id or "",
        timestamp=_time(verdict.timestamp),
        record=record_number((name or file).rpartition("/")[2]) or 0,
        steps=tuple((s.number, s.title, str(s.outcome), s.detail) for s in verdict.steps),
        **facts,  # type: ignore[arg-type]  # columns of the message
    )


# The containers of a batch share their timestamp.
@lru_cache(maxsize=64)
def _time(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _taken(source: IO[bytes]) -> tuple[IO[bytes], str]:
    """The stream itself, or where it is small a copy in memory; and its SHA-256 in hex."""
    source.seek(0)
    content = source.read(_IN_MEMORY + 1)
    if len(content) > _IN_MEMORY:
        return source, digest_of_file(source)
    return io.BytesIO(content), hashlib.sha256(content).hexdigest()


def _message_columns(message: bytes) -> dict[str, object]:
    """Who, what and how, by the message itself, which was proved."""
    try:
        if message.lstrip()[:1] == b"<" or message.startswith(b"\xef\xbb\xbf"):
            parsed = soap.parse_message(message)
            found = _columns("soap", parsed.client.path(), parsed.service.path(), "POST", None)
            return found | {"direction": "response" if parsed.is_response else "request"}
        if rest.is_response_part(message):
            answer = rest.parse_response(message)
            return _columns("rest", answer.client.path(), answer.service.path(), "", answer.status)
        request = rest.parse_request(message)
        return _columns("rest", request.client.path(), request.service.path(), request.method, None)
    except Fault:
        return {}


def _columns(protocol: str, client: str, service: str, method: str, status: int | None) -> dict[str, object]:
    return {
        "direction": "request" if status is None else "response",
        "protocol": protocol,
        "client": client,
        "service": service,
        "method": method,
        "status": status or 0,
    }
