"""Configuration sources: anchors, parts, and trusted instances. Their keys are in `central_server.admin.tokens`."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from central_server.admin.context import row
from central_server.publication.anchors import remake_anchor
from central_server.registry.parts import GIVEN_PARTS, check_optional_part
from central_server.registry.refusals import RegistryCode, refuse
from central_server.store import sources
from schemas.faults import Fault
from schemas.globalconf.anchor import file_name, parse_anchor
from schemas.globalconf.parts import FILE_NAMES, PRIVATE_ID, SHARED_ID
from schemas.numbers import whole_number
from serving.api.operations import Download, MultipartForm
from serving.language import N_

if TYPE_CHECKING:
    from collections.abc import Sequence

    from central_server.admin.context import CentralAdminContext
    from schemas.globalconf.anchor import Anchor
    from serving.api.operations import Call, Operation

SOURCE = "/configuration-sources/{configuration_type}"
VIEW = ("VIEW_INTERNAL_CONFIGURATION_SOURCE", "VIEW_EXTERNAL_CONFIGURATION_SOURCE")


class SourceAnchorView(msgspec.Struct, frozen=True):
    """An anchor: its hash, for comparing, and when it was made."""

    hash: str
    created_at: str


class AnchorContainer(msgspec.Struct, frozen=True, omit_defaults=True):
    """A source's anchor, once there is one."""

    anchor: SourceAnchorView | None = None


class DownloadUrl(msgspec.Struct, frozen=True):
    """The address that a configuration is served at."""

    url: str


