"""A configuration that somebody else publishes, fetched, proved whole, and signed anew.

1. Each version of the source's directory is fetched and verified by the anchor. 2. Each part it lists is fetched, unless it is the
one at hand already, and must have its digest. 3. A directory of the same parts is signed with the proxy's own key; it expires when the
source's does, or earlier, never later: a proxy cannot make an old configuration look fresh. 4. All of it is put on the disk and in
force as a central server does it: whole or not at all.

What cannot be proved is not published: the last generation stays in force until it expires, and the reason is told.

Spec: X-Road's configuration proxy (UG-CP); PR-GCONF for the directory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import aiohttp

from central_server.edges.federation import get_bounded
from central_server.publication.publish import (
    Publication,
    PublishedPart,
    SourceKey,
    new_boundary,
    place_part,
    save_publication,
)
from certs.configuration import sign_directory, verify_directory
from schemas.faults import Fault, Kind, UnexpectedStatus
from schemas.globalconf.directory import SHA512_URI, Directory, DirectoryPart
from schemas.globalconf.parts import FILE_NAMES
from schemas.globalconf.shared import CURRENT_VERSION, MINIMUM_VERSION
from serving.process.failing import text_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta
    from pathlib import Path

    from central_server.publication.publish import Published
    from certs.tokens.port import Signer
    from schemas.globalconf.anchor import Anchor, AnchorSource

# What the proxy serves is an internal source to those who hold its anchor, whatever its own source is.
SOURCE = "internal"
# As long as a directory that lists an earlier part may be in use.
_KEPT_GENERATIONS = 3


@dataclass(frozen=True)
class Relay:
    """Everything a round is given. ``validity`` bounds what is published, besides the source's own expiry."""

    anchor: Anchor
    key: SourceKey
    signer: Signer
    folder: Path
    published: Published
    now: Callable[[], datetime]
    validity: timedelta

    async def relay(self, session: aiohttp.ClientSession) -> Publication:
        """One round: fetch from the first source that can be proved, sign, and publish. Raises `Fault` with every reason."""
        failures = []
        for source in self.anchor.sources:
            try:
                fetched = await self._fetch(session, source)
            except (TimeoutError, Fault, aiohttp.ClientError, OSError, ValueError) as err:
                failures.append(f"{source.download_url}: {text_of(err)}")
                continue
            fresh = await self._sign(fetched)
            save_publication(fresh, self.folder)
            self.published.put_in_force(fresh, self.validity * _KEPT_GENERATIONS)
            return fresh
        raise Fault(
            Kind.GLOBAL_CONF_DOWNLOAD_FAILED,
            f"the configuration of {self.anchor.instance} could not be proved: " + "; ".join(failures),
        )

    async def _fetch(
        self, session: aiohttp.ClientSession, source: AnchorSource
    ) -> dict[int, tuple[Directory, tuple[PublishedPart, ...]]]:
        """Every version that the source has, with its parts."""
        found = {}
        for version in range(MINIMUM_VERSION, CURRENT_VERSION + 1):
            status, raw = await get_bounded(session, f"{source.download_url}?version={version}")
            if status == 404:
                continue
            if status != 200:
                raise UnexpectedStatus(status, f"200 was expected for version {version}")
            directory = verify_directory(raw, source.verification_certificates, self.now())
            if directory.version != version:
                continue  # a server that knows no versions answers all alike
            found[version] = (directory, await self._parts(session, source.download_url, directory))
        if not found:
            raise Fault(
                Kind.GLOBAL_CONF_DOWNLOAD_FAILED,
                f"the source has no version from {MINIMUM_VERSION} to {CURRENT_VERSION}",
            )
        return found

    async def _parts(
        self, session: aiohttp.ClientSession, url: str, directory: Directory
    ) -> tuple[PublishedPart, ...]:
        current = self.published.current
        before = (
            {} if current is None else {p.content_id: p for p in current.parts.get(directory.version, ())}
        )
        parts = []
        for listed in directory.parts:
            known = before.get(listed.content_id)
            if known is not None and _is_same(listed, known):
                parts.append(known)
                continue
            status, content = await get_bounded(session, urljoin(url, listed.location))
            if status != 200:
                raise UnexpectedStatus(status, f"200 was expected for {listed.location}")
            listed.check(content)
            parts.append(self._placed(listed, directory.version, content))
        return tuple(parts)

    def _placed(self, listed: DirectoryPart, version: int, content: bytes) -> PublishedPart:
        name = FILE_NAMES.get(listed.content_id) or listed.location.rpartition("/")[2]
        return place_part(listed.content_id, name, version, content, self.now())

    async def _sign(self, fetched: dict[int, tuple[Directory, tuple[PublishedPart, ...]]]) -> Publication:
        now, directories, parts = self.now(), {}, {}
        for version, (theirs, placed) in fetched.items():
            instances = {p.content_id: p.instance for p in theirs.parts}
            listed = tuple(
                DirectoryPart(p.content_id, instances[p.content_id], p.path, SHA512_URI, p.digest)
                for p in placed
            )
            expires = min(theirs.expires_at, (now + self.validity).replace(microsecond=0))
            directories[SOURCE, version] = await sign_directory(
                Directory(version, expires, listed),
                self.signer,
                self.key.key_id,
                self.key.algorithm,
                self.key.certificate,
                (new_boundary(), new_boundary()),
            )
            parts[version] = placed
        return Publication(now, directories, parts)


def _is_same(listed: DirectoryPart, known: PublishedPart) -> bool:
    """Whether a listed part is the one at hand."""
    try:
        listed.check(known.content)
    except Fault:
        return False
    return True
