"""Faults: an id is given once, by the edge that answers, and another party's stays."""

from __future__ import annotations

from itertools import count

from schemas.faults import BadMessage, Kind, PeerFault, TokenFailed, WireFault


def test_id_is_given_once_and_kept() -> None:
    numbers = count(1)
    fault = BadMessage(Kind.INVALID_SOAP, "no envelope")
    assert fault.id == ""
    given = [fault.identify(lambda: f"id-{next(numbers)}") for _ in range(2)]
    assert (given, fault.id) == (["id-1", "id-1"], "id-1")


def test_id_of_another_party_stays() -> None:
    fault = PeerFault(WireFault("server.serverproxy.access_denied", "no right", "", "theirs"))
    assert fault.identify(lambda: "ours") == "theirs"


def test_lost_token_is_told_apart_from_one_that_cannot_sign() -> None:
    assert not TokenFailed(Kind.CANNOT_SIGN, "no such key").is_lost
    assert TokenFailed(Kind.TOKEN_NOT_ACTIVE, "the device is gone", is_lost=True).is_lost
