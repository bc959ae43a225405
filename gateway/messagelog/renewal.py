"""Archives kept for decades: stamped anew before the authority, its certificate or its algorithm that proves them ends.

A renewal is three files in ``renewals`` beside the archives. ``renewal-0001.sha512`` lists every archive and every file of the
renewals before, as ``sha512sum --check`` reads it from the archives' folder; ``renewal-0001.tst`` is a timestamp token (RFC 3161)
over that list; ``renewal-0001.conf.zip``, which the list names too, is the configuration that the token's authority is approved
by. So each renewal proves that the ones before it existed while what proves them was still good, back to the first, whose
configuration the containers are judged by. Nobody needs this software to repeat it.

The newest is judged by the configuration of whoever asks, at the time they ask; an older one by its own, at the time of the next.

Spec: the idea of RFC 4998 5.2 (timestamp renewal), written as files that openssl and coreutils read.
"""

from __future__ import annotations

import hashlib
import io
import re
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from certs.configuration import TrustedConfiguration
from certs.edges.configurationfiles import render_verificationconf
from certs.edges.tokenfiles import write_whole
from certs.verify.chain import check_valid_at
from certs.verify.timestamp import check_token
from schemas.faults import Fault, Kind, NotProved
from schemas.message import digest_of
from schemas.showing import shown
from schemas.zipreading import open_zip

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from datetime import datetime
    from pathlib import Path

    from certs.verify.timestamp import Timestamp

FOLDER = "renewals"
_LIST, _TOKEN, _CONFIGURATION = ".sha512", ".tst", ".conf.zip"
_NAME = re.compile(r"renewal-([0-9]{4})\.sha512")
_LINE = re.compile(r"([0-9a-f]{128})  ([A-Za-z0-9_.+%/-]{1,255})")
_LARGEST_TOKEN, _LARGEST_LIST, _LARGEST_FILE = 256 * 1024, 64 * 1024 * 1024, 64 * 1024 * 1024


class Renewal(msgspec.Struct, frozen=True):
    """One renewal that is proved: its number, when it was stamped, until when its authority's certificate holds."""

    number: int
    at: datetime
    authority: str
    until: datetime


class RenewalsVerdict(msgspec.Struct, frozen=True):
    """Renewals, oldest first, and what they say of the archives; ``first`` judges the containers in them.

    ``unprotected`` archives came after the newest renewal; ``gone`` ones stood in an older list and do not in the newest.
    """

    renewals: tuple[Renewal, ...]
    first: TrustedConfiguration
    unprotected: tuple[str, ...]
    gone: tuple[str, ...]


async def renew(
    archives: Path, configuration: TrustedConfiguration, stamp: Callable[[bytes], Awaitable[bytes]]
) -> Path:
    """Stamp the archives of a folder, and all renewals before, anew; the list of the renewal made.

    ``stamp`` gives a token over a SHA-512 digest. Raises `Fault` and OSError; what was begun counts for nothing then.
    """
    folder = archives / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    number = max(_numbers(folder), default=0) + 1
    base = folder / f"renewal-{number:04d}"
    # On disk after each of the three: one more file of this number, which counts for nothing before its token is there.
    write_whole(base.with_suffix(_CONFIGURATION), render_verificationconf(configuration))
    names = [*_archives(archives), *(f"{FOLDER}/{name}" for name in _renewal_files(number))]
    listed = "".join(f"{_digest(archives / name)}  {name}\n" for name in names).encode()
    write_whole(base.with_suffix(_LIST), listed)
    token = await stamp(digest_of(listed))
    # On disk: configuration and list. A crash here leaves a number without a token, which the next renewal takes over.
    write_whole(base.with_suffix(_TOKEN), token)
    return base.with_suffix(_LIST)


def verify_renewals(archives: Path, configuration: TrustedConfiguration, at: datetime) -> RenewalsVerdict:
    """Prove the renewals of a folder at a time, the newest by ``configuration``. Raises `Fault` and OSError.

    For each, newest first: 1. its list is well formed and names the three files of the renewal before and its own configuration;
    2. every file on the newest list has its digest, and every renewal's on the list that names it; 3. the token is over the list,
    by an authority of the configuration that judges it, whose certificate held when it stamped and still held when the next one
    did (the newest: holds now).
    """
    folder = archives / FOLDER
    numbers = _numbers(folder) if folder.is_dir() else []
    if not numbers:
        raise _refused("there is no renewal in it")
    if numbers != list(range(1, len(numbers) + 1)):
        raise _refused(f"its renewals are {numbers}; every number from 1 on was expected")
    found: list[Renewal] = []
    newest = _read_list(folder, numbers[-1])
    ever, digests = set(newest), dict[str, str]()
    judge, moment = configuration, at
    for number in reversed(numbers):
        listed = newest if number == numbers[-1] else _read_list(folder, number)
        _check_files(archives, number, listed, digests, whole=listed is newest)
        stamp = _check_stamp(folder, number, judge, moment)
        found.append(_renewal(number, stamp))
        ever |= set(listed)
        # The files of the renewal before were just proved to have been there at this stamp.
        judge, moment = _configuration_of(folder, max(1, number - 1)), stamp.at
    return RenewalsVerdict(
        tuple(reversed(found)),
        judge,
        tuple(name for name in _archives(archives) if name not in newest),
        tuple(sorted(ever - set(newest))),
    )


