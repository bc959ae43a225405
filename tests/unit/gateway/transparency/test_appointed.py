"""Witnesses without anybody's hand: gateways announce their keys, the central server appoints, and each head is cosigned by three."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from central_server.edges.witnesses import announcement_routes, keep_own_witness
from central_server.publication.generate import build_shared
from central_server.publication.publish import generate
from central_server.registry.model import RegisteredServer
from central_server.store.loading import import_registry, load_registry
from central_server.store.records import Actor, CentralStore
from central_server.store.sources import set_node_address
from central_server.store.witnesses import log_key
from certs.algorithms import SignatureAlgorithm
from certs.certificates import der_of
from certs.configuration import TrustedConfiguration
from certs.tokens.port import KeyId
from certs.transparency import appointments_in, verify_cosignatures
from gateway.messagelog.store import MessageLog
from gateway.transparency.announcing import KeyAnnouncing
from gateway.transparency.appointed import ConfiguredWitnesses
from gateway.transparency.logloop import LogLoopSettings, TransparencyLoop
from schemas.faults import Fault
from schemas.globalconf.parts import WITNESSES_ID
from schemas.globalconf.shared import CURRENT_VERSION
from schemas.globalconf.sharedwriting import render_shared
from schemas.globalconf.witnesses import AppointedLog
from schemas.identifiers import ClientId, ServerId
from schemas.transparency.announcement import KeyAnnouncement, SignedAnnouncement, witness_name
from schemas.transparency.notes import SignedNote, VerifierKey, parse_note
from serving.storage.keysafe import KeySafe, Seal
from serving.web.witnessing import Witness
from tests.instance import Instance
from tests.logs import NOW, entry, open_log
from tests.ports import free_port

SAFE = KeySafe((Seal.of_secret("a secret of tests"),))
OWNERS = [ClientId("MX", "GOB", code) for code in ("A", "B", "C", "D")]
BASE = "127.61.7"


class AuthenticationKey:
    """Signs as a token with one key does."""

    def __init__(self, key: Any) -> None:
        self._key = key

    async def sign(self, _key_id: KeyId, digest: bytes, algorithm: SignatureAlgorithm) -> bytes:
        signature: bytes = self._key.sign(digest, algorithm.ecdsa)
        return signature


class Country:
    """A central server's store with its listener, the registered gateways, and one clock."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.now = folder, NOW
        self.instance = Instance(folder, NOW)
        self.keys = [self.instance.auth(owner) for owner in OWNERS]
        self.store = CentralStore(folder / "central.sqlite")
        servers = tuple(
            RegisteredServer(owner.server("SS1"), f"{BASE}.{n + 1}", (der_of(self.keys[n][1]),), ())
            for n, owner in enumerate(OWNERS)
        )
        with self.store.change(Actor("ana"), NOW) as records:
            import_registry(records, self.instance.registry(*OWNERS, servers=servers))
            set_node_address(records, "127.0.0.1")
        self.witness = Witness(
            folder / "central-witness",
            lambda: "MX/central/witness",
            (),
            SAFE,
            lambda: self.now,
            lambda name: log_key(self.store.read(), name),
        )
        self.url = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_routes(self.witness.routes("/tlog"))
        app.router.add_routes(announcement_routes(self.store, lambda: self.now))
        async with TestServer(app) as server:
            self.url = str(server.make_url("/internalconf?version=6"))
            assert server.port is not None
            keep_own_witness(self.store, self.witness, server.port, self.now)
            yield
        self.store.close()

    def configuration(self) -> TrustedConfiguration:
        """What a gateway has fetched of what is published now."""
        registry = load_registry(self.store.read())
        parts = {p.content_id: p for p in generate(registry, [CURRENT_VERSION], 2).parts[CURRENT_VERSION]}
        files = {
            "instance-identifier": b"MX",
            "MX/shared-params.xml": render_shared(build_shared(registry, CURRENT_VERSION), CURRENT_VERSION),
        }
        if WITNESSES_ID in parts:
            files["MX/transparency-params.xml"] = parts[WITNESSES_ID].content
        return TrustedConfiguration.load(files)


