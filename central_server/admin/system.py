"""Initialisation, version, cluster, the management services; and, ours, contacts and the audit log."""

from __future__ import annotations

import gzip
import io
import secrets
import tarfile
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from central_server.admin.context import actor_of, certificate_of, row
from central_server.admin.values import Encoded, certificate_file, check_url, client_of, member_of, server_of
from central_server.management import notices
from central_server.management.requests import MANUAL, add_request, approve_request
from central_server.publication.anchors import remake_anchors
from central_server.publication.generate import host_of
from central_server.registry.model import OWNERS_GROUP
from central_server.registry.refusals import RegistryCode, refuse
from central_server.store import members, servers, sources
from central_server.store.loading import number_parameter, provider, set_provider
from central_server.store.requests import NewRequest, RequestOrigin, RequestState, RequestType
from certs.certificates import parse_certificate, parse_name
from schemas.faults import Kind, TokenFailed
from schemas.identifiers import suspicious_characters
from serving.api.certificateview import CertificateDetails, certificate_details
from serving.api.operations import Download, MultipartForm
from serving.api.problems import Problem
from serving.language import N_, SOURCE_LANGUAGE, in_every_language
from serving.storage.audit import AuditLog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from central_server.admin.context import CentralAdminContext
    from serving.api.operations import Call, Operation
    from serving.language import Translatable

Address = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9.:\-\[\]]+$")]


class InitialCentralServer(msgspec.Struct, frozen=True):
    """The values a central server is initialised with: instance, address, PIN."""

    instance_identifier: Annotated[
        str, msgspec.Meta(min_length=1, max_length=255, pattern=r"^[a-zA-Z0-9'()+,\-.=?]*$")
    ]
    central_server_address: Address
    software_token_pin: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class CentralInitializationStatus(msgspec.Struct, frozen=True):
    """The state of initialisation: instance, address, and whether the software token has been made."""

    instance_identifier: str
    central_server_address: str
    software_token_init_status: str


class HighAvailabilityStatus(msgspec.Struct, frozen=True):
    """Whether there are several nodes, and which this is."""

    is_ha_configured: bool
    node_name: str


class SystemStatus(msgspec.Struct, frozen=True):
    """Whether the server is initialised, and how its nodes stand."""

    initialization_status: CentralInitializationStatus
    high_availability_status: HighAvailabilityStatus


