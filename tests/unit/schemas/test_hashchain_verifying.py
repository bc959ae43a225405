"""Verifying hash chains, rule by rule: what leads to no root, and what a chain may not refer to."""

from __future__ import annotations

import base64
import hashlib

import pytest

from schemas.faults import Kind, NotProved
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
