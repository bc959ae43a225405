"""``/clients/{id}``: what only the central server can do for a client; keys that remain of one that is gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from gateway.admin.clients import check_status
from gateway.admin.context import AdminContext, client_id, row
from gateway.admin.values import Text
from gateway.clients.records import ClientRecord, ClientStatus, RenameStatus, RequestKind
from gateway.keys.model import KeyUsage
from schemas.management import ManagementRequest, ManagementServiceCode
from serving.api.problems import bad_request, conflict, not_found

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.identifiers import ClientId
    from serving.api.operations import Call, Operation


class ClientName(msgspec.Struct, frozen=True):
    """The display name that a subsystem shall have."""

    client_name: Text


class OrphanInformation(msgspec.Struct, frozen=True):
    """Whether keys remain of a client that is gone."""

    orphans_exist: bool


@dataclass(frozen=True, slots=True)
class ClientRequests:
    """The handlers of management requests about a client, and of keys that remain of it."""

    context: AdminContext

    def rows(self) -> Sequence[Operation]:
        """The rows of these handlers: path, right, input, answer."""
        one = "/clients/{id}"
        return [
            row("PUT", one + "/register", self.register, "Register at the central server", "SEND_CLIENT_REG_REQ",
                status=204, event="REGISTER_CLIENT", scoped=True, errors=(500,)),
            row("PUT", one + "/unregister", self.unregister, "End the registration", "SEND_CLIENT_DEL_REQ",
                status=204, event="UNREGISTER_CLIENT", scoped=True, errors=(500,)),
            row("PUT", one + "/make-owner", self.make_owner, "Ask for another owner", "SEND_OWNER_CHANGE_REQ",
                status=204, event="SEND_OWNER_CHANGE_REQ", errors=(500,)),
            row("PUT", one + "/disable", self.disable, "Disable for a while", "DISABLE_CLIENT", status=204,
                event="DISABLE_CLIENT", scoped=True, errors=(500,)),
            row("PUT", one + "/enable", self.enable, "Enable again", "ENABLE_CLIENT", status=204,
                event="ENABLE_CLIENT", scoped=True, errors=(500,)),
            row("PUT", one + "/rename", self.rename, "Give a subsystem another name", "RENAME_SUBSYSTEM",
                body=ClientName, status=204, event="RENAME_SUBSYSTEM", scoped=True, errors=(500,)),
            row("GET", one + "/orphans", self.orphans, "Whether keys remain of it", "DELETE_CLIENT",
                answer=OrphanInformation),
            row("DELETE", one + "/orphans", self.delete_orphans, "Delete keys that remain of it", "DELETE_CLIENT",
                status=204, event="DELETE_ORPHANS"),
        ]  # fmt: skip

    async def register(self, call: Call) -> None:
        client = self.context.client(call)
        server = self.context.server_id()
        if client.id == server.owner:
            raise bad_request("cannot_register_owner")
        check_status(self.context, client, ClientStatus.SAVED)
        await self._ask(
            call, client, RequestKind.CLIENT_REGISTRATION, ManagementServiceCode.CLIENT_REG, client.name
        )

    async def unregister(self, call: Call) -> None:
        client = self.context.client(call)
        if client.id == self.context.server_id().owner:
            raise conflict("cannot_unregister_owner")
        check_status(self.context, client, ClientStatus.REGISTERED, ClientStatus.REGISTRATION_IN_PROGRESS)
        await self._ask(call, client, RequestKind.CLIENT_DELETION, ManagementServiceCode.CLIENT_DELETION)

    async def make_owner(self, call: Call) -> None:
        client = self.context.client(call)
        if client.id == self.context.server_id().owner:
            raise bad_request("member_already_owner")
        if not client.id.is_member:
            raise conflict("action_not_possible", "only a member can own a security server")
        check_status(self.context, client, ClientStatus.REGISTERED)
        await self._ask(call, client, RequestKind.OWNER_CHANGE, ManagementServiceCode.OWNER_CHANGE)

    async def disable(self, call: Call) -> None:
        client = self.context.client(call)
        private = self.context.configuration().private
        if private is not None and private.management_service.provider == client.id:
            raise conflict("forbidden_disable_management_service_client")
        check_status(self.context, client, ClientStatus.REGISTERED)
        await self._ask(call, client, RequestKind.CLIENT_DISABLE, ManagementServiceCode.CLIENT_DISABLE)

    async def enable(self, call: Call) -> None:
        client = self.context.client(call)
        check_status(self.context, client, ClientStatus.DISABLED)
        await self._ask(call, client, RequestKind.CLIENT_ENABLE, ManagementServiceCode.CLIENT_ENABLE)

    async def rename(self, call: Call) -> None:
        client = self.context.client(call)
        name = call.body_as(ClientName).client_name
        if client.id.is_member:
            raise conflict("action_not_possible", "only subsystems have a name of their own here")
        if client.rename is RenameStatus.NAME_SUBMITTED:
            raise conflict("client_rename_already_submitted")
        if name == (client.name or self._name_of(client.id)):
            raise conflict("invalid_client_name", name)
        submitted = self.context.status(client) is ClientStatus.REGISTERED
        if submitted:
            await self._ask(
                call, client, RequestKind.CLIENT_RENAME, ManagementServiceCode.CLIENT_RENAME, name
            )
        async with self.context.change() as tables:
            rename = RenameStatus.NAME_SUBMITTED if submitted else RenameStatus.NAME_SET
            tables.clients.set_name(client.id, name, rename)

    async def orphans(self, call: Call) -> OrphanInformation:
        await self._orphans(call)
        return OrphanInformation(True)

    async def delete_orphans(self, call: Call) -> None:
        for key_id in await self._orphans(call):
            await self.context.keys.delete_key(key_id)
        await self.context.take()

    # Parts of the above

    async def _orphans(self, call: Call) -> list[str]:
        client = client_id(call.path["id"])
        members = {c.id.member for c in self.context.view.clients.all()}
        found = [
            str(key.id)
            for token in await self.context.keys.tokens()
            for key in token.keys
            if key.usage is KeyUsage.SIGNING
            and {*(c.member for c in key.certificates if c.saved), *(r.member for r in key.requests)}
            == {client.member}
        ]
        if client.member in members or not found:
            raise not_found("orphans_not_found")
        return found

    async def _ask(
        self,
        call: Call,
        client: ClientRecord,
        kind: RequestKind,
        service: ManagementServiceCode,
        name: str | None = None,
    ) -> None:
        request = ManagementRequest(service, self.context.server_id(), client.id, subsystem_name=name)
        await self.context.ask(call, kind, request, client.id.path(), name or "")

    def _name_of(self, client: ClientId) -> str | None:
        configuration = self.context.process.configuration()
        return None if configuration is None else configuration.member_name(client)
