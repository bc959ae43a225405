"""Foreign SOAP toolkits, unmodified from the package registry: zeep and pyxroad call, fastapi-xroad-soap answers.

XRd4J calls where ``SACBE_XRD4J`` names a checkout of github.com/nordic-institute/xrd4j and ``SACBE_XRD4J_JARS`` a folder with the jars that
its modules ``common``, ``rest`` and ``client`` name (tried with 0.9.0-SNAPSHOT; the jars by ``mvn dependency:copy-dependencies``). The scripts of
xrdinfo ask where ``SACBE_XRDINFO`` names the folder ``xrdinfo-src`` of a checkout of github.com/ria-ee/X-Road-scripts (tried with 1.4.0).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from gateway.cli.main import main
from schemas import soap
from schemas.identifiers import ClientId, ServiceId
from tests.integration.conftest import CONSUMER, PROVIDER
from tests.paths import PROJECT
from tests.programs import need

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.federation import Federation

pytestmark = pytest.mark.processes
TOOLKITS = PROJECT / "tests/interop/toolkits"
PORT = 9200
CLIENT, OTHER = "MX/GOB/15-ISSEMYM/AFIL", "MX/GOB/15-ISSEMYM/OTRO"
INDICE = "MX/GOB/00-RNSS/INDICE"
SERVICE = f"{INDICE}/suma/v1"


def environment(name: str) -> Path:
    """The Python of a toolkit's own environment, which ``make toolkits`` made; nothing is fetched while tests run."""
    python = PROJECT / ".toolkits" / name / "bin/python"
    if not python.exists():
        reason = f"the toolkit {name} is not installed; make toolkits"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return python


@pytest.fixture(scope="module", params=["zeep", "pyxroad"])
def toolkit(request: pytest.FixtureRequest) -> tuple[str, Path]:
    """A consumer toolkit and the Python that has it."""
    name = str(request.param)
    return name, environment(name)


@pytest.fixture(scope="module")
def described(federation: Federation) -> Iterator[None]:
    """A service with the description that the consumers start from."""
    arguments = ("--host", PROVIDER.address, "--port", str(PORT + 1))
    process = federation.start("toolkits", "benchmarks.described", *arguments)
    url = f"http://{PROVIDER.address}:{PORT + 1}"
    federation.wait_for(f"{url}/sum.wsdl")
    register(federation, "suma", f"{url}/soap", "--file", str(TOOLKITS / "suma.wsdl"))
    yield
    process.terminate()
    process.wait(60)
    del federation.processes["toolkits"]