class Server:
    """One gateway: its log, its witness, and what it knows of the configuration."""

    def __init__(self, country: Country, number: int, session: aiohttp.ClientSession, port: int) -> None:
        self.id: ServerId = OWNERS[number].server("SS1")
        self.address, self.port = f"{BASE}.{number + 1}", port
        self.current: TrustedConfiguration | None = None
        self.folder = country.folder / f"gateway-{number}"
        self.log: MessageLog = open_log(self.folder)
        (self.folder / "transparency").mkdir(exist_ok=True)
        configured = ConfiguredWitnesses(lambda: self.current, lambda: self.id, port)
        self.witness = Witness(
            self.folder / "transparency",
            lambda: witness_name(self.id),
            (),
            SAFE,
            lambda: country.now,
            configured.log_key,
        )
        self.following = TransparencyLoop(
            self.log,
            self.folder,
            lambda: self.id,
            SAFE,
            session,
            self._stamp,
            lambda: country.now,
            LogLoopSettings(alert_s=120, deadline_s=600, timeout_s=30),
        )
        key, certificate = country.keys[number]
        self.following.set_appointments(
            KeyAnnouncing(
                configured,
                self.witness,
                lambda: self.id,
                lambda: country.url,
                lambda: (KeyId("auth"), der_of(certificate)),
                AuthenticationKey(key),
                session,
                lambda: country.now,
            )
        )
        self.served: TestServer | None = None

    async def _stamp(self, digest: bytes) -> bytes:
        return b"token over " + digest

    async def serve(self) -> None:
        app = web.Application()
        app.router.add_routes([*self.following.routes("/tlog"), *self.witness.routes("/tlog")])
        self.served = TestServer(app, host=self.address, port=self.port)
        await self.served.start_server()

    async def stop(self) -> None:
        if self.served is not None:
            await self.served.close()
        self.served = None

    async def exchange(self, name: str) -> None:
        await self.log.append(entry(name))
        await self.following.round()

    def head(self) -> SignedNote:
        note = self.following.files.read_checkpoint()
        assert note is not None
        return note

    def cosigned_by(self) -> set[str]:
        return set(verify_cosignatures(self.head(), appointments_in(self.current).keys()))


@pytest.fixture
async def country(tmp_path: Path) -> AsyncIterator[tuple[Country, list[Server]]]:
    """Four gateways that have announced themselves, with the configuration that names them all."""
    made = Country(tmp_path)
    async with AsyncExitStack() as closing:
        await closing.enter_async_context(made.serving())
        session = await closing.enter_async_context(aiohttp.ClientSession())
        port = free_port()
        servers = [Server(made, n, session, port) for n in range(len(OWNERS))]
        for server in servers:
            closing.push_async_callback(server.log.close)
            closing.push_async_callback(server.stop)
            await server.serve()
            server.current = made.configuration()
            await server.exchange("first")
        for server in servers:
            server.current = made.configuration()
        yield made, servers


def log_of(servers: list[Server], server: Server) -> AppointedLog:
    (found,) = (log for log in appointments_in(servers[0].current).logs if log.server == server.id)
    return found


def appointed_for(servers: list[Server], server: Server) -> list[Server]:
    own = log_of(servers, server)
    return [s for s in servers if s.id in own.witnesses]


async def test_each_gateways_head_is_cosigned_by_the_centre_and_two_others_and_nobody_did_anything(
    country: tuple[Country, list[Server]],
) -> None:
    made, servers = country
    for server in servers:
        await server.exchange("second")
        others = {witness_name(s.id) for s in appointed_for(servers, server)}
        assert len(others) == 2
        assert server.cosigned_by() == {"MX/central/witness"} | others
    # What is announced already is not announced again: nothing of the store changes.
    generation = made.store.generation()
    made.now += timedelta(minutes=2)
    for server in servers:
        await server.exchange("third")
    assert made.store.generation() == generation


async def test_a_witness_out_of_reach_is_an_alert_after_a_while_and_stops_traffic_after_the_deadline(
    country: tuple[Country, list[Server]],
) -> None:
    made, servers = country
    first = servers[0]
    gone = appointed_for(servers, first)[0]
    await gone.stop()
    await first.exchange("second")
    assert len(first.cosigned_by()) == 2
    made.now += timedelta(seconds=121)
    with pytest.raises(Fault, match=f"{witness_name(gone.id)} does not answer"):
        await first.following.round()
    first.following.check(made.now)
    made.now += timedelta(seconds=600)
    with pytest.raises(Fault, match=r"transparency\.deadline_s"):
        first.following.check(made.now)
    await gone.serve()
    await first.following.round()
    assert len(first.cosigned_by()) == 3
    first.following.check(made.now)


async def test_who_kept_nothing_asks_a_witness_for_the_newest_checkpoint_it_has_seen(
    country: tuple[Country, list[Server]],
) -> None:
    _, servers = country
    first = servers[0]
    await first.exchange("second")
    kept = first.head()
    async with aiohttp.ClientSession() as session:
        for witness in appointed_for(servers, first):
            url = f"http://{witness.address}:{witness.port}/tlog/witnessed"
            async with session.get(f"{url}/MX/GOB/A/SS1") as answer:
                assert answer.status == 200
                newest = parse_note(await answer.read())
            assert newest.text == kept.text
            keys = appointments_in(first.current).keys()
            assert set(verify_cosignatures(newest, keys)) == {witness_name(witness.id)}
            async with session.get(f"{url}/MX/GOB/A/SS2") as answer:
                assert answer.status == 404


