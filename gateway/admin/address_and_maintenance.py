"""``/system/server-address`` and ``/system/maintenance-mode``: what the central server tells others of this server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from gateway.admin.context import AdminContext, row
from gateway.admin.values import Phrase, Text
from gateway.clients.records import RequestKind
from schemas.management import ManagementRequest, ManagementServiceCode
from schemas.names import is_host
from serving.api.problems import bad_request, conflict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serving.api.operations import Call, Operation


class Address(msgspec.Struct, frozen=True):
    """A host name or address."""

    address: Text


class AddressStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """The registered address, and the one asked for."""

    current_address: Address | None = None
    requested_change: Address | None = None


class MaintenanceMode(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whether peers are told to wait."""

    status: str
    is_management_services_provider: bool
    message: str | None = None


class MaintenanceMessage(msgspec.Struct, frozen=True):
    """The text that peers are answered with while maintenance lasts."""

    message: Phrase | None = None


@dataclass(frozen=True, slots=True)
class AddressAndMaintenance:
    """The handlers of ``/system/server-address`` and ``/system/maintenance-mode``."""

    context: AdminContext

    def rows(self) -> Sequence[Operation]:
        """The rows of these handlers: path, right, input, answer."""
        maintenance = "/system/maintenance-mode"
        return [
            row("GET", "/system/server-address", self.address, "The registered address", "CHANGE_SS_ADDRESS",
                answer=AddressStatus),
            row("PUT", "/system/server-address", self.set_address, "Ask for another address", "CHANGE_SS_ADDRESS",
                body=Address, status=202, event="EDIT_SECURITY_SERVER_ADDRESS", errors=(500,)),
            row("GET", maintenance, self.maintenance, "State of maintenance", "TOGGLE_MAINTENANCE_MODE",
                answer=MaintenanceMode),
            row("PUT", maintenance + "/enable", self.enable_maintenance, "Announce maintenance",
                "TOGGLE_MAINTENANCE_MODE", body=MaintenanceMessage, body_optional=True, status=204,
                event="ENABLE_MAINTENANCE_MODE", errors=(500,)),
            row("PUT", maintenance + "/disable", self.disable_maintenance, "End maintenance",
                "TOGGLE_MAINTENANCE_MODE", status=204, event="DISABLE_MAINTENANCE_MODE", errors=(500,)),
        ]  # fmt: skip

    async def address(self, _call: Call) -> AddressStatus:
        known = self.context.configuration().server(self.context.server_id())
        pending = self.context.view.requests.all(RequestKind.ADDRESS_CHANGE)
        current = Address(known.address) if known and known.address else None
        return AddressStatus(current, Address(pending[-1].detail) if pending else None)

    async def set_address(self, call: Call) -> None:
        requested = call.body_as(Address).address
        status = await self.address(call)
        if not is_host(requested):
            raise bad_request("invalid_address_char", requested)
        if status.requested_change is not None and (
            status.current_address is None or status.requested_change != status.current_address
        ):
            raise conflict("address_change_request_already_submitted")
        if status.current_address is not None and status.current_address.address == requested:
            raise conflict("same_address_change_request")
        server = self.context.server_id()
        request = ManagementRequest(ManagementServiceCode.ADDRESS_CHANGE, server, address=requested)
        await self.context.ask(call, RequestKind.ADDRESS_CHANGE, request, server.path(), requested)

    async def maintenance(self, _call: Call) -> MaintenanceMode:
        known = self.context.configuration().server(self.context.server_id())
        active = known is not None and known.maintenance is not None
        requests = self.context.view.requests
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
        server, message = self.context.server_id(), call.body_as(MaintenanceMessage).message
        request = ManagementRequest(ManagementServiceCode.MAINTENANCE_ENABLE, server, message=message)
        await self.context.ask(call, RequestKind.MAINTENANCE_ENABLE, request, server.path(), message or "")

    async def disable_maintenance(self, call: Call) -> None:
        self._check_not_pending((await self.maintenance(call)).status, "DISABLED", "already_disabled")
        server = self.context.server_id()
        request = ManagementRequest(ManagementServiceCode.MAINTENANCE_DISABLE, server)
        await self.context.ask(call, RequestKind.MAINTENANCE_DISABLE, request, server.path())

    def _check_not_pending(self, status: str, state: str, code: str) -> None:
        if status.startswith("PENDING"):
            raise conflict("maintenance_mode_change_request_already_submitted")
        if status.startswith(state):
            raise conflict(f"{code}_maintenance_mode")

    def _serves_management(self) -> bool:
        private = self.context.configuration().private
        if private is None:
            return False
        return private.management_service.provider in self.context.listed()
