"""Which timestamping authorities are asked, in which order or all at once, and how many records a round takes.

An operator's choice is by name: the address comes from the global configuration, so a changed one is followed at once.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from certs.edges.fetch import TIMEOUT_S, fetch_timestamp
from certs.verify import timestamp as timestamps
from schemas.faults import Fault, Kind, NotProved, Step, step
from schemas.globalconf.cost import CostOrder, in_order_of_cost
from serving.process.failing import FailureReason, reason_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import aiohttp
    from cryptography import x509

    from schemas.globalconf.shared import ApprovedTsa

log = logging.getLogger("gateway.timestamper")

SMALLEST_ROUND = 64


def choose_authorities(
    approved: Sequence[ApprovedTsa],
    services: Sequence[tuple[str, str]],
    order: CostOrder,
    *,
    follow: bool = True,
) -> tuple[ApprovedTsa, ...]:
    """The approved authorities to ask, best first. ``services`` are names and addresses the operator chose; none: all.

    A name that several approved authorities share is told apart by its address. Without ``follow`` an authority is asked at
    the address it was chosen with, and no longer once the global configuration gives another.
    """
    chosen: list[ApprovedTsa] = []
    for name, url in services:
        named = [a for a in approved if a.name == name]
        exact = [a for a in named if a.url == url]
        chosen += exact or (named if follow and len(named) == 1 else [])
    return in_order_of_cost(tuple(dict.fromkeys(chosen)) if services else approved, order)


def _notify_nobody(_authority: ApprovedTsa, _failure: FailureReason | None) -> None:
    """Nobody keeps how an authority answered."""


async def ask_authorities(
    session: aiohttp.ClientSession,
    authorities: Sequence[ApprovedTsa],
    digest: bytes,
    certificates: Sequence[x509.Certificate],
    *,
    race: bool = False,
    timeout_s: float = TIMEOUT_S,
    note: Callable[[ApprovedTsa, FailureReason | None], None] = _notify_nobody,
) -> tuple[bytes, timestamps.Timestamp]:
    """A proved token over a digest: of the first authority that gives one, in order, or, in a race, of the quickest.

    ``note`` is given how each one answered: why it failed, or None. Raises `Fault` naming every failure.
    """
    request = timestamps.build_request(digest)
    failures: list[str] = []
    errors: list[Exception] = []

    async def ask(authority: ApprovedTsa) -> tuple[bytes, timestamps.Timestamp] | None:
        try:
            reply = await fetch_timestamp(session, authority.url, request, timeout_s=timeout_s)
            proved = timestamps.check_reply(reply, digest, certificates)
        except NotProved as fault:
            note(authority, reason_of(fault))
            failures.append(f"{authority.name}: {fault.detail}")
            errors.append(fault)
            return None
        except Exception as err:  # what one authority answers must not keep the others from being asked
            log.exception("a timestamp reply could not be read", extra={"event": "timestamp_reply"})
            note(authority, reason_of(err))
            errors.append(err)
            failures.append(f"{authority.name}: its reply could not be read: {type(err).__name__}")
            return None
        note(authority, None)
        return proved

    if race:
        tasks = [asyncio.create_task(ask(a)) for a in authorities]
        try:
            for done in asyncio.as_completed(tasks):
                found = await done
                if found is not None:
                    return found
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    else:
        for authority in authorities:
            found = await ask(authority)
            if found is not None:
                return found
    with step(Step.TIMESTAMPING_FAILED):
        raise Fault(Kind.TIMESTAMPING_FAILED, "; ".join(failures)) from (
            ExceptionGroup("no authority stamped", errors) if errors else None
        )


class RoundSize:
    """The number of records that a round takes: as many as fit into ``target_s`` seconds, so memory and pauses stay bounded."""

    def __init__(self, largest: int, *, first: int = 1024, target_s: float = 2.0) -> None:
        self._largest = largest
        self._target_s = target_s
        self.value = min(first, largest)

    def learn(self, taken: int, seconds: float) -> None:
        """Take a full round's time into account; a round that was not full says nothing."""
        if taken < self.value:
            return
        target = int(taken * self._target_s / max(seconds, 0.001))
        bounded = min(max(target, self.value // 2), self.value * 2)
        self.value = min(max(bounded, SMALLEST_ROUND), self._largest)
