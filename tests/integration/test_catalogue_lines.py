"""The catalogue's lines that call a service, pasted from the page as they stand, run through two gateways."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from html import unescape
from typing import TYPE_CHECKING

import pytest
from aiohttp.test_utils import TestClient, TestServer

from central_server.edges.cataloguepages import catalogue_app
from central_server.store.records import OPERATOR, CentralStore
from central_server.store.services import FoundService, record_provider
from schemas.identifiers import ClientId, ServiceId
from tests.integration.conftest import CONSUMER
from tests.integration.test_examples import program

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.processes
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
INDICE = ClientId("MX", "GOB", "00-RNSS", "INDICE")
# What the description's own example says, so what an echo gives back.
SENT = {"nss": "4590-1", "nombre": 'Íñigo "El" O\'Hara 😀'}
OPENAPI = json.dumps(
    {
        "openapi": "3.0.3",
        "info": {"title": "Eco", "version": "1"},
        "paths": {
            "/personas/{id}": {
                "post": {
                    "requestBody": {"content": {"application/json": {"example": SENT}}},
                    "responses": {"200": {"description": "Lo mismo"}},
                }
            }
        },
    }
).encode()
READING = json.dumps(
    {
        "openapi": "3.0.3",
        "info": {"title": "Lee", "version": "1"},
        "paths": {"/public/días": {"get": {"responses": {"200": {"description": "Hay"}}}}},
    }
).encode()
WSDL = b"""<wsdl:definitions xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/"><wsdl:portType name="p">
<wsdl:operation name="another"/><wsdl:operation name="soapEcho"/></wsdl:portType></wsdl:definitions>"""
SERVICES = (
    FoundService(ServiceId(INDICE, "echo"), "OPENAPI").with_description("application/json", OPENAPI),
    FoundService(ServiceId(INDICE, "limited"), "OPENAPI").with_description("application/json", READING),
    FoundService(ServiceId(INDICE, "soapEcho"), "WSDL").with_description("text/xml", WSDL),
)


async def shown(tmp_path: Path, service: str) -> dict[str, str]:
    """The texts on a service's page for a client and a gateway, by what stands above each; the first of a name is how to ask for access."""
    store = CentralStore(tmp_path / "central.sqlite")
    with store.change(OPERATOR, NOW) as records:
        records.set_parameter("instance", "MX")
        record_provider(records, INDICE, SERVICES)
    number = [s.service.service_code for s in SERVICES].index(service) + 1
    query = {"cliente": "MX:GOB:15-ISSEMYM:AFIL", "pasarela": f"http://{CONSUMER.address}:8080/"}
    async with TestClient(TestServer(catalogue_app(store))) as browser:
        answer = await browser.get(f"/catalogo/servicio/{number}", params=query)
        page = await answer.text()
    store.close()
    assert "http://GATEWAY" not in page
    found = re.findall(r"<p><strong>([^<]*)</strong></p><pre>([^<]*)</pre>", page)
    return {f"{n} {unescape(name)}": unescape(text) for n, (name, text) in enumerate(found)}


def run(folder: Path, title: str, text: str) -> str:
    """What a text prints, run as the words above it say."""
    named = re.search(r"\((\S+) (\S+)\)", title)
    if named is None:
        command = ["sh", "-c", text]
    else:
        (folder / named[2]).write_text(text, encoding="utf-8")
        command = [sys.executable if named[1] == "python3" else program(named[1]), named[2]]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, encoding="utf-8", timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.usefixtures("federation")
async def test_each_program_of_a_page_runs_as_it_stands_and_sends_the_descriptions_own_example(
    tmp_path: Path,
) -> None:
    texts = await shown(tmp_path, "echo")
    calls = list(texts.items())[3:]
    assert [t.split()[1] for t, _ in calls] == ["curl", "Python", "Java", "Node"]
    for title, text in calls:
        printed = run(tmp_path, title, text)
        status, body = ("200", printed) if " curl" in title else printed.split(" ", 1)
        # Java prints in the encoding of the machine it runs on, so what it could not print is left out of the comparison.
        expected = SENT | ({"nombre": json.loads(body)["nombre"]} if "Java" in title else {})
        assert (status, json.loads(body)) == ("200", expected), title


@pytest.mark.usefixtures("federation")
async def test_a_reading_without_a_right_to_all_of_the_service_runs_too(tmp_path: Path) -> None:
    texts = await shown(tmp_path, "limited")
    for title, text in list(texts.items())[3:]:
        assert run(tmp_path, title, text).endswith('{"ok":true}'), title


@pytest.mark.usefixtures("federation")
async def test_a_soap_call_runs_as_it_stands(tmp_path: Path) -> None:
    title, text = list((await shown(tmp_path, "soapEcho")).items())[3]
    assert "soapEchoResponse" in run(tmp_path, title, text)


@pytest.mark.usefixtures("federation")
async def test_the_lines_that_ask_for_access_run_as_they_stand(tmp_path: Path) -> None:
    texts = list((await shown(tmp_path, "limited")).items())[:3]
    for title, text in texts:
        printed = run(tmp_path, title, text)
        state = json.loads(printed[printed.rindex("{") :])
        assert (state["service_code"], state["state"]) == ("limited", "WAITING"), title
