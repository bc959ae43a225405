"""Tokens: list, log in and out, names and PINs, keys with their first signing requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from gateway.admin.keycontext import check_may_request, member_of, row, usage_of
from gateway.admin.keyviews import KeyView, TokenView, key_view, token_view
from serving.api.problems import bad_request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.admin.keycontext import KeyAdminContext
    from serving.api.operations import Call, Operation

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class NameBody(msgspec.Struct, frozen=True):
    """The friendly name that a token or key shall have."""

    name: Name


class LoginBody(msgspec.Struct, frozen=True):
    """The PIN that logs a token in."""

    password: Annotated[str, msgspec.Meta(max_length=255)] | None = None


class PinBody(msgspec.Struct, frozen=True):
    """The PIN that holds and the one that shall."""

    old_pin: Name
    new_pin: Name


class LabelBody(msgspec.Struct, frozen=True):
    """The label that a new key shall have."""

    label: Annotated[str, msgspec.Meta(max_length=255)] | None = None


class CsrGenerate(msgspec.Struct, frozen=True):
    """The fields of a signing request: usage, CA, format, subject, and whether it is ordered by ACME at once."""

    key_usage_type: Name
    ca_name: Name
    csr_format: Annotated[str, msgspec.Meta(pattern="^(PEM|DER)$")]
    subject_field_values: dict[str, str]
    member_id: Annotated[str, msgspec.Meta(max_length=767)] | None = None
    acme_order: bool = False


class KeyLabelWithCsrGenerate(msgspec.Struct, frozen=True):
    """A key and its first signing request."""

    csr_generate_request: CsrGenerate
    key_label: Annotated[str, msgspec.Meta(max_length=255)] = ""


class KeyWithCsrId(msgspec.Struct, frozen=True):
    """The key that was made, and its request."""

    key: KeyView
    csr_id: str


def operations(context: KeyAdminContext) -> Sequence[Operation]:
    """The rows of ``/tokens``: path, right, input, answer."""
    api = _TokenHandlers(context)
    one, login = "/tokens/{id}", "ACTIVATE_DEACTIVATE_TOKEN"
    return (
        row("GET", "/tokens", api.all, "Tokens with keys, certificates and requests", "VIEW_KEYS", answer=list[TokenView]),
        row("GET", one, api.one, "One token", "VIEW_KEYS", answer=TokenView),
        row("PATCH", one, api.rename, "Friendly name", "EDIT_TOKEN_FRIENDLY_NAME",
            body=NameBody, answer=TokenView, event="UPDATE_TOKEN_NAME"),
        row("DELETE", one, api.delete, "Forget a token that is gone", "DELETE_TOKEN", status=204, event="DELETE_TOKEN"),
        row("PUT", f"{one}/login", api.login, "Enter the PIN", login,
            body=LoginBody, answer=TokenView, event="LOGIN_TOKEN"),
        row("PUT", f"{one}/logout", api.logout, "Log out", login, answer=TokenView, event="LOGOUT_TOKEN"),
        row("PUT", f"{one}/pin", api.change_pin, "Change the PIN", "UPDATE_TOKEN_PIN",
            body=PinBody, status=204, event="CHANGE_PIN_TOKEN"),
        row("POST", f"{one}/keys", api.add_key, "Make a key", "GENERATE_KEY",
            body=LabelBody, answer=KeyView, status=201, event="GENERATE_KEY"),
        row("POST", f"{one}/keys-with-csrs", api.add_key_with_csr, "Make a key and its first signing request",
            "GENERATE_KEY", body=KeyLabelWithCsrGenerate, answer=KeyWithCsrId, event="GENERATE_KEY_AND_CSR",
            errors=(500,)),
    )  # fmt: skip


class _TokenHandlers:
    def __init__(self, context: KeyAdminContext) -> None:
        self._context = context

    async def all(self, call: Call) -> list[TokenView]:
        return [token_view(token, self._context, call) for token in await self._context.keys.tokens()]

    async def one(self, call: Call) -> TokenView:
        return token_view(await self._context.keys.token(call.path["id"]), self._context, call)

    async def rename(self, call: Call) -> TokenView:
        name = call.body_as(NameBody).name
        return token_view(await self._context.keys.rename_token(call.path["id"], name), self._context, call)

    async def delete(self, call: Call) -> None:
        await self._context.keys.delete_token(call.path["id"])

    async def login(self, call: Call) -> TokenView:
        password = call.body_as(LoginBody).password
        if not password:
            raise bad_request("missing_token_password", "the member 'password' is expected")
        return token_view(await self._context.keys.login(call.path["id"], password), self._context, call)

    async def logout(self, call: Call) -> TokenView:
        return token_view(await self._context.keys.logout(call.path["id"]), self._context, call)

    async def change_pin(self, call: Call) -> None:
        body = call.body_as(PinBody)
        await self._context.keys.change_pin(call.path["id"], body.old_pin, body.new_pin)

    async def add_key(self, call: Call) -> KeyView:
        key = await self._context.keys.generate_key(call.path["id"], call.body_as(LabelBody).label or "")
        call.note(key_id=key.id)
        return key_view(await self._context.keys.token(key.token_id), key, self._context, call)

    async def add_key_with_csr(self, call: Call) -> KeyWithCsrId:
        body = call.body_as(KeyLabelWithCsrGenerate)
        csr = body.csr_generate_request
        usage = usage_of(csr.key_usage_type)
        check_may_request(call, usage, ordering=csr.acme_order)
        key, request = await self._context.keys.generate_key_with_request(
            call.path["id"],
            body.key_label,
            usage,
            csr.ca_name,
            member_of(csr.member_id),
            csr.subject_field_values,
        )
        if csr.acme_order:
            await self._context.orders.order(key.id, request.id)
        token, key = await self._context.keys.key(key.id)
        call.note(key_id=key.id, csr_id=request.id, subject=dict(request.values))
        return KeyWithCsrId(key_view(token, key, self._context, call), request.id)
