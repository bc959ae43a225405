"""The admin API: the central server's part of X-Road's set-up scenario, the codes of its errors, and who may do what."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import aiohttp
import argon2
import openapi_spec_validator
import pyrage
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from cryptography.hazmat.primitives.serialization import Encoding

from central_server.admin.api import make_api
from central_server.admin.context import CentralAdminContext
from central_server.admin.roles import (
    MANAGEMENT_SERVICE,
    REGISTRATION_OFFICER,
    SECURITY_OFFICER,
    SYSTEM_ADMINISTRATOR,
)
from central_server.config import Publishing
from central_server.datafolder import BACKUP_CONTENT
from central_server.edges.federation import check_external_source
from central_server.edges.management import ManagementEdge, StoreKeeper
from central_server.management.requests import MANUAL
from central_server.publication.node import CentralNode
from central_server.store.records import CentralStore
from central_server.store.sources import source_anchor
from certs.certificates import der_of
from schemas.faults import Fault, Kind
from schemas.faultxml import parse_soap_fault
from schemas.globalconf.anchor import Anchor, AnchorSource, parse_anchor, render_anchor
from schemas.identifiers import ClientId
from schemas.management import ManagementRequest, ManagementServiceCode, parse_response
from serving.api.authentication import Clock
from serving.api.backupoperations import BackupResource
from serving.api.limits import RateLimit
from serving.config.adminsettings import AdminSettings
from serving.login.users import Logins
from serving.storage.audit import AuditLog
from serving.storage.backup import Opener, fingerprint, open_backup
from serving.storage.backupkey import public_backup_key
from serving.storage.keysafe import KeySafe, Seal
from tests.instance import Instance

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from serving.api.server import AdminApi

IDENTITY = pyrage.x25519.Identity.generate()
RECIPIENT = str(IDENTITY.to_public())
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
EVERYTHING = (SECURITY_OFFICER, REGISTRATION_OFFICER, SYSTEM_ADMINISTRATOR)
QUICK = argon2.PasswordHasher(1, 8, 1)
MONITORING = b"""<ns:conf xmlns:ns="http://x-road.eu/xsd/xroad.xsd"><monitoringClient/></ns:conf>"""


async def trust_nobody(anchor: Anchor, now: datetime) -> None:
    if anchor.sources[0].download_url.startswith("http://127."):
        await check_external_source(anchor, now)
    if anchor.instance == "BAD":
        raise Fault(Kind.GLOBAL_CONF_SIGNATURE_FAILURE, "the signature does not hold")


@dataclass
class Central:
    """A central server in this process: its API and its registration service."""

    node: CentralNode
    api: AdminApi
    client: TestClient[Any, Any]
    registration: TestClient[Any, Any]
    instance: Instance
    headers: dict[str, str]

    async def call(self, method: str, path: str, body: object = None, status: int = 200) -> Any:
        answer = await self.client.request(method, f"/api/v1{path}", json=body, headers=self.headers)
        text = await answer.text()
        assert answer.status == status, text
        return json.loads(text) if answer.content_type == "application/json" else text

    async def refused(self, method: str, path: str, status: int, code: str, body: object = None) -> None:
        found = await self.call(method, path, body, status)
        assert found["error"]["code"] == code

    async def form(self, path: str, fields: dict[str, str], status: int = 201, **files: bytes) -> Any:
        form = aiohttp.FormData()
        for name, value in fields.items():
            form.add_field(name, value)
        for name, content in files.items():
            form.add_field(name, content, filename=f"{name}.pem", content_type="application/octet-stream")
        answer = await self.client.post(f"/api/v1{path}", data=form, headers=self.headers)
        text = await answer.text()
        assert answer.status == status, text
        return json.loads(text) if text else None

    async def set_up(self) -> None:
        """What the scenario does up to the anchor."""
        await self.call(
            "POST",
            "/initialization",
            {
                "software_token_pin": "Secret1234",
                "instance_identifier": "MX",
                "central_server_address": "cs.mx",
            },
        )
        for code in ("GOB", "COM"):
            await self.call("POST", "/member-classes", {"code": code, "description": code}, 201)
        await self.call("PUT", "/tokens/0/login", {"password": "Secret1234"})
        for source in ("INTERNAL", "EXTERNAL"):
            key = {"key_label": "key", "token_id": 0}
            await self.call("POST", f"/configuration-sources/{source}/signing-keys", key)
        for code in ("00-ONIESS", "15-ISSEMYM"):
            member = {"member_id": {"member_class": "GOB", "member_code": code}, "member_name": code}
            await self.call("POST", "/members", member, 201)
        subsystem = {"member_class": "GOB", "member_code": "00-ONIESS", "subsystem_code": "GESTION"}
        await self.call("POST", "/subsystems", {"subsystem_id": subsystem}, 201)
        await self.call(
            "PATCH", "/management-services-configuration", {"service_provider_id": "MX:GOB:00-ONIESS:GESTION"}
        )
        pki = self.instance.pki
        ca = await self.form(
            "/certification-services",
            {
                "certificate_profile_info": "ee.ria.xroad.common.certificateprofile.impl."
                "BasicCertificateProfileInfoProvider",
                "tls_auth": "false",
                "default_csr_format": "DER",
                "acme_server_directory_url": "http://ca.mx:8887",
            },
            certificate=pki.root.public_bytes(Encoding.PEM),
        )
        below = await self.form(
            f"/certification-services/{ca['id']}/intermediate-cas",
            {},
            certificate=pki.intermediate.public_bytes(Encoding.PEM),
        )
        await self.form(
            f"/intermediate-cas/{below['id']}/ocsp-responders",
            {"url": "http://ca.mx:8888", "cost_type": "FREE"},
            certificate=pki.ocsp_certificate.public_bytes(Encoding.PEM),
        )
        await self.form(
            "/timestamping-services",
            {"url": "http://ca.mx:8899", "cost_type": "FREE"},
            certificate=pki.tsa_certificate.public_bytes(Encoding.PEM),
        )

    async def register_server(self, member: str = "15-ISSEMYM") -> int:
        """A server's authentication certificate arrives on 4001; the number of the request."""
        owner = ClientId("MX", "GOB", member)
        auth = self.instance.auth(owner)
        request = ManagementRequest(
            ManagementServiceCode.AUTH_CERT_REG,
            owner.server("SS1"),
            address="ss1.mx",
            auth_certificate=der_of(auth[1]),
        )
        content_type, body = self.instance.body(request, f"id-{member}", auth=auth)
        answer = await self.registration.post(
            "/managementservice/", data=body, headers={"Content-Type": content_type}
        )
        assert answer.status == 200, await answer.text()
        return parse_response(await answer.read(), request.service)


