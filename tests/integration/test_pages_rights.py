"""By the provider's pages alone: a right is judged before, granted, used by a message, revoked, and refused from the next one on; the message is
found in the log, its proof gone through step by step, and its container taken.
"""

from __future__ import annotations

import asyncio
import json
import re
import urllib.request
from html import unescape
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit

import aiohttp
import pytest

from gateway.admin.console.messages import STEPS
from gateway.admin.roles import SECURITY_OFFICER, SERVICE_ADMINISTRATOR
from schemas.asic.manifest import MIMETYPE
from serving.login.users import Logins
from tests.integration import calling
from tests.integration.conftest import CONSUMER, PROVIDER
from tests.operators import Operator

if TYPE_CHECKING:
    from benchmarks.federation import Federation

pytestmark = pytest.mark.processes
MATRIX = "/consola/derechos?cliente=MX:GOB:00-RNSS:INDICE"
OTRO = "MX:GOB:15-ISSEMYM:OTRO"
MESSAGE = "by-pages-1"
JUDGE = f"{MATRIX}&consumidor={OTRO}&servicio=echo&metodo=GET&ruta=/x"


class Listening:
    """A gateway that listens, as `Operator` calls it."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session
        self.request = session.request


def call(message_id: str = "refused") -> int:
    """A message of OTRO to the service; its status."""
    client, headers = OTRO.replace(":", "/"), {"X-Road-Id": message_id}
    return calling.call(CONSUMER.address, "00-RNSS/INDICE/echo/x", client=client, headers=headers).status


@pytest.mark.xroad("F171", "F084")
async def test_a_right_is_granted_and_revoked_by_pages_and_messages_follow(federation: Federation) -> None:
    consumers = Logins(federation.data(CONSUMER) / "admin.sqlite")
    consumers.save_user("eva", "secret", [SERVICE_ADMINISTRATOR])
    consumers.close()
    logins = Logins(federation.data(PROVIDER) / "admin.sqlite")
    logins.save_user("eva", "secret", [SERVICE_ADMINISTRATOR])
    logins.save_user("iris", "secret", [SECURITY_OFFICER])
    logins.close()
    connector = aiohttp.TCPConnector(ssl=False)
    address = f"https://{PROVIDER.address}:4000"
    async with aiohttp.ClientSession(address, connector=connector) as session:
        operator = Operator(Listening(session), "en")  # type: ignore[arg-type]
        await operator.log_in("eva", "secret")
        await operator.get(MATRIX)
        assert "MX:GOB:15-ISSEMYM:AFIL" in operator.page.text
        assert "GET /public/**" in operator.page.text
        await operator.get(JUDGE)
        assert "No: it would be refused." in operator.page.text
        assert call() != 200
        grant = "/consola/operacion/post_clients_id_service_clients_sc_id_access_rights"
        form = {"id": "MX:GOB:00-RNSS:INDICE", "sc_id": OTRO, "items.0.service_code": "echo"}
        await operator.send(grant, {**form, "vuelta": MATRIX})
        assert operator.status == 303, operator.page.text
        await operator.get(JUDGE)
        assert "Yes: the call would be let through." in operator.page.text
        assert call(MESSAGE) == 200
        links = [urlsplit(unescape(link)) for link in operator.page.links if "access_rights_delete" in link]
        revoke, settled = next(
            (link.path, fields)
            for link in links
            for fields in (dict(parse_qsl(link.query)),)
            if (fields["sc_id"], fields["items.0.service_code"]) == (OTRO, "echo")
        )
        await operator.get(f"{revoke}?{urlencode(settled)}")
        assert "From the next message on its calls are refused." in operator.page.text
        await operator.send(revoke, settled)
        assert operator.status == 303, operator.page.text
        await operator.get(JUDGE)
        assert "No: it would be refused." in operator.page.text
        assert call() != 200
        await ask_and_approve(operator)
        await operator.get("/consola/mensajes")
        assert operator.status == 403
        officer = Operator(Listening(session), "en")  # type: ignore[arg-type]
        await officer.log_in("iris", "secret")
        await look_at_the_message(officer)


def ask(method: str, query: str = "") -> dict[str, str]:
    """A message of OTRO that asks for access, or how it stands."""
    question = {"service_code": "echo", "purpose": "pensions of widows", "legal_basis": "LISSSTE art. 129"}
    body = json.dumps(question).encode() if method == "POST" else None
    client, path = OTRO.replace(":", "/"), f"00-RNSS/INDICE/requestAccess{query}"
    answer = calling.call(CONSUMER.address, path, client=client, method=method, body=body)
    assert answer.status == 200, answer
    return dict(json.loads(answer.body))


async def ask_by_page(*, approved: bool = False) -> None:
    """At the consumer's console: the provider's services are listed, access to one is asked, and the page says how that stands."""
    connector = aiohttp.TCPConnector(ssl=False)
    async with aiohttp.ClientSession(f"https://{CONSUMER.address}:4000", connector=connector) as session:
        operator = Operator(Listening(session), "en")  # type: ignore[arg-type]
        await operator.log_in("eva", "secret")
        whom = f"/consola/pedir-acceso?cliente={OTRO}&proveedor=MX:GOB:00-RNSS:INDICE"
        if approved:
            await operator.get(f"{whom}&servicio=echo")
            assert "approved" in operator.page.text
            assert not any("post_clients_id_access_requests" in link for link in operator.page.links)
            return
        await operator.get(whom)
        one = next(
            unescape(link) for link in operator.page.links if unescape(link).endswith("&servicio=echo")
        )
        await operator.get(one)
        assert "The request" in operator.page.text, operator.page.text
        question = {"purpose": "pensions of widows", "legal_basis": "LISSSTE art. 129", "contact": ""}
        named = {"id": OTRO, "provider": "MX:GOB:00-RNSS:INDICE", "service_code": "echo"}
        send = "/consola/operacion/post_clients_id_access_requests"
        await operator.send(send, {**named, **question, "purpose": "", "vuelta": one})
        assert operator.status == 400
        await operator.send(send, {**named, **question, "vuelta": one})
        assert operator.status == 303, operator.page.text
        await operator.get(one)
        assert "to be decided" in operator.page.text
        await operator.get("/consola/operacion/post_clients_id_access_requests")
        assert operator.status == 200


def requests_waiting(operator: Operator) -> int:
    """How many requests for access the first page says that wait."""
    found = re.search(r"(\d+) requests for access wait for a decision\.", operator.page.text)
    return int(found[1]) if found else 0


async def ask_and_approve(operator: Operator) -> None:
    """Asked on the consumer's page, seen and approved on the provider's; then the call is let through, and the consumer's page says so."""
    await ask_by_page()
    assert ask("GET", "?serviceCode=echo")["state"] == "WAITING"
    await operator.get("/consola/")
    waiting = requests_waiting(operator)
    assert waiting >= 1  # others of this federation's tests may wait too
    await operator.get("/consola/peticiones")
    assert "pensions of widows" in operator.page.text
    approve = next(unescape(link) for link in operator.page.links if "put_access_requests_id_approve" in link)
    assert call() != 200
    fields = dict(parse_qsl(urlsplit(approve).query))
    await operator.get(approve)
    assert "The client may call every endpoint of the service" in operator.page.text
    await operator.send(urlsplit(approve).path, fields)
    assert operator.status == 303, operator.page.text
    await operator.get("/consola/")
    assert requests_waiting(operator) == waiting - 1
    assert ask("GET", "?serviceCode=echo")["state"] == "APPROVED"
    await ask_by_page(approved=True)
    assert call() == 200
    await operator.get(approve)
    await operator.send(urlsplit(approve).path, fields)
    assert operator.status == 409


