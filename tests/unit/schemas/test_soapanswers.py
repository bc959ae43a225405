"""SOAP beside the envelope, rule by rule: how it comes over HTTP, and what an answer must have of its request."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import soap
from schemas.faults import BadMessage, Kind
from schemas.identifiers import ClientId, ServiceId
from schemas.message import digest_of
from schemas.soapenvelope import XROAD_NS

CLIENT, OTHER = ClientId("MX", "GOB", "07", "PENSIONES"), ClientId("MX", "GOB", "07", "NOMINA")
SERVICE = ServiceId(ClientId("MX", "GOB", "09", "PADRON"), "alta", "v2")
REQUEST = soap.parse_message(soap.render_request(CLIENT, SERVICE, "m-1", "<alta/>", user_id="ana"))
ANSWER = soap.parse_message(soap.render_answer(REQUEST, "<altaResponse/>"))


@pytest.mark.parametrize("values", [[], [""], ["identity"], [" Identity "], ["identity", ""]])
def test_a_message_comes_as_it_is(values: list[str]) -> None:
    soap.check_plain(values)
    for packed in ("gzip", "br", "identity, gzip"):
        with pytest.raises(BadMessage, match=f"Content-Encoding '{packed}'; send it uncompressed") as caught:
            soap.check_plain([*values, packed])
        assert caught.value.kind is Kind.INVALID_CONTENT_TYPE


@pytest.mark.parametrize(
    "value", [None, "", '""', '"urn:alta"', '"http://a.example/%C3%B1?x=1#y"', '"urn:año"']
)
def test_a_soap_action_is_a_uri_in_quotes_or_nothing(value: str | None) -> None:
    soap.check_soap_action(value)


@pytest.mark.parametrize(
    "value", ['"', "urn:alta", '"urn:alta', 'urn:alta"', '"a b"', '"%zz"', '"a"b"', '"\x00"']
)
def test_a_soap_action_that_is_no_uri_in_quotes_is_refused(value: str) -> None:
    with pytest.raises(BadMessage, match="a URI in double quotes") as caught:
        soap.check_soap_action(value)
    assert caught.value.kind is Kind.INVALID_SOAP_ACTION


@pytest.mark.parametrize(
    ("what", "changes"),
    [
        ("client", {"client": OTHER}),
        ("service", {"service": ServiceId(SERVICE.client, "baja", "v2")}),
        ("id", {"message_id": "m-2"}),
        ("userId", {"user_id": None}),
        ("issue", {"issue": "7"}),
        ("representedParty", {"represented_party": "GOB/07"}),
    ],
)
def test_an_answer_has_the_headers_of_its_request(what: str, changes: dict[str, object]) -> None:
    soap.check_consistent(REQUEST, ANSWER)
    with pytest.raises(BadMessage, match=f"the answer's {what} is ") as caught:
        soap.check_consistent(REQUEST, replace(ANSWER, **changes))  # type: ignore[arg-type]
    assert caught.value.kind is Kind.INCONSISTENT_RESPONSE


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_an_answer_is_over_one_request_alone(request: bytes, other: bytes) -> None:
    hashed = soap.with_request_hash(ANSWER, soap.compute_request_hash(digest_of(request)))
    soap.check_request_hash(digest_of(request), soap.parse_message(hashed.raw))
    if request != other:
        with pytest.raises(BadMessage, match="not the digest of the request sent") as caught:
            soap.check_request_hash(digest_of(other), hashed)
        assert caught.value.kind is Kind.INCONSISTENT_RESPONSE


def test_an_answer_without_the_hash_of_its_request_is_refused() -> None:
    with pytest.raises(BadMessage, match="has no requestHash") as caught:
        soap.check_request_hash(digest_of(b"x"), ANSWER)
    assert caught.value.kind is Kind.INCONSISTENT_RESPONSE


@pytest.mark.parametrize(
    "identity",
    ["<xroad:id>", "<xroad:id a='/>'>", f"<x:id xmlns:x='{XROAD_NS}'>", f"<id xmlns='{XROAD_NS}'>"],
)
@pytest.mark.parametrize(
    "old",
    ["", "<xroad:requestHash/>", "<xroad:requestHash a='>' />", "<xroad:requestHash>a></xroad:requestHash>",
     "<xroad:requestHash></xroad:requestHash >", f'<requestHash xmlns="{XROAD_NS}" a="/>">old</requestHash>'],
)  # fmt: skip
def test_an_answer_s_own_hash_of_a_request_is_taken_out_whole_and_nothing_else(
    old: str, identity: str
) -> None:
    name = identity[1:].partition(" ")[0].rstrip(">")
    ends = {"<xroad:id>m-1</xroad:id>": f"{identity}m-1</{name}>", "</soap:Header>": f"{old}</soap:Header>"}
    text = ANSWER.raw.decode()
    for end, new in ends.items():
        text = text.replace(end, new)
    hashed = soap.with_request_hash(soap.parse_message(text.encode()), "aGFzaA==")
    again = soap.parse_message(hashed.raw)
    assert (again.request_hash, again.message_id) == ("aGFzaA==", "m-1")
    begin = text.index(f"m-1</{name}>") + len(f"m-1</{name}>")
    new = hashed.raw.decode()[begin : len(hashed.raw) - (len(text) - begin - len(old))]
    assert hashed.raw.decode() == text[:begin] + new + text[begin:].replace(old, "")
    assert new.count("<") == 2
    assert "requestHash" in new
