"""Backups of a server's data folder: written encrypted, checked whole before anything is restored.

A backup is an age file (https://age-encryption.org/v1) around a tar archive whose first entry, ``manifest.json``, lists
every other one with its size and SHA-256. It is encrypted with a passphrase, or to recipients and then also signed by
the server's own backup key (Ed25519, in the entry ``manifest.sig``), because anybody can encrypt to a recipient.
Whoever restores gives the passphrase, or an identity and the fingerprint of the key that must have signed.

What a backup holds is said by a `Content`: databases (copied consistently while the server runs), files and folders.
Private keys stay sealed inside of it: a file with one in clear ends the making. The message log is evidence with archives of its own: it is never in
a backup, and a restore leaves the one it finds.

Restoring: (1) decrypt, (2) the manifest is first, of a known version and of this kind of server, (3) signed by the key
expected, (4) every entry is listed, a plain file with a plain relative name, of its size and digest, and none is missing,
(5) every database is whole; then (6) the folder is exchanged, which a crash cannot do by half (`serving.storage.datafolder`).
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import secrets
import shutil
import sqlite3
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import msgspec
import pyrage
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from certs.edges.tokenfiles import sync_folder
from schemas.jsontext import decode_json, encode_json, load_json
from serving.errors import OperatorError
from serving.language import N_
from serving.storage.database import naming
from serving.storage.datafolder import ASIDE, claim, exchange
from serving.storage.keysafe import holds_clear_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

FORMAT = "sacbe-backup"
VERSION = 1
MANIFEST = "manifest.json"
SIGNATURE = "manifest.sig"
LARGEST_BACKUP = 512 * 1024 * 1024
LARGEST_MANIFEST = 16 * 1024 * 1024
_SIGNED_PREFIX = b"sacbe-backup-manifest-v1\n"


@dataclass(frozen=True, slots=True)
class Content:
    """The parts of a backup of one kind of server, as names within its data folder.

    ``keep`` names what a restore leaves as it finds it, the message log first of all. ``formerly`` are files that backups
    of earlier versions hold: restored, and never made again. ``patterns`` are of files of the folder itself whose names the
    settings choose.
    """

    kind: str
    databases: Sequence[str]
    files: Sequence[str]
    folders: Sequence[str]
    keep: Sequence[str]
    formerly: Sequence[str] = ()
    patterns: Sequence[str] = ()


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of a backup."""

    name: str
    size: int
    sha256: str
    mode: int
    database: bool = False


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The list a backup begins with. ``made_at`` is ISO 8601 in UTC; ``signer`` the signing key's raw bytes in hex."""

    format: str
    version: int
    kind: str
    server: str
    made_at: str
    software: str
    signer: str
    entries: list[Entry]


@dataclass(frozen=True, slots=True)
class Lock:
    """The closing of a backup: a passphrase, or age recipients together with the key that signs for the server."""

    passphrase: str | None = None
    recipients: Sequence[str] = ()
    signer: Ed25519PrivateKey | None = None


@dataclass(frozen=True, slots=True)
class Opener:
    """The opening of a backup: a passphrase, or age identities and the fingerprint of the key that must have signed."""

    passphrase: str | None = None
    identities: Sequence[str] = ()
    signer: str | None = None


def fingerprint(key: Ed25519PublicKey) -> str:
    """The name of a backup key: ``SHA256:`` and 64 hexadecimal digits."""
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return f"SHA256:{hashlib.sha256(raw).hexdigest()}"


# Making


