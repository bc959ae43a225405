"""The command ``gateway``: make one, give it keys and certificates, say what it serves, run it, verify evidence."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import urllib.error
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.admin.roles import gateway_roles
from gateway.cli.actions import add_actions
from gateway.cli.apikeys import WHERE, api_key
from gateway.cli.archive import archive
from gateway.cli.audit import audit_group
from gateway.cli.commandrows import SECTIONS
from gateway.cli.connections import client, tls
from gateway.cli.container import container
from gateway.cli.diagnose import diagnose
from gateway.cli.explain import explain
from gateway.cli.init import init
from gateway.cli.join import join
from gateway.cli.keys import (
    DATA,
    FOLDERS,
    NEW_DATA,
    PIN,
    certificate,
    key,
    open_safe,
    open_store,
    read_pin,
    stored_configuration,
    token,
)
from gateway.cli.keytrials import sign, try_key
from gateway.cli.localaudit import audited
from gateway.cli.log import message_log
from gateway.cli.logproofs import add_proofs
from gateway.cli.policy import policy
from gateway.cli.preflight import preflight
from gateway.cli.services import service
from gateway.cli.serving import serve
from gateway.cli.settings import settings
from gateway.cli.status import look, settings_of, status
from gateway.cli.storage import storage
from gateway.settings.datafolder import BACKUP_CONTENT
from schemas.jsontext import dump_json, load_json
from serving.cli.backupcommands import backup_commands
from serving.cli.commands import Program, report_errors
from serving.cli.completion import completion_command
from serving.cli.signercommand import signer_command
from serving.cli.supportbundle import support_commands
from serving.cli.usercommands import JSON, user_commands
from serving.language import _

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.server.running import AdminClient
    from serving.config.tokensettings import TokensSection


@click.group(cls=Program, sections=SECTIONS)
@click.version_option(package_name="sacbe")
def main() -> None:
    """A Sacbé gateway: an X-Road security server."""


def _tokens(settings: Path | None) -> tuple[TokensSection, str]:
    from gateway.settings import config

    found = config.load(settings, os.environ)
    return found.keys, found.log_level


@contextlib.contextmanager
def _running(data: Path) -> Iterator[AdminClient | None]:
    """The admin API of the gateway that runs on a folder; None where none runs."""
    from gateway.server.running import local_client

    with contextlib.ExitStack() as stack:
        found: AdminClient | None = None
        with contextlib.suppress(ProcessLookupError):
            found = stack.enter_context(local_client(data))
        yield found


main.add_command(archive)
main.add_command(message_log)
add_proofs(message_log)
main.add_command(container)
main.add_command(storage)
main.add_command(service)
main.add_command(tls)
main.add_command(client)
main.add_command(
    backup_commands(
        BACKUP_CONTENT, FOLDERS, lambda data: open_store(data).server_id().path(), open_safe, _running
    )
)
main.add_command(policy)
main.add_command(preflight)
main.add_command(user_commands(gateway_roles(), WHERE))
main.add_command(audit_group())
main.add_command(signer_command(FOLDERS, _tokens))
key.add_command(sign)
key.add_command(try_key)
main.add_command(serve)
for command in (key, certificate, token, diagnose, settings, api_key, init, join, status, explain):
    main.add_command(command)
main.add_command(support_commands(FOLDERS, settings_of, look))
add_actions(main)
main.add_command(completion_command(main, "gateway"))


@main.command(
    help="Make clients, services, rights, groups, timestamping and certificates what FILE says; a running gateway takes it."
)
@DATA
@PIN
@click.option("--settings", "settings_file", type=click.Path(path_type=Path, exists=True))
@click.option("--dry-run", is_flag=True, help="only say what would change")
@click.option(
    "--export",
    "exporting",
    is_flag=True,
    help="the other way round: write what is there to FILE, with certificates beside it",
)
@JSON
@click.argument("file", type=click.Path(path_type=Path))
@report_errors
@audited("APPLY")
def apply(
    data: Path,
    pin_file: Path | None,
    settings_file: Path | None,
    dry_run: bool,
    exporting: bool,
    as_json: bool,
    file: Path,
) -> None:
    """Put the configuration of one file into force, or say what it would change."""
    if exporting:
        return _export(data, file)
    from gateway.cli.certificatework import FolderWork
    from gateway.desired.apply import ApplyContext, apply_file
    from gateway.settings import livesettings

    store = open_store(data)
    found = livesettings.settings_file(data, settings_file)
    settings = livesettings.LiveSettings(store.database, found, os.environ).load()
    context = ApplyContext(
        stored_configuration(data), FolderWork(data, settings, functools.cache(lambda: read_pin(pin_file)))
    )
    changes = apply_file(store, file, datetime.now(UTC), dry_run=dry_run, context=context)
    store.close()
    if as_json:
        click.echo(
            dump_json({"changes": changes, "applied": bool(changes) and not dry_run}, ensure_ascii=False)
        )
        return
    for line in changes:
        click.echo(line)
    done = _("not applied (dry run)") if dry_run else _("applied")
    click.echo(done if changes else _("nothing to change"))


def _export(data: Path, file: Path) -> None:
    from certs.edges.tokenfiles import write_whole
    from gateway.clients.desiredfile import render_desired
    from serving.pemtext import certificate_pem

    store = open_store(data)
    conf, timestamping = store.load(), store.view.timestamping.all()
    store.close()
    note = f"Gateway {conf.server_id.path()} at {datetime.now(UTC).isoformat(timespec='seconds')}"
    text, certificates = render_desired(conf, timestamping, note)
    for name, der in certificates.items():
        (file.parent / name).parent.mkdir(parents=True, exist_ok=True)
        write_whole(file.parent / name, certificate_pem(der))
    write_whole(file, text.encode())
    click.echo(_("written: {file}", file=file))


@main.command()
@NEW_DATA
@click.option("--settings", "settings_file", type=click.Path(path_type=Path, exists=True))
@click.option("--url", help="the health address; left out: found from --data")
@report_errors
def health(data: Path, settings_file: Path | None, url: str | None) -> None:
    """Ask a running gateway whether it can exchange messages; exit 1 when it cannot."""
    from gateway.server.addresses import find_health
    from serving.process.httpget import open_url

    if url is None:
        FOLDERS.check(data)
        url = find_health(data, settings_file)
    try:
        with open_url(url, 5) as answer:
            body = answer.read()
    except urllib.error.HTTPError as err:
        body = err.read()
    except OSError as err:
        click.echo(_("no gateway answers at {url}: {err}", url=url, err=err), err=True)
        sys.exit(1)
    state = {"status": "down", "problems": ["the answer cannot be read"]}
    with contextlib.suppress(ValueError):
        state = load_json(body)
    click.echo(state["status"])
    for problem in state["problems"]:
        click.echo(f"- {problem}")
    sys.exit(0 if state["status"] == "up" else 1)
