"""The calls of X-Road's set-up scenario, made by ourselves: same order, same statuses, same fields, and more states asked.

Runs on the stage of ``serve-for-hurl`` (a network of its own), so that X-Road's ports and host names hold.
"""

from __future__ import annotations

import http.client
import json
import secrets
import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from tests.interop.hurlstage import PASSWORD, USER

SETTLE_S = 120.0
CA, OWNER, CLIENT = "testca", "DEV:COM:1234", "DEV:COM:4321"
MANAGEMENT_SERVICES = (
    "authCertDeletion", "clientDeletion", "clientReg", "ownerChange", "clientEnable", "clientDisable",
    "addressChange", "clientRename", "maintenanceModeEnable", "maintenanceModeDisable",
)  # fmt: skip


TOO_MANY_REQUESTS = 429


class Failed(AssertionError):
    """A call answered otherwise than it must."""


calls = 0


class Admin:
    """One server's admin API, seen through a session."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.cookies: dict[str, str] = {}
        self._context = ssl.create_default_context()
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE

    def send(self, method: str, path: str, body: bytes | None, content_type: str) -> tuple[int, bytes]:
        connection = http.client.HTTPSConnection(self.host, 4000, context=self._context, timeout=90)
        headers = {"Cookie": "; ".join(f"{k}={v}" for k, v in self.cookies.items())} if self.cookies else {}
        if "XSRF-TOKEN" in self.cookies:
            headers["X-XSRF-TOKEN"] = self.cookies["XSRF-TOKEN"]
        if body is not None:
            headers["Content-Type"] = content_type
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        for line in answer.headers.get_all("Set-Cookie") or []:
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
        connection.close()
        return answer.status, content

    def call(
        self,
        method: str,
        path: str,
        expected: int,
        body: object = None,
        *,
        content_type: str = "application/json",
        settle: bool = False,
    ) -> Any:
        """One call; ``settle`` repeats it while another configuration is on its way. The body of the answer, parsed."""
        global calls  # a count for the last line
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        until = time.monotonic() + (SETTLE_S if settle else 0)
        while True:
            try:
                status, content = self.send(method, path, raw, content_type)
            except ConnectionError as err:
                status, content = 0, str(err).encode()
            if status == expected:
                calls += 1
                return json.loads(content) if content[:1] in (b"{", b"[") else content
            if (
                status == TOO_MANY_REQUESTS
            ):  # this exercise is faster than a person; it waits as any client should
                time.sleep(1)
                continue
            if time.monotonic() >= until:
                raise Failed(f"{method} {self.host}{path}: {status}, not {expected}: {content[:500]!r}")
            time.sleep(0.5)

    def api(self, method: str, path: str, expected: int, body: object = None, **how: Any) -> Any:
        return self.call(method, "/api/v1" + path, expected, body, **how)

    def log_in(self) -> None:
        self.call("GET", "/", 200, settle=True)
        form = urlencode({"username": USER, "password": PASSWORD}).encode()
        self.call("POST", "/login", 200, form, content_type="application/x-www-form-urlencoded")

    def until(self, path: str, is_so: Any, what: str) -> None:
        """Ask until something is so."""
        deadline = time.monotonic() + SETTLE_S
        while not is_so(found := self.api("GET", path, 200)):
            if time.monotonic() > deadline:
                raise Failed(f"{self.host}: {what} was not reached; last: {found}")
            time.sleep(0.5)


def multipart(**parts: str | Path) -> tuple[bytes, str]:
    """A form with fields and files."""
    boundary = secrets.token_hex(8)
    out = b""
    for name, value in parts.items():
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"'
        if isinstance(value, Path):
            head += f'; filename="{value.name}"\r\nContent-Type: application/octet-stream'
        out += head.encode() + b"\r\n\r\n"
        out += (value.read_bytes() if isinstance(value, Path) else value.encode()) + b"\r\n"
    return out + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def form(server: Admin, path: str, **parts: str | Path) -> Any:
    body, content_type = multipart(**parts)
    return server.api("POST", path, 201, body, content_type=content_type)


def sign(kind: str, request: bytes, folder: Path) -> bytes:
    """A certificate of the test CA."""
    global calls  # a count for the last line
    file = folder / f"{kind}.csr.pem"
    file.write_bytes(request)
    body, content_type = multipart(type=kind, certreq=file)
    connection = http.client.HTTPConnection(CA, 8888, timeout=30)
    connection.request("POST", "/testca/sign", body, {"Content-Type": content_type})
    answer = connection.getresponse()
    if answer.status != 200:
        raise Failed(f"the test CA answered {answer.status}")
    calls += 1
    return answer.read()


def central_server(cs: Admin, files: Path) -> bytes:
    """From nothing to a published configuration; its internal anchor."""
    cs.log_in()
    address = {
        "software_token_pin": "Secret1234",
        "instance_identifier": "DEV",
        "central_server_address": "cs",
    }
    cs.api("POST", "/initialization", 200, address)
    for code in ("COM", "GOV", "ORG"):
        cs.api("POST", "/member-classes", 201, {"code": code, "description": code})
    cs.api("PUT", "/tokens/0/login", 200, {"password": "Secret1234"})
    for source in ("INTERNAL", "EXTERNAL"):
        key = {"key_label": source, "token_id": 0}
        cs.api("POST", f"/configuration-sources/{source}/signing-keys", 200, key)
    for code, name in (("1234", "Test member"), ("4321", "Test client")):
        member = {"member_class": "COM", "member_code": code}
        cs.api("POST", "/members", 201, {"member_id": member, "member_name": name})
    subsystem = {"member_class": "COM", "member_code": "1234", "subsystem_code": "MANAGEMENT"}
    cs.api("POST", "/subsystems", 201, {"subsystem_id": subsystem})
    cs.api("PATCH", "/management-services-configuration", 200, {"service_provider_id": f"{OWNER}:MANAGEMENT"})
    profile = "ee.ria.xroad.common.certificateprofile.impl.FiVRKCertificateProfileInfoProvider"
    ca = form(
        cs, "/certification-services", certificate_profile_info=profile, tls_auth="false",
        default_csr_format="DER", acme_server_directory_url="http://testca:8887", certificate=files / "ca.pem",
    )  # fmt: skip
    path = f"/certification-services/{ca['id']}/ocsp-responders"
    form(cs, path, url="http://testca:8888", cost_type="FREE", certificate=files / "ocsp.pem")
    form(
        cs,
        "/timestamping-services",
        url="http://testca:8899",
        cost_type="FREE",
        certificate=files / "tsa.pem",
    )
    anchor = cs.api("GET", "/configuration-sources/INTERNAL/anchor/download", 200)
    assert isinstance(anchor, bytes)
    return anchor


def begin(ss: Admin, anchor: bytes, code: str, member: str) -> None:
    """Anchor and identity of a security server."""
    ss.log_in()
    ss.api("GET", "/tokens", 409)
    ss.api("POST", "/system/anchor", 201, anchor, content_type="application/octet-stream", settle=True)
    ss.api("POST", "/system/anchor", 409, anchor, content_type="application/octet-stream")
    identity = {
        "owner_member_class": "COM", "owner_member_code": member, "security_server_code": code,
        "software_token_pin": "Secret1234", "ignore_warnings": True,
    }  # fmt: skip
    ss.api("POST", "/initialization", 201, identity)
    ss.api("POST", "/initialization", 409, identity)
    status = ss.api("GET", "/initialization/status", 200)
    assert status["is_server_code_initialized"], status
    assert status["software_token_init_status"] == "INITIALIZED", status


def certify(ss: Admin, token: str, usage: str, fields: dict[str, str], folder: Path, member: str = "") -> str:
    """Key, request, certificate; the certificate's handle."""
    ca = ss.api("GET", "/certificate-authorities", 200)[0]["name"]
    asked = {"key_usage_type": usage, "ca_name": ca, "csr_format": "DER", "subject_field_values": fields}
    if member:
        asked["member_id"] = member
    made = ss.api(
        "POST", f"/tokens/{token}/keys-with-csrs", 200, {"key_label": usage, "csr_generate_request": asked}
    )
    path = f"/keys/{made['key']['id']}/csrs/{made['csr_id']}?csr_format=PEM"
    request = ss.api("GET", path, 200)
    certificate = sign("auth" if usage == "AUTHENTICATION" else "sign", request, folder)
    kept = ss.api("POST", "/token-certificates", 201, certificate, content_type="application/octet-stream")
    ss.api("POST", "/token-certificates", 409, certificate, content_type="application/octet-stream")
    expected = ("SAVED", False) if usage == "AUTHENTICATION" else ("REGISTERED", True)
    assert (kept["status"], kept["active"]) == expected, kept
    return str(kept["certificate_details"]["hash"])


