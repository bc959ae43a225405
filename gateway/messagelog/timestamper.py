"""Timestamps for the message log: batches over hash chains, several authorities, a deadline after which traffic stops.

A round takes the records that have no timestamp yet. One alone is stamped over its signature value and gets the token into
its signature document; several share one token over the result of a hash chain, each keeping its own chain. A failed round
is tried again soon; what cannot be timestamped for longer than the acceptable period stops the log, hence all traffic: no
evidence, no exchange.

Spec: PR-SIGDOC; X-Road 7.8's Timestamper and LogManager.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from certs.certificates import name_text
from certs.verify import timestamp as timestamps
from gateway.messagelog.authorities import RoundSize, ask_authorities, choose_authorities
from gateway.messagelog.store import MessageLog, Stamp
from schemas import hashchain, xades
from schemas.faults import Fault, Kind
from schemas.globalconf.cost import CostOrder
from schemas.message import digest_of
from serving.process.failing import NO_REASON, FailureReason, reason_of
from serving.process.loops import Loop
from serving.process.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import aiohttp

    from certs.configuration import TrustedConfiguration
    from gateway.messagelog.record import LogRecord, Unstamped
    from schemas.globalconf.shared import ApprovedTsa

log = logging.getLogger("gateway.timestamper")

LARGEST_ROUND = 4_096  # the chains of a round stand in memory together: some 10 MiB
SIGNATURES_URI = "/META-INF/signatures.xml"
SHORTEST_INTERVAL_S = 60
LONGEST_INTERVAL_S = 86_400


class TimestampSettings(msgspec.Struct, frozen=True):
    """Seconds; ``interval_s`` 0 takes the global configuration's, ``acceptable_failure_s`` 0 never stops traffic."""

    interval_s: float = 0.0
    retry_s: float = 60.0
    acceptable_failure_s: float = 14_400.0
    first_s: float = 1.0
    timeout_s: float = 20.0
    order: CostOrder = CostOrder.NONE
    race: bool = False
    follow_addresses: bool = True


_NOT_BY_ANOTHER = FailureReason("another node is to timestamp and does not", ("other_node",))


class AuthorityState(msgspec.Struct, frozen=True):
    """An authority's last answer: when it was asked, and why it failed; ``failure`` None: it gave a good token."""

    at: datetime
    failure: FailureReason | None


