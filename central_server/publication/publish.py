"""Publishing: all versions of both sources signed, put on the disk whole, and in force by one assignment.

A generation is complete in memory before anything of it is served, so a failure leaves the old one or the new one and
never a mixture. On the disk, parts are files named by their digest and one manifest names the generation in force; it is
exchanged whole and last, so a crash at any point leaves the old manifest with all its parts or the new one with all of
its own. A restarted server serves what was in force at once, even while its token is still locked.

Parts of earlier generations stay for as long as a directory that lists them may be in use. While the registry stays as it
is, only the directories are signed anew; their parts keep their places.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import string
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from aiohttp import web

from central_server.publication.generate import build_private, build_shared
from central_server.registry.appointing import appoint
from central_server.store.sources import SOURCES
from certs.algorithms import SignatureAlgorithm
from certs.configuration import sign_directory
from certs.edges.tokenfiles import write_whole
from schemas.globalconf.directory import SHA512_URI, Directory, DirectoryPart
from schemas.globalconf.parts import FILE_NAMES, PRIVATE_ID, SHARED_ID, WITNESSES_ID
from schemas.globalconf.private import render_private
from schemas.globalconf.shared import VERSIONS
from schemas.globalconf.sharedwriting import oldest_same, render_shared
from schemas.globalconf.witnesses import render_appointments
from schemas.jsontext import dump_json, load_json
from schemas.numbers import whole_number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from central_server.registry.model import Registry
    from central_server.store.sources import SigningKey
    from certs.tokens.port import KeyId, Signer
    from schemas.globalconf.shared import SharedParameters

_ALPHABET = string.ascii_letters + string.digits
_MANIFEST = "published.json"


@dataclass(frozen=True, slots=True)
class GeneratedPart:
    """A part of one version: which it is, its file name, its bytes."""

    content_id: str
    file_name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Generated:
    """Every part of every version, made from one registry: nothing signed yet. Internal parts, shared first."""

    instance: str
    expire_interval_s: int
    parts: Mapping[int, tuple[GeneratedPart, ...]]


@dataclass(frozen=True, slots=True)
class PublishedPart:
    """A part with the path it is served at and its SHA-512 digest (64 raw bytes)."""

    content_id: str
    file_name: str
    path: str
    digest: bytes
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Publication:
    """One complete generation: directories by (source, version), parts by version."""

    at: datetime
    directories: dict[tuple[str, int], bytes]
    parts: dict[int, tuple[PublishedPart, ...]]

    def part(self, path: str) -> PublishedPart | None:
        """The part at a path of this generation; None when it has none there."""
        return next((p for parts in self.parts.values() for p in parts if p.path == path), None)


@dataclass(slots=True)
class Published:
    """The files that are served: the generation in force and the parts of those before."""

    current: Publication | None = None
    older: list[Publication] = field(default_factory=list)

    def put_in_force(self, fresh: Publication, keep: timedelta) -> None:
        """Serve ``fresh`` from now on; parts of publications younger than ``keep`` stay to be had."""
        if self.current is not None:
            self.older.append(self.current)
        self.current = fresh
        self.older = [p for p in self.older if fresh.at - p.at < keep]

    def part(self, path: str) -> bytes | None:
        """The bytes of the part at a path, of this generation or of one before it; None when there is none."""
        for publication in (self.current, *self.older):
            found = None if publication is None else publication.part(path)
            if found is not None:
                return found.content
        return None


def generate(registry: Registry, versions: Sequence[int] = VERSIONS, witnesses: int = 0) -> Generated:
    """Every part of every version: pure, and the slow half of publishing. ``witnesses`` gateways cosign each log."""
    private = GeneratedPart(PRIVATE_ID, FILE_NAMES[PRIVATE_ID], render_private(build_private(registry)))
    optional = tuple(GeneratedPart(*part) for part in registry.parts)
    appointed = appoint(registry, witnesses)
    if appointed.logs:
        optional += (GeneratedPart(WITNESSES_ID, FILE_NAMES[WITNESSES_ID], render_appointments(appointed)),)
    parts = {}
    built: dict[bool, SharedParameters] = {}
    rendered: dict[int, bytes] = {}
    for version in versions:
        is_first = version == VERSIONS[0]  # with its own digest of certificates
        if is_first not in built:
            built[is_first] = build_shared(registry, version)
        same = oldest_same(built[is_first], version)
        if same not in rendered:
            rendered[same] = render_shared(built[is_first], same)
        shared = rendered[same]
        parts[version] = (GeneratedPart(SHARED_ID, FILE_NAMES[SHARED_ID], shared), private, *optional)
    return Generated(registry.instance, registry.expire_interval_s, parts)


@dataclass(frozen=True, slots=True)
class SourceKey:
    """The active key of a source, with its certificate (DER) and the algorithm that it signs by."""

    key_id: KeyId
    certificate: bytes
    algorithm: SignatureAlgorithm


def source_key(key: SigningKey, public_key: object, *, pss: bool = False) -> SourceKey:
    """A signing key ready to sign; ``public_key`` decides the algorithm, and ``pss`` of an RSA key how it signs."""
    algorithm = SignatureAlgorithm.for_key(public_key, pss=pss)  # type: ignore[arg-type]
    return SourceKey(key.key_id, key.certificate, algorithm)


async def sign_publication(
    generated: Generated,
    keys: Mapping[str, SourceKey],
    signer: Signer,
    now: datetime,
    before: Publication | None = None,
) -> Publication:
    """Sign every directory. Parts that are as they were in ``before`` keep their paths. Raises `TokenFailed`."""
    stamp = _stamp(now)
    expires = (now + timedelta(seconds=generated.expire_interval_s)).replace(microsecond=0)
    directories: dict[tuple[str, int], bytes] = {}
    parts: dict[int, tuple[PublishedPart, ...]] = {}
    for version, made in generated.parts.items():
        old = {} if before is None else {p.content_id: p for p in before.parts.get(version, ())}
        parts[version] = tuple(_place(part, version, stamp, old.get(part.content_id)) for part in made)
        for source in SOURCES:
            listed = tuple(
                DirectoryPart(p.content_id, generated.instance, p.path, SHA512_URI, p.digest)
                for p in parts[version]
                if source == "internal" or p.content_id == SHARED_ID
            )
            key = keys[source]
            directories[source, version] = await sign_directory(
                Directory(version, expires, listed),
                signer,
                key.key_id,
                key.algorithm,
                key.certificate,
                (new_boundary(), new_boundary()),
            )
    return Publication(now, directories, parts)


def _place(made: GeneratedPart, version: int, stamp: str, old: PublishedPart | None) -> PublishedPart:
    digest = hashlib.sha512(made.content).digest()
    if old is not None and old.digest == digest and old.file_name == made.file_name:
        return old
    return _at(made.content_id, made.file_name, f"/V{version}/{stamp}/{made.file_name}", made.content)


def place_part(content_id: str, file_name: str, version: int, content: bytes, now: datetime) -> PublishedPart:
    """A part with its digest, at ``/V<version>/<moment>/<file name>``."""
    return _at(content_id, file_name, f"/V{version}/{_stamp(now)}/{file_name}", content)


def _at(content_id: str, file_name: str, path: str, content: bytes) -> PublishedPart:
    return PublishedPart(content_id, file_name, path, hashlib.sha512(content).digest(), content)


def _stamp(now: datetime) -> str:
    return now.strftime("%Y%m%d%H%M%S%f") + "000"


def new_boundary() -> str:
    """A boundary between the parts of a directory: 20 random letters and digits."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(20))


