"""The condition a running gateway is in: what stands in the way of an exchange now, and what will."""

from __future__ import annotations

import asyncio
import functools
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from gateway.health.diagnosing import Sources, Timestamping, diagnose_now
from gateway.health.diagnosis import CLOCK_WARN_S, clock_warning, furthest_clock
from schemas.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from gateway.clients.model import ServerConf
    from gateway.edges.configuration import ConfigurationClient
    from gateway.edges.revocation import OwnRevocation
    from gateway.health.diagnosis import Diagnosis
    from gateway.keys.identities import OwnIdentities
    from gateway.keys.store import KeyConfStore
    from gateway.keys.tokens import Tokens
    from gateway.messagelog.store import MessageLog
    from gateway.messagelog.timestamper import Timestamper
    from schemas.identifiers import ClientId
    from serving.process.loops import LoopFailure


TOKEN_ANSWERS_S = 2.0


class Condition(msgspec.Struct, frozen=True):
    """Looks at the parts that exchanges rest on. ``failing`` are the loops that fail, which none should."""

    configuration: ConfigurationClient
    serverconf: Callable[[], ServerConf]
    keyconf: KeyConfStore
    tokens: Tokens
    identities: OwnIdentities
    revocation: OwnRevocation
    log: MessageLog
    timestamper: Timestamper
    failing: Callable[[], Sequence[LoopFailure]]

    async def problems(self, now: datetime) -> list[str]:
        """The problems that stop exchanges right now, each with its remedy."""
        failure = await self.log.failure()
        written = [failure] if failure else []
        return [*await self._closed_tokens(), *written, *self._missing_proofs(now)]

    async def _closed_tokens(self) -> list[str]:
        """Tokens that hold a key in use and cannot be used themselves."""
        used = {c.key_id for c in self.keyconf.certificates() if c.active}
        found: list[str] = []
        for token_id in sorted({k.token_id for k in self.keyconf.list_keys() if k.id in used}):
            try:
                async with asyncio.timeout(TOKEN_ANSWERS_S):
                    failure = await self.tokens.failure(token_id)
            except TimeoutError:
                found.append(f"the token {token_id} has not said within {TOKEN_ANSWERS_S:g} s how it stands")
                continue
            if failure is not None:
                found.append(failure.detail)
        return found

    def _missing_proofs(self, now: datetime) -> list[str]:
        configuration = self.configuration.current
        if configuration is None:
            return [f"no global configuration yet: {self.configuration.last_failure or 'not fetched so far'}"]
        checks: list[Callable[[], object]] = [
            functools.partial(configuration.check_fresh, now),
            functools.partial(self.log.check_accepting, now),
            functools.partial(self.identities.authentication_ocsp, now),
            *(functools.partial(self.identities.signing, member, now) for member in self._members()),
        ]
        found: list[str] = []
        for check in checks:
            try:
                check()
            except Fault as fault:
                found.append(fault.detail)
        return [*found, *(f"{loop}; report the log" for loop in self.failing() if loop.needed)]

    def warnings(self) -> list[str]:
        """The problems that do not stop exchanges: loops that fail and are not needed for one, and a clock that is off."""
        found = [f"{loop}; report the log" for loop in self.failing() if not loop.needed]
        offset, source = self._clock()
        if offset is not None and abs(offset) >= CLOCK_WARN_S:
            found.append(clock_warning(offset, source))
        return found

    def _clock(self) -> tuple[float | None, str]:
        """By how many seconds this clock is ahead of another, and of whose: the one that it differs from most."""
        return furthest_clock(self.timestamper.clock, self.configuration.clock)

    async def diagnosis(self, now: datetime) -> Diagnosis:
        """Diagnose keys, certificates, OCSP, timestamps and clocks: when traffic will stop, and the remedies."""
        return await diagnose_now(self.sources(), now)

    def sources(self) -> Sources:
        """The sources of a diagnosis: stores, tokens, configuration, responses in hand, timestamper, loops."""
        return Sources(
            self.keyconf,
            self.tokens,
            self._members,
            lambda: self.configuration.current,
            lambda: self.configuration.last_failure,
            self.revocation.in_hand,
            self._timestamping,
            self.failing,
        )

    def _members(self) -> list[ClientId]:
        return sorted({c.id.member for c in self.serverconf().clients})

    def _timestamping(self) -> Timestamping:
        stamper = self.timestamper
        offset, source = self._clock()
        return Timestamping(
            stamper.failing_since,
            stamper.last_failure,
            timedelta(seconds=stamper.acceptable_failure_s),
            offset,
            source,
            stamper.has_none,
        )
