"""Monitoring queries as X-Road's own tests expect them, over records that stand in for its test set-up."""

from __future__ import annotations

import asyncio
import collections
import gzip
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from gateway.clients.model import ServerConf
from gateway.exchange.ports import LocalAnswer, ServiceCall
from gateway.exchange.record import ExchangeRecord
from gateway.metaservices.monitoring import MonitoringServices
from gateway.monitoring.health import Health
from gateway.monitoring.records import build_record
from gateway.monitoring.store import RecordStore
from schemas import metadata, monitoring, rest, soap
from schemas.faults import Fault, Kind, Origin, PeerFault, WireFault
from schemas.globalconf.parts import render_monitoring_client
from schemas.globalconf.shared import SharedParameters, Source
from schemas.identifiers import ClientId, ServerId, parse_identifier
from schemas.message import MessageProtocol
from schemas.monitoring import Histogram, Metric
from schemas.multipart import MultipartParser, PartData, PartStart
from tests.paths import VECTORS
from tests.worlds import trusted

if TYPE_CHECKING:
    from pathlib import Path

OPMON = VECTORS / "opmonitoring"
CASES = {case["name"]: case for case in json.loads((OPMON / "cases.json").read_bytes())["cases"]}
FROM = 1479823179
NOW = FROM + 1000
PARAMS = {
    **{
        f"client_{n}": v for n, v in (("instance", "XX"), ("class", "GOV"), ("code", "C"), ("system", "SysC"))
    },
    **{
        f"producer_{n}": v
        for n, v in (("instance", "XX"), ("class", "GOV"), ("code", "P"), ("system", "SysP"))
    },
    **{
        f"producer2_{n}": v
        for n, v in (("instance", "XX"), ("class", "COM"), ("code", "P2"), ("system", "S2"))
    },
    "client_server_code": "SSC",
    "producer_server_code": "SSP",
    "producer2_server_code": "SSP2",
    "client_monitor_system": "Central monitoring client",
}
CLIENT = ClientId("XX", "GOV", "C", "SysC")
PRODUCER = ClientId("XX", "GOV", "P", "SysP")
PRODUCER_MEMBER = PRODUCER.member
OTHER = ClientId("XX", "GOV", "C", "Other")
MONITOR = ClientId("XX", "GOV", "C", "Central monitoring client")
ADDRESS = "10.0.0.1"
RESERVED = ("operational-data", "health-data", "system-operational-data", "system-health-data")


