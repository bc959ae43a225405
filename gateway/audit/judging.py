"""One container judged: the verdict, and what its message says of itself, as a row that can be written anywhere.

What a message says is shown of containers that hold it whole; the verdict is `certs.verify.container`'s, word for word.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from certs.configuration import TrustedConfiguration
from certs.edges.configurationfiles import load_configuration_folder
from certs.edges.profilefiles import load_profiles
from certs.verify.container import Verdict, verify_container
from gateway.audit.evidence import containers_in, digest_of_file
from schemas import rest, soap
from schemas.asic.container import read_container, record_number
from schemas.faults import Fault
from schemas.zipreading import open_zip

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.audit.evidence import EvidenceUnit

VALID, PROVED, INVALID, UNCHECKED = "valid", "proved", "invalid", "unchecked"


@dataclass(frozen=True, slots=True)
class Judgement:
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
        found = asdict(self)
        del found["steps"]
        return found


def load_trust(folder: Path) -> TrustedConfiguration:
    """The configuration in a folder, as it was when it was kept. Raises `Fault`."""
    load_profiles(folder)
    return load_configuration_folder(folder, strict=False)


_trust: TrustedConfiguration | None = None


def begin_process(folder: str) -> None:
    """Load the configuration once in a process that judges."""
    global _trust  # noqa: PLW0603  one configuration a process, given by its pool
    _trust = load_trust(Path(folder))


def judge_in_process(unit: EvidenceUnit) -> list[Judgement]:
    """The judgements on a unit, with the configuration of `begin_process`."""
    if _trust is None:
        raise RuntimeError("begin_process comes first")
    return list(judge_unit(unit, _trust))


def judge_unit(unit: EvidenceUnit, trust: TrustedConfiguration) -> Iterator[Judgement]:
    """A judgement on each container of a unit; on a file that cannot be read one that says so."""
    try:
        with Path(unit.path).open("rb") as source:
            if not unit.end:
                yield judge(source, unit.path, "", trust)
                return
            archive = open_zip(source)
            for name in containers_in(archive)[unit.start : unit.end]:
                with archive.open(name) as container:
                    yield judge(container, unit.path, name, trust)
    except (Fault, OSError, MemoryError) as err:
        reason = err.detail if isinstance(err, Fault) else str(err) or type(err).__name__
        yield Judgement(unit.path, "", "", UNCHECKED, code=reason)


def judge(source: IO[bytes], file: str, name: str, trust: TrustedConfiguration) -> Judgement:
    """The judgement on one container."""
    digest = digest_of_file(source)
    verdict = verify_container(source, trust)
    said = _said(source) if verdict.is_valid else {}
    return Judgement(
        file=file,
        container=name,
        sha256=digest,
        verdict=VALID if verdict.is_valid else PROVED if verdict.is_proved else INVALID,
        code=verdict.code or "",
        signer="" if verdict.signer is None else verdict.signer.path(),
        message_id=verdict.message_id or "",
        timestamp=_time(verdict),
        record=record_number(name or Path(file).name) or 0,
        steps=tuple((s.number, s.title, str(s.outcome), s.detail) for s in verdict.steps),
        **said,  # type: ignore[arg-type]  # columns of the message
    )


def _time(verdict: Verdict) -> str:
    return "" if verdict.timestamp is None else f"{verdict.timestamp:%Y-%m-%dT%H:%M:%SZ}"


def _said(source: IO[bytes]) -> dict[str, object]:
    """Who, what and how, by the message itself, which was proved."""
    source.seek(0)
    try:
        message = read_container(source).message
        if message.lstrip()[:1] == b"<" or message.startswith(b"\xef\xbb\xbf"):
            said = soap.parse_message(message)
            found = _columns("soap", said.client.path(), said.service.path(), "POST", None)
            return found | {"direction": "response" if said.is_response else "request"}
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
