"""Publishing: all versions of both sources signed, and put in force by one assignment.

A generation is complete in memory before anything of it is served, so a crash or a failure leaves the old one or the new
one and never a mixture. Parts of earlier generations stay for as long as a directory that lists them may be in use.
"""

from __future__ import annotations

import hashlib
import secrets
import string
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from aiohttp import web

from central_server.generate import build_private, build_shared
from central_server.store import SOURCES
from certs.algorithms import SignatureAlgorithm
from certs.configuration import sign_directory
from schemas.globalconf.directory import SHA512_URI, Directory, DirectoryPart
from schemas.globalconf.parts import FILE_NAMES, PRIVATE_ID, SHARED_ID
from schemas.globalconf.private import render_private
from schemas.globalconf.shared import VERSIONS, render_shared

if TYPE_CHECKING:
    from central_server.registry import Registry
    from central_server.store import CentralStore
    from certs.softtoken import SoftToken

_ALPHABET = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class Publication:
    """One complete generation: directories by (source, version), parts by path."""

    at: datetime
    directories: dict[tuple[str, int], bytes]
    parts: dict[str, bytes]
    content_digest: bytes


@dataclass(slots=True)
class Published:
    """What is served: the generation in force and the parts of those before."""

    current: Publication | None = None
    older: list[Publication] = field(default_factory=list)

    def put_in_force(self, fresh: Publication, keep: timedelta) -> None:
        """Serve ``fresh`` from now on."""
        if self.current is not None:
            self.older.append(self.current)
        self.current = fresh
        self.older = [p for p in self.older if fresh.at - p.at < keep]

    def part(self, path: str) -> bytes | None:
        """A part of this generation or of one before it."""
        for publication in (self.current, *self.older):
            if publication is not None and path in publication.parts:
                return publication.parts[path]
        return None


async def make_publication(
    registry: Registry, store: CentralStore, token: SoftToken, now: datetime
) -> Publication:
    """Every version of both sources, signed. Raises before anything is published when any of them fails."""
    keys = {source: store.signing_keys(source) for source in SOURCES}
    certificates = {source: [k.certificate for k in found] for source, found in keys.items()}
    stamp = now.strftime("%Y%m%d%H%M%S%f") + "000"
    private = render_private(build_private(registry))
    directories: dict[tuple[str, int], bytes] = {}
    parts: dict[str, bytes] = {}
    content = hashlib.sha256(private)
    for version in VERSIONS:
        shared = render_shared(
            build_shared(registry, version, certificates["internal"], certificates["external"]), version
        )
        content.update(shared)
        files = {SHARED_ID: shared, PRIVATE_ID: private}
        listed = {}
        for content_id, raw in files.items():
            path = f"/V{version}/{stamp}/{FILE_NAMES[content_id]}"
            parts[path] = raw
            listed[content_id] = DirectoryPart(
                content_id, registry.instance, path, SHA512_URI, hashlib.sha512(raw).digest()
            )
        expires = (now + timedelta(seconds=registry.expire_interval_s)).replace(microsecond=0)
        for source in SOURCES:
            key = keys[source][0]
            chosen = (listed[SHARED_ID], listed[PRIVATE_ID]) if source == "internal" else (listed[SHARED_ID],)
            directories[source, version] = await sign_directory(
                Directory(version, expires, chosen),
                token,
                key.key_id,
                SignatureAlgorithm.for_key(token.public_key(key.key_id)),
                key.certificate,
                (_boundary(), _boundary()),
            )
    return Publication(now, directories, parts, content.digest())


def _boundary() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(20))


def add_routes(app: web.Application, published: Published) -> None:
    """Serve what is published, as clients of the global configuration ask for it."""

    async def give_directory(request: web.Request) -> web.Response:
        source = request.match_info["source"]
        version = request.query.get("version", "2")
        current = published.current
        if current is None:
            return web.Response(status=503, text="no configuration has been published yet")
        if not (version.isascii() and version.isdigit()) or (source, int(version)) not in current.directories:
            return web.Response(status=404)
        body = current.directories[source, int(version)]
        etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers={"ETag": etag})
        return web.Response(
            body=body, headers={"Content-Type": "text/plain", "ETag": etag, "Cache-Control": "no-store"}
        )

    async def give_part(request: web.Request) -> web.Response:
        content = published.part(request.path)
        if content is None:
            return web.Response(status=404)
        return web.Response(
            body=content, headers={"Content-Type": "application/xml", "Cache-Control": "no-store"}
        )

    app.router.add_get("/{source:internal|external}conf", give_directory)
    app.router.add_get("/{version:V[0-9]+}/{stamp}/{file}", give_part)
