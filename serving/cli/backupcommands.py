"""The commands ``backup create|inspect|restore|key`` of both servers."""

from __future__ import annotations

import contextlib
import os
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

from certs.edges.tokenfiles import write_whole
from serving.cli.commands import ask_secret, report_errors
from serving.cli.progress import working
from serving.cli.serverfolder import ServerFolders
from serving.config.secret import SecretSource
from serving.config.textfiles import read_text_file
from serving.language import _
from serving.storage.backup import (
    Content,
    Lock,
    Manifest,
    Opener,
    fingerprint,
    make_backup,
    open_backup,
    restore_backup,
)
from serving.storage.backupkey import PUBLIC, backup_key, public_backup_key
from serving.storage.keysafe import KeySafe

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    class BackupApi(Protocol):
        """The admin API of the server that runs on a data folder."""

        def json(self, method: str, path: str, body: object = None, **query: str) -> Any:
            """One call with JSON in and out."""

    # The API of the server that runs on a folder; None where none runs.
    Running = Callable[[Path], AbstractContextManager["BackupApi | None"]]

PASSPHRASE_VARIABLE = "SACBE_BACKUP_PASSPHRASE"  # a variable's name


# Backups that a timer makes and deletes; others in the folder are left alone.
ROTATED = "timer_"


def _show_written(data: Path, content: Content, out: Path, size_bytes: int) -> None:
    """Print what was made of a data folder, and that its state is not in it where that is kept in a shared database."""
    click.echo(_("backup written: {out} ({len} bytes)", out=out, len=size_bytes))
    if not any((data / name).exists() for name in content.databases):
        click.echo(
            _(
                "no database is in it: this server keeps its state in the one of node.database; copy that by its own means, as pg_dump"
            )
        )


def backup_commands(
    content: Content,
    folders: ServerFolders,
    server_name: Callable[[Path], str],
    open_safe: Callable[[Path, Path | None, Path | None], KeySafe],
    running: Running = lambda _data: contextlib.nullcontext(),
) -> click.Group:
    """The group for one kind of server.

    ``server_name`` reads a data folder's identifier for the manifest; ``open_safe`` opens what seals its keys, from the
    folder, a settings file and a PIN file; ``running`` gives the API of a server that runs on a folder and can restore there.
    """
    pin_file = click.option("--pin-file", type=click.Path(path_type=Path))
    settings_file = click.option("--settings", "settings_file", type=click.Path(path_type=Path, exists=True))
    data = folders.option()
    passphrase_file = click.option("--passphrase-file", type=click.Path(path_type=Path, exists=True))
    source = click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
    identity = click.option(
        "--identity",
        "identity_file",
        type=click.Path(path_type=Path, exists=True),
        help="file with the age identity",
    )
    signer = click.option(
        "--signer",
        help="fingerprint of the key that must have signed (backup key)",
    )

    @click.group(name="backup", help="Backups: make, inspect, restore.")
    def group() -> None: ...

    @group.command(
        help="Make an encrypted backup, of a running server too. Without OUT a running gateway makes it among its own, "
        "for the recipients of its settings."
    )
    @data
    @passphrase_file
    @pin_file
    @settings_file
    @click.option("--recipient", "recipients", multiple=True, help="age1...")
    @click.argument("out", type=click.Path(path_type=Path), required=False)
    @report_errors
    def create(
        data: Path,
        passphrase_file: Path | None,
        pin_file: Path | None,
        settings_file: Path | None,
        recipients: tuple[str, ...],
        out: Path | None,
    ) -> None:
        if out is None:
            with running(data) as api:
                if api is None:
                    raise click.UsageError(
                        _("no gateway runs on {data}: give OUT, a file to write to", data=data)
                    )
                click.echo(api.json("POST", "/backups")["filename"])
            return
        lock = (
            Lock(
                recipients=recipients,
                signer=backup_key(data, open_safe(data, settings_file, pin_file)),
            )
            if recipients
            else Lock(passphrase=_passphrase(passphrase_file, confirm=True))
        )
        if out.exists():
            raise click.ClickException(_("{out} exists already; choose another name", out=out))
        with working(_("making the backup")):
            made = make_backup(data, content, server_name(data), lock, datetime.now(UTC), version("sacbe"))
        write_whole(out, made)
        _show_written(data, content, out, len(made))
        if lock.signer is not None:
            name = fingerprint(lock.signer.public_key())
            click.echo(_("signed by {name}; keep the fingerprint elsewhere", name=name))

    @group.command(help="Make today's backup in FOLDER and delete the oldest; for a timer.")
    @data
    @passphrase_file
    @pin_file
    @settings_file
    @click.option("--recipient", "recipients", multiple=True, help="age1...")
    @click.option("--keep", type=click.IntRange(min=1), default=30, show_default=True)
    @click.argument("folder", type=click.Path(path_type=Path))
    @click.pass_context
    @report_errors
    def rotate(ctx: click.Context, /, keep: int, folder: Path, **options: Any) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        ctx.invoke(create, out=folder / f"{ROTATED}{datetime.now(UTC):%Y%m%d-%H%M%S}.age", **options)
        # On disk now: the new backup. A crash here leaves one too many, which the next run deletes.
        for old in sorted(folder.glob(f"{ROTATED}*.age"), reverse=True)[keep:]:
            old.unlink()
            click.echo(_("deleted: {old}", old=old))

    @group.command(help="Check a whole backup and say what is in it.")
    @passphrase_file
    @identity
    @signer
    @source
    @report_errors
    def inspect(
        passphrase_file: Path | None, identity_file: Path | None, signer: str | None, file: Path
    ) -> None:
        opener = _opener(passphrase_file, identity_file, signer)
        with working(_("checking the backup")):
            manifest, _content = open_backup(file.read_bytes(), content, opener)
        _show(manifest)

    @group.command(
        help="Restore a backup into a data folder. A running gateway restores it itself and starts anew; a central server "
        "must be stopped."
    )
    @folders.new_option()
    @passphrase_file
    @identity
    @signer
    @source
    @report_errors
    def restore(
        data: Path, passphrase_file: Path | None, identity_file: Path | None, signer: str | None, file: Path
    ) -> None:
        opener = _opener(passphrase_file, identity_file, signer)
        with running(data) as api:
            if api is not None:
                _restore_there(api, data, file, opener)
                return
        with working(_("restoring")):
            manifest = restore_backup(data, file.read_bytes(), content, opener, datetime.now(UTC))
        _show(manifest)
        click.echo(
            _(
                "restored into {data}; earlier data, if any, are kept in its folder before-*. Start the server now",
                data=data,
            )
        )

    @group.command(help="Show the fingerprint of the key that signs backups.")
    @data
    @pin_file
    @settings_file
    @report_errors
    def key(data: Path, pin_file: Path | None, settings_file: Path | None) -> None:
        known = (data / PUBLIC).exists()
        safe = KeySafe() if known else open_safe(data, settings_file, pin_file)
        click.echo(fingerprint(public_backup_key(data, safe)))

    return group


