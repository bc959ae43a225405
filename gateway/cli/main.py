"""The command ``gateway``: make one, give it keys and certificates, say what it serves, run it, verify evidence."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import json
import os
import signal
import sys
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from certs.tokens.port import SOFTWARE_TOKEN_ID
from gateway.admin.roles import gateway_roles
from gateway.cli.actions import add_actions
from gateway.cli.apikeys import api_key
from gateway.cli.archive import archive
from gateway.cli.connections import client, tls
from gateway.cli.container import container
from gateway.cli.diagnose import diagnose
from gateway.cli.init import init
from gateway.cli.join import join
from gateway.cli.keys import (
    DATA,
    PIN,
    certificate,
    csr,
    key,
    open_safe,
    open_store,
    read_pin,
    stored_configuration,
    token,
)
from gateway.cli.localaudit import audited
from gateway.cli.log import message_log
from gateway.cli.policy import policy
from gateway.cli.preflight import preflight
from gateway.cli.services import service
from gateway.cli.settings import settings
from gateway.cli.spanish import in_spanish
from gateway.settings.datafolder import BACKUP_CONTENT, DataFolder
from serving.cli.backupcommands import backup_commands
from serving.cli.commands import report_errors
from serving.cli.completion import completion_command
from serving.cli.signercommand import signer_command
from serving.cli.usercommands import JSON, audit_commands, user_commands
from serving.language import tr
from serving.process.ending import Ending, start_anew
from serving.storage.datafolder import claim

if TYPE_CHECKING:
    from serving.config.tokensettings import TokenKeeping


@click.group()
@click.version_option(package_name="sacbe")
def main() -> None:
    """A Sacbé gateway: an X-Road security server."""


def _tokens(settings: Path | None) -> tuple[TokenKeeping, str]:
    from gateway.settings import config

    found = config.load(settings, os.environ)
    return found.keys, found.log_level


main.add_command(archive)
main.add_command(message_log)
main.add_command(container)
main.add_command(service)
main.add_command(tls)
main.add_command(client)
main.add_command(
    backup_commands(
        BACKUP_CONTENT, "gateway-data", lambda data: open_store(data).server_id().path(), open_safe
    )
)
main.add_command(policy)
main.add_command(preflight)
main.add_command(user_commands(gateway_roles()))
main.add_command(audit_commands())
main.add_command(signer_command("gateway-data", _tokens))
for command in (key, csr, certificate, token, diagnose, settings, api_key, init, join):
    main.add_command(command)
add_actions(main)
main.add_command(completion_command(main, "gateway"))


@main.command(
    help=tr(
        "Deja clientes, servicios, derechos, grupos, sellado y certificados como dice FILE; una pasarela en marcha lo toma.",
        "Make clients, services, rights, groups, timestamping and certificates what FILE says; a running gateway takes it.",
    )
)
@DATA
@PIN
@click.option("--settings", "settings_file", type=click.Path(path_type=Path, exists=True))
@click.option("--dry-run", is_flag=True, help=tr("sólo dice qué cambiaría", "only say what would change"))
@JSON
@click.argument("file", type=click.Path(path_type=Path, exists=True))
@report_errors
@audited("APPLY")
def apply(
    data: Path, pin_file: Path | None, settings_file: Path | None, dry_run: bool, as_json: bool, file: Path
) -> None:
    """One file."""
    from gateway.cli.certificatework import FolderWork
    from gateway.desired.apply import ApplyContext, apply_file
    from gateway.settings import livesettings

    store = open_store(data)
    found = livesettings.settings_file(data, settings_file)
    settings = livesettings.LiveSettings(store.database, found, os.environ).load()
    around = ApplyContext(
        stored_configuration(data), FolderWork(data, settings, functools.cache(lambda: read_pin(pin_file)))
    )
    changes = apply_file(store, file, datetime.now(UTC), dry_run=dry_run, around=around)
    store.close()
    if as_json:
        click.echo(
            json.dumps({"changes": changes, "applied": bool(changes) and not dry_run}, ensure_ascii=False)
        )
        return
    for line in changes:
        click.echo(line)
    done = tr("no aplicado (ensayo)", "not applied (dry run)") if dry_run else tr("aplicado", "applied")
    click.echo(done if changes else tr("nada que cambiar", "nothing to change"))


def pin_if_wanted(data: Path, pin_file: Path | None) -> str | None:
    """The PIN, where there is a token to open and somebody to ask; otherwise the token waits for a login."""
    can_ask = "SACBE_PIN" in os.environ or sys.stdin.isatty()
    if pin_file is None and not (can_ask and (data / "token" / "token.json").exists()):
        return None
    return read_pin(pin_file)


@main.command()
@DATA
@PIN
@click.option("--settings", "settings_file", type=click.Path(path_type=Path, exists=True))
@report_errors
def serve(data: Path, pin_file: Path | None, settings_file: Path | None) -> None:
    """Run the gateway until it is told to stop. Settings are read from DATA/settings.toml unless others are named."""
    ending = Ending()
    # Held before anything in the folder is opened: what a restore left to be done is done now.
    with claim(data.absolute()):
        _serve(data, pin_file, settings_file, ending)
    if ending.starts_anew:
        start_anew()


def _serve(data: Path, pin_file: Path | None, settings_file: Path | None, ending: Ending) -> None:
    import uvloop

    from gateway.server.process import GatewayProcess
    from gateway.settings import livesettings
    from serving.process import telemetry
    from serving.process.openfiles import raise_limit

    raise_limit()
    settings_file = livesettings.settings_file(data, settings_file)
    store = open_store(data)
    settings = livesettings.LiveSettings(store.database, settings_file, os.environ).load()
    store.close()
    telemetry.configure(settings.log_level)
    software = settings.keys.token(SOFTWARE_TOKEN_ID)
    arguments = [
        *(["--settings", str(settings_file)] if settings_file else []),
        *(["--pin-file", str(pin_file)] if pin_file and software.own_process else []),
    ]
    # With keys in a process of their own the PIN is not known here; it reads it from where it is told.
    pin = None if software.own_process or software.pin.is_set else pin_if_wanted(data, pin_file)
    gateway = GatewayProcess(
        DataFolder(data),
        settings,
        pin,
        environ=os.environ,
        signer_arguments=arguments,
        settings_file=settings_file,
        restart=ending.restart,
    )

    async def run() -> None:
        await gateway.start()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, gateway.reload_on_signal)
        # What is here now stays for good; without this every full collection walks over all of it again.
        gc.collect()
        gc.freeze()
        await ending.wait()
        await gateway.stop()

    uvloop.run(run())


@main.command()
@click.option("--url", default="http://127.0.0.1:5588/", show_default=True)
def health(url: str) -> None:
    """Ask a running gateway whether it can exchange messages; exit 1 when it cannot."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310  the operator's own URL
            body = answer.read()
    except urllib.error.HTTPError as err:
        body = err.read()
    except OSError as err:
        click.echo(f"no gateway answers at {url}: {err}", err=True)
        sys.exit(1)
    state = {"status": "down", "problems": ["the answer cannot be read"]}
    with contextlib.suppress(ValueError):
        state = json.loads(body)
    click.echo(state["status"])
    for problem in state["problems"]:
        click.echo(f"- {problem}")
    sys.exit(0 if state["status"] == "up" else 1)


in_spanish(main)