@pytest.fixture
async def central(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Central]:
    policy = getattr(request, "param", MANUAL)
    instance = Instance(tmp_path, NOW)
    node = CentralNode(
        tmp_path / "data", CentralStore(tmp_path / "data" / "central.sqlite"), Publishing(key_kind="ec-p256")
    )
    logins = Logins(tmp_path / "admin.sqlite", QUICK)
    logins.save_user("xrd", "secret", EVERYTHING)
    for name, role in (("so", SECURITY_OFFICER), ("ro", REGISTRATION_OFFICER), ("sy", SYSTEM_ADMINISTRATOR)):
        logins.save_user(name, "secret", [role])
    keeper = StoreKeeper(node.store, lambda: policy)
    clock = Clock(lambda: NOW, lambda: 0.0)
    api = make_api(
        CentralAdminContext(node, lambda: policy, keeper.trusted, trust_nobody, "test"),
        AdminSettings(requests_per_second=0, requests_per_minute=0),
        logins,
        clock,
        BackupResource(
            tmp_path / "data",
            BACKUP_CONTENT,
            lambda: (RECIPIENT,),
            lambda: node.store.read().instance,
            "test",
            KeySafe((Seal.of_token(bytes(32)),)),
        ),
    )
    edge = ManagementEdge(keeper, AuditLog(node.store.database), lambda: NOW, lambda: 0.0, RateLimit(0, 0))
    client, registration = TestClient(TestServer(api.app())), TestClient(TestServer(edge.registration_app()))
    await client.start_server()
    await registration.start_server()
    made = Central(node, api, client, registration, instance, {})
    made.headers = await log_in(made, "xrd")
    yield made
    await client.close()
    await registration.close()
    await node.close()
    logins.close()


