"""Every seed, some broken ones (always the same), and whatever once did wrong, through every target."""

from __future__ import annotations

import time
from random import Random

import pytest

from tests.fuzz.mutations import mutate
from tests.fuzz.targets import TARGETS, crashes

pytestmark = pytest.mark.filterwarnings("ignore")
BROKEN = 40
# Processor seconds for one input, on a machine that is busy and slow.
SLOW_S = 10.0
INSTRUCTION = b"<e xmlns='http://schemas.xmlsoap.org/soap/envelope/'><?p?><Body><?p?><a/></Body></e>"
ONCE_WRONG = (
    # A processing instruction where an element was expected.
    (
        "hash-chain-result",
        b"<h:HashChainResult xmlns:h='http://cyber.ee/hashchain' URI='/x#y'><?p?><a/></h:HashChainResult>",
    ),
    ("services-body", INSTRUCTION),
    ("get-wsdl", INSTRUCTION),
    # Two things wrong in one message: which is told first hung on how it was cut.
    ("proxy-message", b"--b\r\ncontent-type: application/ocsp-response\r\n\r\nx\r\n--b\r\nbroken\r\n\r\n"),
    # Names and numbers that are none.
    (
        "foreign-proxy-message",
        b"--xtop1357783211hcn1yiro\r\ncontent-type: multipart/mixed; boundary=\xff\r\n\r\n\r\n",
    ),
    ("directory", b"Content-Type: multipart/related; boundary=\xc3\xa9\r\n\r\n--\xc3\xa9\r\n\r\n"),
)


@pytest.mark.parametrize("name", TARGETS)
def test_target_gives_a_value_or_a_fault(name: str) -> None:
    target = TARGETS[name]
    seeds = target.seeds()
    assert len(seeds) > 1
    random = Random(name)
    for data in [*seeds, *(mutate(random, seeds) for _ in range(BROKEN))]:
        began = time.process_time()
        assert crashes(target, data) is None, data[:200]
        assert time.process_time() - began < SLOW_S, data[:200]


@pytest.mark.parametrize(("name", "data"), ONCE_WRONG, ids=[name for name, _ in ONCE_WRONG])
def test_what_once_did_wrong_does_not_again(name: str, data: bytes) -> None:
    assert crashes(TARGETS[name], data) is None
