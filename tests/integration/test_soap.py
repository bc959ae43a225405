"""SOAP through two real gateways: envelopes and attachments come back proved, and their evidence verifies."""

from __future__ import annotations

import http.client
import io
import sqlite3
import urllib.request
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from gateway.cli.container import container
from schemas import soap
from schemas.identifiers import ClientId, ServiceId
from schemas.message import digest_of
from schemas.multipart import parse_content_type
from tests.integration.conftest import CONSUMER, PROVIDER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.federation import Federation

pytestmark = pytest.mark.processes
AFIL = ClientId("MX", "GOB", "15-ISSEMYM", "AFIL")
INDICE = ClientId("MX", "GOB", "00-RNSS", "INDICE")
BOUNDARY = "consumer-boundary"


def envelope(code: str, message_id: str, client: ClientId = AFIL) -> bytes:
    return soap.render_request(client, ServiceId(INDICE, code), message_id, f'<t:{code} xmlns:t="urn:t"/>')


def post(body: bytes, content_type: str = "text/xml; charset=UTF-8") -> tuple[int, str, bytes]:
    request = urllib.request.Request(
        f"http://{CONSUMER.address}:8080/", data=body, headers={"Content-Type": content_type}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.status, answer.headers["Content-Type"], answer.read()


def multipart(body: bytes, *attachments: bytes) -> bytes:
    parts = [b"Content-Type: text/xml; charset=UTF-8\r\n\r\n" + body]
    parts += [b"Content-Type: application/octet-stream\r\n\r\n" + a for a in attachments]
    dash = f"--{BOUNDARY}".encode()
    return b"".join(dash + b"\r\n" + p + b"\r\n" for p in parts) + dash + b"--\r\n"


def fault_code(body: bytes) -> str:
    parsed = soap.parse_envelope(body)
    assert isinstance(parsed, soap.SoapFault), body
    return parsed.wire.code


@pytest.mark.usefixtures("federation")
class TestSoap:
    def test_an_envelope_is_answered_over_its_own_hash(self) -> None:
        asked = envelope("soapEcho", "s1")
        status, content_type, body = post(asked)
        answer = soap.parse_message(body)
        assert (status, content_type) == (200, "text/xml; charset=UTF-8")
        assert (answer.message_id, answer.client, answer.body_name) == ("s1", AFIL, "soapEchoResponse")
        soap.check_request_hash(digest_of(asked), answer)

    @pytest.mark.xroad("F086")
    def test_attachments_arrive_whole(self) -> None:
        asked = multipart(envelope("soapEcho", "s2"), b"a" * 10, b"b" * 2_000_000, b"")
        _, _, body = post(asked, f"multipart/related; type=text/xml; boundary={BOUNDARY}")
        assert b"<e:attachments>10 2000000 0</e:attachments>" in body

    def test_an_attachment_comes_back_in_a_multipart_with_a_boundary_that_nobody_chose(self) -> None:
        _, content_type, body = post(envelope("soapSend", "s3"))
        boundary = parse_content_type(content_type)[1]["boundary"]
        assert boundary != "echo-boundary"
        assert body.count(f"--{boundary}".encode()) == 3
        assert b"Content-ID: <a>" in body
        assert body.count(b"x" * 1_000_000) == 3

    def test_a_client_without_a_right_is_refused_in_a_soap_fault(self) -> None:
        _, _, body = post(envelope("soapEcho", "s4", AFIL.member.subsystem("OTRO")))
        assert fault_code(body) == "server.serverproxy.access_denied"

    def test_rest_services_are_not_called_over_soap(self) -> None:
        assert fault_code(post(envelope("echo", "s5"))[2]) == "server.serverproxy.service_type"

    def test_a_get_is_told_to_post(self) -> None:
        with urllib.request.urlopen(f"http://{CONSUMER.address}:8080/", timeout=60) as answer:
            assert fault_code(answer.read()) == "client.invalid_http_method"


def test_both_sides_soap_containers_verify(federation: Federation, tmp_path: Path) -> None:
    post(envelope("soapEcho", "sev-1"))
    post(
        multipart(envelope("soapEcho", "sev-2"), b"one", b"two" * 100_000),
        f"multipart/related; boundary={BOUNDARY}",
    )
    conf = urllib.request.urlopen(f"http://{CONSUMER.address}:8080/verificationconf", timeout=60).read()
    zipfile.ZipFile(io.BytesIO(conf)).extractall(tmp_path)
    files = []
    for spec, owner in ((CONSUMER, AFIL), (PROVIDER, INDICE)):
        for query_id in ("sev-1", "sev-2"):
            url = (
                f"http://{spec.address}:8080/asic?xRoadInstance=MX&memberClass=GOB&memberCode={owner.member_code}"
                f"&subsystemCode={owner.subsystem_code}&queryId={query_id}&force"
            )
            with zipfile.ZipFile(io.BytesIO(urllib.request.urlopen(url, timeout=60).read())) as found:
                for name in found.namelist():
                    files.append(str(tmp_path / f"{spec.member}-{name}"))
                    (tmp_path / f"{spec.member}-{name}").write_bytes(found.read(name))
    assert len(files) == 8
    result = CliRunner().invoke(container, ["verify", "--configuration", str(tmp_path), *files])
    assert result.exit_code == 0, result.output
    assert result.output.count(": VALID") == 8
    del federation


def test_a_refused_message_is_logged_by_the_consumer_side_only(federation: Federation) -> None:
    post(envelope("soapEcho", "refused-1", AFIL.member.subsystem("OTRO")))
    kept = {}
    for spec in (CONSUMER, PROVIDER):
        with sqlite3.connect(federation.data(spec) / "log" / "messages.sqlite") as log:
            kept[spec.member] = log.execute(
                "SELECT is_response FROM record WHERE message_id = 'refused-1'"
            ).fetchall()
    assert kept == {CONSUMER.member: [(0,)], PROVIDER.member: []}


@pytest.mark.timeout(900)
def test_an_attachment_of_a_gibibyte_stays_out_of_memory(federation: Federation) -> None:
    head = multipart(envelope("soapEcho", "gib"), b"").removesuffix(f"\r\n--{BOUNDARY}--\r\n".encode())

    def chunks() -> Iterator[bytes]:
        yield head
        for _ in range(1024):
            yield b"x" * (1 << 20)
        yield f"\r\n--{BOUNDARY}--\r\n".encode()

    connection = http.client.HTTPConnection(CONSUMER.address, 8080, timeout=600)
    headers = {"Content-Type": f"multipart/related; boundary={BOUNDARY}"}
    connection.request("POST", "/", body=chunks(), headers=headers, encode_chunked=True)
    assert b"<e:attachments>1073741824</e:attachments>" in connection.getresponse().read()
    connection.close()
    for spec in (CONSUMER, PROVIDER):
        status = Path(f"/proc/{federation.processes[spec.member].pid}/status").read_text(encoding="ascii")
        peak_kib = next(int(x.split()[1]) for x in status.splitlines() if x.startswith("VmHWM"))
        assert peak_kib < 250 * 1024
