"""Management requests of X-Road's own tests get the answer X-Road gives them.

The bytes are made here as the list describes them, with a PKI of our own; what the list calls the central server's part
(accepting with a number, refusing with 409) is a double, for the list is about what comes before it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from cryptography.hazmat.primitives.asymmetric import ec

from central_server.edges.management import ManagementEdge
from central_server.management.trusted import trusted_configuration
from central_server.registry.refusals import RegistryCode, refuse
from certs.certificates import der_of
from schemas.faults import snake_code
from schemas.faultxml import parse_soap_fault
from schemas.identifiers import ClientId, ServerId
from schemas.management import (
    ManagementRequest,
    ManagementServiceCode,
    RequestParts,
    parse_response,
    render_parts,
    render_request,
)
from serving.api.limits import RateLimit
from serving.storage.audit import AUDIT_STEP, AuditLog
from serving.storage.database import Database
from tests.instance import Instance, signature_over
from tests.paths import VECTORS

if TYPE_CHECKING:
    from pathlib import Path

    from central_server.store.records import Actor
    from central_server.store.requests import NewRequest
    from certs.configuration import TrustedConfiguration
    from schemas.management import ManagementMessage, RequestStatus

CASES = json.loads((VECTORS / "management/cases.json").read_text(encoding="utf-8"))["cases"]
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


@dataclass
class Keeper:
    """Answers as a case says the central server does."""

    configuration: TrustedConfiguration
    says: dict[str, Any]
    kept: list[NewRequest] = field(default_factory=list)

    def trusted(self) -> TrustedConfiguration:
        return self.configuration

    def keep(self, message: ManagementMessage, wanted: NewRequest, actor: Actor, now: datetime) -> int:
        self.kept.append(wanted)
        if self.says.get("answers") == 409:
            raise refuse(RegistryCode.MANAGEMENT_REQUEST_EXISTS, 1)
        return int(self.says["accepts_with_id"])

    def find(self, number: int, message_id: str) -> RequestStatus:
        raise refuse(RegistryCode.MANAGEMENT_REQUEST_NOT_FOUND, number)


def client_of(text: str) -> ClientId:
    return ClientId(*text.split(":"))


def request_of(case: dict[str, Any], instance: Instance) -> ManagementRequest:
    asked = case["request"]
    certificate = None
    if "auth_certificate" in asked or case["service"] == "authCertReg":
        certificate = b"filled in later"
    address = asked.get("address")
    if address and address.startswith("64 times"):
        address = "a" * 64 + ".invalid"
    return ManagementRequest(
        ManagementServiceCode(case["service"]),
        ServerId(*asked["server"].split(":")[:4]),
        client_of(asked["client"]) if "client" in asked else None,
        address,
        certificate,
        asked.get("subsystem_name"),
        asked.get("message"),
    )


def signed_body(case: dict[str, Any], instance: Instance) -> tuple[str, bytes]:
    asked, request = case["request"], request_of(case, instance)
    header = replace(instance.header(request, "id-1"), client=client_of(asked["sender"]))
    if request.auth_certificate is not None:
        request = replace(request, auth_certificate=der_of(instance.auth(request.server.owner)[1]))
    soap = render_request(request, header)
    if not asked["signed"]:
        return render_parts(RequestParts(soap), "x")
    speaks_for = (request.client or request.server.owner).member
    if speaks_for.member_code == "___":  # no certificate can name it: serialNumber is a PrintableString
        speaks_for = request.server.owner
    key, certificate = instance.signer(speaks_for)
    if asked["ocsp"] == "revoked":
        instance.pki.revoke(certificate)
    status = instance.ocsp_of(certificate)
    if asked["signed"] == "with another key":
        key = ec.generate_private_key(ec.SECP256R1())
    shown = b"" if asked.get("certificate") == "empty" else der_of(certificate)
    return render_parts(RequestParts(soap, (signature_over(key, soap),), (shown, status)), "x")


def registration_body(case: dict[str, Any], instance: Instance) -> tuple[str, bytes]:
    asked = case["request"]
    owner = ClientId(instance.name, "CLASS", "MEMBER")
    (auth_key, auth), (key, certificate) = instance.auth(owner), instance.signer(owner)
    request = replace(request_of({**case, "request": {**asked, "server": "TEST:CLASS:MEMBER:SS1"}}, instance))
    request = replace(request, auth_certificate=der_of(auth))
    if asked["server"].startswith("TEST-X"):
        request = replace(request, server=ServerId("TEST-X", "CLASS", "MEMBER", "SS1"))
    if "auth_certificate_in_body" in asked:
        request = replace(request, auth_certificate=bytes(len(der_of(auth))))
    soap = render_request(request, instance.header(request, "id-1"))
    if " : " in asked["server"]:
        soap = re.sub(rb">SS1<", b">S:;S1<", soap).replace(b">MEMBER<", b">MEM BER<")
    if asked["ocsp"] == "revoked":
        instance.pki.revoke(certificate)
    parts = RequestParts(
        soap,
        (
            signature_over(auth_key if asked["auth_signature"] == "right" else key, soap),
            signature_over(key if asked["owner_signature"] == "right" else auth_key, soap),
        ),
        (der_of(auth), der_of(certificate), instance.ocsp_of(certificate)),
    )
    if asked["ocsp"] == "random":
        parts = replace(parts, attachments=(b"\x07" * 1024, b"\x08" * 1024, b"\x09" * 1024))
    return render_parts(parts, "x")


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["name"])
@pytest.mark.xroad("F165")
async def test_a_request_gets_the_answer_x_road_gives(case: dict[str, Any], tmp_path: Path) -> None:
    registration = case["service"] == "authCertReg"
    instance = Instance(tmp_path, NOW, "TEST" if registration else "EE")
    keeper = Keeper(trusted_configuration(instance.registry()), case["central_server"])
    edge = ManagementEdge(
        keeper,
        AuditLog(Database(tmp_path / "audit.sqlite", (AUDIT_STEP,))),
        lambda: NOW,
        lambda: 0.0,
        RateLimit(0, 0),
    )
    if case["request"].get("body") == "empty":
        content_type, body = "multipart/related; boundary=partboundary", b""
    else:
        content_type, body = (registration_body if registration else signed_body)(case, instance)
    app, path = edge.service_app(), "/managementservice/manage/"
    if registration:
        app, path = edge.registration_app(), "/managementservice/"
    async with TestClient(TestServer(app)) as client:
        answer = await client.post(path, data=body, headers={"Content-Type": content_type})
        raw = await answer.read()
    check(case, answer.status, raw, keeper)
    if answer.status != 200:
        (_, text, _) = next(edge.audit.records())
        assert json.loads(text)["outcome"] == "refused"


def check(case: dict[str, Any], status: int, raw: bytes, keeper: Keeper) -> None:
    expected = case["expect"]
    if expected["outcome"] == "valid":
        assert status == 200
        assert parse_response(raw, ManagementServiceCode(case["service"])) == expected["request_id"]
        check_forwarded(expected.get("forwarded", {}), keeper.kept[0])
        return
    assert status == 500
    fault = parse_soap_fault(raw)
    assert fault is not None
    if expected["code"] is not None:
        assert snake_code(fault.code) == expected["code"]
    assert fault.string.startswith(expected.get("fault_string", ""))
    if case["central_server"].get("reaches_central_server") is False:
        assert keeper.kept == []


def check_forwarded(expected: dict[str, str], kept: NewRequest) -> None:
    values = {
        "type": kept.type.value,
        "origin": kept.origin.value,
        "security_server_id": kept.server.encoded(),
        "client_id": None if kept.client is None else kept.client.encoded(),
        "server_address": kept.address,
        "subsystem_name": kept.subsystem_name,
        "message": kept.comments,
    }
    for name, value in expected.items():
        if name == "authentication_certificate":
            assert kept.certificate
        else:
            assert values[name] == value
