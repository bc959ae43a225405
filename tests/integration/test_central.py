"""Two instances of real processes: management requests over the road, changes seen within seconds, federation."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from cryptography import x509

from benchmarks.federation import Federation, GatewaySpec, free_base, run_command
from central_server.cli.main import main as central_command
from central_server.management.requests import approve_request, end_request
from central_server.store.records import Actor, CentralStore
from certs.algorithms import SignatureAlgorithm
from certs.certificates import der_of
from certs.edges.configurationfiles import load_configuration_folder
from certs.edges.fetch import fetch_ocsp
from certs.edges.tokenfiles import TokenFolder
from certs.tls import TlsCredentials
from certs.tokens.port import KeyId, SigningIdentity
from certs.tokens.soft import SoftToken
from certs.verify import chain as chains
from certs.verify import ocsp
from gateway.cli.main import main as gateway_command
from gateway.management.requests import ManagementSender
from gateway.management.sender import HttpManagementChannel
from schemas.faults import PeerFault
from schemas.identifiers import ClientId
from schemas.management import ManagementRequest, ManagementServiceCode
from serving.storage.selfsigned import self_signed
from tests.integration.pair import QUICK_CONFIGURATION, client, management_services, service, start_echo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

pytestmark = pytest.mark.processes
MX, GT = free_base(), free_base()
FEDERATED = QUICK_CONFIGURATION + '\nfederations = "all"'
MANAGEMENT = GatewaySpec(
    "00-ONIESS",
    "ONIESS",
    f"{MX}.10",
    ["PADRON"],
    management_services(MX, "MX/GOB/00-ONIESS"),
    settings=FEDERATED,
)
INSTITUTE = GatewaySpec(
    "26-NUEVO",
    "NUEVO",
    f"{MX}.26",
    ["AFIL"],
    client("MX/GOB/26-NUEVO") + client("MX/GOB/26-NUEVO/AFIL"),
    settings=FEDERATED,
)
FOREIGN = GatewaySpec(
    "90-IGSS",
    "IGSS",
    f"{GT}.90",
    ["PADRON"],
    client("GT/GOB/90-IGSS/PADRON") + service("echo", f"http://{GT}.10:9000", "MX/GOB/26-NUEVO/AFIL"),
    settings=FEDERATED,
)
OWNER = ClientId("MX", "GOB", "26-NUEVO")


@dataclass
class Instances:
    """Two instances that trust one another."""

    mx: Federation
    gt: Federation


@pytest.fixture(scope="module")
def instances(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instances]:
    mx = Federation(tmp_path_factory.mktemp("mx"), [MANAGEMENT, INSTITUTE], base=MX)
    mx.environment |= {
        "SACBE_CENTRAL_CATALOGUE_GATEWAY": f"http://{MANAGEMENT.address}:8080",
        "SACBE_CENTRAL_CATALOGUE_CLIENT": "MX/GOB/00-ONIESS",
        "SACBE_CENTRAL_CATALOGUE_INTERVAL_S": "2",
        "SACBE_CENTRAL_CATALOGUE_PORT": "8089",
    }
    gt = Federation(tmp_path_factory.mktemp("gt"), [FOREIGN], base=GT, instance="GT")
    try:
        for federation in (mx, gt):
            federation.set_up()
            federation.start_trust()
            federation.start_central()
        for here, there in ((mx, gt), (gt, mx)):
            anchor = there.folder / "external.xml"
            data = str(there.folder / "central")
            run_command(central_command, "anchor", "external", "--data", data, "--out", str(anchor))
            run_command(
                central_command, "trusted", "add", "--data", str(here.folder / "central"), str(anchor)
            )
        start_echo(gt)
        for federation in (mx, gt):
            for spec in federation.gateways:
                federation.start_gateway(spec, wait=False)
            for spec in federation.gateways:
                federation.wait_for(f"http://{spec.address}:5588/")
        gt.wait_for(f"http://{GT}.10:9000/")
        yield Instances(mx, gt)
    finally:
        mx.stop()
        gt.stop()


def call(url: str, client: str) -> int:
    request = urllib.request.Request(url, headers={"X-Road-Client": client})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as err:
        print(err.read())
        return err.code


@pytest.mark.xroad("F166")
def test_members_of_two_instances_exchange_messages(instances: Instances) -> None:
    url = f"http://{INSTITUTE.address}:8080/r1/GT/GOB/90-IGSS/PADRON/echo/hola"
    until(lambda: call(url, "MX/GOB/26-NUEVO/AFIL") == 200)
    assert call(url, "MX/GOB/26-NUEVO/OTRO") != 200


# The service catalogue: the central server's process asks through the management gateway


OPENAPI = """
openapi: 3.0.3
info:
  title: Vigencia de derechos
  description: Dice si una persona tiene derechos vigentes
  version: "1"
  contact: {name: Juana Pérez, email: juana@nuevo.example}
  x-data-sets: [Vigencia]
  x-purposes: [atención médica]
