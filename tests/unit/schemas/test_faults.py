"""Faults: what is added to one on its way out, once; another party's stays as it came."""

from __future__ import annotations

from contextlib import ExitStack
from itertools import count

import pytest

from schemas.faults import (
    BadMessage,
    Fault,
    Kind,
    Origin,
    PeerFault,
    Step,
    TokenFailed,
    WireFault,
    origin,
    step,
)
from schemas.faultxml import SOAP_NS, parse_soap_fault


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


SAID = PeerFault(WireFault("Server.ServerProxy.AccessDenied", "no right"))


@pytest.mark.parametrize(
    ("raised", "sides", "code"),
    [
        (BadMessage(Kind.INVALID_SOAP, ""), (), "service_failed.invalid_soap"),
        (BadMessage(Kind.INVALID_SOAP, ""), (Origin.CLIENT,), "client.service_failed.invalid_soap"),
        (BadMessage(Kind.INVALID_SOAP, ""), (Origin.CLIENT_PROXY, Origin.CLIENT), "server.clientproxy.service_failed.invalid_soap"),
        (SAID, (Origin.CLIENT,), "server.serverproxy.access_denied"),
    ],
)  # fmt: skip
def test_a_fault_on_its_way_out_is_given_its_steps_and_the_first_side_that_knew(
    raised: Fault, sides: tuple[Origin, ...], code: str
) -> None:
    with pytest.raises(Fault) as caught, ExitStack() as stack:
        for side in reversed(sides):
            stack.enter_context(origin(side))
        stack.enter_context(step(Step.SERVICE_FAILED))
        stack.enter_context(step(Step.SERVICE_FAILED))
        raise raised
    assert caught.value.code == code


def test_a_step_or_a_side_lets_all_else_pass_as_it_is() -> None:
    with step(Step.SERVICE_FAILED), origin(Origin.CLIENT):
        pass
    with pytest.raises(KeyError, match="1"), step(Step.SERVICE_FAILED), origin(Origin.CLIENT):
        raise KeyError(1)


@pytest.mark.parametrize(
    ("inner", "wire"),
    [
        ("", WireFault("", "")),
        ("<faultcode> a </faultcode><faultstring/><detail>b<c>d</c></detail>", WireFault("a", "", "", "bd")),
        ("<detail><o>1</o><faultDetail>2</faultDetail></detail>", WireFault("", "", "", "2")),
        ("<s:faultcode>a</s:faultcode><s:faultactor>b</s:faultactor><detail/>", WireFault("a", "", "b")),
    ],
)
def test_a_fault_is_read_with_what_it_has(inner: str, wire: WireFault) -> None:
    raw = f"<s:Envelope xmlns:s='{SOAP_NS}'><s:Body><s:Fault>{inner}</s:Fault></s:Body></s:Envelope>"
    assert parse_soap_fault(raw.encode()) == wire
