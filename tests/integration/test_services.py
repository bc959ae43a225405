"""A provider that describes itself: registered by the commands of docs/services.md, called, described to others."""

from __future__ import annotations

import json
import sqlite3
import ssl
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from benchmarks.described import NAMESPACE
from gateway.cli.main import main
from gateway.clients.descriptions.openapi import load_document
from schemas import metadata, monitoring, soap
from schemas.identifiers import ClientId, ServiceId, parse_identifier
from schemas.soapenvelope import XROAD_NS
from tests.integration.conftest import CONSUMER, PROVIDER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.federation import Federation

pytestmark = pytest.mark.processes
AFIL = ClientId("MX", "GOB", "15-ISSEMYM", "AFIL")
INDICE = ClientId("MX", "GOB", "00-RNSS", "INDICE")
PORT = 9100


def gateway(federation: Federation, *arguments: str, code: int = 0) -> str:
    """A command at the provider's gateway."""
    group, command, *rest = arguments
    result = CliRunner().invoke(main, [group, command, "--data", str(federation.data(PROVIDER)), *rest])
    assert result.exit_code == code, result.output
    return result.output


def get(
    path: str, headers: dict[str, str] | None = None, body: bytes | None = None
) -> tuple[int, str, bytes]:
    request = urllib.request.Request(
        f"http://{CONSUMER.address}:8080{path}",
        data=body,
        headers={"X-Road-Client": AFIL.path(), **(headers or {})},
    )
    try:
        with urllib.request.urlopen(request, timeout=90) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read()
    except urllib.error.HTTPError as err:
        return err.code, err.headers["Content-Type"], err.read()


def ask_soap(code: str, body: str, version: str | None = None) -> tuple[str, bytes]:
    raw = soap.render_request(AFIL, ServiceId(INDICE, code, version), "q1", body)
    _, content_type, answer = get("/", {"Content-Type": "text/xml; charset=UTF-8"}, raw)
    return content_type, answer


def add_numbers() -> bytes:
    body = f'<t:sum xmlns:t="{NAMESPACE}"><t:a>20</t:a><t:b>22</t:b></t:sum>'
    return ask_soap("sum", body, "v1")[1]


@pytest.fixture(scope="module")
def provider(federation: Federation) -> Iterator[str]:
    """The provider, registered from its two descriptions, on and open to one client."""
    base = f"http://{PROVIDER.address}:{PORT}"
    process = federation.start(
        "described", "benchmarks.described", "--host", PROVIDER.address, "--port", str(PORT)
    )
    federation.wait_for(f"{base}/people.json")
    client = ("--client", INDICE.path())
    gateway(federation, "service", "add", *client, "--type", "WSDL", "--url", f"{base}/sum.wsdl")
    gateway(
        federation,
        "service",
        "add",
        *client,
        "--type",
        "OPENAPI3",
        "--url",
        f"{base}/people.json",
        "--code",
        "people",
    )
    for code in ("sum", "people"):
        gateway(federation, "service", "allow", *client, code, AFIL.path())
    for line in gateway(federation, "service", "list").splitlines():
        if f"{base}/sum.wsdl" in line or f"{base}/people.json" in line:
            gateway(federation, "service", "enable", line.split()[0])
    _until(lambda: b"<t:result>42<" in add_numbers())
    _until(lambda: get(f"/r1/{INDICE.path()}/people/people/7")[0] == 200)
    yield base
    process.terminate()
    process.wait(60)


