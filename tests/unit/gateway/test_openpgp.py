"""OpenPGP by GnuPG itself: archives handed on and downloads open with their member's key, and with nobody else's."""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from gateway.messagelog.export import asic_download
from gateway.messagelog.openpgp import PgpSettings, draw, encrypt, parse_pgp
from gateway.messagelog.transfer import TransferSettings, transfer_archives
from gateway.settings.config import load
from schemas.faults import Fault
from serving.errors import OperatorError
from tests import worlds
from tests.logs import append_message, open_log, stamp_alone
from tests.programs import need
from tests.worlds import CONSUMER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from gateway.messagelog.timestamper import Timestamper

MEMBER, OTHER = CONSUMER.member.path(), "MX/GOB/99-OTRO"


@pytest.fixture(autouse=True)
def gnupg() -> None:
    """Every test here needs the program; without it they are skipped, in CI failed."""
    need("gpg", package="gnupg")


@dataclass
class Keyring:
    """GnuPG's folder with two pairs of keys, by name."""

    home: str
    keys: dict[str, str]

    def run(self, *arguments: str, data: bytes = b"") -> bytes:
        command = ["gpg", "--homedir", self.home, "--batch", "--no-tty", "--quiet", *arguments]
        return subprocess.run(command, input=data, check=True, capture_output=True).stdout

    def opened(self, data: bytes) -> bytes:
        return self.run("--decrypt", data=data)

    def opens(self, data: bytes) -> set[str]:
        """Whose keys a message is encrypted to, by name."""
        listed = subprocess.run(
            ["gpg", "--homedir", self.home, "--batch", "--list-only", "--verbose", "--decrypt"],
            input=data, check=False, capture_output=True,
        ).stderr.decode()  # fmt: skip
        return {name for name, key in self.keys.items() if self._subkey(key) in listed.upper()}

    def _subkey(self, key: str) -> str:
        lines = (
            self.run("--with-colons", "--with-subkey-fingerprint", "--list-keys", key).decode().splitlines()
        )
        return next(line.split(":")[4] for line in lines if line.startswith("sub"))


@pytest.fixture(scope="module")
def ring() -> Iterator[Keyring]:
    # The agent's socket has its path within 107 bytes.
    with tempfile.TemporaryDirectory(prefix="g", dir="/tmp") as home:
        Path(home).chmod(0o700)
        made = Keyring(home, {})
        for name in ("member", "everybody"):
            made.run("--passphrase", "", "--quick-generate-key", name, "rsa2048", "encrypt,sign", "never")
            line = made.run("--with-colons", "--list-keys", name).decode()
            fingerprint = next(row for row in line.splitlines() if row.startswith("fpr")).split(":")[9]
            made.run("--passphrase", "", "--quick-add-key", fingerprint, "rsa2048", "encrypt", "never")
            made.keys[name] = fingerprint
        yield made
        subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=True)