async def log_in(central: Central, name: str) -> dict[str, str]:
    answer = await central.client.post("/login", data={"username": name, "password": "secret"})
    cookies = {key: morsel.value for key, morsel in answer.cookies.items()}
    central.client.session.cookie_jar.clear()
    return {
        "Cookie": "; ".join(f"{k}={v}" for k, v in cookies.items()),
        "X-XSRF-TOKEN": cookies["XSRF-TOKEN"],
    }


@pytest.mark.xroad("F012", "F047", "F048", "F052", "F067", "F161", "F162")
async def test_the_set_up_scenario_leads_to_a_published_configuration(central: Central) -> None:
    await central.set_up()
    raw = await central.call("GET", "/configuration-sources/INTERNAL/anchor/download")
    assert parse_anchor(raw.encode()).sources[0].download_url == "http://cs.mx/internalconf"
    assert await central.node.publish_if_due(NOW)
    number = await central.register_server("00-ONIESS")
    listed = await central.call("GET", "/management-requests?sort=id&desc=true&status=WAITING")
    assert listed["items"][0]["id"] == number
    approved = await central.call("POST", f"/management-requests/{number}/approval")
    assert approved["status"] == "APPROVED"
    registered = await central.call(
        "POST",
        "/management-services-configuration/register-provider",
        {"security_server_id": "MX:GOB:00-ONIESS:SS1"},
    )
    assert registered["security_server_id"] == "MX:GOB:00-ONIESS:SS1"
    services = await central.call("GET", "/management-services-configuration")
    assert services["services_address"] == "https://cs.mx:4002/managementservice/manage/"
    assert services["wsdl_address"] == "http://cs.mx/managementservices.wsdl"
    owners = await central.call("GET", "/global-groups/security-server-owners")
    assert owners["member_count"] == 1
    assert await central.node.publish_if_due(NOW)
    details = await central.call("GET", f"/management-requests/{number}")
    assert details["certificate_details"]["key_usages"]


@pytest.mark.xroad("F127")
async def test_alerts_say_what_keeps_the_configuration_from_being_published(central: Central) -> None:
    codes = [a["errorCode"] for a in await central.call("GET", "/notifications/alerts")]
    assert "status.signing_key.internal.missing" in codes
    await central.set_up()
    await central.node.publish_if_due(NOW)
    assert await central.call("GET", "/notifications/alerts") == []


async def test_requests_are_found_by_several_types_at_once(central: Central) -> None:
    await central.set_up()
    await central.register_server()
    types = "types=AUTH_CERT_REGISTRATION_REQUEST&types=OWNER_CHANGE_REQUEST"
    assert len((await central.call("GET", f"/management-requests?{types}"))["items"]) == 1
    assert (await central.call("GET", "/management-requests?types=OWNER_CHANGE_REQUEST"))["items"] == []


async def test_a_replayed_request_is_refused_and_recorded(central: Central) -> None:
    await central.set_up()
    number = await central.register_server()
    await central.call("DELETE", f"/management-requests/{number}?comments=no")
    with pytest.raises(AssertionError, match="management_request_replayed"):
        await central.register_server()
    log = [json.loads(text) for _, text, _ in AuditLog(central.node.store.database).records()]
    assert log[-1]["outcome"] == "refused"
    assert log[-1]["detail"]["code"] == "management_request_replayed"


