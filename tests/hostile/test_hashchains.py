"""Hash chains made to cost: each is judged in time that is linear in its bytes, and none is believed for being long."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable, Mapping

import pytest

from certs.verify.container import verify_container
from certs.verify.signature import verify_message_signature
from schemas import hashchain
from schemas.faults import Fault, NotProved
from schemas.message import digest_of
from tests import worlds

CHAIN = hashchain.SIGNATURE_CHAIN_URI
SHA512, SHA256 = hashchain.SHA512_URI, "http://www.w3.org/2001/04/xmlenc#sha256"
ONE = base64.b64encode(b"1" * 64).decode()
MESSAGE = "/message.xml"
# Processor seconds of one megabyte on a slow, busy machine: some 20 ms on an idle one; once, the first of these took minutes.
BUDGET_S = 1.0


def result(step: str = "S0", digest: bytes = b"0" * 64, algorithm: str = SHA512) -> bytes:
    return (
        f'<h:HashChainResult xmlns:h="{hashchain.HASH_CHAIN_NS}" xmlns="{hashchain.DS_NS}" URI="{CHAIN}#{step}">'
        f'<DigestMethod Algorithm="{algorithm}"/><DigestValue>{base64.b64encode(digest).decode()}</DigestValue>'
        "</h:HashChainResult>"
    ).encode()


def chain(steps: Mapping[str, str]) -> bytes:
    body = "".join(f'<h:HashStep id="{name}">{items}</h:HashStep>' for name, items in steps.items())
    return (
        f'<h:HashChain xmlns:h="{hashchain.HASH_CHAIN_NS}" xmlns="{hashchain.DS_NS}">'
        f'<h:DefaultDigestMethod Algorithm="{SHA512}"/>{body}</h:HashChain>'
    ).encode()


def to(step: str, method: str | None = None) -> str:
    if method is None:
        return f'<h:StepRef URI="#{step}"/>'
    return f'<h:StepRef URI="#{step}"><DigestMethod Algorithm="{method}"/></h:StepRef>'


def data(uri: str = MESSAGE, digest: str = ONE) -> str:
    return f'<h:DataRef URI="{uri}"><DigestValue>{digest}</DigestValue></h:DataRef>'


def value(digest: str = ONE) -> str:
    return f"<h:HashValue><DigestValue>{digest}</DigestValue></h:HashValue>"


def wide(references: int, inputs: int) -> bytes:
    """A step that refers again and again to one with many inputs: their product was paid for."""
    return chain({"S0": to("S1") * references + data(), "S1": value("YQ==") * inputs})


def doubled(depth: int) -> bytes:
    """Each step refers twice to the next: 2 to the power of the depth."""
    return chain({f"S{n}": to(f"S{n + 1}") * 2 for n in range(depth)} | {f"S{depth}": data()})


def fan(width: int, depth: int) -> bytes:
    steps = {f"S{n}": to(f"S{n + 1}") * width for n in range(depth)}
    return chain(steps | {f"S{depth}": data()})


def straight(depth: int) -> bytes:
    return chain({f"S{n}": to(f"S{n + 1}") for n in range(depth)} | {f"S{depth}": data()})


BOMBS: dict[str, Callable[[], bytes]] = {
    # As found.
    "1000-by-1000": lambda: wide(1000, 1000),
    "4096-by-15000": lambda: wide(4096, 15_000),
    "1500-by-3000": lambda: wide(1500, 3000),
    # Of their kind.
    "9000-by-9000": lambda: wide(9000, 9000),
    "doubled-60-times": lambda: doubled(60),
    "fan-of-300-by-60": lambda: fan(300, 60),
    "two-methods-doubled": lambda: chain(
        {f"S{n}": to(f"S{n + 1}") + to(f"S{n + 1}", SHA256) for n in range(60)} | {"S60": data()}
    ),
    "every-step-to-every-later-one": lambda: chain(
        {f"S{n}": "".join(to(f"S{m}") for m in range(n + 1, 63)) for n in range(62)} | {"S62": data()}
    ),
    "straight-4000": lambda: straight(4000),
    "straight-70": lambda: straight(70),
    "loop-to-itself": lambda: chain({"S0": to("S0")}),
    "loop-of-three": lambda: chain({"S0": to("S1"), "S1": to("S2"), "S2": data() + to("S0")}),
    "loop-beside-a-bomb": lambda: chain({"S0": to("S1") * 500, "S1": value() * 500 + to("S0")}),
    "more-items-than-are-read": lambda: chain({"S0": value("YQ==") * 20_001}),
    "more-steps-than-are-read": lambda: chain({f"S{n}": data() for n in range(4100)}),
    "the-message-8000-times": lambda: chain({"S0": data() * 8000}),
    "names-of-100-kb": lambda: chain({"S0": to("x" * 100_000), "S1": data("/" + "y" * 100_000)}),
    "more-than-a-megabyte": lambda: chain({"S0": value() * 12_000}),
    "deep-elements": lambda: chain({"S0": "<a>" * 5000 + "</a>" * 400}),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_chain_that_grows_is_refused_in_linear_time(name: str) -> None:
    raw = BOMBS[name]()
    began = time.process_time()
    with pytest.raises(NotProved):
        hashchain.verify(result(), raw, {MESSAGE: b"1" * 64})
    assert time.process_time() - began < BUDGET_S


@pytest.mark.parametrize("name", BOMBS)
def test_a_peer_that_nobody_knows_cannot_make_its_chain_be_read(name: str) -> None:
    world = worlds.world()
    message = world.request(body=b"x")
    signed = world.sign(message)[0]
    forged = signed.signature.replace(b"<ds:SignatureValue>", b"<ds:SignatureValue>AAAA", 1)
    if forged == signed.signature:
        forged = signed.signature.replace(b"<SignatureValue>", b"<SignatureValue>AAAA", 1)
    began = time.process_time()
    with pytest.raises(NotProved) as caught:
        verify_message_signature(
            forged,
            result(),
            BOMBS[name](),
            message.parts(),
            world.signer_of(message),
            world.configuration,
            world.now,
        )
    # The signature value is what is refused: the chain was not looked at.
    assert "hash_chain" not in caught.value.code
    assert time.process_time() - began < BUDGET_S


def test_a_long_message_that_is_referred_to_often_is_digested_once() -> None:
    content = b"m" * (4 * 1024 * 1024)
    digest = base64.b64encode(hashlib.sha512(content).digest()).decode()
    raw = chain({"S0": data(digest=digest) * 400})
    asked: list[str] = []

    def resolve(uri: str) -> bytes:
        asked.append(uri)
        return content

    began = time.process_time()
    with pytest.raises(NotProved, match="does not lead"):
        hashchain.verify(result(), raw, {MESSAGE: None}, resolve=resolve)
    assert asked == [MESSAGE]
    assert time.process_time() - began < BUDGET_S


def test_a_step_referred_to_twice_counts_twice_in_the_digest_and_shows_in_what_is_covered() -> None:
    inner = hashchain.step_digest([(b"1" * 64, SHA512)])
    outer = hashchain.step_digest([(inner, SHA512), (inner, SHA512)])
    raw = chain({"S0": to("S1") + to("S1"), "S1": data()})
    covered = hashchain.verify(result(digest=outer), raw, {MESSAGE: b"1" * 64})
    assert len(covered) == 2  # whoever asks for an order refuses it


def test_the_same_step_under_two_methods_has_two_digests() -> None:
    items = [(b"1" * 64, SHA512)]
    first, second = hashchain.step_digest(items, SHA512), hashchain.step_digest(items, SHA256)
    outer = hashchain.step_digest([(first, SHA512), (second, SHA256)])
    raw = chain({"S0": to("S1") + to("S1", SHA256), "S1": data()})
    assert hashchain.verify(result(digest=outer), raw, {MESSAGE: b"1" * 64}, algorithm_uri=None)


@pytest.mark.parametrize("parts", [2, 3, 64, 1000])
def test_a_message_of_many_parts_still_verifies(parts: int) -> None:
    named = [
        (MESSAGE, digest_of(b"m")),
        *((f"/attachment{n}", digest_of(b"%d" % n)) for n in range(1, parts)),
    ]
    built = hashchain.build([named, [(MESSAGE, digest_of(b"other"))]])
    assert hashchain.verify(built.result, built.chains[0], dict(named)) == tuple(uri for uri, _ in named)


@pytest.mark.parametrize("name", BOMBS)
def test_an_offline_verdict_on_a_container_with_such_a_chain_comes_at_once(name: str) -> None:
    world = worlds.world()
    raw = BOMBS[name]()
    for changed in ("sig", "ts"):
        container = worlds.rezipped(
            worlds.containers()["batch-both"],
            {f"{changed}-hashchain.xml": raw, f"{changed}-hashchainresult.xml": result()},
        )
        began = time.process_time()
        verdict = verify_container(container, world.configuration)
        assert not verdict.is_proved
        assert verdict.code
        assert time.process_time() - began < BUDGET_S


def test_a_fault_says_little_of_a_long_name() -> None:
    with pytest.raises(Fault) as caught:
        hashchain.verify(result(), BOMBS["names-of-100-kb"](), {MESSAGE: b"1" * 64})
    assert len(caught.value.detail) < 500
