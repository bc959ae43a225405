"""``/initialization`` and ``/system/anchor``: becoming a security server, and whom it trusts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from certs.tokens.port import SOFTWARE_TOKEN_ID, TokenStatus
from gateway.admin.context import AdminContext, instant, row
from gateway.admin.values import Identifier, Pin
from gateway.keys.pins import check_pin
from schemas.faults import Fault
from schemas.globalconf.anchor import parse_anchor
from schemas.identifiers import ClientId
from serving.api.operations import Bytes, Download
from serving.api.problems import Problem, bad_request, check_warnings, conflict, failed, not_found
from serving.errors import Caution
from serving.language import N_
from serving.process.failing import reason_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from schemas.globalconf.anchor import Anchor
    from serving.api.operations import Call, Operation

XML = "application/xml"


class InitialServerConf(msgspec.Struct, frozen=True):
    """The owner, server code and PIN of a new security server; those that are set already may be left out."""

    owner_member_class: Identifier | None = None
    owner_member_code: Identifier | None = None
    security_server_code: Identifier | None = None
    software_token_pin: Pin | None = None
    ignore_warnings: bool = False


class InitializationStatus(msgspec.Struct, frozen=True):
    """The steps of the initialisation that are done."""

    is_anchor_imported: bool
    is_server_code_initialized: bool
    is_server_owner_initialized: bool
    software_token_init_status: str
    enforce_token_pin_policy: bool


class InitialAnchorView(msgspec.Struct, frozen=True):
    """A configuration anchor by its hash and the time it was made."""

    hash: str
    created_at: str


class PreviewQuery(msgspec.Struct, frozen=True):
    """Whether the anchor must be of this server's instance."""

    validate_instance: bool = True


