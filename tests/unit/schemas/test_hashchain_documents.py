"""Documents of a hash chain, rule by rule: what each must hold, and what is refused as malformed."""

from __future__ import annotations

import base64

import pytest

from schemas.faults import Kind, NotProved
from schemas.hashchain.documents import parse_chain, parse_result, read_steps
from schemas.hashchain.steps import DS_NS, HASH_CHAIN_NS

SHA512 = "http://www.w3.org/2001/04/xmlenc#sha512"
SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
VALUE = base64.b64encode(b"d" * 64).decode()
METHOD = f'<d:DigestMethod Algorithm="{SHA512}"/>'
DIGEST = f"<d:DigestValue>{VALUE}</d:DigestValue>"
STEP = f'<h:HashStep id="STEP0"><h:HashValue>{METHOD}{DIGEST}</h:HashValue></h:HashStep>'


def result(
    inner: str = METHOD + DIGEST, uri: str = "/hashchain.xml#STEP0", root: str = "HashChainResult"
) -> bytes:
    return f'<h:{root} xmlns:h="{HASH_CHAIN_NS}" xmlns:d="{DS_NS}" URI="{uri}">{inner}</h:{root}>'.encode()


def chain(steps: str, default: str = f'<h:DefaultDigestMethod Algorithm="{SHA512}"/>') -> bytes:
    return f'<h:HashChain xmlns:h="{HASH_CHAIN_NS}" xmlns:d="{DS_NS}">{default}{steps}</h:HashChain>'.encode()


def step(inner: str) -> str:
    return f'<h:HashStep id="STEP0">{inner}</h:HashStep>'


def test_a_result_says_its_chain_step_method_and_digest() -> None:
    found = parse_result(result())
    assert (found.chain_uri, found.step_id, found.algorithm_uri, found.digest) == (
        "/hashchain.xml", "STEP0", SHA512, b"d" * 64,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (result(uri="/hashchain.xml"), "needs a URI with a step"),
        (result(uri="/hashchain.xml#"), "needs a URI with a step"),
        (result(METHOD), "a digest method and a digest value"),
        (result(METHOD + DIGEST + DIGEST), "a digest method and a digest value"),
        (result(DIGEST + METHOD), "the digest method '' is not"),
        (result(METHOD + METHOD), "a digest value was expected"),
        (
            result('<d:DigestMethod Algorithm="http://www.w3.org/2000/09/xmldsig#sha1"/>' + DIGEST),
            "is not SHA-256",
        ),
        (result(METHOD + "<d:DigestValue>*</d:DigestValue>"), "is not base64"),
        (result(METHOD + "<d:DigestValue></d:DigestValue>"), "is empty"),
        (result(METHOD + "<d:DigestValue>ZB==</d:DigestValue>"), "in its one form"),
        (result(root="HashChain"), "HashChainResult was expected"),
        (b"<a>", "hash chain"),
        (b'<!DOCTYPE a [<!ENTITY x "y">]><a/>', "hash chain"),
    ],
)
def test_a_result_that_is_none_is_malformed(raw: bytes, words: str) -> None:
    with pytest.raises(NotProved, match=words) as caught:
        parse_result(raw)
    assert caught.value.kind is Kind.MALFORMED_HASH_CHAIN


def test_steps_are_read_with_their_inputs_in_order() -> None:
    two = f'<h:HashStep id="STEP1"><h:StepRef URI="#STEP0"/><h:DataRef URI="/message.xml">{DIGEST}</h:DataRef></h:HashStep>'
    found = read_steps(parse_chain(chain(STEP + two), "HashChain"), SHA512)
    assert {name: [i.kind for i in items] for name, items in found.items()} == {
        "STEP0": ["HashValue"],
        "STEP1": ["StepRef", "DataRef"],
    }
    assert [i.reference for i in found["STEP1"]] == ["#STEP0", "/message.xml"]


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (chain(STEP, default=""), "begins with its default digest method"),
        (chain("<h:HashStep>" + STEP + "</h:HashStep>"), "steps with an id and at least one input"),
        (chain('<h:HashStep id="STEP0"/>'), "steps with an id and at least one input"),
        (chain("<h:Other/>"), "steps with an id and at least one input"),
        (chain(STEP + STEP), "is there twice"),
        (chain(step("<h:Other/>")), "cannot hold 'Other'"),
        (chain(step("<d:HashValue/>")), "cannot hold 'HashValue'"),
        (chain(step("<h:HashValue/>")), "HashValue of a hash chain lacks"),
        (chain(step(f'<h:HashValue URI="#x">{DIGEST}</h:HashValue>')), "HashValue of a hash chain lacks"),
        (chain(step(f"<h:DataRef>{DIGEST}</h:DataRef>")), "DataRef of a hash chain lacks"),
        (chain(step('<h:DataRef URI="/message.xml"/>')), "DataRef of a hash chain lacks"),
        (chain(step("<h:StepRef/>")), "StepRef of a hash chain lacks"),
        (chain(step('<h:StepRef URI="#a"><d:Transforms/></h:StepRef>')), "cannot hold"),
        (chain(step(f"<h:HashValue>{DIGEST}<d:Other/></h:HashValue>")), "cannot hold"),
    ],
)
def test_a_chain_that_is_none_is_malformed(raw: bytes, words: str) -> None:
    with pytest.raises(NotProved, match=words) as caught:
        read_steps(parse_chain(raw, "HashChain"), None)
    assert caught.value.kind is Kind.MALFORMED_HASH_CHAIN


def test_a_chain_of_another_method_than_the_signature_s_is_invalid() -> None:
    root = parse_chain(chain(STEP), "HashChain")
    with pytest.raises(NotProved, match="was expected") as caught:
        read_steps(root, SHA256)
    assert caught.value.kind is Kind.INVALID_HASH_CHAIN


def test_a_document_above_its_size_is_malformed() -> None:
    with pytest.raises(NotProved):
        parse_chain(chain(STEP), "HashChain", most_bytes=100)
