"""The signed container (ASiC-E as X-Road writes it): message, signature, hash chains, timestamp, bodies in one zip.

Reading is strict about the zip (`schemas.zipreading`) and tolerant of what X-Road writes in one (deflated ``mimetype``, any
order, of which it remarks): each missing piece is named by its own code. Bodies are given as SHA-512 digests, computed as they are read, never held whole.

Spec: ETSI TS 102 918; PR-SIGDOC 3; X-Road 7.8's asic-core.
"""

from __future__ import annotations

import hashlib
import io
import re
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING
from urllib.parse import quote_plus

from schemas.asic.manifest import (
    MIMETYPE,
    TIMESTAMP,
    TIMESTAMPED,
    check_asic_manifest,
    check_manifest,
    is_body,
    render_asic_manifest,
    render_manifest,
)
from schemas.asic.withheld import MESSAGE_URI, Withheld, parse_withheld, render_withheld
from schemas.faults import BadMessage, Kind
from schemas.message import digest_of
from schemas.showing import shown
from schemas.zipreading import open_zip
from schemas.zipwriting import ZipWriter, deflated, stored

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from schemas.zipreading import Zip
    from schemas.zipwriting import MakeEntry, PackedEntry

_MESSAGE = "message.xml"
_SIGNATURE = "META-INF/signatures.xml"
_SIG_RESULT = "sig-hashchainresult.xml"
_SIG_CHAIN = "sig-hashchain.xml"
_TS_CHAIN = "ts-hashchain.xml"
_MANIFEST = "META-INF/manifest.xml"
_ASIC_MANIFEST = "META-INF/ASiCManifest.xml"
_FILES = {_MESSAGE, _SIG_RESULT, _SIG_CHAIN, TIMESTAMPED, _TS_CHAIN}
_WITHHELD = "META-INF/withheld.json"
_META = {"mimetype", _SIGNATURE, _MANIFEST, _ASIC_MANIFEST, TIMESTAMP, _WITHHELD}
_LARGEST_ENTRY = 16 * 1024 * 1024
_BEGINNING = 4096
# The message, its signature and what goes with them, and a thousand bodies.
_MOST_ENTRIES = 1024
_COMMENT = f"mimetype={MIMETYPE}".encode()
_BASE32 = "0123456789abcdefghijklmnopqrstuv"
_NAME = re.compile(r".+-(?:request|response)-([0-9a-v]{1,13})\.asice", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Container:
    """The parts of a container; ``attachments`` are SHA-512 digests by name (``attachment1`` ...).

    ``withheld`` says what is not, or not wholly, there; ``message`` is empty when that is the whole message.
    """

    message: bytes
    signature: bytes
    sig_hash_chain_result: bytes | None = None
    sig_hash_chain: bytes | None = None
    ts_hash_chain_result: bytes | None = None
    ts_hash_chain: bytes | None = None
    timestamp: bytes | None = None
    attachments: Mapping[str, bytes] = field(default_factory=dict)
    # How each attachment begins, as far as is needed to tell what it is.
    beginnings: Mapping[str, bytes] = field(default_factory=dict, compare=False)
    withheld: Withheld | None = None
    # What is to be said of the container's layout.
    remarks: tuple[str, ...] = field(default=(), compare=False)

    def signed_parts(self) -> tuple[tuple[str, bytes], ...]:
        """URI and SHA-512 of what the signature must be over, the message first; of what is withheld, the digest that is declared."""
        declared = {} if self.withheld is None else self.withheld.digests()
        digests = {
            MESSAGE_URI: digest_of(self.message),
            **{f"/{n}": d for n, d in self.attachments.items()},
            **declared,
        }
        return tuple(sorted(digests.items(), key=lambda part: _number(part[0])))


def write_container(
    out: IO[bytes],
    container: Container,
    at: datetime,
    bodies: Iterable[tuple[str, Iterable[bytes]]] = (),
    make: MakeEntry | None = None,
) -> None:
    """Write a container; ``bodies`` are (name, chunks), in order after the rest; chunks are drawn twice where they are many.

    ``make`` makes the files that records may have alike, `container_entry` if none is given: whoever writes many containers keeps some.
    """
    named = list(bodies)
    writer = ZipWriter(out)
    for name, content in _entries(container, [name for name, _ in named]):
        if content is not None:
            writer.add(name, content, at, stored if name == _MESSAGE else make or container_entry)
    for name, chunks in named:
        writer.add_chunks(name, chunks, at)
    writer.close(_COMMENT)


def container_entry(name: str, content: bytes, at: datetime) -> PackedEntry:
    """A file of a container. The signature is half of a small one and base64 throughout; to deflate the rest is not worth the time."""
    return (deflated if name == _SIGNATURE else stored)(name, content, at)


def _number(uri: str) -> int:
    """An attachment's number, 0 for the message; what is neither comes last."""
    if uri == MESSAGE_URI:
        return 0
    return int(uri.removeprefix("/attachment")) if is_body(uri[1:]) else 1 << 30


def render_container(container: Container, at: datetime, bodies: Iterable[tuple[str, bytes]] = ()) -> bytes:
    """A container whose bodies are in memory."""
    out = io.BytesIO()
    write_container(out, container, at, [(name, (content,)) for name, content in bodies])
    return out.getvalue()


def _entries(container: Container, bodies: list[str]) -> Iterable[tuple[str, bytes | None]]:
    files = [
        (_MESSAGE, container.message or None),
        (_SIG_RESULT, container.sig_hash_chain_result),
        (_SIG_CHAIN, container.sig_hash_chain),
        (TIMESTAMPED, container.ts_hash_chain_result),
        (_TS_CHAIN, container.ts_hash_chain),
    ]
    yield "mimetype", MIMETYPE.encode()
    yield files[0]
    yield _SIGNATURE, container.signature
    yield from files[1:]
    yield _MANIFEST, render_manifest([*(name for name, content in files if content is not None), *bodies])
    if container.timestamp is not None and container.ts_hash_chain_result is not None:
        yield _ASIC_MANIFEST, render_asic_manifest(container.ts_hash_chain_result)
        yield TIMESTAMP, container.timestamp
    if container.withheld is not None:
        yield _WITHHELD, render_withheld(container.withheld)


def read_container(source: IO[bytes]) -> Container:
    """Read a container. Raises `BadMessage`; what is not a zip reads as one without entries."""
    try:
        archive = open_zip(source, most_entries=_MOST_ENTRIES)
    except BadMessage as fault:
        raise BadMessage(
            Kind.ASIC_MIME_TYPE_NOT_FOUND, f"this is no signed container: {fault.detail}"
        ) from fault
    return _read(archive)


def parse_container(data: bytes) -> Container:
    """Read a container that is in memory. Raises `BadMessage`."""
    return read_container(io.BytesIO(data))


def _read(archive: Zip) -> Container:
    names = archive.names
    strange = [name for name in names if name not in _FILES | _META and not is_body(name)]

    def entry(name: str) -> bytes | None:
        return archive.read(name, _LARGEST_ENTRY) if name in archive.entries else None

    def needed(name: str, kind: Kind) -> bytes:
        content = entry(name)
        if content is None or not content.strip():
            raise BadMessage(kind, f"the container has no {name}")
        return content

    mimetype = needed("mimetype", Kind.ASIC_MIME_TYPE_NOT_FOUND)
    if mimetype != MIMETYPE.encode():
        raise BadMessage(Kind.ASIC_INVALID_MIME_TYPE, f"the container's mimetype is {mimetype[:80]!r}")
    if archive.comment not in (b"", _COMMENT):
        raise BadMessage(Kind.INVALID_MESSAGE, f"the container's comment is {archive.comment[:80]!r}")
    raw = entry(_WITHHELD)
    withheld = None if raw is None else parse_withheld(raw)
    bodies = {name: _look(archive, name) for name in names if is_body(name)}
    has_no_message = withheld is not None and MESSAGE_URI in withheld.digests() and _MESSAGE not in names
    container = Container(
        message=b"" if has_no_message else needed(_MESSAGE, Kind.ASIC_MESSAGE_NOT_FOUND),
        signature=needed(_SIGNATURE, Kind.ASIC_SIGNATURE_NOT_FOUND),
        sig_hash_chain_result=entry(_SIG_RESULT),
        sig_hash_chain=entry(_SIG_CHAIN),
        ts_hash_chain_result=entry(TIMESTAMPED),
        ts_hash_chain=entry(_TS_CHAIN),
        timestamp=entry(TIMESTAMP),
        attachments={name: digest for name, (digest, _) in bodies.items()},
        beginnings={name: beginning for name, (_, beginning) in bodies.items()},
        withheld=withheld,
        remarks=tuple(_remarks(archive)),
    )
    if strange:
        raise BadMessage(
            Kind.INVALID_MESSAGE, f"the container holds {shown(strange[0], 80)!r}, which nothing signs"
        )
    if (manifest := entry(_MANIFEST)) is not None:
        check_manifest(manifest, [name for name in names if name not in _META])
    if (covered := entry(_ASIC_MANIFEST)) is not None:
        check_asic_manifest(covered, container.ts_hash_chain_result)
    for result, chain in (
        (container.sig_hash_chain_result, container.sig_hash_chain),
        (container.ts_hash_chain_result, container.ts_hash_chain),
    ):
        if (result is None) != (chain is None):
            kind = Kind.ASIC_HASH_CHAIN_RESULT_NOT_FOUND if result is None else Kind.ASIC_HASH_CHAIN_NOT_FOUND
            raise BadMessage(kind, "the container has a hash chain or its result, but not both")
    return container


def _remarks(archive: Zip) -> Iterator[str]:
    """Remarks on the layout, a sentence each (ETSI EN 319 162-1): where an archive departs from it, which changes nothing that is proved."""
    if archive.names[0] != "mimetype":
        yield "mimetype is not the first entry"
    if _MANIFEST not in archive.entries:
        yield f"{_MANIFEST} is not there"


def _look(archive: Zip, name: str) -> tuple[bytes, bytes]:
    """A body's SHA-512 digest and how it begins."""
    digest, beginning = hashlib.sha512(), b""
    for chunk in archive.chunks(name):
        digest.update(chunk)
        if len(beginning) < _BEGINNING:
            beginning += chunk[: _BEGINNING - len(beginning)]
    return digest.digest(), beginning


def file_name(message_id: str, *, is_response: bool, record_id: int) -> str:
    """The name of a container's file: message id, direction, record id in base 32."""
    digits = ""
    number = record_id
    while number or not digits:
        number, digit = divmod(number, 32)
        digits = _BASE32[digit] + digits
    return f"{quote_plus(message_id)[:226]}-{'response' if is_response else 'request'}-{digits}.asice"


def record_number(name: str) -> int | None:
    """The record id in the name of a container's file; None when it has none."""
    found = _NAME.fullmatch(name)
    return None if found is None else int(found[1], 32)
