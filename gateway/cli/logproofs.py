"""``gateway log verify``, ``key``, ``witness``, ``proof`` and ``declare``: what proves the message log to others, and to oneself."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.keys import DATA, PIN, read_pin
from gateway.cli.localaudit import record
from gateway.cli.log import SETTINGS, opened_keys
from schemas.jsontext import encode_json
from serving.cli.commands import report_errors
from serving.language import _

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from gateway.transparency.files import TransparencyFiles
    from gateway.transparency.verification import Findings, ShownContainer
    from schemas.identifiers import ServerId
    from schemas.transparency.notes import VerifierKey
    from serving.storage.keysafe import KeySafe

KEY = click.option(
    "--key",
    "key_text",
    help="the log's key, if not that of --data",
)


@click.command(
    help="Prove the whole log: its chain, and that every record stands in the transparency log as it was written. With --checkpoint, that it was not truncated, cloned or begun anew since; with --archive, that archives hold the same. Exit 1 when anything differs, and the record is named."
)
@DATA
@PIN
@SETTINGS
@KEY
@click.option("--checkpoint", "checkpoints", type=click.Path(path_type=Path, exists=True), multiple=True)
@click.option(
    "--tiles",
    type=click.Path(path_type=Path, exists=True),
    multiple=True,
    help="a copy of the tiles that somebody kept",
)
@click.option("--archive", "archives", type=click.Path(path_type=Path, exists=True), multiple=True)
@click.option(
    "--ask-witnesses",
    is_flag=True,
    help="ask the appointed witnesses for the newest checkpoint they have seen, and hold the log against it too",
)
@click.option("--json", "as_json", is_flag=True)
@click.pass_context
@report_errors
def verify(
    context: click.Context,
    /,
    data: Path,
    pin_file: Path | None,
    settings_file: Path | None,
    *,
    as_json: bool,
    key_text: str | None,
    ask_witnesses: bool,
    **kept: tuple[Path, ...],
) -> None:
    """Prove the log; ``kept`` is what others kept of it."""
    import asyncio

    from gateway.cli.logwitnesses import KnownWitnesses
    from gateway.messagelog.committed import CommittedReader
    from gateway.messagelog.reading import LogReader
    from gateway.settings.datafolder import DataFolder, find_folder
    from gateway.transparency.files import TransparencyFiles
    from gateway.transparency.logloop import FOLDER
    from gateway.transparency.verification import verify_message_log
    from schemas.transparency.notes import parse_note

    folder, place = DataFolder(data).log, find_folder(data, os.environ).message_log
    reader = LogReader(place.open(), place.bodies, opened_keys(data, settings_file, pin_file))
    wrong = asyncio.run(reader.verify_chain())
    files, findings = TransparencyFiles(folder / FOLDER), None
    cosigned: dict[str, str] = {}
    if files.folder.exists() or kept["checkpoints"]:
        known, head = KnownWitnesses(data, settings_file), files.read_checkpoint()
        earlier = [parse_note(path.read_bytes()) for path in kept["checkpoints"]]
        if head is not None:
            cosigned = known.cosigned(head)
            if ask_witnesses:
                earlier += known.newest(head.text.partition("\n")[0])
        findings = verify_message_log(
            files,
            CommittedReader(reader),
            _log_key(files, key_text, lambda: _private_key(data, settings_file, pin_file)),
            earlier=earlier,
            mirror=next(map(TransparencyFiles, kept["tiles"]), None),
            containers=_containers(kept["archives"]),
        )
    reader.close()
    if as_json:
        click.echo(encode_json(_as_json(wrong, findings) | {"cosigned": cosigned}))
    else:
        _print_result(wrong, findings)
        _print_cosigned(cosigned, findings)
    context.exit(1 if wrong is not None or (findings is not None and not findings.is_whole) else 0)


def _containers(archives: tuple[Path, ...]) -> Iterator[ShownContainer]:
    from gateway.transparency.archives import shown_containers

    for path in archives:
        yield from shown_containers(path)


def _as_json(wrong: int | None, found: Findings | None) -> dict[str, object]:
    result: dict[str, object] = {"chain": "whole" if wrong is None else f"record {wrong} differs"}
    if found is None:
        return result
    head = found.checkpoint
    return result | {
        "origin": None if head is None else head.origin,
        "size": None if head is None else head.size,
        "root": None if head is None else head.root.hex(),
        "records": found.records,
        "first": found.first_at,
        "last": found.last_at,
        "removed": found.removed,
        "waiting": found.waiting,
        "containers": found.containers,
        "differences": [{"what": d.what, "record": d.record, "detail": d.detail} for d in found.differences],
    }


def _print_result(wrong: int | None, found: Findings | None) -> None:
    if wrong is None:
        click.echo(_("the chain is whole"))
    else:
        click.echo(_("record {wrong} is not what was written", wrong=wrong))
    if found is None:
        click.echo(_("there is no transparency log"))
        return
    if found.checkpoint is not None:
        head = found.checkpoint
        first, last = (f"{at:%Y-%m-%dT%H:%M:%S.%f}Z" if at else "-" for at in (found.first_at, found.last_at))
        click.echo(
            _(
                "{origin}: {records} records, from {first} to {last}; {removed} archived and removed, {waiting} still to be taken in",
                origin=head.origin,
                records=found.records,
                first=first,
                last=last,
                removed=found.removed,
                waiting=found.waiting,
            )
        )
        click.echo(_("head {size} {hex}", size=head.size, hex=head.root.hex()))
    if found.first_entry is not None and found.first_entry.previous_origin:
        begun = found.first_entry
        click.echo(
            _(
                "follows {previous_origin} ({previous_size} entries): {reason}",
                previous_origin=begun.previous_origin,
                previous_size=begun.previous_size,
                reason=begun.reason,
            )
        )
    for difference in found.differences[:20]:
        click.echo(f"{difference.what.upper()}: {difference.detail}")
    if found.is_whole:
        click.echo(_("everything agrees"))


def _print_cosigned(cosigned: dict[str, str], found: Findings | None) -> None:
    for name, at in cosigned.items():
        click.echo(_("cosigned by {name} at {at}", name=name, at=at))
    if found is not None and not cosigned:
        click.echo(_("no witness that the configuration or the settings name has cosigned this head"))


@click.command(
    "key",
    help="The public key of the transparency log.",
)
@DATA
@PIN
@SETTINGS
@report_errors
def log_key(data: Path, pin_file: Path | None, settings_file: Path | None) -> None:
    """Print the verifier key of the transparency log."""
    from gateway.settings.datafolder import DataFolder
    from gateway.transparency.files import TransparencyFiles
    from gateway.transparency.logloop import FOLDER

    files = TransparencyFiles(DataFolder(data).log / FOLDER)
    private = _private_key(data, settings_file, pin_file)
    click.echo(_log_key(files, None, lambda: private, _server(data)).render())


@click.command(help="The public key of this server as a witness.")
@DATA
@PIN
@SETTINGS
@report_errors
def witness(data: Path, pin_file: Path | None, settings_file: Path | None) -> None:
    """Print the verifier key of this server's witness."""
    from gateway.settings.datafolder import DataFolder
    from gateway.transparency.logloop import FOLDER
    from schemas.transparency.announcement import witness_name
    from schemas.transparency.notes import COSIGNATURE_ED25519
    from serving.web.witnessing import Witness

    safe, server = _safe(data, settings_file, pin_file), _server(data)
    found = Witness(
        DataFolder(data).log / FOLDER, lambda: witness_name(server), (), safe, lambda: datetime.now(UTC)
    )
    click.echo(found.signer().verifier(COSIGNATURE_ED25519).render())