def _passphrase(file: Path | None, *, confirm: bool) -> str:
    """The passphrase of a backup: of a file or the environment, where it may not be empty, or asked for."""
    if file is not None:
        return SecretSource(file=str(file)).read({})
    if PASSPHRASE_VARIABLE in os.environ:
        return SecretSource(environment=PASSPHRASE_VARIABLE).read(os.environ)
    return ask_secret(_("Passphrase"), "--passphrase-file", confirm=confirm)


def _opener(passphrase_file: Path | None, identity_file: Path | None, signer: str | None) -> Opener:
    if identity_file is None:
        return Opener(passphrase=_passphrase(passphrase_file, confirm=False), signer=signer)
    lines = read_text_file(identity_file).splitlines()
    return Opener(identities=[line for line in lines if line.startswith("AGE-")], signer=signer)


def _restore_there(api: BackupApi, data: Path, file: Path, opener: Opener) -> None:
    """Lay the file among the running server's backups, from where it restores it and starts anew."""
    kept = data / "backups" / file.name
    if kept.absolute() != file.absolute():
        if kept.exists():
            raise click.ClickException(_("{out} exists already; choose another name", out=kept))
        kept.parent.mkdir(mode=0o700, exist_ok=True)
        write_whole(kept, file.read_bytes(), mode=0o600)
    given = {
        "identity": next(iter(opener.identities), None),
        "passphrase": opener.passphrase,
        "signer": opener.signer,
    }
    body = {name: value for name, value in given.items() if value}
    api.json("PUT", f"/backups/{kept.name}/restore", body)
    click.echo(_("restored; the gateway starts anew"))


def _show(manifest: Manifest) -> None:
    click.echo(
        _(
            "backup of {kind} {server}, made {made_at} with version {software}",
            kind=manifest.kind,
            server=manifest.server,
            made_at=manifest.made_at,
            software=manifest.software,
        )
    )
    for entry in manifest.entries:
        click.echo(f"  {entry.size:>10}  {entry.name}")
