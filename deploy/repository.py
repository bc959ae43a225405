"""An apt repository of the packages, signed: ``dists/stable`` with its index, ``pool`` with the packages, the key to trust.

Whoever installs trusts one key, in ``sacbe.sources``; apt proves by it the index, and by the index's digests every package. The secret
key is a file that ``SACBE_SIGNING_KEY`` names (ASCII armour, as ``gpg --armor --export-secret-keys`` writes it); its passphrase, if it has
one, is in the file that ``SACBE_SIGNING_PASSPHRASE`` names. It is used in a keyring of its own that is gone afterwards.

Format: Debian's repository format (https://wiki.debian.org/DebianRepository/Format); apt-secure(8).
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

KEY, PASSPHRASE = "SACBE_SIGNING_KEY", "SACBE_SIGNING_PASSPHRASE"
SUITE, COMPONENT = "stable", "main"
# Where the public key lies on the machine that installs.
TRUSTED_KEY = "/etc/apt/keyrings/sacbe.asc"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The files of a secret key and of its passphrase, if it has one."""

    file: Path
    passphrase: Path | None = None


def signing_key(environ: Mapping[str, str]) -> SigningKey | None:
    """The key that the environment names; None where it names none. Raises ValueError for a file that is not there."""
    if not environ.get(KEY):
        return None
    named = [Path(environ[name]) for name in (KEY, PASSPHRASE) if environ.get(name)]
    for file in named:
        if not file.is_file():
            raise ValueError(f"{KEY} and {PASSPHRASE} name files; there is no file {file}")
    return SigningKey(*named)


def build_repository(packages: Iterable[Path], out: Path, key: SigningKey, now: datetime) -> Path:
    """Write the repository, whole; where it is. Raises CalledProcessError when gpg or dpkg-deb refuses."""
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        made = Path(folder) / "repository"
        pool = made / "pool"
        pool.mkdir(parents=True)
        entries: dict[str, list[str]] = {}
        for package in sorted(packages):
            shutil.copy2(package, pool / package.name)
            fields = _fields(pool / package.name)
            entries.setdefault(fields["Architecture"], []).append(_entry(fields, pool / package.name))
        suite = made / "dists" / SUITE
        for architecture, texts in entries.items():
            _write_index(suite / COMPONENT / f"binary-{architecture}", "\n".join(texts))
        (suite / "Release").write_text(_release(suite, sorted(entries), now), encoding="utf-8")
        _sign(suite, key, made / "sacbe.asc")
        (made / "sacbe.sources").write_text(sources("https://REPLACE.example.org/sacbe", sorted(entries)))
        shutil.rmtree(out, ignore_errors=True)
        made.rename(out)
    return out


def sources(address: str, architectures: Iterable[str]) -> str:
    """The text of ``/etc/apt/sources.list.d/sacbe.sources`` for a repository at an address."""
    return (
        f"Types: deb\nURIs: {address}\nSuites: {SUITE}\nComponents: {COMPONENT}\n"
        f"Architectures: {' '.join(architectures)}\nSigned-By: {TRUSTED_KEY}\n"
    )


def _fields(package: Path) -> dict[str, str]:
    run = subprocess.run(["dpkg-deb", "--field", str(package)], check=True, capture_output=True, text=True)
    found: dict[str, str] = {}
    name = ""
    for line in run.stdout.splitlines():
        if line[:1].isspace():
            found[name] += "\n" + line
        else:
            name, _, value = line.partition(": ")
            found[name] = value
    return found


def _entry(fields: dict[str, str], package: Path) -> str:
    """A stanza of the index: the package's own fields, and where it is, how long, and its digest."""
    content = package.read_bytes()
    more = {
        "Filename": f"pool/{package.name}",
        "Size": str(len(content)),
        "SHA256": hashlib.sha256(content).hexdigest(),
    }
    return "".join(f"{name}: {value}\n" for name, value in {**fields, **more}.items())


def _write_index(folder: Path, text: str) -> None:
    folder.mkdir(parents=True)
    (folder / "Packages").write_text(text, encoding="utf-8")
    (folder / "Packages.gz").write_bytes(gzip.compress(text.encode(), mtime=0))


def _release(suite: Path, architectures: list[str], now: datetime) -> str:
    lines = [
        "Origin: Sacbé",
        "Label: Sacbé",
        f"Suite: {SUITE}",
        f"Codename: {SUITE}",
        f"Date: {format_datetime(now.astimezone(UTC), usegmt=True)}",
        f"Architectures: {' '.join(architectures)}",
        f"Components: {COMPONENT}",
        "SHA256:",
    ]
    for file in sorted(f for f in suite.rglob("Packages*") if f.is_file()):
        content = file.read_bytes()
        lines.append(f" {hashlib.sha256(content).hexdigest()} {len(content)} {file.relative_to(suite)}")
    return "\n".join(lines) + "\n"


def _sign(suite: Path, key: SigningKey, public: Path) -> None:
    """``InRelease`` and ``Release.gpg`` beside ``Release``, and the public key."""
    with tempfile.TemporaryDirectory() as ring:  # mode 0700
        words = [
            "gpg",
            "--homedir",
            ring,
            "--batch",
            "--yes",
            "--quiet",
            "--armor",
            "--pinentry-mode",
            "loopback",
        ]
        if key.passphrase is not None:
            words += ["--passphrase-file", str(key.passphrase)]
        try:
            for more in (
                ["--import", str(key.file)],
                [
                    "--digest-algo",
                    "SHA512",
                    "--clearsign",
                    "--output",
                    str(suite / "InRelease"),
                    str(suite / "Release"),
                ],
                [
                    "--digest-algo",
                    "SHA512",
                    "--detach-sign",
                    "--output",
                    str(suite / "Release.gpg"),
                    str(suite / "Release"),
                ],
                ["--export", "--output", str(public)],
            ):
                subprocess.run([*words, *more], check=True, stdin=subprocess.DEVNULL)
        finally:
            # gpg leaves an agent that holds the key in memory.
            subprocess.run(["gpgconf", "--homedir", ring, "--kill", "all"], check=False)


def build_signed(
    packages: Iterable[Path], out: Path, environ: Mapping[str, str] | None = None
) -> Path | None:
    """The repository beside the packages, where the environment names a key. Raises ValueError, CalledProcessError."""
    environment = os.environ if environ is None else environ
    key = signing_key(environment)
    if key is None:
        return None
    epoch = environment.get("SOURCE_DATE_EPOCH")
    now = datetime.now(UTC) if epoch is None else datetime.fromtimestamp(int(epoch), UTC)
    return build_repository(packages, out / "repository", key, now)
