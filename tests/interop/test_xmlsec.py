"""``xmlsec1`` accepts our signatures, and refuses them once a byte of what is signed has changed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.interop.conftest import call, ids
from tests.worlds import NOW


def verify(folder: Path, authority: Path) -> subprocess.CompletedProcess[str]:
    maps = [
        f"--url-map:/{name} {folder / name}"
        for name in ("message.xml", "sig-hashchainresult.xml")
        if (folder / name).exists()
    ]
    return call(
        "xmlsec1",
        "--verify",
        "--enabled-reference-uris",
        "empty,same-doc,remote",
        *(part for m in maps for part in m.split(" ")),
        "--id-attr:Id",
        "http://uri.etsi.org/01903/v1.3.2#:SignedProperties",
        "--verification-gmt-time",
        f"{NOW:%Y-%m-%d %H:%M:%S}",
        "--trusted-pem",
        authority / "root.pem",
        "--untrusted-pem",
        authority / "intermediate.pem",
        folder / "signatures.xml",
    )


@pytest.mark.parametrize("name", ids())
def test_xmlsec_accepts_it(name: str, unpacked: dict[str, Path], authorities: dict[str, Path]) -> None:
    run = verify(unpacked[name], authorities[name.partition("/")[0]])
    assert run.returncode == 0, run.stderr


def test_xmlsec_refuses_a_changed_message(
    unpacked: dict[str, Path], authorities: dict[str, Path], tmp_path: Path
) -> None:
    good = unpacked["ec-p256/alone"]
    (tmp_path / "signatures.xml").write_bytes((good / "signatures.xml").read_bytes())
    (tmp_path / "message.xml").write_bytes((good / "message.xml").read_bytes() + b" ")
    assert verify(tmp_path, authorities["ec-p256"]).returncode != 0


def test_xmlsec_refuses_another_authority(unpacked: dict[str, Path], authorities: dict[str, Path]) -> None:
    assert verify(unpacked["ec-p256/alone"], authorities["rsa-2048"]).returncode != 0
