"""The JDK's own XML signature validator, secure validation on, accepts our signatures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from certs.algorithms import SignatureAlgorithm
from certs.tokens.soft import KeyKind
from tests import worlds
from tests.interop.conftest import call, ids, unpack

SOURCE = Path(__file__).with_name("XmlSignatures.java")


def pss(tmp: Path) -> dict[str, Path]:
    """A message signed with RSA-PSS, which this software reads and can be told to write."""
    world = worlds.world(KeyKind.RSA_2048)
    message, folders = world.request(), {}
    for algorithm in (SignatureAlgorithm.RSA_PSS_SHA256, SignatureAlgorithm.RSA_PSS_SHA512):
        identity = replace(world.identities[message.client.member], algorithm=algorithm)
        signature = world.sign(message, identity=identity)[0]
        folders[algorithm.name] = unpack(world.container(message, signature), tmp / algorithm.name)
    return folders


@pytest.fixture(scope="module")
def verdicts(unpacked: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """One run of the validator over everything, for starting it costs more than its work."""
    tmp = tmp_path_factory.mktemp("jdk")
    folders = {**unpacked, **pss(tmp)}
    changed = unpack(worlds.containers()["batch-both"], tmp / "changed")
    (changed / "sig-hashchainresult.xml").write_bytes(b"<x/>")
    forged = unpack(worlds.containers()["alone"], tmp / "forged")
    document = (forged / "signatures.xml").read_bytes()
    (forged / "signatures.xml").write_bytes(
        document.replace(b"<xades:SigningTime>2026", b"<xades:SigningTime>2025")
    )
    folders |= {"changed": changed, "forged": forged}
    run = call("java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", SOURCE, *folders.values())
    assert run.returncode == 0, run.stderr
    return dict(zip(folders, run.stdout.splitlines(), strict=True))


@pytest.mark.parametrize("name", [*ids(), "RSA_PSS_SHA256", "RSA_PSS_SHA512"])
def test_the_jdk_accepts_it(name: str, verdicts: dict[str, str]) -> None:
    assert verdicts[name] == "valid"


def test_the_jdk_refuses_what_was_changed(verdicts: dict[str, str]) -> None:
    assert verdicts["changed"] == "invalid reference /sig-hashchainresult.xml"
    assert verdicts["forged"] == "invalid reference #signed-properties"