def _renewal(number: int, stamp: Timestamp) -> Renewal:
    return Renewal(
        number, stamp.at, stamp.authority.subject.rfc4514_string(), stamp.authority.not_valid_after_utc
    )


def _check_files(
    archives: Path, number: int, listed: Mapping[str, str], known: dict[str, str], *, whole: bool
) -> None:
    needed = {f"{FOLDER}/{name}" for name in _renewal_files(number)}
    if missing := needed - set(listed):
        raise _refused(f"renewal {number} does not list {min(missing)}")
    for name in listed if whole else needed:
        if name not in known:
            try:
                known[name] = _digest(archives / name)
            except FileNotFoundError:
                raise _refused(f"renewal {number} lists {shown(name)}, which is not there") from None
        if known[name] != listed[name]:
            raise _refused(f"{shown(name)} is not what renewal {number} was stamped over")


def _check_stamp(folder: Path, number: int, judge: TrustedConfiguration, moment: datetime) -> Timestamp:
    base = folder / f"renewal-{number:04d}"
    try:
        token = _bounded(base.with_suffix(_TOKEN), _LARGEST_TOKEN)
        content = _bounded(base.with_suffix(_LIST), _LARGEST_LIST)
        stamp = check_token(token, digest_of(content), judge.tsa_certificates())
        check_valid_at(stamp.authority, stamp.at)
        check_valid_at(stamp.authority, moment)
    except NotProved as fault:
        raise _refused(f"renewal {number} is not proved at {moment:%Y-%m-%d}: {fault.detail}") from fault
    if stamp.at > moment:
        raise _refused(
            f"renewal {number} was stamped at {stamp.at:%Y-%m-%d}, later than what it is judged at ({moment:%Y-%m-%d})"
        )
    return stamp


def _read_list(folder: Path, number: int) -> dict[str, str]:
    """Names with their digests."""
    text = _bounded(folder / f"renewal-{number:04d}{_LIST}", _LARGEST_LIST).decode("ascii", "replace")
    found: dict[str, str] = {}
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        if match is None or match[2] in found or ".." in match[2].split("/") or match[2].startswith("/"):
            raise _refused(f"the list of renewal {number} has a line that is none: {shown(line, 80)}")
        found[match[2]] = match[1]
    return found


def _configuration_of(folder: Path, number: int) -> TrustedConfiguration:
    raw = _bounded(folder / f"renewal-{number:04d}{_CONFIGURATION}", _LARGEST_FILE)
    archive = open_zip(io.BytesIO(raw))
    prefix = "verificationconf/"
    files = {n.removeprefix(prefix): archive.read(n, _LARGEST_FILE) for n in archive.names}
    return TrustedConfiguration.load(files, strict=False)


def _renewal_files(number: int) -> list[str]:
    """The files that the list of a renewal names besides the archives: all of those before, and its own configuration."""
    before = [f"renewal-{n:04d}{kind}" for n in range(1, number) for kind in (_LIST, _TOKEN, _CONFIGURATION)]
    return [*before, f"renewal-{number:04d}{_CONFIGURATION}"]


def _numbers(folder: Path) -> list[int]:
    """The renewals that have their token, in order."""
    found = [int(match[1]) for p in folder.iterdir() if (match := _NAME.fullmatch(p.name))]
    return sorted(n for n in found if (folder / f"renewal-{n:04d}{_TOKEN}").exists())


def _archives(archives: Path) -> list[str]:
    return sorted(p.name for p in archives.iterdir() if p.is_file() and not p.name.startswith("."))


def _digest(path: Path) -> str:
    digest = hashlib.sha512()
    with path.open("rb") as file:
        for chunk in iter(partial(file.read, 1024 * 1024), b""):
            digest.update(chunk)
    return digest.hexdigest()


def _bounded(path: Path, largest: int) -> bytes:
    with path.open("rb") as file:
        content = file.read(largest + 1)
    if len(content) > largest:
        raise _refused(f"{path.name} has more than {largest} bytes")
    return content


def _refused(detail: str) -> Fault:
    return Fault(Kind.MALFORMED_SIGNATURE, f"the renewals of these archives do not hold: {detail}")
