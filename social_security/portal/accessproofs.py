"""The lines of an access log against the signed message log: each is proved, not proved yet, or says in words why it is not.

The proofs come with the lines (`social_security.wire.recordproofs`); the keys that they are verified by come with the signed
configuration, which the member's gateway gives out (``/verificationconf``). A line is proved when the log of a gateway has a record
of the very message, from the member that the line names, to the member that keeps the list. The log's own time is shown beside.
"""

from __future__ import annotations

import asyncio
import enum
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from serving.api.evidence import KnownLogs, load_known_logs, verify_proof
from serving.errors import OperatorError
from social_security.portal.configuration import fetch_configuration
from social_security.wire.recordproofs import open_proofs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from serving.api.evidence import ProofVerdict

# The configuration is asked for again after so long.
_FRESH_S = 60.0


class LineState(enum.StrEnum):
    """The outcomes of a line of the access log held against the signed log; `FAILED` alone accuses somebody."""

    PROVED = "PROBADO"
    WAITING = "EN_ESPERA"
    REFUSED = "RECHAZADO"
    ARCHIVED = "ARCHIVADO"
    ABSENT = "AUSENTE"
    UNKNOWN = "SIN_PRUEBA"
    FAILED = "FALLA"


@dataclass(frozen=True, slots=True)
class LineProof:
    """The state of a line, its verified request and, where it was answered, answer; ``reason`` of a proof that fails."""

    state: LineState
    request: ProofVerdict | None = None
    answer: ProofVerdict | None = None
    reason: str = ""


class AccessProofs:
    """Verifies lines, by the newest configuration that the member's gateway gave."""

    def __init__(self, gateway: str, folder: Path) -> None:
        self._gateway = gateway
        self._folder = folder / "verificationconf"
        self._lock = asyncio.Lock()
        self._known: KnownLogs | None = None
        self._fetched_at = 0.0

    async def judge(self, rows: Sequence[Mapping[str, Any]], packed: object, keeper: str) -> list[LineProof]:
        """The state of each row of the list that ``keeper`` (``MX/GOB/15-ISSEMYM``) keeps, in their order."""
        try:
            bundle = open_proofs(packed)
        except ValueError:
            return [LineProof(LineState.UNKNOWN)] * len(rows)
        known = await self._known_logs()
        return await asyncio.to_thread(lambda: [_judge(row, bundle, known, keeper) for row in rows])

    async def _known_logs(self) -> KnownLogs | None:
        """The keys in force; of before when the gateway gives none now, None when it never did."""
        async with self._lock:
            if self._known is None or time.monotonic() - self._fetched_at > _FRESH_S:
                await fetch_configuration(self._gateway, self._folder)
                try:
                    self._known = await asyncio.to_thread(load_known_logs, self._folder)
                    self._fetched_at = time.monotonic()
                except OperatorError:
                    pass
            return self._known


def _judge(
    row: Mapping[str, Any], bundle: Mapping[str, Any], known: KnownLogs | None, keeper: str
) -> LineProof:
    message_id = row["messageId"]
    proofs = bundle["proofs"].get(message_id)
    if not proofs:
        return LineProof(_without(row, bundle))
    if known is None:
        return LineProof(LineState.UNKNOWN)
    verdicts = [verify_proof(proof, known) for proof in proofs]
    reason = next((v.reason for v in verdicts if v.reason), "")
    of_provider = [v for v in verdicts if v.side == "provider" and v.message_id == message_id]
    requests = [
        v
        for v in of_provider
        if not v.is_response
        and v.client.startswith(f"{row['receiverCode']}/")
        and v.owner.startswith(f"{keeper}/")
    ]
    if reason or not requests:
        return LineProof(LineState.FAILED, reason=reason or _other(verdicts, row))
    answer = next((v for v in of_provider if v.is_response and v.client == requests[0].client), None)
    return LineProof(LineState.PROVED, requests[0], answer)


def _without(row: Mapping[str, Any], bundle: Mapping[str, Any]) -> LineState:
    message_id = row["messageId"]
    if message_id in bundle["waiting"]:
        return LineState.WAITING
    if message_id in bundle["archived"]:
        return LineState.ARCHIVED
    if message_id in bundle["absent"]:
        return LineState.REFUSED if row["outcome"] == "NEGADO" else LineState.ABSENT
    return LineState.UNKNOWN


def _other(verdicts: Sequence[ProofVerdict], row: Mapping[str, Any]) -> str:
    """Which message the log has in place of the one that the line says."""
    found = "; ".join(f"{v.message_id}: {v.client} -> {v.owner}" for v in verdicts)
    return f"{row['messageId']}: {row['receiverCode']} != {found}"[:400]
