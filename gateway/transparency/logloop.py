"""The loop that keeps the transparency log: build, sign, be witnessed, be timestamped; beside all exchanges, which never wait.

A log whose keys or seal are not at hand is not followed yet. What a round cannot do is told as the loop's failure (health,
notices) and tried again; only where `deadline_s` is set does a log that is not witnessed for that long stop traffic.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from aiohttp import web

from certs.transparency import NoteSigner
from gateway.messagelog.committed import CommittedReader
from gateway.transparency.builder import LogBuilder
from gateway.transparency.files import TransparencyFiles
from gateway.transparency.witnessclient import AppointedWitness, WitnessClient
from schemas.faults import Fault, Kind
from schemas.message import digest_of
from schemas.transparency.announcement import log_origin
from schemas.transparency.notes import ED25519
from serving.process.loops import Loop
from serving.process.pace import Pace
from serving.storage.keysafe import SUFFIX, NotAtHand
from serving.web.witnessing import kept_note_key

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime
    from pathlib import Path

    import aiohttp

    from gateway.messagelog.store import MessageLog
    from schemas.identifiers import ServerId
    from schemas.transparency.notes import SignedNote, VerifierKey
    from serving.storage.keysafe import KeySafe

FOLDER = "transparency"
KEY_FILE = f"log{SUFFIX}"
_WAIT_S = 1.0


@dataclass(frozen=True, slots=True)
class LogLoopSettings:
    """Seconds; ``checkpoint_s`` 0 keeps no transparency log, ``deadline_s`` 0 never stops traffic."""

    checkpoint_s: float = 10.0
    stamp_s: float = 3_600.0
    timeout_s: float = 10.0
    deadline_s: float = 0.0
    witnesses: tuple[AppointedWitness, ...] = ()
    # Whether those that the configuration appoints sign too, and after how many seconds without one it is an alert.
    appointed: bool = True
    alert_s: float = 0.0


class AppointmentPort(Protocol):
    """The port to the configuration: who is appointed for the log, and where its key is told."""

    def witnesses(self) -> tuple[AppointedWitness, ...]:
        """The witnesses that the configuration appoints for this log."""

    async def announce(self, log_key: VerifierKey) -> None:
        """Tell the log's key where witnesses are appointed. Raises nothing."""


