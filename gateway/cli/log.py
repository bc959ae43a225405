"""``gateway log``: the message log of this gateway: erase content on an order, prove the chain, change what seals its keys."""

from __future__ import annotations

import getpass
import os
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.keys import DATA, PIN, read_pin
from gateway.cli.localaudit import record
from serving.cli.commands import read_moment, report_errors
from serving.language import _

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.messagelog.erasure import Eraser
    from gateway.messagelog.keys import KeySecret, LogKeys

SETTINGS = click.option("--settings", "settings_file", type=click.Path(path_type=Path, exists=True))


@click.group(
    "log",
    help="The message log: erase content on an order, prove the chain, keys.",
)
def message_log() -> None: ...


@message_log.command(
    help="Erase the content of records on an order: its key is destroyed, for every copy of the log too. Signature, chain, timestamp and digests stay and still verify."
)
@DATA
@PIN
@SETTINGS
@click.option("--order", "reference", help="the order's reference")
@click.option("--authority", help="who gave it")
@click.option("--by", help="who carries it out", default=getpass.getuser)
@click.option("--record", "records", type=int, multiple=True, help="record number")
@click.option("--message-id")
@click.option("--owner", help="local party")
@click.option("--client")
@click.option("--service")
@click.option("--since", help="ISO 8601")
@click.option("--until", help="ISO 8601")
@click.option("--dry-run", is_flag=True, help="only show what would be erased")
@click.option("--yes", is_flag=True, help="without asking")
@report_errors
def erase(
    data: Path,
    pin_file: Path | None,
    settings_file: Path | None,
    reference: str | None,
    authority: str | None,
    dry_run: bool,
    yes: bool,
    **where: str | tuple[int, ...] | None,
) -> None:
    """Erase content on an order."""
    from gateway.messagelog.erasure import Selection
    from gateway.messagelog.record import ErasureOrder

    if not dry_run and not ((reference or "").strip() and (authority or "").strip()):
        raise ValueError(
            _(
                "nothing is erased without an order: give --order (its reference) and --authority (who gave it)"
            )
        )
    by, since, until = (where.pop(name) for name in ("by", "since", "until"))
    selection = Selection(since=_moment(since), until=_moment(until), **where)  # type: ignore[arg-type] # as click gives them
    selection.clause()
    with _eraser(data, opened_keys(data, settings_file, pin_file)) as eraser:
        found = eraser.find(selection)
        if not found:
            raise LookupError(_("no record whose content is there matches"))
        click.echo(_("{len} records: {shown}", len=len(found), shown=_shown(found)))
        if dry_run:
            return
        if not yes:
            click.confirm(
                _("Their content cannot be recovered. Erase?"),
                abort=True,
            )
        order = ErasureOrder(str(reference).strip(), str(authority).strip(), str(by), datetime.now(UTC))
        changes = [f"- content of records {_shown(found)} by order {order.reference} of {order.authority}"]
        # Written first: a crash in between leaves an audited order that the next start completes.
        record(data, "MESSAGE_LOG_ERASE", "done", changes)
        number = eraser.erase(found, order)
    click.echo(_("erasure {number} done", number=number))


@message_log.command(
    help="Find records by time, client, service, side, message or status of the answer. --export puts their containers into a folder; --checkpoint the proof that each is in the log, beside it."
)
@DATA
@PIN
@SETTINGS
@click.option("--since", help="ISO 8601")
@click.option("--until", help="ISO 8601")
@click.option("--client", help="path, or its beginning")
@click.option("--service", help="path, or its beginning")
@click.option("--side", type=click.Choice(["consumer", "provider"]))
@click.option("--id", "message_id")
@click.option("--status", type=int, help="of a REST answer")
@click.option("--export", type=click.Path(path_type=Path, file_okay=False))
@click.option("--checkpoint", "is_proved", is_flag=True)
@click.option("--json", "as_json", is_flag=True)
@report_errors
def find(
    data: Path,
    pin_file: Path | None,
    settings_file: Path | None,
    *,
    export: Path | None,
    is_proved: bool,
    as_json: bool,
    **search: Any,
) -> None:
    """Find records of the message log, and print or export them."""
    from gateway.cli.foundrecords import export_record, show_record
    from gateway.messagelog.finding import RecordSearch, find_records
    from gateway.messagelog.reading import LogReader
    from gateway.settings.datafolder import find_folder
    from schemas.message import Side

    if is_proved and export is None:
        raise ValueError(_("--checkpoint goes with --export"))
    since, until, side = _moment(search.pop("since")), _moment(search.pop("until")), search.pop("side")
    sought = RecordSearch(since=since, until=until, side=None if side is None else Side(side), **search)
    folder = find_folder(data, os.environ)
    keys, place, count = opened_keys(data, settings_file, pin_file), folder.message_log, 0
    reader = LogReader(place.open(), place.bodies, keys)
    for record_found in find_records(reader, sought):
        count += 1
        written = None
        if export is not None:
            written = export_record(
                reader, record_found, export, folder.log / "transparency" if is_proved else None
            )
        show_record(record_found, written, as_json=as_json)
    reader.close()
    if not as_json:
        click.echo(_("{count} records", count=count))


