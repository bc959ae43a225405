"""Asking witnesses to cosign a checkpoint; each is asked from the size on that it has seen.

Spec: C2SP tlog-witness. A witness that has seen more than there is, or other entries, says that this log went back or forked.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp

from certs.edges.fetch import read_answer
from certs.transparency import verify_cosignatures
from schemas.faults import BadMessage, Fault, Kind
from schemas.showing import shown
from schemas.transparency.merkle import consistency_proof
from schemas.transparency.notes import (
    COSIGNATURE_ED25519,
    SignedNote,
    VerifierKey,
    parse_signature_line,
    parse_size,
    parse_verifier_key,
)
from schemas.transparency.proofs import WitnessRequest
from schemas.transparency.tiles import tile_subtrees

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.transparency.files import TransparencyFiles

LONGEST_ANSWER = 16 * 1024


@dataclass(frozen=True, slots=True)
class AppointedWitness:
    """A witness of this log: where it is asked, and its key."""

    url: str
    key: VerifierKey

    @classmethod
    def parse(cls, text: str) -> AppointedWitness:
        """Read ``<address> <verifier key>``. Raises `BadMessage` (``bad_request``)."""
        url, _, key = text.strip().partition(" ")
        parsed = parse_verifier_key(key)
        if not url.startswith(("http://", "https://")) or parsed.kind != COSIGNATURE_ED25519:
            raise BadMessage(
                Kind.BAD_REQUEST,
                f"a witness is '<http address> <verifier key of type 4>'; {shown(text, 100)!r} came",
            )
        return cls(url.rstrip("/"), parsed)


@dataclass(frozen=True, slots=True)
class WitnessTrouble:
    """The reason why a witness did not sign; ``is_silence`` where it may sign later: nobody says that the log is another."""

    reason: str
    is_silence: bool


class WitnessClient:
    """Asks the appointed witnesses, and remembers how far each has seen this log."""

    def __init__(self, files: TransparencyFiles, session: aiohttp.ClientSession) -> None:
        self._files = files
        self._session = session
        self._seen: dict[str, int] = {}

    async def cosign(
        self, note: SignedNote, witnesses: Sequence[AppointedWitness], timeout_s: float
    ) -> tuple[SignedNote, list[WitnessTrouble]]:
        """The checkpoint with what witnesses signed, and what hinders those who did not."""
        requests = [self._ask(note, witness, timeout_s) for witness in witnesses]
        problems: list[WitnessTrouble] = []
        for witness, found in zip(
            witnesses, await asyncio.gather(*requests, return_exceptions=True), strict=True
        ):
            if isinstance(found, SignedNote):
                note = note.signed_also(*found.signatures)
            elif isinstance(found, Fault):
                is_silence = found.kind is not Kind.LOGGING_FAILED
                problems.append(WitnessTrouble(f"{witness.key.name}: {found.detail}", is_silence))
            elif isinstance(found, aiohttp.ClientError | TimeoutError | OSError):
                reason = (
                    f"{witness.key.name} does not answer at {witness.url}: {type(found).__name__} {found}"
                )
                problems.append(WitnessTrouble(reason, is_silence=True))
            else:
                raise found
        return note, problems

    async def _ask(self, note: SignedNote, witness: AppointedWitness, timeout_s: float) -> SignedNote:
        """The witness's signature lines on the checkpoint."""
        size = int(note.text.split("\n")[1])
        old = min(self._seen.get(witness.key.name, 0), size)
        for _ in range(2):
            status, text = await self._post(note, witness, old, size, timeout_s)
            if status == 200:
                self._seen[witness.key.name] = size
                return _signed(note, witness, text)
            if status != 409:
                break
            old = parse_size(text.strip())
            if old > size:
                raise _alarm(
                    f"it has seen {old} entries of this log, which has {size}: this is an old copy, or was truncated. "
                    "Restored from a backup? Declare it: gateway log declare"
                )
        if status in (409, 422):
            raise _alarm(f"it has seen other entries of this log ({shown(text, 200)}): the log was forked")
        raise Fault(Kind.NETWORK_ERROR, f"it answered {status} {shown(text.strip(), 200)}")

    async def _post(
        self, note: SignedNote, witness: AppointedWitness, old: int, size: int, timeout_s: float
    ) -> tuple[int, str]:
        subtrees = tile_subtrees(size, self._files.read)
        path = await asyncio.to_thread(consistency_proof, old, size, subtrees)
        body = WitnessRequest(old, tuple(path), note).render()
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        async with self._session.post(
            f"{witness.url}/add-checkpoint", data=body, timeout=timeout, allow_redirects=False
        ) as answer:
            try:
                raw = await read_answer(answer, LONGEST_ANSWER)
            except ValueError as err:
                raise Fault(Kind.NETWORK_ERROR, f"its answer to a checkpoint: {err}") from err
            return answer.status, raw.decode("utf-8", "replace")


def _signed(note: SignedNote, witness: AppointedWitness, text: str) -> SignedNote:
    """The lines that are the witness's own, each proved. Raises `NotProved` or `Fault`."""
    lines = [parse_signature_line(line) for line in text.splitlines()]
    own = tuple(s for s in lines if (s.name, s.key_id) == (witness.key.name, witness.key.key_id))
    signed = SignedNote(note.text, own)
    if not verify_cosignatures(signed, [witness.key]):
        raise _alarm("its answer has no signature of the key that it is appointed with")
    return signed


def _alarm(detail: str) -> Fault:
    return Fault(Kind.LOGGING_FAILED, detail)
