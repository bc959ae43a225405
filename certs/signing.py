"""Signing messages: alone with a direct reference, or several waiting ones under one signature over a hash tree.

Messages of one key that wait at the same time are taken together: those that became ready in the same turn of the event
loop, and those that came while a signature was being made (an RSA key in its thread, a hardware token), or while the message log was
writing, which all of them have to wait for. A message of a single
part that is alone is referenced directly. Signing is a task of its own, so a caller that goes away takes nobody with it.

Spec: PR-MESSTRANSP 5, PR-HASHCHAIN; X-Road 7.8's BatchSigner.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from certs.algorithms import der_to_raw
from schemas import hashchain, xades
from schemas.faults import Fault, Kind, TokenFailed
from schemas.message import digest_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime

    from certs.tokens.port import KeyId, Signer, SigningIdentity

LARGEST_BATCH = 64
Part = tuple[str, bytes]
_Key = tuple["KeyId", bytes]


class MessageSignature(msgspec.Struct, frozen=True):
    """A signature document; the hash chain parts are there when the signature is over a chain."""

    signature: bytes
    hash_chain_result: bytes | None = None
    hash_chain: bytes | None = None


class _WaitingSignature(msgspec.Struct):
    identity: SigningIdentity
    ocsp_responses: tuple[bytes, ...]
    parts: Sequence[Part]
    now: datetime
    done: asyncio.Future[MessageSignature]


class MessageSigner:
    """Signs messages with the keys of a `Signer`, batching what waits for the same certificate.

    ``turn`` returns when the next batch is to be signed: what would have to wait afterwards is better signed together. Keys whose
    signatures take longer than a turn of the loop do not wait for it.
    """

    def __init__(
        self,
        signer: Signer,
        *,
        turn: Callable[[], Awaitable[None]] | None = None,
        largest_batch: int = LARGEST_BATCH,
    ) -> None:
        self._signer = signer
        self._turn = turn
        self._largest = largest_batch
        self._queues: dict[_Key, list[_WaitingSignature]] = {}
        self._tasks: dict[_Key, asyncio.Task[None]] = {}
        # Keys whose last signature took more than a turn of the loop (RSA in a thread, a token or process of its own): what comes
        # meanwhile is a batch as it is, and waiting for the log as well would cost a batch of the log.
        self._slow: set[_Key] = set()

    async def sign(
        self,
        identity: SigningIdentity,
        ocsp_responses: Sequence[bytes],
        parts: Sequence[Part],
        now: datetime,
    ) -> MessageSignature:
        """The signature over ``parts`` (URI and SHA-512 digest). Raises `TokenFailed`.

        ``ocsp_responses`` are those of the certificate and then of its intermediates; they go into the document.
        """
        if not ocsp_responses:
            raise TokenFailed(Kind.CANNOT_SIGN, "there is no OCSP response to put into the signature")
        key = (identity.key_id, identity.facts.certificate)
        waiting = _WaitingSignature(
            identity, tuple(ocsp_responses), parts, now, asyncio.get_running_loop().create_future()
        )
        self._queues.setdefault(key, []).append(waiting)
        if key not in self._tasks:
            # It begins after everything that is ready in this turn of the loop, so all of that is in its first batch.
            self._tasks[key] = asyncio.create_task(self._sign_all(key), name="signing")
        return await waiting.done

    async def _sign_all(self, key: _Key) -> None:
        """Sign batch after batch until nobody waits."""
        try:
            while key in self._queues:
                if self._turn is not None and key not in self._slow:
                    await self._turn()
                queue = [w for w in self._queues.pop(key) if not w.done.done()]
                batch, left = queue[: self._largest], queue[self._largest :]
                if left:
                    self._queues[key] = left
                if batch:
                    await self._sign_noting_pace(key, batch)
        finally:
            del self._tasks[key]
            for waiting in self._queues.pop(key, ()):  # only when the loop itself is being stopped
                if not waiting.done.done():
                    waiting.done.set_exception(TokenFailed(Kind.CANNOT_SIGN, "signing was interrupted"))

    async def _sign_noting_pace(self, key: _Key, batch: list[_WaitingSignature]) -> None:
        """Sign, and note whether the token kept the loop waiting for its answer: other callbacks ran meanwhile."""
        ran: list[bool] = []
        other = asyncio.get_running_loop().call_soon(ran.append, True)
        await self._sign_batch(batch)
        other.cancel()
        (self._slow.add if ran else self._slow.discard)(key)

    async def _sign_batch(self, batch: list[_WaitingSignature]) -> None:
        try:
            signatures = await self._signatures(batch)
        except Fault as fault:
            for waiting in batch:
                if not waiting.done.done():
                    waiting.done.set_exception(_copy(fault))
            return
        except BaseException:
            for waiting in batch:
                if not waiting.done.done():
                    waiting.done.set_exception(TokenFailed(Kind.CANNOT_SIGN, "signing was interrupted"))
            raise
        for waiting, signature in zip(batch, signatures, strict=True):
            if not waiting.done.done():
                waiting.done.set_result(signature)

    async def _signatures(self, batch: list[_WaitingSignature]) -> list[MessageSignature]:
        first = batch[0]
        if len(batch) == 1 and len(first.parts) == 1:
            document = await self._document(first, xades.MESSAGE_URI, first.parts[0][1])
            return [MessageSignature(document)]
        built = hashchain.build([w.parts for w in batch])
        document = await self._document(first, xades.HASH_CHAIN_RESULT_URI, digest_of(built.result))
        return [MessageSignature(document, built.result, chain) for chain in built.chains]

    async def _document(self, waiting: _WaitingSignature, uri: str, digest: bytes) -> bytes:
        identity = waiting.identity
        algorithm = identity.algorithm
        moment = waiting.now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{waiting.now.microsecond // 1000:03d}Z"
        draft = xades.build_to_be_signed(uri, digest, identity.facts, moment, algorithm.uri)
        value = await self._signer.sign(
            identity.key_id, algorithm.digest.digest(draft.signed_info), algorithm
        )
        public_key = identity.certificate.public_key()
        if isinstance(public_key, ec.EllipticCurvePublicKey):
            value = der_to_raw(value, public_key.curve.key_size)
        return draft.finish(value, waiting.ocsp_responses, identity.issuer_facts)


def _copy(fault: Fault) -> Fault:
    """A fault of its own for each waiting message: steps and origin are added to it on different ways."""
    return type(fault)(fault.kind, fault.detail)
