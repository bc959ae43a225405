"""Backups over an admin API: made, listed, uploaded, downloaded, deleted. They lie in a folder, encrypted, as they travel.

A server encrypts to the recipients of its settings and holds no key that opens a backup again: whoever restores gives the
age identity, or the passphrase, in the body of the call. It is used once and kept nowhere. File names are the only thing that comes from a caller and
reaches the disk: one plain name that ends in ``.age``.
"""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import msgspec

from certs.edges.tokenfiles import write_whole
from serving.api.operations import Call, Download, MultipartForm, Operation
from serving.api.problems import Problem, bad_request, check_warnings, conflict, failed, not_found
from serving.errors import Caution, OperatorError
from serving.storage.backup import Content, Lock, Opener, fingerprint, make_backup
from serving.storage.backupkey import backup_key, public_backup_key
from serving.storage.restoring import RestoreNote, stage_restore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from serving.storage.keysafe import KeySafe

AGE_MAGIC = b"age-encryption.org/"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,150}\.age")


class BackupView(msgspec.Struct, frozen=True):
    """A backup in the folder."""

    filename: str
    created_at: str


class BackupEncryption(msgspec.Struct, frozen=True):
    """To whom backups are encrypted."""

    backup_encryption_status: bool
    backup_encryption_keys: list[str]


class UploadQuery(msgspec.Struct, frozen=True):
    """Whether a backup of the same name may be replaced."""

    ignore_warnings: bool = False


class RestoreBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The opener of a backup: an age identity or a passphrase; and the fingerprint of the key that must have signed it."""

    identity: Annotated[str, msgspec.Meta(max_length=255, pattern=r"^AGE-SECRET-KEY-1[A-Z0-9]+$")] | None = (
        None
    )
    passphrase: Annotated[str, msgspec.Meta(min_length=1, max_length=255)] | None = None
    signer: Annotated[str, msgspec.Meta(max_length=80, pattern=r"^SHA256:[0-9a-f]{64}$")] | None = None


class TokensLoggedOut(msgspec.Struct, frozen=True):
    """Whether somebody must log in to a hardware token after the restore."""

    hsm_tokens_logged_out: bool


class BackupResource(msgspec.Struct):
    """Backups of one server, as operations of its admin API."""

    data: Path
    content: Content
    # Asked anew for every backup: settings may change.
    recipients: Callable[[], Sequence[str]]
    # The server's identifier, for the manifest.
    server_name: Callable[[], str]
    software: str
    safe: KeySafe
    # Ends this server in order and starts it anew; None: it cannot.
    restart: Callable[[], None] | None = None
    # Whether a hardware token will wait for somebody to log in.
    hardware_waits: Callable[[], bool] = lambda: False
    # The digest the log of calls ends with.
    audit_head: Callable[[], str] = lambda: ""
    # Why no more changes are taken; None: they are.
    closed: str | None = None
    # Since when a backup is being made; None: none is.
    running_since: datetime | None = None

    @property
    def folder(self) -> Path:
        """The folder the backups lie in, below the data folder."""
        return self.data / "backups"

    def operations(self) -> Sequence[Operation]:
        """The rows that make, list, fetch, restore and remove backups."""
        may, one = ("BACKUP_CONFIGURATION",), "/backups/{filename}"
        form = MultipartForm({}, {"file": True})
        return (
            Operation("GET", "/backups", self.all, "Backups", may, answer=list[BackupView], tag="backups"),
            Operation("POST", "/backups", self.make, "Make a backup", may, answer=BackupView, status=201,
                      event="BACKUP", errors=(500,), tag="backups"),
            Operation("POST", "/backups/upload", self.upload, "Upload a backup", may, form, query=UploadQuery,
                      answer=BackupView, status=201, event="UPLOAD_BACKUP", tag="backups"),
            Operation("DELETE", one, self.delete, "Delete a backup", may, status=204, event="DELETE_BACKUP",
                      tag="backups"),
            Operation("GET", f"{one}/download", self.download, "Download a backup", may,
                      answer="application/octet-stream", tag="backups"),
            Operation("PUT", f"{one}/restore", self.restore, "Restore a backup; the server starts anew",
                      ("RESTORE_CONFIGURATION",), body=RestoreBody, body_optional=True, answer=TokensLoggedOut,
                      event="RESTORE_BACKUP", tag="backups"),
        )  # fmt: skip

    async def all(self, _call: Call) -> list[BackupView]:
        """Every backup, the newest first."""
        found = sorted(self.folder.glob("*.age"), reverse=True) if self.folder.is_dir() else []
        return [_view(path) for path in found if _NAME.fullmatch(path.name)]

    async def make(self, call: Call) -> BackupView:
        """A new backup, encrypted to the recipients of the settings.

        Raises `Problem` (``backup_recipients_not_set``, ``backup_generation_failed``).
        """
        recipients = self.recipients()
        if not recipients:
            raise conflict(
                "backup_recipients_not_set",
                "a backup is never written in clear: name the age recipients (age1...) in the setting "
                "backup.recipients, and keep their identities elsewhere",
            )
        self.running_since = call.now
        try:
            lock = Lock(recipients=recipients, signer=backup_key(self.data, self.safe))
            made = await asyncio.to_thread(
                make_backup, self.data, self.content, self.server_name(), lock, call.now, self.software
            )
        except ValueError as err:
            raise failed("backup_generation_failed", str(err)) from err
        finally:
            self.running_since = None
        name = f"backup_{call.now:%Y%m%d-%H%M%S}.age"
        self._write(name, made)
        call.note(file=name)
        return _view(self.folder / name)

    async def upload(self, call: Call) -> BackupView:
        """Keep a backup that comes from elsewhere. Raises `Problem` (``invalid_file_content_type``)."""
        part = call.parts["file"]
        name = _checked(part.file_name or "")
        if not part.content.startswith(AGE_MAGIC):
            raise bad_request("invalid_file_content_type", "the file is no age file")
        cautions = [Caution("warning_file_already_exists", (name,))] if (self.folder / name).exists() else []
        check_warnings(cautions, ignore=call.query_as(UploadQuery).ignore_warnings)
        self._write(name, part.content)
        return _view(self.folder / name)

    async def delete(self, call: Call) -> None:
        """Remove a backup's file for ever. Raises `Problem` (404)."""
        self._find(
            call
        ).unlink()  # gone when the call is answered, but for a power cut: then it is there again

    async def download(self, call: Call) -> Download:
        """The file as it is."""
        path = self._find(call)
        return Download(path.read_bytes(), "application/octet-stream", path.name)

    async def restore(self, call: Call) -> TokensLoggedOut:
        """Prove a backup, lay it out, and start anew with it. Nothing changes when it is refused."""
        path, opener = self._find(call), self._opener(call.body_as(RestoreBody))
        if self.restart is None:
            raise conflict(
                "action_not_possible", "this server cannot start itself anew; use 'backup restore'"
            )
        call.note(file=path.name)
        note = RestoreNote(call.principal.name, call.address, path.name, "", "", self.audit_head())
        try:
            manifest = await asyncio.to_thread(
                stage_restore, self.data, path.read_bytes(), self.content, opener, note, call.now
            )
        except OperatorError as err:
            raise Problem(400, "restore_process_failed", [str(err)], words=err.text) from err
        self.closed = (
            f"the backup {path.name} of {manifest.made_at} is being restored; the server starts anew"
        )
        self.restart()
        return TokensLoggedOut(self.hardware_waits())

    def _opener(self, body: RestoreBody) -> Opener:
        if body.passphrase is not None and body.identity is None:
            return Opener(passphrase=body.passphrase, signer=body.signer)
        if body.identity is None or body.passphrase is not None:
            raise conflict(
                "backup_identity_needed",
                'this server keeps no key that opens a backup: give either the age identity ({"identity": '
                '"AGE-SECRET-KEY-1..."}) or the passphrase ({"passphrase": ...}); a backup of another server '
                'needs that one\'s fingerprint too ({"signer": "SHA256:..."})',
            )
        signer = body.signer or fingerprint(public_backup_key(self.data, self.safe))
        return Opener(identities=[body.identity], signer=signer)

    def _find(self, call: Call) -> Path:
        path = self.folder / _checked(call.path["filename"])
        if not path.is_file():
            raise not_found("backup_file_not_found", path.name)
        return path

    def _write(self, name: str, content: bytes) -> None:
        self.folder.mkdir(mode=0o700, exist_ok=True)
        write_whole(
            self.folder / name, content
        )  # under its name when it is on disk whole, never a part of it


def _view(path: Path) -> BackupView:
    made = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return BackupView(path.name, made.strftime("%Y-%m-%dT%H:%M:%SZ"))


def _checked(name: str) -> str:
    if not name.endswith(".age"):
        raise bad_request("invalid_file_extension", name[:255])
    if name.count(".") > 1:
        raise bad_request("double_file_extension", name[:255])
    if _NAME.fullmatch(name) is None:
        raise bad_request("invalid_filename", name[:255])
    return name
