"""Operational and environmental monitoring: the fields of a record, queries, answers.

Pure. A record is a mapping of field names to values; a field that is not known is left out, and so is everything of a
message's content. Spec: PR-OPMON 2, 3 (op-monitoring.xsd); PR-ENVMONMES (monitoring.xsd) of X-Road 7.8.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec
from lxml import etree

from schemas.faults import BadMessage, Kind
from schemas.identifiers import ID_NS, ClientId, ServiceId, append_identifier, parse_client_element
from schemas.metadata import body_element

if TYPE_CHECKING:
    from datetime import datetime

OPERATIONAL_DATA = "getSecurityServerOperationalData"
HEALTH_DATA = "getSecurityServerHealthData"
METRICS = "getSecurityServerMetrics"
OP_NS = "http://x-road.eu/xsd/op-monitoring.xsd"
METRICS_NS = "http://x-road.eu/xsd/monitoring"
ATTACHMENT_ID = "operational-monitoring-data.json.gz"

Value = str | int | bool
Record = Mapping[str, Value]

INTERNAL_IP = "securityServerInternalIp"
FIELDS = (
    "monitoringDataTs",
    INTERNAL_IP,
    "securityServerType",
    "requestInTs",
    "requestOutTs",
    "responseInTs",
    "responseOutTs",
    "clientXRoadInstance",
    "clientMemberClass",
    "clientMemberCode",
    "clientSubsystemCode",
    "serviceXRoadInstance",
    "serviceMemberClass",
    "serviceMemberCode",
    "serviceSubsystemCode",
    "serviceCode",
    "serviceVersion",
    "restMethod",
    "restPath",
    "representedPartyClass",
    "representedPartyCode",
    "messageId",
    "messageUserId",
    "messageIssue",
    "messageProtocolVersion",
    "clientSecurityServerAddress",
    "serviceSecurityServerAddress",
    "requestSize",
    "responseSize",
    "requestMimeSize",
    "responseMimeSize",
    "requestAttachmentCount",
    "responseAttachmentCount",
    "succeeded",
    "faultCode",
    "faultString",
    "statusCode",
    "serviceType",
    "xRoadVersion",
    "xRequestId",
)
_OP = f"{{{OP_NS}}}"
_MET = f"{{{METRICS_NS}}}"
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")


class OperationalQuery(msgspec.Struct, frozen=True):
    """Records of a time (Unix seconds, both ends included), of one provider or all; no fields mean every field."""

    records_from: int
    records_to: int
    client: ClientId | None = None
    fields: tuple[str, ...] = ()


class Statistics(msgspec.Struct, frozen=True):
    """Calls of one service in the last period; durations in ms and sizes in bytes, of successful calls only."""

    successful: int
    unsuccessful: int
    durations: tuple[int, ...] = ()
    request_sizes: tuple[int, ...] = ()
    response_sizes: tuple[int, ...] = ()


class ServiceHealth(msgspec.Struct, frozen=True):
    """The health of one service of this server; instants in Unix milliseconds."""

    service: ServiceId
    last_successful: int | None
    last_unsuccessful: int | None
    service_type: str | None
    statistics: Statistics


class Histogram(msgspec.Struct, frozen=True):
    """Values of a metric over time."""

    updated: datetime
    min: float
    max: float
    mean: float
    median: float
    stddev: float


class Metric(msgspec.Struct, frozen=True):
    """A named value, or a named set of metrics."""

    name: str
    value: int | float | str | Histogram | tuple[Metric, ...]


def parse_operational_query(envelope: bytes, now: int, available_s: int) -> OperationalQuery:
    """The query for operational data. Raises `BadMessage` (``invalid_request``) for times or fields that cannot be."""
    body = _request(envelope, OPERATIONAL_DATA)
    criteria = body.find(f"{_OP}searchCriteria")
    if criteria is None:
        raise _wrong("the request lacks searchCriteria")
    begin, end = _seconds(criteria, "recordsFrom"), _seconds(criteria, "recordsTo")
    if begin < 0 or end < 0:
        raise _wrong("recordsFrom and recordsTo may not be negative")
    if end < begin:
        raise _wrong("recordsTo is earlier than recordsFrom")
    if begin >= now - available_s:
        raise _wrong(f"records from {begin} on are not available yet; those before {now - available_s} are")
    fields = tuple((f.text or "").strip() for f in body.findall(f"{_OP}outputSpec/{_OP}outputField"))
    unknown = [f for f in fields if f not in FIELDS]
    if unknown:
        raise _wrong(f"unknown output field: {unknown[0]!r}")
    return OperationalQuery(begin, end, _client(criteria), fields)


def parse_health_query(envelope: bytes) -> ClientId | None:
    """The provider whose services are asked about, or None for all. Raises `BadMessage`."""
    criteria = _request(envelope, HEALTH_DATA).find(f"{_OP}filterCriteria")
    return None if criteria is None else _client(criteria)


def parse_metrics_query(envelope: bytes) -> tuple[str, ...]:
    """The names of the metrics asked for; none mean all. Whatever the namespace, as X-Road's own test asks. Raises `BadMessage`."""
    body = body_element(envelope)
    if etree.QName(body).localname != METRICS:
        raise _wrong(f"the body is {body.tag}, not {METRICS}")
    return tuple((f.text or "").strip() for f in body.iterfind("{*}outputSpec/{*}outputField"))


