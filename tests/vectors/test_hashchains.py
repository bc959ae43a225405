"""Foreign hash chains give the verdicts their origin gives."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from lxml import etree

from schemas import hashchain
from schemas.faults import NotProved
from tests.paths import VECTORS

CASES = json.loads((VECTORS / "hashchains/cases.json").read_text(encoding="utf-8"))
SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"


def given(spec: dict[str, str] | None) -> bytes | None:
    if spec is None:
        return None
    if "hex" in spec:
        return bytes.fromhex(spec["hex"])
    return hashlib.sha256((VECTORS / spec["sha256_of"]).read_bytes()).digest()


def inclusive_c14n(name: str, data: bytes) -> bytes:
    assert name == "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
    return etree.tostring(etree.fromstring(data), method="c14n", with_comments=False)


@pytest.mark.parametrize("case", CASES["cases"], ids=lambda c: c["name"])
@pytest.mark.xroad("F033")
def test_case(case: dict[str, Any]) -> None:
    files = {uri: (VECTORS / name).read_bytes() for uri, name in case["resolve"].items()}
    left = set(case.get("not_resolved", ()))

    def resolve(uri: str) -> bytes | None:
        return None if uri in left else files[uri]

    def verify() -> None:
        hashchain.verify(
            (VECTORS / case["result"]).read_bytes(),
            files["/hashchain.xml"],
            {uri: given(spec) for uri, spec in case["inputs"].items()},
            chain_uri="/hashchain.xml",
            resolve=resolve,
            algorithm_uri=None,
            transform=inclusive_c14n,
        )

    if case["expect"]["outcome"] == "valid":
        verify()
        return
    with pytest.raises(NotProved) as caught:
        verify()
    assert caught.value.code.endswith(case["expect"]["code"])


def test_the_root_of_four_leaves_is_the_known_one() -> None:
    leaves = [hashlib.sha256(word).digest() for word in (b"one", b"two", b"three", b"four")]
    built = hashchain.build([[("/message.xml", leaf)] for leaf in leaves], algorithm_uri=SHA256)
    assert hashchain.parse_result(built.result).digest == base64.b64decode(
        CASES["known_answers"][0]["root_base64"]
    )


def test_one_message_of_four_parts_has_the_known_root() -> None:
    parts = [("/message.xml", b"\x0b")] + [(f"/attachment{n}", bytes((0x0B + n,))) for n in (1, 2, 3)]
    built = hashchain.build([parts], algorithm_uri=SHA256)
    assert hashchain.parse_result(built.result).digest == base64.b64decode(
        CASES["known_answers"][1]["root_base64"]
    )


def test_nothing_to_bind_is_refused() -> None:
    with pytest.raises(ValueError, match="several parts"):
        hashchain.build([])