async def test_a_forged_request_is_refused_and_recorded(central: Central) -> None:
    await central.set_up()
    owner = ClientId("MX", "GOB", "15-ISSEMYM")
    auth = central.instance.auth(owner)
    request = ManagementRequest(
        ManagementServiceCode.AUTH_CERT_REG,
        owner.server("SS1"),
        address="ss1.mx",
        auth_certificate=der_of(auth[1]),
    )
    content_type, body = central.instance.body(request, "id-1", auth=auth)
    for forged in (body.replace(b">ss1.mx<", b">66s.mx<"), body.replace(b">SS1<", b">SS6<")):
        assert forged != body
        answer = await central.registration.post(
            "/managementservice/", data=forged, headers={"Content-Type": content_type}
        )
        fault = parse_soap_fault(await answer.read())
        assert fault is not None
        assert (answer.status, fault.code.rpartition(".")[2]) == (500, "invalid_signature_value")
        log = [json.loads(text) for _, text, _ in AuditLog(central.node.store.database).records()]
        assert (log[-1]["outcome"], log[-1]["detail"]["code"]) == ("refused", fault.code)
    assert (await central.call("GET", "/management-requests"))["items"] == []


async def test_another_instance_s_unsigned_configuration_is_refused_and_recorded(central: Central) -> None:
    await central.set_up()

    async def unsigned(_request: web.Request) -> web.Response:
        current = central.node.published.current
        assert current is not None
        return web.Response(
            body=current.directories["external", 6].replace(b"instance='MX'", b"instance='GT'")
        )

    await central.node.publish_if_due(NOW)
    app = web.Application()
    app.router.add_get("/externalconf", unsigned)
    found = source_anchor(central.node.store.read(), "external")
    assert found is not None
    certificates = parse_anchor(found[0]).sources[0].verification_certificates
    async with TestServer(app) as server:
        url = str(server.make_url("/externalconf"))
        anchor = render_anchor(Anchor("GT", (AnchorSource(url, certificates),), NOW))
        refused = await central.form("/trusted-anchors", {}, 400, anchor=anchor)
    assert refused["error"]["code"] == "trusted_anchor_verification_failed"
    assert "signature" in refused["error"]["metadata"][0]
    assert await central.call("GET", "/trusted-anchors") == []
    row = [json.loads(t) for _, t, _ in central.api.audit.records()][-1]
    assert (row["event"], row["outcome"]) == ("ADD_TRUSTED_ANCHOR", "failed")
    assert "trusted_anchor_verification_failed" in row["detail"]["error"]


async def test_a_certificate_of_a_foreign_ca_is_refused_and_recorded(
    central: Central, tmp_path: Path
) -> None:
    await central.set_up()
    (tmp_path / "other").mkdir()
    central.instance = Instance(tmp_path / "other", NOW)
    with pytest.raises(AssertionError, match="cannot_create_cert_path"):
        await central.register_server()
    log = [json.loads(text) for _, text, _ in AuditLog(central.node.store.database).records()]
    assert log[-1]["outcome"] == "refused"


async def test_what_became_of_a_request_is_told_to_who_knows_its_message(central: Central) -> None:
    await central.set_up()
    number = await central.register_server()
    path = f"/managementservice/requests/{number}"
    assert (await central.registration.get(f"{path}/guessed")).status == 404
    await central.call("DELETE", f"/management-requests/{number}?comments=falta+el+oficio")
    answer = await central.registration.get(f"{path}/id-15-ISSEMYM")
    assert await answer.json() == {
        "id": number,
        "type": "AUTH_CERT_REGISTRATION_REQUEST",
        "status": "DECLINED",
        "comments": "falta el oficio",
    }