@click.command(help="Write the proof (.tlog-proof) that a record is in the log; it is proved offline.")
@DATA
@click.option("--record", "number", type=int, required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
@report_errors
def proof(data: Path, number: int, out: Path) -> None:
    """Write the inclusion proof of a record to a file."""
    from gateway.settings.datafolder import DataFolder
    from gateway.transparency.files import TransparencyFiles
    from gateway.transparency.logloop import FOLDER
    from gateway.transparency.proving import prove_record

    out.write_bytes(prove_record(TransparencyFiles(DataFolder(data).log / FOLDER), number).render())
    click.echo(str(out))


@click.command(
    help="Declare that this log was restored from a copy: its transparency log ends, and another begins that says so and goes on. With the gateway stopped."
)
@DATA
@PIN
@SETTINGS
@click.option("--reason", required=True, help="what happened")
@click.option(
    "--witnessed",
    type=int,
    default=0,
    help="entries that witnesses had seen",
)
@report_errors
def declare(
    data: Path, pin_file: Path | None, settings_file: Path | None, reason: str, witnessed: int
) -> None:
    """Declare that the log was restored, and begin its transparency log anew."""
    from gateway.messagelog.committed import CommittedReader
    from gateway.messagelog.reading import LogReader
    from gateway.settings.datafolder import DataFolder, find_folder
    from gateway.transparency.builder import declare_restored
    from gateway.transparency.files import TransparencyFiles
    from gateway.transparency.logloop import FOLDER
    from serving.storage.datafolder import claim

    folder, place = DataFolder(data).log, find_folder(data, os.environ).message_log
    with claim(data):
        reader = LogReader(place.open(), place.bodies, opened_keys(data, settings_file, pin_file))
        first = CommittedReader(reader).last_number() + 1
        reader.close()
        changes = [f"+ transparency log begun anew from record {first}: {reason}"]
        # Written first: a crash in between leaves an audited declaration that is made again.
        record(data, "MESSAGE_LOG_DECLARE", "done", changes)
        begun = declare_restored(
            TransparencyFiles(folder / FOLDER),
            _private_key(data, settings_file, pin_file),
            first,
            reason,
            witnessed,
            datetime.now(UTC),
        )
    click.echo(
        _(
            "{previous_origin} ended with {previous_size} entries; the new one begins with record {first}",
            previous_origin=begun.previous_origin,
            previous_size=begun.previous_size,
            first=first,
        )
    )


def _log_key(
    files: TransparencyFiles,
    text: str | None,
    private: Callable[[], Ed25519PrivateKey],
    server: ServerId | None = None,
) -> VerifierKey:
    """The key that is given, under the name of the log that is there, or that of the data folder."""
    from certs.transparency import NoteSigner
    from schemas.transparency.announcement import log_origin
    from schemas.transparency.notes import ED25519, VerifierKey, parse_verifier_key

    note = files.read_checkpoint()
    origin = None if note is None else note.text.partition("\n")[0]
    if text is not None:
        given = parse_verifier_key(text)
        is_later = origin is not None and origin.startswith(f"{given.name}/log/")
        return VerifierKey(origin, given.kind, given.public) if is_later and origin is not None else given
    name = origin or ("" if server is None else log_origin(server))
    return NoteSigner(name or "none", private()).verifier(ED25519)


def add_proofs(group: click.Group) -> None:
    """Put the commands of this module into ``gateway log``."""
    for command in (verify, log_key, witness, proof, declare):
        group.add_command(command)


def _safe(data: Path, settings_file: Path | None, pin_file: Path | None) -> KeySafe:
    from gateway.settings import config
    from serving.cli.safecommands import open_folder_safe

    return open_folder_safe(data, config.load(settings_file, os.environ).seal, lambda: read_pin(pin_file))


def _private_key(data: Path, settings_file: Path | None, pin_file: Path | None) -> Ed25519PrivateKey:
    from gateway.settings.datafolder import DataFolder
    from gateway.transparency.logloop import FOLDER, KEY_FILE
    from serving.web.witnessing import kept_note_key

    return kept_note_key(DataFolder(data).log / FOLDER / KEY_FILE, _safe(data, settings_file, pin_file))


def _server(data: Path) -> ServerId:
    from gateway.clients.store import ServerConfStore
    from gateway.settings.datafolder import find_folder

    store = ServerConfStore(find_folder(data, os.environ).serverconf)
    try:
        return store.load().server_id
    finally:
        store.close()
