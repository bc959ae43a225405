"""Tokens, and the keys on them that sign the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from central_server.admin.context import actor_of, row
from central_server.admin.sources import SOURCE, VIEW, source_of
from central_server.admin.values import Text
from central_server.registry.refusals import RegistryCode, refuse
from central_server.store import sources
from certs.certificates import parse_certificate
from certs.tokens.port import SOFTWARE_TOKEN_ID
from schemas.faults import Kind, TokenFailed
from serving.api.problems import Problem
from serving.language import N_

if TYPE_CHECKING:
    from collections.abc import Sequence

    from central_server.admin.context import CentralAdminContext
    from certs.edges.devices import DeviceState
    from serving.api.operations import Call, Operation


class SigningKeyAdd(msgspec.Struct, frozen=True):
    """A signing key to be made."""

    key_label: Text
    token_id: Annotated[int, msgspec.Meta(ge=0)] | Text


class SigningKeyView(msgspec.Struct, frozen=True, kw_only=True):
    """A key that signs a configuration."""

    id: str
    label: str
    active: bool
    available: bool
    created_at: str
    key_hash: str
    token_id: str
    source_type: str
    key_algorithm: str
    possible_actions: list[str]


class TokenPassword(msgspec.Struct, frozen=True):
    """The PIN that logs in a token."""

    password: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class CentralTokenView(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A token with its signing keys. Ours: ``problem``, what keeps it from being available, and its causes in this API's words."""

    id: str
    name: str
    active: bool
    available: bool
    logged_in: bool
    status: str
    possible_actions: list[str]
    configuration_signing_keys: list[SigningKeyView]
    problem: str | None = None
    problem_causes: list[str] = []


def operations(context: CentralAdminContext) -> Sequence[Operation]:
    """The rows about tokens and signing keys."""
    keys = _SigningKeyHandlers(context)
    return (
        row("POST", f"{SOURCE}/signing-keys", keys.add, "Make a signing key", "GENERATE_SIGNING_KEY",
            body=SigningKeyAdd, answer=SigningKeyView, event="GENERATE_KEY", errors=(500,)),
        row("DELETE", "/signing-keys/{sign_key_id}", keys.delete, "Delete a signing key", "DELETE_SIGNING_KEY",
            status=204, event="DELETE_SIGNING_KEY"),
        row("PUT", "/signing-keys/{sign_key_id}/activate", keys.activate, "Sign with this key", "ACTIVATE_SIGNING_KEY",
            status=204, event="ACTIVATE_SIGNING_KEY"),
        row("GET", "/tokens", keys.tokens, "Tokens with signing keys", *VIEW, answer=list[CentralTokenView]),
        row("PUT", "/tokens/{token_id}/login", keys.log_in, "Enter a token's PIN", "ACTIVATE_TOKEN",
            body=TokenPassword, answer=CentralTokenView, event="LOGIN_TOKEN", errors=(500,)),
        row("PUT", "/tokens/{token_id}/logout", keys.log_out, "Lock a token", "DEACTIVATE_TOKEN",
            answer=CentralTokenView, event="LOGOUT_TOKEN", errors=(500,)),
    )  # fmt: skip


class _SigningKeyHandlers:
    def __init__(self, context: CentralAdminContext) -> None:
        self._context = context

    async def add(self, call: Call) -> SigningKeyView:
        body = call.body_as(SigningKeyAdd)
        made = await self._context.node.keys.make_signing_key(
            source_of(call), body.key_label, actor_of(call), call.now, str(body.token_id)
        )
        return _key_view(made, open_=True)

    async def activate(self, call: Call) -> None:
        with self._context.change(call) as records:
            sources.activate_signing_key(records, call.path["sign_key_id"])

    async def delete(self, call: Call) -> None:
        await self._context.node.keys.delete_signing_key(call.path["sign_key_id"], actor_of(call), call.now)

    async def tokens(self, _call: Call) -> list[CentralTokenView]:
        keys = self._context.node.keys
        return [self._token(i, await keys.state(i)) for i in keys.token_ids]

    async def log_in(self, call: Call) -> CentralTokenView:
        token_id, keys = call.path["token_id"], self._context.node.keys
        await self._check_token(token_id)
        try:
            await keys.log_in(call.body_as(TokenPassword).password, actor_of(call), call.now, token_id)
        except TokenFailed as fault:
            code = "token_pin_locked" if fault.kind is Kind.TOKEN_NOT_ACTIVE else "token_incorrect_pin_format"
            if fault.kind is Kind.PIN_INCORRECT:
                code = "pin_incorrect"
            raise Problem(400, code, [fault.detail]) from fault
        return self._token(token_id, await keys.state(token_id))

    async def log_out(self, call: Call) -> CentralTokenView:
        token_id, keys = call.path["token_id"], self._context.node.keys
        await self._check_token(token_id)
        if not await keys.is_open(token_id):
            raise refuse(RegistryCode.TOKEN_ACTION_NOT_POSSIBLE, N_("the token is locked already"))
        await keys.log_out(token_id)
        return self._token(token_id, await keys.state(token_id))

    async def _check_token(self, token_id: str) -> None:
        keys = self._context.node.keys
        if await keys.state(token_id) is None or (token_id == SOFTWARE_TOKEN_ID and not await keys.is_made()):
            raise refuse(RegistryCode.TOKEN_NOT_FOUND, token_id)

    def _token(self, token_id: str, state: DeviceState | None) -> CentralTokenView:
        records = self._context.read()
        keys = [k for s in sources.SOURCES for k in sources.signing_keys(records, s)]
        open_ = state is not None and state.logged_in
        actions = [] if state is None else ["LOGOUT"] if open_ else ["LOGIN"]
        if open_:
            for source in sources.SOURCES:
                if sum(k.source == source for k in keys) < sources.MOST_KEYS:
                    actions.append(f"GENERATE_{source.upper()}_KEY")
        return CentralTokenView(
            id=token_id,
            name=f"softToken-{token_id}" if token_id == SOFTWARE_TOKEN_ID else token_id,
            active=open_,
            available=state is not None and state.available,
            logged_in=open_,
            status="NOT_INITIALIZED" if state is None else state.status.value,
            possible_actions=actions,
            configuration_signing_keys=[_key_view(k, open_=open_) for k in keys if k.token_id == token_id],
            problem="the settings do not name this token" if state is None else state.failure,
            problem_causes=["token_without_device"]
            if state is None
            else ["token_fails"]
            if state.failure
            else [],
        )


def _key_view(key: sources.SigningKey, *, open_: bool) -> SigningKeyView:
    public_key = parse_certificate(key.certificate).public_key()
    return SigningKeyView(
        id=key.key_id,
        label=key.label,
        active=key.active,
        available=open_,
        created_at=key.created_at,
        key_hash=sources.anchor_digest(key.certificate),
        token_id=key.token_id,
        source_type=key.source.upper(),
        key_algorithm="EC" if isinstance(public_key, ec.EllipticCurvePublicKey) else "RSA",
        possible_actions=[] if key.active or not open_ else ["ACTIVATE", "DELETE"],
    )