class PartView(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A part of a configuration."""

    content_identifier: str
    file_name: str
    optional: bool
    version: int
    file_updated_at: str | None = None


class TrustedAnchorView(msgspec.Struct, frozen=True, omit_defaults=True):
    """An instance that is trusted."""

    instance_identifier: str
    hash: str
    generated_at: str | None = None


def operations(context: CentralAdminContext) -> Sequence[Operation]:
    """The rows about configuration sources, signing keys, anchors and parts."""
    api, anchors = _Sources(context), _TrustedAnchors(context)
    return (
        row("GET", f"{SOURCE}/anchor", api.anchor, "The anchor of a source", *VIEW, answer=AnchorContainer),
        row("GET", f"{SOURCE}/anchor/download", api.download_anchor, "Download an anchor", "DOWNLOAD_SOURCE_ANCHOR",
            answer="application/xml"),
        row("PUT", f"{SOURCE}/anchor/re-create", api.remake_anchor, "Make an anchor anew", "GENERATE_SOURCE_ANCHOR",
            answer=SourceAnchorView, event="RE_CREATE_ANCHOR", errors=(500,)),
        row("GET", f"{SOURCE}/download-url", api.download_url, "Where a configuration is served", *VIEW,
            answer=DownloadUrl),
        row("GET", f"{SOURCE}/configuration-parts", api.parts, "Parts of a configuration", *VIEW,
            answer=list[PartView]),
        row("POST", f"{SOURCE}/configuration-parts", api.upload_part, "Upload an optional part",
            "UPLOAD_CONFIGURATION_PART", body=MultipartForm({"content_identifier": True}, {"file": True}), status=204,
            event="UPLOAD_CONFIGURATION_PART", errors=(500,)),
        row("GET", f"{SOURCE}/configuration-parts/{{content_identifier}}/{{version}}/download", api.download_part,
            "Download a part", "DOWNLOAD_CONFIGURATION_PART", answer="application/xml"),
        row("GET", "/trusted-anchors", anchors.all, "Federated instances", "VIEW_TRUSTED_ANCHORS",
            answer=list[TrustedAnchorView]),
        row("POST", "/trusted-anchors", anchors.add, "Trust another instance", "UPLOAD_TRUSTED_ANCHOR",
            body=MultipartForm({}, {"anchor": True}), answer=TrustedAnchorView, status=201, event="ADD_TRUSTED_ANCHOR",
            errors=(500,)),
        row("POST", "/trusted-anchors/preview", anchors.preview, "Look at an anchor", "UPLOAD_TRUSTED_ANCHOR",
            body=MultipartForm({}, {"anchor": True}), answer=TrustedAnchorView),
        row("DELETE", "/trusted-anchors/{hash}", anchors.delete, "Stop trusting", "DELETE_TRUSTED_ANCHOR",
            status=204, event="DELETE_TRUSTED_ANCHOR"),
        row("GET", "/trusted-anchors/{hash}/download", anchors.download, "Download a trusted anchor",
            "DOWNLOAD_TRUSTED_ANCHOR", answer="application/xml"),
    )  # fmt: skip


def source_of(call: Call, *, for_reading: bool = False) -> str:
    """The source a path names. Raises `Refused`."""
    source = call.path["configuration_type"].lower()
    if source not in sources.SOURCES:
        raise refuse(RegistryCode.CONFIGURATION_NOT_FOUND, call.path["configuration_type"])
    if for_reading:
        call.check_may(f"VIEW_{source.upper()}_CONFIGURATION_SOURCE")
    return source


class _Sources:
    def __init__(self, context: CentralAdminContext) -> None:
        self._context = context

    async def anchor(self, call: Call) -> AnchorContainer:
        found = sources.source_anchor(self._context.read(), source_of(call, for_reading=True))
        return AnchorContainer(None if found is None else _anchor_view(*found))

    async def download_anchor(self, call: Call) -> Download:
        source, records = source_of(call), self._context.read()
        found = sources.source_anchor(records, source)
        if found is None:
            raise refuse(RegistryCode.CONFIGURATION_NOT_FOUND, source)
        name = file_name(records.instance, source, datetime.fromisoformat(found[1]))
        return Download(found[0], "application/xml", name)

    async def remake_anchor(self, call: Call) -> SourceAnchorView:
        with self._context.change(call) as records:
            raw = remake_anchor(records, source_of(call))
            return _anchor_view(raw, records.at)

    async def download_url(self, call: Call) -> DownloadUrl:
        source = source_of(call, for_reading=True)
        address = sources.node_address(self._context.read())
        if address is None:
            raise refuse(RegistryCode.CONFIGURATION_NOT_FOUND, source)
        return DownloadUrl(f"http://{address}/{source}conf")

    async def parts(self, call: Call) -> list[PartView]:
        source = source_of(call, for_reading=True)
        published = self._context.node.published.current
        found: list[PartView] = []
        kept = {p.content_id: p for p in sources.list_optional_parts(self._context.read())}
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
            for content_id in GIVEN_PARTS:
                name = FILE_NAMES[content_id]
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
        source = source_of(call)
        content_id, raw = call.parts["content_identifier"].text(), call.parts["file"].content
        if source != "internal":
            raise refuse(RegistryCode.UNKNOWN_CONFIGURATION_PART, content_id)
        name = check_optional_part(content_id, raw)
        with self._context.change(call) as records:
            sources.keep_optional_part(records, content_id, name, raw)

    async def download_part(self, call: Call) -> Download:
        source, content_id, version = source_of(call), call.path["content_identifier"], call.path["version"]
        for part in sources.list_optional_parts(self._context.read()):
            if part.content_id == content_id and source == "internal":
                return Download(part.raw, "application/xml", part.file_name)
        published = self._context.node.published.current
        number = whole_number(version)
        if published is not None and number is not None:
            for made in published.parts.get(number, ()):
                if made.content_id == content_id and (source == "internal" or content_id == SHARED_ID):
                    return Download(made.content, "application/xml", made.file_name)
        raise refuse(RegistryCode.CONFIGURATION_PART_FILE_NOT_FOUND, content_id, version)


class _TrustedAnchors:
    def __init__(self, context: CentralAdminContext) -> None:
        self._context = context

    async def all(self, _call: Call) -> list[TrustedAnchorView]:
        return [_trusted_view(a) for a in sources.list_trusted_anchors(self._context.read())]

    async def preview(self, call: Call) -> TrustedAnchorView:
        return _trusted_view(_uploaded_anchor(call))

    async def add(self, call: Call) -> TrustedAnchorView:
        anchor = _uploaded_anchor(call)
        if anchor.instance == self._context.read().instance:
            raise refuse(RegistryCode.TRUSTED_ANCHOR_OF_OWN_INSTANCE, anchor.instance)
        try:
            await self._context.check_external_source(anchor, call.now)
        except Fault as fault:
            raise refuse(RegistryCode.TRUSTED_ANCHOR_VERIFICATION_FAILED, fault.detail) from fault
        with self._context.change(call) as records:
            sources.keep_trusted_anchor(records, anchor)
        return _trusted_view(anchor)

    async def delete(self, call: Call) -> None:
        with self._context.change(call) as records:
            sources.delete_trusted_anchor(records, call.path["hash"])

    async def download(self, call: Call) -> Download:
        anchor = sources.need_trusted_anchor(self._context.read(), call.path["hash"])
        return Download(anchor.raw, "application/xml", f"{anchor.instance}_anchor.xml")


def _uploaded_anchor(call: Call) -> Anchor:
    try:
        anchor = parse_anchor(call.parts["anchor"].content)
    except Fault as fault:
        raise refuse(RegistryCode.MALFORMED_ANCHOR, fault.detail) from fault
    if anchor.generated_at is None:
        raise refuse(RegistryCode.MALFORMED_ANCHOR, N_("generatedAt is missing"))
    return anchor


def _anchor_view(raw: bytes, created_at: str) -> SourceAnchorView:
    return SourceAnchorView(_with_colons(sources.anchor_digest(raw)), created_at)


def _trusted_view(anchor: Anchor) -> TrustedAnchorView:
    at = None if anchor.generated_at is None else anchor.generated_at.isoformat()
    return TrustedAnchorView(anchor.instance, _with_colons(sources.anchor_digest(anchor.raw)), at)


def _with_colons(digest: str) -> str:
    return ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))
