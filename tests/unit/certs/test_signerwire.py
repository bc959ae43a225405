"""The signer's socket: frames in any pieces, faults as they were, nonsense refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certs import signerwire
from certs.signerwire import Ask, Frames, KeyOnToken, SignerAnswer, TokenState
from schemas.faults import Kind, TokenFailed

ANSWERS = [
    SignerAnswer(1, signature=b"s" * 256),
    SignerAnswer(2, state=TokenState("OK", logged_in=True, hardware=True, infos={"Model": "x"})),
    SignerAnswer(3, keys=[KeyOnToken("k", "ec-p256", "l", "sign", b"der")]),
    SignerAnswer(4, fault="key_not_found", detail="no", lost=True),
]


@given(st.lists(st.integers(1, 40), min_size=1, max_size=20))
def test_frames_come_out_whole_however_they_are_cut(sizes: list[int]) -> None:
    stream = b"".join(signerwire.frame(a) for a in ANSWERS)
    frames, found, at = Frames(), [], 0
    for size in [*sizes, len(stream)]:
        found += frames.feed(stream[at : at + size])
        at += size
    assert [signerwire.read_answer(body) for body in found] == ANSWERS


@given(st.binary(max_size=200))
def test_any_bytes_are_frames_or_refused(data: bytes) -> None:
    try:
        for body in Frames().feed(data):
            signerwire.read_ask(body)
    except ValueError:
        return


def test_a_frame_that_is_too_long_is_refused_before_it_is_read() -> None:
    with pytest.raises(ValueError, match="is the most"):
        Frames().feed(b"\x7f\xff\xff\xff")


def test_a_fault_arrives_as_it_was_raised() -> None:
    with pytest.raises(TokenFailed, match="no") as caught:
        ANSWERS[3].check()
    assert caught.value.kind is Kind.KEY_NOT_FOUND
    assert ANSWERS[0].check() is ANSWERS[0]


def test_a_fault_of_a_kind_that_is_not_known_here_is_one_of_signing() -> None:
    with pytest.raises(TokenFailed, match="no such device") as caught:
        SignerAnswer(1, fault="of_tomorrow", detail="no such device").check()
    assert caught.value.kind is Kind.CANNOT_SIGN


def test_a_request_is_read_back() -> None:
    ask = Ask(9, "sign", key="k", digest=b"d", algorithm="SHA512withRSA")
    (body,) = Frames().feed(signerwire.frame(ask))
    assert signerwire.read_ask(body) == ask
