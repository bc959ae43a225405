"""A record's proof says who asked whom for what and when, and holds by a configuration's keys alone; nothing in it can be changed."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import functools
import json
import os
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from certs.transparency import NoteSigner, verify_log, verify_record
from gateway.messagelog.committed import CommittedReader
from gateway.messagelog.store import MessageLog
from gateway.transparency.builder import LogBuilder, declare_restored
from gateway.transparency.files import TransparencyFiles
from gateway.transparency.proving import prove_messages
from schemas.faults import Fault
from schemas.globalconf.witnesses import AppointedLog, Appointments
from schemas.identifiers import ServerId
from schemas.message import Side
from schemas.transparency.announcement import log_origin, witness_name
from schemas.transparency.entries import parse_first_entry
from schemas.transparency.notes import COSIGNATURE_ED25519, ED25519
from schemas.transparency.records import RecordProof, parse_record_proofs
from tests import worlds
from tests.logkills import forked
from tests.logs import append_message, append_signed, open_log, stamp_alone
from tests.worlds import CONSUMER, NOW, PROVIDER

SERVER, RENAMED = ServerId("MX", "GOB", "A", "SS1"), ServerId("MX", "GOB", "B", "SS1")
KEY, WITNESS = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
CENTRE = NoteSigner(witness_name(SERVER), WITNESS)
APPOINTED = Appointments(
    (),
    (
        AppointedLog(
            SERVER,
            NoteSigner(log_origin(SERVER), KEY).verifier(ED25519),
            CENTRE.verifier(COSIGNATURE_ED25519),
        ),
    ),
)


class Kept:
    """A message log of three exchanges and what follows it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log: MessageLog = open_log(folder)
        self.files = TransparencyFiles(folder / "transparency")
        self.files.folder.mkdir(exist_ok=True)

    def catch_up(self) -> None:
        records = CommittedReader(self.log.reader)
        note = LogBuilder(self.files, records, KEY, log_origin(SERVER), lambda: NOW).catch_up()
        self.files.write_checkpoint(note.signed_also(CENTRE.cosign(note, NOW)))

    def prove(self, *message_ids: str, owner: str = CONSUMER.path()) -> Any:
        return prove_messages(self.log.reader, self.files, owner, message_ids)


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[Kept]:
    made = Kept(tmp_path)
    for number in range(3):
        await append_signed(made.log, tmp_path, message_id=f"q{number}")
    made.catch_up()
    yield made
    await made.log.close()


async def test_a_proof_says_who_asked_whom_and_when_and_by_whom_the_head_is_cosigned(kept: Kept) -> None:
    found = kept.prove("q1")
    (proof,) = found.proofs["q1"]
    proved = verify_record(parse_record_proofs(proof.render())[0], APPOINTED)
    said = proved.statement
    assert (said.message_id, said.client, said.owner, said.side) == (
        "q1",
        CONSUMER.path(),
        CONSUMER.path(),
        Side.CONSUMER,
    )
    assert said.service.startswith(PROVIDER.path())
    assert (proved.number, proved.checkpoint.origin, proved.checkpoint.size) == (2, log_origin(SERVER), 4)
    assert proved.cosigned == {witness_name(SERVER): NOW}


async def test_a_record_is_proved_as_it_was_written_after_its_timestamp_came_into_its_signature(
    kept: Kept,
) -> None:
    before = kept.prove("q1").proofs["q1"][0].render()
    await stamp_alone(kept.log, 1, 2, 3)
    assert kept.prove("q1").proofs["q1"][0].render() == before


async def test_what_no_checkpoint_covers_waits_and_what_is_not_in_the_log_is_absent(
    kept: Kept, tmp_path: Path
) -> None:
    await append_signed(kept.log, tmp_path, message_id="q9")
    found = kept.prove("q0", "q9", "nobody's")
    assert (set(found.proofs), found.waiting, found.absent) == ({"q0"}, ("q9",), ("nobody's",))
    kept.catch_up()
    assert set(kept.prove("q9").proofs) == {"q9"}
    # A client's proofs are of its own records: another one's message id says nothing.
    assert kept.prove("q0", owner=PROVIDER.path()).absent == ("q0",)


async def test_a_message_on_both_sides_of_one_gateway_has_a_proof_for_each_owner(
    kept: Kept, tmp_path: Path
) -> None:
    request = worlds.world().request(message_id="both")
    for owner, side in ((CONSUMER, Side.CONSUMER), (PROVIDER, Side.PROVIDER)):
        await append_message(kept.log, tmp_path, request, owner=owner, side=side)
    kept.catch_up()
    for owner, side in ((CONSUMER, Side.CONSUMER), (PROVIDER, Side.PROVIDER)):
        (proof,) = kept.prove("both", owner=owner.path()).proofs["both"]
        assert verify_record(proof, APPOINTED).statement.side is side


def renamed(kept: Kept) -> LogBuilder:
    """The builder of a server that has another name now, as after a change of its owner."""
    records = CommittedReader(kept.log.reader)
    return LogBuilder(kept.files, records, KEY, log_origin(RENAMED), lambda: NOW)


