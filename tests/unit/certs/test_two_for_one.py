"""Two messages of one part each hash as one message with a body: evidence that could be either proves neither."""

from __future__ import annotations

import io

import pytest

from certs.signing import MessageSignature
from certs.verify.container import verify_container
from schemas import hashchain
from schemas.faults import Kind
from schemas.message import Message
from tests import worlds
from tests.logs import soap_messages


def pair(protocol: str) -> tuple[Message, Message]:
    if protocol == "SOAP":
        return soap_messages((), message_id="s1")[0], soap_messages((), message_id="s2")[0]
    world = worlds.world()
    return world.request(), world.request(message_id="q2")


@pytest.mark.parametrize("protocol", ["REST", "SOAP"])
def test_a_second_message_cannot_be_passed_off_as_the_body_of_the_first(protocol: str) -> None:
    world = worlds.world()
    first, second = pair(protocol)
    # The batch is (second, second, first, second): the last two are neighbours in its tree.
    signed = world.sign(second, first, second)[1]
    others = [second.parts(), second.parts()]
    forged = hashchain.build([*others, [*first.parts(), ("/attachment1", second.digest)]])
    assert forged.result == signed.hash_chain_result  # the format's own ambiguity
    honest = world.container(first, signed)
    assert verify_container(io.BytesIO(honest), world.configuration).is_valid
    passed_off = MessageSignature(signed.signature, forged.result, forged.chains[2])
    container = world.container(first, passed_off, body=second.raw)
    verdict = verify_container(io.BytesIO(container), world.configuration)
    assert not verdict.is_proved
    assert verdict.code == Kind.MALFORMED_SIGNATURE.value
    assert "two messages" in verdict.steps[-1].detail
