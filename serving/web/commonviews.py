"""Pages that both servers' consoles have alike: backups, keys of programs, the audit trail; and the list of what messages rest on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from schemas.numbers import whole_number
from serving.api.authentication import AccessEvent
from serving.api.backupoperations import BackupEncryption, BackupView
from serving.api.commonapi import ApiKeyView, AuditRecord
from serving.api.fieldlabels import FIELD_LABELS
from serving.language import N_, Text, as_it_is
from serving.storage.audit import LARGEST_NUMBER
from serving.web.acting import act, act_cell, download
from serving.web.blocks import (
    Cell,
    Column,
    Listing,
    PageNote,
    PageView,
    QueryField,
    QueryForm,
    code,
    link,
    moment,
    number,
    phrase,
    several,
    text,
)
from serving.web.codewords import left_of, word, word_of
from serving.web.formnames import ROOT
from serving.web.listing import LONGEST_SEARCH, read_list_query
from serving.web.pages import USUAL_ZONE, chosen_zone, utc_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from serving.api.operations import Operation
    from serving.language import Translatable
    from serving.web.blocks import Tone
    from serving.web.console import ConsoleRequest

AUDIT_PAGE: Final = 50
MOST_NEEDS: Final = 12
MOST_CHANGES: Final = 20
LONGEST_DETAIL: Final = 300
# Of a search that finds little so many entries are looked at in one go.
LOOKED_AT: Final = 20_000
# Name in the address -> name of the operation's field.
AUDIT_FIELDS: Final = {
    "quien": "who",
    "que": "event",
    "objeto": "about",
    "desde": "since",
    "hasta": "until",
    "fin": "outcome",
}
AUDIT_COLUMNS: Final = (
    Column(N_("Number"), right=True),
    Column(N_("When")),
    Column(N_("Who")),
    Column(N_("From")),
    Column(N_("What")),
    Column(N_("How it ended")),
    Column(N_("What is different")),
)
OUTCOMES: Final[dict[str, tuple[Text, Tone]]] = {
    "done": (N_("done"), "good"),
    "refused": (N_("refused"), "caution"),
    "failed": (N_("failed"), "bad"),
}
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


@dataclass(frozen=True, slots=True)
class MessageNeed:
    """Something that messages rest on: its name, until when it holds (RFC 3339), whether the server renews it, and what to do."""

    what: Translatable
    until: str
    is_renewed: bool
    remedy: Translatable


def needs_listing(needs: Iterable[MessageNeed], now: datetime) -> Listing | None:
    """The list of what messages rest on, the first to end first; None where nothing is known of it."""
    ordered = sorted(needs, key=lambda n: datetime.fromisoformat(n.until))[:MOST_NEEDS]
    rows = tuple(
        (
            phrase(n.what),
            moment(n.until),
            phrase(N_("renewed by itself"), "good")
            if n.is_renewed and datetime.fromisoformat(n.until) > now
            else phrase(*left_of(n.until, now)),
            phrase(n.remedy),
        )
        for n in ordered
    )
    columns = (
        Column(N_("What messages need")),
        Column(N_("Holds until")),
        Column(N_("Left")),
        Column(N_("What to do")),
    )
    caption = N_("What messages need, the first to end first")
    return Listing(caption, columns, rows, N_("Nothing is known.")) if rows else None


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
    encrypted = await request.fetch("get_diagnostics_backup_encryption_status", BackupEncryption)
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
    """Who changed what, the newest first: all of it by the numbers, which have no gap, or what is looked for."""
    zone = chosen_zone(request.http, USUAL_ZONE)
    sought = _sought(request.query, zone)
    listing = await (_found_entries(request, sought) if sought else _every_entry(request))
    lead = N_("Each entry holds the digest of the one before, so that none can be taken away unseen.")
    return PageView(N_("Audit trail"), [_audit_form(request, zone), listing], lead=lead)


async def _every_entry(request: ConsoleRequest) -> Listing:
    newest = await request.do("get_audit_log_entries", list[AuditRecord], query={"limit": "1"})
    total = newest[0].number if newest else 0
    page = read_list_query(request.query).page
    before = max(total + 1 - (page - 1) * AUDIT_PAGE, 1)
    found = await request.do(
        "get_audit_log_entries",
        list[AuditRecord],
        query={"limit": str(AUDIT_PAGE), "before": str(before)},
    )
    return Listing(
        N_("Changes"),
        AUDIT_COLUMNS,
        _audit_rows(request, found),
        N_("Nothing was changed yet."),
        "cambios",
        total,
        AUDIT_PAGE,
        searchable=False,
    )


async def _found_entries(request: ConsoleRequest, sought: Mapping[str, str]) -> Listing:
    """Entries that are looked for among the next `LOOKED_AT`; the page after goes on below them."""
    before = given = whole_number(request.query.get("antes", ""))
    if before is None:
        newest = await request.do("get_audit_log_entries", list[AuditRecord], query={"limit": "1"})
        before = newest[0].number + 1 if newest else 1
    before = min(before, LARGEST_NUMBER)
    lowest = max(before - LOOKED_AT - 1, 0)
    found = await request.do(
        "get_audit_log_entries",
        list[AuditRecord],
        query={**sought, "limit": str(AUDIT_PAGE), "before": str(max(before, 1)), "after": str(lowest)},
    )
    next_before = found[-1].number if len(found) == AUDIT_PAGE else lowest + 1
    kept = {n: v for n, v in request.query.items() if n in AUDIT_FIELDS and v}
    return Listing(
        N_("Changes that were looked for, the newest first"),
        AUDIT_COLUMNS,
        _audit_rows(request, found),
        N_("None was found among those looked at; older ones may follow.")
        if next_before > 1
        else N_("Nothing on the trail is like that. Take a word away, or ask for a longer time."),
        "cambios",
        follows=f"?{urlencode({**kept, 'antes': next_before})}" if next_before > 1 else "",
        begins=f"?{urlencode(kept)}" if given is not None else "",
        searchable=False,
    )


def _sought(query: Mapping[str, str], zone: str) -> dict[str, str]:
    """The operation's query from the page's address. Raises `Problem` for a time that is none."""
    found = {AUDIT_FIELDS[n]: query.get(n, "").strip()[:LONGEST_SEARCH] for n in AUDIT_FIELDS}
    times = {n: utc_of(found[n], zone) for n in ("since", "until") if found[n]}
    return {n: v for n, v in {**found, **times}.items() if v}


def _audit_form(request: ConsoleRequest, zone: str) -> QueryForm:
    fields = {n: request.query.get(n, "").strip()[:LONGEST_SEARCH] for n in AUDIT_FIELDS}
    acts = _acts_by_event(request.api.operations)
    events = {e: acts.get(e) or word_of(e) or as_it_is(e) for e in (*acts, *(str(e) for e in AccessEvent))}
    chosen = sorted(events.items(), key=lambda pair: request.translate(pair[1]).lower())
    outcomes = (("", N_("any")), *((name, title) for name, (title, _) in OUTCOMES.items()))
    return QueryForm(
        (
            QueryField("quien", N_("Who"), fields["quien"], hint=N_("A name, or a part of it.")),
            QueryField("que", N_("What"), fields["que"], (("", N_("anything")), *chosen)),
            QueryField("objeto", N_("About"), fields["objeto"],
                       hint=N_("Words of what was changed: an identifier, an address, a reason.")),
            QueryField("desde", N_("From"), fields["desde"], kind="datetime-local",
                       hint=N_("In the zone {zone}.", zone=zone)),
            QueryField("hasta", N_("Until"), fields["hasta"], kind="datetime-local"),
            QueryField("fin", N_("How it ended"), fields["fin"], outcomes),
        ),
        N_("Find"),
        f"{ROOT}/auditoria",
    )  # fmt: skip


def _audit_rows(request: ConsoleRequest, found: Iterable[AuditRecord]) -> tuple[tuple[Cell, ...], ...]:
    acts = _acts_by_event(request.api.operations)
    return tuple(
        (
            number(e.number),
            moment(e.at),
            text(e.who),
            word("command") if e.address == "command" else code(e.address),
            several(_event_cell(e.event, acts), code(e.target), *_detail_cells(request, e.detail)),
            outcome(e.outcome),
            several(*(code(line) for line in e.changes[:MOST_CHANGES])),
        )
        for e in found
    )


def _acts_by_event(operations: Iterable[Operation]) -> dict[str, Translatable]:
    """The words of each audit event by its name: its operation's summary, the shortest where several operations log it."""
    found: dict[str, str] = {}
    for operation in operations:
        if operation.event is not None:
            found[operation.event] = min(
                found.get(operation.event, operation.summary), operation.summary, key=len
            )
    return {event: Text(summary) for event, summary in found.items()}


def _event_cell(event: str, acts: Mapping[str, Translatable]) -> Cell:
    meaning = acts.get(event)
    return word(event) if meaning is None else Cell("word", meaning, code=event)


def _detail_cells(request: ConsoleRequest, detail: Mapping[str, object]) -> list[Cell]:
    """The rest of an entry: the reason of an act, numbers, roles; each a name and its value, cut where it is long."""
    return [
        text(
            f"{request.translate(FIELD_LABELS.get(name) or as_it_is(name))}: "
            f"{', '.join(map(str, value)) if isinstance(value, list) else value}"[:LONGEST_DETAIL]
        )
        for name, value in list(detail.items())[:MOST_CHANGES]
    ]


def outcome(name: str) -> Cell:
    """The outcome of a change, in words."""
    return phrase(*OUTCOMES[name]) if name in OUTCOMES else code(name)
