"""Records that `gateway log find` found: shown in a line, and written out as evidence with the proof that they are in the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gateway.messagelog.export import container_name, write_record
from gateway.transparency.files import TransparencyFiles
from gateway.transparency.proving import prove_record
from schemas.showing import shown, shown_json
from serving.language import _

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.messagelog.reading import LogReader
    from gateway.messagelog.record import LogRecord


def export_record(
    reader: LogReader, record: LogRecord, folder: Path, transparency: Path | None
) -> Path | None:
    """Write a record's container into a folder, and with ``transparency`` its proof beside; None while it has no timestamp.

    Raises `Fault` when its proof cannot be had, OSError when the file is there already.
    """
    if not record.is_timestamped:
        return None
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = folder / container_name(record)
    with target.open("xb") as out:
        write_record(out, record, reader)
    if transparency is not None:
        proof = prove_record(TransparencyFiles(transparency), record.id)
        target.with_suffix(".tlog-proof").write_bytes(proof.render())
    return target


def show_record(record: LogRecord, written: Path | None, *, as_json: bool) -> None:
    """Show a record in a line."""
    if as_json:
        values = {
            "record": record.id,
            "at": record.at.isoformat(),
            "side": record.side.value,
            "is_response": record.is_response,
            "message_id": record.message_id,
            "client": record.client,
            "service": record.service,
            "protocol": record.protocol,
            "timestamped": record.is_timestamped,
            "erased": None if record.erasure is None else record.erasure.reference,
            "file": None if written is None else str(written),
        }
        click.echo(shown_json(values))
        return
    direction = _("answer") if record.is_response else _("request")
    state = _("timestamped") if record.is_timestamped else _("no timestamp yet")
    click.echo(
        f"{record.id:>9}  {record.at:%Y-%m-%dT%H:%M:%S}Z  {record.side.value:<8}  {direction:<9}  {shown(record.message_id, 80)}  "
        f"{shown(record.client, 200)} -> {shown(record.service, 200)}  {state}"
        + (f"  {written}" if written else "")
    )
