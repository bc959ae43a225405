"""Exchanges through two real gateways: what is allowed comes back proved, what is not is refused with its code."""

from __future__ import annotations

import io
import json
import socket
import sqlite3
import urllib.request
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from gateway.cli.container import container
from tests.integration import calling
from tests.integration.conftest import CONSUMER, PROVIDER

if TYPE_CHECKING:
    from benchmarks.federation import Federation

pytestmark = pytest.mark.processes


def call(path: str, **options: object) -> tuple[int, dict[str, str], bytes]:
    answer = calling.call(CONSUMER.address, path, **options)  # type: ignore[arg-type]
    return answer.status, answer.headers, answer.body


@pytest.mark.usefixtures("federation")
class TestAllowed:
    @pytest.mark.xroad("F073", "F087")
    def test_a_body_comes_back_with_the_headers_of_the_protocol(self) -> None:
        status, headers, body = call("00-RNSS/INDICE/echo/v1/x", body=b'{"a":1}', headers={"X-Road-Id": "q1"})
        assert (status, body, headers["x-road-id"]) == (200, b'{"a":1}', "q1")
        assert headers["x-road-service"] == "MX/GOB/00-RNSS/INDICE/echo"
        assert headers["x-road-request-hash"]

    def test_the_same_id_twice_gives_different_request_hashes(self) -> None:
        first = call("00-RNSS/INDICE/echo/x", headers={"X-Road-Id": "q2"})
        second = call("00-RNSS/INDICE/echo/x", headers={"X-Road-Id": "q2"})
        assert first[1]["x-road-request-hash"] != second[1]["x-road-request-hash"]

    def test_an_error_of_the_provider_is_an_ordinary_answer(self) -> None:
        assert call("00-RNSS/INDICE/echo/status?code=404")[0] == 404

    def test_a_large_body_goes_both_ways(self) -> None:
        size = 5_000_000
        status, _, body = call("00-RNSS/INDICE/echo/count", body=b"x" * size)
        assert (status, json.loads(body)) == (200, {"bytes": size})
        assert len(call(f"00-RNSS/INDICE/echo/size?n={size}")[2]) >= size

    @pytest.mark.xroad("F083")
    def test_a_right_to_a_path_covers_that_path(self) -> None:
        assert call("00-RNSS/INDICE/limited/public/a")[0] == 200


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "no right at all": (
        "00-RNSS/INDICE/echo/x",
        {"client": "MX/GOB/15-ISSEMYM/OTRO"},
        "server.serverproxy.access_denied",
    ),
    "another path": ("00-RNSS/INDICE/limited/private", {}, "server.serverproxy.access_denied"),
    "a path that climbs": (
        "00-RNSS/INDICE/limited/public/%2e%2e/private",
        {},
        "server.clientproxy.bad_request",
    ),
    "another method": (
        "00-RNSS/INDICE/limited/public/a",
        {"method": "DELETE"},
        "server.serverproxy.access_denied",
    ),
    "an unknown service": ("00-RNSS/INDICE/nothing", {}, "server.serverproxy.unknown_service"),
    "an unknown member": ("99-NADIE/INDICE/echo", {}, "server.clientproxy.unknown_member"),
    "an unknown client": (
        "00-RNSS/INDICE/echo",
        {"client": "MX/GOB/15-ISSEMYM/NO"},
        "server.clientproxy.unknown_member",
    ),
    "plain HTTP where HTTPS is set": (
        "00-RNSS/INDICE/echo",
        {"client": "MX/GOB/15-ISSEMYM/SEGURO"},
        "server.clientproxy.ssl_authentication_failed",
    ),
    "a disabled service": ("00-RNSS/INDICE/off", {}, "server.serverproxy.service_disabled"),
    "a provider that is down": ("00-RNSS/INDICE/down", {}, "server.serverproxy.network_error"),
    "a provider that is slow": ("00-RNSS/INDICE/echo/slow?s=20", {}, "server.serverproxy.network_error"),
    "a wrong security server": (
        "00-RNSS/INDICE/echo",
        {"headers": {"X-Road-Security-Server": "MX/GOB/15-ISSEMYM/SS1"}},
        "server.clientproxy.invalid_security_server",
    ),
    "a short path": ("00-RNSS", {}, "server.clientproxy.bad_request"),
}


@pytest.mark.usefixtures("federation")
@pytest.mark.parametrize("what", REFUSED)
def test_refused_with_its_code(what: str) -> None:
    path, options, code = REFUSED[what]
    status, headers, body = call(path, **options)
    assert (status, headers["x-road-error"]) == (500, code)
    told = json.loads(body)
    assert told["type"] == code
    assert len(told["message"]) > 20


