"""Verifying hash chains, rule by rule: what leads to no root, and what a chain may not refer to."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.faults import Kind, NotProved
from schemas.hashchain.building import build, is_as_built
from schemas.hashchain.steps import DS_NS, HASH_CHAIN_NS, SHA512_URI, SIGNATURE_CHAIN_URI, step_digest
from schemas.hashchain.verifying import verify

SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
CONTENT = b"the message"
DIGEST = hashlib.sha512(CONTENT).digest()
ROOT = step_digest([(DIGEST, SHA512_URI)], SHA512_URI)
METHOD = f'<d:DigestMethod Algorithm="{SHA512_URI}"/>'
NAMES = f'xmlns:h="{HASH_CHAIN_NS}" xmlns:d="{DS_NS}"'


def value(digest: bytes) -> str:
    return f"<d:DigestValue>{base64.b64encode(digest).decode()}</d:DigestValue>"


def result(digest: bytes = ROOT, uri: str = SIGNATURE_CHAIN_URI, method: str = METHOD) -> bytes:
    return (
        f'<h:HashChainResult {NAMES} URI="{uri}#STEP0">{method}{value(digest)}</h:HashChainResult>'.encode()
    )


def chain(*steps: str) -> bytes:
    default = f'<h:DefaultDigestMethod Algorithm="{SHA512_URI}"/>'
    inner = "".join(f'<h:HashStep id="STEP{number}">{step}</h:HashStep>' for number, step in enumerate(steps))
    return f"<h:HashChain {NAMES}>{default}{inner}</h:HashChain>".encode()


def data(uri: str = "/message.xml", digest: bytes = DIGEST, more: str = "") -> str:
    return f'<h:DataRef URI="{uri}">{more}{value(digest)}</h:DataRef>'


def step(uri: str) -> str:
    return f'<h:StepRef URI="{uri}"/>'


def test_a_chain_leads_from_the_message_to_its_root() -> None:
    assert verify(result(), chain(data()), {"/message.xml": DIGEST}) == ("/message.xml",)
    resolved = verify(
        result(), chain(data()), {"/message.xml": None}, resolve={"/message.xml": CONTENT}.__getitem__
    )
    assert resolved == ("/message.xml",)


TRANSFORM = '<d:Transforms><d:Transform Algorithm="urn:t"/></d:Transforms>'


@pytest.mark.parametrize(
    ("result_document", "chain_document", "kind", "words"),
    [
        (result(method=METHOD.replace("sha512", "sha256"), digest=ROOT[:32]), chain(data()),
         Kind.INVALID_HASH_CHAIN, "was expected"),
        (result(uri="/other.xml"), chain(data()), Kind.INVALID_REFERENCE, "points to '/other.xml'"),
        (result(b"r" * 64), chain(data()), Kind.INVALID_HASH_CHAIN, "does not lead to the digest"),
        (result(), chain(data("/other.xml")), Kind.INVALID_REFERENCE, "which is not there"),
        (result(), chain(data() + data("/more.xml")), Kind.INVALID_REFERENCE, "'/more.xml', which is not there"),
        (result(), chain(f"<h:HashValue>{value(DIGEST)}</h:HashValue>"), Kind.HASHCHAIN_UNUSED_INPUTS, "/message.xml"),
        (result(), chain(data(digest=b"d" * 64)), Kind.INVALID_HASH_CHAIN_REF, "not the digest of what came"),
        (result(), chain(step("#STEP1")), Kind.INVALID_REFERENCE, "no step 'STEP1'"),
        (result(), chain(step("/absent.xml#STEP0")), Kind.INVALID_REFERENCE, "which is not there"),
        (result(), chain(step("/nothing.xml#STEP0")), Kind.INVALID_REFERENCE, "did not come"),
        (result(), chain(step("#STEP0")), Kind.MALFORMED_HASH_CHAIN, "leads back to itself"),
        (result(), chain(step("#STEP1"), step("#STEP0")), Kind.MALFORMED_HASH_CHAIN, "leads back to itself"),
        (result(), chain(*(step(f"#STEP{n}") for n in range(1, 70)), data()), Kind.MALFORMED_HASH_CHAIN, "too deep"),
        (result(), chain(*[data()] * 300), Kind.MALFORMED_HASH_CHAIN, "at most 514"),
        (result(), chain(data("/there.xml", more=TRANSFORM)), Kind.MALFORMED_HASH_CHAIN, "transform 'urn:t'"),
        (result(), chain(data("/there.xml")), Kind.INVALID_HASH_CHAIN_REF, "digest of /there.xml"),
    ],
)  # fmt: skip
def test_a_chain_that_proves_nothing_says_why(
    result_document: bytes, chain_document: bytes, kind: Kind, words: str
) -> None:
    there: dict[str, bytes | None] = {"/there.xml": b"other content", "/nothing.xml": None}
    with pytest.raises(NotProved, match=words) as caught:
        verify(result_document, chain_document, {"/message.xml": DIGEST}, resolve=there.__getitem__)
    assert caught.value.kind is kind


def test_nothing_is_looked_up_where_nobody_resolves() -> None:
    with pytest.raises(NotProved, match=r"'/other.xml', which did not come"):
        verify(result(), chain(data("/other.xml")), {"/message.xml": DIGEST})


def test_a_chain_may_lead_over_steps_other_documents_and_the_same_data_again() -> None:
    other = chain(data("/other.xml", hashlib.sha512(b"o").digest()))
    shared, far = step("#STEP1"), step("/far.xml#STEP0")
    near = step_digest([(DIGEST, SHA512_URI)])
    distant = step_digest([(hashlib.sha512(b"o").digest(), SHA512_URI)])
    root = step_digest([(d, SHA512_URI) for d in (near, near, distant, hashlib.sha512(b"o").digest())])
    whole = chain(shared + shared + far + data("/other.xml", hashlib.sha512(b"o").digest()), data())
    there = {"/far.xml": other, "/other.xml": b"o"}
    covered = verify(result(root), whole, {"/message.xml": DIGEST}, resolve=there.__getitem__)
    assert covered == ("/message.xml", "#STEP1", "/other.xml", "/other.xml")


@pytest.mark.parametrize("vouched", [None, b"changed by urn:t"])
def test_data_is_transformed_as_named_and_what_is_vouched_for_stands(vouched: bytes | None) -> None:
    digest = hashlib.sha512(b"changed by urn:t").digest()
    asked: list[bytes] = []

    def transform(name: str, content: bytes) -> bytes:
        asked.append(content)
        return b"changed by " + name.encode()

    more = data("/there.xml", digest, TRANSFORM)
    root = step_digest([(DIGEST, SHA512_URI), (digest, SHA512_URI)])
    there = {"/there.xml": vouched}
    covered = verify(
        result(root),
        chain(data() + more),
        {"/message.xml": DIGEST},
        resolve=there.__getitem__,
        transform=transform,
    )
    assert covered == ("/message.xml", "/there.xml")
    assert asked == ([] if vouched is None else [vouched])


PARTS = [("/message.xml", DIGEST), ("/attachment1", b"1" * 64)]


@given(st.integers(0, 9), st.integers(1, 2), st.data())
def test_what_was_built_is_known_by_its_bytes_and_nothing_else_is(
    others: int, parts: int, data: st.DataObject
) -> None:
    messages = [[(f"/a&{n}", bytes([n]) * 64)] for n in range(others)]
    place = data.draw(st.integers(0, others))
    messages.insert(place, PARTS[:parts])
    if others + parts < 2:
        return
    built = build(messages)
    chained = built.chains[place]
    assert is_as_built(built.result, chained, messages[place])
    assert not is_as_built(built.result, chained, messages[place], "/other.xml")
    assert not is_as_built(built.result, chained, [*messages[place], ("/more", b"2" * 64)])
    assert not is_as_built(built.result, chained, [])
    assert not is_as_built(built.result, chained, [("/message.xml", b"3" * 64)])
    at = data.draw(st.integers(0, len(chained) - 1))
    assert not is_as_built(
        built.result, chained[:at] + bytes([chained[at] ^ 1]) + chained[at + 1 :], messages[place]
    )


def test_a_chain_over_one_part_alone_or_over_short_digests_is_not_as_built() -> None:
    short = build([[("/a", b"x" * 20)], PARTS[:1]])
    assert not is_as_built(short.result, short.chains[1], PARTS[:1])
    assert not is_as_built(result(), chain(data()), PARTS[:1])
    alone = (
        chain(data()).replace(f'xmlns:d="{DS_NS}"'.encode(), f'xmlns="{DS_NS}"'.encode()).replace(b"d:", b"")
    )
    head = b'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
    assert not is_as_built(result(DIGEST), head + alone, PARTS[:1])
    odd = build([PARTS[:1], [("/b", b"y" * 64)]])
    assert not is_as_built(odd.result, odd.chains[0].replace(b"eQ==", b"eQ="), PARTS[:1])
