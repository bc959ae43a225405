"""A log is built, served, cosigned by witnesses and timestamped; a witness never cosigns what does not extend what it saw."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from certs.transparency import NoteSigner, verify_cosignatures, verify_entry, verify_log
from gateway.messagelog.committed import CommittedReader
from gateway.messagelog.store import MessageLog
from gateway.transparency.files import TransparencyFiles
from gateway.transparency.logloop import (
    KEY_FILE,
    LogLoopSettings,
    TransparencyLoop,
)
from gateway.transparency.proving import prove_record
from gateway.transparency.verification import verify_message_log
from gateway.transparency.witnessclient import AppointedWitness
from schemas.faults import Fault
from schemas.identifiers import ServerId
from schemas.transparency.announcement import log_origin
from schemas.transparency.merkle import consistency_proof
from schemas.transparency.notes import COSIGNATURE_ED25519, ED25519, Checkpoint, SignedNote, parse_note
from schemas.transparency.proofs import WitnessRequest, parse_inclusion_proof
from schemas.transparency.tiles import GrowingTree, partial_tiles, tile_subtrees
from serving.storage.keysafe import KeySafe, Seal
from serving.web.witnessing import Witness, kept_note_key
from tests.logs import NOW, entry, open_log

SERVER = ServerId("MX", "GOB", "A", "S S1")
SAFE = KeySafe((Seal.of_secret("a secret of tests"),))


@asynccontextmanager
async def served(routes: list[web.RouteDef]) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_routes(routes)
    server = TestServer(app)
    await server.start_server()
    try:
        yield str(server.make_url("/tlog"))
    finally:
        await server.close()


class Surroundings:
    """A message log and what follows it, with a clock and a timestamping authority of the test."""

    def __init__(self, folder: Path, log: MessageLog, session: aiohttp.ClientSession) -> None:
        self.now, self.stamped = NOW, 0
        self.following = TransparencyLoop(
            log, folder, lambda: SERVER, SAFE, session, self.stamp, lambda: self.now, LogLoopSettings()
        )
        self.key = kept_note_key(self.following.files.folder / KEY_FILE, SAFE)
        self.verifier = NoteSigner(log_origin(SERVER), self.key).verifier(ED25519)

    async def stamp(self, digest: bytes) -> bytes:
        self.stamped += 1
        return b"token over " + digest

    def witness(self, folder: Path, name: str) -> Witness:
        return Witness(folder / name, lambda: name, [self.verifier.render()], SAFE, lambda: self.now)

    def checkpoint(self) -> SignedNote:
        note = self.following.files.read_checkpoint()
        assert note is not None
        return note


@pytest.fixture
async def around(tmp_path: Path) -> AsyncIterator[tuple[Surroundings, MessageLog]]:
    log = open_log(tmp_path / "log")
    async with aiohttp.ClientSession() as session:
        (tmp_path / "log" / "transparency").mkdir()
        yield Surroundings(tmp_path / "log", log, session), log
    await log.close()


async def append(log: MessageLog, count: int) -> None:
    await asyncio.gather(*(log.append(entry(f"m{n}")) for n in range(count)))


def appointed(url: str, witness: Witness) -> AppointedWitness:
    return AppointedWitness.parse(f"{url} {witness.signer().verifier(COSIGNATURE_ED25519).render()}")


async def test_a_head_is_cosigned_by_every_witness_timestamped_and_proves_each_record(
    around: tuple[Surroundings, MessageLog], tmp_path: Path
) -> None:
    here, log = around
    ours, theirs = here.witness(tmp_path, "MX/central/witness"), here.witness(tmp_path, "MX/GOB/B/S/witness")
    async with served(ours.routes("/tlog")) as one, served(theirs.routes("/tlog")) as two:
        settings = LogLoopSettings(witnesses=(appointed(one, ours), appointed(two, theirs)))
        here.following.reconfigure(settings)
        for count in (3, 300):
            await append(log, count)
            await here.following.round()
        await here.following.round()
        note = here.checkpoint()
        assert verify_log(note, here.verifier).size == 304
        assert set(verify_cosignatures(note, [w.key for w in settings.witnesses])) == {
            "MX/central/witness",
            "MX/GOB/B/S/witness",
        }
        assert here.stamped == 1
        here.now += timedelta(hours=2)
        await append(log, 1)
        await here.following.round()
        assert here.stamped == 2
    for number in (1, 255, 256, 303):
        raw = prove_record(here.following.files, number).render()
        opening, head = verify_entry(parse_inclusion_proof(raw), here.verifier)
        assert (opening.number, opening.at, head.size) == (number, NOW, 305)


async def test_a_record_that_was_changed_before_any_checkpoint_covered_it_is_named(
    around: tuple[Surroundings, MessageLog], tmp_path: Path
) -> None:
    here, log = around
    await append(log, 9)
    with sqlite3.connect(tmp_path / "log" / "messages.sqlite") as writer:
        writer.execute("UPDATE record SET client = 'MX/GOB/ANOTHER' WHERE id = 4")
    await here.following.round()
    found = verify_message_log(here.following.files, CommittedReader(log.reader), here.verifier)
    assert [(d.what, d.record) for d in found.differences] == [("edited", 4)]


async def test_a_log_that_went_back_or_forked_is_refused_by_its_witness_and_alerted(
    around: tuple[Surroundings, MessageLog], tmp_path: Path
) -> None:
    here, log = around
    witness = here.witness(tmp_path, "witness")
    async with served(witness.routes("/tlog")) as url:
        settings = LogLoopSettings(witnesses=(appointed(url, witness),), deadline_s=60)
        here.following.reconfigure(settings)
        await append(log, 5)
        await here.following.round()
        files = TransparencyFiles(tmp_path / "other")
        for size, told in ((4, "has seen 6 entries of this log, which has 4"), (6, "forked"), (9, "forked")):
            tree = GrowingTree()
            for number in range(size):
                tree.extend([b"other %d" % number])
            files.write_tiles(tree.partial())
            note = NoteSigner(log_origin(SERVER), here.key).sign(
                SignedNote(Checkpoint(log_origin(SERVER), size, tree.root()).render())
            )
            async with aiohttp.ClientSession() as session:
                asking = type(here.following._asking)(files, session)
                _, problems = await asking.cosign(note, settings.witnesses, 5)
            assert told in problems[0].reason
            assert not problems[0].is_silence


async def test_a_witness_answers_as_specified(
    around: tuple[Surroundings, MessageLog], tmp_path: Path
) -> None:
    here, _ = around
    witness = here.witness(tmp_path, "witness")
    trees: dict[int, tuple[SignedNote, list[bytes]]] = {}
    tree, files = GrowingTree(), TransparencyFiles(tmp_path / "tree")
    signer = NoteSigner(log_origin(SERVER), here.key)
    for size in range(1, 8):
        tree.extend([b"%d" % size])
        files.write_tiles(tree.partial())
        note = signer.sign(SignedNote(Checkpoint(signer.name, size, tree.root()).render()))
        trees[size] = (note, [])
    assert partial_tiles(7)

    def request(
        old: int, size: int, path: list[bytes] | None = None, note: SignedNote | None = None
    ) -> bytes:
        found = consistency_proof(old, size, tile_subtrees(size, files.read)) if path is None else path
        return WitnessRequest(old, tuple(found), note or trees[size][0]).render()

    stranger = NoteSigner("MX/X", Ed25519PrivateKey.generate())
    forged = NoteSigner(signer.name, Ed25519PrivateKey.generate())
    other = signer.sign(SignedNote(Checkpoint(signer.name, 5, bytes(32)).render()))
    async with served(witness.routes("/tlog")) as url, aiohttp.ClientSession() as session:
        for body, status, text in (
            (b"", 400, None),
            (b"old 0\n\nnonsense", 400, None),
            (b"old 0\n" + b"A" * 100_000, 413, None),
            (
                request(0, 3, [], stranger.sign(SignedNote(Checkpoint("MX/X", 3, bytes(32)).render()))),
                404,
                None,
            ),
            (request(0, 3, [], forged.sign(SignedNote(trees[3][0].text))), 403, None),
            (request(4, 3, []), 400, None),
            (request(2, 3), 409, "0\n"),
            (request(0, 3), 200, None),
            (request(0, 3), 409, "3\n"),
            (request(3, 3), 200, None),
            (request(3, 5, [bytes(32)]), 422, None),
            (request(3, 5, []), 422, None),
            (request(3, 5), 200, None),
            (request(5, 5, [], other), 409, "5\n"),
            (request(3, 7), 409, "5\n"),
            (request(5, 7), 200, None),
        ):
            async with session.post(f"{url}/add-checkpoint", data=body) as answer:
                found = await answer.text()
                assert answer.status == status, (body, found)
                if text is not None:
                    assert (found, answer.content_type) == (text, "text/x.tlog.size")
                if status == 200:
                    signed = parse_note(trees[1][0].render() + found.encode())
                    assert signed.signatures[-1].name == "witness"


async def test_a_witness_out_of_reach_is_an_alert_and_after_the_deadline_stops_traffic(
    around: tuple[Surroundings, MessageLog], tmp_path: Path
) -> None:
    here, log = around
    witness = here.witness(tmp_path, "witness")
    gone = LogLoopSettings(witnesses=(appointed("http://127.0.0.1:1/tlog", witness),), deadline_s=60)
    here.following.reconfigure(gone)
    await append(log, 1)
    with pytest.raises(Fault, match="witness does not answer"):
        await here.following.round()
    assert verify_log(here.checkpoint(), here.verifier).size == 2  # nothing waits for a witness
    here.following.check(here.now)
    here.now += timedelta(seconds=61)
    with pytest.raises(Fault, match="not been witnessed"):
        here.following.check(here.now)
    async with served(witness.routes("/tlog")) as url:
        here.following.reconfigure(LogLoopSettings(witnesses=(appointed(url, witness),), deadline_s=60))
        await here.following.round()
    here.following.check(here.now)


async def test_tiles_are_served_as_far_as_a_checkpoint_covers_them_and_nothing_else_is(
    around: tuple[Surroundings, MessageLog],
) -> None:
    here, log = around
    await append(log, 300)
    await here.following.round()
    async with served(here.following.routes("/tlog")) as url, aiohttp.ClientSession() as session:
        for path, status in (
            ("checkpoint", 200),
            ("tile/0/000", 200),
            ("tile/0/001.p/45", 200),
            ("tile/0/001.p/40", 200),
            ("tile/entries/001.p/45", 200),
            ("tile/1/000.p/1", 200),
            ("tile/0/001", 404),
            ("tile/0/001.p/46", 404),
            ("tile/9/000", 404),
            ("openings", 404),
            ("tile/../openings", 404),
            ("tile/%2e%2e/openings", 404),
            (KEY_FILE, 404),
        ):
            async with session.get(f"{url}/{path}") as answer:
                assert answer.status == status, path
                await answer.read()


async def test_without_a_seal_nothing_is_signed_and_nothing_is_wrong(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log")
    async with aiohttp.ClientSession() as session:
        (tmp_path / "log/transparency").mkdir()
        here = Surroundings(tmp_path / "log", log, session)
        assert here is not None
        following = TransparencyLoop(
            log,
            tmp_path / "log",
            lambda: SERVER,
            KeySafe(()),
            session,
            here.stamp,
            lambda: NOW,
            LogLoopSettings(),
        )
        await append(log, 1)
        await following.round()
        assert following.files.read_checkpoint() is None
    await log.close()