@pytest.fixture
def pgp(ring: Keyring) -> PgpSettings:
    member = [f"{MEMBER} {ring.keys['member'].lower()}"]
    return parse_pgp(ring.home, [ring.keys["everybody"]], member, for_downloads=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "archive"
    made.mkdir()
    for name in ("mlog-1.zip", "mlog-2.zip"):
        (made / name).write_bytes(name.encode())
    (tmp_path / "away").mkdir()
    return made


@pytest.mark.xroad("F107")
async def test_archives_are_handed_on_encrypted_to_their_member_or_else_to_everybody(
    ring: Keyring, pgp: PgpSettings, folder: Path
) -> None:
    away = folder.parent / "away"
    groups = {"mlog-1.zip": MEMBER, "mlog-2.zip": OTHER}
    settings = TransferSettings(str(away), command=("test", "-s"), pgp=pgp)
    assert await transfer_archives(folder, settings, groups.__getitem__) == 2
    handed = {p.name: p.read_bytes() for p in away.iterdir()}
    assert sorted(handed) == ["mlog-1.zip.gpg", "mlog-2.zip.gpg"]
    assert ring.opened(handed["mlog-1.zip.gpg"]) == b"mlog-1.zip"
    assert ring.opens(handed["mlog-1.zip.gpg"]) == {"member"}
    assert ring.opens(handed["mlog-2.zip.gpg"]) == {"everybody"}
    assert await transfer_archives(folder, settings, groups.__getitem__) == 0


@pytest.mark.xroad("F107")
async def test_what_broke_off_is_handed_on_with_the_bytes_it_had(pgp: PgpSettings, folder: Path) -> None:
    away = folder.parent / "away"
    with pytest.raises(Fault, match="ended with 1"):
        await transfer_archives(folder, TransferSettings(str(away), command=("false",), pgp=pgp))
    before = (away / "mlog-1.zip.gpg").read_bytes()
    assert await transfer_archives(folder, TransferSettings(str(away), pgp=pgp)) == 2
    assert (away / "mlog-1.zip.gpg").read_bytes() == before


async def test_a_key_that_is_not_there_hands_nothing_on_in_clear(ring: Keyring, folder: Path) -> None:
    away = folder.parent / "away"
    unknown = parse_pgp(ring.home, ["0" * 40], [], for_downloads=False)
    with pytest.raises(Fault, match="gpg ended with"):
        await transfer_archives(folder, TransferSettings(str(away), pgp=unknown))
    with pytest.raises(Fault, match="no OpenPGP key"):
        await transfer_archives(folder, TransferSettings(str(away), pgp=PgpSettings(ring.home)))
    assert list(away.iterdir()) == []


@pytest.mark.xroad("F110")
@pytest.mark.parametrize("asked", [True, False])
async def test_a_download_is_encrypted_when_asked_or_when_the_settings_say_so(
    ring: Keyring, pgp: PgpSettings, tmp_path: Path, asked: bool
) -> None:
    log = open_log(tmp_path / "log")
    await append_message(log, tmp_path, worlds.world().request(message_id="s1"))
    await stamp_alone(log, 1)
    names = ("xRoadInstance", "memberClass", "memberCode", "subsystemCode")
    query = dict(zip(names, CONSUMER.components, strict=True)) | {"queryId": "s1"}
    settings = pgp if asked else parse_pgp(ring.home, pgp.default_keys, [], for_downloads=True)
    stamper = cast("Timestamper", None)
    clear = await asic_download(log, stamper, query, pgp)
    given = await asic_download(log, stamper, query | ({"encrypted": ""} if asked else {}), settings)
    assert given.file_name == f"{clear.file_name}.gpg"
    raw = b"".join([c async for c in given.chunks])
    assert ring.opens(raw) == {"member" if asked else "everybody"}
    assert ring.opened(raw) == b"".join([c async for c in clear.chunks])
    with pytest.raises(Fault, match="no OpenPGP key"):
        await asic_download(log, stamper, query | {"encrypted": ""})
    await log.close()


async def test_much_passes_without_standing_in_memory_or_waiting_for_itself(
    ring: Keyring, pgp: PgpSettings
) -> None:
    async def much() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield bytes(256 * 1024)

    made = await encrypt(much(), pgp.default_keys, ring.home)
    size = sum([len(c) async for c in draw(made)])
    assert size > 16 * 1024 * 1024


@pytest.mark.parametrize(
    "lines",
    [
        'openpgp_default_keys = ["0123456789ABCDEF0123456789ABCDEF01234567"]',
        'openpgp_home = "/x"\nopenpgp_default_keys = ["--output=/etc/passwd"]',
        'openpgp_home = "/x"\nopenpgp_default_keys = ["01234567"]',
        'openpgp_home = "/x"\nopenpgp_member_keys = ["0123456789ABCDEF0123456789ABCDEF01234567"]',
        'openpgp_home = "/x"\nopenpgp_member_keys = ["MX/GOB somebody"]',
        "openpgp_downloads = true",
    ],
)
def test_settings_that_name_no_key_stop_the_start(tmp_path: Path, lines: str) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(f"[log]\n{lines}\n")
    with pytest.raises(OperatorError, match="openpgp"):
        load(file, {})
