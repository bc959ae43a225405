"""The European Commission's DSS judges our containers and recorded ones of X-Road as docs/evidence.md says.

It runs where ``SACBE_DSS`` is the class path of DSS (tried with 6.4 from Maven Central: ``dss-asic-xades``, ``dss-validation``,
``dss-crl-parser-stream`` and ``dss-utils-apache-commons``, with what they need).
"""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from tests import worlds
from tests.interop.conftest import KINDS, NAMES, call, ids
from tests.paths import PROJECT, VECTORS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

pytestmark = [
    pytest.mark.skipif("SACBE_DSS" not in os.environ, reason="SACBE_DSS is no class path of DSS"),
    pytest.mark.timeout(600),
]
SOURCE = PROJECT / "tests/interop/DssVerdicts.java"
RECORDED = VECTORS / "recorded"
# Of X-Road's own software (its verifier's test data): one with its timestamp inside the signature.
OF_X_ROAD = VECTORS / "asic/loader/valid-signed-message-with-attachments.asice"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What DSS says of a container."""

    kind: str
    level: str
    indication: str
    subindication: str
    whole: str
    timestamps: str
    faults: str


def judge(
    folder: Path, trusted: Iterable[x509.Certificate], at: datetime, files: Mapping[str, Path]
) -> dict[str, Verdict]:
    """One run of DSS over all of them, for starting it costs more than its work."""
    anchors = folder / "anchors"
    anchors.mkdir()
    for number, certificate in enumerate(trusted):
        (anchors / f"{number}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    words: list[str | Path] = ["-cp", os.environ["SACBE_DSS"], SOURCE, anchors, f"{at:%Y-%m-%dT%H:%M:%SZ}"]
    run = call("java", *words, *files.values(), timeout_s=300)
    assert run.returncode == 0, run.stderr
    lines = [Verdict(*line.split("\t")) for line in run.stdout.splitlines()]
    return dict(zip(files, lines, strict=True))


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Verdict]:
    """Containers of every shape and kind of key, and two that were changed."""
    folder = tmp_path_factory.mktemp("dss")
    made = {f"{kind}/{name}": worlds.containers(kind)[name] for kind in KINDS for name in NAMES}
    alone = worlds.containers()["alone"]
    message = worlds.opened(alone).message
    made["changed"] = worlds.rezipped(alone, {"message.xml": message + b" "}).read()
    document = worlds.opened(alone).signature
    forged = document.replace(b"<xades:SigningTime>2026", b"<xades:SigningTime>2025")
    made["forged"] = worlds.rezipped(alone, {"META-INF/signatures.xml": forged}).read()
    files = {}
    for number, (name, container) in enumerate(made.items()):
        files[name] = folder / f"{number}.asice"
        files[name].write_bytes(container)
    authorities = [worlds.world(kind).pki for kind in KINDS]
    trusted = [
        certificate
        for pki in authorities
        for certificate in (pki.root, pki.intermediate, pki.ocsp_certificate, pki.tsa_certificate)
    ]  # as the configuration names them
    return judge(folder, trusted, worlds.NOW + timedelta(minutes=1), files)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Verdict]:
    """What real servers made, by the authorities of their configuration, and X-Road's own with a timestamp inside."""
    (shared,) = RECORDED.glob("verificationconf-from-x-road/*/shared-params.xml")
    certificates = etree.parse(shared).iterfind(".//{*}cert")
    trusted = [
        x509.load_der_x509_certificate(base64.b64decode(element.text or "")) for element in certificates
    ]
    files = {path.name: path for path in [*sorted(RECORDED.glob("*.asice")), OF_X_ROAD]}
    folder = tmp_path_factory.mktemp("dss")
    return judge(folder, trusted, datetime(2026, 11, 30, tzinfo=UTC), files)


@pytest.mark.parametrize("name", ids())
def test_our_signature_passes_as_a_baseline_one(name: str, ours: dict[str, Verdict]) -> None:
    found = ours[name]
    assert (found.kind, found.indication, found.whole) == ("ASiC-E", "TOTAL_PASSED", "whole"), found
    assert found.level.startswith("XAdES-BASELINE-"), found
    assert not found.faults


def test_what_was_changed_does_not_pass(ours: dict[str, Verdict]) -> None:
    """DSS looks for a file by its digest where a reference's name has X-Road's leading stroke: another one is not found."""
    changed, forged = ours["changed"], ours["forged"]
    assert (changed.subindication, changed.whole) == ("SIGNED_DATA_NOT_FOUND", "/message.xml"), changed
    assert (forged.subindication, forged.whole) == ("HASH_FAILURE", "#signed-properties"), forged
    assert "TOTAL_PASSED" not in (changed.indication, forged.indication)


def test_a_signature_with_its_timestamp_inside_is_long_term_and_one_of_a_batch_basic(
    ours: dict[str, Verdict],
) -> None:
    for kind in KINDS:
        levels = {ours[f"{kind}/{name}"].level for name in ("alone", "with-body", "response", "batch")}
        assert levels == {"XAdES-BASELINE-LT"}
        levels = {ours[f"{kind}/{name}"].level for name in ("batch-timestamp", "batch-both")}
        assert levels == {"XAdES-BASELINE-B"}


def test_recorded_containers_of_x_road_have_the_verdict_of_ours(
    ours: dict[str, Verdict], theirs: dict[str, Verdict]
) -> None:
    recorded = [verdict for name, verdict in theirs.items() if name != OF_X_ROAD.name]
    assert len(recorded) >= 12
    assert {(v.level, v.indication, v.whole) for v in recorded} == {
        (ours[f"{kind}/batch-timestamp"].level, "TOTAL_PASSED", "whole") for kind in KINDS
    }


def test_the_timestamp_inside_a_signature_is_over_x_roads_octets_as_x_roads_own_is(
    ours: dict[str, Verdict], theirs: dict[str, Verdict]
) -> None:
    """X-Road stamps the octets of the signature value, ETSI's rules the canonical element about them."""
    assert theirs[OF_X_ROAD.name].timestamps == "SIGNATURE_TIMESTAMP=false"
    assert {ours[f"{kind}/alone"].timestamps for kind in KINDS} == {"SIGNATURE_TIMESTAMP=false"}
