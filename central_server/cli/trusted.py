"""The commands ``central-server trusted``: other instances, by their external anchors."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from central_server.cli.folder import DATA, SETTINGS, opened_store, utc_now
from central_server.store.records import OPERATOR
from central_server.store.sources import delete_trusted_anchor, keep_trusted_anchor, list_trusted_anchors
from schemas.globalconf.anchor import parse_anchor
from schemas.jsontext import encode_json
from serving.cli.commands import report_errors
from serving.cli.usercommands import JSON
from serving.language import _


@click.group(help="Other instances whose members may exchange messages with ours (federation).")
def trusted() -> None: ...


@trusted.command(help="Trust the instance of an external anchor, once its configuration is proved.")
@DATA
@SETTINGS
@click.argument("file", type=click.Path(path_type=Path, exists=True))
@report_errors
def add(data: Path, settings: Path | None, file: Path) -> None:
    from central_server.edges.federation import check_external_source

    anchor = parse_anchor(file.read_bytes())
    asyncio.run(check_external_source(anchor, utc_now()))
    with opened_store(data, settings) as store, store.change(OPERATOR, utc_now()) as records:
        keep_trusted_anchor(records, anchor)
    digest = anchor.hash_text()
    click.echo(_("{instance} is trusted by {digest}", instance=anchor.instance, digest=digest))


@trusted.command(
    "list",
    help="Every trusted instance with its anchor's hash.",
)
@DATA
@SETTINGS
@JSON
@report_errors
def list_trusted(data: Path, settings: Path | None, as_json: bool) -> None:
    with opened_store(data, settings) as store:
        anchors = list_trusted_anchors(store.read())
    for found in anchors:
        if as_json:
            value = {
                "instance": found.instance,
                "hash": found.hash_text(),
                "generated_at": found.generated_at,
            }
            click.echo(encode_json(value).decode())
        else:
            click.echo(f"{found.instance}  {found.hash_text()}")


@trusted.command(help="Stop trusting the instance whose anchor has this hash.")
@DATA
@SETTINGS
@click.argument("digest")
@report_errors
def remove(data: Path, settings: Path | None, digest: str) -> None:
    with opened_store(data, settings) as store, store.change(OPERATOR, utc_now()) as records:
        delete_trusted_anchor(records, digest)
