"""Configuration sources: anchors, parts, signing keys and the token that holds them, and trusted instances."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import msgspec

from central_server.admin.desk import actor_of, row
from central_server.admin.values import Text
from central_server.node import SOFT_TOKEN, remake_anchor
from central_server.parts import check_optional_part
from central_server.refusals import refuse
from central_server.store import sources
from schemas.faults import Fault, Kind, TokenFailed
from schemas.globalconf.anchor import file_name, parse_anchor
from schemas.globalconf.parts import FILE_NAMES, PRIVATE_ID, SHARED_ID
from serving.operations import Download, Form
from serving.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from central_server.admin.desk import Desk
    from schemas.globalconf.anchor import Anchor
    from serving.operations import Call, Operation

_VIEW = ("VIEW_INTERNAL_CONFIGURATION_SOURCE", "VIEW_EXTERNAL_CONFIGURATION_SOURCE")


class AnchorView(msgspec.Struct, frozen=True):
    """An anchor: its hash, for comparing, and when it was made."""

    hash: str
    created_at: str


class AnchorContainer(msgspec.Struct, frozen=True, omit_defaults=True):
    """A source's anchor, once there is one."""

    anchor: AnchorView | None = None


class DownloadUrl(msgspec.Struct, frozen=True):
    """Where a configuration is served."""

    url: str