@dataclass
class Answered:
    """An answer taken apart."""

    answer: LocalAnswer

    @property
    def envelope(self) -> bytes:
        return self._parts[0] if self.is_multipart else self.answer.body

    @property
    def is_multipart(self) -> bool:
        return dict(self.answer.headers)["Content-Type"].startswith("multipart/related")

    @property
    def records(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(gzip.decompress(self._parts[1]))["records"]
        return found

    @property
    def next_from(self) -> str | None:
        return metadata.body_element(self.envelope).findtext(f"{{{monitoring.OP_NS}}}nextRecordsFrom")

    @property
    def _parts(self) -> list[bytes]:
        boundary = dict(self.answer.headers)["Content-Type"].partition("boundary=")[2]
        parts: list[bytes] = []
        for event in MultipartParser(boundary).feed(self.answer.body):
            if isinstance(event, PartStart):
                parts.append(b"")
            elif isinstance(event, PartData):
                parts[-1] += event.data
        return parts

    def health(self) -> list[tuple[str, int, int]]:
        found: list[tuple[str, int, int]] = []
        for event in metadata.body_element(self.envelope).iter(f"{{{monitoring.OP_NS}}}serviceEvents"):
            service = parse_identifier(event[0])
            first, second = (int(e.text or 0) for e in [*event[-1]][:2])
            found.append((service.path(), first, second))
        return found


def record(client: ClientId, provider: ClientId, code: str = "getRandom", **more: Any) -> dict[str, Any]:
    """A record as the store keeps it."""
    names = ("XRoadInstance", "MemberClass", "MemberCode", "SubsystemCode")
    made = {
        monitoring.INTERNAL_IP: ADDRESS,
        "securityServerType": "Producer",
        "requestInTs": FROM * 1000,
        "requestOutTs": FROM * 1000 + 5,
        "responseInTs": FROM * 1000 + 15,
        "responseOutTs": (FROM + 900) * 1000,
        "serviceCode": code,
        "serviceVersion": "v2",
        "succeeded": True,
        "requestSize": 100,
    }
    made |= {f"client{n}": p for n, p in zip(names, client.components, strict=False)}
    made |= {f"service{n}": p for n, p in zip(names, provider.components, strict=False)}
    return {**made, **more}


RECORDS = (
    record(CLIENT, PRODUCER),
    record(CLIENT, PRODUCER_MEMBER),
    record(OTHER, PRODUCER),
    record(OTHER, PRODUCER_MEMBER),
    record(PRODUCER_MEMBER, OTHER),
)


def monitor(
    folder: Path, owner: ClientId, records: tuple[dict[str, Any], ...] = RECORDS
) -> MonitoringServices:
    clock = [datetime.fromtimestamp(FROM, UTC)]
    store = RecordStore(folder / "opmonitoring.sqlite", lambda: clock[0])
    health = Health()
    for made in records:
        store.add(made)
        health.add(made)
    store.write()
    clock[0] = datetime.fromtimestamp(NOW, UTC)
    shared = SharedParameters(owner.instance, sources=(Source("cs", (b"certificate",)),))
    configuration = trusted(shared, clock[0], monitoring=render_monitoring_client(MONITOR))
    return MonitoringServices(
        lambda: ServerConf(owner.server("SS")),
        lambda: configuration,
        store,
        health,
        lambda: (),
        lambda: clock[0],
        datetime.fromtimestamp(FROM - 10, UTC),
    )


def ask_raw(folder: Path, raw: bytes, records: tuple[dict[str, Any], ...] = RECORDS) -> Answered:
    message = soap.parse_message(raw).to_message("r1", is_response=False)
    found = monitor(folder, message.service.client.member, records).find(
        message.service, MessageProtocol.SOAP
    )
    assert found is not None
    return Answered(asyncio.run(found.answer(ServiceCall(message, "POST", "", ()))))


def ask(folder: Path, name: str, begin: object = FROM, end: object = FROM + 500) -> Answered:
    text = (VECTORS / CASES[name]["file"]).read_text(encoding="utf-8")
    filled = text.format(
        message_id_placeholder="m1",
        records_from_placeholder=begin,
        records_to_placeholder=end,
        params=collections.defaultdict(str, PARAMS),
    )
    return ask_raw(folder, filled.encode())


def parties(found: Answered) -> set[tuple[str, str]]:
    return {(r["clientSubsystemCode"] if "clientSubsystemCode" in r else r["clientMemberCode"],
             r["serviceSubsystemCode"] if "serviceSubsystemCode" in r else r["serviceMemberCode"])
            for r in found.records}  # fmt: skip


TIMES: dict[str, tuple[object, object]] = {
    "times-reversed": (FROM, FROM - 10),
    "from-in-future": (2479823179, 2479823189),
    "from-not-a-number": ("abc", FROM + 10),
    "to-too-large": (FROM, "9" * 30),
    "from-negative": (-1479823185, FROM),
}
FAULTS = (
    *TIMES,
    "output-spec-faulty",
    "missing-from",
    "missing-to",
    "empty-criteria",
    "missing-criteria",
    "invalid-filter",
    "health-invalid-client",
)


@pytest.mark.parametrize("name", FAULTS)
def test_a_query_that_cannot_be_is_a_fault_of_the_client(name: str, tmp_path: Path) -> None:
    assert CASES[name]["expect"]["outcome"] == "error"
    begin, end = TIMES.get(name, (FROM, FROM + 500))
    with pytest.raises(Fault) as found:
        ask(tmp_path, name, begin, end)
    assert (found.value.kind, found.value.origin) == (Kind.INVALID_REQUEST, Origin.CLIENT)


EVERYTHING = {("SysC", "SysP"), ("SysC", "P"), ("Other", "SysP"), ("Other", "P"), ("P", "Other")}
VISIBLE = {
    "owner-sees-all": EVERYTHING,
    "monitoring-client-sees-all": EVERYTHING,
    "owner-filtered": {("SysC", "P"), ("Other", "P")},
    "monitoring-client-filtered": {
        ("SysC", "SysP"),
        ("Other", "SysP"),
    },  # by a subsystem, the others by its member
    "client-sees-own": {("SysC", "SysP"), ("SysC", "P")},
    "other-owner-sees-own": {("SysC", "P"), ("Other", "P"), ("P", "Other")},
    "client-filtered": {("SysC", "P")},
    "other-owner-filtered": {("SysC", "P"), ("Other", "P")},
    "unknown-member": set(),
    "unknown-subsystem": set(),
}
ALL_SEEING = ("owner-sees-all", "monitoring-client-sees-all", "owner-filtered", "monitoring-client-filtered")


@pytest.mark.parametrize("name", sorted(VISIBLE))
@pytest.mark.xroad("F116", "F121")
def test_each_asker_sees_its_records_and_no_more(name: str, tmp_path: Path) -> None:
    found = ask(tmp_path, name)
    assert parties(found) == VISIBLE[name]
    assert all((monitoring.INTERNAL_IP in r) == (name in ALL_SEEING) for r in found.records)


@pytest.mark.xroad("F116")
def test_only_the_fields_asked_for_are_told(tmp_path: Path) -> None:
    found = ask(tmp_path, "output-spec")
    wanted = {"clientMemberCode", "clientMemberClass", "serviceCode", "serviceVersion"}
    assert {frozenset(r) for r in found.records} == {frozenset(wanted)}


def test_an_empty_specification_asks_for_every_field(tmp_path: Path) -> None:
    found = ask(tmp_path, "output-spec-empty").records
    assert found
    assert all({"serviceCode", "requestInTs", "monitoringDataTs"} <= set(r) for r in found)
    assert all(monitoring.INTERNAL_IP not in r for r in found)


def test_a_field_that_no_record_has_leaves_empty_records(tmp_path: Path) -> None:
    found = ask(tmp_path, "output-spec-fault-code").records
    assert found
    assert all(r == {} for r in found)


def test_a_time_that_is_not_over_is_cut_and_told(tmp_path: Path) -> None:
    found = ask(tmp_path, "to-in-future", FROM, NOW + 10)
    assert found.next_from == str(NOW - 60)


def test_records_are_an_attachment_by_its_id(tmp_path: Path) -> None:
    raw = (VECTORS / CASES["operational-data"]["file"]).read_bytes()
    raw = raw.replace(b"1477468193", str(FROM).encode()).replace(b"1477468205", str(FROM + 9).encode())
    found = ask_raw(tmp_path, raw)
    assert found.is_multipart
    records = metadata.body_element(found.envelope).findtext(f"{{{monitoring.OP_NS}}}records")
    assert records == "cid:operational-monitoring-data.json.gz"
    assert b"\r\ncontent-id: <operational-monitoring-data.json.gz>" in found.answer.body


@pytest.mark.parametrize("name", ["system-operational-data", "system-health-data"])
def test_the_owner_asks_for_its_own_data(name: str, tmp_path: Path) -> None:
    raw = (VECTORS / CASES[name]["file"]).read_bytes()
    if name == "system-operational-data":
        assert ask_raw(tmp_path, raw).is_multipart
        return
    filtered = monitoring.parse_health_query(raw)
    assert filtered is not None
    records = (record(CLIENT, filtered), *RECORDS)
    assert ask_raw(tmp_path, raw, records).health() == [(f"{filtered.path()}/getRandom/v2", 1, 0)]


@pytest.mark.xroad("F117")
def test_health_tells_the_services_of_the_client_asked_for(tmp_path: Path) -> None:
    raw = (VECTORS / CASES["health-data"]["file"]).read_bytes()
    asked, other = (
        ClientId("XTEE-CI-XM", "GOV", "00000001", "System1"),
        ClientId("XTEE-CI-XM", "GOV", "00000002"),
    )
    records = [
        record(CLIENT, provider, code, succeeded=number % 2 == 0)
        for provider, code in (
            (asked, "xroad/GetRandom"),
            (asked, "xroad/SmallAttachment"),
            (other, "xroad/GetRandom"),
        )
        for number in range(10)
    ]
    found = ask_raw(tmp_path, raw, tuple(records))
    assert found.health() == [
        ("XTEE-CI-XM/GOV/00000001/System1/xroad/GetRandom/v2", 5, 5),
        ("XTEE-CI-XM/GOV/00000001/System1/xroad/SmallAttachment/v2", 5, 5),
    ]
    started = metadata.body_element(found.envelope).findtext(
        f"{{{monitoring.OP_NS}}}monitoringStartupTimestamp"
    )
    assert started == str((FROM - 10) * 1000)


def test_health_of_an_unknown_client_is_empty_and_without_a_filter_whole(tmp_path: Path) -> None:
    assert ask(tmp_path / "a", "health-unknown-client").health() == []
    assert len(ask(tmp_path / "b", "health-no-filter").health()) == 3


FAILED = {
    "record-of-unknown-service": (
        Fault(Kind.UNKNOWN_SERVICE, "no such service"),
        "server.serverproxy.unknown_service",
    ),
    "record-of-unknown-member": (
        Fault(Kind.UNKNOWN_MEMBER, "no such client"),
        "server.clientproxy.unknown_member",
    ),
    "record-of-service-fault": (
        PeerFault(WireFault("Mock.Fault", "Response was not found"), b""),
        "Mock.Fault",
    ),
}


@pytest.mark.parametrize("name", sorted(FAILED))
def test_a_failed_call_leaves_a_failed_record_with_its_code(name: str) -> None:
    fault, code = FAILED[name]
    if not isinstance(fault, PeerFault):
        fault.origin = Origin.CLIENT_PROXY if "clientproxy" in code else Origin.SERVER_PROXY
    text = (VECTORS / CASES[name]["file"]).read_text(encoding="utf-8")
    raw = text.format(message_id_placeholder="m1", params=collections.defaultdict(str, PARAMS)).encode()
    exchange = ExchangeRecord("Producer", datetime.fromtimestamp(NOW, UTC))
    exchange.message(soap.parse_message(raw).to_message("r1", is_response=False))
    exchange.finish(datetime.fromtimestamp(NOW, UTC), fault)
    built = build_record(exchange, ServerConf(ServerId("XX", "GOV", "P", "SSP")), None, ADDRESS)
    assert (built["succeeded"], built["faultCode"], built["messageId"]) == (False, code, "m1")
    assert built["faultString"] == fault.detail


@pytest.mark.xroad("F120")
def test_metrics_are_told_to_the_owner_and_nobody_else(tmp_path: Path) -> None:
    updated = datetime.fromtimestamp(NOW, UTC)
    histogram = Metric("h", Histogram(updated, 0.125, 500.143, 1.0, 1.0, 0.5))
    raw = (VECTORS / "metaservices" / "getMetrics.query").read_bytes()
    message = soap.parse_message(raw).to_message("r1", is_response=False)
    of = monitor(tmp_path, ClientId("EE", "BUSINESS", "producer"))
    telling = MonitoringServices(
        lambda: ServerConf(ServerId("EE", "BUSINESS", "producer", "ownerServer")),
        of.configuration,
        of.records,
        of.health,
        lambda: (Metric("proxyVersion", "1"), Metric("someMetricSet", (histogram,))),
        of.now,
        of.started,
    )
    found = telling.find(message.service, MessageProtocol.SOAP)
    assert found is not None
    answer = asyncio.run(found.answer(ServiceCall(message, "POST", "", ())))
    root = metadata.body_element(answer.body)[0]
    assert root[0].text == "SERVER:EE/BUSINESS/producer/ownerServer"
    assert [e[0].text for e in [*root][1:]] == ["proxyVersion", "someMetricSet"]
    values = {e.tag.rpartition("}")[2]: e.text for e in root.iter() if e.text}
    assert (float(values["min"] or 0), float(values["max"] or 0)) == (0.125, 500.143)
    stranger = raw.replace(b"<id:memberCode>producer", b"<id:memberCode>consumer", 1)
    asked = soap.parse_message(stranger).to_message("r1", is_response=False)
    with pytest.raises(Fault) as refused:
        asyncio.run(found.answer(ServiceCall(asked, "POST", "", ())))
    assert refused.value.kind is Kind.ACCESS_DENIED


def test_every_case_is_judged_somewhere() -> None:
    others = {
        "output-spec",
        "output-spec-empty",
        "output-spec-fault-code",
        "to-in-future",
        "health-unknown-client",
        "health-no-filter",
    }
    assert {*FAULTS, *VISIBLE, *FAILED, *RESERVED, *others} == CASES.keys()


@pytest.mark.xroad("F115")
@pytest.mark.parametrize(
    ("target", "path"), [("/pets/1?x=1", "/pets/1"), ("/a%2Fb/", "/a%2Fb/"), ("", "/"), ("?q", "/")]
)
def test_a_rest_record_has_its_method_and_the_path_without_its_query(target: str, path: str) -> None:
    request = rest.build_request(
        "DELETE",
        f"/r1/XX/GOV/P/SysP/pets{target}",
        [("X-Road-Client", CLIENT.path())],
        instance="XX",
        new_id=lambda: "m1",
    )
    exchange = ExchangeRecord("Producer", datetime.fromtimestamp(NOW, UTC))
    exchange.message(request.to_message())
    exchange.finish(datetime.fromtimestamp(NOW, UTC), None)
    built = build_record(exchange, ServerConf(ServerId("XX", "GOV", "P", "SSP")), None, ADDRESS)
    assert (built["restMethod"], built["restPath"]) == ("DELETE", path)
