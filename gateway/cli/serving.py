"""What ``gateway serve`` does: what can be known before the start is tried first, then the gateway runs until its end."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.keys import NEW_DATA, PIN, open_store
from gateway.cli.keys import read_pin as ask_pin
from serving.cli.commands import Program, report_errors
from serving.language import _
from serving.process.ending import Ending, start_anew
from serving.process.starting import end_imports
from serving.storage.datafolder import check_initialised, claim

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.settings.config import GatewaySettings

    ReadPin = Callable[[Path, Path | None], str | None]

# How long a thread that computes (a large description, an RSA key) keeps the loop waiting at each of its turns; Python's 5 ms,
# some twenty times a message, are a tenth of a second.
SWITCH_S = 0.0005
# What a folder holds in which an administrator, at least, was made.
_MARKS = ("serverconf.sqlite", "admin.sqlite", "first-anchor.xml", "settings.toml")


def founded(data: Path) -> None:
    """Refuse a folder in which no gateway was begun. Raises `OperatorError`."""
    check_initialised(
        data,
        _MARKS,
        _("make one: gateway init --data ..., or gateway user add to initialise it in the console"),
    )


def check_start(data: Path, settings_file: Path | None, pin_file: Path | None) -> Iterator[str]:
    """Try settings, database versions, the PIN's file and every address, and change nothing; a line each.

    Raises ValueError and OSError with what to do.
    """
    from gateway.server.addresses import listen_addresses
    from gateway.server.process import admin_settings
    from serving.config.secret import read_secret_file
    from serving.process.addresses import check_addresses, describe

    settings = read_settings(data, settings_file)
    yield _("settings: ok")
    if pin_file is not None:
        read_secret_file(pin_file)
        yield _("PIN: {pin_file}", pin_file=pin_file)
    # Before a database is opened, and changed for this version: one that cannot listen leaves all as it was.
    addresses = listen_addresses(settings, admin_settings(settings))
    check_addresses(addresses)
    yield _("addresses: {describe}", describe=describe(addresses))


def read_settings(data: Path, settings_file: Path | None) -> GatewaySettings:
    """The settings as file, database and environment say, without changing the database for this version.

    Raises `OperatorError`, `sqlite3.DatabaseError` for a file that is damaged.
    """
    from gateway.migrations.serverconf import STEPS
    from gateway.server.addresses import settings_of
    from gateway.server.nodes import check_found
    from gateway.settings import config, livesettings
    from gateway.settings.datafolder import find_folder
    from serving.databaseversions import check_version
    from serving.storage.database import opened_to_read

    file = livesettings.settings_file(data, settings_file)
    check_found(data, config.load(file, os.environ).node, os.environ)
    path = find_folder(data, os.environ).serverconf
    if isinstance(path, str):
        return settings_of(data, file)
    if not path.exists():
        return config.load(file, os.environ)
    with opened_to_read(path, ["step", "setting"]) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "step" in tables:
            (done,) = database.execute("SELECT coalesce(max(number), 0) FROM step").fetchone()
            check_version(done, STEPS, str(path))
        rows = database.execute("SELECT name, value FROM setting").fetchall() if "setting" in tables else []
    return config.load(file, os.environ, livesettings.parse_kept(rows))


def run_workers(
    data: Path, pin_file: Path | None, settings_file: Path | None, ending: Ending, count: int, lock: int
) -> None:
    """Run a gateway in so many processes until it is told to end; ``lock`` is the open file that claims the folder.

    Raises `OperatorError`, OSError.
    """
    from gateway.server.workers import Workers, check_shareable
    from gateway.settings import livesettings
    from serving.process import telemetry

    end_imports()
    settings_file = livesettings.settings_file(data, settings_file)
    settings = read_settings(data, settings_file)
    telemetry.configure(settings.log_level, settings=settings.logging)
    check_shareable(data, settings, pin_file, os.environ)
    asyncio.run(Workers(data, settings, pin_file, settings_file, count, lock).run(ending))


def run_gateway(
    data: Path,
    pin_file: Path | None,
    settings_file: Path | None,
    ending: Ending,
    read_pin: ReadPin,
    worker: int = 0,
) -> None:
    """Run the gateway of a claimed folder until it is told to end; ``read_pin`` gives the PIN where it is not kept elsewhere.

    ``worker`` is this process's number among several of the folder, from 1.
    """
    import uvloop

    from certs.tokens.port import SOFTWARE_TOKEN_ID
    from gateway.server.process import GatewayProcess, log
    from gateway.settings import livesettings
    from gateway.settings.datafolder import find_folder
    from serving.process import telemetry
    from serving.process.openfiles import raise_limit
    from serving.process.supervised import report_ready, report_stopped, report_stopping

    end_imports()
    raise_limit()
    settings_file = livesettings.settings_file(data, settings_file)
    chosen = read_settings(data, settings_file)
    telemetry.configure(chosen.log_level, settings=chosen.logging)
    store = open_store(data)
    settings = livesettings.LiveSettings(store.database, settings_file, os.environ).load()
    store.close()
    software = settings.keys.token(SOFTWARE_TOKEN_ID)
    arguments = [
        *(["--settings", str(settings_file)] if settings_file else []),
        *(["--pin-file", str(pin_file)] if pin_file and software.own_process else []),
    ]
    # With keys in a process of their own the PIN is not known here; it reads it from where it is told.
    pin = None if software.own_process or software.pin.is_set else read_pin(data, pin_file)
    gateway = GatewayProcess(
        replace(find_folder(data, os.environ), worker=worker),
        settings,
        pin,
        environ=os.environ,
        signer_arguments=arguments,
        settings_file=settings_file,
        restart=ending.restart,
    )

    sys.setswitchinterval(SWITCH_S)

    async def run() -> None:
        if not await ending.start(gateway.start()):
            report_stopped(log)
            return
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, gateway.reload_on_signal)
        # What the start made stays for good too; without this every full collection walks over it again.
        gc.collect()
        gc.freeze()
        report_ready(log, gateway.listens_on, os.environ)
        await ending.wait()
        report_stopping(os.environ)
        await gateway.drain(ending)
        await gateway.stop()
        report_stopped(log)

    uvloop.run(run())


def optional_pin(data: Path, pin_file: Path | None) -> str | None:
    """The PIN, where there is a token to open and somebody to ask; otherwise the token waits for a login."""
    can_ask = "SACBE_PIN" in os.environ or sys.stdin.isatty()
    if pin_file is None and not (can_ask and (data / "token" / "token.json").exists()):
        return None
    return ask_pin(pin_file)


@click.command()
@NEW_DATA
@PIN
@click.option("--settings", "settings_file", type=click.Path(path_type=Path, exists=True))
@click.option("--check", is_flag=True, help="only try settings, addresses and databases; start nothing")
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="processes that share the addresses of this machine, one for each core; more than one needs PostgreSQL",
)
@report_errors
def serve(data: Path, pin_file: Path | None, settings_file: Path | None, check: bool, workers: int) -> None:
    """Run the gateway until it is told to stop. Settings are read from DATA/settings.toml unless others are named."""
    founded(data)
    ending = Ending()
    # Held before anything in the folder is opened: what a restore left to be done is done now.
    with claim(data.absolute()) as lock:
        for line in check_start(data, settings_file, pin_file):
            if check:
                click.echo(line)
        if not check and workers > 1:
            run_workers(data, pin_file, settings_file, ending, workers, lock)
        elif not check:
            run_gateway(data, pin_file, settings_file, ending, optional_pin)
    if ending.starts_anew:
        start_anew()


# The program with the one command that a server runs: the others are no part of its start.
server_program = Program("gateway", commands=[serve])