@pytest.fixture(scope="module")
def foreign_provider(federation: Federation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A fastapi-xroad-soap provider, registered from the description it generates."""
    python = environment("provider")
    process = subprocess.Popen(
        [str(python), str(TOOLKITS / "provider.py"), PROVIDER.address, str(PORT)], stdin=subprocess.DEVNULL
    )
    try:
        url = f"http://{PROVIDER.address}:{PORT}/service"
        federation.wait_for(f"{url}?wsdl")
        register(federation, "sumarSemanas", url, "--url", f"{url}?wsdl")
        yield
    finally:
        process.terminate()
        process.wait(60)


def register(federation: Federation, code: str, url: str, *source: str) -> None:
    """Describe a WSDL service, set its URL, switch it on and open it to one client."""
    added = run_gateway(federation, "add", "--client", INDICE, "--type", "WSDL", *source, "--ignore-warnings")
    run_gateway(federation, "allow", "--client", INDICE, code, CLIENT)
    run_gateway(federation, "set", "--client", INDICE, f"{code}.v1", "--url", url)
    run_gateway(federation, "enable", added.split()[-1])


def run_gateway(federation: Federation, command: str, *arguments: str) -> str:
    """A ``gateway service`` command at the provider's gateway."""
    data = str(federation.data(PROVIDER))
    result = CliRunner().invoke(main, ["service", command, "--data", data, *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def call(toolkit: tuple[str, Path], first: int, client: str = CLIENT) -> dict[str, Any]:
    """One call by a foreign consumer."""
    name, python = toolkit
    gateway = f"http://{CONSUMER.address}:8080"
    arguments = [str(python), str(TOOLKITS / "consumer.py"), name, gateway, client, SERVICE, str(first), "11"]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        return {"failed": done.stderr[-2000:]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def until(condition: Callable[[], bool]) -> bool:
    """Whether a condition comes true: a running gateway takes a registration within a second."""
    deadline = time.monotonic() + 90
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def add_weeks(first: int) -> bytes:
    """Ask the foreign provider; what the consumer's gateway answered."""
    service = ServiceId(ClientId(*INDICE.split("/")), "sumarSemanas", "v1")
    body = f"<sumarSemanas><Primera>{first}</Primera><Segunda>11</Segunda></sumarSemanas>"
    raw = soap.render_request(ClientId(*CLIENT.split("/")), service, f"f-{first}", body, user_id="MX1")
    # The provider reads the prefixes of its own documentation only, and no XML declaration.
    shaped = raw.decode().partition("\n")[2]
    for ours, its in ((r"\bsoap\b", "soapenv"), (r"\bxroad(?=[:=])", "xro"), (r"\bid(?=[:=])", "iden")):
        shaped = re.sub(ours, its, shaped)
    shaped = shaped.replace("xmlsoap.org/soapenv/envelope", "xmlsoap.org/soap/envelope")
    headers = {"Content-Type": soap.CONTENT_TYPE, "SOAPAction": '"sumarSemanas"'}
    request = urllib.request.Request(
        f"http://{CONSUMER.address}:8080/", data=shaped.encode(), headers=headers
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return bytes(answer.read())


@pytest.mark.usefixtures("described")
class TestForeignConsumers:
    def test_a_foreign_consumer_is_answered(self, toolkit: tuple[str, Path]) -> None:
        answers: list[dict[str, Any]] = []

        def is_answered() -> bool:
            answers.append(call(toolkit, 31))
            return answers[-1] == {"found": "42"}

        assert until(is_answered), answers[-1]

    def test_a_refusal_reaches_it_as_a_fault(self, toolkit: tuple[str, Path]) -> None:
        refused = call(toolkit, 1, OTHER)
        assert "access" in refused.get("message", ""), refused


@pytest.fixture(scope="module")
def xrd4j(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The words that start the consumer that speaks by XRd4J, compiled here with the checkout's own sources."""
    checkout, jars = os.environ.get("SACBE_XRD4J", ""), os.environ.get("SACBE_XRD4J_JARS", "")
    if not checkout or not jars:
        pytest.skip("SACBE_XRD4J and SACBE_XRD4J_JARS name no checkout of XRd4J and no folder of its jars")
    classes = tmp_path_factory.mktemp("xrd4j")
    sources = [
        str(path)
        for module in ("common", "rest", "client")
        for path in sorted(Path(checkout, "src", module, "src/main/java").rglob("*.java"))
    ]
    known = os.pathsep.join([str(Path(jars, "*")), str(classes)])
    compiler = [need("javac", package="openjdk-17-jdk-headless"), "-nowarn", "-encoding", "UTF-8"]
    subprocess.run(
        [*compiler, "-d", str(classes), "-cp", known, *sources, str(TOOLKITS / "Xrd4jConsumer.java")],
        check=True,
    )
    return [need("java", package="openjdk-17-jre-headless"), "-cp", known, "Xrd4jConsumer"]


def call_by_xrd4j(words: list[str], client: str) -> list[str]:
    """What the consumer understood."""
    arguments = [f"http://{CONSUMER.address}:8080", client, SERVICE, "urn:example:sum", "31", "11"]
    done = subprocess.run([*words, *arguments], capture_output=True, text=True, timeout=120, check=False)
    return done.stdout.splitlines() if done.returncode == 0 else [done.stdout, done.stderr[-2000:]]


@pytest.mark.usefixtures("described")
def test_xrd4j_reads_the_metadata_and_calls(xrd4j: list[str]) -> None:
    answers: list[list[str]] = []

    def is_answered() -> bool:
        answers.append(call_by_xrd4j(xrd4j, CLIENT))
        return answers[-1][-1] == "result 42 for AFIL"

    assert until(is_answered), answers[-1]
    clients, methods, allowed, _ = answers[-1]
    assert int(clients.removeprefix("clients ")) >= 2
    assert "suma" in methods
    assert "suma" in allowed
    refused = call_by_xrd4j(xrd4j, OTHER)
    assert "suma" not in refused[2]
    assert refused[3].startswith("fault ")
    assert refused[3].endswith("access_denied")


def call_by_xrdinfo(script: str, *arguments: str) -> list[str]:
    """The lines that one of xrdinfo's scripts prints; what it complains of where it fails."""
    folder = Path(os.environ["SACBE_XRDINFO"])
    words = [sys.executable, str(folder / f"xrd_{script}.py"), *arguments, "-t", "30"]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=120, check=False, cwd=folder, env=environment
    )
    return done.stdout.splitlines() if done.returncode == 0 else [done.stdout[-2000:], done.stderr[-2000:]]


@pytest.mark.skipif("SACBE_XRDINFO" not in os.environ, reason="SACBE_XRDINFO names no checkout of xrdinfo")
@pytest.mark.usefixtures("described")
class TestXrdinfo:
    def test_it_reads_members_and_servers_from_a_gateway_and_from_the_central_server(
        self, federation: Federation
    ) -> None:
        gateway = ("-s", f"http://{CONSUMER.address}:8080")
        central = ("-c", f"http://{federation.central_address}:8080")
        for source in (gateway, central):
            assert "MX/GOB/00-RNSS" in "\n".join(call_by_xrdinfo("members", *source)), source
            assert INDICE in call_by_xrdinfo("subsystems", *source), source
            assert CLIENT in call_by_xrdinfo("registered_subsystems", *source), source
            servers = call_by_xrdinfo("servers", *source)
            assert any(PROVIDER.address in line for line in servers), (source, servers)
            placed = call_by_xrdinfo("subsystems_with_server", *source)
            assert any(line.startswith(INDICE) and PROVIDER.address in line for line in placed), (
                source,
                placed,
            )
            assert PROVIDER.address in call_by_xrdinfo("servers_ips", *source), source

    def test_it_reads_services_descriptions_and_what_a_client_may(self) -> None:
        asks = (f"http://{CONSUMER.address}:8080", CLIENT)
        assert until(lambda: SERVICE in call_by_xrdinfo("methods", *asks, INDICE, "--allowed"))
        assert SERVICE in call_by_xrdinfo("methods", *asks, INDICE)
        other = call_by_xrdinfo("methods", asks[0], OTHER, INDICE, "--allowed")
        assert SERVICE not in other
        assert f"{INDICE}/echo" in call_by_xrdinfo("methods", *asks, INDICE, "--rest", "--allowed")
        assert f"{INDICE}/off" in call_by_xrdinfo("methods", *asks, INDICE, "--rest")
        assert "suma" in "\n".join(call_by_xrdinfo("wsdl", *asks, SERVICE, "--methods"))
        assert "definitions" in "\n".join(call_by_xrdinfo("wsdl", *asks, SERVICE))
        assert SERVICE in call_by_xrdinfo("all_methods", *asks)
        assert "does not have OpenAPI" in call_by_xrdinfo("openapi", *asks, f"{INDICE}/echo")[-1]


@pytest.mark.usefixtures("foreign_provider")
class TestForeignProvider:
    def test_it_is_called_and_its_answer_is_proved(self) -> None:
        assert until(lambda: b"<Total>42</Total>" in add_weeks(31)), add_weeks(31)[200:700]
        answer = soap.parse_message(add_weeks(32))
        assert (answer.message_id, answer.request_hash is not None) == ("f-32", True)

    def test_its_fault_reaches_the_consumer_as_it_was(self) -> None:
        assert until(lambda: b"negativas" in add_weeks(-1)), add_weeks(-1)[200:700]
        fault = soap.parse_envelope(add_weeks(-1))
        assert isinstance(fault, soap.SoapFault)
        assert fault.wire.code == "Server"

    def test_its_fault_under_http_400_is_an_http_error_as_in_x_road(self) -> None:
        fault = soap.parse_envelope(add_weeks(10_000))
        assert isinstance(fault, soap.SoapFault)
        assert fault.wire.code == "server.serverproxy.service_failed.http_error"