class TransparencyLoop:
    """Keeps the transparency log of a message log, whose folder has a `FOLDER` for it."""

    def __init__(
        self,
        message_log: MessageLog,
        folder: Path,
        server: Callable[[], ServerId],
        safe: KeySafe,
        session: aiohttp.ClientSession,
        stamp: Callable[[bytes], Awaitable[bytes]],
        now: Callable[[], datetime],
        settings: LogLoopSettings,
    ) -> None:
        self._configured: AppointmentPort | None = None
        self._log = message_log
        self._server = server
        self._safe = safe
        self._stamp = stamp
        self._now = now
        self._settings = settings
        self._pace = Pace()
        self.files = TransparencyFiles(folder / FOLDER)
        self._asking = WitnessClient(self.files, session)
        self._records = CommittedReader(message_log.reader, message_log.fresh)
        self._builder: LogBuilder | None = None
        self._key: VerifierKey | None = None
        self._waits = False
        self._unwitnessed_since: datetime | None = None
        self._signed: tuple[str, frozenset[VerifierKey]] = ("", frozenset())
        self._stamped: tuple[datetime | None, str] = (None, "")
        self.loop = Loop(
            "transparency log",
            self.round,
            self._interval,
            pace=self._pace,
            event="transparency_failed",
            failure_text="the transparency log could not be kept",
        )

    def set_appointments(self, configured: AppointmentPort) -> None:
        """Take witnesses from the configuration too, and announce the log's key."""
        self._configured = configured

    def reconfigure(self, settings: LogLoopSettings) -> None:
        """Go on with other intervals or witnesses."""
        self._settings = settings
        self._pace.changed()

    def check(self, now: datetime) -> None:
        """Refuse when the log has not been witnessed for too long. Raises `Fault`."""
        limit, since = self._settings.deadline_s, self._unwitnessed_since
        if limit and since is not None and (now - since).total_seconds() > limit:
            raise Fault(
                Kind.LOGGING_FAILED,
                f"the transparency log has not been witnessed since {since:%Y-%m-%d %H:%M:%S} UTC, longer than the {limit:g} s of "
                "transparency.deadline_s; traffic goes on once every appointed witness has signed",
            )

    def _interval(self) -> float | None:
        if not self._settings.checkpoint_s:
            return None
        return _WAIT_S if self._waits else self._settings.checkpoint_s

    async def round(self) -> None:
        """Take what came, sign, have it witnessed and timestamped. Raises `Fault` with everything that hindered."""
        self._waits = not self._log.is_begun
        if not self._settings.checkpoint_s or self._waits:
            return
        try:
            note = await asyncio.to_thread(self._catch_up)
        except NotAtHand:
            self._waits = True
            return
        if self._configured is not None and self._settings.appointed and self._key is not None:
            await self._configured.announce(self._key)
        problems = await self._be_witnessed(note)
        problems += await self._be_stamped()
        if problems:
            raise Fault(Kind.LOGGING_FAILED, "; ".join(problems))

    def _catch_up(self) -> SignedNote:
        origin = log_origin(self._server())
        if self._builder is None or self._key is None or self._key.name != origin:
            self.files.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            key = kept_note_key(self.files.folder / KEY_FILE, self._safe)
            self._builder = LogBuilder(self.files, self._records, key, origin, self._now)
            self._key = NoteSigner(origin, key).verifier(ED25519)
        return self._builder.catch_up()

    def _witnesses(self) -> tuple[AppointedWitness, ...]:
        """The witnesses of the settings, then those of the configuration that the settings do not name."""
        named = self._settings.witnesses
        if self._configured is None or not self._settings.appointed:
            return named
        names = {witness.key.name for witness in named}
        return (*named, *(w for w in self._configured.witnesses() if w.key.name not in names))

    async def _be_witnessed(self, note: SignedNote) -> list[str]:
        """Ask the witnesses that have not signed this head yet; what hinders."""
        witnesses = await asyncio.to_thread(self._witnesses)
        signed = self._signed[1] if self._signed[0] == note.text else frozenset()
        pending = [witness for witness in witnesses if witness.key not in signed]
        if not pending:
            self._unwitnessed_since = None
            return []
        cosigned, troubles = await self._asking.cosign(note, pending, self._settings.timeout_s)
        if cosigned != note:
            await asyncio.to_thread(self.files.write_checkpoint, cosigned)
        by = {(line.name, line.key_id) for line in cosigned.signatures}
        self._signed = (
            note.text,
            signed | {w.key for w in pending if (w.key.name, w.key.key_id) in by},
        )
        now = self._now()
        self._unwitnessed_since = (self._unwitnessed_since or now) if troubles else None
        since = self._unwitnessed_since or now
        is_long = (now - since).total_seconds() >= self._settings.alert_s
        return [trouble.reason for trouble in troubles if is_long or not trouble.is_silence]

    async def _be_stamped(self) -> list[str]:
        """Have the head timestamped when that is due; what hinders."""
        note, (at, text) = await asyncio.to_thread(self.files.read_checkpoint), self._stamped
        is_due = at is None or (self._now() - at).total_seconds() >= self._settings.stamp_s
        if note is None or note.text == text or not is_due or not self._settings.stamp_s:
            return []
        try:
            token = await self._stamp(digest_of(note.text.encode()))
        except Fault as fault:
            return [f"the checkpoint could not be timestamped: {fault.detail}"]
        size = int(note.text.split("\n")[1])
        await asyncio.to_thread(self.files.write_stamped, size, note, token)
        self._stamped = (self._now(), note.text)
        return []

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """The read-only routes that a listener serves of the log: its checkpoint and tiles (C2SP tlog-tiles)."""

        async def give(request: web.Request) -> web.Response:
            path = request.path.removeprefix(f"{prefix}/")
            try:
                found = await asyncio.to_thread(self.files.served, path)
            except Fault:
                found = None
            if found is None:
                raise web.HTTPNotFound(text="there is no such tile\n")
            if path == "checkpoint":
                headers = {"Cache-Control": "no-cache", "Content-Type": "text/plain; charset=utf-8"}
            else:
                headers = {
                    "Cache-Control": "public, max-age=604800, immutable",
                    "Content-Type": "application/octet-stream",
                }
            return web.Response(body=found, headers=headers)

        return [web.get(f"{prefix}/checkpoint", give), web.get(prefix + "/tile/{place:.+}", give)]
