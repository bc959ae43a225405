"""The spans of an exchange for OpenTelemetry, derived from its operational record. Pure; no message content goes in.

Nothing is added to the wire. An exchange's trace is the one that the consumer's system named in a ``traceparent`` header
(W3C Trace Context; part of the signed message, so both gateways read the same), or else the exchange's own ``x-road-request-id``,
a UUID of as many bits as a trace id. The span ids of both gateways come from that id by SHA-256, so each side knows the
other's without being told. An unsampled ``traceparent`` (flag 00) is respected: no spans.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from typing import TYPE_CHECKING

import msgspec

from gateway.monitoring.records import PRODUCER, party_path
from schemas.message import Message, MessageProtocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.exchange.record import ExchangeRecord
    from schemas.monitoring import Value

_TRACEPARENT = re.compile(
    rb"(?i)\r\ntraceparent:[ \t]*([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-[^\r]*)?\r\n"
)
_NANOSECONDS = 1_000_000


class TraceSpan(msgspec.Struct, frozen=True):
    """One span: ids as OpenTelemetry's integers (128 and 64 bits), times in nanoseconds since 1970."""

    trace_id: int
    span_id: int
    parent_id: int | None
    name: str
    is_server: bool
    start_ns: int
    end_ns: int
    failed: str | None
    attributes: Mapping[str, Value]


def build_spans(record: ExchangeRecord, fields: Mapping[str, Value]) -> tuple[TraceSpan, ...]:
    """The span of one side of an exchange and, where the request went on, the span of the call inside it.

    ``fields`` is the operational record of `gateway.monitoring.records.build_record`. Empty for a request that was
    refused before its ids were known and for one whose caller does not sample it.
    """
    head = record.head
    context = _trace_context(
        head.raw if isinstance(head, Message) and head.protocol is not MessageProtocol.SOAP else b""
    )
    if head is None or context is None:
        return ()
    trace_id, caller = context
    exchange = head.request_id
    trace_id = trace_id or _uuid_bits(exchange)
    is_producer = fields["securityServerType"] == PRODUCER
    sides = ("provider", "provider call") if is_producer else ("consumer", "consumer call")
    own = _span_id(exchange, sides[0])
    parent = _span_id(exchange, "consumer call") if is_producer else caller
    failed = str(fields.get("faultCode", "")) if not fields.get("succeeded") else None
    name = f"{sides[0]} {head.service.path()}"
    start, end = _span_times(fields, "requestInTs", "responseOutTs")
    spans = [TraceSpan(trace_id, own, parent, name, True, start, end, failed, _attributes(fields))]
    if "requestOutTs" in fields:
        start, end = _span_times(
            fields, "requestOutTs", "responseInTs" if "responseInTs" in fields else "responseOutTs"
        )
        spans.append(
            TraceSpan(trace_id, _span_id(exchange, sides[1]), own, sides[1], False, start, end, failed, {})
        )
    return tuple(spans)


def _trace_context(raw: bytes) -> tuple[int | None, int | None] | None:
    """Trace and span named by the caller, both None where it named none; None where it does not sample."""
    found = _TRACEPARENT.search(raw.partition(b"\r\n\r\n")[0] + b"\r\n")
    if found is None or found[1] == b"ff" or not int(found[2], 16) or not int(found[3], 16):
        return None, None
    return (int(found[2], 16), int(found[3], 16)) if int(found[4], 16) & 1 else None


def _uuid_bits(text: str) -> int:
    try:
        bits = uuid.UUID(text).int
    except ValueError:  # another implementation's id: any text
        bits = 0
    # An id of zeros is no trace id (W3C Trace Context 3.2.2.3), whoever chose it.
    return bits or int.from_bytes(hashlib.sha256(text.encode()).digest()[:16])


def _span_id(exchange: str, side: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{exchange} {side}".encode()).digest()[:8]) or 1


def _span_times(fields: Mapping[str, Value], begin: str, end: str) -> tuple[int, int]:
    first, last = int(fields[begin]), int(fields[end])
    return first * _NANOSECONDS, max(first, last) * _NANOSECONDS


def _attributes(fields: Mapping[str, Value]) -> dict[str, Value]:
    """Who, what and how it ended, under the names of OpenTelemetry's conventions where they have one."""
    named: dict[str, Value] = {f"xroad.{party}": party_path(fields, party) for party in ("client", "service")}
    for key, name in (
        ("serviceCode", "xroad.service_code"),
        ("messageId", "xroad.message_id"),
        ("xRequestId", "xroad.request_id"),
        ("statusCode", "http.response.status_code"),
        ("restMethod", "http.request.method"),
        ("requestSize", "http.request.size"),
        ("responseSize", "http.response.size"),
        ("faultCode", "error.type"),
    ):
        if key in fields:
            named[name] = fields[key]
    return named