class PartView(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A part of a configuration."""

    content_identifier: str
    file_name: str
    optional: bool
    version: int
    file_updated_at: str | None = None


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
    """A token's PIN."""

    password: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class TokenView(msgspec.Struct, frozen=True, kw_only=True):
    """A token with its signing keys."""

    id: str
    name: str
    active: bool
    available: bool
    logged_in: bool
    status: str
    possible_actions: list[str]
    configuration_signing_keys: list[SigningKeyView]


class TrustedAnchorView(msgspec.Struct, frozen=True, omit_defaults=True):
    """An instance that is trusted."""

    instance_identifier: str
    hash: str
    generated_at: str | None = None


def operations(desk: Desk) -> Sequence[Operation]:
    """The rows."""
    api, keys, anchors = _Sources(desk), _Keys(desk), _TrustedAnchors(desk)
    source = "/configuration-sources/{configuration_type}"
    return (
        row("GET", f"{source}/anchor", api.anchor, "The anchor of a source", *_VIEW, answer=AnchorContainer),
        row("GET", f"{source}/anchor/download", api.download_anchor, "Download an anchor", "DOWNLOAD_SOURCE_ANCHOR",
            answer="application/xml"),
        row("PUT", f"{source}/anchor/re-create", api.remake_anchor, "Make an anchor anew", "GENERATE_SOURCE_ANCHOR",
            answer=AnchorView, event="RE_CREATE_ANCHOR", errors=(500,)),
        row("GET", f"{source}/download-url", api.download_url, "Where a configuration is served", *_VIEW,
            answer=DownloadUrl),
        row("GET", f"{source}/configuration-parts", api.parts, "Parts of a configuration", *_VIEW,
            answer=list[PartView]),
        row("POST", f"{source}/configuration-parts", api.upload_part, "Upload an optional part",
            "UPLOAD_CONFIGURATION_PART", body=Form({"content_identifier": True}, {"file": True}), status=204,
            event="UPLOAD_CONFIGURATION_PART", errors=(500,)),
        row("GET", f"{source}/configuration-parts/{{content_identifier}}/{{version}}/download", api.download_part,
            "Download a part", "DOWNLOAD_CONFIGURATION_PART", answer="application/xml"),
        row("POST", f"{source}/signing-keys", keys.add, "Make a signing key", "GENERATE_SIGNING_KEY",
            body=SigningKeyAdd, answer=SigningKeyView, event="GENERATE_KEY", errors=(500,)),
        row("DELETE", "/signing-keys/{sign_key_id}", keys.delete, "Delete a signing key", "DELETE_SIGNING_KEY",
            status=204, event="DELETE_SIGNING_KEY"),
        row("PUT", "/signing-keys/{sign_key_id}/activate", keys.activate, "Sign with this key", "ACTIVATE_SIGNING_KEY",
            status=204, event="ACTIVATE_SIGNING_KEY"),
        row("GET", "/tokens", keys.tokens, "Tokens with signing keys", *_VIEW, answer=list[TokenView]),
        row("PUT", "/tokens/{token_id}/login", keys.log_in, "Enter a token's PIN", "ACTIVATE_TOKEN",
            body=TokenPassword, answer=TokenView, event="LOGIN_TOKEN", errors=(500,)),
        row("PUT", "/tokens/{token_id}/logout", keys.log_out, "Lock a token", "DEACTIVATE_TOKEN",
            answer=TokenView, event="LOGOUT_TOKEN", errors=(500,)),
        row("GET", "/trusted-anchors", anchors.all, "Federated instances", "VIEW_TRUSTED_ANCHORS",
            answer=list[TrustedAnchorView]),
        row("POST", "/trusted-anchors", anchors.add, "Trust another instance", "UPLOAD_TRUSTED_ANCHOR",
            body=Form({}, {"anchor": True}), answer=TrustedAnchorView, status=201, event="ADD_TRUSTED_ANCHOR",
            errors=(500,)),
        row("POST", "/trusted-anchors/preview", anchors.preview, "Look at an anchor", "UPLOAD_TRUSTED_ANCHOR",
            body=Form({}, {"anchor": True}), answer=TrustedAnchorView),
        row("DELETE", "/trusted-anchors/{hash}", anchors.delete, "Stop trusting", "DELETE_TRUSTED_ANCHOR",
            status=204, event="DELETE_TRUSTED_ANCHOR"),
        row("GET", "/trusted-anchors/{hash}/download", anchors.download, "Download a trusted anchor",
            "DOWNLOAD_TRUSTED_ANCHOR", answer="application/xml"),
    )  # fmt: skip


def _source_of(call: Call, *, for_reading: bool = False) -> str:
    source = call.path["configuration_type"].lower()
    if source not in sources.SOURCES:
        raise refuse("configuration_not_found", call.path["configuration_type"])
    if for_reading:
        call.check_may(f"VIEW_{source.upper()}_CONFIGURATION_SOURCE")
    return source


class _Sources:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def anchor(self, call: Call) -> AnchorContainer:
        found = sources.source_anchor(self._desk.read(), _source_of(call, for_reading=True))
        return AnchorContainer(None if found is None else _anchor_view(*found))

    async def download_anchor(self, call: Call) -> Download:
        source, records = _source_of(call), self._desk.read()
        found = sources.source_anchor(records, source)
        if found is None:
            raise refuse("configuration_not_found", source)
        name = file_name(records.instance, source, datetime.fromisoformat(found[1]))
        return Download(found[0], "application/xml", name)

    async def remake_anchor(self, call: Call) -> AnchorView:
        with self._desk.change(call) as records:
            raw = remake_anchor(records, _source_of(call))
            return _anchor_view(raw, records.at)

    async def download_url(self, call: Call) -> DownloadUrl:
        source = _source_of(call, for_reading=True)
        address = sources.node_address(self._desk.read())
        if address is None:
            raise refuse("configuration_not_found", source)
        return DownloadUrl(f"http://{address}/{source}conf")

    async def parts(self, call: Call) -> list[PartView]:
        source = _source_of(call, for_reading=True)
        published = self._desk.node.published.current
        found: list[PartView] = []
        kept = {p.content_id: p for p in sources.list_optional_parts(self._desk.read())}
        for version, made in () if published is None else sorted(published.parts.items()):
            for part in made:
                if part.content_id in (SHARED_ID, PRIVATE_ID) and (
                    source == "internal" or part.content_id == SHARED_ID
                ):
                    found.append(
                        PartView(
                            content_identifier=part.content_id,
                            file_name=part.file_name,
                            optional=False,
                            version=version,
                            file_updated_at=None if published is None else published.at.isoformat(),
                        )
                    )
        if source == "internal":
            for content_id, name in FILE_NAMES.items():
                if content_id in (SHARED_ID, PRIVATE_ID):
                    continue
                there = kept.get(content_id)
                found.append(
                    PartView(
                        content_identifier=content_id,
                        file_name=name,
                        optional=True,
                        version=0,
                        file_updated_at=None if there is None else there.updated_at,
                    )
                )
        return found

    async def upload_part(self, call: Call) -> None:
        source = _source_of(call)
        content_id, raw = call.parts["content_identifier"].text(), call.parts["file"].content
        if source != "internal":
            raise refuse("unknown_configuration_part", content_id)
        name = check_optional_part(content_id, raw)
        with self._desk.change(call) as records:
            sources.keep_optional_part(records, content_id, name, raw)

    async def download_part(self, call: Call) -> Download:
        source, content_id, version = _source_of(call), call.path["content_identifier"], call.path["version"]
        for part in sources.list_optional_parts(self._desk.read()):
            if part.content_id == content_id and source == "internal":
                return Download(part.raw, "application/xml", part.file_name)
        published = self._desk.node.published.current
        if published is not None and version.isdigit():
            for made in published.parts.get(int(version), ()):
                if made.content_id == content_id and (source == "internal" or content_id == SHARED_ID):
                    return Download(made.content, "application/xml", made.file_name)
        raise refuse("configuration_part_file_not_found", content_id, version)


class _Keys:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def add(self, call: Call) -> SigningKeyView:
        asked = call.body_as(SigningKeyAdd)
        if str(asked.token_id) != SOFT_TOKEN:
            raise refuse("token_not_found", asked.token_id)
        made = self._desk.node.make_signing_key(_source_of(call), asked.key_label, actor_of(call), call.now)
        return self._view(made)

    async def activate(self, call: Call) -> None:
        with self._desk.change(call) as records:
            sources.activate_signing_key(records, call.path["sign_key_id"])

    async def delete(self, call: Call) -> None:
        self._desk.node.delete_signing_key(call.path["sign_key_id"], actor_of(call), call.now)

    async def tokens(self, _call: Call) -> list[TokenView]:
        return [self._token()]

    async def log_in(self, call: Call) -> TokenView:
        self._check_token(call)
        try:
            self._desk.node.log_in(call.body_as(TokenPassword).password, actor_of(call), call.now)
        except TokenFailed as fault:
            code = "token_pin_locked" if fault.kind is Kind.TOKEN_NOT_ACTIVE else "token_incorrect_pin_format"
            if fault.kind is Kind.PIN_INCORRECT:
                code = "pin_incorrect"
            raise Problem(400, code, [fault.detail]) from fault
        return self._token()

    async def log_out(self, call: Call) -> TokenView:
        self._check_token(call)
        if not self._desk.node.token.is_unlocked:
            raise refuse("token_action_not_possible", "the token is locked already")
        self._desk.node.log_out()
        return self._token()

    def _check_token(self, call: Call) -> None:
        if call.path["token_id"] != SOFT_TOKEN or not self._desk.node.has_token:
            raise refuse("token_not_found", call.path["token_id"])

    def _token(self) -> TokenView:
        node, records = self._desk.node, self._desk.read()
        keys = [k for s in sources.SOURCES for k in sources.signing_keys(records, s)]
        open_ = node.token.is_unlocked
        actions = ["LOGOUT"] if open_ else ["LOGIN"]
        if open_:
            for source in sources.SOURCES:
                if sum(k.source == source for k in keys) < sources.MOST_KEYS:
                    actions.append(f"GENERATE_{source.upper()}_KEY")
        return TokenView(
            id=SOFT_TOKEN,
            name="softToken-0",
            active=open_,
            available=node.has_token,
            logged_in=open_,
            status="OK" if node.has_token else "NOT_INITIALIZED",
            possible_actions=actions,
            configuration_signing_keys=[self._view(k) for k in keys],
        )

    def _view(self, key: sources.SigningKey) -> SigningKeyView:
        open_ = self._desk.node.token.is_unlocked
        kinds = {i.id: i.kind for i in self._desk.node.token.key_infos()}
        return SigningKeyView(
            id=key.key_id,
            label=key.label,
            active=key.active,
            available=open_,
            created_at=key.created_at,
            key_hash=sources.anchor_digest(key.certificate),
            token_id=key.token_id,
            source_type=key.source.upper(),
            key_algorithm="EC" if str(kinds.get(key.key_id, "rsa")).startswith("ec") else "RSA",
            possible_actions=[] if key.active or not open_ else ["ACTIVATE", "DELETE"],
        )


class _TrustedAnchors:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def all(self, _call: Call) -> list[TrustedAnchorView]:
        return [_trusted_view(a) for a in sources.list_trusted_anchors(self._desk.read())]

    async def preview(self, call: Call) -> TrustedAnchorView:
        return _trusted_view(_uploaded_anchor(call))

    async def add(self, call: Call) -> TrustedAnchorView:
        anchor = _uploaded_anchor(call)
        if anchor.instance == self._desk.read().instance:
            raise refuse("trusted_anchor_of_own_instance", anchor.instance)
        try:
            await self._desk.check_external_source(anchor, call.now)
        except Fault as fault:
            raise refuse("trusted_anchor_verification_failed", fault.detail) from fault
        with self._desk.change(call) as records:
            sources.keep_trusted_anchor(records, anchor)
        return _trusted_view(anchor)

    async def delete(self, call: Call) -> None:
        with self._desk.change(call) as records:
            sources.delete_trusted_anchor(records, call.path["hash"])

    async def download(self, call: Call) -> Download:
        anchor = sources.need_trusted_anchor(self._desk.read(), call.path["hash"])
        return Download(anchor.raw, "application/xml", f"{anchor.instance}_anchor.xml")


def _uploaded_anchor(call: Call) -> Anchor:
    try:
        anchor = parse_anchor(call.parts["anchor"].content)
    except Fault as fault:
        raise refuse("malformed_anchor", fault.detail) from fault
    if anchor.generated_at is None:
        raise refuse("malformed_anchor", "generatedAt is missing")
    return anchor


def _anchor_view(raw: bytes, created_at: str) -> AnchorView:
    return AnchorView(_with_colons(sources.anchor_digest(raw)), created_at)


def _trusted_view(anchor: Anchor) -> TrustedAnchorView:
    at = None if anchor.generated_at is None else anchor.generated_at.isoformat()
    return TrustedAnchorView(anchor.instance, _with_colons(sources.anchor_digest(anchor.raw)), at)


def _with_colons(digest: str) -> str:
    return ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))
