"""Verdicts on files of evidence: what a file holds, what of a container is withheld or missing, and whose chains are judged."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pytest

from certs.verify.container import StepOutcome, Verdict, verify_container, verify_file
from schemas.asic import container as asic
from schemas.asic.withheld import Reason, Withheld, WithheldPart
from schemas.message import Attachment, digest_of
from tests import worlds
from tests.worlds import CONSUMER, NOW, PROVIDER

if TYPE_CHECKING:
    from certs.configuration import TrustedConfiguration

BODIES = (b"one", b"two")


def verdict_of(container: asic.Container, *bodies: tuple[str, bytes]) -> Verdict:
    raw = asic.render_container(container, NOW, bodies)
    return verify_container(io.BytesIO(raw), worlds.world().configuration)


# Files


def bundle(**containers: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in containers.items():
            archive.writestr(name.replace("_", "."), content)
    return out.getvalue()


def test_a_file_is_a_container_or_a_zip_of_containers_each_of_which_is_judged() -> None:
    good = worlds.containers()["alone"]
    damaged = bundle(a_asice=good, b_asice=b"no container", c_asice=good)
    place = damaged.rindex(b"PK\x03\x04")
    cut = damaged.replace(b"no container", b"no contaIner")  # its checksum no longer holds
    for raw, expected in (
        (good, [(None, True)]),
        (bundle(a_asice=good, b_asice=good), [("a.asice", True), ("b.asice", True)]),
        (damaged, [("a.asice", True), ("b.asice", False), ("c.asice", True)]),
        (cut, [("a.asice", True), ("b.asice", False), ("c.asice", True)]),
        (bundle(a_asice=good, readme_txt=b""), [(None, False)]),
        (bundle(), [(None, False)]),
        (b"no zip", [(None, False)]),
        (damaged[:place], [(None, False)]),
    ):
        found = list(verify_file(io.BytesIO(raw), worlds.world().configuration))
        assert [(name, verdict.is_valid) for name, verdict in found] == expected
        assert all(verdict.is_valid or verdict.code for _, verdict in found)


def test_what_no_check_foresaw_is_no_proof() -> None:
    nothing = cast("TrustedConfiguration", object())
    verdict = verify_container(io.BytesIO(worlds.containers()["alone"]), nothing)
    assert (verdict.is_valid, verdict.code, verdict.steps[-1].outcome) == (
        False,
        "internal_error",
        StepOutcome.INVALID,
    )
    assert "it cannot be judged (AttributeError" in verdict.steps[-1].detail


# What is withheld


def withheld(reason: Reason, **digests: bytes) -> Withheld:
    parts = [
        WithheldPart(uri=uri.replace("_", "/", 1).replace("_", "."), sha512=d.hex())
        for uri, d in digests.items()
    ]
    return Withheld(reason, "q1", False, "4.0", CONSUMER, f"{PROVIDER.path()}/afiliados", tuple(parts))


@pytest.mark.parametrize("name", ["with-body", "batch-with-body", "batch-both"])
def test_a_container_that_gives_digests_instead_is_proved_and_never_valid(name: str) -> None:
    whole = worlds.opened(worlds.containers()[name])
    message, body = digest_of(whole.message), whole.attachments["attachment1"]
    said = withheld(Reason.LEFT_OUT, _message_xml=message, _attachment1=body)
    verdict = verdict_of(replace(whole, message=b"", withheld=said, attachments={}))
    assert (verdict.is_proved, verdict.is_valid, verdict.signer) == (True, False, CONSUMER.member)
    assert verdict.steps[1].outcome is StepOutcome.WARNING
    assert "not proved by content: /message.xml, /attachment1" in verdict.steps[-1].detail
    other = withheld(Reason.LEFT_OUT, _message_xml=message, _attachment1=digest_of(b"another"))
    assert not verdict_of(replace(whole, message=b"", withheld=other, attachments={})).is_proved


# Chains that others write in their own way, or not for this container


def test_a_body_that_is_not_there_is_said_whichever_it_is() -> None:
    world = worlds.world()
    message = world.request().with_attachments(tuple(Attachment(digest_of(b), len(b)) for b in BODIES))
    container = worlds.opened(world.container(message, world.sign(message)[0]))
    both = [(f"attachment{n}", b) for n, b in enumerate(BODIES, start=1)]
    for there, missing in (
        (both, None),
        (both[:1], "/attachment2"),
        (both[1:], "/attachment1"),
        ([], "/attachment1, /attachment2"),
    ):
        verdict = verdict_of(container, *there)
        assert verdict.is_valid
        said = verdict.steps[-1].detail.partition("; not included: ")
        assert said == (
            f"{len(there)} are what was signed",
            "; not included: " if missing else "",
            missing or "",
        )


@pytest.mark.parametrize("name", ["batch-timestamp", "batch-both"])
def test_the_chain_of_a_batch_of_timestamps_may_be_written_otherwise_but_not_be_anothers(name: str) -> None:
    container = worlds.opened(worlds.containers()[name])
    body = [("attachment1", b'{"a":1}')] if name == "batch-both" else []
    chain = container.ts_hash_chain or b""
    written = replace(container, ts_hash_chain=chain.replace(b"?>", b"?><!-- as another wrote it -->", 1))
    assert written != container
    assert verdict_of(written, *body).is_valid
    another = replace(container, signature=worlds.opened(worlds.containers()["response"]).signature)
    verdict = verdict_of(another, *body)
    assert verdict.steps[-1].title == "timestamp"
    assert (verdict.code or "").startswith("malformed_signature")