async def test_every_error_has_its_code_and_status(central: Central) -> None:
    again = {
        "software_token_pin": "Secret1234",
        "instance_identifier": "MX",
        "central_server_address": "cs.mx",
    }
    await central.set_up()
    member = {"member_id": {"member_class": "GOB", "member_code": "00-ONIESS"}}
    strange = {"member_id": {"member_class": "NO", "member_code": "1"}}
    subsystem = {"member_class": "GOB", "member_code": "NO", "subsystem_code": "X"}
    for method, path, status, code, body in (
        ("POST", "/initialization", 409, "init_already_initialized", again),
        ("POST", "/member-classes", 409, "member_class_exists", {"code": "GOB", "description": "x"}),
        ("POST", "/member-classes", 400, "validation_failure", {"code": "A:B", "description": "x"}),
        ("POST", "/member-classes", 400, "validation_failure", {"code": "AB"}),
        ("DELETE", "/member-classes/GOB", 409, "member_class_is_in_use", None),
        ("DELETE", "/member-classes/NO", 404, "member_class_not_found", None),
        ("POST", "/members", 409, "member_exists", member),
        ("POST", "/members", 404, "member_class_not_found", strange),
        ("GET", "/members/MX:GOB:NO", 404, "member_not_found", None),
        ("GET", "/members/MX:GOB", 400, "invalid_member_id", None),
        ("POST", "/subsystems", 404, "member_not_found", {"subsystem_id": subsystem}),
        ("DELETE", "/subsystems/MX:GOB:1:NO", 404, "subsystem_not_found", None),
        ("GET", "/security-servers/MX:GOB:1:SS", 404, "security_server_not_found", None),
        ("GET", "/security-servers?sort=no", 400, "invalid_sort_properties", None),
        ("GET", "/global-groups/no", 404, "global_group_not_found", None),
        (
            "DELETE",
            "/global-groups/security-server-owners",
            400,
            "owners_global_group_cannot_be_deleted",
            None,
        ),
        ("GET", "/certification-services/99", 404, "certification_service_not_found", None),
        ("GET", "/certification-services/x", 404, "certification_service_not_found", None),
        ("GET", "/intermediate-cas/99", 404, "intermediate_ca_not_found", None),
        ("DELETE", "/ocsp-responders/99", 404, "ocsp_responder_not_found", None),
        ("GET", "/timestamping-services/99", 404, "timestamping_authority_not_found", None),
        ("GET", "/configuration-sources/OTHER/anchor/download", 404, "configuration_not_found", None),
        ("DELETE", "/signing-keys/no", 404, "signing_key_not_found", None),
        ("PUT", "/tokens/0/login", 400, "pin_incorrect", {"password": "wrong"}),
        ("PUT", "/tokens/1/login", 404, "token_not_found", {"password": "Secret1234"}),
        ("DELETE", "/trusted-anchors/AA", 404, "trusted_anchor_not_found", None),
        ("GET", "/management-requests/99", 404, "management_request_not_found", None),
        ("POST", "/management-requests/99/approval", 404, "management_request_not_found", None),
        (
            "PATCH",
            "/management-services-configuration",
            400,
            "invalid_service_provider_id",
            {"service_provider_id": "MX"},
        ),
        (
            "PATCH",
            "/management-services-configuration",
            404,
            "subsystem_not_found",
            {"service_provider_id": "MX:GOB:1:2"},
        ),
    ):
        await central.refused(method, path, status, code, body)