@message_log.command(help="Erasures and their orders.")
@DATA
@report_errors
def erasures(data: Path) -> None:
    """Print every erasure that was ordered, and whether it is done."""
    from gateway.messagelog.rows import to_moment
    from gateway.settings.datafolder import find_folder

    database = find_folder(data, os.environ).message_log.open()
    for number, reference, authority, by, at_ms, is_done, count in database.query(
        "SELECT erasure.id, reference, authority, ordered_by, at_ms, is_done, count(record_id) FROM erasure "
        "LEFT JOIN erased ON erased.erasure_id = erasure.id GROUP BY erasure.id ORDER BY erasure.id"
    ):
        state = _("done") if is_done else _("not finished")
        click.echo(
            f"{number}  {to_moment(at_ms):%Y-%m-%dT%H:%M:%SZ}  {reference}  {authority}  {by}  "
            + _("{count} records, {state}", count=count, state=state)
        )
    database.close()


@message_log.command(
    help="Seal the log's keys with another secret: that of --new-secret-file, or the software token's. Nothing is encrypted anew. Then set or unset log.secret and restart."
)
@DATA
@PIN
@SETTINGS
@click.option("--new-secret-file", type=click.Path(path_type=Path, exists=True))
@report_errors
def rekey(
    data: Path, pin_file: Path | None, settings_file: Path | None, new_secret_file: Path | None
) -> None:
    """Seal the keys with another secret."""
    from gateway.messagelog.keys import KeySecret
    from serving.config.secret import SecretSource

    keys = opened_keys(data, settings_file, pin_file)
    if new_secret_file is None:
        secret = _token_secret(data, pin_file)
    else:
        secret = KeySecret.of_operator(SecretSource(file=str(new_secret_file)).read(os.environ))
    keys.reseal(secret)
    record(data, "MESSAGE_LOG_REKEY", "done", [f"+ keys sealed by {secret.by}"])
    click.echo(_("the keys are sealed anew"))


@message_log.command(
    "new-keys",
    help="New records have keys of another tree from now on; those there are stay as they are.",
)
@DATA
@PIN
@SETTINGS
@report_errors
def new_keys(data: Path, pin_file: Path | None, settings_file: Path | None) -> None:
    """Begin a new tree of keys."""
    opened_keys(data, settings_file, pin_file).retire()
    record(data, "MESSAGE_LOG_NEW_KEYS", "done", ["+ keys of a new tree from the next record on"])
    click.echo(_("from the next record on"))


@contextmanager
def _eraser(data: Path, keys: LogKeys) -> Iterator[Eraser]:
    from gateway.messagelog.erasure import Eraser
    from gateway.settings.datafolder import find_folder

    eraser = Eraser(find_folder(data, os.environ).message_log, keys)
    try:
        yield eraser
    finally:
        eraser.close()
        keys.close()


def opened_keys(data: Path, settings_file: Path | None, pin_file: Path | None) -> LogKeys:
    """The keys of a gateway's message log, opened as its settings say. Raises `Fault`."""
    from gateway.messagelog.keys import KeySecret, LogKeys
    from gateway.settings import config
    from gateway.settings.datafolder import find_folder

    source = config.load(settings_file, os.environ).log.secret
    keys = LogKeys(find_folder(data, os.environ).message_log_keys)
    if not keys.exist:
        raise LookupError(_("{data} has no keys of a message log", data=data))
    secret = (
        KeySecret.of_operator(source.read(os.environ)) if source.is_set else _token_secret(data, pin_file)
    )
    keys.open(secret, may_make=False)
    return keys


def _token_secret(data: Path, pin_file: Path | None) -> KeySecret:
    from certs.edges.tokenfiles import TokenFolder
    from certs.tokens.soft import SoftToken
    from gateway.messagelog.keys import TOKEN_PURPOSE, KeySecret

    token = SoftToken(TokenFolder(data / "token"))
    token.unlock(read_pin(pin_file))
    try:
        return KeySecret.of_token(token.derive_secret(TOKEN_PURPOSE))
    finally:
        token.close()


def _moment(text: object) -> datetime | None:
    return read_moment(text) if isinstance(text, str) else None


def _shown(ids: list[int]) -> str:
    from gateway.messagelog.keytree import as_ranges

    ranges = as_ranges(ids)
    range_texts = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in ranges[:20])
    return range_texts + (f", ... ({len(ranges) - 20} more ranges)" if len(ranges) > 20 else "")
