"""A central server in this process: its admin API on plain HTTP, in a thread of its own, with nothing else listening."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from benchmarks.federation import free_base
from central_server.admin.roles import central_roles
from central_server.app import CentralServer
from central_server.config import Catalogue, CentralListenSettings, CentralSettings, Publishing
from central_server.store import sources
from central_server.store.loading import import_registry
from central_server.store.records import OPERATOR
from serving.config.adminsettings import AdminSettings
from tests.instance import Instance
from tests.integration.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

PIN = "Secret1234"


def settings() -> CentralSettings:
    """Nothing listens by itself."""
    listen = CentralListenSettings(http_port=0, https_port=0, registration_port=0, management_port=0)
    return msgspec.structs.replace(
        CentralSettings(),
        listen=listen,
        admin=AdminSettings(host=f"{free_base()}.1", port=0, requests_per_second=0, requests_per_minute=0),
        publishing=Publishing(minimum_version=6, key_kind="ec-p256"),
        catalogue=Catalogue(port=0),
    )


async def initialise(server: CentralServer, folder: Path) -> None:
    """An instance with members, a server that owns nothing yet, signing keys and anchors."""
    now = datetime.now(UTC)
    await server.node.initialise("MX", "127.0.0.1", PIN, OPERATOR, now)
    instance = Instance(folder, now)
    with server.node.store.change(OPERATOR, now) as records:
        import_registry(records, instance.registry(instance.provider))
    for source in sources.SOURCES:
        await server.node.keys.make_signing_key(source, source, OPERATOR, now)


@contextlib.contextmanager
def hosted(
    folder: Path, chosen: CentralSettings, *, initialised: bool
) -> Iterator[tuple[str, CentralServer]]:
    """The URL of a running central server's admin API, and the server."""

    @contextlib.asynccontextmanager
    async def serve() -> AsyncIterator[tuple[str, CentralServer]]:
        server = CentralServer(folder / "central", chosen)
        if initialised:
            await initialise(server, folder)
        await server.start()
        await server.admin.start_with(None)
        address, port = server.admin.addresses[0]
        yield f"http://{address}:{port}", server
        await server.stop()

    with in_thread(serve) as found:
        yield found


def api_key(server: CentralServer) -> dict[str, str]:
    """Headers of somebody with every role."""
    _, key = server.logins.make_api_key(central_roles().of_people(), "test")
    return {"Authorization": f"X-Road-ApiKey token={key}"}