@pytest.mark.usefixtures("provider")
class TestDescribedServices:
    def test_both_services_answer(self) -> None:
        assert b"<t:result>42</t:result>" in add_numbers()
        status, _, body = get(f"/r1/{INDICE.path()}/people/people/7")
        assert (status, json.loads(body)) == (200, {"id": 7, "name": "Persona 7"})

    def test_clients_are_listed_in_both_languages(self) -> None:
        status, content_type, body = get("/listClients")
        assert (status, content_type) == (200, "text/xml; charset=UTF-8")
        assert AFIL in {c.id for c in metadata.parse_clients_xml(body)}
        status, content_type, body = get(
            "/listClients?xRoadInstance=MX", {"Accept": "text/xml, application/json;q=0.1"}
        )
        assert content_type == "application/json; charset=utf-8"
        assert AFIL in {c.id for c in metadata.parse_clients_json(body)}
        assert get("/r1/listClients")[2] == body

    def test_an_unknown_instance_is_the_callers_mistake(self) -> None:
        status, _, body = get("/listClients?xRoadInstance=XX")
        assert status == 400
        assert b"known: MX" in body

    @pytest.mark.xroad("F090")
    def test_rest_services_are_listed_and_described(self) -> None:
        _, _, body = get(f"/r1/{INDICE.path()}/listMethods")
        found = {s.id.service_code: s for s in metadata.parse_services_json(body)}
        assert found["people"].endpoints == (("POST", "/people"), ("GET", "/people/*"))
        _, _, body = get(f"/r1/{INDICE.path()}/allowedMethods")
        assert "people" in {s.id.service_code for s in metadata.parse_services_json(body)}
        status, content_type, body = get(f"/r1/{INDICE.path()}/getOpenAPI?serviceCode=people")
        assert (status, content_type.partition(";")[0]) == (200, "application/json")
        assert load_document(body)["servers"] == [{"url": "/rest"}]

    @pytest.mark.xroad("F089")
    def test_soap_services_are_listed_and_described(self) -> None:
        for code in (metadata.LIST_METHODS, metadata.ALLOWED_METHODS):
            _, body = ask_soap(code, f'<x:{code} xmlns:x="{XROAD_NS}"/>')
            assert ServiceId(INDICE, "sum", "v1") in metadata.parse_services_body(body)
        content_type, body = ask_soap(metadata.GET_WSDL, metadata.render_get_wsdl_body("sum", "v1"))
        assert content_type.startswith("multipart/related")
        assert b"http://example.org/xroad-endpoint" in body
        assert PROVIDER.address.encode() not in body

    def test_an_unknown_description_is_a_fault(self) -> None:
        _, body = ask_soap(metadata.GET_WSDL, metadata.render_get_wsdl_body("nothing", None))
        parsed = soap.parse_envelope(body)
        assert isinstance(parsed, soap.SoapFault)
        assert parsed.wire.code == "server.serverproxy.unknown_service"


@pytest.mark.xroad("F075")
def test_a_refresh_shows_the_difference_before_it_makes_it(federation: Federation, provider: str) -> None:
    listed = gateway(federation, "service", "list").splitlines()
    number = next(line.split()[0] for line in listed if f"{provider}/people.json" in line)
    federation.processes["described"].terminate()
    federation.processes["described"].wait(60)
    federation.start(
        "described", "benchmarks.described", "--host", PROVIDER.address, "--port", str(PORT), "--edition", "2"
    )
    federation.wait_for(f"{provider}/people.json")
    shown = gateway(federation, "service", "refresh", number, code=3)
    assert "adding_endpoints: DELETE /people/*" in shown
    gateway(federation, "service", "refresh", number, "--ignore-warnings")
    _until(lambda: b"DELETE" in get(f"/r1/{INDICE.path()}/listMethods")[2])


@pytest.mark.xroad("F079")
def test_a_disabled_service_tells_callers_why(federation: Federation, provider: str) -> None:
    listed = gateway(federation, "service", "list").splitlines()
    number = next(line.split()[0] for line in listed if f"{provider}/sum.wsdl" in line)
    gateway(federation, "service", "disable", number, "--notice", "hasta el lunes")
    _until(lambda: b"hasta el lunes" in add_numbers())
    gateway(federation, "service", "enable", number)
    _until(lambda: b"<t:result>42<" in add_numbers())


