"""Questions of metadata and monitoring, rule by rule."""

from __future__ import annotations

import pytest

from schemas.faults import BadMessage, Kind
from schemas.faultxml import SOAP_NS
from schemas.identifiers import ID_NS, ClientId
from schemas.metadata import (
    body_element,
    parse_clients_json,
    parse_clients_xml,
    parse_get_wsdl,
    parse_services_body,
    parse_services_json,
)
from schemas.monitoring import OP_NS, parse_health_query, parse_metrics_query, parse_operational_query
from schemas.soapenvelope import XROAD_NS

NOW = 1_700_000_000
MEMBER = (
    "<i:xRoadInstance>MX</i:xRoadInstance><i:memberClass>GOB</i:memberClass><i:memberCode>1</i:memberCode>"
)


def envelope(body: str) -> bytes:
    names = f'xmlns:s="{SOAP_NS}" xmlns:o="{OP_NS}" xmlns:x="{XROAD_NS}" xmlns:i="{ID_NS}"'
    return f"<s:Envelope {names}><s:Body>{body}</s:Body></s:Envelope>".encode()


def operational(criteria: str, fields: str = "") -> bytes:
    return envelope(
        f"<o:getSecurityServerOperationalData>{criteria}{fields}</o:getSecurityServerOperationalData>"
    )


def times(begin: object, end: object, more: str = "") -> str:
    return (
        f"<o:searchCriteria><o:recordsFrom>{begin}</o:recordsFrom><o:recordsTo>{end}</o:recordsTo>{more}"
        "</o:searchCriteria>"
    )


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (envelope("<x:other/>"), "the body is"),
        (operational(""), "lacks searchCriteria"),
        (operational("<o:searchCriteria/>"), "lacks recordsFrom"),
        (operational(times("soon", 2)), "recordsFrom is not a number"),
        (operational(times(1, "")), "recordsTo is not a number"),
        (operational(times(1, "9" * 19)), "recordsTo is not a number"),
        (operational(times(-1, 2)), "may not be negative"),
        (operational(times(2, 1)), "earlier than recordsFrom"),
        (operational(times(NOW - 60, NOW)), "not available yet"),
        (operational(times(1, 2), "<o:outputSpec><o:outputField>pin</o:outputField></o:outputSpec>"), "'pin'"),
        (operational(times(1, 2, '<o:client i:objectType="MEMBER"><i:memberCode>1</i:memberCode></o:client>')),
         "malformed"),
    ],
)  # fmt: skip
def test_a_question_for_operational_data_that_is_refused_says_why(raw: bytes, words: str) -> None:
    with pytest.raises(BadMessage, match=words):
        parse_operational_query(raw, NOW, 60)


def test_a_question_for_operational_data_is_read() -> None:
    client = f'<o:client i:objectType="MEMBER">{MEMBER}</o:client>'
    found = parse_operational_query(operational(times(1, 2, client)), NOW, 60)
    assert (found.records_from, found.records_to, found.client) == (1, 2, ClientId("MX", "GOB", "1"))


def test_questions_of_another_name_are_refused() -> None:
    for parse in (parse_health_query, parse_metrics_query):
        with pytest.raises(BadMessage, match="the body is") as caught:
            parse(envelope("<x:other/>"))
        assert caught.value.kind is Kind.INVALID_REQUEST


@pytest.mark.parametrize(
    "raw", [b"{", b"[]", b'{"member": {}}', b'{"member": [1]}', b'{"member": [{}]}', b"\xff"]
)
def test_a_list_of_clients_that_is_none_is_refused(raw: bytes) -> None:
    with pytest.raises(BadMessage):
        parse_clients_json(raw)


@pytest.mark.parametrize("raw", [b"{", b'{"service": [{}]}', b'{"service": [{"endpoint_list": 1}]}', b"{}"])
def test_a_list_of_services_that_is_none_is_refused(raw: bytes) -> None:
    with pytest.raises(BadMessage):
        parse_services_json(raw)


def test_what_a_list_in_xml_lacks_is_said() -> None:
    with pytest.raises(BadMessage, match="lacks its id"):
        parse_clients_xml(f'<a xmlns="{XROAD_NS}"><member/></a>'.encode())
    listed = f'<x:listMethodsResponse><x:service i:objectType="MEMBER">{MEMBER}</x:service></x:listMethodsResponse>'
    with pytest.raises(BadMessage, match="no service's"):
        parse_services_body(envelope(listed))
    with pytest.raises(BadMessage, match="the envelope's body is empty") as caught:
        body_element(envelope(""))
    assert caught.value.kind is Kind.MISSING_BODY


@pytest.mark.parametrize(
    ("body", "words"),
    [("<x:other/>", "the body of the request is"), ("<x:getWsdl/>", "lacks serviceCode"),
     ("<x:getWsdl><x:serviceCode> </x:serviceCode></x:getWsdl>", "lacks serviceCode")],
)  # fmt: skip
def test_a_question_for_a_description_names_the_service(body: str, words: str) -> None:
    with pytest.raises(BadMessage, match=words):
        parse_get_wsdl(envelope(body))
