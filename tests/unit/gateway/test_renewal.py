"""Archives over decades: stamped anew in time they are proved ten and twenty years later, too late or touched they are not."""

from __future__ import annotations

import asyncio
import io
import subprocess
import zipfile
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from certs.dev.timestamping import timestamp_reply
from certs.tokens.soft import KeyKind
from certs.verify.container import verify_container
from certs.verify.timestamp import build_request, check_reply
from gateway.messagelog.renewal import FOLDER, renew, verify_renewals
from schemas.faults import Fault
from tests import worlds
from tests.worlds import NOW, World, make_world

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

YEAR = timedelta(days=365)


@cache
def later(tmp: Path, years: int) -> World:
    """Another federation's trust services, made so many years later: nothing of the first is approved there."""
    return make_world(tmp / f"pki-{years}", KeyKind.EC_P256, NOW + years * YEAR)


async def renewed(archives: Path, world: World, at: datetime | None = None) -> Path:
    async def stamp(digest: bytes) -> bytes:
        reply = timestamp_reply(world.pki, build_request(digest), at or world.now, serial=1)
        return check_reply(reply, digest, world.configuration.tsa_certificates())[0]

    return await renew(archives, world.configuration, stamp)


@pytest.fixture
def archives(tmp_path: Path) -> Path:
    folder = tmp_path / "archives"
    folder.mkdir()
    for number, raw in enumerate(worlds.containers().values()):
        with zipfile.ZipFile(folder / f"mlog-{number}.zip", "w") as archive:
            archive.writestr("a.asice", raw)
    return folder


async def test_without_a_renewal_in_time_the_proof_ends_with_the_authoritys_certificate(
    archives: Path,
) -> None:
    first = worlds.world()
    await renewed(archives, first)
    assert verify_renewals(archives, first.configuration, NOW + 9 * YEAR).renewals[0].at == NOW
    with pytest.raises(Fault, match="not proved at 2037"):
        verify_renewals(archives, first.configuration, NOW + 11 * YEAR)


def contained(archives: Path) -> list[bytes]:
    found = []
    for path in sorted(archives.glob("*.zip")):
        with zipfile.ZipFile(path) as archive:
            found.append(archive.read("a.asice"))
    return found


async def test_renewed_in_time_it_is_proved_ten_and_twenty_years_later(
    archives: Path, tmp_path: Path
) -> None:
    first, second, third = worlds.world(), later(tmp_path, 8), later(tmp_path, 16)
    await renewed(archives, first)
    await renewed(archives, second)
    at = NOW + 11 * YEAR
    verdict = verify_renewals(archives, second.configuration, at)
    assert [r.number for r in verdict.renewals] == [1, 2]
    assert verdict.renewals[0].until < at < verdict.renewals[1].until
    await renewed(archives, third)
    verdict = verify_renewals(archives, third.configuration, NOW + 22 * YEAR)
    assert [r.at for r in verdict.renewals] == [first.now, second.now, third.now]
    # The configuration of then, which the renewals prove, judges the containers of then.
    for raw in contained(archives):
        assert verify_container(io.BytesIO(raw), verdict.first).is_valid
    with pytest.raises(Fault, match="not proved"):
        verify_renewals(archives, first.configuration, NOW + 22 * YEAR)


async def test_a_renewal_that_came_too_late_proves_nothing(archives: Path, tmp_path: Path) -> None:
    await renewed(archives, worlds.world())
    second = later(tmp_path, 12)
    await renewed(archives, second)
    with pytest.raises(Fault, match="renewal 1 is not proved at 2038"):
        verify_renewals(archives, second.configuration, second.now)


def flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[-3] ^= 1
    path.write_bytes(raw)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        *((name, flip) for name in (
            "mlog-0.zip", f"{FOLDER}/renewal-0001.sha512", f"{FOLDER}/renewal-0001.tst",
            f"{FOLDER}/renewal-0001.conf.zip", f"{FOLDER}/renewal-0002.sha512", f"{FOLDER}/renewal-0002.tst",
            f"{FOLDER}/renewal-0002.conf.zip",
        )),
        *((name, lambda path: path.unlink()) for name in (
            "mlog-0.zip", f"{FOLDER}/renewal-0001.tst", f"{FOLDER}/renewal-0001.sha512", f"{FOLDER}/renewal-0001.conf.zip",
        )),
        (f"{FOLDER}/renewal-0002.sha512", lambda path: path.write_text(path.read_text() + "x  ../../etc/passwd\n")),
        (f"{FOLDER}/renewal-0002.sha512", lambda path: path.write_text("")),
    ],
)  # fmt: skip
async def test_whatever_is_touched_is_named(
    archives: Path, tmp_path: Path, name: str, change: Callable[[Path], object]
) -> None:
    second = later(tmp_path, 8)
    await renewed(archives, worlds.world())
    await renewed(archives, second)
    assert len(verify_renewals(archives, second.configuration, second.now + YEAR).renewals) == 2
    change(archives / name)
    with pytest.raises(Fault, match="do not hold"):
        verify_renewals(archives, second.configuration, second.now + YEAR)


async def test_what_came_or_went_since_is_said(archives: Path, tmp_path: Path) -> None:
    await renewed(archives, worlds.world())
    (archives / "mlog-0.zip").unlink()
    second = later(tmp_path, 8)
    await renewed(archives, second)
    (archives / "mlog-9.zip").write_bytes(b"new")
    verdict = verify_renewals(archives, second.configuration, second.now + YEAR)
    assert verdict.gone == ("mlog-0.zip",)
    assert verdict.unprotected == ("mlog-9.zip",)


async def test_a_renewal_that_broke_off_counts_for_nothing_and_the_next_takes_its_place(
    archives: Path,
) -> None:
    first = worlds.world()
    await renewed(archives, first)

    async def fails(_digest: bytes) -> bytes:
        raise OSError("no network")

    with pytest.raises(OSError, match="no network"):
        await renew(archives, first.configuration, fails)
    assert len(verify_renewals(archives, first.configuration, NOW).renewals) == 1
    await renewed(archives, first)
    assert len(verify_renewals(archives, first.configuration, NOW).renewals) == 2


def test_coreutils_and_openssl_repeat_it(archives: Path, tmp_path: Path) -> None:
    world = worlds.world()
    listed = asyncio.run(renewed(archives, world))
    subprocess.run(["sha512sum", "--check", "--strict", "--quiet", str(listed)], cwd=archives, check=True)
    for role in ("root", "intermediate"):
        path = tmp_path / f"{role}.pem"
        path.write_bytes(getattr(world.pki, role).public_bytes(Encoding.PEM))
    moment = str(int((NOW + timedelta(minutes=1)).replace(tzinfo=UTC).timestamp()))
    command = [
        "openssl",
        "ts",
        "-verify",
        "-token_in",
        "-in",
        str(listed.with_suffix(".tst")),
        "-data",
        str(listed),
    ]
    command += [
        "-CAfile",
        str(tmp_path / "root.pem"),
        "-untrusted",
        str(tmp_path / "intermediate.pem"),
        "-attime",
        moment,
    ]
    subprocess.run(command, check=True, capture_output=True)
