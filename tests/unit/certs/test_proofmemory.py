"""A configuration remembers what was proved under it: bounded, each kind apart, and of no other configuration."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace

from certs.proofmemory import ProofMemory, Remembered
from certs.verify.signature import verify_message_signature
from tests import worlds
from tests.worlds import CONSUMER


@dataclass(frozen=True)
class Path:
    text: str


@dataclass(frozen=True)
class Signer:
    text: str


def test_what_is_full_is_emptied_and_goes_on() -> None:
    remembered: Remembered[Path] = Remembered(2)
    for name in ("a", "b"):
        remembered.keep(name, Path(name))
    assert remembered.get("a") == Path("a")
    remembered.keep("c", Path("c"))
    assert [remembered.get(name) for name in ("a", "b", "c")] == [None, None, Path("c")]


def test_kinds_are_kept_apart_under_the_same_key() -> None:
    memory = ProofMemory()
    memory.of(Path, 5).keep("x", Path("x"))
    assert memory.of(Signer, 5).get("x") is None
    memory.of(Signer, 5).keep("x", Signer("x"))
    assert (memory.of(Path, 5).get("x"), memory.of(Signer, 5).get("x")) == (Path("x"), Signer("x"))


def test_another_configuration_and_a_copy_in_another_process_remember_nothing() -> None:
    world = worlds.world()
    configuration = world.configuration
    assert replace(configuration).memory is not configuration.memory
    memory = ProofMemory()
    memory.of(Path, 5).keep("x", Path("x"))
    assert pickle.loads(pickle.dumps(memory)).of(Path, 5).get("x") is None


def test_a_signature_proved_under_one_configuration_is_proved_anew_under_another() -> None:
    world = worlds.world()
    message = world.request()
    signature = world.sign(message)[0]
    other = replace(world.configuration)
    first, again, under_other = (
        verify_message_signature(
            signature.signature,
            signature.hash_chain_result,
            signature.hash_chain,
            message.parts(),
            CONSUMER,
            configuration,
            worlds.NOW,
        )
        for configuration in (world.configuration, world.configuration, other)
    )
    assert first is again
    assert under_other is not first
    assert under_other == first