# On the disk


def save_publication(
    publication: Publication, folder: Path, reached: Callable[[str], None] = lambda _point: None
) -> None:
    """Put a generation on the disk. ``reached`` is told of every commit point, for those who test crashes there."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for part in {p.digest: p for parts in publication.parts.values() for p in parts}.values():
        target = folder / part.digest.hex()
        if not target.exists():
            write_whole(target, part.content)
            reached("part")  # the old manifest is in force; a part nobody names yet is on the disk
    manifest = {
        "at": publication.at.isoformat(),
        "directories": [
            {"source": s, "version": v, "directory": base64.b64encode(raw).decode("ascii")}
            for (s, v), raw in publication.directories.items()
        ],
        "parts": [
            {
                "version": version,
                "id": p.content_id,
                "file": p.file_name,
                "path": p.path,
                "digest": p.digest.hex(),
            }
            for version, parts in publication.parts.items()
            for p in parts
        ],
    }
    reached("parts")  # the old manifest is in force; every part of the new one is there
    write_whole(folder / _MANIFEST, dump_json(manifest).encode())
    reached("manifest")  # the new one is in force; parts of older ones may be left
    named = {p.digest.hex() for parts in publication.parts.values() for p in parts}
    for path in folder.iterdir():
        if path.name != _MANIFEST and path.name not in named:
            path.unlink()
            reached(
                "removed"
            )  # the new one is in force; what is left of older ones goes with the next generation


def load_publication(folder: Path) -> Publication | None:
    """The generation on the disk, or None. Raises ValueError when it is damaged."""
    path = folder / _MANIFEST
    if not path.exists():
        return None
    try:
        return _load(folder, load_json(path.read_bytes()))
    except (LookupError, TypeError, AttributeError, RecursionError, OSError) as err:
        raise ValueError(f"the publication in {path} is damaged: {type(err).__name__}: {err}") from err


def _load(folder: Path, manifest: Any) -> Publication:
    parts: dict[int, list[PublishedPart]] = {}
    for entry in manifest["parts"]:
        content = (folder / entry["digest"]).read_bytes()
        digest = hashlib.sha512(content).digest()
        if digest.hex() != entry["digest"]:
            raise ValueError(f"the published part {entry['path']} in {folder} is damaged")
        part = PublishedPart(entry["id"], entry["file"], entry["path"], digest, content)
        parts.setdefault(int(entry["version"]), []).append(part)
    directories = {
        (e["source"], int(e["version"])): base64.b64decode(e["directory"]) for e in manifest["directories"]
    }
    at = datetime.fromisoformat(manifest["at"])
    return Publication(at, directories, {v: tuple(found) for v, found in parts.items()})


# Over HTTP


def add_routes(app: web.Application, published: Published) -> None:
    """Serve what is published, as clients of the global configuration ask for it."""
    add_directory_route(app, published)
    add_part_route(app, [published])


def add_directory_route(app: web.Application, published: Published, prefix: str = "") -> None:
    """Serve the directories below a prefix, such as ``/other``; their parts are at places of their own (`add_part_route`)."""

    async def give_directory(request: web.Request) -> web.Response:
        source = request.match_info["source"]
        version = request.query.get("version", "2")
        current = published.current
        if current is None:
            return web.Response(status=503, text="no configuration has been published yet")
        number = whole_number(version)
        if number is None or (source, number) not in current.directories:
            return web.Response(status=404)
        body = current.directories[source, number]
        etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers={"ETag": etag})
        return web.Response(
            body=body, headers={"Content-Type": "text/plain", "ETag": etag, "Cache-Control": "no-store"}
        )

    app.router.add_get(prefix + "/{source:internal|external}conf", give_directory)


def add_part_route(app: web.Application, publishers: Sequence[Published]) -> None:
    """Serve the parts of whatever is published; a part's place holds the moment it was placed, to the microsecond."""

    async def give_part(request: web.Request) -> web.Response:
        found = (published.part(request.path) for published in publishers)
        content = next((part for part in found if part is not None), None)
        if content is None:
            return web.Response(status=404)
        return web.Response(
            body=content, headers={"Content-Type": "application/xml", "Cache-Control": "no-store"}
        )

    app.router.add_get("/{version:V[0-9]+}/{stamp}/{file}", give_part)
