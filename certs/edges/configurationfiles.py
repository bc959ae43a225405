"""A stored configuration on disk, in the layout X-Road's configuration client writes and its asic-verifier reads."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from certs.configuration import TrustedConfiguration
from certs.edges.profilefiles import load_profiles
from schemas.faults import BadMessage, Fault, Kind
from schemas.globalconf.parts import FILE_NAMES, SHARED_ID, WITNESSES_ID
from schemas.zipreading import open_zip
from schemas.zipwriting import deflated, render_zip

if TYPE_CHECKING:
    from pathlib import Path

    from certs.profiles import CertificateProfiles

_LARGEST = 64 * 1024 * 1024
_ROOT = "verificationconf/"
# The files have no time of their own; the same configuration gives the same zip.
_MOMENT = datetime(1980, 1, 1, tzinfo=UTC)


def read_configuration_files(place: Path) -> dict[str, bytes]:
    """Every file of a configuration folder by its relative name, one level of instance folders deep.

    ``place`` is the folder, or the zip that ``GET /verificationconf`` gives. Raises `Fault` (``malformed_global_conf``).
    """
    if place.is_file():
        return _without_root(_read_zip(place))
    if not place.is_dir():
        raise Fault(Kind.MALFORMED_GLOBAL_CONF, f"{place} is not a configuration folder: nothing is there")
    files = {
        path.relative_to(place).as_posix(): path.read_bytes()
        for path in sorted((*place.glob("*"), *place.glob("*/*"), *place.glob(f"{_ROOT}*/*")))
        if path.is_file() and path.stat().st_size <= _LARGEST
    }
    return _without_root(files)


def _read_zip(file: Path) -> dict[str, bytes]:
    left = _LARGEST
    files: dict[str, bytes] = {}
    try:
        with file.open("rb") as source:
            found = open_zip(source)
            for name in found.names:
                files[name] = found.read(name, left)
                left -= len(files[name])
    except BadMessage as err:
        text = f"{file} is not a configuration folder, nor a zip of one as GET /verificationconf gives it: {err.detail}"
        raise Fault(Kind.MALFORMED_GLOBAL_CONF, text) from err
    return files


def _without_root(files: dict[str, bytes]) -> dict[str, bytes]:
    """The files as they lie in a folder; what /verificationconf gives has everything one folder further down."""
    if "instance-identifier" in files or f"{_ROOT}instance-identifier" not in files:
        return {name: content for name, content in files.items() if name.count("/") <= 1}
    return {n.removeprefix(_ROOT): content for n, content in files.items() if n.startswith(_ROOT)}


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
        base = f"{_ROOT}{name}/{FILE_NAMES[SHARED_ID]}"
        version = f'{{"configurationVersion":"{loaded.shared.version}"}}'
        entries += [(base, loaded.shared.raw), (f"{base}.metadata", version.encode())]
    witnesses = configuration.parts.get(WITNESSES_ID)
    if witnesses is not None:  # whose keys prove checkpoints of logs, and the cosignatures on them
        entries.append((f"{_ROOT}{configuration.instance}/{FILE_NAMES[WITNESSES_ID]}", witnesses))
    entries.append((f"{_ROOT}instance-identifier", configuration.instance.encode()))
    return render_zip(entries, _MOMENT, deflated)