def exactly(target: str, *headers: str) -> bytes:
    """The answer to a GET that no client has tidied up."""
    lines = (f"GET {target} HTTP/1.1", "Host: x", "Connection: close", *headers, "", "")
    with socket.create_connection((CONSUMER.address, 8080), timeout=60) as raw:
        raw.sendall("\r\n".join(lines).encode("utf-8", "surrogateescape"))
        return b"".join(iter(lambda: raw.recv(65536), b""))


ECHO = "/r1/MX/GOB/00-RNSS/INDICE/echo"
AFIL = "X-Road-Client: MX/GOB/15-ISSEMYM/AFIL"


@pytest.mark.usefixtures("federation")
@pytest.mark.parametrize(
    "other",
    ["X-Road-Client: MX/GOB/15-ISSEMYM/OTRO", "X-Road-Id: a\r\nX-Road-Id: b", "X-OSS-Rol: a\r\nx-oss-rol: b"],
)
def test_contradicting_client_headers_are_refused(other: str) -> None:
    assert b"duplicate_header_field" in exactly(ECHO, AFIL, other)


@pytest.mark.usefixtures("federation")
@pytest.mark.parametrize(
    "rest", ["#/../../public/a", "/private%2f..%2fpublic/a", "/private;/../public/a", "/private/..;/x"]
)
def test_target_that_two_servers_read_differently_is_refused(rest: str) -> None:
    answer = exactly(f"/r1/MX/GOB/00-RNSS/INDICE/limited{rest}", AFIL)
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"server.clientproxy.bad_request" in answer


@pytest.mark.usefixtures("federation")
def test_target_in_absolute_form_is_served_as_its_path() -> None:
    assert exactly(f"http://{CONSUMER.address}:8080{ECHO}/x?a=1?b=%2F", AFIL).startswith(b"HTTP/1.1 200 ")
    assert b"00-RNSS" in exactly(f"http://{CONSUMER.address}:8080/listClients")


@pytest.mark.usefixtures("federation")
def test_an_oversized_header_is_refused_in_the_protocols_shape() -> None:
    status, headers, _ = call("00-RNSS/INDICE/echo", headers={"X-Large": "x" * 20_000})
    assert status == 400
    assert headers["x-road-error"] == "client.bad_request"


@pytest.mark.xroad("F110", "F111")
def test_both_sides_containers_verify(federation: Federation, tmp_path: Path) -> None:
    for query_id, body in (("ev-1", None), ("ev-2", b'{"evidence":true}')):
        assert call("00-RNSS/INDICE/echo/x", body=body, headers={"X-Road-Id": query_id})[0] == 200
    conf = urllib.request.urlopen(f"http://{CONSUMER.address}:8080/verificationconf", timeout=60).read()
    zipfile.ZipFile(io.BytesIO(conf)).extractall(tmp_path)
    files = []
    for spec, owner in ((CONSUMER, ("15-ISSEMYM", "AFIL")), (PROVIDER, ("00-RNSS", "INDICE"))):
        for query_id in ("ev-1", "ev-2"):
            url = (
                f"http://{spec.address}:8080/asic?xRoadInstance=MX&memberClass=GOB&memberCode={owner[0]}"
                f"&subsystemCode={owner[1]}&queryId={query_id}&force"
            )
            with zipfile.ZipFile(io.BytesIO(urllib.request.urlopen(url, timeout=60).read())) as found:
                assert len(found.namelist()) == 2
                for name in found.namelist():
                    files.append(str(tmp_path / f"{spec.member}-{name}"))
                    Path(files[-1]).write_bytes(found.read(name))
    result = CliRunner().invoke(container, ["verify", "--configuration", str(tmp_path), *files])
    assert result.exit_code == 0, result.output
    assert result.output.count(": VALID") == 8
    altered = Path(files[0]).read_bytes()
    Path(files[0]).write_bytes(_with_another_message(altered))
    result = CliRunner().invoke(container, ["verify", "--configuration", str(tmp_path), files[0]])
    assert result.exit_code == 1
    del federation


def _with_another_message(data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, content.replace(b"AFIL", b"AFIM") if name == "message.xml" else content)
    return out.getvalue()


@pytest.mark.xroad("F100")
def test_every_answer_has_a_durable_record_on_both_sides(federation: Federation) -> None:
    assert call("00-RNSS/INDICE/echo/x", headers={"X-Road-Id": "durable"})[0] == 200
    for spec in (CONSUMER, PROVIDER):
        with sqlite3.connect(federation.data(spec) / "log" / "messages.sqlite") as log:
            rows = log.execute(
                "SELECT is_response FROM record WHERE message_id = 'durable' ORDER BY id"
            ).fetchall()
        assert rows == [(0,), (1,)]
