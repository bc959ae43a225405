"""``/initialization`` and ``/system``: becoming a security server, its anchor, addresses, timestamping, maintenance."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.metadata import version as package_version
from typing import TYPE_CHECKING, Annotated

import msgspec

from certs.certificates import der_of
from certs.tokens import SOFTWARE_TOKEN_ID, TokenStatus
from gateway.admin.desk import Desk, instant, row
from gateway.admin.values import Identifier, Phrase, Pin, Text, TimestampingService
from gateway.keyconf.operations import check_pin
from gateway.serverconf.records import RequestKind
from gateway.serverconf.records import TimestampingService as UsedService
from schemas.faults import Fault
from schemas.globalconf.anchor import parse_anchor
from schemas.globalconf.shared import CURRENT_VERSION, CostType
from schemas.identifiers import ClientId
from schemas.management import ManagementRequest, ManagementService
from serving.certificateview import CertificateDetails, certificate_details
from serving.operations import Bytes, Download
from serving.problems import Caution, Problem, bad_request, check_warnings, conflict, failed, not_found

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from schemas.globalconf.anchor import Anchor
    from serving.operations import Call, Operation

XML = "application/xml"


class InitialServerConf(msgspec.Struct, frozen=True):
    """What a new security server is."""

    owner_member_class: Identifier | None = None
    owner_member_code: Identifier | None = None
    security_server_code: Identifier | None = None
    software_token_pin: Pin | None = None
    ignore_warnings: bool = False


class InitializationStatus(msgspec.Struct, frozen=True):
    """How far initialisation got."""

    is_anchor_imported: bool
    is_server_code_initialized: bool
    is_server_owner_initialized: bool
    software_token_init_status: str
    enforce_token_pin_policy: bool


class AnchorView(msgspec.Struct, frozen=True):
    """A configuration anchor."""

    hash: str
    created_at: str


class PreviewQuery(msgspec.Struct, frozen=True):
    """Whether the anchor must be of this server's instance."""

    validate_instance: bool = True


class DistinguishedName(msgspec.Struct, frozen=True):
    """A name such as ``CN=gw.example,O=Institute``."""

    name: Annotated[str, msgspec.Meta(max_length=255)] = ""


class Address(msgspec.Struct, frozen=True):
    """A host name or address."""

    address: Text


class AddressStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """The registered address, and the one asked for."""

    current_address: Address | None = None
    requested_change: Address | None = None


class NodeType(msgspec.Struct, frozen=True):
    """How this server runs."""

    node_type: str


class VersionInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """Versions; the members about Java are there because clients of X-Road's API expect them."""

    info: str
    java_version: int
    min_java_version: int
    max_java_version: int
    using_supported_java_version: bool
    java_vendor: str
    java_runtime_version: str
    global_configuration_version: int | None = None