def _until(good: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 90
    while not good():
        assert time.monotonic() < deadline, "it did not come about within 90 s"
        time.sleep(0.1)


def test_checked_messages_are_refused_on_the_side_that_made_them(
    federation: Federation, provider: str
) -> None:
    client = ("--client", INDICE.path())
    gateway(federation, "service", "set", *client, "people", "--validation", "REFUSE")
    gateway(
        federation,
        "service",
        "set",
        *client,
        "sum.v1",
        "--validation",
        "REFUSE",
        "--url",
        f"{provider}/soap?bad=1",
    )
    path = f"/r1/{INDICE.path()}/people/people"
    _until(lambda: get(f"{path}/letters")[0] == 400)
    assert get(f"{path}/7")[0] == 200
    status, _, body = get(f"{path}/13")
    assert (status, json.loads(body)["type"]) == (500, "server.serverproxy.invalid_body")
    _until(lambda: b"server.serverproxy.service_failed.invalid_body" in add_numbers())
    _, body = ask_soap("sum", f'<t:sum xmlns:t="{NAMESPACE}"><t:a>many</t:a></t:sum>', "v1")
    assert b"client.invalid_request" in body
    for code in ("people", "sum.v1"):
        gateway(
            federation,
            "service",
            "set",
            *client,
            code,
            "--validation",
            "OFF",
            "--url",
            f"{provider}/{'rest' if code == 'people' else 'soap'}",
        )


def _shown(address: str) -> bytes:
    return ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate((address, 8443)))


@pytest.mark.xroad("F056")
def test_systems_are_shown_the_internal_certificate_and_another_at_once(
    federation: Federation, tmp_path: Path
) -> None:
    out = tmp_path / "cert.tar.gz"

    def exported() -> bytes:
        gateway(federation, "tls", "export", "--out", str(out))
        with tarfile.open(out) as archive:
            found = archive.extractfile("cert.cer")
            assert found is not None
            return found.read()

    before = exported()
    assert _shown(PROVIDER.address) == before
    pin = str(federation.folder / "pin")
    gateway(federation, "tls", "make", "--pin-file", pin, "--address", PROVIDER.address)
    after = exported()
    assert after != before
    _until(lambda: _shown(PROVIDER.address) == after)


@pytest.mark.xroad("F115", "F116", "F117")
def test_records_and_health_of_exchanges_are_told_over_the_exchange(
    federation: Federation, provider: str
) -> None:
    assert b"<t:result>42<" in add_numbers()
    member = INDICE.member
    body = f'<om:{monitoring.HEALTH_DATA} xmlns:om="{monitoring.OP_NS}"/>'
    raw = soap.render_request(AFIL, ServiceId(member, monitoring.HEALTH_DATA), "q1", body)
    _, _, answer = get("/", {"Content-Type": "text/xml; charset=UTF-8"}, raw)
    services = {
        parse_identifier(event[0]).path(): event
        for event in metadata.body_element(answer).iter(f"{{{monitoring.OP_NS}}}serviceEvents")
    }
    assert f"{INDICE.path()}/sum/v1" in services
    metrics = soap.render_request(
        AFIL,
        ServiceId(member, monitoring.METRICS),
        "q2",
        f'<m:{monitoring.METRICS} xmlns:m="{monitoring.METRICS_NS}"/>',
    )
    _, _, refused = get("/", {"Content-Type": "text/xml; charset=UTF-8"}, metrics)
    assert b"server.serverproxy.access_denied" in refused
    with sqlite3.connect(federation.data(PROVIDER) / "log" / "opmonitoring.sqlite") as database:

        def kept() -> list[dict[str, object]]:
            return [json.loads(fields) for (fields,) in database.execute("SELECT fields FROM record")]

        _until(lambda: any(r.get("serviceCode") == "sum" and r["succeeded"] for r in kept()))
        record = next(r for r in kept() if r.get("serviceCode") == "sum" and r["succeeded"])
    assert (record["serviceType"], record["securityServerType"]) == ("WSDL", "Producer")
    assert record["clientSecurityServerAddress"] == CONSUMER.address
    assert b"<t:a>20" not in json.dumps(record).encode()