@pytest.mark.xroad("F065", "F067", "F068", "F070")
async def test_members_groups_and_servers_live_their_whole_life(central: Central) -> None:
    await central.set_up()
    number = await central.register_server()
    await central.call("POST", f"/management-requests/{number}/approval")
    server = "/security-servers/MX:GOB:15-ISSEMYM:SS1"
    moved = await central.call("PATCH", server, {"server_address": "new.mx"})
    assert moved["server_address"] == "new.mx"
    assert moved["in_maintenance_mode"] is False
    (certificate,) = await central.call("GET", f"{server}/authentication-certificates")
    subsystem = {"member_class": "GOB", "member_code": "15-ISSEMYM", "subsystem_code": "AFIL"}
    await central.call("POST", "/subsystems", {"subsystem_id": subsystem, "subsystem_name": "Afil"}, 201)
    made = await central.call(
        "POST",
        "/management-requests",
        {
            "type": "CLIENT_REGISTRATION_REQUEST",
            "origin": "CENTER",
            "security_server_id": "MX:GOB:15-ISSEMYM:SS1",
            "client_id": "MX:GOB:15-ISSEMYM:AFIL",
        },
        202,
    )
    await central.call("POST", f"/management-requests/{made['id']}/approval")
    (client,) = await central.call("GET", f"{server}/clients")
    assert client["client_id"]["encoded_id"] == "MX:GOB:15-ISSEMYM:AFIL"
    await central.refused(
        "DELETE", "/subsystems/MX:GOB:15-ISSEMYM:AFIL", 400, "subsystem_registered_and_cannot_be_deleted"
    )
    await central.call("POST", "/global-groups", {"code": "institutos", "description": "Institutos"}, 201)
    items = {"items": ["MX:GOB:15-ISSEMYM:AFIL"]}
    await central.call("POST", "/global-groups/institutos/members/add", items, 201)
    await central.refused(
        "POST", "/global-groups/institutos/members/add", 409, "global_group_member_exists", items
    )
    found = await central.call("POST", "/global-groups/institutos/members", {"query": "afil"})
    assert found["paging_metadata"]["total_items"] == 1
    page = await central.call("GET", "/clients?client_type=SUBSYSTEM&sort=member_name&limit=1&offset=1")
    assert page["paging_metadata"] == {"total_items": 2, "items": 1, "limit": 1, "offset": 1}
    await central.call("DELETE", f"{server}/authentication-certificates/{certificate['id']}", status=204)
    await central.call("DELETE", "/members/MX:GOB:15-ISSEMYM", status=204)
    assert (await central.call("GET", "/security-servers"))["items"] == []
    assert AuditLog(central.node.store.database).verify()[0] > 20


@pytest.mark.xroad("F160")
async def test_an_optional_part_that_is_malformed_or_unknown_is_refused(central: Central) -> None:
    await central.set_up()
    path = "/configuration-sources/INTERNAL/configuration-parts"
    bad = await central.form(path, {"content_identifier": "MONITORING"}, 400, file=b"<no/>")
    assert bad["error"]["code"] == "configuration_part_validation_failed"
    unknown = await central.form(path, {"content_identifier": "OTHER"}, 500, file=MONITORING)
    assert unknown["error"]["code"] == "unknown_configuration_part"
    await central.form(path, {"content_identifier": "MONITORING"}, 204, file=MONITORING)
    await central.node.publish_if_due(NOW)
    published = central.node.published.current
    assert published is not None
    assert "MONITORING" in [p.content_id for p in published.parts[6]]
    assert b"MONITORING" in published.directories["internal", 6]
    assert b"MONITORING" not in published.directories["external", 6]
    refusals = [json.loads(t) for _, t, _ in central.api.audit.records()]
    assert [r["outcome"] for r in refusals if r["event"] == "UPLOAD_CONFIGURATION_PART"] == [
        "failed",
        "failed",
        "done",
    ]


@pytest.mark.xroad("F166")
async def test_an_instance_is_trusted_once_its_configuration_is_proved(central: Central) -> None:
    await central.set_up()
    for name, status in (("OTRA", 201), ("BAD", 400), ("MX", 409)):
        anchor = Anchor(name, (AnchorSource("http://x/externalconf", (b"c",)),), NOW)
        found = await central.form("/trusted-anchors", {}, status, anchor=render_anchor(anchor))
        if status == 400:
            assert found["error"]["code"] == "trusted_anchor_verification_failed"
    (trusted,) = await central.call("GET", "/trusted-anchors")
    assert trusted["instance_identifier"] == "OTRA"
    await central.call("DELETE", f"/trusted-anchors/{trusted['hash']}", status=204)