class MaintenanceMode(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whether peers are told to wait."""

    status: str
    is_management_services_provider: bool
    message: str | None = None


class MaintenanceMessage(msgspec.Struct, frozen=True):
    """What peers are told."""

    message: Phrase | None = None


@dataclass(frozen=True, slots=True)
class System:
    """The handlers."""

    desk: Desk

    def rows(self) -> Sequence[Operation]:
        """Their rows."""
        anchor, tls, tsa = "/system/anchor", "/system/certificate", "/system/timestamping-services"
        maintenance = "/system/maintenance-mode"
        return [
            row("POST", "/initialization", self.initialise, "Become a security server", "INIT_CONFIG",
                body=InitialServerConf, status=201, event="INIT_SERVER_CONFIGURATION", errors=(500,)),
            row("GET", "/initialization/status", self.initialised, "How far initialisation got",
                answer=InitializationStatus),
            row("GET", anchor, self.anchor, "The anchor in use", "VIEW_ANCHOR", answer=AnchorView, errors=(500,)),
            row("POST", anchor, self.add_anchor, "The first anchor", "INIT_CONFIG", body=Bytes(), status=201,
                event="INIT_ANCHOR", errors=(500,)),
            row("PUT", anchor, self.replace_anchor, "Another anchor", "UPLOAD_ANCHOR", body=Bytes(), status=201,
                event="UPLOAD_ANCHOR", errors=(500,)),
            row("POST", anchor + "/previews", self.preview, "Only read an anchor", "UPLOAD_ANCHOR", body=Bytes(),
                query=PreviewQuery, answer=AnchorView),
            row("GET", anchor + "/download", self.download_anchor, "Download the anchor", "DOWNLOAD_ANCHOR",
                answer=XML, errors=(500,)),
            row("GET", tls, self.certificate, "The internal TLS certificate", "VIEW_INTERNAL_TLS_CERT",
                answer=CertificateDetails),
            row("POST", tls, self.make_certificate, "A new internal key and certificate",
                "GENERATE_INTERNAL_TLS_KEY_CERT", status=201, event="GENERATE_INTERNAL_TLS_KEY_CERT"),
            row("GET", tls + "/export", self.export_certificate, "The internal certificate as an archive",
                "EXPORT_INTERNAL_TLS_CERT", answer="application/gzip"),
            row("POST", tls + "/csr", self.certificate_request, "A request for the internal key",
                "GENERATE_INTERNAL_TLS_CSR", body=DistinguishedName, answer="application/octet-stream",
                event="GENERATE_INTERNAL_TLS_CSR"),
            row("POST", tls + "/import", self.import_certificate, "Install an internal certificate",
                "IMPORT_INTERNAL_TLS_CERT", body=Bytes(), answer=CertificateDetails,
                event="IMPORT_INTERNAL_TLS_CERT"),
            row("GET", "/system/server-address", self.address, "The registered address", "CHANGE_SS_ADDRESS",
                answer=AddressStatus),
            row("PUT", "/system/server-address", self.set_address, "Ask for another address", "CHANGE_SS_ADDRESS",
                body=Address, status=202, event="EDIT_SECURITY_SERVER_ADDRESS", errors=(500,)),
            row("GET", tsa, self.timestamping, "Timestamping authorities in use", "VIEW_TSPS",
                answer=list[TimestampingService]),
            row("POST", tsa, self.add_timestamping, "Use an approved authority", "ADD_TSP",
                body=TimestampingService, answer=TimestampingService, status=201, event="ADD_TSP"),
            row("POST", tsa + "/delete", self.delete_timestamping, "Stop using one", "DELETE_TSP",
                body=TimestampingService, status=204, event="DELETE_TSP"),
            row("GET", tsa + "/prioritization-strategy", self.timestamp_order, "Order of those that cost",
                "VIEW_TSPS", answer=str),
            row("GET", "/system/node-type", self.node_type, "How this server runs", "VIEW_NODE_TYPE",
                answer=NodeType),
            row("GET", "/system/version", self.version, "Versions", "VIEW_VERSION", answer=VersionInfo),
            row("GET", maintenance, self.maintenance, "State of maintenance", "TOGGLE_MAINTENANCE_MODE",
                answer=MaintenanceMode),
            row("PUT", maintenance + "/enable", self.enable_maintenance, "Announce maintenance",
                "TOGGLE_MAINTENANCE_MODE", body=MaintenanceMessage, body_optional=True, status=204,
                event="ENABLE_MAINTENANCE_MODE", errors=(500,)),
            row("PUT", maintenance + "/disable", self.disable_maintenance, "End maintenance",
                "TOGGLE_MAINTENANCE_MODE", status=204, event="DISABLE_MAINTENANCE_MODE", errors=(500,)),
        ]  # fmt: skip

    # Initialisation

    async def initialise(self, call: Call) -> None:
        asked = call.body_as(InitialServerConf)
        if self.desk.process.anchor() is None:
            raise conflict("anchor_not_found")
        if self.desk.process.store.is_initialised():
            await self._make_token(asked.software_token_pin)
            return
        configuration = self.desk.configuration()
        missing = [
            name
            for name, value in (
                ("server_code_not_provided", asked.security_server_code),
                ("member_class_not_provided", asked.owner_member_class),
                ("member_code_not_provided", asked.owner_member_code),
                ("pin_code_not_provided", asked.software_token_pin),
            )
            if value is None
        ]
        if missing:
            raise bad_request("invalid_init_params", *missing)
        owner = ClientId(
            configuration.instance, asked.owner_member_class or "", asked.owner_member_code or ""
        )
        server = owner.server(asked.security_server_code or "")
        check_pin(asked.software_token_pin or "")
        cautions = []
        if not configuration.known_member(owner):
            cautions.append(Caution("init_unregistered_member", (owner.encoded(),)))
        if configuration.server(server) is not None:
            cautions.append(Caution("init_server_id_exists", (server.encoded(),)))
        check_warnings(cautions, ignore=asked.ignore_warnings)
        call.note(server=server.encoded())
        await self.desk.process.initialise(server, asked.software_token_pin)

    async def _make_token(self, pin: str | None) -> None:
        """What is left of an initialisation that a crash interrupted. Refused when nothing is left."""
        token = await self.desk.keys.token(SOFTWARE_TOKEN_ID)
        if token.status is not TokenStatus.NOT_INITIALIZED:
            raise conflict("server_already_fully_initialized")
        if pin is None:
            raise bad_request("invalid_init_params", "pin_code_not_provided")
        await self.desk.keys.initialise_token(SOFTWARE_TOKEN_ID, pin)

    async def initialised(self, _call: Call) -> InitializationStatus:
        done = self.desk.process.store.is_initialised()
        token = "NOT_INITIALIZED"  # noqa: S105  a state
        if done and self.desk.process.gateway is not None:
            found = await self.desk.keys.token(SOFTWARE_TOKEN_ID)
            token = "INITIALIZED" if found.status is not TokenStatus.NOT_INITIALIZED else token
        return InitializationStatus(self.desk.process.anchor() is not None, done, done, token, False)

    # Anchor

    def _anchor(self) -> Anchor:
        raw = self.desk.process.anchor()
        if raw is None:
            raise failed("anchor_file_not_found")
        return parse_anchor(raw)

    async def anchor(self, _call: Call) -> AnchorView:
        return _anchor_view(self._anchor())

    async def add_anchor(self, call: Call) -> None:
        if self.desk.process.anchor() is not None:
            raise conflict("anchor_already_exists")
        _read_anchor(call.file())
        await _fetched(self.desk.process.take_anchor(call.file()))

    async def replace_anchor(self, call: Call) -> None:
        if self.desk.process.anchor() is None:
            raise not_found("anchor_file_not_found")
        self._check_instance(_read_anchor(call.file()))
        await _fetched(self.desk.process.replace_anchor(call.file()))

    async def preview(self, call: Call) -> AnchorView:
        anchor = _read_anchor(call.file())
        if call.query_as(PreviewQuery).validate_instance and self.desk.process.anchor() is not None:
            self._check_instance(anchor)
        return _anchor_view(anchor)

    def _check_instance(self, anchor: Anchor) -> None:
        if anchor.instance != self._anchor().instance:
            raise bad_request("internal_anchor_upload_invalid_instance_id", anchor.instance)

    async def download_anchor(self, _call: Call) -> Download:
        anchor = self._anchor()
        made = f"_UTC_{anchor.generated_at:%Y-%m-%d_%H_%M_%S}" if anchor.generated_at else ""
        name = f"configuration_anchor{made}.xml"
        return Download(self.desk.process.anchor() or b"", XML, name)

    # The internal TLS certificate

    async def certificate(self, _call: Call) -> CertificateDetails:
        return certificate_details(der_of(self.desk.gateway.internal_tls.load().chain[0]))

    async def make_certificate(self, call: Call) -> None:
        address = self.desk.process.settings.systems.tls_address
        self.desk.gateway.internal_tls.make(address, call.now)
        self.desk.gateway.reload()

    async def export_certificate(self, call: Call) -> Download:
        return Download(self.desk.gateway.internal_tls.export(call.now), "application/gzip", "certs.tar.gz")

    async def certificate_request(self, call: Call) -> Download:
        der = self.desk.gateway.internal_tls.request(call.body_as(DistinguishedName).name)
        return Download(der, "application/octet-stream", "request.csr")

    async def import_certificate(self, call: Call) -> CertificateDetails:
        try:
            found = self.desk.gateway.internal_tls.import_certificate(call.file())
        except ValueError as err:
            code = getattr(err, "code", "invalid_certificate")
            raise Problem(409 if code == "certificate_already_exists" else 400, code, [str(err)]) from err
        self.desk.gateway.reload()
        return certificate_details(der_of(found))

    # Address

    async def address(self, _call: Call) -> AddressStatus:
        known = self.desk.configuration().server(self.desk.server_id())
        pending = self.desk.view.requests.all(RequestKind.ADDRESS_CHANGE)
        current = Address(known.address) if known and known.address else None
        return AddressStatus(current, Address(pending[-1].detail) if pending else None)

    async def set_address(self, call: Call) -> None:
        wanted = call.body_as(Address).address
        status = await self.address(call)
        if not all(c.isalnum() or c in ".-:[]" for c in wanted):
            raise bad_request("invalid_address_char", wanted)
        if status.requested_change is not None and (
            status.current_address is None or status.requested_change != status.current_address
        ):
            raise conflict("address_change_request_already_submitted")
        if status.current_address is not None and status.current_address.address == wanted:
            raise conflict("same_address_change_request")
        server = self.desk.server_id()
        await self.desk.send(ManagementRequest(ManagementService.ADDRESS_CHANGE, server, address=wanted))
        with self.desk.change() as tables:
            tables.requests.add(RequestKind.ADDRESS_CHANGE, server.path(), wanted, call.now)

    # Timestamping

    async def timestamping(self, _call: Call) -> list[TimestampingService]:
        return [_service(s) for s in self.desk.view.timestamping.all()]

    async def add_timestamping(self, call: Call) -> TimestampingService:
        asked = call.body_as(TimestampingService)
        for approved in self.desk.configuration().approved_tsas:
            if (approved.name, approved.url) == (asked.name, asked.url):
                cost = (approved.cost_type or CostType.UNDEFINED).value
                used = UsedService(approved.name, approved.url, cost)
                with self.desk.change() as tables:
                    tables.timestamping.add(used, call.now)
                return _service(used)
        raise bad_request("timestamping_service_not_found", asked.name, asked.url)

    async def delete_timestamping(self, call: Call) -> None:
        asked = call.body_as(TimestampingService)
        with self.desk.change() as tables:
            tables.timestamping.remove(asked.name, asked.url)

    async def timestamp_order(self, _call: Call) -> str:
        return self.desk.process.settings.log.timestamp_order.name

    # About this server

    async def node_type(self, _call: Call) -> NodeType:
        return NodeType("STANDALONE")

    async def version(self, _call: Call) -> VersionInfo:
        configuration = self.desk.process.configuration()
        python = f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"
        return VersionInfo(
            f"Sacbé gateway {package_version('sacbe')} (Python {python})",
            21,
            21,
            21,
            True,
            "none: this server is not written in Java",
            python,
            configuration.own.shared.version if configuration else CURRENT_VERSION,
        )

    async def maintenance(self, _call: Call) -> MaintenanceMode:
        known = self.desk.configuration().server(self.desk.server_id())
        active = known is not None and known.maintenance is not None
        requests = self.desk.view.requests
        status = "ENABLED_MAINTENANCE_MODE" if active else "DISABLED_MAINTENANCE_MODE"
        if not active and requests.all(RequestKind.MAINTENANCE_ENABLE):
            status = "PENDING_ENABLE_MAINTENANCE_MODE"
        if active and requests.all(RequestKind.MAINTENANCE_DISABLE):
            status = "PENDING_DISABLE_MAINTENANCE_MODE"
        message = known.maintenance if known is not None else None
        return MaintenanceMode(status, self._serves_management(), message or None)

    async def enable_maintenance(self, call: Call) -> None:
        if self._serves_management():
            raise conflict("forbidden_enable_maintenance_mode_for_management_service")
        self._check_not_pending((await self.maintenance(call)).status, "ENABLED", "already_enabled")
        server, message = self.desk.server_id(), call.body_as(MaintenanceMessage).message
        await self.desk.send(ManagementRequest(ManagementService.MAINTENANCE_ENABLE, server, message=message))
        self._pending(call, RequestKind.MAINTENANCE_ENABLE, RequestKind.MAINTENANCE_DISABLE)

    async def disable_maintenance(self, call: Call) -> None:
        self._check_not_pending((await self.maintenance(call)).status, "DISABLED", "already_disabled")
        server = self.desk.server_id()
        await self.desk.send(ManagementRequest(ManagementService.MAINTENANCE_DISABLE, server))
        self._pending(call, RequestKind.MAINTENANCE_DISABLE, RequestKind.MAINTENANCE_ENABLE)

    def _check_not_pending(self, status: str, state: str, code: str) -> None:
        if status.startswith("PENDING"):
            raise conflict("maintenance_mode_change_request_already_submitted")
        if status.startswith(state):
            raise conflict(f"{code}_maintenance_mode")

    def _pending(self, call: Call, sent: RequestKind, over: RequestKind) -> None:
        subject = self.desk.server_id().path()
        with self.desk.change() as tables:
            tables.requests.remove(over, subject)
            tables.requests.add(sent, subject, "", call.now)

    def _serves_management(self) -> bool:
        private = self.desk.configuration().private
        if private is None:
            return False
        return private.management_service.provider in self.desk.listed()


def _service(used: UsedService) -> TimestampingService:
    return msgspec.convert(
        {"name": used.name, "url": used.url, "cost_type": used.cost_type}, TimestampingService
    )


def _read_anchor(raw: bytes) -> Anchor:
    try:
        return parse_anchor(raw)
    except (Fault, ValueError) as err:
        raise bad_request("malformed_anchor", getattr(err, "detail", "the anchor cannot be read")) from err


async def _fetched(attempt: Awaitable[None]) -> None:
    try:
        await attempt
    except Fault as fault:
        raise failed("conf_download_failed", fault.detail) from fault


def _anchor_view(anchor: Anchor) -> AnchorView:
    made = "" if anchor.generated_at is None else instant(anchor.generated_at)
    return AnchorView(anchor.hash_text(), made)