def subject(host: str, organisation: str, serial: str) -> dict[str, str]:
    return {"CN": host, "C": "FI", "O": organisation, "subjectAltName": host, "serialNumber": serial}


def approve(cs: Admin) -> None:
    """The newest waiting request."""
    waiting = cs.api("GET", "/management-requests?sort=id&desc=true&status=WAITING", 200)
    cs.api("POST", f"/management-requests/{waiting['items'][0]['id']}/approval", 200)


def register_server(cs: Admin, ss: Admin, auth: str) -> None:
    ss.api("PUT", f"/token-certificates/{auth}/register", 204, {"address": ss.host}, settle=True)
    found = ss.api("GET", f"/token-certificates/{auth}", 200)
    assert found["status"] == "REGISTRATION_IN_PROGRESS", found
    approve(cs)


def management_services(cs: Admin, ss: Admin, auth: str) -> None:
    """SS0 becomes the management security server."""
    path = "/management-services-configuration/register-provider"
    cs.api("POST", path, 200, {"security_server_id": f"{OWNER}:SS0"})
    client = add_client(ss, "1234", "MANAGEMENT")
    where = cs.api("GET", "/management-services-configuration", 200)
    description = {"url": where["wsdl_address"], "type": "WSDL", "ignore_warnings": True}
    made = ss.api("POST", f"/clients/{client}/service-descriptions", 201, description)
    ss.api("POST", f"/clients/{client}/service-descriptions", 409, description)
    every = {
        "ignore_warnings": True, "ssl_auth": False, "ssl_auth_all": True, "timeout": 60, "timeout_all": True,
        "url": where["services_address"], "url_all": True,
    }  # fmt: skip
    changed = ss.api("PATCH", f"/services/{made['services'][0]['id']}", 200, every)
    assert changed["url"] == where["services_address"], changed
    path = f"/clients/{client}/service-clients/DEV:security-server-owners/access-rights"
    ss.api("POST", path, 201, {"items": [{"service_code": c} for c in MANAGEMENT_SERVICES]}, settle=True)
    ss.api("PUT", f"/service-descriptions/{made['id']}/enable", 200)
    activate(ss, auth)