paths:
  /vigencia:
    get: {operationId: consultarVigencia, responses: {"200": {description: vigente}}}
"""
SERVICE = """
[[client.service]]
code = "vigencia"
type = "OPENAPI3"
url = "http://127.0.0.1:9"
description = "vigencia.yaml"
"""


def offer(federation: Federation, description: str) -> None:
    """The institute describes a service of its subsystem AFIL."""
    data = federation.data(INSTITUTE)
    (data / "vigencia.yaml").write_text(description, encoding="utf-8")
    (data / "gateway.toml").write_text(INSTITUTE.desired + SERVICE, encoding="utf-8")
    run_command(gateway_command, "apply", "--data", str(data), str(data / "gateway.toml"))


def catalogue() -> dict[str, Any]:
    """What the catalogue exports of the institute's service."""
    with urllib.request.urlopen(f"http://{MX}.1:8089/catalogo.jsonld", timeout=30) as answer:
        graph = json.load(answer)["@graph"]
    return next((n for n in graph if n.get("sacbe:xroadService", "").endswith("AFIL/vigencia")), {})


def shown(words: str) -> bool:
    """Whether the catalogue's page finds the service by words."""
    url = f"http://{MX}.1:8089/catalogo?{urllib.parse.urlencode({'words': words})}"
    with urllib.request.urlopen(url, timeout=30) as answer:
        return "Vigencia de derechos" in answer.read().decode()


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.3)


def test_services_are_gathered_through_the_management_gateway(instances: Instances) -> None:
    mx = instances.mx
    offer(mx, OPENAPI)
    until(lambda: bool(catalogue()))
    found = catalogue()
    assert (found["dct:title"]["@value"], found["dcat:version"]) == ("Vigencia de derechos", "1")
    assert found["dct:publisher"] == {"@id": f"http://{MX}.1:8089/org/MX/GOB/26-NUEVO"}
    assert shown("consultarVigencia")
    assert not shown("pensiones")
    with urllib.request.urlopen(found["dcat:endpointDescription"]["@id"], timeout=30) as answer:
        kept = answer.read().decode()
    assert "consultarVigencia" in kept
    assert "Juana" not in kept
    offer(mx, OPENAPI.replace("consultarVigencia", "consultarDerechos"))
    until(lambda: catalogue()["dcat:version"] == "2")
    until(lambda: shown("consultarDerechos"))


def test_a_provider_that_is_not_reached_stays_in_the_catalogue_with_since_when(instances: Instances) -> None:
    mx = instances.mx
    offer(mx, OPENAPI)
    until(lambda: "sacbe:unreachableSince" not in (catalogue() or {"sacbe:unreachableSince": ""}))
    mx.kill(INSTITUTE.key)
    try:
        until(lambda: "sacbe:unreachableSince" in catalogue())
        assert shown("vigencia")
    finally:
        mx.start_gateway(INSTITUTE)
    until(lambda: "sacbe:unreachableSince" not in catalogue())


# Management requests


class Identities:
    """The institute's signing key, out of its gateway's token, with a fresh OCSP response."""

    def __init__(self, federation: Federation, folder: Path, response: bytes) -> None:
        pin = (federation.folder / "pin").read_text()
        self.token = SoftToken(TokenFolder(federation.data(INSTITUTE) / "token"))
        self.token.unlock(pin)
        self.extra = SoftToken.create(TokenFolder(folder / "token"), pin)
        self.certificate = certificate_of(federation)
        self._response = response

    def signing(self, member: ClientId, now: datetime) -> tuple[SigningIdentity, Sequence[bytes]]:
        key_id = self.token.find_key(self.certificate.public_key())
        assert key_id is not None
        algorithm = SignatureAlgorithm.for_key(self.certificate.public_key())
        return SigningIdentity(member, key_id, self.certificate, (), algorithm), (self._response,)

    async def sign(self, key_id: KeyId, digest: bytes, algorithm: SignatureAlgorithm) -> bytes:
        own = key_id in {i.id for i in self.token.key_infos()}
        return await (self.token if own else self.extra).sign(key_id, digest, algorithm)