class Timestamper:
    """Stamps what is in a log. It guards the log: see `check`."""

    def __init__(
        self,
        message_log: MessageLog,
        configuration: Callable[[], TrustedConfiguration | None],
        session: aiohttp.ClientSession,
        now: Callable[[], datetime],
        settings: TimestampSettings | None = None,
        *,
        services: Callable[[], Sequence[tuple[str, str]] | None] = tuple,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = message_log
        self._configuration = configuration
        self._session = session
        self._now = now
        self._settings = settings or TimestampSettings()
        self._pace = Pace()
        self._failing_since: datetime | None = None
        self._last_failure = NO_REASON
        self._clock: tuple[float, str] | None = None
        self._services = services
        self._states: dict[str, AuthorityState] = {}
        self._was_full = False
        self._size = RoundSize(LARGEST_ROUND)
        self._round = asyncio.Lock()
        self._monotonic = monotonic
        # Monotonic seconds: the last good round; since when a message waits for one; the last message that came.
        self._succeeded = monotonic()
        self._waiting_since: float | None = None
        self._last_message = self._succeeded
        self.loop = Loop(
            "timestamper",
            self.stamp_round,
            self._after_success,
            retry_s=lambda _failures: self._settings.retry_s,
            first_s=self._settings.first_s,
            pace=self._pace,
            event="timestamp_failed",
            failure_text="timestamping failed",
            needed=True,
        )
        message_log.guard(self.check)

    def reconfigure(self, settings: TimestampSettings) -> None:
        """Go on with other intervals."""
        self._settings = settings
        self._pace.changed()

    def check(self, now: datetime) -> None:
        """Refuse when evidence can no longer be timestamped. Raises `Fault`."""
        configuration = self._configuration()
        if configuration is not None and not configuration.approved_tsas:
            raise Fault(
                Kind.NO_TIMESTAMPING_PROVIDER, "the global configuration names no timestamping authority"
            )
        limit = self._settings.acceptable_failure_s
        since = self._failing_since
        if limit and since is not None and now - since > timedelta(seconds=limit):
            raise Fault(
                Kind.TIMESTAMPING_FAILED,
                f"no timestamp could be had since {since:%Y-%m-%d %H:%M:%S} UTC, longer than the {limit:g} s allowed; "
                f"traffic goes on once one succeeds. Last failure: {self._last_failure}",
            )
        self._last_message = self._monotonic()
        if self._waiting_since is None:
            self._waiting_since = self._last_message
        if limit:
            self._check_progress(limit)

    def _check_progress(self, limit_s: float) -> None:
        """Refuse when no round has succeeded for too long after one was due, whatever became of the rounds."""
        waiting = self._waiting_since
        if waiting is None:
            return
        due = max(waiting, self._succeeded) + self._interval()
        if self._monotonic() - due > limit_s:
            raise Fault(
                Kind.TIMESTAMPING_FAILED,
                f"no round of timestamping has succeeded for {self._monotonic() - self._succeeded:.0f} s though messages "
                f"wait for one, longer than the {limit_s:g} s allowed; traffic goes on once one succeeds. "
                f"Last failure: {self._last_failure or 'none was reported'}",
            )

    @property
    def last_failure(self) -> FailureReason:
        """Why timestamping failed the last time."""
        return self._last_failure

    @property
    def acceptable_failure_s(self) -> float:
        """Seconds for which timestamping may fail before traffic stops; 0 never stops it."""
        return self._settings.acceptable_failure_s

    @property
    def clock(self) -> tuple[float, str] | None:
        """Seconds that this clock was ahead of the authority that stamped last, and its address; None before the first stamp."""
        return self._clock

    @property
    def failing_since(self) -> datetime | None:
        """Since when timestamping fails; None when it works."""
        return self._failing_since

    def used(self) -> tuple[tuple[ApprovedTsa, AuthorityState | None], ...]:
        """The authorities that would be asked now, best first, each with how it answered last."""
        return tuple((a, self._states.get(a.url)) for a in self._authorities())

    @property
    def has_none(self) -> bool:
        """Whether there is a configuration, and no authority to ask: none approved is among those chosen, or all were removed."""
        return self._configuration() is not None and not self._authorities()

    def _authorities(self) -> tuple[ApprovedTsa, ...]:
        configuration, chosen = self._configuration(), self._services()
        if configuration is None or chosen is None:
            return ()
        settings = self._settings
        approved = configuration.approved_tsas
        return choose_authorities(approved, chosen, settings.order, follow=settings.follow_addresses)

    def _note(self, authority: ApprovedTsa, failure: FailureReason | None) -> None:
        self._states[authority.url] = AuthorityState(self._now(), failure)

    def _after_success(self) -> float:
        return 0.0 if self._was_full else self._interval()

    def _interval(self) -> float:
        if self._settings.interval_s:
            return self._settings.interval_s
        configuration = self._configuration()
        interval_s = SHORTEST_INTERVAL_S if configuration is None else configuration.timestamping_interval_s
        return float(min(max(interval_s, SHORTEST_INTERVAL_S), LONGEST_INTERVAL_S))

    async def stamp_round(self) -> int:
        """Stamp what waits, as many records as a round takes; how many. Raises `Fault` when no authority helps."""
        async with self._round:
            size, started = self._size.value, asyncio.get_running_loop().time()
            began = self._monotonic()
            records = await self._log.untimestamped(size)
            self._was_full = len(records) == size
            if records:
                await self._stamp(records)
                self._size.learn(len(records), asyncio.get_running_loop().time() - started)
            self._succeeded = self._monotonic()
            # What came since the records were read may wait still.
            self._waiting_since = began if self._last_message >= began else None
            return len(records)

    async def look(self) -> None:
        """See whether another node timestamps what is logged; traffic is held to that as to this node's own rounds."""
        began = self._monotonic()
        oldest = await asyncio.to_thread(self._log.reader.oldest_untimestamped)
        late = oldest is not None and (self._now() - oldest).total_seconds() > 2 * self._interval()
        self._failing_since = oldest if late else None
        self._last_failure = _NOT_BY_ANOTHER if late else NO_REASON
        self._succeeded, self._was_full = began, False
        self._waiting_since = began if self._last_message >= began else None

    async def force(self, ids: Sequence[int]) -> None:
        """Stamp given records now, those among them that have no timestamp yet."""
        async with self._round:
            records = await self._log.untimestamped(len(ids), ids) if ids else []
            if records:
                await self._stamp(records)

    async def stamp_with_others(self, number: int) -> None:
        """Stamp a record now, together with all that wait; nothing to do when others have taken it along. Raises `Fault`."""
        async with self._round:
            own = await self._log.untimestamped(1, [number])
            if own:
                others = await self._log.untimestamped(self._size.value)
                await self._stamp(sorted({r.id: r for r in (*others, *own)}.values(), key=lambda r: r.id))

    async def stamp_soon(self, within_s: float) -> None:
        """Bring the next round forward, and wait for it so long. Raises `Fault` when no authority helps."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self.stamp_round()

    async def stamp_digest(self, digest: bytes) -> bytes:
        """A proved token over a SHA-512 digest of something else than a record. Raises `Fault` when no authority helps."""
        token, _proved = await self._ask(digest)
        return token

    async def _stamp(self, records: Sequence[Unstamped]) -> None:
        try:
            if len(records) == 1:
                stamp = await self._stamp_one(await asyncio.to_thread(self._log.reader.record, records[0].id))
            else:
                stamp = await self._stamp_batch(records)
            # A crash before this loses a token, never a record: the next round asks again.
            await self._log.keep_stamp(stamp)
        except Exception as err:
            # Counted from the oldest message that has no timestamp, so a restart in between grants no new time.
            self._failing_since = self._failing_since or min(self._now(), records[0].at)
            self._last_failure = reason_of(err)
            raise
        self._failing_since = None

    async def _stamp_one(self, record: LogRecord) -> Stamp:
        value = xades.parse_signature_document(record.signature).signature_value
        token, proved = await self._ask(digest_of(value))
        signature = xades.insert_timestamp(record.signature, token)
        return Stamp(token, None, proved.at, _authority(proved), [(record.id, None, signature)])

    async def _stamp_batch(self, records: Sequence[Unstamped]) -> Stamp:
        built = await asyncio.to_thread(
            hashchain.build,
            [[(SIGNATURES_URI, r.signature_digest)] for r in records],
            result_uri=hashchain.TIMESTAMP_CHAIN_URI,
        )
        token, proved = await self._ask(digest_of(built.result))
        chains = [(r.id, chain, None) for r, chain in zip(records, built.chains, strict=True)]
        return Stamp(token, built.result, proved.at, _authority(proved), chains)

    async def _ask(self, digest: bytes) -> tuple[bytes, timestamps.Timestamp]:
        """A proved token over a digest, of an authority that this server uses."""
        configuration, authorities = self._configuration(), self._authorities()
        if configuration is None or not authorities:
            approved = 0 if configuration is None else len(configuration.approved_tsas)
            raise Fault(
                Kind.NO_TIMESTAMPING_PROVIDER,
                f"none of the timestamping authorities this server is to use is approved ({approved} are)",
            )
        token, proved = await ask_authorities(
            self._session,
            authorities,
            digest,
            configuration.tsa_certificates(),
            race=self._settings.race,
            timeout_s=self._settings.timeout_s,
            note=self._note,
        )
        self._clock = ((self._now() - proved.at).total_seconds(), _authority(proved))
        return token, proved


def _authority(proved: timestamps.Timestamp) -> str:
    return name_text(proved.authority.subject)
