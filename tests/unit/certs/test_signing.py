"""Signing: what waits together is signed together, and whoever goes away takes nobody with it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from certs.algorithms import SignatureAlgorithm
from certs.signing import MessageSignature, MessageSigner
from certs.tokens.port import KeyId, SigningIdentity
from schemas import hashchain, xades
from schemas.faults import Kind, TokenFailed
from schemas.identifiers import ClientId
from serving.storage.selfsigned import self_signed

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
KEY, (CERTIFICATE,) = self_signed("signer")
IDENTITY = SigningIdentity(
    ClientId("MX", "GOB", "A"),
    KeyId("k"),
    CERTIFICATE,
    (),
    SignatureAlgorithm.for_key(CERTIFICATE.public_key()),
)


class Key:
    """A signer that waits for its gate, counts, and refuses on demand."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.signed = 0
        self.refuses = False

    async def sign(self, key_id: KeyId, digest: bytes, algorithm: SignatureAlgorithm) -> bytes:
        del key_id
        await self.gate.wait()
        if self.refuses:
            raise TokenFailed(Kind.TOKEN_NOT_ACTIVE, "locked")
        self.signed += 1
        return KEY.sign(digest, ec.ECDSA(algorithm.prehashed))


def parts(number: int, *, several: bool = False) -> tuple[tuple[str, bytes], ...]:
    message = ("/message.xml", bytes([number]) * 64)
    return (message, ("/attachment1", bytes([number + 100]) * 64)) if several else (message,)


def ask(signer: MessageSigner, number: int, *, several: bool = False) -> asyncio.Task[MessageSignature]:
    return asyncio.create_task(signer.sign(IDENTITY, [b"ocsp"], parts(number, several=several), NOW))


@pytest.mark.xroad("F033")
async def test_messages_of_one_turn_of_the_loop_share_a_signature() -> None:
    key = Key()
    key.gate.set()
    signer = MessageSigner(key)
    found = await asyncio.gather(*(ask(signer, n, several=bool(n % 2)) for n in range(5)))
    assert key.signed == 1
    assert len({f.signature for f in found}) == 1
    for number, one in enumerate(found):
        assert one.hash_chain_result is not None
        assert one.hash_chain is not None
        hashchain.verify(one.hash_chain_result, one.hash_chain, dict(parts(number, several=bool(number % 2))))


async def test_a_message_alone_is_referenced_directly() -> None:
    key = Key()
    key.gate.set()
    found = await MessageSigner(key).sign(IDENTITY, [b"ocsp"], parts(1), NOW)
    assert found.hash_chain is None
    assert xades.parse_signature_document(found.signature).reference("/message.xml") is not None


async def test_what_comes_during_a_signature_waits_for_the_next_one() -> None:
    key = Key()
    signer = MessageSigner(key)
    first = ask(signer, 1)
    for _ in range(3):
        await asyncio.sleep(0)
    later = [ask(signer, n) for n in (2, 3)]
    await asyncio.sleep(0)
    key.gate.set()
    assert (await first).hash_chain is None
    assert len({(await task).signature for task in later}) == 1
    assert key.signed == 2


async def test_what_comes_before_its_turn_shares_a_signature_and_nothing_is_signed_before() -> None:
    key, turns = Key(), asyncio.Semaphore(0)
    key.gate.set()

    async def turn() -> None:
        await turns.acquire()

    signer = MessageSigner(key, turn=turn)
    asked_for = []
    for number in range(4):
        asked_for.append(ask(signer, number))
        await asyncio.sleep(0)
    assert key.signed == 0
    asked_for[0].cancel()
    turns.release()
    assert len({(await task).signature for task in asked_for[1:]}) == 1
    assert key.signed == 1
    gone = ask(signer, 5)
    await asyncio.sleep(0)
    gone.cancel()
    turns.release()
    turns.release()
    assert (await ask(signer, 6)).hash_chain is None  # whoever went away is not signed for
    assert key.signed == 2


async def test_a_key_that_signs_elsewhere_waits_for_no_turn_until_it_is_prompt_again() -> None:
    key, turns = Key(), 0

    async def turn() -> None:
        nonlocal turns
        turns += 1

    signer = MessageSigner(key, turn=turn)
    first = ask(signer, 1)
    for _ in range(5):
        await asyncio.sleep(0)
    key.gate.set()
    await first
    assert turns == 1
    await ask(signer, 2)  # its last signature came later; this one at once
    assert turns == 1
    await ask(signer, 3)
    assert turns == 2


async def test_a_caller_that_goes_away_takes_nobody_with_it() -> None:
    key = Key()
    signer = MessageSigner(key)
    tasks = [ask(signer, n) for n in range(3)]
    for _ in range(3):
        await asyncio.sleep(0)
    tasks[0].cancel()
    key.gate.set()
    assert (await tasks[1]).signature == (await tasks[2]).signature
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]
    assert (await signer.sign(IDENTITY, [b"ocsp"], parts(9), NOW)).hash_chain is None


async def test_a_refusal_reaches_everyone_and_the_next_try_works() -> None:
    key = Key()
    key.refuses = True
    key.gate.set()
    signer = MessageSigner(key)
    refused = await asyncio.gather(*(ask(signer, n) for n in range(3)), return_exceptions=True)
    assert [type(r) for r in refused] == [TokenFailed] * 3
    assert len({id(r) for r in refused}) == 3
    key.refuses = False
    assert (await signer.sign(IDENTITY, [b"ocsp"], parts(1), NOW)).signature


async def outcome(waiting: asyncio.Task[MessageSignature]) -> str:
    """How a message's signing ended: by a signature, a refusal's words, or because its caller went away."""
    try:
        return "signed" if (await waiting).signature else "empty"
    except TokenFailed as fault:
        return fault.detail
    except asyncio.CancelledError:
        return "gone"


async def test_a_refusal_reaches_those_who_still_wait() -> None:
    key = Key()
    signer = MessageSigner(key)
    waiting = [ask(signer, n) for n in range(3)]
    for _ in range(3):
        await asyncio.sleep(0)
    waiting[1].cancel()
    key.refuses = True
    key.gate.set()
    assert [await outcome(task) for task in waiting] == ["locked", "gone", "locked"]


async def test_a_loop_that_is_stopped_leaves_nobody_waiting() -> None:
    """What was being signed and what waited for its turn end alike, but for callers that had gone away."""
    key = Key()
    signer = MessageSigner(key)
    being_signed = [ask(signer, n) for n in range(3)]
    for _ in range(3):
        await asyncio.sleep(0)
    in_line = [ask(signer, n) for n in range(3, 6)]
    await asyncio.sleep(0)
    (signing,) = (task for task in asyncio.all_tasks() if task.get_name() == "signing")
    being_signed[0].cancel()
    in_line[0].cancel()
    await asyncio.sleep(0)
    signing.cancel()
    ended = [await outcome(task) for task in (*being_signed, *in_line)]
    assert ended == ["gone", *["signing was interrupted"] * 2] * 2
    key.gate.set()
    assert await outcome(ask(signer, 9)) == "signed"


async def test_a_batch_has_a_limit() -> None:
    key = Key()
    key.gate.set()
    signer = MessageSigner(key, largest_batch=4)
    found = await asyncio.gather(*(ask(signer, n) for n in range(10)))
    assert key.signed == 3
    assert len({f.signature for f in found}) == 3


async def test_without_an_ocsp_response_nothing_is_signed() -> None:
    with pytest.raises(TokenFailed):
        await MessageSigner(Key()).sign(IDENTITY, [], parts(1), NOW)
