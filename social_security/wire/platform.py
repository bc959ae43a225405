"""The national transparency platform, as an adapter: records of requests are handed over, and each is acknowledged.

Edge. Two hand-overs: by API (one POST a record) and by file (a record in ``salida/``, its acknowledgement expected in
``acuses/``). An acknowledgement repeats the record's SHA-256; another digest, or none, is no acknowledgement, and the
record is handed over again. A record holds folio, member, right, state and dates: nothing of the person.

Spec: the domain reference F22 (a file or API hand-over with acknowledgements); LGTAIP 44 to 46.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import aiohttp

from serving.entrance import load_json, write_whole
from social_security.domain.eventchain import canonical
from social_security.wire.answers import read_answer

if TYPE_CHECKING:
    from collections.abc import Mapping

PLATFORM: Final = "plataforma-nacional"
TIMEOUT_S: Final = 20.0


class Platform(Protocol):
    """The national platform to which records of ARCO requests are handed."""

    @property
    def is_set(self) -> bool:
        """Whether there is a platform at all."""
        ...

    async def hand_over(self, record: Mapping[str, Any]) -> bool:
        """Hand a record over; whether it has been acknowledged."""
        ...


class NoPlatform:
    """No platform: nothing is handed over."""

    is_set = False

    async def hand_over(self, record: Mapping[str, Any]) -> bool:
        """Acknowledge nothing, since there is no platform: False."""
        return False


class ApiPlatform:
    """A platform that takes a record by POST and answers ``{"acuse": ..., "sha256": ...}``."""

    is_set = True

    def __init__(self, url: str) -> None:
        self._url = url

    async def hand_over(self, record: Mapping[str, Any]) -> bool:
        """Post a record as canonical JSON; whether the platform acknowledged that very record."""
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.post(
                    self._url,
                    data=canonical(record),
                    headers={"Content-Type": "application/json"},
                    allow_redirects=False,
                ) as answer,
            ):
                return answer.status < 300 and _acknowledges(record, await read_answer(answer))
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return False


class FolderPlatform:
    """A platform that is served by files, written whole."""

    is_set = True

    def __init__(self, folder: Path) -> None:
        self._out, self._in = folder / "salida", folder / "acuses"

    async def hand_over(self, record: Mapping[str, Any]) -> bool:
        """Write it once; acknowledged when a file of its name says so."""
        name = f"{record['folio']}-{record['miembro'].rpartition('/')[2]}-{record['numero']}.json"
        file = self._out / name
        if not file.exists():
            self._out.mkdir(parents=True, exist_ok=True)
            self._in.mkdir(parents=True, exist_ok=True)
            # Under its name when it is on disk whole: the platform never fetches a part. A crash before leaves it to be written again.
            write_whole(file, canonical(record), mode=0o644)
        answer = self._in / name
        return answer.exists() and _acknowledges(record, answer.read_bytes())


def open_platform(where: str) -> Platform:
    """The adapter for a setting: an address, a folder, or nothing."""
    if not where:
        return NoPlatform()
    if where.startswith(("http://", "https://")):
        return ApiPlatform(where)
    return FolderPlatform(Path(where))


def record_digest(record: Mapping[str, Any]) -> str:
    """The digest that an acknowledgement repeats."""
    return hashlib.sha256(canonical(record)).hexdigest()


def _acknowledges(record: Mapping[str, Any], answer: bytes) -> bool:
    try:
        value = load_json(answer)
    except ValueError:
        return False
    return (
        isinstance(value, dict) and bool(value.get("acuse")) and value.get("sha256") == record_digest(record)
    )