async def look_at_the_message(officer: Operator) -> None:
    """Found, verified step by step, and its container taken for a reason that the audit trail has."""
    await officer.get(f"/consola/mensajes?cliente={OTRO}&lado=provider&desde=2020-01-01T00:00")
    await officer.get(f"/consola/mensajes?mensaje={MESSAGE}")
    message = unescape(next(link for link in officer.page.links if "/consola/mensaje?numero=" in link))
    number = message.rpartition("=")[2]
    await asyncio.to_thread(bring_timestamps)
    await officer.get(f"{message}&verificar=1")
    assert "Proved: it was signed by whom it says" in officer.page.text, officer.page.text
    assert officer.page.text.count("proved") >= len(STEPS)
    for step in STEPS.values():
        assert step.into("en") in officer.page.text
    container = f"/consola/operacion/post_message_log_records_id_container?id={number}&fijos=id&vuelta=/consola/mensajes"
    await officer.get(container)
    assert "The audit log keeps your name, the reason" in officer.page.text
    await officer.send(
        container, {"id": number, "fijos": "id", "vuelta": "/consola/mensajes", "reason": "file 7/2026"}
    )
    assert officer.headers["content-type"] == MIMETYPE
    assert officer.content.startswith(b"PK")
    await officer.get("/consola/auditoria")
    assert "DOWNLOAD_MESSAGE_LOG_CONTAINERS" in officer.page.text
    assert "file 7/2026" in officer.page.text


def bring_timestamps() -> None:
    """Evidence is asked for at once, so what waits for a timestamp is stamped now."""
    owner = "xRoadInstance=MX&memberClass=GOB&memberCode=00-RNSS&subsystemCode=INDICE"
    with urllib.request.urlopen(
        f"http://{PROVIDER.address}:8080/asic?{owner}&queryId={MESSAGE}&force"
    ) as answer:
        assert answer.status == 200
