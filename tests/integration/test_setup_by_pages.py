"""From two servers on which nothing is set up to a signed exchange and its refusal, in a browser without scripts, by pages alone.

The operators' acts are links, forms and files; the certificate authority's and the consumer system's are calls, for they have no page here.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.chromium import open_tab
from tests.clicking import SETTLE_S, Person
from tests.integration import calling
from tests.integration.freshfederation import PASSWORD, USER, FreshFederation, fresh_federation

pytestmark = pytest.mark.processes
PIN = "Secret-1234"
INSTANCE, OWNER = "MX", "MX:GOB:00-RNSS"
MANAGEMENT, PROVIDER, CONSUMER = f"{OWNER}:GESTION", f"{OWNER}:INDICE", f"{OWNER}:PORTAL"
DENIED = "server.serverproxy.access_denied"
READY = "This server is ready to exchange messages"


async def begin_the_instance(person: Person, at: FreshFederation) -> None:
    """The central server's wizard to its end; each step leads to the page where it is done."""
    await person.open("")
    await person.follow("Set it up step by step")
    await person.do(
        {
            "instance_identifier": INSTANCE,
            "central_server_address": f"{at.central}:8080",
            "software_token_pin": PIN,
        }
    )
    await person.open("asistente")
    await person.follow("Make the signing key for this instance")
    for number, label in enumerate(("internal", "external")):
        await person.open("configuracion")
        await person.follow("Make a signing key", number)
        await person.do({"key_label": label})
    await person.open("asistente")
    await person.follow("Add a member class")
    await person.do({"code": "GOB", "description": "Institutos"})
    await approve_authorities(person, at)
    await add_the_first_member(person)


async def approve_authorities(person: Person, at: FreshFederation) -> None:
    """The certificate authority with its responder, and the timestamping authority; all are listed afterwards."""
    files = {n: (at.folder / "trust" / f"{n}.pem").read_bytes() for n in ("root", "ocsp", "tsa")}
    await person.open("asistente")
    await person.follow("Approve a certificate authority")
    await person.follow("Approve a certificate authority")
    await person.upload("certificate", files["root"], "root.pem")
    await person.do({"certificate_profile_info": "FiVRK", "tls_auth": "false"})
    await person.open("autoridad?id=1")
    await person.follow("Add a responder")
    await person.upload("certificate", files["ocsp"], "ocsp.pem")
    await person.do({"url": f"http://{at.trust}:8888/ocsp", "cost_type": "FREE"})
    await person.open("confianza")
    await person.follow("Approve a timestamping authority")
    await person.upload("certificate", files["tsa"], "tsa.pem")
    await person.do({"url": f"http://{at.trust}:8888/tsa", "cost_type": "FREE"})
    assert f"http://{at.trust}:8888/tsa" in await person.tab.text()
    await person.open("autoridad?id=1")
    assert f"http://{at.trust}:8888/ocsp" in await person.tab.text()


async def add_the_first_member(person: Person) -> None:
    """The member whose subsystem will provide the management services; nothing is left to be done then."""
    await person.open("miembros")
    await person.follow("Add a member")
    await person.do(
        {"member_id.member_class": "GOB", "member_id.member_code": "00-RNSS", "member_name": "Registro"}
    )
    await person.follow("Add a subsystem")
    await person.do({"subsystem_id.member_class": "GOB", "subsystem_id.member_code": "00-RNSS",
                     "subsystem_id.subsystem_code": "GESTION"})  # fmt: skip
    await person.open("configuracion")
    await person.follow("Choose the provider")
    await person.do({"service_provider_id": MANAGEMENT})
    await person.open("asistente")
    text = await person.tab.text()
    assert text.count("to be done") == 1, await person.where()
    assert "a security server can begin with its anchor" in text


async def become_a_server(person: Person, at: FreshFederation, anchor: bytes) -> None:
    """The gateway's wizard: anchor, owner, server code and PIN, a timestamping authority, two keys with their certificates."""
    await person.open("")
    await person.follow("Set it up step by step")
    await person.upload("body", anchor, "anchor.xml")
    await person.do()
    assert "Is this digest the one" in await person.tab.text()
    await person.do({"owner_member_class": "GOB", "owner_member_code": "00-RNSS", "security_server_code": "SS1",
                     "software_token_pin": PIN})  # fmt: skip
    await person.follow("Choose a timestamping authority")
    await person.follow("Use it")
    await person.do()
    for use, words, kind in (
        ("SIGNING", "Make a key that signs messages, with its signing request", "sign"),
        ("AUTHENTICATION", "Make a key that connects to other servers, with its signing request", "auth"),
    ):
        await person.open("asistente")
        await person.follow(words)
        await order_a_certificate(person, at, use, kind)


async def order_a_certificate(person: Person, at: FreshFederation, use: str, kind: str) -> None:
    """A key, its request by the fields of the authority's profile, what the authority answers, imported."""
    await person.fill({"uso": use})
    await person.send(form="main form.query")
    assert "Step 2 of 2" in await person.tab.text()
    fields = {"serialNumber": f"{INSTANCE}/SS1/GOB"} if "(serialNumber)" in await person.tab.text() else {}
    prefix = "csr_generate_request.subject_field_values."
    named = {f"{prefix}{n}": v for n, v in fields.items() if await person.has_field(f"{prefix}{n}")}
    for name, value in (("O", "Registro"), ("CN", at.gateway), ("subjectAltName", at.gateway)):
        if await person.has_field(f"{prefix}{name}"):
            named[f"{prefix}{name}"] = value
    await person.do({"key_label": kind, **named})
    request = await person.download("download as text")
    await person.follow("Import a certificate")
    await person.upload("body", await asyncio.to_thread(at.certify, request, kind), f"{kind}.pem")
    await person.do()


