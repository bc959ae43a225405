"""The global configuration: sources with their anchors, signing keys and parts; anchors of other instances; management services."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from central_server.admin.console.start import parts_listing
from central_server.admin.sources import AnchorContainer, DownloadUrl, TrustedAnchorView
from central_server.admin.system import ServicesConfiguration
from central_server.admin.tokens import CentralTokenView
from serving.language import N_
from serving.process.failing import FailureReason
from serving.web.acting import act, act_cell, download
from serving.web.blocks import (
    Column,
    FactSheet,
    Heading,
    Listing,
    PageView,
    code,
    link,
    moment,
    phrase,
    several,
    text,
)
from serving.web.formnames import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from central_server.admin.tokens import SigningKeyView
    from serving.language import Translatable
    from serving.web.blocks import Block, Cell
    from serving.web.console import ConsoleRequest

HERE: Final = f"{ROOT}/configuracion"
SOURCES: Final = (("INTERNAL", N_("For this instance")), ("EXTERNAL", N_("For other instances")))


async def configuration(request: ConsoleRequest) -> PageView:
    """Everything that makes the configuration and that it is made of."""
    tokens = (await request.fetch("get_tokens", list[CentralTokenView])).value or ()
    blocks: list[Block | None] = []
    for source, title in SOURCES:
        blocks += await _source(request, source, title, tokens)
    blocks += [
        *_tokens(request, tokens),
        *await _trusted(request),
        *await _management(request),
    ]
    return PageView(N_("Global configuration"), blocks)


def _key_rows(request: ConsoleRequest, keys: Sequence[SigningKeyView]) -> tuple[tuple[Cell, ...], ...]:
    return tuple(
        (
            text(k.label),
            code(k.key_hash),
            moment(k.created_at),
            phrase(N_("signs"), "good") if k.active else phrase(N_("kept")),
            several(
                act_cell(
                    request,
                    "put_signing_keys_sign_key_id_activate",
                    N_("Sign with it"),
                    {"sign_key_id": k.id},
                )
                if not k.active
                else None,
                act_cell(request, "delete_signing_keys_sign_key_id", N_("Delete"), {"sign_key_id": k.id})
                if not k.active
                else None,
            ),
        )
        for k in keys
    )


async def _source(
    request: ConsoleRequest, source: str, title: Translatable, tokens: Sequence[CentralTokenView]
) -> list[Block | None]:
    named, one = {"configuration_type": source}, "configuration_sources_configuration_type"
    anchor = await request.fetch(f"get_{one}_anchor", AnchorContainer, named)
    if anchor.value is None:
        return []
    url = await request.fetch(f"get_{one}_download_url", DownloadUrl, named)
    made = anchor.value.anchor
    pairs = (
        (N_("Given out at"), code(url.value.url if url.value is not None else "")),
        (N_("Digest of the anchor"), code(made.hash if made else "")),
        (N_("Anchor made on"), moment(made.created_at if made else None)),
    )
    token = tokens[0].id if tokens else "0"
    links = (
        download(request, f"get_{one}_anchor_download", N_("Download the anchor"), named) if made else None,
        act(request, f"put_{one}_anchor_re_create", N_("Make a new anchor"), named),
        act(request, f"post_{one}_signing_keys", N_("Make a signing key"), {**named, "token_id": token}),
        act(request, f"post_{one}_configuration_parts", N_("Upload a part"), named),
    )
    keys = [k for t in tokens for k in t.configuration_signing_keys if k.source_type == source]
    rows = _key_rows(request, keys)
    columns = (
        Column(N_("Key")), Column(N_("Digest")), Column(N_("Made on")), Column(N_("State")),
        Column(N_("What can be done")),
    )  # fmt: skip
    empty = N_("No signing key: nothing is given out. Make one; the first one signs at once.")
    return [
        Heading(title, None, links),
        FactSheet(pairs),
        Listing(N_("Signing keys"), columns, rows, empty),
        await parts_listing(request, source),
    ]


def _tokens(request: ConsoleRequest, tokens: Sequence[CentralTokenView]) -> list[Block | None]:
    rows = tuple(
        (
            text(t.name),
            phrase(N_("open"), "good") if t.logged_in else phrase(N_("waits for its PIN"), "bad"),
            phrase(FailureReason(t.problem or "", tuple(t.problem_causes))),
            several(
                act_cell(request, "put_tokens_token_id_login", N_("Enter the PIN"), {"token_id": t.id})
                if not t.logged_in
                else act_cell(request, "put_tokens_token_id_logout", N_("Forget the PIN"), {"token_id": t.id})
            ),
        )
        for t in tokens
    )
    columns = (
        Column(N_("Token")),
        Column(N_("State")),
        Column(N_("What is wrong")),
        Column(N_("What can be done")),
    )
    return [
        Heading(N_("Tokens")),
        Listing(
            N_("Tokens of the signing keys"),
            columns,
            rows,
            N_("No token: begin the instance, which makes one."),
        ),
    ]


async def _trusted(request: ConsoleRequest) -> list[Block | None]:
    found = await request.fetch("get_trusted_anchors", list[TrustedAnchorView])
    if found.value is None:
        return []
    rows = []
    for anchor in found.value:
        file = download(request, "get_trusted_anchors_hash_download", N_("Download"), {"hash": anchor.hash})
        rows.append(
            (
                text(anchor.instance_identifier),
                code(anchor.hash),
                moment(anchor.generated_at),
                several(
                    link(file.text, file.href) if file else None,
                    act_cell(request, "delete_trusted_anchors_hash", N_("Delete"), {"hash": anchor.hash}),
                ),
            )
        )
    links = (
        act(request, "post_trusted_anchors_preview", N_("Look at an anchor"), back=HERE),
        act(request, "post_trusted_anchors", N_("Trust another instance"), back=HERE),
    )
    columns = (
        Column(N_("Instance")),
        Column(N_("Digest")),
        Column(N_("Made on")),
        Column(N_("What can be done")),
    )
    empty = N_("No other instance is trusted.")
    return [
        Heading(N_("Federation"), None, links),
        Listing(N_("Anchors of other instances"), columns, tuple(rows), empty),
    ]


async def _management(request: ConsoleRequest) -> list[Block | None]:
    found = await request.fetch("get_management_services_configuration", ServicesConfiguration)
    if found.value is None:
        return []
    this = found.value
    pairs = (
        (N_("Provider"), several(text(this.service_provider_name), code(this.service_provider_id))),
        (N_("On the server"), code(this.security_server_id)),
        (N_("Address of the services"), code(this.services_address)),
        (N_("Address of their WSDL"), code(this.wsdl_address)),
        (N_("Group of the servers' owners"), code(this.security_server_owners_global_group_code)),
    )
    one = "management_services_configuration"
    links = (
        act(
            request,
            f"patch_{one}",
            N_("Another provider") if this.service_provider_id else N_("Choose the provider"),
        ),
        act(request, f"post_{one}_register_provider", N_("Register the provider on a server")),
        act(request, f"post_{one}_certificate", N_("New key and certificate")),
        act(request, f"post_{one}_generate_csr", N_("Signing request")),
        act(request, f"post_{one}_upload_certificate", N_("Import a certificate")),
        download(request, f"get_{one}_download_certificate", N_("Download the certificate")),
    )
    return [Heading(N_("Management services"), None, links), FactSheet(pairs)]
