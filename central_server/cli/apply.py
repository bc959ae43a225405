"""The commands ``central-server apply`` and ``export``: the registry made what a file says, and written as such a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from central_server.cli.folder import DATA, SETTINGS, read_settings, utc_now
from central_server.publication.anchors import remake_anchors
from central_server.publication.node import open_store
from central_server.registry.merging import Plan, Registered, plan
from central_server.registry.model import Registry, parse_registry
from central_server.registry.registryfile import render_registry
from central_server.store.loading import import_registry, load_registry, present_registry
from central_server.store.records import OPERATOR
from central_server.store.requests import registered_by_request
from central_server.store.sources import node_address
from certs.certificatefiles import read_certificate_der
from certs.edges.profilefiles import load_profiles
from certs.edges.tokenfiles import write_whole
from schemas.jsontext import dump_json
from serving.cli.commands import report_errors
from serving.cli.usercommands import JSON
from serving.config.textfiles import read_text_file
from serving.errors import Refused
from serving.language import _
from serving.pemtext import certificate_pem

if TYPE_CHECKING:
    from central_server.store.records import CentralStore, Records


@click.command(
    help="Add and change what FILE says; what FILE does not name stays, unless --prune. A running server publishes it at once."
)
@DATA
@SETTINGS
@click.option("--dry-run", is_flag=True, help="only say what would change")
@click.option(
    "--prune",
    is_flag=True,
    help="also remove what FILE does not name, but for what was registered by requests",
)
@JSON
@click.argument("file", type=click.Path(path_type=Path, exists=True))
@report_errors
def apply(data: Path, settings: Path | None, dry_run: bool, prune: bool, as_json: bool, file: Path) -> None:
    desired = parse_registry(
        read_text_file(file),
        lambda name: read_certificate_der((file.parent / name).read_bytes()),
        load_profiles(data),
    )
    store = open_store(data, read_settings(data, settings))
    try:
        found = apply_registry(store, desired, prune=prune, dry_run=dry_run)
    finally:
        store.close()
    _print_plan(found, dry_run=dry_run, as_json=as_json)


def apply_registry(store: CentralStore, desired: Registry, *, prune: bool, dry_run: bool) -> Plan:
    """Make the registry what is wanted, with its anchors, in one transaction; what that changes."""
    found = _plan(store.read(), desired, prune=prune)
    if not found.changes or dry_run:
        return found
    with store.change(OPERATOR, utc_now()) as records:
        # Looked at again within the transaction: a request may have been approved meanwhile.
        found = _plan(records, desired, prune=prune)
        moved = node_address(records) not in (None, desired.address)
        import_registry(records, found.registry)
        remake_anchors(records, missing=True)
        if moved:
            remake_anchors(records)
    return found


def _plan(records: Records, desired: Registry, *, prune: bool) -> Plan:
    known = records.parameter("instance")
    if known is not None and known != desired.instance:
        raise ValueError(
            _(
                "this central server is of instance {known}; the file is of {instance}",
                known=known,
                instance=desired.instance,
            )
        )
    current = None if known is None else present_registry(records, desired.management_service)
    return plan(current, desired, _registered(records, known), prune=prune)


def _registered(records: Records, instance: str | None) -> Registered:
    return Registered() if instance is None else registered_by_request(records)


def _print_plan(found: Plan, *, dry_run: bool, as_json: bool) -> None:
    applied = bool(found.changes) and not dry_run
    if as_json:
        outcome = {"changes": found.changes, "stays": found.stays, "applied": applied}
        click.echo(dump_json(outcome, ensure_ascii=False))
        return
    for line in found.changes:
        click.echo(line)
    if found.stays:
        click.echo(
            _("stays, though the file does not name it (--prune removes what did not come by requests):")
        )
        for line in found.stays:
            click.echo(f"  {line}")
    done = _("not applied (dry run)") if dry_run else _("applied")
    click.echo(done if found.changes else _("nothing to change"))


@click.command(help="Write the registry as a file that apply reads, with its certificates beside it, to OUT.")
@DATA
@SETTINGS
@click.argument("out", type=click.Path(path_type=Path))
@report_errors
def export(data: Path, settings: Path | None, out: Path) -> None:
    store = open_store(data, read_settings(data, settings))
    try:
        registry = load_registry(store.read())
    except Refused as err:
        raise ValueError(
            _(
                "the registry is not whole yet: {err}; initialise the server and set its management service first",
                err=err,
            )
        ) from err
    finally:
        store.close()
    note = f"The registry of {registry.instance} at {utc_now().isoformat(timespec='seconds')}"
    text, certificates = render_registry(registry, note)
    for name, der in certificates.items():
        target = out.parent / name
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, certificate_pem(der))
    write_whole(out, text.encode())
    click.echo(
        _(
            "registry written: {out}, with {count} certificates in {folder}",
            out=out,
            count=len(certificates),
            folder=out.parent / "certificates",
        )
    )