@pytest.mark.xroad("F161")
async def test_signing_keys_rotate_without_a_break(central: Central) -> None:
    await central.set_up()
    key = {"key_label": "next", "token_id": "0"}
    made = await central.call("POST", "/configuration-sources/INTERNAL/signing-keys", key)
    assert made["active"] is False
    await central.refused(
        "POST", "/configuration-sources/INTERNAL/signing-keys", 400, "token_action_not_possible", key
    )
    (token,) = await central.call("GET", "/tokens")
    old = next(
        k for k in token["configuration_signing_keys"] if k["active"] and k["source_type"] == "INTERNAL"
    )
    await central.refused("DELETE", f"/signing-keys/{old['id']}", 400, "signing_key_action_not_possible")
    await central.call("PUT", f"/signing-keys/{made['id']}/activate", status=204)
    await central.node.publish_if_due(NOW)
    await central.call("DELETE", f"/signing-keys/{old['id']}", status=204)
    assert await central.node.publish_if_due(NOW + timedelta(seconds=1))


async def test_a_backup_is_made_for_its_recipient_listed_downloaded_and_deleted(
    central: Central, tmp_path: Path
) -> None:
    await central.set_up()
    name = (await central.call("POST", "/backups", status=201))["filename"]
    assert [b["filename"] for b in await central.call("GET", "/backups")] == [name]
    path = tmp_path / "data" / "backups" / name
    signer = fingerprint(public_backup_key(tmp_path / "data", KeySafe()))
    manifest, _ = open_backup(
        path.read_bytes(), BACKUP_CONTENT, Opener(identities=[str(IDENTITY)], signer=signer)
    )
    assert manifest.server == "MX"
    await central.refused("PUT", f"/backups/{name}/restore", 409, "backup_identity_needed")
    await central.call("DELETE", f"/backups/{name}", status=204)
    await central.refused("GET", f"/backups/{name}/download", 404, "backup_file_not_found")
    await central.refused("GET", "/backups/a.b.age/download", 400, "double_file_extension")
    await central.refused("GET", "/backups/%2e%2e%2fx.age/download", 400, "double_file_extension")
    await central.refused("GET", "/backups/pin/download", 400, "invalid_file_extension")


async def test_an_uploaded_backup_replaces_another_only_when_that_is_meant(central: Central) -> None:
    raw = b"age-encryption.org/v1\n"

    async def upload(content: bytes, name: str, query: str, status: int) -> Any:
        form = aiohttp.FormData()
        form.add_field("file", content, filename=name)
        answer = await central.client.post(
            f"/api/v1/backups/upload{query}", data=form, headers=central.headers
        )
        assert answer.status == status, await answer.text()
        return await answer.json()

    assert (await upload(raw, "mine.age", "", 201))["filename"] == "mine.age"
    assert (await upload(raw, "mine.age", "", 400))["warnings"][0]["code"] == "warning_file_already_exists"
    await upload(raw, "mine.age", "?ignore_warnings=true", 201)
    assert (await upload(b"PK", "mine.age", "", 400))["error"]["code"] == "invalid_file_content_type"
    assert (await upload(raw, "mine.tar", "", 400))["error"]["code"] == "invalid_file_extension"


async def test_a_form_with_broken_headers_is_refused_and_is_no_error_of_ours(central: Central) -> None:
    raw = b'--x\r\nContent-Disposition: form-data; name="\x01"\r\n\r\na\r\n--x--\r\n'
    answer = await central.client.post(
        "/api/v1/trusted-anchors/preview",
        data=raw,
        headers={**central.headers, "Content-Type": "multipart/form-data; boundary=x"},
    )
    assert answer.status == 400


async def test_without_a_login_every_path_is_401(central: Central) -> None:
    for operation in central.api.operations:
        if not operation.public:
            answer = await central.client.request(operation.method, f"/api/v1{operation.path}")
            assert answer.status == 401, operation.path