def make_backup(
    folder: Path, content: Content, server: str, lock: Lock, now: datetime, software: str
) -> bytes:
    """A backup of a running or stopped server. Raises `OperatorError`."""
    if lock.passphrase is None and (not lock.recipients or lock.signer is None):
        raise OperatorError(
            N_("a backup is never written in clear: give a passphrase, or recipients and the backup key")
        )
    # On disk only while this runs: copies of the databases, hidden. A crash leaves the folder, which no backup takes along.
    scratch = folder / f".backup-{secrets.token_hex(4)}"
    scratch.mkdir(mode=0o700)
    try:
        sources = dict(_checked_sources(folder, content, scratch))
        entries = [_entry(name, path, name in content.databases) for name, path in sources.items()]
        signer = "" if lock.signer is None else lock.signer.public_key().public_bytes_raw().hex()
        manifest = Manifest(
            FORMAT,
            VERSION,
            content.kind,
            server,
            now.isoformat(timespec="seconds"),
            software,
            signer,
            entries,
        )
        return _encrypt(_pack(manifest, sources, lock.signer), lock)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _checked_sources(folder: Path, content: Content, scratch: Path) -> Iterator[tuple[str, Path]]:
    for name, path in _sources(folder, content, scratch):
        if name not in content.databases and holds_clear_key(path.read_bytes()):
            raise OperatorError(
                N_(
                    "{name} is a private key in clear; start the server with its token logged in, which seals it, or take the file away",
                    name=name,
                )
            )
        yield name, path


def _sources(folder: Path, content: Content, scratch: Path) -> Iterator[tuple[str, Path]]:
    for name in content.databases:
        if (folder / name).exists():
            yield name, _copy_database(folder / name, scratch / name.replace("/", "__"))
    chosen = sorted(p.name for pattern in content.patterns for p in folder.glob(pattern) if p.is_file())
    for name in dict.fromkeys((*content.files, *chosen)):
        if (folder / name).exists():
            yield name, folder / name
    for name in content.folders:
        for path in sorted((folder / name).rglob("*")):
            if path.is_file() and not path.is_symlink():
                yield path.relative_to(folder).as_posix(), path


def _copy_database(source: Path, target: Path) -> Path:
    """A consistent copy while others read and write."""
    with (
        naming(source),
        contextlib.closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as live,
        contextlib.closing(sqlite3.connect(target)) as copy,
    ):
        live.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")
    return target


def _entry(name: str, path: Path, database: bool) -> Entry:
    data = path.read_bytes()
    return Entry(name, len(data), hashlib.sha256(data).hexdigest(), path.stat().st_mode & 0o777, database)


def _pack(manifest: Manifest, sources: dict[str, Path], signer: Ed25519PrivateKey | None) -> bytes:
    out = io.BytesIO()
    encoded = encode_json(manifest)
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        _add(archive, MANIFEST, encoded)
        if signer is not None:
            _add(archive, SIGNATURE, signer.sign(_SIGNED_PREFIX + encoded))
        for entry in manifest.entries:
            data = sources[entry.name].read_bytes()
            if hashlib.sha256(data).hexdigest() != entry.sha256:
                raise OperatorError(
                    N_("{entry} changed while the backup was made; make it again", entry=entry.name)
                )
            _add(archive, entry.name, data)
    return out.getvalue()


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o600
    archive.addfile(info, io.BytesIO(data))


def _encrypt(archive: bytes, lock: Lock) -> bytes:
    try:
        if lock.passphrase is not None:
            return bytes(pyrage.passphrase.encrypt(archive, lock.passphrase))
        return bytes(pyrage.encrypt(archive, [pyrage.x25519.Recipient.from_str(r) for r in lock.recipients]))
    except (pyrage.RecipientError, pyrage.EncryptError) as err:
        raise OperatorError(
            N_("the backup cannot be encrypted: {err}; recipients begin with 'age1'", err=err)
        ) from err


# Checking and restoring


def open_backup(data: bytes, content: Content, opener: Opener) -> tuple[Manifest, dict[str, bytes]]:
    """Steps 1 to 4: a backup's manifest and files, all of them proved. Raises `OperatorError`."""
    archive = _decrypt(data, opener)  # 1
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as packed:
            return _check(packed, content, opener)
    except (tarfile.TarError, EOFError, UnicodeError) as err:
        raise OperatorError(
            N_("what the backup holds is no tar archive that can be read: {err}", err=err)
        ) from err