def activate(ss: Admin, auth: str) -> None:
    ss.api("PUT", f"/token-certificates/{auth}/activate", 204, settle=True)
    ss.until(
        f"/token-certificates/{auth}", lambda c: c["status"] == "REGISTERED", "the certificate REGISTERED"
    )
    found = ss.api("GET", f"/token-certificates/{auth}", 200)
    assert (found["active"], found["ocsp_status"]) == (True, "OCSP_RESPONSE_GOOD"), found


def add_client(ss: Admin, member: str, code: str) -> str:
    client = {"member_class": "COM", "member_code": member, "subsystem_code": code, "connection_type": "HTTP"}
    made = ss.api("POST", "/clients", 201, {"ignore_warnings": True, "client": client})
    ss.api("POST", "/clients", 409, {"ignore_warnings": True, "client": client})
    return str(made["id"])


def register_client(cs: Admin, ss: Admin, client: str) -> None:
    assert ss.api("GET", f"/clients/{client}", 200)["status"] == "SAVED"
    ss.api("PUT", f"/clients/{client}/register", 204, settle=True)
    assert ss.api("GET", f"/clients/{client}", 200)["status"] == "REGISTRATION_IN_PROGRESS"
    approve(cs)
    ss.until(f"/clients/{client}", lambda c: c["status"] == "REGISTERED", "the client REGISTERED")


def services(ss: Admin, provider: str, consumer: str) -> None:
    """SOAP, REST and OpenAPI services of the provider, open to the consumer."""
    base, rights = (
        f"/clients/{provider}/service-descriptions",
        f"/clients/{provider}/service-clients/{consumer}",
    )
    url = "http://issoap:8080/example-adapter/Endpoint"
    made = ss.api("POST", base, 201, {"url": f"{url}?wsdl", "type": "WSDL", "ignore_warnings": True})
    every = {
        "ignore_warnings": True, "ssl_auth": False, "ssl_auth_all": True, "timeout": 60, "timeout_all": True,
        "url": url, "url_all": True,
    }  # fmt: skip
    ss.api("PATCH", f"/services/{made['services'][0]['id']}", 200, every)
    codes = ("getRandom", "helloService", "listPeople", "personDetails")
    ss.api("POST", f"{rights}/access-rights", 201, {"items": [{"service_code": c} for c in codes]})
    ss.api("PUT", f"/service-descriptions/{made['id']}/enable", 200)
    rest = {"url": "http://isrest:8080/integration/mock_1", "type": "REST", "rest_service_code": "mock1"}
    made = ss.api("POST", base, 201, rest)
    assert made["disabled"], made
    ss.api("PUT", f"/service-descriptions/{made['id']}/enable", 200)
    ss.api("POST", f"{rights}/access-rights", 201, {"items": [{"service_code": "mock1"}]})
    api = {"url": "http://isopenapi:8080/v3/api-docs", "type": "OPENAPI3", "rest_service_code": "restapi"}
    made = ss.api("POST", base, 201, api)
    found = ss.api("GET", f"/services/{quote(provider + ':restapi', safe='')}", 200)
    endpoint = next(
        e["id"] for e in found["endpoints"] if (e["path"], e["method"]) == ("/api/members", "GET")
    )
    granted = {"items": [{"id": consumer, "name": "Test client", "service_client_type": "SUBSYSTEM"}]}
    ss.api("POST", f"/endpoints/{endpoint}/service-clients", 201, granted)
    ss.api("POST", f"/endpoints/{endpoint}/service-clients", 409, granted)
    ss.api("PUT", f"/service-descriptions/{made['id']}/enable", 200)


