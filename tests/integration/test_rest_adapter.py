"""NIIS's REST adapter service, unmodified, on both sides: REST into SOAP before the consumer's gateway, SOAP into REST behind the provider's.

It runs where ``SACBE_REST_ADAPTER`` is the class path of a built one (github.com/nordic-institute/REST-adapter-service, tried with
1.1.0-SNAPSHOT over XRd4J 0.8.0) and ``SACBE_REST_ADAPTER_JAVA`` names a Java that it runs on (21 or later).
"""

from __future__ import annotations

import json
import os
import subprocess
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest

from schemas import soap
from schemas.identifiers import ClientId, ServiceId
from tests.integration import calling
from tests.integration.conftest import CONSUMER, PROVIDER
from tests.integration.test_toolkits import CLIENT, INDICE, OTHER, TOOLKITS, register, run_gateway

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.federation import Federation

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(
        "SACBE_REST_ADAPTER" not in os.environ,
        reason="SACBE_REST_ADAPTER is no class path of a built REST adapter service",
    ),
]
PORT = 9210
REST = f"http://{PROVIDER.address}:{PORT + 1}"
BASE = f"http://{PROVIDER.address}:{PORT}/rest-adapter-service"
# Each consumer's line: name of the service, path at the adapter, method, the client that asks, what its namespace is about.
CONSUMERS = [
    ("addTwo", "/sum/", "get", CLIENT, "sum"),
    ("addTwo", "/sum/converted/", "post", CLIENT, "sum"),
    ("addTwo", "/denied/", "get", OTHER, "sum"),
    ("readPerson", "/people/{resourceId}", "get", CLIENT, "people"),
    ("readAttached", "/attached/{resourceId}", "get", CLIENT, "people"),
    ("addPerson", "/people/", "post", CLIENT, "people"),
]
# Each provider's line: name of the service, the REST service it asks, method, whether the answer is an attachment.
PROVIDERS = [
    ("readPerson", f"{REST}/rest/people/", "get", False),
    ("readAttached", f"{REST}/rest/people/", "get", True),
    ("addPerson", f"{REST}/rest/people", "post", False),
]


def write_settings(folder: Path) -> None:
    """The adapter's four files of properties, and the description of what it provides."""

    def namespace(about: str, of: str = "") -> str:
        words = ("serialize=urn:example:", "deserialize=urn:example:")
        return "".join(f"{of}namespace.{word}{about}\n" for word in words)

    def known(code: str) -> str:
        return f"{INDICE}/{code}/v1".replace("/", ".")

    prefix = "namespace.prefix.serialize=t\nwrappers=false\n"
    security_server = f"id.client={CLIENT.replace('/', '.')}\nss.url=http://{CONSUMER.address}:8080/\n"
    (folder / "consumer-gateway.properties").write_text(security_server + prefix + namespace("sum"))
    lines = [
        f"{n}.id={known(code)}\n{n}.id.client={client.replace('/', '.')}\n{n}.path={path}\n{n}.verb={method}\n"
        f"{n}.convertPost={str('converted' in path).lower()}\n{namespace(about, f'{n}.')}"
        for n, (code, path, method, client, about) in enumerate(CONSUMERS)
    ]
    (folder / "consumers.properties").write_text("".join(lines))
    description = f"wsdl.path={TOOLKITS / 'people.wsdl'}\n"
    (folder / "provider-gateway.properties").write_text(description + prefix + namespace("people"))
    lines = [
        f"{n}.id={known(code)}\n{n}.url={url}\n{n}.verb={method}\n{n}.contenttype=application/json\n"
        f"{n}.response.attachment={str(attached).lower()}\n"
        for n, (code, url, method, attached) in enumerate(PROVIDERS)
    ]
    (folder / "providers.properties").write_text("".join(lines))


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The adapter's address; it answers."""
    folder = tmp_path_factory.mktemp("adapter")
    write_settings(folder)
    words = [
        os.environ.get("SACBE_REST_ADAPTER_JAVA", "java"),
        *("-cp", os.environ["SACBE_REST_ADAPTER"]),
        f"-DcustomPropertiesDir={folder}",
        f"-Dserver.address={PROVIDER.address}",
        f"-Dserver.port={PORT}",
        "org.niis.xroad.restadapterservice.Application",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        calling.until(lambda: ask("/")[0], lambda status: status == 200, within_s=240)
        yield BASE
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="module")
def services(federation: Federation, adapter: str) -> Iterator[None]:
    """A SOAP service that adds, and the adapter's own, registered from the description that it serves."""
    process = federation.start(
        "described", "benchmarks.described", "--host", PROVIDER.address, "--port", str(PORT + 1)
    )
    try:
        federation.wait_for(f"{REST}/sum.wsdl")
        description = TOOLKITS.joinpath("suma.wsdl").read_text().replace("suma", "addTwo")
        own = federation.data(PROVIDER).parent / "addTwo.wsdl"
        own.write_text(description)
        register(federation, "addTwo", f"{REST}/soap", "--file", str(own))
        added = run_gateway(
            federation,
            *("add", "--client", INDICE, "--type", "WSDL", "--url", f"{adapter}/Provider?wsdl"),
            "--ignore-warnings",
        )
        for code, *_ in PROVIDERS:
            run_gateway(federation, "allow", "--client", INDICE, code, CLIENT)
            run_gateway(federation, "set", "--client", INDICE, f"{code}.v1", "--url", f"{adapter}/Provider")
        run_gateway(federation, "enable", added.split()[-1])
        calling.until(
            lambda: ask("/Consumer/people/7"), lambda found: found[0] == 200 and b"Persona 7" in found[1]
        )
        calling.until(lambda: ask("/Consumer/sum/?a=31&b=11"), lambda found: b"42" in found[1])
        yield
    finally:
        process.terminate()
        process.wait(60)
        del federation.processes["described"]