@dataclass(frozen=True, slots=True)
class InitializationResource:
    """The handlers of ``/initialization`` and ``/system/anchor``."""

    context: AdminContext

    def rows(self) -> Sequence[Operation]:
        """The rows of these handlers: path, right, input, answer."""
        anchor = "/system/anchor"
        return [
            row("POST", "/initialization", self.initialise, "Become a security server", "INIT_CONFIG",
                body=InitialServerConf, status=201, event="INIT_SERVER_CONFIGURATION", errors=(500,)),
            row("GET", "/initialization/status", self.initialised, "How far initialisation got",
                answer=InitializationStatus),
            row("GET", anchor, self.anchor, "The anchor in use", "VIEW_ANCHOR", answer=InitialAnchorView, errors=(500,)),
            row("POST", anchor, self.add_anchor, "The first anchor", "INIT_CONFIG", body=Bytes(), status=201,
                event="INIT_ANCHOR", errors=(500,)),
            row("PUT", anchor, self.replace_anchor, "Another anchor", "UPLOAD_ANCHOR", body=Bytes(), status=201,
                event="UPLOAD_ANCHOR", errors=(500,)),
            row("POST", anchor + "/previews", self.preview, "Only read an anchor", "UPLOAD_ANCHOR", body=Bytes(),
                query=PreviewQuery, answer=InitialAnchorView),
            row("GET", anchor + "/download", self.download_anchor, "Download the anchor", "DOWNLOAD_ANCHOR",
                answer=XML, errors=(500,)),
        ]  # fmt: skip

    # Initialisation

    async def initialise(self, call: Call) -> None:
        body = call.body_as(InitialServerConf)
        if self.context.process.anchor() is None:
            raise conflict("anchor_not_found")
        if self.context.process.store.is_initialised():
            await self._make_token(body.software_token_pin)
            return
        configuration = self.context.configuration()
        missing = [
            name
            for name, value in (
                ("server_code_not_provided", body.security_server_code),
                ("member_class_not_provided", body.owner_member_class),
                ("member_code_not_provided", body.owner_member_code),
                ("pin_code_not_provided", body.software_token_pin),
            )
            if value is None
        ]
        if missing:
            raise bad_request("invalid_init_params", *missing)
        owner = ClientId(configuration.instance, body.owner_member_class or "", body.owner_member_code or "")
        server = owner.server(body.security_server_code or "")
        check_pin(body.software_token_pin or "", strict=self.context.process.settings.keys.enforce_pin_policy)
        cautions = []
        if not configuration.known_member(owner):
            cautions.append(Caution("init_unregistered_member", (owner.encoded(),)))
        if configuration.server(server) is not None:
            cautions.append(Caution("init_server_id_exists", (server.encoded(),)))
        check_warnings(cautions, ignore=body.ignore_warnings)
        call.note(server=server.encoded())
        await self.context.process.initialise(server, body.software_token_pin)

    async def _make_token(self, pin: str | None) -> None:
        """What is left of an initialisation that a crash interrupted. Refused when nothing is left."""
        token = await self.context.keys.token(SOFTWARE_TOKEN_ID)
        if token.status is not TokenStatus.NOT_INITIALIZED:
            raise conflict("server_already_fully_initialized")
        if pin is None:
            raise bad_request("invalid_init_params", "pin_code_not_provided")
        await self.context.keys.initialise_token(SOFTWARE_TOKEN_ID, pin)

    async def initialised(self, _call: Call) -> InitializationStatus:
        done = self.context.process.store.is_initialised()
        token = "NOT_INITIALIZED"  # a state
        if done and self.context.process.gateway is not None:
            found = await self.context.keys.token(SOFTWARE_TOKEN_ID)
            token = "INITIALIZED" if found.status is not TokenStatus.NOT_INITIALIZED else token
        strict = self.context.process.settings.keys.enforce_pin_policy
        return InitializationStatus(self.context.process.anchor() is not None, done, done, token, strict)

    # Anchor

    def _anchor(self) -> Anchor:
        raw = self.context.process.anchor()
        if raw is None:
            raise failed("anchor_file_not_found")
        return parse_anchor(raw)

    async def anchor(self, _call: Call) -> InitialAnchorView:
        return _anchor_view(self._anchor())

    async def add_anchor(self, call: Call) -> None:
        if self.context.process.anchor() is not None:
            raise conflict("anchor_already_exists")
        _read_anchor(call.file())
        await _fetched(self.context.process.take_anchor(call.file()))

    async def replace_anchor(self, call: Call) -> None:
        if self.context.process.anchor() is None:
            raise not_found("anchor_file_not_found")
        self._check_instance(_read_anchor(call.file()))
        await _fetched(self.context.process.replace_anchor(call.file()))

    async def preview(self, call: Call) -> InitialAnchorView:
        anchor = _read_anchor(call.file())
        if call.query_as(PreviewQuery).validate_instance and self.context.process.anchor() is not None:
            self._check_instance(anchor)
        return _anchor_view(anchor)

    def _check_instance(self, anchor: Anchor) -> None:
        if anchor.instance != self._anchor().instance:
            raise bad_request("internal_anchor_upload_invalid_instance_id", anchor.instance)

    async def download_anchor(self, _call: Call) -> Download:
        anchor = self._anchor()
        made = f"_UTC_{anchor.generated_at:%Y-%m-%d_%H_%M_%S}" if anchor.generated_at else ""
        name = f"configuration_anchor{made}.xml"
        return Download(self.context.process.anchor() or b"", XML, name)


def _read_anchor(raw: bytes) -> Anchor:
    try:
        return parse_anchor(raw)
    except (Fault, ValueError) as err:
        words = N_("That is no configuration anchor: {why}", why=reason_of(err))
        detail = getattr(err, "detail", "the anchor cannot be read")
        raise Problem(400, "malformed_anchor", [detail], words=words) from err


async def _fetched(attempt: Awaitable[None]) -> None:
    try:
        await attempt
    except Fault as fault:
        words = N_("The global configuration could not be downloaded: {why}", why=reason_of(fault))
        raise failed("conf_download_failed", fault.detail, words=words) from fault


def _anchor_view(anchor: Anchor) -> InitialAnchorView:
    made = "" if anchor.generated_at is None else instant(anchor.generated_at)
    return InitialAnchorView(anchor.hash_text(), made)
