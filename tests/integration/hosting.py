"""A gateway's process in this one: its admin API on plain HTTP, with a configuration on the disk and no network behind it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import msgspec

from benchmarks.federation import free_base
from certs.edges.tokenfiles import TokenFolder
from certs.tokens.soft import SoftToken
from gateway.admin.roles import gateway_roles
from gateway.clients.model import ConnectionType
from gateway.clients.store import ServerConfStore
from gateway.server.process import GatewayProcess
from gateway.settings.config import GatewaySettings, KeySettings, ListenSettings
from gateway.settings.datafolder import DataFolder
from schemas.globalconf.anchor import Anchor, AnchorSource, render_anchor
from schemas.globalconf.sharedwriting import render_shared
from serving.config.adminsettings import AdminSettings
from tests.integration.threads import in_thread
from tests.worlds import CONSUMER, CONSUMER_SERVER, NOW, PIN, world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from pathlib import Path


NOWHERE = "http://127.0.0.1:9/internalconf"


def prepare(folder: Path) -> None:
    """An initialised server in a folder, with a client, and a token whose PIN is `PIN`."""
    anchor = Anchor(CONSUMER.instance, (AnchorSource(NOWHERE, (b"no certificate",)),), NOW)
    store = ServerConfStore(folder / "serverconf.sqlite")
    store.initialise(CONSUMER_SERVER, render_anchor(anchor))
    with store.change() as tables:
        tables.clients.add(CONSUMER_SERVER.owner, ConnectionType.HTTPS, NOW)
        tables.clients.add(CONSUMER, ConnectionType.HTTP, NOW)
    store.close()
    SoftToken.create(TokenFolder(folder / "token"), PIN).close()
    parts = folder / "globalconf" / CONSUMER.instance
    parts.mkdir(parents=True)
    (folder / "globalconf" / "instance-identifier").write_text(CONSUMER.instance)
    (parts / "shared-params.xml").write_bytes(render_shared(world().shared))


def settings(keys: KeySettings) -> GatewaySettings:
    """Settings for addresses that nobody else uses; the admin API does not start by itself."""
    address = f"{free_base()}.1"
    admin = AdminSettings(port=0, requests_per_second=0, requests_per_minute=0)
    listen = ListenSettings(consumer_host=address, peer_host=address, health_host=address)
    return msgspec.structs.replace(GatewaySettings(), listen=listen, admin=admin, keys=keys)


@contextlib.contextmanager
def hosted(
    folder: Path,
    pin: str | None = PIN,
    keys: KeySettings | None = None,
    signer_arguments: Sequence[str] = (),
    *,
    chosen: GatewaySettings | None = None,
) -> Iterator[tuple[str, GatewayProcess]]:
    """The URL of a running host's admin API, and the host, which runs in a thread of its own."""

    @contextlib.asynccontextmanager
    async def serve() -> AsyncIterator[tuple[str, GatewayProcess]]:
        used = chosen or settings(keys or KeySettings())
        host = GatewayProcess(DataFolder(folder), used, pin, signer_arguments=signer_arguments)
        await host.start()
        await host.api.start_with(None)
        address, port = host.api.addresses[0]
        yield f"http://{address}:{port}", host
        await host.stop()

    with in_thread(serve) as found:
        yield found


def api_key(host: GatewayProcess) -> dict[str, str]:
    """Headers of somebody with every role."""
    _, key = host.logins.make_api_key(gateway_roles().of_people(), "test")
    return {"Authorization": f"X-Road-ApiKey token={key}"}
