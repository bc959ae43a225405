"""Where evidence is kept: the message log, its timestamps, archives and transparency log, and the logs of others it witnesses."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.server import parts
from gateway.server.state import GatewayState, utc_now
from gateway.transparency.announcing import KeyAnnouncing
from gateway.transparency.appointed import ConfiguredWitnesses
from gateway.transparency.proving import prove_messages
from schemas.faults import Fault
from serving.process.loops import Loop

if TYPE_CHECKING:
    from collections.abc import Sequence

    import aiohttp
    from aiohttp import web

    from gateway.messagelog.retention import Retention
    from gateway.messagelog.store import MessageLog
    from gateway.messagelog.timestamper import Timestamper
    from gateway.server.proofs import Proofs
    from gateway.transparency.logloop import TransparencyLoop
    from gateway.transparency.proving import MessageProofs
    from schemas.identifiers import ServerId
    from serving.web.witnessing import Witness

log = logging.getLogger("gateway")

WATCH_S = 0.5
# Where the transparency log and the witness are, on the listener of OCSP responses.
TLOG = "/tlog"


@dataclass(frozen=True, slots=True)
class EvidenceParts:
    """The message log and those that work on it. The log may be closed until the token that opens it is logged in."""

    state: GatewayState
    log: MessageLog
    timestamper: Timestamper
    retention: Retention
    transparency: TransparencyLoop
    witness: Witness
    # The reason why the log stayed closed, as it was logged last: at most one.
    _reasons: list[str] = field(default_factory=list)

    @classmethod
    def build(cls, state: GatewayState, proofs: Proofs, session: aiohttp.ClientSession) -> EvidenceParts:
        """All of them, as the settings say; the log is not opened yet."""
        settings, folder = state.settings, state.folder
        kept = parts.message_log(settings, folder)
        timestamper = parts.timestamper(
            settings, kept, session, proofs.current, utc_now, state.timestamping_services
        )

        def server_id() -> ServerId:
            return state.server_id

        configured = ConfiguredWitnesses(proofs.current, server_id, settings.listen.ocsp_port)
        witness = parts.witness(settings, folder, server_id, state.safe, utc_now, configured)
        transparency_loop = parts.transparency(
            settings, folder, kept, server_id, state.safe, session, timestamper, utc_now
        )
        announcing = KeyAnnouncing(
            configured,
            witness,
            server_id,
            lambda: proofs.configuration.last_url,
            proofs.identities.tls_key,
            state.tokens,
            session,
            utc_now,
        )
        transparency_loop.set_appointments(announcing)
        return cls(
            state,
            kept,
            timestamper,
            parts.retention(settings, folder, kept, utc_now, state.log_secret),
            transparency_loop,
            witness,
        )

    async def open(self) -> None:
        """Open the message log's keys, if what opens them is there by now. Raises `Fault` when they do not open."""
        state = self.state
        secret = await state.log_secret()
        if secret is not None:
            await asyncio.to_thread(self.log.unlock, secret)

    def prove(self, owner: str, message_ids: Sequence[str]) -> MessageProofs:
        """The proofs of a client's records of some messages. Slow: call it in a thread."""
        return prove_messages(self.log.reader, self.transparency.files, owner, message_ids)

    def opening_loop(self) -> Loop:
        """The loop that opens a log which could not be opened at the start."""
        return Loop("message log", self._try_to_open, self._interval, needed=True)

    def routes(self) -> list[web.RouteDef]:
        """The routes of the transparency log and of the witness, for the listener of OCSP responses."""
        return [*self.transparency.routes(TLOG), *self.witness.routes(TLOG)]

    async def _try_to_open(self) -> None:
        if self.log.is_begun:
            return
        try:
            await self.open()
        except (Fault, ValueError, OSError) as err:
            reason = err.detail if isinstance(err, Fault) else str(err)
            if [reason] != self._reasons:
                log.error("the message log stays closed", extra={"event": "log_closed", "reason": reason})
            self._reasons[:] = [reason]

    def _interval(self) -> float | None:
        return None if self.log.is_begun else WATCH_S
