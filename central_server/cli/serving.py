"""What ``central-server serve`` does: what can be known before the start is tried first, then the node runs until its end."""

from __future__ import annotations

import contextlib
import os
from contextlib import closing
from typing import TYPE_CHECKING

import msgspec

from central_server.cli.folder import read_pin, read_settings
from central_server.config import admin_host, management_host
from central_server.store.steps import STEPS
from certs.edges.tokenfiles import write_whole
from schemas.jsontext import dump_json
from serving.config.secret import read_secret_file
from serving.databaseversions import check_version
from serving.language import _
from serving.process.addresses import ListenAddress, check_addresses, describe, urls_by_purpose
from serving.storage.database import opened_to_read
from serving.storage.datafolder import check_initialised

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from central_server.config import CentralSettings
    from serving.process.ending import Ending

# Where a running node says where it listens, for the commands of the same machine.
RUNNING = "running.json"
_MARKS = ("central.sqlite", "admin.sqlite")


def chosen_settings(
    data: Path, file: Path | None, given: Mapping[str, object], admin_at: str | None = None
) -> CentralSettings:
    """The settings with what the command line says instead. Raises `OperatorError` for a folder without a node."""
    chosen = read_settings(data, file)
    listen = msgspec.structs.replace(chosen.listen, **{k: v for k, v in given.items() if v is not None})
    admin = msgspec.structs.replace(chosen.admin, host=admin_at or chosen.admin.host)
    chosen = msgspec.structs.replace(chosen, listen=listen, admin=admin)
    if not chosen.node.database:  # a node that shares a database may have nothing of its own yet
        check_initialised(data, _MARKS, _("make one: central-server init --data ..."))
    return chosen


def listen_addresses(settings: CentralSettings) -> list[ListenAddress]:
    """Every listener of a node."""
    where, admin = settings.listen, settings.admin

    def one(purpose: str, scheme: str, name: str, port: int, host: str = where.host) -> ListenAddress:
        return ListenAddress(purpose, scheme, host, port, "listen.host", name)

    return [
        one("configuration", "http", "listen.http_port", where.http_port),
        one("configuration by TLS", "https", "listen.https_port", where.https_port),
        one("registration", "https", "listen.registration_port", where.registration_port),
        one("catalogue", "http", "catalogue.port", settings.catalogue.port),
        one(
            "management", "https", "listen.management_port", where.management_port, management_host(settings)
        ),
        ListenAddress(
            "console", "https", admin_host(settings), admin.port, "admin.host", "admin.port", "/consola/"
        ),
    ]


def check_start(data: Path, settings: CentralSettings, pin_file: Path | None) -> Iterator[str]:
    """Try the database's version, the PIN's file and every address, and change nothing; a line each.

    Raises ValueError and OSError with what to do.
    """
    path = data / "central.sqlite"
    if settings.node.database:
        from serving.storage.nodes import check_not_moved, open_nodes  # PostgreSQL's client is an extra

        with closing(open_nodes(settings.node.database)) as shared:
            check_not_moved(shared)
            yield _("database: {path}", path=shared.name)
    if not settings.node.database and path.exists():
        with opened_to_read(path, ["step"]) as database:
            if database.execute("SELECT 1 FROM sqlite_master WHERE name = 'step'").fetchone():
                (done,) = database.execute("SELECT coalesce(max(number), 0) FROM step").fetchone()
                check_version(done, STEPS, str(path))
        yield _("database: {path}", path=path)
    if pin_file is not None:
        read_secret_file(pin_file)
        yield f"PIN: {pin_file}"
    addresses = listen_addresses(settings)
    check_addresses(addresses)
    yield _("addresses: {describe}", describe=describe(addresses))


@contextlib.contextmanager
def noted(data: Path, settings: CentralSettings) -> Iterator[None]:
    """Say in the folder where this process listens, as long as it does."""
    addresses = listen_addresses(settings)
    note = {
        "pid": os.getpid(),
        "health": next(
            (f"{a.local_url}/health" for a in addresses if a.purpose == "configuration" and a.port), None
        ),
        "addresses": urls_by_purpose(addresses),
    }
    # A crash leaves the note of a process that is gone: `status` looks whether its id still runs.
    write_whole(data / RUNNING, dump_json(note).encode())
    try:
        yield
    finally:
        (data / RUNNING).unlink(missing_ok=True)


def run_server(
    data: Path, pin_file: Path | None, settings_file: Path | None, settings: CentralSettings, ending: Ending
) -> None:
    """Run the node of a claimed folder until it is told to end."""
    import uvloop

    from central_server.app import CentralServer, log
    from serving.process import telemetry
    from serving.process.supervised import report_ready, report_stopped, report_stopping

    telemetry.configure(settings.log_level, settings=settings.logging)
    known = pin_file is not None or os.environ.get("SACBE_PIN")
    pin = read_pin(pin_file) if known else None
    named = {"--settings": settings_file, "--pin-file": pin_file}
    arguments = [word for name, path in named.items() if path is not None for word in (name, str(path))]

    async def run() -> None:
        if await ending.start(server.start()):
            with noted(data, settings):
                report_ready(log, listen_addresses(settings), os.environ)
                await ending.wait()
        report_stopping(os.environ)
        await server.stop()
        report_stopped(log)

    server = CentralServer(data, settings, pin, arguments, ending.restart)
    uvloop.run(run())
