"""Pages that both servers' consoles have alike: backups, and keys of programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from serving.api.backupoperations import BackupEncryption, BackupView
from serving.api.commonapi import ApiKeyView, AuditRecord
from serving.language import N_, Text
from serving.web.acting import act, act_cell, download
from serving.web.blocks import (
    Cell,
    Column,
    Listing,
    PageNote,
    PageView,
    code,
    link,
    moment,
    number,
    phrase,
    several,
    text,
)
from serving.web.codewords import word
from serving.web.listing import read_list_query

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from serving.api.operations import Operation
    from serving.language import Translatable
    from serving.web.blocks import Tone
    from serving.web.console import ConsoleRequest

AUDIT_PAGE: Final = 50
MOST_CHANGES: Final = 20
LONGEST_DETAIL: Final = 300
ACTS_COLUMN: Final = Column(N_("What can be done"))


# What the pages are for that both servers have, by their path below the root.
COMMON_HELPS: Final[dict[str, Translatable]] = {
    "/respaldos": N_(
        "A backup holds the server's configuration and keys, sealed. Restoring one first says what it would change; messages and logs stay as they are."
    ),
    "/usuarios": N_(
        "Who may enter, and as what. A role gives permissions; nobody can give one that she does not have, nor change her own user here."
    ),
    "/programas": N_(
        "A program uses the admin API with a key of its own, which has roles as a person has. It is shown once, when it is made."
    ),
    "/cuenta": N_("Your own password and sessions."),
    "/auditoria": N_(
        "Who changed what, when and from where. Entries are chained: one that was changed or taken out shows when the trail is verified."
    ),
}


async def backups(request: ConsoleRequest) -> PageView:
    """Backups on this server: make, download, upload, restore, delete."""
    found = await request.do("get_backups", list[BackupView])
    columns = (Column(N_("Backup"), "archivo"), Column(N_("Made on"), "fecha"), ACTS_COLUMN)
    rows = []
    for backup in found:
        named = {"filename": backup.filename}
        file = download(request, "get_backups_filename_download", N_("Download"), named)
        rows.append(
            (
                code(backup.filename),
                moment(backup.created_at),
                several(
                    None if file is None else link(file.text, file.href),
                    act_cell(request, "put_backups_filename_restore", N_("Restore"), named),
                    act_cell(request, "delete_backups_filename", N_("Delete"), named),
                ),
            )
        )
    encrypted = await request.tell("get_diagnostics_backup_encryption_status", BackupEncryption)
    note = None
    if encrypted.value is not None and not encrypted.value.backup_encryption_status:
        note = PageNote(N_("No recipient is set, so backups are not made: set backup.recipients."), "caution")
    links = (
        act(request, "post_backups", N_("Make a backup"), main=True),
        act(request, "post_backups_upload", N_("Upload a backup")),
    )
    empty = N_("No backups on this server. Make one, download it, and keep it elsewhere.")
    return PageView(
        N_("Backups"),
        [note, Listing(N_("Backups on this server"), columns, tuple(rows), empty, "respaldos")],
        links,
    )


async def programs(request: ConsoleRequest) -> PageView:
    """Keys of programs that use the admin API."""
    found = await request.do("get_api_keys", list[ApiKeyView])
    columns = (Column(N_("Key"), "clave"), Column(N_("Roles")), Column(N_("Ends on"), "fin"), ACTS_COLUMN)
    rows = tuple(
        (
            code(k.id),
            several(*(word(r) for r in k.roles)),
            moment(k.expires_at) if k.expires_at else phrase(N_("never"), "caution"),
            several(
                act_cell(
                    request,
                    "put_api_keys_id",
                    N_("Other roles"),
                    {"id": str(k.id)},
                    {"body": "\n".join(k.roles)},
                ),
                act_cell(request, "delete_api_keys_id", N_("Revoke"), {"id": str(k.id)}),
            ),
        )
        for k in found
    )
    links = (act(request, "post_api_keys", N_("Make a key"), main=True),)
    empty = N_("No program has a key.")
    return PageView(
        N_("Keys of programs"), [Listing(N_("Keys of programs"), columns, rows, empty, "claves")], links
    )


async def audit(request: ConsoleRequest) -> PageView:
    """Who changed what, the newest first; the numbers have no gap, so a page is found by them."""
    newest = await request.do("get_audit_log_entries", list[AuditRecord], query={"limit": "1"})
    total = newest[0].number if newest else 0
    page = read_list_query(request.query).page
    before = total + 1 - (page - 1) * AUDIT_PAGE
    found = await request.do(
        "get_audit_log_entries",
        list[AuditRecord],
        query={"limit": str(AUDIT_PAGE), "before": str(max(before, 1))},
    )
    acts = _acts_by_event(request.api.operations)
    rows = tuple(
        (
            number(e.number),
            moment(e.at),
            text(e.who),
            word("command") if e.address == "command" else code(e.address),
            several(_event_cell(e.event, acts), code(e.target), *_detail_cells(e.detail)),
            outcome(e.outcome),
            several(*(code(line) for line in e.changes[:MOST_CHANGES])),
        )
        for e in found
    )
    columns = (
        Column(N_("Number"), right=True),
        Column(N_("When")),
        Column(N_("Who")),
        Column(N_("From")),
        Column(N_("What")),
        Column(N_("How it ended")),
        Column(N_("What is different")),
    )
    listing = Listing(
        N_("Changes"),
        columns,
        rows,
        N_("Nothing was changed yet."),
        "cambios",
        total,
        AUDIT_PAGE,
        searchable=False,
    )
    lead = N_("Each entry holds the digest of the one before, so that none can be taken away unseen.")
    return PageView(N_("Audit trail"), [listing], lead=lead)


def _acts_by_event(operations: Iterable[Operation]) -> dict[str, Translatable]:
    """What each event is in words: the summary of the operation that it is of; an event of several operations has none."""
    found: dict[str, set[str]] = {}
    for operation in operations:
        if operation.event is not None:
            found.setdefault(operation.event, set()).add(operation.summary)
    return {event: Text(next(iter(names))) for event, names in found.items() if len(names) == 1}


def _event_cell(event: str, acts: Mapping[str, Translatable]) -> Cell:
    meaning = acts.get(event)
    return word(event) if meaning is None else Cell("word", meaning, code=event)


def _detail_cells(detail: Mapping[str, object]) -> list[Cell]:
    """The rest of an entry: the reason of an act, numbers, roles; each a name and its value, cut where it is long."""
    return [
        text(f"{name}: {', '.join(map(str, value)) if isinstance(value, list) else value}"[:LONGEST_DETAIL])
        for name, value in list(detail.items())[:MOST_CHANGES]
    ]


def outcome(name: str) -> Cell:
    """How a change ended, in words."""
    words: dict[str, tuple[Text, Tone]] = {
        "done": (N_("done"), "good"),
        "refused": (N_("refused"), "caution"),
        "failed": (N_("failed"), "bad"),
    }
    if name not in words:
        return code(name)
    title, tone = words[name]
    return Cell("mark", title, tone=tone)
