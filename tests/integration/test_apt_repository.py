"""The signed repository: apt takes packages from it by its key alone, and nothing that was altered."""

from __future__ import annotations

import os
import subprocess
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from deploy.repository import KEY, PASSPHRASE, build_repository, build_signed, signing_key
from tests.programs import need

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.processes
NAMES = ("sacbe-tools", "sacbe-gateway")


def make_key(folder: Path, passphrase: str = "") -> Path:
    """A secret key in a file, made in a keyring that is not kept (in a short path: its agent's socket lies in it)."""
    words = ["--batch", "--pinentry-mode", "loopback", "--passphrase", passphrase]
    make = ["--quick-generate-key", "Packages <packages@example.org>", "ed25519", "sign", "never"]
    with tempfile.TemporaryDirectory() as ring:
        gpg = ["gpg", "--homedir", ring, *words]
        subprocess.run([*gpg, *make], check=True, capture_output=True)
        told = subprocess.run([*gpg, "--armor", "--export-secret-keys"], check=True, capture_output=True)
        subprocess.run(["gpgconf", "--homedir", ring, "--kill", "all"], check=True)
    (folder / "key.asc").write_bytes(told.stdout)
    return folder / "key.asc"


def make_package(folder: Path, name: str) -> Path:
    root = folder / name
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN" / "control").write_text(
        f"Package: {name}\nVersion: 1.0\nArchitecture: all\nMaintainer: M <m@example.org>\n"
        f"Description: {name}\n of this test\n"
    )
    (root / "usr/share").mkdir(parents=True)
    (root / "usr/share" / name).write_text(name)
    for made_folder in (root, *(path for path in root.rglob("*") if path.is_dir())):
        made_folder.chmod(0o755)  # whatever umask the tests run under: dpkg-deb takes 0755 to 0775
    made = folder / f"{name}_1.0_all.deb"
    words = ["dpkg-deb", "--root-owner-group", "-Znone", "--build", str(root), str(made)]
    subprocess.run(words, check=True, capture_output=True)
    return made


@dataclass
class Apt:
    """An apt with a state of its own, which knows one repository and trusts one key."""

    folder: Path
    repository: Path
    key: Path

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        for place in ("state/lists/partial", "cache/archives/partial", "etc/preferences.d", "got"):
            (self.folder / place).mkdir(parents=True, exist_ok=True)
        (self.folder / "status").touch()
        (self.folder / "sources.list").write_text(
            f"deb [signed-by={self.key}] file:{self.repository} stable main\n"
        )
        told = {
            "Dir::State": self.folder / "state",
            "Dir::State::status": self.folder / "status",
            "Dir::Cache": self.folder / "cache",
            "Dir::Etc": self.folder / "etc",
            "Dir::Etc::sourcelist": self.folder / "sources.list",
            "APT::Sandbox::User": "root",
            "APT::Architecture": "amd64",
        }
        options = [word for name, value in told.items() for word in ("-o", f"{name}={value}")]
        return subprocess.run(
            ["apt-get", "-q", *options, *arguments],
            capture_output=True,
            text=True,
            cwd=self.folder / "got",
            env={**os.environ, "LC_ALL": "C"},
            check=False,
        )


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for program, package in (("apt-get", "apt"), ("dpkg-deb", "dpkg"), ("gpg", "gnupg")):
        need(program, package=package)
    (tmp_path / "packages").mkdir()
    packages = [make_package(tmp_path / "packages", name) for name in NAMES]
    (tmp_path / "pass").write_text("frase")
    environ = {
        KEY: str(make_key(tmp_path, "frase")),
        PASSPHRASE: str(tmp_path / "pass"),
        "SOURCE_DATE_EPOCH": "1790000000",
    }
    made = build_signed(packages, tmp_path, environ)
    assert made is not None
    return made


@pytest.mark.xroad("F001", "F148")
def test_apt_takes_the_packages_by_the_key_alone(repository: Path, tmp_path: Path) -> None:
    apt = Apt(tmp_path / "apt", repository, repository / "sacbe.asc")
    updated = apt("update")
    assert (updated.returncode, updated.stderr) == (0, "")
    got = apt("download", *NAMES)
    assert got.returncode == 0, got.stderr
    assert sorted(f.name for f in (tmp_path / "apt/got").iterdir()) == sorted(
        f"{name}_1.0_all.deb" for name in NAMES
    )
    # Signed once more in the older way, for tools that read Release and Release.gpg.
    suite = repository / "dists/stable"
    ring = tmp_path / "trusted.gpg"
    subprocess.run(["gpg", "--dearmor", "-o", str(ring), str(repository / "sacbe.asc")], check=True)
    for words in (["Release.gpg", "Release"], ["InRelease"]):
        proved = ["gpgv", "--keyring", str(ring), *(str(suite / word) for word in words)]
        subprocess.run(proved, capture_output=True, check=True)


def rewrite(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.xroad("F148")
@pytest.mark.parametrize("altered", ["Release", "Packages", "package", "another key", "unsigned"])
def test_apt_takes_nothing_that_was_altered(repository: Path, tmp_path: Path, altered: str) -> None:
    apt = Apt(tmp_path / "apt", repository, repository / "sacbe.asc")
    suite = repository / "dists/stable"
    match altered:
        case "Release":
            rewrite(suite / "InRelease", "Codename: stable", "Codename: stab1e")
        case "Packages":
            for index in suite.rglob("Packages*"):
                index.unlink() if index.suffix else rewrite(index, "of this test", "of that test")
        case "package":
            package = repository / "pool" / f"{NAMES[0]}_1.0_all.deb"
            package.write_bytes(package.read_bytes().replace(b"sacbe", b"sacbE"))
        case "another key":
            (tmp_path / "other").mkdir()
            other = build_repository(
                (repository / "pool").iterdir(),
                tmp_path / "other" / "repository",
                signing_key({KEY: str(make_key(tmp_path / "other"))}) or pytest.fail("no key"),
                datetime.now(UTC),
            )
            apt.key = other / "sacbe.asc"
        case "unsigned":
            (suite / "InRelease").unlink()
            (suite / "Release.gpg").unlink()
    updated = apt("update")
    got = apt("download", NAMES[0])
    assert got.returncode != 0, updated.stderr + got.stderr
    assert list((tmp_path / "apt/got").iterdir()) == []


def test_a_key_that_is_not_there_is_named_and_without_one_nothing_is_signed(tmp_path: Path) -> None:
    assert build_signed([], tmp_path, {}) is None
    with pytest.raises(ValueError, match="no file /nowhere/key"):
        build_signed([], tmp_path, {KEY: "/nowhere/key"})
    assert list(tmp_path.iterdir()) == []
