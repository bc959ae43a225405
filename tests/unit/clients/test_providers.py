"""sacbe_provider's core: nobody but the gateway is believed, and what it proved is read once."""

from __future__ import annotations

import hashlib

import pytest
from sacbe_provider import BadCallError, GatewayOrigin, NotFromGatewayError, read_call

CERTIFICATE = b"a certificate in DER"
DIGEST = hashlib.sha256(CERTIFICATE).hexdigest()
HEADERS = [
    ("x-road-client", "MX/GOB/15-ISSEMYM/AFIL"),
    ("X-Road-Service", "MX/GOB/00-RNSS/INDICE/echo"),
    ("X-Road-Id", "m-1"),
    ("X-OSS-Proposito", "ALTA"),
    ("X-OSS-Fundamento", "mx:LSS-15, mx:LGPDPPSO-22"),
    ("Accept", "*/*"),
    ("Accept", "text/plain"),
]


def test_a_call_is_read_from_its_headers() -> None:
    call = read_call(HEADERS)
    assert (call.client.path, call.message_id, call.user_id) == ("MX/GOB/15-ISSEMYM/AFIL", "m-1", None)
    assert call.service is not None and call.service.code == "echo"
    assert (call.purpose, call.legal_bases) == ("ALTA", ("mx:LSS-15", "mx:LGPDPPSO-22"))


@pytest.mark.parametrize(
    "more",
    [
        [("X-Road-Client", "MX/GOB/99/OTHER")],
        [("X_Road_Client", "MX/GOB/99/OTHER")],
        [("X-Road_Id", "2")],
        [("x-oss-proposito", "OTHER")],
        [("X_OSS_Fundamento", "x")],
        [("X-Road-UserId", "a"), ("X-Road-Userid", "b")],
    ],
)
def test_a_header_that_decides_comes_once(more: list[tuple[str, str]]) -> None:
    with pytest.raises(BadCallError, match="once"):
        read_call([*HEADERS, *more])


@pytest.mark.parametrize("without", ["x-road-client", "X-Road-Id"])
def test_a_request_that_no_gateway_sent_is_said(without: str) -> None:
    with pytest.raises(BadCallError, match="did not pass a gateway"):
        read_call([h for h in HEADERS if h[0] != without])


@pytest.mark.parametrize(
    "client", ["MX", "MX/GOB", "MX//15/A", "MX/GOB/15/A/B", "MX/GOB/15/%ff", "MX/GOB/ /A"]
)
def test_an_identifier_that_is_none_is_refused(client: str) -> None:
    with pytest.raises(BadCallError):
        read_call([("X-Road-Client", client), ("X-Road-Id", "1")])


def test_naming_nothing_believes_nobody() -> None:
    with pytest.raises(ValueError, match="anybody"):
        GatewayOrigin()


@pytest.mark.parametrize("address", ["10.0.0.6", "::1", None, "", "unix", "010.0.0.5", "::ffff:10.0.0.6"])
def test_another_address_is_refused(address: str | None) -> None:
    with pytest.raises(NotFromGatewayError):
        GatewayOrigin(networks=("10.0.0.5",)).check(address, CERTIFICATE)


@pytest.mark.parametrize("address", ["10.0.0.5", "::ffff:10.0.0.5"])
def test_the_gateways_address_is_believed(address: str) -> None:
    GatewayOrigin(networks=("10.0.0.5",)).check(address, None)


def test_both_must_hold_when_both_are_named() -> None:
    origin = GatewayOrigin(frozenset({DIGEST.upper()}), ("10.0.0.0/24",))
    origin.check("10.0.0.9", CERTIFICATE)
    for address, certificate in (("10.0.1.9", CERTIFICATE), ("10.0.0.9", b"another"), ("10.0.0.9", None)):
        with pytest.raises(NotFromGatewayError):
            origin.check(address, certificate)


@pytest.mark.parametrize("digest", ["", "ab", "zz" * 32, DIGEST[:-2]])
def test_a_digest_that_is_none_is_said_at_once(digest: str) -> None:
    with pytest.raises(ValueError):
        GatewayOrigin(frozenset({digest}))
