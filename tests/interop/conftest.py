"""Signed containers of every kind, each unpacked into a folder for a tool that reads files."""

from __future__ import annotations

import io
import subprocess
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from certs.tokens.soft import KeyKind
from tests import worlds
from tests.programs import need

KINDS = (KeyKind.EC_P256, KeyKind.EC_P384, KeyKind.RSA_2048)
NAMES = ("alone", "with-body", "response", "batch", "batch-with-body", "batch-timestamp", "batch-both")


PACKAGES = {"xmlsec1": "xmlsec1", "openssl": "openssl", "java": "openjdk-17-jdk-headless"}


def call(program: str, *arguments: str | Path, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    """A tool's run; whoever asks looks at how it ended."""
    return subprocess.run(
        [need(program, package=PACKAGES[program]), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def unpack(container: bytes, folder: Path) -> Path:
    """A container's entries as files, flat: ``META-INF/signatures.xml`` becomes ``signatures.xml``."""
    folder.mkdir(parents=True)
    with zipfile.ZipFile(io.BytesIO(container)) as archive:
        for name in archive.namelist():
            (folder / name.rpartition("/")[2]).write_bytes(archive.read(name))
    return folder


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders of every container by ``kind of key/name``."""
    base = tmp_path_factory.mktemp("containers")
    return {
        f"{kind}/{name}": unpack(container, base / kind / name)
        for kind in KINDS
        for name, container in worlds.containers(kind).items()
    }


@pytest.fixture(scope="session")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder by kind of key with the authority's certificates as PEM."""
    found = {}
    for kind in KINDS:
        folder = found[str(kind)] = tmp_path_factory.mktemp("authority")
        world = worlds.world(kind)
        for name, certificate in (
            ("root", world.pki.root),
            ("intermediate", world.pki.intermediate),
            ("ocsp", world.pki.ocsp_certificate),
            ("leaf", world.identities[worlds.CONSUMER.member].certificate),
        ):
            (folder / f"{name}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    return found


def ids(kinds: Sequence[KeyKind] = KINDS) -> list[str]:
    """The keys of `unpacked`."""
    return [f"{kind}/{name}" for kind in kinds for name in NAMES]
