"""Where a gateway listens, for whom, and by which settings; and where it really does, from its own record.

A command asks the server that runs on a data folder at the address which that server wrote into ``running.json``; the
settings say it only for one that is not running.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.server.running import running_note
from serving.process.addresses import HEALTH, ListenAddress

if TYPE_CHECKING:
    from gateway.settings.config import GatewaySettings
    from serving.config.adminsettings import AdminSettings


def listen_addresses(settings: GatewaySettings, admin: AdminSettings) -> list[ListenAddress]:
    """Every listener of a gateway; ``admin`` with the host it really takes."""
    where = settings.listen
    return [
        ListenAddress(
            "consumers",
            "http",
            where.consumer_host,
            where.http_port,
            "listen.consumer_host",
            "listen.http_port",
        ),
        ListenAddress(
            "consumers by TLS",
            "https",
            where.consumer_host,
            where.https_port,
            "listen.consumer_host",
            "listen.https_port",
        ),
        ListenAddress(
            "peers", "https", where.peer_host, where.peer_port, "listen.peer_host", "listen.peer_port"
        ),
        ListenAddress(
            "OCSP", "http", where.peer_host, where.ocsp_port, "listen.peer_host", "listen.ocsp_port"
        ),
        health_address(settings),
        ListenAddress(
            "ACME challenges",
            "http",
            settings.acme.challenge_host,
            settings.acme.challenge_port,
            "acme.challenge_host",
            "acme.challenge_port",
        ),
        ListenAddress("console", "https", admin.host, admin.port, "admin.host", "admin.port", "/consola/"),
    ]


def health_address(settings: GatewaySettings) -> ListenAddress:
    """The listener for a look at the gateway's health."""
    where = settings.listen
    return ListenAddress(
        HEALTH,
        "http",
        where.health_host,
        where.health_port,
        "listen.health_host",
        "listen.health_port",
        "/",
    )


def find_health(data: Path, settings_file: Path | None = None) -> str:
    """The health address of the gateway of a data folder: of the running one as it wrote it, else as the settings say."""
    try:
        note = running_note(data)
        if note.get("health"):
            return str(note["health"])
    except ProcessLookupError:
        pass
    return health_address(settings_of(data, settings_file)).local_url


def settings_of(data: Path, given: Path | None) -> GatewaySettings:
    """The settings a gateway on this folder runs by, also where none was made yet."""
    from gateway.clients.store import ServerConfStore
    from gateway.settings.config import load
    from gateway.settings.datafolder import find_folder
    from gateway.settings.livesettings import LiveSettings, settings_file

    found = settings_file(data, given)
    where = find_folder(data, os.environ).serverconf
    if isinstance(where, Path) and not where.exists():
        return load(found, os.environ)
    store = ServerConfStore(where)
    try:
        return LiveSettings(store.database, found, os.environ).load()
    finally:
        store.close()
