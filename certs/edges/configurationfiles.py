"""A stored configuration on disk, in the layout X-Road's configuration client writes and its asic-verifier reads."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from certs.configuration import TrustedConfiguration
from certs.edges.profilefiles import load_profiles
from schemas.faults import Fault, Kind
from schemas.globalconf.parts import FILE_NAMES, SHARED_ID, WITNESSES_ID
from schemas.zipwriting import render_zip

if TYPE_CHECKING:
    from pathlib import Path

    from certs.profiles import CertificateProfiles

_LARGEST = 64 * 1024 * 1024
# The files have no time of their own; the same configuration gives the same zip.
_MOMENT = datetime(1980, 1, 1, tzinfo=UTC)


def read_configuration_files(folder: Path) -> dict[str, bytes]:
    """Every file of a configuration folder by its relative name, one level of instance folders deep. Raises `Fault` (``malformed_global_conf``)."""
    if not folder.is_dir():
        raise Fault(Kind.MALFORMED_GLOBAL_CONF, f"{folder} is not a configuration folder")
    # An unpacked /verificationconf has everything one folder further down.
    inner = folder / "verificationconf"
    root = inner if inner.is_dir() and not (folder / "instance-identifier").exists() else folder
    files: dict[str, bytes] = {}
    for path in sorted((*root.glob("*"), *root.glob("*/*"))):
        if path.is_file() and path.stat().st_size <= _LARGEST:
            files[path.relative_to(root).as_posix()] = path.read_bytes()
    return files


def load_configuration_folder(
    folder: Path,
    *,
    now: datetime | None = None,
    strict: bool = True,
    profiles: CertificateProfiles | None = None,
) -> TrustedConfiguration:
    """The configuration in a folder, its certificates read by ``profiles``, else by the folder's own.

    Raises `Fault`; ValueError when the folder's file of profiles is none.
    """
    known = load_profiles(folder) if profiles is None else profiles
    return TrustedConfiguration.load(read_configuration_files(folder), now=now, strict=strict, profiles=known)


def render_verificationconf(configuration: TrustedConfiguration) -> bytes:
    """The zip that verifiers of signed containers need: shared parameters of every instance at hand, keys of witnesses."""
    entries: list[tuple[str, bytes]] = []
    for name, loaded in configuration.instances.items():
        base = f"verificationconf/{name}/{FILE_NAMES[SHARED_ID]}"
        version = f'{{"configurationVersion":"{loaded.shared.version}"}}'
        entries += [(base, loaded.shared.raw), (f"{base}.metadata", version.encode())]
    witnesses = configuration.parts.get(WITNESSES_ID)
    if witnesses is not None:  # whose keys prove checkpoints of logs, and the cosignatures on them
        entries.append((f"verificationconf/{configuration.instance}/{FILE_NAMES[WITNESSES_ID]}", witnesses))
    entries.append(("verificationconf/instance-identifier", configuration.instance.encode()))
    return render_zip(entries, _MOMENT, deflate=True)
