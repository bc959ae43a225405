"""A running gateway's server configuration under two changes at once: the older one never comes out on top."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING

from gateway.admin.context import AdminContext
from gateway.clients.model import ConnectionType
from gateway.clients.store import ServerConfStore
from gateway.server.state import GatewayState
from gateway.settings.config import GatewaySettings
from gateway.settings.datafolder import DataFolder
from schemas.identifiers import ServerId
from serving.storage.keysafe import KeySafe

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.clients.model import ServerConf

SERVER = ServerId("MX", "GOB", "15-ISSEMYM", "SS1")
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


class SlowStore(ServerConfStore):
    """A store that has read, and hands out what it read only once it may."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.has_read = threading.Event()
        self.may_go = threading.Event()

    def load(self) -> ServerConf:
        """As its base, later."""
        found = super().load()
        self.has_read.set()
        assert self.may_go.wait(60)
        return found


async def test_what_was_read_before_another_change_was_taken_does_not_undo_it(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    with contextlib.closing(ServerConfStore(tmp_path / "serverconf.sqlite")) as store:
        store.initialise(SERVER, b"anchor")
        state = GatewayState(folder, GatewaySettings(), KeySafe(()), {}, ())
        state.store.close()
        state.store = slow = SlowStore(tmp_path / "serverconf.sqlite")
        reading = asyncio.create_task(state.read_and_reload())
        assert await asyncio.to_thread(slow.has_read.wait, 60)
        with store.change():
            pass  # raises the generation
        newer = store.load()
        state.reload(newer)
        slow.may_go.set()
        await reading
        assert state.serverconf.generation == newer.generation
        state.close()


async def test_a_change_by_the_admin_api_is_read_and_compared_beside_the_loop(tmp_path: Path) -> None:
    """What reads all of a configuration, or compares two of them, keeps no message waiting."""
    threads: list[str] = []

    class Watched(ServerConfStore):
        def load(self) -> ServerConf:
            threads.append(threading.current_thread().name)
            return super().load()

    with contextlib.closing(Watched(tmp_path / "serverconf.sqlite")) as store:
        store.initialise(SERVER, b"anchor")
        state = GatewayState(DataFolder(tmp_path), GatewaySettings(), KeySafe(()), {}, ())
        state.store.close()
        state.store = store
        threads.clear()
        context = AdminContext(SimpleNamespace(store=store, gateway=state))
        async with context.change() as tables:
            tables.clients.add(SERVER.owner, ConnectionType.HTTPS, NOW)
        assert state.serverconf.generation == store.generation()
        assert threads
        assert threading.current_thread().name not in threads
        state.close()