def send_message(host: str, path: str, client: str, method: str = "POST") -> tuple[int, bytes]:
    """A message over the road; status and body of the answer."""
    connection = http.client.HTTPConnection(host, 8080, timeout=60)
    headers = {"X-Road-Client": client, "Content-Type": "application/json"}
    connection.request(method, path, b"{}" if method == "POST" else None, headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


def exchange(path: str, client: str, expected: int, method: str = "POST") -> bytes:
    """A message over the road that must be answered so."""
    global calls  # a count for the last line
    status, content = send_message("ss1", path, client, method)
    if status != expected:
        raise Failed(f"{method} {path} as {client}: {status}, not {expected}: {content[:300]!r}")
    calls += 1
    return content


@dataclass(frozen=True)
class Stage:
    """What the set-up leaves: the servers, and a consumer and a provider that exchange."""

    cs: Admin
    ss0: Admin
    ss1: Admin
    consumer: str
    provider: str


def run(folder: Path) -> Stage:
    """Everything, in X-Road's order."""
    cs, ss0, ss1 = Admin("cs"), Admin("ss0"), Admin("ss1")
    anchor = central_server(cs, folder / "files" / "ca")
    begin(ss0, anchor, "SS0", "1234")
    auth = certify(ss0, "0", "AUTHENTICATION", subject("ss0", "Test member", "DEV/SS0/COM"), folder)
    certify(ss0, "0", "SIGNING", subject("1234", "Test member", "DEV/SS0/COM"), folder, OWNER)
    register_server(cs, ss0, auth)
    management_services(cs, ss0, auth)
    tsa = ss0.api("GET", "/timestamping-services", 200)[0]
    ss0.api("POST", "/system/timestamping-services", 201, tsa)
    ss0.api("POST", "/system/timestamping-services", 409, tsa)
    begin(ss1, anchor, "SS1", "4321")
    auth = certify(ss1, "0", "AUTHENTICATION", subject("ss1", "Test client", "DEV/SS1/COM"), folder)
    hard = next(t["id"] for t in ss1.api("GET", "/tokens", 200) if t["type"] == "HARDWARE")
    certify(ss1, hard, "SIGNING", subject("4321", "Test client", "DEV/SS1/COM"), folder, CLIENT)
    register_server(cs, ss1, auth)
    activate(ss1, auth)
    ss1.api("POST", "/system/timestamping-services", 201, tsa)
    consumer = add_client(ss1, "4321", "TestClient")
    register_client(cs, ss1, consumer)
    provider = add_client(ss0, "1234", "TestService")
    register_client(cs, ss0, provider)
    register_client(cs, ss0, add_client(ss0, "1234", "TestSaved"))
    foreign = add_client(ss1, "1234", "test-consumer")
    certify(ss1, hard, "SIGNING", subject("1234", "Test Consumer", "DEV/SS1/COM"), folder, OWNER)
    register_client(cs, ss1, foreign)
    services(ss0, provider, consumer)
    body = exchange("/r1/DEV/COM/1234/TestService/mock1", "DEV/COM/4321/TestClient", 200)
    assert json.loads(body)["message"] == "Hello, world from POST service!", body
    exchange("/r1/DEV/COM/1234/TestService/restapi/api/members", "DEV/COM/4321/TestClient", 200, "GET")
    exchange("/r1/DEV/COM/1234/TestService/restapi/api/members/1", "DEV/COM/4321/TestClient", 500, "GET")
    exchange("/r1/DEV/COM/1234/TestService/mock1", "DEV/COM/1234/test-consumer", 500)
    return Stage(cs, ss0, ss1, consumer, provider)