def render_operational_body(count: int, next_from: int | None) -> str:
    """The body of the answer; the records are the attachment."""
    root = etree.Element(f"{_OP}{OPERATIONAL_DATA}Response", nsmap={"om": OP_NS})
    _add(root, "recordsCount", count)
    _add(root, "records", f"cid:{ATTACHMENT_ID}")
    if next_from is not None:
        _add(root, "nextRecordsFrom", next_from)
    return etree.tostring(root, encoding="unicode")


def render_health_body(startup_ms: int, period_s: int, services: Sequence[ServiceHealth]) -> str:
    """The body of the answer."""
    root = etree.Element(f"{_OP}{HEALTH_DATA}Response", nsmap={"om": OP_NS, "id": ID_NS})
    _add(root, "monitoringStartupTimestamp", startup_ms)
    _add(root, "statisticsPeriodSeconds", period_s)
    events = etree.SubElement(root, f"{_OP}servicesEvents")
    for health in services:
        event = etree.SubElement(events, f"{_OP}serviceEvents")
        append_identifier(event, f"{_OP}service", health.service)
        for name, value in (
            ("lastSuccessfulRequestTimestamp", health.last_successful),
            ("lastUnsuccessfulRequestTimestamp", health.last_unsuccessful),
            ("serviceType", health.service_type),
        ):
            if value is not None:
                _add(event, name, value)
        _add_statistics(event, health.statistics)
    return etree.tostring(root, encoding="unicode")


def render_metrics_body(root_metric: Metric) -> str:
    """The body of the answer: one set, named after the server."""
    root = etree.Element(f"{_MET}{METRICS}Response", nsmap={"m": METRICS_NS})
    _add_metric(root, root_metric)
    return etree.tostring(root, encoding="unicode")


def _add_statistics(event: etree._Element, found: Statistics) -> None:
    statistics = etree.SubElement(event, f"{_OP}lastPeriodStatistics")
    _add(statistics, "successfulRequestCount", found.successful)
    _add(statistics, "unsuccessfulRequestCount", found.unsuccessful)
    for prefix, suffix, values in (
        ("request", "Duration", found.durations),
        ("request", "Size", found.request_sizes),
        ("response", "Size", found.response_sizes),
    ):
        if not values:
            continue
        mean = sum(values) / len(values)
        deviation = (sum((v - mean) ** 2 for v in values) / len(values)) ** 0.5
        _add(statistics, f"{prefix}Min{suffix}", min(values))
        _add(statistics, f"{prefix}Average{suffix}", f"{mean:.3f}")
        _add(statistics, f"{prefix}Max{suffix}", max(values))
        _add(statistics, f"{prefix}{suffix}StdDev", f"{deviation:.3f}")


def _add_metric(parent: etree._Element, metric: Metric) -> None:
    value = metric.value
    if isinstance(value, tuple):
        child = etree.SubElement(parent, f"{_MET}metricSet")
        etree.SubElement(child, f"{_MET}name").text = metric.name
        for inner in value:
            _add_metric(child, inner)
        return
    if isinstance(value, Histogram):
        child = etree.SubElement(parent, f"{_MET}histogramMetric")
        etree.SubElement(child, f"{_MET}name").text = metric.name
        etree.SubElement(child, f"{_MET}updated").text = value.updated.isoformat()
        for name in ("min", "max", "mean", "median", "stddev"):
            etree.SubElement(child, f"{_MET}{name}").text = repr(float(getattr(value, name)))
        return
    kind = "stringMetric" if isinstance(value, str) else "numericMetric"
    child = etree.SubElement(parent, f"{_MET}{kind}")
    etree.SubElement(child, f"{_MET}name").text = metric.name
    etree.SubElement(child, f"{_MET}value").text = str(value)


def _request(envelope: bytes, name: str) -> etree._Element:
    body = body_element(envelope)
    if body.tag != f"{_OP}{name}":
        raise _wrong(f"the body is {body.tag}, not {_OP}{name}")
    return body


def _seconds(criteria: etree._Element, name: str) -> int:
    text = criteria.findtext(f"{_OP}{name}")
    if text is None:
        raise _wrong(f"searchCriteria lacks {name}")
    if _NUMBER.fullmatch(text.strip()) is None:
        raise _wrong(f"{name} is not a number of Unix seconds")
    return int(text)


def _client(criteria: etree._Element) -> ClientId | None:
    found = criteria.find(f"{_OP}client")
    if found is None:
        return None
    try:
        return parse_client_element(found)
    except BadMessage as fault:
        raise _wrong(f"the client in the criteria is malformed: {fault.detail}") from fault


def _add(parent: etree._Element, name: str, value: int | str) -> None:
    etree.SubElement(parent, f"{_OP}{name}").text = str(value)


def _wrong(detail: str) -> BadMessage:
    return BadMessage(Kind.INVALID_REQUEST, detail)
