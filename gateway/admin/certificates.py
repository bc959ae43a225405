"""Certificates of the server's keys: import, register, activate, unregister, delete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from gateway.admin.keycontext import KeyAdminContext, row
from gateway.admin.keys import unregister
from gateway.admin.keyviews import CertificateView, certificate_actions, certificate_view
from gateway.keys import actions
from gateway.keys.model import KeyUsage, PossibleAction
from gateway.refusals import GatewayCode
from schemas.faults import Fault
from schemas.management import ManagementRequest, ManagementServiceCode
from schemas.names import is_host
from serving.api.operations import Bytes
from serving.api.problems import bad_request, conflict, failed, not_found
from serving.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from gateway.keys.model import KeyCertificate
    from serving.api.operations import Call, Operation

_IMPORT = ("IMPORT_AUTH_CERT", "IMPORT_SIGN_CERT")
_SWITCH = ("ACTIVATE_DISABLE_AUTH_CERT", "ACTIVATE_DISABLE_SIGN_CERT")
_VIEW = ("VIEW_AUTH_CERT", "VIEW_SIGN_CERT", "VIEW_UNKNOWN_CERT")
_DELETE = ("DELETE_AUTH_CERT", "DELETE_SIGN_CERT", "DELETE_UNKNOWN_CERT")


class AddressBody(msgspec.Struct, frozen=True):
    """The address other security servers shall reach this one at."""

    address: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


def operations(context: KeyAdminContext) -> Sequence[Operation]:
    """The rows of ``/token-certificates``: path, right, input, answer."""
    api = _Certificates(context)
    one = "/token-certificates/{hash}"
    return (
        row("POST", "/token-certificates", api.add, "Import a certificate", *_IMPORT,
            body=Bytes(), answer=CertificateView, status=201, event="IMPORT_CERT_FILE", errors=(500,)),
        row("GET", one, api.one, "One certificate", *_VIEW, answer=CertificateView),
        row("DELETE", one, api.delete, "Delete a certificate", *_DELETE, status=204, event="DELETE_CERT"),
        row("PUT", f"{one}/activate", api.activate, "Use a certificate", *_SWITCH,
            status=204, event="ACTIVATE_CERT", errors=(500,)),
        row("PUT", f"{one}/disable", api.disable, "Stop using a certificate", *_SWITCH,
            status=204, event="DISABLE_CERT"),
        row("POST", f"{one}/import", api.add_from_token, "Import a certificate that is on a token",
            *_IMPORT, "IMPORT_UNKNOWN_CERT", answer=CertificateView, status=201, event="IMPORT_CERT_TOKEN", errors=(500,)),
        row("GET", f"{one}/possible-actions", api.actions, "What may be done with it", "VIEW_KEYS", *_VIEW,
            answer=list[str]),
        row("PUT", f"{one}/register", api.register, "Send its registration to the central server",
            "SEND_AUTH_CERT_REG_REQ", body=AddressBody, status=204, event="REGISTER_AUTH_CERT", errors=(500,)),
        row("PUT", f"{one}/unregister", api.unregister, "Send its deletion to the central server",
            "SEND_AUTH_CERT_DEL_REQ", status=204, event="UNREGISTER_AUTH_CERT", errors=(500,)),
        row("PUT", f"{one}/mark-for-deletion", api.mark_for_deletion, "Wait for its deletion without a request",
            "SEND_AUTH_CERT_DEL_REQ", status=204, event="SKIP_UNREGISTER_AUTH_CERT"),
    )  # fmt: skip


class _Certificates:
    def __init__(self, context: KeyAdminContext) -> None:
        self._context = context

    async def add(self, call: Call) -> CertificateView:
        return await self._imported(call, self._context.keys.import_certificate(call.file()))

    async def add_from_token(self, call: Call) -> CertificateView:
        return await self._imported(call, self._context.keys.import_from_token(call.path["hash"]))

    async def _imported(self, call: Call, importing: Awaitable[KeyCertificate]) -> CertificateView:
        try:
            certificate = await importing
        except Refused as refused:
            if refused.code is GatewayCode.CERTIFICATE_ALREADY_EXISTS:
                raise conflict("certificate_already_exists") from refused
            raise
        call.note(certificate=certificate.hash)
        return certificate_view(certificate, self._context, call)

    async def one(self, call: Call) -> CertificateView:
        return certificate_view(
            await self._context.keys.find_certificate(call.path["hash"]), self._context, call
        )

    async def actions(self, call: Call) -> list[str]:
        return certificate_actions(await self._context.keys.find_certificate(call.path["hash"]), call)

    async def delete(self, call: Call) -> None:
        certificate = self._certificate(call, "DELETE_{}_CERT", missing="certificate_id_not_found")
        await self._context.keys.delete_certificate(certificate.hash)

    async def activate(self, call: Call) -> None:
        certificate = self._certificate(call, "ACTIVATE_DISABLE_{}_CERT")
        await self._context.keys.activate(certificate.hash)

    async def disable(self, call: Call) -> None:
        certificate = self._certificate(call, "ACTIVATE_DISABLE_{}_CERT")
        await self._context.keys.disable(certificate.hash)

    async def register(self, call: Call) -> None:
        certificate = self._certificate(call)
        actions.require(PossibleAction.REGISTER, actions.certificate_actions(certificate))
        address = call.body_as(AddressBody).address
        if not is_host(address):
            raise bad_request("invalid_address_char", address)
        request = ManagementRequest(
            ManagementServiceCode.AUTH_CERT_REG,
            self._context.server_id(),
            address=address,
            auth_certificate=certificate.der,
        )
        try:
            sent = await self._context.send(request, certificate.key_id)
        except Fault as fault:
            raise failed("management_request_sending_failed", fault.detail) from fault
        self._context.keys.mark_registration_sent(certificate.hash)
        call.note(address=request.address, management_request_id=sent.request_id)

    async def unregister(self, call: Call) -> None:
        certificate = self._certificate(call)
        actions.require(PossibleAction.UNREGISTER, actions.certificate_actions(certificate))
        await unregister(self._context, certificate)

    async def mark_for_deletion(self, call: Call) -> None:
        self._context.keys.mark_deletion_sent(self._certificate(call).hash)

    def _certificate(
        self, call: Call, permission: str = "", missing: str = "certificate_not_found"
    ) -> KeyCertificate:
        """The certificate the path names, the caller's permission for its kind checked."""
        try:
            certificate = self._context.keys.certificate(call.path["hash"])
        except Refused as refused:
            raise not_found(missing, call.path["hash"]) from refused
        if permission:
            kind = "AUTH" if certificate.usage is KeyUsage.AUTHENTICATION else "SIGN"
            call.check_may(permission.format(kind))
        return certificate
