"""Keys and their signing requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from gateway.admin.context import not_sent
from gateway.admin.keycontext import KeyAdminContext, check_may_request, member_of, row, usage_of
from gateway.admin.keyviews import KeyView, csr_actions, key_actions, key_view
from gateway.admin.tokens import CsrGenerate, NameBody
from gateway.keys.model import CertificateStatus, KeyUsage
from gateway.keys.requesting import render_request
from gateway.refusals import GatewayCode
from schemas.faults import Fault
from schemas.management import ManagementRequest, ManagementServiceCode
from serving.api.operations import ApiAnswer, Download
from serving.api.problems import Problem, failed
from serving.errors import Caution, Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.keys.model import KeyCertificate, SigningRequest
    from serving.api.operations import Call, Operation

_MEDIA_TYPE = "application/octet-stream"
_ASK = ("GENERATE_AUTH_CERT_REQ", "GENERATE_SIGN_CERT_REQ")


class DeleteQuery(msgspec.Struct, frozen=True):
    """Whether the caller has read the warnings and deletes in spite of them."""

    ignore_warnings: bool = False


class FormatQuery(msgspec.Struct, frozen=True):
    """The query of a download of a signing request: PEM or DER."""

    csr_format: Annotated[str, msgspec.Meta(pattern="^(PEM|DER)$")] = "DER"


def operations(context: KeyAdminContext) -> Sequence[Operation]:
    """The rows of ``/keys``: path, right, input, answer."""
    api = _KeyHandlers(context)
    one, csr = "/keys/{id}", "/keys/{id}/csrs/{csr_id}"
    return (
        row("GET", one, api.one, "A key with its certificates and requests", "VIEW_KEYS", answer=KeyView),
        row("PATCH", one, api.rename, "Friendly name", "EDIT_KEY_FRIENDLY_NAME",
            body=NameBody, answer=KeyView, event="UPDATE_KEY_NAME"),
        row("DELETE", one, api.delete, "Delete a key", "DELETE_KEY", "DELETE_AUTH_KEY", "DELETE_SIGN_KEY",
            query=DeleteQuery, status=204, event="DELETE_KEY", errors=(500,)),
        row("GET", f"{one}/possible-actions", api.actions, "What may be done with it", "VIEW_KEYS", answer=list[str]),
        row("POST", f"{one}/csrs", api.add_csr, "A new signing request", *_ASK,
            body=CsrGenerate, answer=_MEDIA_TYPE, other_answers={204: None}, event="GENERATE_CSR", errors=(500,)),
        row("GET", csr, api.csr, "Download an earlier request", *_ASK, query=FormatQuery, answer=_MEDIA_TYPE),
        row("DELETE", csr, api.delete_csr, "Drop a request", "DELETE_AUTH_CERT", "DELETE_SIGN_CERT",
            status=204, event="DELETE_CSR"),
        row("GET", f"{csr}/possible-actions", api.csr_actions, "What may be done with it", "VIEW_KEYS",
            answer=list[str]),
    )  # fmt: skip


class _KeyHandlers:
    def __init__(self, context: KeyAdminContext) -> None:
        self._context = context

    async def one(self, call: Call) -> KeyView:
        token, key = await self._context.keys.key(call.path["id"])
        return key_view(token, key, self._context, call)

    async def rename(self, call: Call) -> KeyView:
        key = await self._context.keys.rename_key(call.path["id"], call.body_as(NameBody).name)
        return key_view(await self._context.keys.token(key.token_id), key, self._context, call)

    async def actions(self, call: Call) -> list[str]:
        return key_actions(*await self._context.keys.key(call.path["id"]), call)

    async def delete(self, call: Call) -> None:
        _, key = await self._context.keys.key(call.path["id"])
        needed = {KeyUsage.AUTHENTICATION: "DELETE_AUTH_KEY", KeyUsage.SIGNING: "DELETE_SIGN_KEY"}
        call.check_may("DELETE_KEY", *([needed[key.usage]] if key.usage else []))
        registered = [c for c in key.certificates if _is_known_above(c)]
        if registered and not call.query_as(DeleteQuery).ignore_warnings:
            caution = Caution("auth_key_with_registered_cert_warning", (key.id,))
            raise Problem(400, "warnings_detected", warnings=[caution])
        for certificate in registered:
            await unregister(self._context, certificate)
        await self._context.keys.delete_key(key.id)

    async def add_csr(self, call: Call) -> object:
        body = call.body_as(CsrGenerate)
        usage = usage_of(body.key_usage_type)
        check_may_request(call, usage, ordering=body.acme_order)
        key_id = call.path["id"]
        request = await self._context.keys.create_request(
            key_id, usage, body.ca_name, member_of(body.member_id), body.subject_field_values
        )
        call.note(csr_id=request.id, subject=dict(request.values))
        if body.acme_order:
            await self._context.orders.order(key_id, request.id)
            return ApiAnswer(status=204)
        der = await self._context.keys.request_der(key_id, request.id)
        return self._download(der, request, body.csr_format)

    async def csr(self, call: Call) -> Download:
        key_id, csr_id = call.path["id"], call.path["csr_id"]
        der = await self._context.keys.request_der(key_id, csr_id)
        _, key = await self._context.keys.key(key_id)
        request = next(r for r in key.requests if r.id == csr_id)
        return self._download(der, request, call.query_as(FormatQuery).csr_format)

    async def delete_csr(self, call: Call) -> None:
        await self._context.keys.delete_request(call.path["id"], call.path["csr_id"])

    async def csr_actions(self, call: Call) -> list[str]:
        _, key = await self._context.keys.key(call.path["id"])
        found = next((r for r in key.requests if r.id == call.path["csr_id"]), None)
        if found is None:
            raise Refused(GatewayCode.CSR_NOT_FOUND, f"the key has no request {call.path['csr_id']}")
        return csr_actions(found, call)

    def _download(self, der: bytes, request: SigningRequest, form: str) -> Download:
        day = request.created_at.strftime("%Y%m%d")
        server = self._context.server_id().path().replace("/", "_")
        name = (
            f"auth_csr_{day}_securityserver_{server}"
            if request.member is None
            else f"sign_csr_{day}_member_{request.member.path().replace('/', '_')}"
        )
        return Download(render_request(der, form), _MEDIA_TYPE, f"{name}.{form.lower()}")


def _is_known_above(certificate: KeyCertificate) -> bool:
    waiting = (CertificateStatus.REGISTRATION_IN_PROGRESS, CertificateStatus.REGISTERED)
    return certificate.usage is KeyUsage.AUTHENTICATION and certificate.status in waiting


async def unregister(context: KeyAdminContext, certificate: KeyCertificate) -> None:
    """Ask the central server to delete an authentication certificate; what it refuses becomes the answer."""
    request = ManagementRequest(
        ManagementServiceCode.AUTH_CERT_DELETION, context.server_id(), auth_certificate=certificate.der
    )
    try:
        await context.send(request, None)
    except Fault as fault:
        raise failed("management_request_sending_failed", fault.detail, words=not_sent(fault)) from fault
    context.keys.mark_deletion_sent(certificate.hash)