def ask(path: str, body: object = None, *, accept: str = "application/json") -> tuple[int, bytes]:
    """Status and body of the adapter's answer to a request in JSON; raises OSError while nobody listens."""
    request = urllib.request.Request(
        BASE + path,
        data=None if body is None else json.dumps(body).encode(),
        headers={
            "Accept": accept,
            "Content-Type": "application/json",
            "X-XRd-UserId": "MX1",
            "X-XRd-MessageId": f"id{path.replace('/', '-')}",
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as err:
        return err.code, err.read()


@pytest.mark.usefixtures("services")
class TestConsumer:
    def test_parameters_become_a_soap_request_and_the_answer_json(self) -> None:
        status, answer = ask("/Consumer/sum/?a=31&b=11")
        assert status == 200
        assert json.loads(answer) == {"result": 42}

    def test_json_that_was_posted_becomes_the_soap_body(self) -> None:
        status, answer = ask("/Consumer/sum/converted/", {"a": 20, "b": 3})
        assert status == 200
        assert json.loads(answer) == {"result": 23}

    def test_the_answer_is_xml_for_who_takes_xml(self) -> None:
        status, answer = ask("/Consumer/sum/?a=1&b=2", accept="text/xml")
        assert status == 200
        assert b"result>3</" in answer

    def test_a_refusal_arrives_with_its_code_and_text(self) -> None:
        _, answer = ask("/Consumer/denied/?a=31&b=11")
        refused = json.loads(answer)["error"]
        assert refused["code"].endswith("access_denied"), refused
        assert OTHER in refused["string"], refused


@pytest.mark.usefixtures("services")
class TestProvider:
    """Asked by the adapter too: REST, SOAP between two gateways, REST again."""

    def test_a_resource_is_read(self) -> None:
        status, answer = ask("/Consumer/people/7")
        assert status == 200
        assert json.loads(answer) == {"id": 7, "name": "Persona 7"}

    def test_an_answer_as_an_attachment_arrives_as_the_rest_service_gave_it(self) -> None:
        status, answer = ask("/Consumer/attached/8")
        assert status == 200
        assert json.loads(answer) == {"id": 8, "name": "Persona 8"}

    def test_json_that_was_posted_goes_as_an_attachment_and_is_taken(self) -> None:
        person = {"id": 9, "name": "María Ñúñez"}
        status, answer = ask("/Consumer/people/", person)
        assert status == 200
        assert json.loads(answer) == person

    def test_a_soap_request_of_another_is_answered_with_its_own_header(self) -> None:
        service = ServiceId(ClientId(*INDICE.split("/")), "readPerson", "v1")
        body = '<t:readPerson xmlns:t="urn:example:people"><resourceId>5</resourceId></t:readPerson>'
        raw = soap.render_request(ClientId(*CLIENT.split("/")), service, "of-another", body, user_id="MX1")
        request = urllib.request.Request(
            f"http://{CONSUMER.address}:8080/", data=raw, headers={"Content-Type": soap.CONTENT_TYPE}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            found = soap.parse_message(answer.read())
        assert (found.message_id, found.request_hash is not None) == ("of-another", True)
        assert b"Persona 5" in found.raw