def restore_backup(folder: Path, data: bytes, content: Content, opener: Opener, now: datetime) -> Manifest:
    """Replace a stopped server's data by a backup's. Gives its manifest; the old data stay in a folder ``before-...`` in it.

    Raises `OperatorError`, and then nothing has changed.
    """
    manifest, files = open_backup(data, content, opener)
    folder = folder.absolute()
    with claim(folder):
        fresh = lay_out_backup(folder, manifest, files)
        stamp = now.strftime("%Y%m%d-%H%M%S")
        exchange(folder, fresh, folder / f"{ASIDE}{stamp}", content.keep)  # 6
    return manifest


def lay_out_backup(folder: Path, manifest: Manifest, files: dict[str, bytes]) -> Path:
    """Step 5: the backup's files in a folder within ``folder``. Raises `OperatorError`, and then nothing is left."""
    fresh = (
        folder / f".restored-{secrets.token_hex(4)}"
    )  # a crash leaves it, hidden, and nothing else is different
    try:
        _write_out(fresh, manifest, files)
        _check_databases(fresh, manifest)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    return fresh


def _decrypt(data: bytes, opener: Opener) -> bytes:
    if len(data) > LARGEST_BACKUP:
        raise OperatorError(
            N_(
                "the backup has {count} bytes; {most} are accepted",
                count=len(data),
                most=LARGEST_BACKUP,
            )
        )
    try:
        if opener.passphrase is not None:
            return bytes(pyrage.passphrase.decrypt(data, opener.passphrase))
        identities = [pyrage.x25519.Identity.from_str(i.strip()) for i in opener.identities]
        return bytes(pyrage.decrypt(data, identities))
    except (pyrage.DecryptError, pyrage.IdentityError) as err:
        raise OperatorError(
            N_(
                "the backup cannot be opened ({err}): the passphrase or identity is another one, or the file was altered or cut off",
                err=err,
            )
        ) from err


def _check(packed: tarfile.TarFile, content: Content, opener: Opener) -> tuple[Manifest, dict[str, bytes]]:
    members = iter(packed)
    first = next(members, None)
    if first is None or first.name != MANIFEST:
        raise OperatorError(N_("the backup does not begin with {manifest}", manifest=MANIFEST))
    encoded = _read(packed, first, LARGEST_MANIFEST)
    manifest = _parse_manifest(encoded, content)  # 2
    if opener.passphrase is None or opener.signer is not None:
        _check_signature(encoded, manifest, packed, next(members, None), opener)  # 3
    elif manifest.signer:
        next(members, None)
    files: dict[str, bytes] = {}
    listed = {entry.name: entry for entry in manifest.entries}
    for member in members:  # 4
        entry = listed.get(member.name)
        if entry is None or member.name in files:
            raise OperatorError(
                N_("the backup holds {member!r}, which its manifest does not list once", member=member.name)
            )
        body = _read(packed, member, entry.size)
        if len(body) != entry.size or hashlib.sha256(body).hexdigest() != entry.sha256:
            raise OperatorError(
                N_("{member} is not what the manifest says of it; the backup was altered", member=member.name)
            )
        files[member.name] = body
    missing = [name for name in listed if name not in files]
    if missing:
        raise OperatorError(
            N_("the backup lacks {names}; it was cut off or altered", names=", ".join(missing[:5]))
        )
    return manifest, files