class ClusterNode(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A node of the cluster."""

    node_name: str
    node_address: str
    status: str
    configuration_generated: str | None = None
    # Until when what it made last holds at the gateways, if it makes no other.
    configuration_expires: str | None = None


class ClusterStatus(msgspec.Struct, frozen=True):
    """Every node of the cluster and how it stands."""

    is_ha_configured: bool
    node_name: str
    nodes: list[ClusterNode]
    all_nodes_ok: bool


class Version(msgspec.Struct, frozen=True):
    """The version of the program that runs here."""

    info: str


class CentralServerAddress(msgspec.Struct, frozen=True):
    """The public address of this node."""

    central_server_address: Address


class ServicesConfiguration(msgspec.Struct, frozen=True, kw_only=True):
    """Who provides the management services, and where they are."""

    service_provider_id: str
    service_provider_name: str
    security_server_id: str
    security_server_owners_global_group_code: str
    services_address: str
    wsdl_address: str


class ServiceProviderId(msgspec.Struct, frozen=True):
    """The subsystem that is to provide the management services."""

    service_provider_id: Encoded


class RegisterProvider(msgspec.Struct, frozen=True):
    """The server the provider is to be a client of."""

    security_server_id: Encoded


class RequestSubjectName(msgspec.Struct, frozen=True):
    """The subject of a signing request."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


class Alert(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something an operator should look at; ``texts`` are ours: what ``metadata`` says in English, by language."""

    error_code: str = msgspec.field(name="errorCode")  # the name X-Road's pages read
    metadata: list[str]
    texts: list[dict[str, str]] = []


class ContactBody(msgspec.Struct, frozen=True):
    """An institute's contact for news of its requests: mail, webhook or both. The webhook's secret is made here and shown once."""

    mail: Annotated[str, msgspec.Meta(max_length=255, pattern=r"^[^@\s]+@[^@\s]+$")] | None = None
    webhook: Annotated[str, msgspec.Meta(max_length=1000)] | None = None


class ContactView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A member's contact; ``webhook_secret`` only in the answer that makes it."""

    member_id: str
    mail: str | None = None
    webhook: str | None = None
    webhook_secret: str | None = None


def operations(context: CentralAdminContext) -> Sequence[Operation]:
    """The rows about initialisation, status, addresses and certificates."""
    system, services, ours = _System(context), _Services(context), _Ours(context)
    base = "/management-services-configuration"
    return (
        row("POST", "/initialization", system.initialise, "Give the central server instance, address and PIN",
            "INIT_CONFIG", body=InitialCentralServer, event="INIT_CENTRAL_SERVER"),
        row("GET", "/initialization/status", system.initialisation, "How far initialisation has come",
            answer=CentralInitializationStatus),
        row("PUT", "/system/server-address", system.move, "Change this node's public address",
            "EDIT_CENTRAL_SERVER_ADDRESS", body=CentralServerAddress, answer=SystemStatus,
            event="EDIT_CENTRAL_SERVER_ADDRESS"),
        row("GET", "/system/status", system.status, "Initialisation and nodes", "VIEW_VERSION", answer=SystemStatus),
        row("GET", "/system/version", system.version, "What runs here", "VIEW_VERSION", answer=Version),
        row("GET", "/system/high-availability-cluster/status", system.cluster, "Every node", "VIEW_VERSION",
            answer=ClusterStatus),
        row("GET", base, services.one, "Who provides the management services", "VIEW_SYSTEM_SETTINGS",
            answer=ServicesConfiguration),
        row("PATCH", base, services.choose, "Choose the provider", "VIEW_SYSTEM_SETTINGS",
            body=ServiceProviderId, answer=ServicesConfiguration, event="EDIT_MANAGEMENT_SERVICES_PROVIDER",
            errors=(404,)),
        row("POST", f"{base}/register-provider", services.register, "Register the provider at a server",
            "REGISTER_SERVICE_PROVIDER", body=RegisterProvider, answer=ServicesConfiguration,
            event="REGISTER_MANAGEMENT_SERVICES_PROVIDER", errors=(404,)),
        row("GET", f"{base}/certificate", services.certificate, "TLS certificate of the management services",
            "VIEW_MANAGEMENT_SERVICE_TLS_CERT", answer=CertificateDetails, errors=(404,)),
        row("GET", f"{base}/download-certificate", services.download, "The same, as an archive",
            "DOWNLOAD_MANAGEMENT_SERVICE_TLS_CERT", answer="application/gzip", errors=(404,)),
        row("POST", f"{base}/certificate", services.make_certificate, "New key and self-signed certificate",
            "GENERATE_MANAGEMENT_SERVICE_TLS_KEY_CERT", status=201,
            event="GENERATE_MANAGEMENT_SERVICE_TLS_KEY_CERT", errors=(500,)),
        row("POST", f"{base}/generate-csr", services.make_csr, "Certificate signing request",
            "GENERATE_MANAGEMENT_SERVICE_TLS_CSR", body=RequestSubjectName, answer="application/octet-stream",
            event="GENERATE_MANAGEMENT_SERVICE_TLS_CSR"),
        row("POST", f"{base}/upload-certificate", services.upload, "Install a certificate",
            "UPLOAD_MANAGEMENT_SERVICE_TLS_CERT", body=MultipartForm({}, {"certificate": True}), answer=CertificateDetails,
            event="UPLOAD_MANAGEMENT_SERVICE_TLS_CERT"),
        row("GET", "/members/{member_id}/contact", ours.contact, "How a member is told of decisions",
            "VIEW_CONTACT", answer=ContactView),
        row("PUT", "/members/{member_id}/contact", ours.set_contact, "Say how a member is told of decisions",
            "EDIT_CONTACT", body=ContactBody, answer=ContactView, event="EDIT_CONTACT"),
        row("GET", "/notifications/alerts", system.alerts, "What an operator should look at", answer=list[Alert]),
        row("GET", "/audit-log", ours.audit, "Every change, a JSON line each, chained", "VIEW_AUDIT_LOG",
            answer="application/jsonl"),
    )  # fmt: skip


class _System:
    def __init__(self, context: CentralAdminContext) -> None:
        self._context = context

    async def initialise(self, call: Call) -> None:
        body = call.body_as(InitialCentralServer)
        if suspicious_characters(body.instance_identifier):
            raise Problem(400, "init_invalid_params", ["instance_identifier"])
        if not body.software_token_pin.isascii() or not body.software_token_pin.isprintable():
            raise Problem(400, "token_invalid_characters")
        try:
            await self._context.node.initialise(
                body.instance_identifier,
                body.central_server_address,
                body.software_token_pin,
                actor_of(call),
                call.now,
            )
        except TokenFailed as fault:
            code = "token_weak_pin" if fault.kind is Kind.INVALID_REQUEST else "init_invalid_params"
            raise Problem(400, code, [fault.detail]) from fault

    async def initialisation(self, _call: Call) -> CentralInitializationStatus:
        records = self._context.read()
        return CentralInitializationStatus(
            records.parameter("instance") or "",
            sources.node_address(records) or "",
            "INITIALIZED" if await self._context.node.keys.is_made() else "NOT_INITIALIZED",
        )

    async def move(self, call: Call) -> SystemStatus:
        with self._context.change(call) as records:
            sources.set_node_address(records, call.body_as(CentralServerAddress).central_server_address)
            remake_anchors(records)
        return await self.status(call)

    async def status(self, call: Call) -> SystemStatus:
        nodes = sources.list_nodes(self._context.read())
        return SystemStatus(
            await self.initialisation(call),
            HighAvailabilityStatus(len(nodes) > 1, self._context.node.store.node),
        )

    async def alerts(self, _call: Call) -> list[Alert]:
        node, records = self._context.node, self._context.read()
        found = []
        problem = node.current_problem
        if problem is not None:
            found.append(_alert("status.global_conf_generation.failing", [problem]))
        if node.faults:
            found.append(_alert("status.global_conf_generation.rows_at_fault", node.faults[:20]))
        for source in sources.SOURCES:
            active = next((k for k in sources.signing_keys(records, source) if k.active), None)
            if active is None:
                found.append(Alert(f"status.signing_key.{source}.missing", []))
            elif not await node.keys.is_open(active.token_id):
                found.append(Alert(f"status.signing_key.{source}.token_not_active", [active.token_id]))
        return found

    async def version(self, _call: Call) -> Version:
        return Version(self._context.version)

    async def cluster(self, call: Call) -> ClusterStatus:
        records = self._context.read()
        lifetime = timedelta(seconds=number_parameter(records, "expire_interval_s"))
        nodes = [_node(*found, call.now, lifetime) for found in sources.list_nodes(records)]
        return ClusterStatus(
            len(nodes) > 1, self._context.node.store.node, nodes, all(n.status == "OK" for n in nodes)
        )


def _alert(code: str, about: Sequence[Translatable]) -> Alert:
    return Alert(code, [a.into(SOURCE_LANGUAGE) for a in about], [in_every_language(a) for a in about])


def _webhook(url: str) -> str:
    """An address that a notice may be posted to. Raises `Refused`."""
    try:
        notices.check_webhook(url)
    except ValueError:
        raise refuse(RegistryCode.INVALID_URL, url[:255]) from None
    return check_url(url)


def _node(
    name: str, address: str, published_at: str | None, now: datetime, lifetime: timedelta
) -> ClusterNode:
    status, expires = "UNKNOWN", None
    if published_at is not None:
        at = datetime.fromisoformat(published_at)
        age, expires = now - at, (at + lifetime).isoformat()
        status = "OK" if age < timedelta(minutes=3) else "WARN" if age < timedelta(minutes=10) else "ERROR"
    return ClusterNode(
        node_name=name,
        node_address=address,
        status=status,
        configuration_generated=published_at,
        configuration_expires=expires,
    )


class _Services:
    def __init__(self, context: CentralAdminContext) -> None:
        self._context = context

    async def one(self, _call: Call) -> ServicesConfiguration:
        records = self._context.read()
        chosen = provider(records)
        found = None if chosen is None else members.find_client(records, chosen)
        at = [] if chosen is None or found is None else servers.servers_used_by(records, chosen)
        if chosen is not None and chosen.is_member:
            at += servers.servers_owned_by(records, chosen)
        name = "" if chosen is None else (members.need_client(records, chosen.member).name or "")
        address = sources.node_address(records) or ""
        return ServicesConfiguration(
            service_provider_id="" if chosen is None else chosen.encoded(),
            service_provider_name=name,
            security_server_id=", ".join(s.id.encoded() for s in at),
            security_server_owners_global_group_code=OWNERS_GROUP,
            services_address=f"https://{host_of(address)}:4002/managementservice/manage/",
            wsdl_address=f"http://{address}/managementservices.wsdl",
        )

    async def choose(self, call: Call) -> ServicesConfiguration:
        client = client_of(
            call.body_as(ServiceProviderId).service_provider_id, RegistryCode.INVALID_SERVICE_PROVIDER_ID
        )
        if client.is_member:
            raise refuse(RegistryCode.INVALID_SERVICE_PROVIDER_ID, client.encoded())
        with self._context.change(call) as records:
            set_provider(records, client)
        return await self.one(call)

    async def register(self, call: Call) -> ServicesConfiguration:
        server_id = server_of(call.body_as(RegisterProvider).security_server_id)
        with self._context.change(call) as records:
            chosen = provider(records)
            if chosen is None:
                raise refuse(RegistryCode.MANAGEMENT_SERVICE_PROVIDER_NOT_SET)
            if servers.servers_used_by(records, chosen):
                raise refuse(RegistryCode.SUBSYSTEM_ALREADY_REGISTERED_TO_SECURITY_SERVER, chosen.encoded())
            servers.need_server(records, server_id)
            request = NewRequest(RequestType.CLIENT_REGISTRATION, RequestOrigin.CENTER, server_id, chosen)
            made = add_request(records, request)
            if made.state is not RequestState.APPROVED:
                approve_request(records, made.number, MANUAL)
        return await self.one(call)

    def _der(self) -> bytes:
        found = sources.tls_certificate(self._context.read())
        if found is None:
            raise refuse(RegistryCode.CONFIGURATION_NOT_FOUND, N_("no TLS certificate has been made yet"))
        return found[1]

    async def certificate(self, _call: Call) -> CertificateDetails:
        return certificate_details(self._der())

    async def download(self, call: Call) -> Download:
        certificate = parse_certificate(self._der())
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as archive:
            for name, encoding in (("cert.pem", Encoding.PEM), ("cert.cer", Encoding.DER)):
                content = certificate.public_bytes(encoding)
                entry = tarfile.TarInfo(name)
                entry.size, entry.mtime = len(content), int(call.now.timestamp())
                archive.addfile(entry, io.BytesIO(content))
        return Download(gzip.compress(out.getvalue()), "application/gzip", "certs.tar.gz")

    async def make_certificate(self, call: Call) -> None:
        await self._context.node.keys.make_tls_certificate(actor_of(call), call.now)

    async def make_csr(self, call: Call) -> Download:
        try:
            name = parse_name(call.body_as(RequestSubjectName).name)
        except ValueError as err:
            raise Problem(400, "invalid_distinguished_name", [str(err)]) from err
        request = x509.load_der_x509_csr(await self._context.node.keys.tls_request(name))
        return Download(request.public_bytes(Encoding.PEM), "application/octet-stream", "request.csr")

    async def upload(self, call: Call) -> CertificateDetails:
        der = certificate_of(certificate_file(call.parts["certificate"]))
        found = sources.tls_certificate(self._context.read())
        if found is None or not await self._context.node.keys.is_open():
            raise Problem(400, "key_not_found", ["the token is locked or has no TLS key"])
        if found[1] == der:
            raise Problem(400, "certificate_already_exists")
        if parse_certificate(der).public_key() != parse_certificate(found[1]).public_key():
            raise Problem(400, "key_not_found", ["the certificate is of another key"])
        await self._context.node.keys.keep_tls_certificate(found[0], der, actor_of(call), call.now)
        return certificate_details(der)


class _Ours:
    def __init__(self, context: CentralAdminContext) -> None:
        self._context = context

    async def contact(self, call: Call) -> ContactView:
        records, member = self._context.read(), member_of(call.path["member_id"])
        members.need_client(records, member)
        found = notices.find_contact(records, member) or notices.Contact(member)
        return ContactView(member.encoded(), found.mail, found.webhook)

    async def set_contact(self, call: Call) -> ContactView:
        body, member = call.body_as(ContactBody), member_of(call.path["member_id"])
        secret = secrets.token_urlsafe(24) if body.webhook else None
        webhook = _webhook(body.webhook) if body.webhook else None
        with self._context.change(call) as records:
            members.need_client(records, member)
            notices.keep_contact(records, notices.Contact(member, body.mail, webhook, secret))
        return ContactView(member.encoded(), body.mail, webhook, secret)

    async def audit(self, _call: Call) -> Download:
        log = AuditLog(self._context.node.store.database)
        log.verify()
        return Download(b"".join(log.export()), "application/jsonl", "audit.jsonl")
