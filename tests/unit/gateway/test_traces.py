"""Traces: one tree over both gateways, without a word on the wire."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from gateway.clients.model import ServerConf
from gateway.edges.traceexport import BUFFER_LENGTH, TraceExporter
from gateway.exchange.record import ExchangeRecord
from gateway.monitoring.records import build_record
from gateway.monitoring.traces import TraceSpan, build_spans
from schemas.faults import BadMessage, Fault, Kind
from schemas.identifiers import ClientId, ServerId, ServiceId
from schemas.message import Message, MessageProtocol, digest_of
from tests.collector import TraceCollector

SERVER = ServerId("MX", "GOB", "15-ISSEMYM", "SS1")
AT = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
CLIENT = ClientId("MX", "GOB", "15-ISSEMYM", "AFILIADOS")
SERVICE = ServiceId(ClientId("MX", "GOB", "00-RNSS", "PERSONAS"), "personas", "v1")
TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def message(header: str = "", request_id: str = "1281e2bf-55c4-41c1-b263-3bf4eacfaac1") -> Message:
    raw = f"GET\r\n/r1/MX/GOB/00-RNSS/PERSONAS/personas/1\r\nX-Road-Client:MX/GOB/15-ISSEMYM/AFILIADOS\r\n{header}\r\n".encode()
    return Message(MessageProtocol.REST, False, raw, digest_of(raw), CLIENT, SERVICE, "m-1", request_id)


def spans_of(side: str, sent: Message, fault: Fault | None = None) -> tuple[TraceSpan, ...]:
    record = ExchangeRecord(side, AT)
    record.message(sent)
    record.request_out(AT + timedelta(milliseconds=2))
    if fault is None:
        record.response_in(AT + timedelta(milliseconds=7), 200)
    record.finish(AT + timedelta(milliseconds=9), fault)
    return build_spans(record, build_record(record, ServerConf(SERVER), None, "10.0.0.1"))


def test_both_gateways_make_one_tree_of_an_exchange() -> None:
    sent = message()
    consumer, consumer_call = spans_of("Client", sent)
    provider, provider_call = spans_of("Producer", sent)
    assert {s.trace_id for s in (consumer, consumer_call, provider, provider_call)} == {
        uuid.UUID(sent.request_id).int
    }
    assert (consumer.parent_id, consumer_call.parent_id) == (None, consumer.span_id)
    assert (provider.parent_id, provider_call.parent_id) == (consumer_call.span_id, provider.span_id)
    assert len({consumer.span_id, consumer_call.span_id, provider.span_id, provider_call.span_id}) == 4
    assert (consumer.end_ns - consumer.start_ns, consumer_call.end_ns - consumer_call.start_ns) == (
        9_000_000,
        5_000_000,
    )
    assert consumer.attributes["xroad.service"] == "MX/GOB/00-RNSS/PERSONAS"


def test_a_trace_that_the_consumer_s_system_began_goes_on() -> None:
    sent = message(f"Traceparent: 00-{TRACE}-{CALLER}-01\r\n")
    (consumer, _), (provider, _) = spans_of("Client", sent), spans_of("Producer", sent)
    assert consumer.trace_id == provider.trace_id == int(TRACE, 16)
    assert consumer.parent_id == int(CALLER, 16)


def test_what_the_caller_does_not_sample_is_not_traced() -> None:
    assert spans_of("Client", message(f"traceparent:00-{TRACE}-{CALLER}-00\r\n")) == ()


@pytest.mark.parametrize(
    "value",
    [
        f"ff-{TRACE}-{CALLER}-01",
        f"00-{'0' * 32}-{CALLER}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        "x",
        f"00-{TRACE}-01",
    ],
)
def test_a_trace_that_is_none_is_not_believed(value: str) -> None:
    consumer, _ = spans_of("Client", message(f"traceparent:{value}\r\n"))
    assert consumer.trace_id == uuid.UUID(message().request_id).int
    assert consumer.parent_id is None


@pytest.mark.parametrize("request_id", ["Q-1", "", "00000000-0000-0000-0000-000000000000", "ñ" * 300])
def test_ids_that_are_no_uuid_make_a_trace_and_no_words_of_a_body_do(request_id: str) -> None:
    sent = message(request_id=request_id)
    sent = msgspec.structs.replace(
        sent, raw=sent.raw + f"\r\ntraceparent: 00-{TRACE}-{CALLER}-01\r\n".encode()
    )
    (consumer, _), (provider, _) = spans_of("Client", sent), spans_of("Producer", sent)
    assert consumer.trace_id == provider.trace_id not in (0, int(TRACE, 16))


def test_a_request_that_was_refused_early_or_failed_says_so() -> None:
    record = ExchangeRecord("Client", AT)
    fields = record.finish(AT, BadMessage(Kind.INVALID_REQUEST, "no such target"))
    assert build_spans(record, fields) == ()
    consumer, call = spans_of("Client", message(), BadMessage(Kind.NETWORK_ERROR, "refused"))
    assert consumer.failed == call.failed
    assert "network_error" in str(consumer.failed)
    assert call.end_ns == consumer.end_ns


async def test_spans_arrive_at_a_collector_and_wait_for_one_that_refuses() -> None:
    with TraceCollector() as collector:
        exporter = TraceExporter(lambda: collector.url, SERVER.path())
        exporter.add(spans_of("Client", message()))
        collector.refuses = True
        with pytest.raises(Fault, match="did not take 2 spans"):
            await exporter.round()
        collector.refuses = False
        exporter.add(spans_of("Producer", message(), BadMessage(Kind.NETWORK_ERROR, "refused")))
        await exporter.round()
        await exporter.round()
    assert collector.refused
    assert collector.instances == {SERVER.path()}
    assert [s.status.code for s in collector.spans] == [1, 1, 2, 2]
    assert {s.trace_id for s in collector.spans} == {uuid.UUID(message().request_id).bytes}
    by_id = {s.span_id: s for s in collector.spans}
    assert [by_id[s.parent_span_id].name for s in collector.spans if s.parent_span_id] == [
        f"consumer {SERVICE.path()}",
        "consumer call",
        f"provider {SERVICE.path()}",
    ]


async def test_nothing_is_sent_while_no_collector_is_set_and_the_buffer_has_an_end() -> None:
    url = ""
    with TraceCollector() as collector:
        exporter = TraceExporter(lambda: url, SERVER.path())
        assert not exporter.is_on
        exporter.add(spans_of("Client", message()))
        await exporter.round()
        url = collector.url
        await exporter.round()
        assert collector.spans == []
        span, _ = spans_of("Client", message())
        exporter.add([span] * (BUFFER_LENGTH + 3))
        await exporter.round()
        assert len(collector.spans) == BUFFER_LENGTH
