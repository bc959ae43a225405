"""Announcing the keys of this server's log and witness to the central server, which appoints witnesses by them.

Done while the signed configuration does not have them as they are. A central server that takes none (X-Road's) is asked again
once an hour; nothing here is ever an alert, for the log is kept, and cosigned by whom the settings name, without it.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import aiohttp

from certs.algorithms import SignatureAlgorithm
from certs.certificates import parse_certificate
from certs.edges.fetch import read_answer
from gateway.transparency.witnessclient import LONGEST_ANSWER
from schemas.faults import Fault
from schemas.showing import shown
from schemas.transparency.announcement import KeyAnnouncement, SignedAnnouncement
from schemas.transparency.notes import COSIGNATURE_ED25519
from serving.storage.keysafe import NotAtHand

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from certs.tokens.port import KeyId, Signer
    from gateway.transparency.appointed import ConfiguredWitnesses
    from gateway.transparency.witnessclient import AppointedWitness
    from schemas.identifiers import ServerId
    from schemas.transparency.notes import VerifierKey
    from serving.web.witnessing import Witness

log = logging.getLogger("gateway")

_AGAIN = timedelta(seconds=30)
_TAKES_NONE = timedelta(hours=1)
_TIMEOUT = aiohttp.ClientTimeout(total=10)


class KeyAnnouncing:
    """Tells the central server this server's keys. ``key`` gives the authentication key in use with its certificate (DER)."""

    def __init__(
        self,
        configured: ConfiguredWitnesses,
        witness: Witness,
        server: Callable[[], ServerId],
        source: Callable[[], str | None],
        key: Callable[[], tuple[KeyId, bytes] | None],
        signer: Signer,
        session: aiohttp.ClientSession,
        now: Callable[[], datetime],
    ) -> None:
        self._configured = configured
        self._witness = witness
        self._server = server
        self._source = source
        self._key = key
        self._signer = signer
        self._session = session
        self._now = now
        self._again_at: datetime | None = None
        self._reason = ""

    def witnesses(self) -> tuple[AppointedWitness, ...]:
        """The witnesses that the configuration appoints for this log."""
        return self._configured.witnesses()

    async def announce(self, log_key: VerifierKey) -> None:
        """Tell the keys, unless they are in the configuration or were told just now."""
        now = self._now()
        if self._again_at is not None and now < self._again_at <= now + _TAKES_NONE:
            return
        try:
            signer = await asyncio.to_thread(self._witness.signer)
        except NotAtHand:
            return
        witness_key, own = signer.verifier(COSIGNATURE_ED25519), self._configured.own()
        source, key = self._source(), self._key()
        known = own is not None and (own.log_key, own.witness_key) == (log_key, witness_key)
        if known or source is None or key is None:
            return
        self._again_at = now + _AGAIN
        announced = KeyAnnouncement(self._server(), log_key, witness_key, now.replace(microsecond=0))
        try:
            body = await self._signed(announced, *key)
            status, text = await self._post(urljoin(source, "/tlog/keys"), body)
        except (Fault, aiohttp.ClientError, TimeoutError, OSError, ValueError) as err:
            self._report(err.detail if isinstance(err, Fault) else f"{type(err).__name__} {err}")
            return
        if status in (404, 405):
            self._again_at = now + _TAKES_NONE
        self._report("" if status == 200 else f"it answered {status} {shown(text.strip(), 200)}")

    async def _signed(self, announced: KeyAnnouncement, key_id: KeyId, certificate: bytes) -> bytes:
        algorithm = SignatureAlgorithm.for_key(parse_certificate(certificate).public_key())
        statement = announced.statement()
        value = await self._signer.sign(key_id, algorithm.digest.digest(statement), algorithm)
        return SignedAnnouncement(announced, statement, algorithm.jca_name, value).render()

    async def _post(self, url: str, body: bytes) -> tuple[int, str]:
        # What is said is signed and public: whoever answers at the address can only refuse to hear it.
        async with self._session.post(
            url, data=body, timeout=_TIMEOUT, allow_redirects=False, ssl=False
        ) as answer:
            return answer.status, (await read_answer(answer, LONGEST_ANSWER)).decode("utf-8", "replace")

    def _report(self, reason: str) -> None:
        if reason and reason != self._reason:
            log.info(
                "transparency keys not announced",
                extra={"event": "keys_not_announced", "reason": reason},
            )
        self._reason = reason
