"""The signed container (ASiC-E as X-Road writes it): message, signature, hash chains, timestamp, bodies in one zip.

Reading is tolerant of layout (deflated ``mimetype``, any order) and strict about content: no entry twice, sizes bounded,
each missing piece named by its own code. Bodies are given as SHA-512 digests, computed as they are read, never held whole.

Spec: ETSI TS 102 918; PR-SIGDOC 3; X-Road 7.8's asic-core.
"""

from __future__ import annotations

import hashlib
import io
import lzma
import struct
import zipfile
import zlib
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

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

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
# Everything the zip library raises over bytes that are no zip, or a broken one.
ZIP_ERRORS = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    ValueError,
    OverflowError,
    NotImplementedError,
    RuntimeError,
    OSError,
)
_LARGEST_ENTRY = 16 * 1024 * 1024
_CHUNK = 256 * 1024
_BEGINNING = 4096
_BASE32 = "0123456789abcdefghijklmnopqrstuv"


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

    def signed_parts(self) -> tuple[tuple[str, bytes], ...]:
        """URI and SHA-512 of what the signature must be over, the message first; of what is withheld, the digest that is said."""
        said = {} if self.withheld is None else self.withheld.digests()
        digests = {
            MESSAGE_URI: digest_of(self.message),
            **{f"/{n}": d for n, d in self.attachments.items()},
            **said,
        }
        return tuple(sorted(digests.items(), key=lambda part: _number(part[0])))


def write_container(
    out: IO[bytes], container: Container, at: datetime, bodies: Iterable[tuple[str, Iterable[bytes]]] = ()
) -> None:
    """Write a container; ``bodies`` are (name, chunks), streamed in order after the rest."""
    moment = (max(at.year, 1980), at.month, at.day, at.hour, at.minute, at.second)
    named = list(bodies)
    names = [name for name, _ in named]
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.comment = f"mimetype={MIMETYPE}".encode()
        for name, content in _entries(container, names):
            if content is not None:
                archive.writestr(_info(name, moment), content)
        for name, chunks in named:
            with archive.open(_info(name, moment), "w", force_zip64=True) as entry:
                for chunk in chunks:
                    entry.write(chunk)


def _number(uri: str) -> int:
    """An attachment's number, 0 for the message; what is neither comes last."""
    digits = uri.removeprefix("/attachment")
    return 0 if uri == MESSAGE_URI else int(digits) if digits.isdecimal() else 1 << 30


def render_container(container: Container, at: datetime, bodies: Iterable[tuple[str, bytes]] = ()) -> bytes:
    """A container whose bodies are in memory."""
    out = io.BytesIO()
    write_container(out, container, at, [(name, (content,)) for name, content in bodies])
    return out.getvalue()


def _info(name: str, moment: tuple[int, int, int, int, int, int]) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, moment)
    info.compress_type = zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED
    return info


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
        with zipfile.ZipFile(source) as archive:
            return _read(archive)
    except ZIP_ERRORS as err:
        raise BadMessage(Kind.ASIC_MIME_TYPE_NOT_FOUND, f"this is no signed container: {err}") from err


def parse_container(data: bytes) -> Container:
    """Read a container that is in memory. Raises `BadMessage`."""
    return read_container(io.BytesIO(data))


def _read(archive: zipfile.ZipFile) -> Container:
    names = [i.filename for i in archive.infolist() if not (i.is_dir() and i.file_size == 0)]
    if len(set(names)) != len(names):
        raise BadMessage(Kind.INVALID_MESSAGE, "the container has an entry twice")

    def entry(name: str) -> bytes | None:
        if name not in names:
            return None
        with archive.open(name) as file:
            content = file.read(_LARGEST_ENTRY + 1)
        if len(content) > _LARGEST_ENTRY:
            raise BadMessage(
                Kind.INVALID_MESSAGE, f"{name} in the container is larger than {_LARGEST_ENTRY} bytes"
            )
        return content

    def needed(name: str, kind: Kind) -> bytes:
        content = entry(name)
        if content is None or not content.strip():
            raise BadMessage(kind, f"the container has no {name}")
        return content

    mimetype = needed("mimetype", Kind.ASIC_MIME_TYPE_NOT_FOUND)
    if mimetype.decode("utf-8", "replace").strip() != MIMETYPE:
        raise BadMessage(Kind.ASIC_INVALID_MIME_TYPE, f"the container's mimetype is {mimetype[:80]!r}")
    raw = entry(_WITHHELD)
    withheld = None if raw is None else parse_withheld(raw)
    has_no_message = withheld is not None and MESSAGE_URI in withheld.digests() and _MESSAGE not in names
    container = Container(
        message=b"" if has_no_message else needed(_MESSAGE, Kind.ASIC_MESSAGE_NOT_FOUND),
        signature=needed(_SIGNATURE, Kind.ASIC_SIGNATURE_NOT_FOUND),
        sig_hash_chain_result=entry(_SIG_RESULT),
        sig_hash_chain=entry(_SIG_CHAIN),
        ts_hash_chain_result=entry(TIMESTAMPED),
        ts_hash_chain=entry(_TS_CHAIN),
        timestamp=entry(TIMESTAMP),
        attachments={name: _digest(archive, name) for name in names if is_body(name)},
        beginnings={name: _beginning(archive, name) for name in names if is_body(name)},
        withheld=withheld,
    )
    strange = [name for name in names if name not in _FILES | _META and not is_body(name)]
    if strange:
        raise BadMessage(Kind.INVALID_MESSAGE, f"the container holds {strange[0]!r}, which nothing signs")
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


def _beginning(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as file:
        return file.read(_BEGINNING)


def _digest(archive: zipfile.ZipFile, name: str) -> bytes:
    digest = hashlib.sha512()
    with archive.open(name) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.digest()


def file_name(message_id: str, *, is_response: bool, record_id: int) -> str:
    """The name of a container's file: message id, direction, record id in base 32."""
    digits = ""
    number = record_id
    while number or not digits:
        number, digit = divmod(number, 32)
        digits = _BASE32[digit] + digits
    return f"{quote_plus(message_id)[:226]}-{'response' if is_response else 'request'}-{digits}.asice"
