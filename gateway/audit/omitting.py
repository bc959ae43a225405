"""A person's list of accesses against the evidence of the other sides: messages about her that the list does not name.

Whoever keeps the list answers it in a signed message, so what it leaves out is left out over its own signature. Whoever asked
the keeper about her has each exchange in a log of its own, which the keeper cannot change. An exchange of the keeper's, signed before
the list, that has one of the words given (her identifiers) in its message or its bodies, and whose id the list lacks, was left out.
Only signed containers are needed; docs/decisions/0033-omitted-lines.md says why it is done so.
"""

from __future__ import annotations

from datetime import datetime
from typing import IO, TYPE_CHECKING, Any

import msgspec

from certs.verify.container import verify_container
from gateway.audit.evidence import contained, find_units, open_evidence
from gateway.audit.judging import UNCHECKED, VALID, Judgement, judge
from schemas import xades
from schemas.asic.container import read_container
from schemas.faults import BadMessage, Fault, Kind
from schemas.jsontext import load_json
from schemas.zipreading import open_zip

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from certs.configuration import TrustedConfiguration

_MESSAGE, _BODY = "message.xml", "attachment1"
_LARGEST_LIST = 64 * 1024 * 1024
# Bytes of a letter that is one byte once its case is folded, at most.
_LONGEST_SPELLING = 4


class AccessList(msgspec.Struct, frozen=True):
    """The ids that a list names, all its pages together, those of its own exchanges with them, and the member that signed it.

    ``signed_at`` is when that says it signed, ``stamped_at`` the proved time until which it did; of the first page.
    """

    keeper: str
    ids: frozenset[str]
    signed_at: datetime
    stamped_at: datetime


class Omitted(msgspec.Struct, frozen=True):
    """One exchange that the list does not name. Not certain where it was signed between the list's own time and its timestamp."""

    message_id: str
    client: str
    service: str
    signed_at: datetime
    place: str
    is_certain: bool


class Searched(msgspec.Struct, frozen=True):
    """A search's outcome: the number of exchanges with the keeper that have the words, those the list lacks, names of what could not be believed."""

    about: int
    omitted: tuple[Omitted, ...]
    unread: tuple[str, ...]


def read_lists(files: Iterable[Path], name: str, trust: TrustedConfiguration) -> AccessList:
    """The pages of one list, each the container of an answer in JSON; ``name`` is the field that has a message's id.

    Raises `BadMessage` for a page that is not proved, is no such answer, or was signed by another member than the first.
    """
    keepers: set[str] = set()
    ids: set[str] = set()
    times: list[tuple[datetime, datetime]] = []
    for file in files:
        with file.open("rb") as source:
            verdict = verify_container(source, trust)
            if not verdict.is_valid or verdict.signer is None or verdict.timestamp is None:
                raise _no_list(file, f"its container is not valid ({verdict.code or 'content is withheld'})")
            keepers.add(verdict.signer.path())
            archive = open_zip(source)
            if _BODY not in archive.names:
                raise _no_list(file, "its message has no body")
            try:
                ids |= set(_values(load_json(archive.read(_BODY, _LARGEST_LIST)), name))
            except ValueError as err:
                raise _no_list(file, "its body is not JSON") from err
            ids.add(verdict.message_id or "")
            times.append((_signed_at(source), verdict.timestamp))
    if len(keepers) != 1:
        raise BadMessage(Kind.BAD_REQUEST, f"a list is signed by one member; these are by {sorted(keepers)}")
    # Of pages that were asked one after another the first says how far the list reaches.
    return AccessList(keepers.pop(), frozenset(ids), *min(times))


def find_omitted(
    paths: Iterable[Path | str], found: AccessList, words: Sequence[str], trust: TrustedConfiguration
) -> Searched:
    """Search the evidence of other sides for exchanges about the person that the list does not name.

    Raises OSError, and `BadMessage` for a blank word: every message, or none, would have it.
    """
    about: dict[str, Omitted] = {}
    unread: list[str] = []
    if not words or not all(word.strip() for word in words):
        raise BadMessage(Kind.BAD_REQUEST, "an identifier of the person was expected; a blank word came")
    spellings = [word.casefold().encode() for word in words]
    for judgement, container in _judged(paths, trust):
        place = f"{judgement.file}: {judgement.container}" if judgement.container else judgement.file
        if judgement.verdict != VALID or container is None:
            unread.append(f"{place}: {judgement.code or judgement.verdict}")
        elif _is_of(judgement, found.keeper) and _has(container, spellings):
            at, seen = _signed_at(container), about.get(judgement.message_id)
            if at <= found.stamped_at and (seen is None or at < seen.signed_at):
                about[judgement.message_id] = Omitted(
                    judgement.message_id,
                    judgement.client,
                    judgement.service,
                    at,
                    place,
                    at <= found.signed_at,
                )
    left_out = sorted(
        (o for i, o in about.items() if i not in found.ids), key=lambda o: (o.signed_at, o.message_id)
    )
    return Searched(len(about), tuple(left_out), tuple(unread))


def _judged(
    paths: Iterable[Path | str], trust: TrustedConfiguration
) -> Iterator[tuple[Judgement, IO[bytes] | None]]:
    """Each container with the judgement on it; None for a file that cannot be read."""
    for unit in find_units(paths):
        try:
            with open_evidence(unit.path) as source:
                names = contained(source)
                if not names:
                    yield judge(source, unit.path, "", trust), source
                    continue
                archive = open_zip(source)
                for name in names[unit.start : unit.end or None]:
                    with archive.open(name) as container:
                        yield judge(container, unit.path, name, trust), container
        except Fault as fault:
            yield Judgement(unit.path, "", "", UNCHECKED, code=fault.detail), None


def _is_of(judgement: Judgement, keeper: str) -> bool:
    return "/".join(judgement.service.split("/")[: keeper.count("/") + 1]) == keeper


def _has(container: IO[bytes], words: Sequence[bytes]) -> bool:
    """Whether the message or one of its bodies has one of the words, in whatever case."""
    archive, longest = open_zip(container), max(map(len, words))
    for name in archive.names:
        if name != _MESSAGE and not name.startswith("attachment"):
            continue
        kept = b""
        for chunk in archive.chunks(name):
            text = (
                (kept + chunk)
                .decode("utf-8", "surrogateescape")
                .casefold()
                .encode("utf-8", "surrogateescape")
            )
            if any(word in text for word in words):
                return True
            kept = (kept + chunk)[-_LONGEST_SPELLING * longest :]
    return False


def _values(value: Any, name: str) -> Iterator[str]:
    """The texts under a name, at any depth."""
    within = [value]
    while within:
        one = within.pop()
        if isinstance(one, dict):
            if isinstance(one.get(name), str):
                yield one[name]
            within += one.values()
        elif isinstance(one, list):
            within += one


def _signed_at(container: IO[bytes]) -> datetime:
    """When the signer says it signed. The container was verified. Raises `BadMessage` for a time without a zone."""
    container.seek(0)
    text = xades.parse_signature_document(read_container(container).signature).signing_time
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = datetime.min
    if at.tzinfo is None:
        raise BadMessage(
            Kind.BAD_REQUEST, f"a time of signing with its zone was expected; {text[:40]!r} came"
        )
    return at


def _no_list(file: Path, reason: str) -> BadMessage:
    return BadMessage(Kind.BAD_REQUEST, f"{file} is no list of accesses: {reason}")
