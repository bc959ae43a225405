"""A crash at any commit point of a publication leaves the old configuration whole or the new one, never a mixture."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from central_server.publication.publish import (
    Publication,
    SourceKey,
    generate,
    load_publication,
    save_publication,
    sign_publication,
)
from certs.algorithms import SignatureAlgorithm
from certs.configuration import verify_directory
from certs.edges.tokenfiles import TokenFolder
from certs.tokens.remote import sign_certificate
from certs.tokens.soft import SoftToken
from schemas.globalconf.shared import MemberClass
from tests.instance import Instance

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


@dataclass
class Made:
    """Two publications of an instance that differ in every part, and the certificates to prove them with."""

    old: Publication
    new: Publication
    certificate: bytes


@pytest.fixture
async def made(tmp_path: Path) -> Made:
    token = SoftToken.create(TokenFolder(tmp_path / "token"), "1234")
    key = token.generate_key("ec-p256", "internal", "sign")
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "key")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(token.public_key(key))
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
    )
    certificate = await sign_certificate(builder, key, token.public_key(key), token)
    keys = {s: SourceKey(key, certificate, SignatureAlgorithm.ECDSA_SHA512) for s in ("internal", "external")}
    registry = Instance(tmp_path, NOW).registry()
    old = await sign_publication(generate(registry), keys, token, NOW)
    changed = replace(
        registry,
        member_classes=(*registry.member_classes, MemberClass("NEW", "new")),
        timestamping_interval_s=7,
    )
    new = await sign_publication(generate(changed), keys, token, NOW + timedelta(seconds=1), old)
    token.close()
    return Made(old, new, certificate)


def check_whole(folder: Path, made: Made) -> datetime:
    found = load_publication(folder)
    assert found is not None
    for (source, version), raw in found.directories.items():
        directory = verify_directory(raw, [made.certificate], NOW + timedelta(seconds=5))
        assert directory.version == version
        assert len(directory.parts) == (2 if source == "internal" else 1)
        for part in directory.parts:
            kept = found.part(part.location)
            assert kept is not None
            part.check(kept.content)
    return found.at


def crash_at(folder: Path, publication: Publication, number: int) -> bool:
    """Publish in a process that ends without a word at the n-th commit point; whether it got that far."""
    child = os.fork()
    if child == 0:
        count = 0

        def reached(_point: str) -> None:
            nonlocal count
            count += 1
            if count == number:
                os._exit(7)

        save_publication(publication, folder, reached)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.xroad("F158")
def test_a_crash_at_every_commit_point_leaves_the_old_or_the_new_whole(made: Made, tmp_path: Path) -> None:
    seen = []
    number = 1
    while True:
        folder = tmp_path / f"published{number}"
        save_publication(made.old, folder)
        crashed = crash_at(folder, made.new, number)
        seen.append(check_whole(folder, made))
        save_publication(made.new, folder)
        assert check_whole(folder, made) == made.new.at
        if not crashed:
            break
        number += 1
    # Each different part, all parts, the manifest, each part removed; and the change over happens once, in between.
    different = {p.digest for parts in made.new.parts.values() for p in parts}
    gone = {p.digest for parts in made.old.parts.values() for p in parts} - different
    assert number == len(different) + 2 + len(gone) + 1
    assert seen == sorted(seen)
    assert set(seen) == {made.old.at, made.new.at}


def test_a_damaged_part_is_not_served(made: Made, tmp_path: Path) -> None:
    folder = tmp_path / "published"
    save_publication(made.old, folder)
    part = next(p for p in folder.iterdir() if p.suffix == "")
    part.write_bytes(b"other")
    with pytest.raises(ValueError, match="damaged"):
        load_publication(folder)


def test_unchanged_parts_keep_their_places(made: Made) -> None:
    shared = {v: parts[0].path for v, parts in made.old.parts.items()}
    assert all(parts[0].path != shared[v] for v, parts in made.new.parts.items())
