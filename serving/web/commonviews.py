"""Pages that both servers' consoles have alike: backups, and keys of programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from serving.language import N_
from serving.web.acting import act, act_cell, download
from serving.web.blocks import Column, Listing, PageNote, PageView, code, link, moment, phrase, several
from serving.web.codewords import word

if TYPE_CHECKING:
    from aiohttp import web

    from serving.web.console import ConsoleRequest

ACTS_COLUMN: Final = Column(N_("What can be done"))


async def backups(asking: ConsoleRequest, _request: web.Request) -> PageView:
    """Backups on this server: make, download, upload, restore, delete."""
    found = await asking.do("get_backups")
    columns = (Column(N_("Backup"), "archivo"), Column(N_("Made on"), "fecha"), ACTS_COLUMN)
    rows = []
    for backup in found:
        named = {"filename": backup.filename}
        file = download(asking, "get_backups_filename_download", N_("Download"), named)
        rows.append(
            (
                code(backup.filename),
                moment(backup.created_at),
                several(
                    None if file is None else link(file.text, file.href),
                    act_cell(asking, "put_backups_filename_restore", N_("Restore"), named),
                    act_cell(asking, "delete_backups_filename", N_("Delete"), named),
                ),
            )
        )
    encrypted = await asking.tell("get_diagnostics_backup_encryption_status")
    note = None
    if encrypted.value is not None and not encrypted.value.backup_encryption_status:
        note = PageNote(N_("No recipient is set, so backups are not made: set backup.recipients."), "caution")
    links = (
        act(asking, "post_backups", N_("Make a backup"), main=True),
        act(asking, "post_backups_upload", N_("Upload a backup")),
    )
    empty = N_("No backups on this server. Make one, download it, and keep it elsewhere.")
    return PageView(
        N_("Backups"),
        [note, Listing(N_("Backups on this server"), columns, tuple(rows), empty, "respaldos")],
        links,
    )


async def programs(asking: ConsoleRequest, _request: web.Request) -> PageView:
    """Keys of programs that use the admin API."""
    found = await asking.do("get_api_keys")
    columns = (Column(N_("Key"), "clave"), Column(N_("Roles")), Column(N_("Ends on"), "fin"), ACTS_COLUMN)
    rows = tuple(
        (
            code(k.id),
            several(*(word(r) for r in k.roles)),
            moment(k.expires_at) if k.expires_at else phrase(N_("never"), "caution"),
            several(
                act_cell(
                    asking,
                    "put_api_keys_id",
                    N_("Other roles"),
                    {"id": str(k.id)},
                    {"body": "\n".join(k.roles)},
                ),
                act_cell(asking, "delete_api_keys_id", N_("Revoke"), {"id": str(k.id)}),
            ),
        )
        for k in found
    )
    links = (act(asking, "post_api_keys", N_("Make a key"), main=True),)
    empty = N_("No program has a key.")
    return PageView(
        N_("Keys of programs"), [Listing(N_("Keys of programs"), columns, rows, empty, "claves")], links
    )
