"""Trust services: approved certificate authorities with their responders, and timestamping authorities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from central_server.admin.trust import CaListItem, CaView, IntermediateView, ResponderView, TsaView
from serving.language import N_, as_it_is
from serving.web.acting import act, act_cell
from serving.web.blocks import (
    Column,
    FactSheet,
    Heading,
    Listing,
    PageLink,
    PageNote,
    PageView,
    code,
    day,
    link,
    phrase,
    several,
    text,
)
from serving.web.codewords import word
from serving.web.formnames import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serving.web.blocks import Block, Cell
    from serving.web.console import ConsoleRequest

LIST: Final = f"{ROOT}/confianza"


async def trust(request: ConsoleRequest) -> PageView:
    """Every authority that is approved, by kind."""
    blocks: list[Block | None] = [*await _authorities(request), *await _timestamping(request)]
    return PageView(N_("Trust services"), blocks)


async def _authorities(request: ConsoleRequest) -> list[Block | None]:
    found = await request.fetch("get_certification_services", list[CaListItem])
    add = act(
        request, "post_certification_services", N_("Approve a certificate authority"), back=LIST, main=True
    )
    heading = Heading(N_("Certificate authorities"), None, (add,))
    if found.value is None:
        return [heading, PageNote(found.why or N_("Nothing is known."))]
    rows = tuple(
        (link(c.name, f"{ROOT}/autoridad?id={c.id}"), day(c.not_before), day(c.not_after))
        for c in found.value
    )
    columns = (Column(N_("Authority"), "nombre"), Column(N_("From")), Column(N_("Ends on"), "fin"))
    empty = N_("No certificate authority is approved: no certificate is believed.")
    return [heading, Listing(N_("Approved certificate authorities"), columns, rows, empty, "autoridades")]


async def _timestamping(request: ConsoleRequest) -> list[Block | None]:
    found = await request.fetch("get_timestamping_services", list[TsaView])
    add = act(request, "post_timestamping_services", N_("Approve a timestamping authority"), back=LIST)
    heading = Heading(N_("Timestamping authorities"), None, (add,))
    if found.value is None:
        return [heading, PageNote(found.why or N_("Nothing is known."))]
    rows = tuple(
        (
            text(t.name),
            code(t.url),
            word(t.cost_type),
            day(t.certificate.not_after),
            several(
                act_cell(request, "patch_timestamping_services_timestamping_service_id", N_("Change"),
                         {"timestamping_service_id": str(t.id)}, {"url": t.url, "cost_type": t.cost_type}),
                act_cell(request, "delete_timestamping_services_timestamping_service_id", N_("Delete"),
                         {"timestamping_service_id": str(t.id)}),
            ),
        )
        for t in found.value
    )  # fmt: skip
    columns = (
        Column(N_("Authority"), "nombre"), Column(N_("Address")), Column(N_("Cost")), Column(N_("Ends on"), "fin"),
        Column(N_("What can be done")),
    )  # fmt: skip
    empty = N_("No timestamping authority is approved: servers stop taking messages after a while.")
    return [heading, Listing(N_("Approved timestamping authorities"), columns, rows, empty, "sellos")]


def _authority_facts(found: CaView) -> FactSheet:
    return FactSheet(
        (
            (N_("Of"), text(found.subject_distinguished_name)),
            (N_("By"), text(found.issuer_distinguished_name)),
            (N_("Ends on"), day(found.not_after)),
            (
                N_("Used for"),
                phrase(N_("connections alone") if found.tls_auth else N_("connections and signatures")),
            ),
            (N_("Certificate profile"), code(found.certificate_profile_info.rpartition(".")[2])),
            (N_("Usual format of signing requests"), word(found.default_csr_format)),
            (N_("Address of the ACME directory"), code(found.acme_server_directory_url)),
        )
    )


def _responder_rows(
    request: ConsoleRequest, responders: Sequence[ResponderView]
) -> tuple[tuple[Cell, ...], ...]:
    return tuple(
        (
            code(r.url),
            word(r.cost_type),
            phrase(N_("yes")) if r.has_certificate else phrase(N_("no")),
            several(
                act_cell(request, "patch_ocsp_responders_ocsp_responder_id", N_("Change"),
                         {"ocsp_responder_id": str(r.id)}, {"url": r.url, "cost_type": r.cost_type}),
                act_cell(request, "delete_ocsp_responders_ocsp_responder_id", N_("Delete"),
                         {"ocsp_responder_id": str(r.id)}),
            ),
        )
        for r in responders
    )  # fmt: skip


async def authority(request: ConsoleRequest) -> PageView:
    """One certificate authority: its settings, responders, intermediate authorities."""
    named = {"certification_service_id": request.query.get("id", "")[:20]}
    one = "certification_services_certification_service_id"
    found = await request.do(f"get_{one}", CaView, named)
    responders = await request.do(f"get_{one}_ocsp_responders", list[ResponderView], named)
    rows = _responder_rows(request, responders)
    columns = (
        Column(N_("Address")), Column(N_("Cost")), Column(N_("Certificate of its own")), Column(N_("What can be done")),
    )  # fmt: skip
    intermediates = await request.do(f"get_{one}_intermediate_cas", list[IntermediateView], named)
    given: dict[str, str] = {
        "certificate_profile_info": found.certificate_profile_info,
        "tls_auth": "true" if found.tls_auth else "false",
        "default_csr_format": found.default_csr_format or "",
        "acme_server_directory_url": found.acme_server_directory_url or "",
        "acme_server_ip_address": found.acme_server_ip_address or "",
    }
    links = (
        act(request, f"patch_{one}", N_("Change"), named, given=given, main=True),
        act(request, f"post_{one}_ocsp_responders", N_("Add a responder"), named),
        act(request, f"post_{one}_intermediate_cas", N_("Add an intermediate authority"), named),
        act(request, f"delete_{one}", N_("Delete"), named, back=LIST),
    )
    middle = tuple(
        (
            text(i.ca_certificate.subject_distinguished_name),
            day(i.ca_certificate.not_after),
            act_cell(request, "delete_intermediate_cas_intermediate_ca_id", N_("Delete"),
                     {"intermediate_ca_id": str(i.id)}) or text(""),
        )
        for i in intermediates
    )  # fmt: skip
    blocks: list[Block | None] = [
        _authority_facts(found),
        Listing(N_("OCSP responders"), columns, rows, N_("None: its certificates cannot be checked.")),
        Listing(N_("Intermediate authorities"), (Column(N_("Of"), "de"), Column(N_("Ends on"), "fin"), Column(N_("What can be done"))),
                middle, N_("None: certificates of this authority itself are accepted, and of no other below it."), "intermedias"),
    ]  # fmt: skip
    return PageView(as_it_is(found.name), blocks, links, (PageLink(N_("Trust services"), LIST),))