async def test_a_server_with_another_name_goes_on_under_it_says_so_and_proves_every_record(
    kept: Kept, tmp_path: Path
) -> None:
    before = kept.files.read_checkpoint()
    assert before is not None
    await append_signed(kept.log, tmp_path, message_id="later")
    note = renamed(kept).catch_up()
    head = verify_log(note, NoteSigner(f"{log_origin(RENAMED)}/log/2", KEY).verifier(ED25519))
    first_entry = parse_first_entry(next(iter(kept.files.entries(1))))
    assert (first_entry.first, first_entry.previous_origin, first_entry.previous_size, head.size) == (
        4,
        log_origin(SERVER),
        4,
        2,
    )
    known = Appointments((), (*APPOINTED.logs, dataclasses.replace(APPOINTED.logs[0], server=RENAMED)))
    found = kept.prove("q0", "q2", "later")
    assert (found.waiting, found.absent) == ((), ())
    numbers = {m: verify_record(proofs[0], known).number for m, proofs in found.proofs.items()}
    assert numbers == {"q0": 1, "q2": 3, "later": 4}
    # Its old name again is a third log: no witness has ever seen another one under that name.
    kept.catch_up()
    assert kept.prove("q0").origin == f"{log_origin(SERVER)}/log/3"


def test_a_crash_anywhere_in_a_declaration_leaves_it_to_be_carried_out(tmp_path: Path) -> None:
    made = tmp_path / "made"
    asyncio.run(_three_records(made / "log"))
    places = 0
    for place in range(1, 60):
        folder = tmp_path / f"at-{place}" / "log"
        shutil.copytree(made, folder.parent)
        status, _ = forked(functools.partial(_rename, folder), place, 0.0)
        asyncio.run(_rename(folder, lambda _line: None))
        note = TransparencyFiles(folder / "transparency").read_checkpoint()
        assert note is not None
        assert note.text.startswith(f"{log_origin(RENAMED)}/log/2\n2\n"), place
        if not os.WIFSIGNALED(status):
            break
        places += 1
    assert 8 < places < 59


async def _three_records(folder: Path) -> None:
    kept = Kept(folder)
    for number in range(3):
        await append_signed(kept.log, folder, message_id=f"q{number}")
    kept.catch_up()
    await append_signed(kept.log, folder, message_id="later")
    await kept.log.close()


async def _rename(folder: Path, _say: Callable[[bytes], object]) -> None:
    kept = Kept(folder)
    renamed(kept).catch_up()
    found = kept.prove("q0", "later")
    await kept.log.close()
    assert set(found.proofs) == {"q0", "later"}


async def test_after_a_declaration_records_are_proved_under_the_new_name_by_the_same_key(
    kept: Kept, tmp_path: Path
) -> None:
    declare_restored(kept.files, KEY, 4, "the disk was changed", 0, NOW)
    await append_signed(kept.log, tmp_path, message_id="later")
    kept.catch_up()
    (proof,) = kept.prove("later").proofs["later"]
    proved = verify_record(proof, APPOINTED)
    assert (proved.number, proved.checkpoint.origin) == (4, f"{log_origin(SERVER)}/log/2")


def _mutations(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[tuple[Any, ...], Any]]:
    """Every leaf of a JSON value, with another value of its type."""
    if isinstance(value, dict):
        return [m for name, below in value.items() for m in _mutations(below, (*path, name))]
    if isinstance(value, list):
        return [m for n, below in enumerate(value) for m in _mutations(below, (*path, n))]
    if isinstance(value, bool):
        return [(path, not value)]
    if isinstance(value, int):
        return [(path, value + 1)]
    if value is None:
        return [(path, base64.b64encode(b"x").decode())]
    others: list[Callable[[str], str]] = [lambda s: "consumer" if s == "provider" else "provider"]
    if path[-1] != "side":
        others = [lambda s: f"{s}x", lambda s: s[:-1], lambda s: ("b" if s[:1] != "b" else "c") + s[1:]]
    return [(path, other(value)) for other in others]


async def test_no_part_of_a_proof_can_be_changed(kept: Kept) -> None:
    original = json.loads(kept.prove("q1").proofs["q1"][0].render())
    verify_record(parse_record_proofs(json.dumps(original).encode())[0], APPOINTED)
    mutations = _mutations(original)
    assert len(mutations) > 40
    passed = []
    for path, other in mutations:
        changed = json.loads(json.dumps(original))
        place = changed
        for name in path[:-1]:
            place = place[name]
        place[path[-1]] = other
        try:
            verify_record(parse_record_proofs(json.dumps(changed).encode())[0], APPOINTED)
        except Fault:
            continue
        passed.append((path, other))
    assert passed == []


async def test_a_proof_of_another_record_of_another_log_or_of_a_rebuilt_one_does_not_hold(kept: Kept) -> None:
    (one,), (two,) = kept.prove("q1").proofs["q1"], kept.prove("q2").proofs["q2"]
    other = Ed25519PrivateKey.generate()
    strange = Appointments(
        (),
        (AppointedLog(SERVER, NoteSigner(log_origin(SERVER), other).verifier(ED25519), CENTRE.verifier(4)),),
    )
    for proof, appointed, why in (
        (RecordProof(one.statement, two.inclusion), APPOINTED, "not what entry"),
        (one, strange, "no signature of the log"),
        (one, Appointments(), "no key of a log"),
    ):
        with pytest.raises(Fault, match=why):
            verify_record(proof, appointed)
