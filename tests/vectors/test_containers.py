"""Foreign containers give the verdicts their origin gives; the command exits by them."""

from __future__ import annotations

import io
import json
import zipfile
from functools import cache

import pytest
from click.testing import CliRunner

from certs.configuration import TrustedConfiguration
from certs.edges.configurationfiles import load_configuration_folder
from certs.verify.container import verify_container
from gateway.cli.container import container
from schemas.asic import container as asic
from schemas.faults import BadMessage
from tests.paths import VECTORS

# None: valid. From MANIFEST.json and the reference on the verifier.
EXPECTED = {
    "valid-signed-message": None,
    "valid-signed-hashchain": None,
    "valid-batch-ts": None,
    "valid-non-batch-rest": None,
    "valid-non-batch-soap-attachments": None,
    "invalid-digest": "invalid_signature_value",
    "invalid-signed-hashchain": "malformed_signature.invalid_hash_chain_ref",
    "invalid-incorrect-references": "malformed_signature",
    "invalid-ts-hashchainresult": "malformed_signature",
}


@cache
def trust(name: str) -> TrustedConfiguration:
    return load_configuration_folder(VECTORS / "globalconf" / name)


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.xroad("F111")
def test_container_has_the_verdict_of_its_origin(name: str) -> None:
    data = (VECTORS / f"asic/verifier/{name}.asice").read_bytes()
    verdict = verify_container(io.BytesIO(data), trust("good2_v3"))
    assert verdict.is_valid is (EXPECTED[name] is None), verdict.steps
    if EXPECTED[name] is not None:
        assert verdict.code is not None
        assert verdict.code.startswith(EXPECTED[name] or "")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("valid-signed-message", None),
        ("valid-signed-message-with-attachments", None),
        ("no-mimetype", "asic_mime_type_not_found"),
        ("not-asic", "asic_mime_type_not_found"),
        ("no-signature", "asic_signature_not_found"),
    ],
)
def test_container_is_read_or_refused_as_its_origin_says(name: str, code: str | None) -> None:
    data = (VECTORS / f"asic/loader/{name}.asice").read_bytes()
    if code is None:
        assert asic.parse_container(data).message
        return
    with pytest.raises(BadMessage) as caught:
        asic.parse_container(data)
    assert caught.value.code == code


@pytest.mark.parametrize("number", [0, 1])
def test_every_container_of_the_archives_verifies(number: int) -> None:
    with zipfile.ZipFile(VECTORS / f"archives/message-archive-{number}.zip") as archive:
        names = [n for n in archive.namelist() if n.endswith(".asice")]
        assert names
        for name in names:
            verdict = verify_container(io.BytesIO(archive.read(name)), trust("cs_v3"))
            assert verdict.is_valid, (name, verdict.steps)


@pytest.mark.xroad("F111")
def test_the_command_exits_by_the_verdict() -> None:
    folder = ["--configuration", str(VECTORS / "globalconf/good2_v3")]
    good = str(VECTORS / "asic/verifier/valid-signed-message.asice")
    bad = str(VECTORS / "asic/verifier/invalid-digest.asice")
    run = CliRunner().invoke
    assert run(container, ["verify", *folder, good]).exit_code == 0
    assert run(container, ["verify", *folder, good, bad]).exit_code == 1
    assert run(container, ["verify", *folder, "no-such-file"]).exit_code == 2
    assert run(container, ["verify", "--configuration", "no-such-folder", good]).exit_code == 2
    shown = run(container, ["verify", *folder, "--json", bad])
    assert json.loads(shown.stdout)["code"] == "invalid_signature_value"