async def approve(person: Person, said: str) -> None:
    """The request that waits at the central server, by its page, which says what approving brings."""
    await person.until("", r"Requests to be decided: 1\.")
    await person.open("solicitudes")
    await person.tab.click("main tbody a")
    assert said in await person.tab.text(), await person.where()
    await person.send()
    assert "Done" in await person.tab.text()


async def register_the_server(central: Person, gateway: Person, at: FreshFederation) -> None:
    """Its authentication certificate, and the services by which later requests come, all on the one server there is."""
    await gateway.open("llaves")
    await gateway.follow("Register it")
    await gateway.do({"address": at.gateway})
    await approve(central, f"other servers connect to {OWNER}:SS1 by this certificate")
    await central.open("configuracion")
    await central.follow("Register the provider on a server")
    await central.do({"security_server_id": f"{OWNER}:SS1"})
    await gateway.until("llaves", "registered")
    await gateway.follow("Use it")
    await gateway.do()
    await central.open("configuracion")
    wsdl, services = [
        await central.tab.ask(
            f"[...document.querySelectorAll('dt')].find(t => t.textContent === '{name}').nextElementSibling.textContent.trim()"
        )
        for name in ("Address of their WSDL", "Address of the services")
    ]
    await add_subsystem(gateway, "GESTION")
    await gateway.open(f"cliente?id={MANAGEMENT}")
    await gateway.follow("Add SOAP by WSDL")
    await gateway.do({"url": wsdl}, warned=False)
    await gateway.open(f"servicio?id={quote(MANAGEMENT + ':clientReg')}")
    await gateway.follow("Address and timeout")
    await gateway.do({"url": services, "ssl_auth": "false"})
    await gateway.do(
        {"items.0.id": f"{INSTANCE}:security-server-owners", "items.0.service_client_type": "GLOBALGROUP"}
    )
    await switch_on(gateway, MANAGEMENT)


async def add_subsystem(person: Person, subsystem: str) -> None:
    """A subsystem of the owner's, kept here."""
    await person.open("cliente/nuevo")
    await person.do({"client.member_class": "GOB", "client.member_code": "00-RNSS", "client.subsystem_code": subsystem,
                     "client.connection_type": "HTTP"})  # fmt: skip


async def switch_on(person: Person, client: str) -> None:
    """The one description of a client."""
    await person.open(f"cliente?id={client}")
    await person.follow("description")
    await person.follow("Switch on")
    await person.do()


def call(at: FreshFederation) -> calling.Answer:
    """The exchange, as the consumer's system makes it."""
    return calling.call(at.gateway, "00-RNSS/INDICE/echo/x", client=CONSUMER.replace(":", "/"))


async def answered(at: FreshFederation, status: int, code: str = "") -> None:
    """The exchange until it has that status and fault code: rights and registrations reach the server in their time."""
    async with asyncio.timeout(SETTLE_S):
        while True:
            found = await asyncio.to_thread(call, at)
            if (found.status, found.code) == (status, code):
                return
            await asyncio.sleep(0.3)


async def join(central: Person, gateway: Person) -> None:
    """The provider's and the consumer's subsystems, registered; then the wizard has nothing left."""
    for subsystem in ("INDICE", "PORTAL"):
        await add_subsystem(gateway, subsystem)
        await gateway.open(f"cliente?id={OWNER}:{subsystem}")
        await gateway.follow("Register")
        await gateway.do()
        await approve(central, f"{OWNER}:{subsystem} becomes a client of {OWNER}:SS1")
        await gateway.until(f"cliente?id={OWNER}:{subsystem}", "REGISTERED")
    await gateway.open("servidor")
    listed = await gateway.tab.text()
    # The timestamping authority in use, and the certificate authority with its end.
    for told in ("in use", "CN=Dev Root CA"):
        assert told in listed, listed
    await gateway.open("asistente")
    assert READY in await gateway.tab.text(), await gateway.where()


async def exchange_and_revoke(gateway: Person, at: FreshFederation) -> None:
    """A service behind the provider: refused, granted and answered, revoked and refused."""
    await gateway.open(f"cliente?id={PROVIDER}")
    await gateway.follow("Add REST by its address")
    await gateway.do({"url": at.system_address, "rest_service_code": "echo"})
    await switch_on(gateway, PROVIDER)
    await answered(at, 500, DENIED)
    await gateway.open(f"derechos?cliente={PROVIDER}")
    await gateway.follow("Grant echo")
    await gateway.do({"sc_id": CONSUMER})
    await answered(at, 200)
    await gateway.follow("Revoke")
    await gateway.do()
    await answered(at, 500, DENIED)


@pytest.mark.xroad("F011", "F012", "F034", "F055", "F171", "F172")
async def test_two_empty_servers_become_a_federation_that_exchanges_by_pages_alone(tmp_path: Path) -> None:
    with fresh_federation(tmp_path) as at:
        async with open_tab("en") as central_tab, open_tab("en") as gateway_tab:
            central = Person(central_tab, f"https://{at.central}:4000", tmp_path)
            gateway = Person(gateway_tab, f"https://{at.gateway}:4000", tmp_path)
            await central.log_in(USER, PASSWORD)
            await begin_the_instance(central, at)
            await central.open("configuracion")
            anchor = await central.download("Download the anchor")
            await gateway.log_in(USER, PASSWORD)
            await become_a_server(gateway, at, anchor)
            await register_the_server(central, gateway, at)
            await join(central, gateway)
            await exchange_and_revoke(gateway, at)
            assert central_tab.complaints == []
            assert gateway_tab.complaints == []
