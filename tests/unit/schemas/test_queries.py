"""Questions of metadata and monitoring, rule by rule."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from lxml import etree

from schemas.faults import BadMessage, Kind
from schemas.faultxml import SOAP_NS
from schemas.identifiers import ID_NS, ClientId, ServiceId
from schemas.metadata import (
    ListedClient,
    ListedService,
    body_element,
    parse_clients_json,
    parse_clients_xml,
    parse_get_wsdl,
    parse_services_body,
    parse_services_json,
    render_clients_json,
    render_clients_xml,
    render_get_wsdl_body,
    render_services_body,
    render_services_json,
)
from schemas.monitoring import (
    ATTACHMENT_ID,
    METRICS,
    OP_NS,
    Histogram,
    Metric,
    OperationalQuery,
    ServiceHealth,
    Statistics,
    parse_health_query,
    parse_metrics_query,
    parse_operational_query,
    render_health_body,
    render_metrics_body,
    render_operational_body,
)
from schemas.soapenvelope import XROAD_NS

NOW = 1_700_000_000
MX1 = ClientId("MX", "GOB", "1")
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
    fields = "<o:outputSpec><o:outputField>requestInTs</o:outputField></o:outputSpec>"
    for criteria, found in (
        ("", OperationalQuery(1, 2)),
        (client, OperationalQuery(1, 2, MX1, ("requestInTs",))),
    ):
        assert (
            parse_operational_query(operational(times(1, 2, criteria), fields if criteria else ""), NOW, 60)
            == found
        )


def test_questions_of_another_name_are_refused() -> None:
    for parse in (parse_health_query, parse_metrics_query):
        with pytest.raises(BadMessage, match="the body is") as caught:
            parse(envelope("<x:other/>"))
        assert caught.value.kind is Kind.INVALID_REQUEST


def test_questions_for_health_and_metrics_are_read() -> None:
    client = f'<o:client i:objectType="MEMBER">{MEMBER}</o:client>'
    for criteria, found in (
        ("", None),
        ("<o:filterCriteria/>", None),
        (f"<o:filterCriteria>{client}</o:filterCriteria>", MX1),
    ):
        raw = envelope(f"<o:getSecurityServerHealthData>{criteria}</o:getSecurityServerHealthData>")
        assert parse_health_query(raw) == found
    for fields, names in (("", ()), ("<x:outputField> a </x:outputField><o:outputField/>", ("a", ""))):
        raw = envelope(
            f"<x:getSecurityServerMetrics><x:outputSpec>{fields}</x:outputSpec></x:getSecurityServerMetrics>"
        )
        assert parse_metrics_query(raw) == names


def leaves(body: str) -> list[tuple[str, str]]:
    """Local name and text of the elements of a body that hold no other, in order."""
    return [(etree.QName(e).localname, e.text or "") for e in etree.fromstring(body).iter() if not len(e)]


@pytest.mark.parametrize(("next_from", "more"), [(None, []), (0, [("nextRecordsFrom", "0")])])
def test_an_answer_with_records_counts_them_and_says_where_the_next_begin(
    next_from: int | None, more: list[tuple[str, str]]
) -> None:
    body = render_operational_body(3, next_from)
    assert leaves(body) == [("recordsCount", "3"), ("records", f"cid:{ATTACHMENT_ID}"), *more]


def test_an_answer_with_health_says_of_each_service_what_is_known() -> None:
    service = ServiceId(MX1, "sum")
    quiet = ServiceHealth(service, None, None, None, Statistics(0, 0))
    busy = ServiceHealth(service, 5, 0, "REST", Statistics(2, 1, durations=(1, 2), response_sizes=(7,)))
    identifier = [
        ("xRoadInstance", "MX"),
        ("memberClass", "GOB"),
        ("memberCode", "1"),
        ("serviceCode", "sum"),
    ]
    assert leaves(render_health_body(9, 600, [quiet, busy])) == [
        ("monitoringStartupTimestamp", "9"), ("statisticsPeriodSeconds", "600"),
        *identifier, ("successfulRequestCount", "0"), ("unsuccessfulRequestCount", "0"),
        *identifier, ("lastSuccessfulRequestTimestamp", "5"), ("lastUnsuccessfulRequestTimestamp", "0"), ("serviceType", "REST"),
        ("successfulRequestCount", "2"), ("unsuccessfulRequestCount", "1"),
        ("requestMinDuration", "1"), ("requestAverageDuration", "1.500"), ("requestMaxDuration", "2"), ("requestDurationStdDev", "0.500"),
        ("responseMinSize", "7"), ("responseAverageSize", "7.000"), ("responseMaxSize", "7"), ("responseSizeStdDev", "0.000"),
    ]  # fmt: skip


def test_metrics_are_sets_texts_numbers_and_histograms() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    inner = (
        Metric("a", "x"),
        Metric("b", 1.5),
        Metric("c", Histogram(at, 1, 2, 1.5, 1.5, 0.5)),
        Metric("d", ()),
    )
    body = render_metrics_body(Metric("SERVER:MX/GOB/1/SS1", inner))
    kinds = [etree.QName(e).localname for e in etree.fromstring(body).iter() if len(e)]
    assert kinds == [
        f"{METRICS}Response",
        "metricSet",
        "stringMetric",
        "numericMetric",
        "histogramMetric",
        "metricSet",
    ]
    assert leaves(body) == [
        ("name", "SERVER:MX/GOB/1/SS1"), ("name", "a"), ("value", "x"), ("name", "b"), ("value", "1.5"),
        ("name", "c"), ("updated", "2026-01-02T03:04:05+00:00"), ("min", "1.0"), ("max", "2.0"), ("mean", "1.5"), ("median", "1.5"),
        ("stddev", "0.5"), ("name", "d"),
    ]  # fmt: skip


def test_lists_of_clients_and_services_come_back() -> None:
    clients = (
        ListedClient(MX1, "Uno"),
        ListedClient(MX1.subsystem("A"), "Uno", "Afiliación"),
        ListedClient(MX1.subsystem("B"), ""),
    )
    assert parse_clients_json(render_clients_json(clients)) == clients
    assert parse_clients_xml(render_clients_xml(clients)) == clients
    services = (
        ListedService(ServiceId(MX1.subsystem("A"), "sum"), "OPENAPI", (("GET", "/x"),)),
        ListedService(ServiceId(MX1, "s"), "REST"),
    )
    assert parse_services_json(render_services_json(services)) == services
    versioned = (ServiceId(MX1, "sum", "v1"), *(s.id for s in services))
    assert parse_services_body(envelope(render_services_body("listMethods", versioned))) == versioned


@pytest.mark.parametrize("version", [None, "v1"])
def test_a_question_for_a_description_comes_back(version: str | None) -> None:
    assert parse_get_wsdl(envelope(render_get_wsdl_body("sum", version))) == ("sum", version)
    assert "getWsdlResponse" in render_get_wsdl_body("sum", version, response=True)


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
