"""A service of the catalogue on a page: whether it is there, its operations, and ready lines that call it; for operators and for everybody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from central_server.registry.callexamples import build_examples, read_calls
from schemas.identifiers import ClientId, ServiceId
from serving.language import N_, as_it_is
from serving.web.blocks import (
    Column,
    Heading,
    Listing,
    PageNote,
    QueryField,
    QueryForm,
    SourceText,
    code,
    moment,
    phrase,
    several,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from central_server.registry.callexamples import DescribedCall
    from serving.web.blocks import Block, Cell


def state_of(unreachable_since: str | None, gone_since: str | None) -> Cell:
    """Whether a service is there, or since when not."""
    if unreachable_since:
        return several(phrase(N_("not reached since"), "bad"), moment(unreachable_since))
    if gone_since:
        return several(phrase(N_("withdrawn since"), "caution"), moment(gone_since))
    return phrase(N_("available"), "good")


def call_blocks(
    service: ServiceId, kind: str, raw: bytes, client: str, path: str, kept: tuple[tuple[str, str], ...]
) -> list[Block | None]:
    """The operations of a service, and lines that call the first for a client of the reader's own."""
    calls = read_calls(kind, raw)
    shown = client.replace(":", "/") or "INSTANCE/CLASS/MEMBER/SUBSYSTEM"
    field = QueryField(
        "cliente",
        N_("Your client"),
        client,
        hint=N_("As INSTANCE:CLASS:MEMBER:SUBSYSTEM; the lines below are for it."),
    )
    blocks: list[Block | None] = [_operations(calls), Heading(N_("How to call this"))]
    blocks.append(QueryForm((field,), N_("Show the lines for it"), path, kept))
    call = calls[0] if calls else None
    if call is None:
        blocks.append(PageNote(N_("Its description could not be read here; ask the institution.")))
        return blocks
    blocks += [
        SourceText(lines, as_it_is(name)) for name, lines in build_examples(service, call, shown).items()
    ]
    blocks.append(
        PageNote(
            N_(
                "A call is let through once the provider has granted your client a right: ask the institution, naming your client, the service and the purpose."
            )
        )
    )
    return blocks


def _operations(calls: Sequence[DescribedCall]) -> Listing:
    columns = (
        Column(N_("Call"), "llamada"),
        Column(N_("What it does")),
        Column(N_("What it takes")),
        Column(N_("What it answers")),
    )
    rows = tuple(
        (
            code(f"{c.method} {c.path}"),
            text(c.summary),
            several(*(code(p) for p in c.parameters)),
            several(*(text(a) for a in c.answers)),
        )
        for c in calls
    )
    return Listing(N_("Its operations"), columns, rows, N_("No operations could be read."), "operaciones")


def parse_service(identifier: str) -> ServiceId:
    """A service from the catalogue's identifier, ``INSTANCE:CLASS:MEMBER:SUBSYSTEM:CODE[:VERSION]``."""
    parts = identifier.split(":")
    return ServiceId(ClientId(*parts[:4]), *parts[4:6])