@pytest.mark.parametrize(
    ("name", "may", "may_not"),
    [
        (
            "so",
            [("GET", "/member-classes"), ("GET", "/trusted-anchors"), ("GET", "/audit-log")],
            [
                ("POST", "/members"),
                ("GET", "/management-requests"),
                ("POST", "/management-requests/1/approval"),
                ("POST", "/certification-services"),
                ("POST", "/timestamping-services"),
            ],
        ),
        (
            "ro",
            [("GET", "/clients"), ("GET", "/management-requests"), ("GET", "/security-servers")],
            [
                ("POST", "/member-classes"),
                ("POST", "/configuration-sources/INTERNAL/signing-keys"),
                ("PUT", "/tokens/0/login"),
                ("POST", "/trusted-anchors"),
                ("POST", "/initialization"),
                ("GET", "/audit-log"),
                ("POST", "/certification-services"),
            ],
        ),
        (
            "sy",
            [("GET", "/certification-services"), ("GET", "/tokens"), ("GET", "/audit-log")],
            [
                ("POST", "/members"),
                ("POST", "/management-requests/1/approval"),
                ("DELETE", "/trusted-anchors/AA"),
                ("POST", "/configuration-sources/INTERNAL/signing-keys"),
                ("PATCH", "/management-services-configuration"),
            ],
        ),
    ],
)
@pytest.mark.xroad("F130")
async def test_a_role_may_what_is_its_own_and_nothing_else(
    central: Central, name: str, may: list[tuple[str, str]], may_not: list[tuple[str, str]]
) -> None:
    await central.set_up()
    central.headers = await log_in(central, name)
    for method, path in may:
        await central.call(method, path)
    for method, path in may_not:
        await central.refused(method, path, 403, "forbidden")


async def test_machines_speak_for_servers_and_people_do_not(central: Central) -> None:
    await central.set_up()
    key = await central.call("POST", "/api-keys", [MANAGEMENT_SERVICE])
    certificate = der_of(central.instance.auth(ClientId("MX", "GOB", "15-ISSEMYM"))[1])
    request = {
        "type": "AUTH_CERT_REGISTRATION_REQUEST",
        "origin": "SECURITY_SERVER",
        "security_server_id": "MX:GOB:15-ISSEMYM:SS1",
        "server_address": "ss1.mx",
        "authentication_certificate": base64.b64encode(certificate).decode(),
    }
    await central.refused("POST", "/management-requests", 403, "forbidden", request)
    central.headers = {"Authorization": f"X-Road-ApiKey token={key['key']}"}
    assert (await central.call("POST", "/management-requests", request, 202))["status"] == "WAITING"
    await central.refused("GET", "/management-requests", 403, "forbidden")
    await central.refused("GET", "/members/MX:GOB:15-ISSEMYM", 403, "forbidden")


async def test_the_document_is_true_and_valid(central: Central) -> None:
    openapi_spec_validator.validate(central.api.document)
    assert len(central.api.document["paths"]) > 60


@pytest.mark.xroad("F168")
async def test_another_address_is_in_every_anchor_and_in_what_is_published(central: Central) -> None:
    await central.set_up()
    await central.call("PUT", "/system/server-address", {"central_server_address": "other.mx"})
    for source in ("INTERNAL", "EXTERNAL"):
        raw = await central.call("GET", f"/configuration-sources/{source}/anchor/download")
        urls = {s.download_url for s in parse_anchor(raw.encode()).sources}
        assert {u.split("/")[2] for u in urls} == {"other.mx"}
    services = await central.call("GET", "/management-services-configuration")
    assert services["wsdl_address"] == "http://other.mx/managementservices.wsdl"
    await central.node.publish_if_due(NOW)
    current = central.node.published.current
    assert current is not None
    assert all(
        b"<address>other.mx</address>" in p.content for p in current.parts[6] if "SHARED" in p.content_id
    )


@pytest.mark.xroad("F057")
async def test_the_management_services_certificate_is_seen_made_anew_and_requested(
    central: Central,
) -> None:
    await central.set_up()
    path = "/management-services-configuration"
    old = await central.call("GET", f"{path}/certificate")
    await central.call("POST", f"{path}/certificate", status=201)
    new = await central.call("GET", f"{path}/certificate")
    assert new["hash"] != old["hash"]
    request = await central.call("POST", f"{path}/generate-csr", {"name": "CN=cs.mx"})
    assert "BEGIN CERTIFICATE REQUEST" in request or request.startswith("0")