def _parse_manifest(encoded: bytes, content: Content) -> Manifest:
    try:
        known: dict[str, Any] = load_json(encoded)
        if known.get("format") != FORMAT or known.get("version") != VERSION:
            raise OperatorError(
                N_(
                    "this is {kind!r} version {found!r}; {format!r} version {version} is understood here",
                    kind=known.get("format"),
                    found=known.get("version"),
                    format=FORMAT,
                    version=VERSION,
                )
            )
        manifest = decode_json(encoded, Manifest)
    except (ValueError, AttributeError) as err:
        if isinstance(err, OperatorError):
            raise
        raise OperatorError(N_("the manifest cannot be read: {err}", err=err)) from err
    if manifest.kind != content.kind:
        raise OperatorError(
            N_(
                "this is a backup of a {kind}; one of a {expected} was expected",
                kind=manifest.kind,
                expected=content.kind,
            )
        )
    names = [entry.name for entry in manifest.entries]
    wrong = [n for n in names if not _is_allowed(n, content)]
    if wrong or len(set(names)) != len(names):
        raise OperatorError(
            N_(
                "the manifest names what a backup of a {kind} has not: {found}",
                kind=content.kind,
                found=wrong[:5] or "a double",
            )
        )
    return manifest


def _is_allowed(name: str, content: Content) -> bool:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or str(path) != name or "\\" in name or "\0" in name:
        return False
    return (
        name in content.databases
        or name in content.files
        or name in content.formerly
        or (len(path.parts) == 1 and any(path.match(pattern) for pattern in content.patterns))
        or any(name.startswith(f"{folder}/") for folder in content.folders)
    )


def _check_signature(
    encoded: bytes,
    manifest: Manifest,
    packed: tarfile.TarFile,
    member: tarfile.TarInfo | None,
    opener: Opener,
) -> None:
    if opener.signer is None:
        raise OperatorError(
            N_(
                "anybody can encrypt to a recipient: say which server must have signed, by its backup key's fingerprint"
            )
        )
    if member is None or member.name != SIGNATURE:
        raise OperatorError(N_("the backup is not signed by a server"))
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(manifest.signer))
        if fingerprint(key) != opener.signer:
            raise OperatorError(
                N_(
                    "the backup is signed by {key}; {signer} was expected",
                    key=fingerprint(key),
                    signer=opener.signer,
                )
            )
        key.verify(_read(packed, member, 64), _SIGNED_PREFIX + encoded)
    except (ValueError, InvalidSignature) as err:
        if isinstance(err, OperatorError):
            raise
        raise OperatorError(N_("the signature of the backup does not hold; it was altered")) from err


def _read(packed: tarfile.TarFile, member: tarfile.TarInfo, limit: int) -> bytes:
    if not member.isreg():
        raise OperatorError(N_("the backup holds {member!r}, which is no plain file", member=member.name))
    if member.size > limit:
        raise OperatorError(
            N_(
                "{member} has {size} bytes; {limit} were expected at most",
                member=member.name,
                size=member.size,
                limit=limit,
            )
        )
    stream = packed.extractfile(member)
    return b"" if stream is None else stream.read(limit + 1)


def _write_out(fresh: Path, manifest: Manifest, files: dict[str, bytes]) -> None:
    # On disk from here on, file by file: the backup in a folder of its own. A crash leaves it there, hidden; the data are as they
    # were.
    fresh.mkdir(mode=0o700, parents=True)
    for entry in manifest.entries:
        path = fresh / entry.name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, entry.mode & 0o700 or 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(files[entry.name])
            file.flush()
            os.fsync(file.fileno())
        sync_folder(path.parent)


def _check_databases(fresh: Path, manifest: Manifest) -> None:
    for entry in manifest.entries:
        if not entry.database:
            continue
        try:
            with contextlib.closing(sqlite3.connect(fresh / entry.name)) as database:
                found = database.execute("PRAGMA integrity_check").fetchone()[0]
        except sqlite3.Error as err:
            raise OperatorError(
                N_("the database {entry} cannot be opened: {err}", entry=entry.name, err=err)
            ) from err
        if found != "ok":
            raise OperatorError(N_("the database {entry} is damaged: {found}", entry=entry.name, found=found))