async def test_an_appointed_witness_refuses_a_clone_that_went_on_by_itself(
    country: tuple[Country, list[Server]], tmp_path: Path
) -> None:
    made, servers = country
    first = servers[0]
    await first.exchange("second")
    await first.log.close()
    shutil.copytree(tmp_path / "gateway-0", tmp_path / "gateway-copy")
    first.log = open_log(first.folder)
    await first.log.close()
    async with aiohttp.ClientSession() as session:
        twins = [Server(made, 0, session, first.port) for _ in range(1)]
        twins[0].current = first.current
        await twins[0].exchange("third")
        assert len(twins[0].cosigned_by()) == 3
        await twins[0].log.close()
        shutil.rmtree(first.folder)
        shutil.copytree(tmp_path / "gateway-copy", first.folder)
        clone = Server(made, 0, session, first.port)
        clone.current = first.current
        with pytest.raises(Fault, match="forked") as refused:
            await clone.exchange("another third")
        assert refused.value.detail.count("forked") == 3
        assert not clone.cosigned_by()
        first.log = clone.log
        await clone.log.close()


async def test_a_server_that_is_deleted_is_nobodys_witness_and_cosigned_no_more(
    country: tuple[Country, list[Server]],
) -> None:
    made, servers = country
    registry = load_registry(made.store.read())
    with made.store.change(Actor("ana"), NOW) as records:
        import_registry(records, made.instance.registry(*OWNERS, servers=registry.servers[1:]))
    fresh = made.configuration()
    for server in servers:
        server.current = fresh
    for server in servers[1:]:
        await server.exchange("second")
        assert witness_name(servers[0].id) not in server.cosigned_by()
        assert len(server.cosigned_by()) == 3
    await servers[0].exchange("second")
    assert servers[0].cosigned_by() == set()


async def test_announcements_are_taken_of_registered_keys_only_and_never_an_older_one(
    country: tuple[Country, list[Server]],
) -> None:
    made, servers = country
    stranger, _ = made.instance.auth(OWNERS[0])
    first, at = servers[0], made.now.replace(microsecond=0)
    log, key = log_of(servers, first), made.keys[0][0]
    algorithm = SignatureAlgorithm.for_key(key.public_key())

    async def announce(by: Any, server: ServerId, when: Any, *, change: bytes = b"") -> tuple[int, str]:
        name = witness_name(server)
        announced = KeyAnnouncement(
            server,
            VerifierKey(name.removesuffix("/witness"), 1, log.log_key.public),
            VerifierKey(name, 4, log.log_key.public),
            when,
        )
        statement = announced.statement()
        value = by.sign(algorithm.digest.digest(statement), algorithm.ecdsa)
        body = SignedAnnouncement(announced, statement, algorithm.jca_name, value).render()
        async with (
            aiohttp.ClientSession() as session,
            session.post(made.url.partition("/internalconf")[0] + "/tlog/keys", data=body + change) as answer,
        ):
            return answer.status, await answer.text()

    before = made.store.generation()
    for by, server, when, change, status, text in (
        (stranger, first.id, at, b"", 403, "no authentication certificate"),
        (key, servers[1].id, at, b"", 403, "no authentication certificate"),
        (key, OWNERS[0].server("SS9"), at, b"", 403, "is no security server"),
        (key, first.id, at - timedelta(seconds=1), b"", 403, "keys were announced after this"),
        (key, first.id, at + timedelta(minutes=6), b"", 403, "of the future"),
        (key, first.id, at, b"\n", 400, "cannot be read"),
        (key, first.id, at, b"x" * 9000, 413, ""),
    ):
        found = await announce(by, server, when, change=change)
        assert (found[0], text in found[1]) == (status, True), found
    assert made.store.generation() == before
    assert (await announce(key, first.id, at + timedelta(seconds=1)))[0] == 200
    assert made.store.generation() == before + 1


async def test_a_server_of_another_owner_goes_on_under_its_new_name_and_is_cosigned_by_three(
    country: tuple[Country, list[Server]],
) -> None:
    made, servers = country
    first = servers[0]
    await first.exchange("second")
    registry = load_registry(made.store.read())
    moved = OWNERS[1].server("SS9")
    renamed = (dataclasses.replace(registry.servers[0], id=moved), *registry.servers[1:])
    with made.store.change(Actor("ana"), NOW) as records:
        import_registry(records, made.instance.registry(*OWNERS, servers=renamed))
    first.id = moved
    for _ in range(2):  # the keys are announced under the new name, then everybody has them
        made.now += timedelta(minutes=2)
        fresh = made.configuration()
        for server in servers:
            server.current = fresh
        with contextlib.suppress(Fault):
            await first.exchange("under the new name")
    await first.following.round()
    assert first.head().text.startswith("MX/GOB/B/SS9/log/2\n")
    assert len(first.cosigned_by()) == 3
