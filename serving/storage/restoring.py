"""Restoring a backup while the server runs: proved and laid out within the data folder, taken at the restart that follows.

The server answers, ends in order and starts itself anew; `serving.storage.datafolder.claim` then puts the folder in its place. A
crash in between starts with the restored data too. The chain of the audit log is the backup's from then on, so the first
thing written to it is this restore, with the digest that the chain before it ended with.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from certs.edges.tokenfiles import sync_folder, write_whole
from schemas.jsontext import dump_json, load_json
from serving.errors import OperatorError
from serving.language import N_
from serving.storage.audit import AuditEntry
from serving.storage.backup import lay_out_backup, open_backup
from serving.storage.datafolder import ASIDE, announce_exchange

if TYPE_CHECKING:
    from pathlib import Path

    from serving.storage.audit import AuditLog
    from serving.storage.backup import Content, Manifest, Opener

NOTE = "restored.json"


@dataclass(frozen=True, slots=True)
class RestoreNote:
    """Who restored what, and the digest the log of calls ended with before."""

    who: str
    address: str
    file: str
    made_at: str
    software: str
    head_before: str


def stage_restore(
    folder: Path, data: bytes, content: Content, opener: Opener, note: RestoreNote, now: datetime
) -> Manifest:
    """Prove a backup and lay it out, to be taken by the next claim of the folder. Raises `OperatorError`: nothing changed.

    For the process that holds the folder; it must take no more changes after this, and start anew.
    """
    manifest, files = open_backup(data, content, opener)
    folder = folder.absolute()
    fresh = lay_out_backup(folder, manifest, files)
    values = {**asdict(note), "made_at": manifest.made_at, "software": manifest.software}
    # The note is on disk before the journal that puts it in force: a power cut never leaves half of it in place.
    write_whole(fresh / NOTE, dump_json(values).encode())
    aside = folder / f"{ASIDE}{now:%Y%m%d-%H%M%S}"
    announce_exchange(folder, fresh, aside, content.keep)
    return manifest


def record_restore(folder: Path, audit: AuditLog) -> None:
    """Write into the audit log that the folder was restored, once, if it was. Raises ValueError."""
    path = folder / NOTE
    if not path.exists():
        return
    try:
        values = load_json(path.read_bytes())
        detail = {name: values[name] for name in ("file", "made_at", "software", "head_before")}
        who, address = values["who"], values["address"]
    except (ValueError, LookupError, TypeError) as err:
        raise OperatorError(
            N_(
                "{path}, the note of a restore, is damaged ({err}); remove it: the restore is done",
                path=path,
                err=err,
            )
        ) from err
    at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    audit.append(AuditEntry(at, who, address, "RESTORE_BACKUP", "done", "", detail))
    # The entry is on disk. A crash before the note is gone writes it once more, with the same time; never not at all.
    path.unlink()
    sync_folder(path.parent)
