"""Several nodes on one PostgreSQL: the same shared parameters from each, signed by its own keys, proved by one anchor."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import argon2
import msgspec
import pytest

from central_server.app import CentralServer
from central_server.config import Node, Publishing
from central_server.publication.anchors import remake_anchor
from central_server.publication.node import CentralNode
from central_server.store import sources
from central_server.store.loading import import_registry
from central_server.store.members import rename_client
from central_server.store.records import Actor, CentralStore
from certs.configuration import verify_directory
from schemas.globalconf.anchor import parse_anchor
from schemas.globalconf.parts import SHARED_ID
from schemas.identifiers import ClientId
from serving.login.users import Logins
from serving.process.changes import NOTIFIED_POLL_S
from serving.storage.audit import AuditEntry, AuditLog
from tests.instance import Instance
from tests.integration import centralhosting

if TYPE_CHECKING:
    from pathlib import Path

    from tests.postgres import Cluster

pytestmark = pytest.mark.processes
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ANA = Actor("ana")
QUICK = argon2.PasswordHasher(1, 8, 1)


@pytest.mark.xroad("F152", "F007")
async def test_two_nodes_publish_the_same_parameters_under_one_anchor(
    postgres: Cluster, tmp_path: Path
) -> None:
    where, instance = postgres.new_database(), Instance(tmp_path, NOW)
    nodes: list[CentralNode] = []
    for name in ("node_0", "node_1"):
        node = CentralNode(tmp_path / name, CentralStore(where, name), Publishing(key_kind="ec-p256"))
        if not nodes:
            with node.store.change(ANA, NOW) as records:
                import_registry(records, instance.registry())
        with node.store.change(ANA, NOW) as records:
            sources.set_node_address(records, f"{name.replace('_', '')}.mx")
        await node.keys.make_token("1234")
        for source in sources.SOURCES:
            await node.keys.make_signing_key(source, source, ANA, NOW)
        nodes.append(node)
    for node in nodes:
        assert await node.publish_if_due(NOW)
    first, second = nodes
    found = sources.source_anchor(first.store.read(), "internal")
    assert found is not None
    anchor = parse_anchor(found[0])
    assert len({s.download_url for s in anchor.sources}) == 4
    trusted = [c for s in anchor.sources for c in s.verification_certificates]
    shared = []
    for node in nodes:
        published = node.published.current
        assert published is not None
        directory = verify_directory(published.directories["internal", 6], trusted, NOW)
        part = next(p for p in directory.parts if p.content_id == SHARED_ID)
        shared.append((part.digest, next(p.content for p in published.parts[6] if p.content_id == SHARED_ID)))
    assert shared[0] == shared[1]
    with second.store.change(ANA, NOW) as records:
        rename_client(records, instance.provider.member, "Otro nombre")
        remake_anchor(records, "internal")
    assert await first.publish_if_due(NOW)
    assert first.published.current is not None
    assert b"Otro nombre" in first.published.current.parts[6][0].content
    assert all(at for _, _, at in sources.list_nodes(first.store.read()))
    for node in nodes:
        await node.close()


def test_users_keys_and_the_log_of_calls_are_shared_by_nodes(postgres: Cluster) -> None:
    where = postgres.new_database()
    store = CentralStore(where)
    here, there = Logins(where, QUICK), Logins(where, QUICK)
    here.save_user("ana", "secret", ["XROAD_SECURITY_OFFICER"])
    assert there.verify_password("ana", "secret") is not None
    _, key = there.make_api_key(["XROAD_SYSTEM_ADMINISTRATOR"], "ana")
    found = here.find_api_key(key)
    assert found is not None
    there.revoke_api_key(found.id)
    assert here.find_api_key(key) is None
    logs = [AuditLog(logins.database) for logins in (here, there)]

    def write(number: int) -> None:
        for count in range(20):
            logs[number].append(AuditEntry(NOW, f"node {number}", "", "FORM_LOGIN", "done", str(count)))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, range(2)))
    assert logs[0].verify()[0] == 40
    # The registry's own chain stands beside it in the same database.
    with store.change(ANA, NOW) as records:
        records.note("INIT_CENTRAL_SERVER", "MX")
    assert AuditLog(store.database).verify()[0] == 1
    for database in (here, there, store):
        database.close()


def test_the_admin_schema_is_made_once_by_nodes_that_start_together(postgres: Cluster) -> None:
    where = postgres.new_database()
    with ThreadPoolExecutor(4) as pool:
        opened = list(pool.map(lambda _: Logins(where, QUICK), range(4)))
    opened[0].save_user("ana", "secret", [])
    assert [u.name for u in opened[3].users()] == ["ana"]
    for logins in opened:
        logins.close()


async def test_a_change_is_told_to_every_running_node_at_its_commit(
    postgres: Cluster, tmp_path: Path
) -> None:
    """By the command of another process; a node whose connection for that is lost finds it by itself."""
    where = postgres.new_database()
    chosen = msgspec.structs.replace(centralhosting.settings(), node=Node(database=where))
    server = CentralServer(tmp_path / "central", chosen)
    await centralhosting.initialise(server, tmp_path)
    await server.start()
    elsewhere = CentralStore(where, "node_1")
    owner = ClientId(
        "MX", *(elsewhere.read().row("SELECT member_class, member_code FROM client ORDER BY id") or ())
    )
    try:
        # Nothing is told before the listener is there, and what was changed until then is looked for once.
        async with asyncio.timeout(60):
            while not server.changes.is_notified:
                await asyncio.sleep(0.05)
        assert server.changes.poll_s() == NOTIFIED_POLL_S
        for name in ("Un nombre", "Otro nombre"):
            with elsewhere.change(ANA, datetime.now(UTC)) as records:
                rename_client(records, owner, name)
            async with asyncio.timeout(NOTIFIED_POLL_S - 1):
                while name.encode() not in _shared(server):
                    await asyncio.sleep(0.05)
    finally:
        await server.stop()
        elsewhere.close()


def _shared(server: CentralServer) -> bytes:
    current = server.node.published.current
    assert current is not None
    return next(p.content for p in current.parts[6] if p.content_id == SHARED_ID)