@dataclass
class OwnChannel:
    """The institute's own consumer side over HTTP; registration as the gateway does it."""

    pinned: HttpManagementChannel
    session: aiohttp.ClientSession

    async def send_message(self, content_type: str, body: bytes) -> tuple[int, bytes]:
        url = f"http://{INSTITUTE.address}:8080/"
        async with self.session.post(url, data=body, headers={"Content-Type": content_type}) as answer:
            return answer.status, await answer.read()

    async def ask_own(
        self, path: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> tuple[int, bytes]:
        raise AssertionError(f"nothing is asked of the own consumer side here: {path}")

    async def post_pinned(self, url: str, cert: bytes, content_type: str, body: bytes) -> tuple[int, bytes]:
        return await self.pinned.post_pinned(url, cert, content_type, body)

    async def get_pinned(self, url: str, certificate: bytes) -> tuple[int, bytes]:
        return await self.pinned.get_pinned(url, certificate)


def certificate_of(federation: Federation) -> x509.Certificate:
    return x509.load_pem_x509_certificate((federation.folder / "26-NUEVO-sign.pem").read_bytes())


async def response_of(session: aiohttp.ClientSession, federation: Federation) -> bytes:
    certificate, now = certificate_of(federation), datetime.now(UTC)
    configuration = load_configuration_folder(federation.data(INSTITUTE) / "globalconf")
    issuer = chains.verify_chain(certificate, (), configuration, "MX", now)[1]
    urls = [f"http://{federation.trust_address}:8888/ocsp"]
    return await fetch_ocsp(session, urls, ocsp.build_request(certificate, issuer))


def clients_in_configuration(federation: Federation, spec: GatewaySpec) -> set[ClientId]:
    configuration = load_configuration_folder(federation.data(spec) / "globalconf")
    server = configuration.server(OWNER.server("SS1"))
    assert server is not None
    return set(server.clients)


@pytest.mark.xroad("F060")
async def test_an_institute_registers_a_subsystem_and_sees_it_within_five_seconds(
    instances: Instances, tmp_path: Path
) -> None:
    mx = instances.mx
    store = CentralStore(mx.folder / "central" / "central.sqlite")
    async with aiohttp.ClientSession() as session:
        identities = Identities(mx, tmp_path, await response_of(session, mx))
        channel = OwnChannel(
            HttpManagementChannel(session, "", lambda: TlsCredentials(*self_signed("test"))),
            session,
        )
        folder, numbers = mx.data(INSTITUTE) / "globalconf", iter(range(100))
        sender = ManagementSender(
            lambda: load_configuration_folder(folder),
            lambda: identities,
            identities,
            channel,
            lambda: datetime.now(UTC),
            lambda: f"id-{next(numbers)}",
        )
        desired = OWNER.subsystem("NUEVA")
        register = ManagementRequest(ManagementServiceCode.CLIENT_REG, OWNER.server("SS1"), desired)
        sent = await sender.send_request(register)
        assert (await sender.fetch_status(sent)).status == "WAITING"
        with pytest.raises(PeerFault, match="management_request_exists"):
            await sender.send_request(register)
        with store.change(Actor("ana"), datetime.now(UTC)) as records:
            approve_request(records, sent.request_id)
        began = time.monotonic()
        while desired not in clients_in_configuration(mx, MANAGEMENT):
            assert time.monotonic() - began < 90
            await asyncio.sleep(0.1)
        assert (await sender.fetch_status(sent)).status == "APPROVED"

        disable = ManagementRequest(ManagementServiceCode.CLIENT_DISABLE, OWNER.server("SS1"), desired)
        assert (await sender.send_request(disable)).request_id > sent.request_id
        delete = ManagementRequest(ManagementServiceCode.CLIENT_DELETION, OWNER.server("SS1"), desired)
        assert (await sender.send_request(delete)).request_id > sent.request_id

        # A second authentication certificate, by pinned TLS to 4001.
        assert mx.pki is not None
        key_id = identities.extra.generate_key("ec-p256", "auth", "auth")
        auth = mx.pki.issue_auth(identities.extra.public_key(key_id), OWNER.server("SS1"), INSTITUTE.address)
        registration = ManagementRequest(
            ManagementServiceCode.AUTH_CERT_REG,
            OWNER.server("SS1"),
            address=INSTITUTE.address,
            auth_certificate=der_of(auth),
        )
        sent = await sender.send_request(registration, auth_key=key_id)
        with store.change(Actor("ana"), datetime.now(UTC)) as records:
            end_request(records, sent.request_id, "falta el oficio")
        status = await sender.fetch_status(sent)
        assert (status.status, status.comments) == ("DECLINED", "falta el oficio")
        identities.token.close()
        identities.extra.close()
    store.close()
