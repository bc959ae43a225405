"""What ONIESS reads of its members: their public readings, through the gateways, and whether they answer at all.

A member that is silent is named in every answer, and its last reading stands in for it; nothing is silently partial.

Spec: the domain reference F18, F25, 5.8 (IND-10).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from social_security.oniess.store import OniessStore
    from social_security.wire.gatewayclient import GatewayClient

REGISTRY = "MX/GOB/00-RNSS"


@dataclass(frozen=True, slots=True)
class Gathered:
    """The members' answers, by member; one in ``silent`` did not answer now, and may stand here with an older reading."""

    answers: dict[str, dict[str, Any]]
    silent: tuple[str, ...]

    def rows(self, name: str) -> list[dict[str, Any]]:
        """The rows of every member's list of that name, in the order of members."""
        return [row for member in sorted(self.answers) for row in self.answers[member].get(name, ())]


class Collector:
    """Reads members through ONIESS's gateway."""

    def __init__(self, store: OniessStore, gateway: GatewayClient) -> None:
        self._store = store
        self._gateway = gateway

    async def gather(self, what: str, query: str = "", *, members: Sequence[str] | None = None) -> Gathered:
        """One public reading of every member, as ``negativas``; without a gateway nobody answers."""
        chosen = list(self._store.members() if members is None else members)
        if not self._gateway.is_set:
            return self._known(what, query, chosen, {})
        answers = await asyncio.gather(*(self._read(m, f"{what}{query}") for m in chosen))
        fresh = {m: body for m, body in zip(chosen, answers, strict=True) if body is not None}
        self._store.keep_readings(f"{what}{query}", fresh)
        return self._known(what, query, chosen, fresh)

    async def probe(self, now: datetime) -> None:
        """Ask every member whether it is up, and keep the count of the month."""
        if not self._gateway.is_set:
            return
        members = self._store.members()
        answers = await asyncio.gather(*(self._read(m, "estado") for m in members))
        for member, answer in zip(members, answers, strict=True):
            self._store.count_probe(f"{now:%Y-%m}", member, is_up=answer is not None)

    def _known(
        self, what: str, query: str, members: Sequence[str], fresh: dict[str, dict[str, Any]]
    ) -> Gathered:
        silent = tuple(m for m in members if m not in fresh)
        kept = self._store.readings(f"{what}{query}")
        return Gathered({**{m: kept[m] for m in silent if m in kept}, **fresh}, silent)

    async def _read(self, member: str, place: str) -> dict[str, Any] | None:
        subsystem = "INDICE" if member == REGISTRY else "ARCO"
        response = await self._gateway.read("GOBIERNO", member, f"{subsystem}/oss-v1/{place}")
        return response.body if response.is_done else None
