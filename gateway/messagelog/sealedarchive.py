"""Sealed archives: X-Road's archive of signed containers, each container sealed under its record's own key.

``mlog-….zip.sealed`` is a zip of, for every container: ``NAME.asice``, by its digests alone (`schemas.asic.withheld`), and
``NAME.asice.sealed``, the whole container sealed; then ``linkinginfo``, word for word that of the archive as X-Road writes it,
over the whole containers; then ``seals.json``, each container's digest and its sealed key. So the chain of archives and every
signature can be verified without any key; with the log's keys `open_archive` gives the very archive that X-Road would have
written; and a record whose key is destroyed is gone from every copy of every archive, while what it proves stays.

A record that was erased before it was archived has no sealed container: the one by digests is what the linking info is over.

Nothing here opens a file.
"""

from __future__ import annotations

import hashlib
import io
import secrets
from datetime import UTC, datetime
from functools import partial
from typing import IO, TYPE_CHECKING, BinaryIO, cast

import msgspec

from certs.algorithms import DigestAlgorithm
from gateway.messagelog.archive import (
    LINKING_INFO,
    ArchiveChain,
    ArchiveLink,
    ArchiveVerdict,
    Digesting,
    check_chain,
    check_previous,
    malformed,
    open_archive_zip,
    parse_linking_info,
    read_bounded,
    written,
)
from gateway.messagelog.keytree import Destroyed
from gateway.messagelog.sealing import (
    KEY_BYTES,
    NONCE_BYTES,
    StreamSealer,
    open_sealed,
    open_stream,
    seal,
    seal_stream,
)
from schemas.faults import BadMessage, Kind, NotProved
from schemas.jsontext import decode_json, encode_json
from schemas.zipwriting import Redrawn, ZipWriter, deflated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typing_extensions import Buffer

    from gateway.messagelog.archive import LinkingInfo, Write
    from schemas.zipreading import Zip

SUFFIX = ".sealed"
_SEALS = "seals.json"
_BUFFER = 64 * 1024


class ArchiveSeal(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One container: its record, its digest by the linking info's algorithm in hex, its sealed key; none: it was erased."""

    container: str
    record: int
    digest: str
    key: bytes = b""


class SealedArchiveWriter:
    """Writes one sealed archive: `add` containers, then `finish`."""

    def __init__(
        self, out: IO[bytes], previous: ArchiveLink, algorithm: DigestAlgorithm = DigestAlgorithm.SHA512
    ) -> None:
        self._zip = ZipWriter(out)
        self._chain = ArchiveChain(previous, algorithm)
        self._seals: list[ArchiveSeal] = []
        self.size_bytes = 0

    def add(
        self,
        name: str,
        at: datetime,
        record_id: int,
        record_key: bytes | None,
        write: Callable[[IO[bytes], bool], object],
        *,
        in_memory: bool = False,
    ) -> None:
        """Append a record's container; ``write`` is given a stream, or with ``in_memory`` a buffer, and whether it writes digests alone.

        Without a key the record was erased, and ``write`` gives the same both ways.
        """
        at_utc, algorithm = at.astimezone(UTC), self._chain.algorithm
        bare = written(lambda out: write(out, True))
        self._zip.add(name, bare, at_utc)
        self.size_bytes += len(bare)
        sealed_key = b""
        if record_key is None:
            digest = algorithm.digest(bare)
        else:
            key = secrets.token_bytes(KEY_BYTES)
            sealed_key = seal(record_key, secrets.token_bytes(NONCE_BYTES), key, _label(record_id))
            if in_memory:
                whole = written(lambda out: write(out, False))
                self._zip.add(name + SUFFIX, seal_stream(key, whole), at_utc)
                size, digest = len(whole), algorithm.digest(whole)
            else:
                size, digest = self._add_sealed(name + SUFFIX, at_utc, key, lambda out: write(out, False))
            self.size_bytes += size
        self._seals.append(ArchiveSeal(container=name, record=record_id, digest=digest.hex(), key=sealed_key))
        self._chain.add(name, at, digest)

    def _add_sealed(self, name: str, at: datetime, key: bytes, write: Write) -> tuple[int, bytes]:
        """Append a container of any size, sealed on its way; its size and digest in clear."""
        whole: list[Digesting] = []

        def sealed(inner: IO[bytes]) -> None:
            sealing = _Sealing(inner, key)
            whole.append(Digesting(cast("IO[bytes]", sealing), self._chain.algorithm))
            with io.BufferedWriter(whole[-1], _BUFFER) as buffered:
                write(buffered)
            sealing.finish()

        self._zip.add_stream(name, sealed, at)
        return whole[-1].size, whole[-1].digest()

    def finish(self, group: str) -> ArchiveLink:
        """Write linking info and seals and close the zip; the link to this archive as X-Road would name it."""
        end = self._chain.end.astimezone(UTC)
        self._zip.add(LINKING_INFO, self._chain.render(), end, deflated)
        self._zip.add(_SEALS, encode_json(self._seals), end, deflated)
        self._zip.close()
        return self._chain.link(group)


class _Sealing(io.RawIOBase):
    """Passes bytes on, sealed."""

    def __init__(self, out: IO[bytes], key: bytes) -> None:
        self._out = out
        self._sealer = StreamSealer(key)

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer, /) -> int:
        raw = bytes(data)
        for sealed in self._sealer.feed(raw):
            self._out.write(sealed)
        return len(raw)

    def finish(self) -> None:
        self._out.write(self._sealer.finish())


def _label(record_id: int) -> bytes:
    return f"archive key of record {record_id}".encode()


# Reading


def is_sealed(source: IO[bytes]) -> bool:
    """Whether a file is a sealed archive."""
    try:
        return _SEALS in open_archive_zip(source).entries
    except BadMessage:
        return False
    finally:
        source.seek(0)


def verify_sealed_archive(
    source: IO[bytes],
    previous_digest: str | None,
    look: Callable[[str, IO[bytes]], None] | None = None,
    record_key: Callable[[int], bytes] | None = None,
) -> ArchiveVerdict:
    """Prove that a sealed archive is whole and follows the one before it, as `verify_archive` does.

    Steps 1 to 4 are the same, on the digests of ``seals.json``. ``look`` is shown each container by its digests. 5. With the
    log's keys every sealed container opens to its digest, but those whose key is destroyed: the verdict names them.
    """
    archive = open_archive_zip(source)
    info, seals = _read(archive)
    check_previous(info, previous_digest)
    digests = {s.container: bytes.fromhex(s.digest) for s in seals}
    check_chain(info, [s.container for s in seals], digests.__getitem__)
    verdict = ArchiveVerdict(info.previous, info.entries[-1][0], [s.container for s in seals])
    for found in seals:
        if record_key is not None and _check_opens(archive, found, info, record_key):
            verdict.erased.append(found.container)
        if look is not None:
            with archive.open(found.container) as container:
                look(found.container, container)
    return verdict


def open_archive(source: IO[bytes], out: IO[bytes], record_key: Callable[[int], bytes]) -> list[str]:
    """Write the archive as X-Road writes it; the containers that were erased, which stand in it by their digests alone.

    Without any of those its linking info holds for every reader of X-Road's archives.
    """
    erased: list[str] = []
    archive, opened = open_archive_zip(source), ZipWriter(out)
    _, seals = _read(archive)
    for found in seals:
        key = _container_key(found, record_key)
        moment = datetime(*archive.entries[found.container].date_time, tzinfo=UTC)
        opened.add_chunks(found.container, Redrawn(partial(_chunks, archive, found, key)), moment)
        if key is None:
            erased.append(found.container)
    entry = archive.entries[LINKING_INFO]
    moment = datetime(*entry.date_time, tzinfo=UTC)
    opened.add(LINKING_INFO, read_bounded(archive, LINKING_INFO), moment, deflated)
    opened.close()
    return erased


def _read(archive: Zip) -> tuple[LinkingInfo, list[ArchiveSeal]]:
    names = archive.names
    for needed in (LINKING_INFO, _SEALS):
        if needed not in names:
            raise malformed(f"the sealed archive has no {needed}")
    try:
        seals = decode_json(read_bounded(archive, _SEALS), list[ArchiveSeal])
        for found in seals:
            bytes.fromhex(found.digest)
    except (msgspec.DecodeError, ValueError) as err:
        raise malformed(f"{_SEALS} of the archive cannot be read: {err}") from err
    expected = [n for s in seals for n in ((s.container, s.container + SUFFIX) if s.key else (s.container,))]
    if not seals or sorted(names) != sorted([*expected, LINKING_INFO, _SEALS]):
        raise malformed("a sealed archive holds the containers its seals name, each once, and nothing else")
    return parse_linking_info(read_bounded(archive, LINKING_INFO)), seals


def _container_key(found: ArchiveSeal, record_key: Callable[[int], bytes]) -> bytes | None:
    if not found.key:
        return None
    try:
        return open_sealed(record_key(found.record), found.key, _label(found.record))
    except Destroyed:
        return None


def _chunks(archive: Zip, found: ArchiveSeal, key: bytes | None) -> Iterator[bytes]:
    if key is None:
        yield from archive.chunks(found.container)
        return
    with archive.open(found.container + SUFFIX) as sealed:
        yield from open_stream(cast("BinaryIO", sealed), key)


def _check_opens(
    archive: Zip, found: ArchiveSeal, info: LinkingInfo, record_key: Callable[[int], bytes]
) -> bool:
    """Compare a container with its digest; whether it was erased after it was archived."""
    key = _container_key(found, record_key)
    if key is None and found.key:
        return True
    digest = hashlib.new(info.algorithm.short)
    for chunk in _chunks(archive, found, key):
        digest.update(chunk)
    if digest.hexdigest() != found.digest:
        raise NotProved(Kind.INVALID_HASH_CHAIN, f"{found.container} is not the container that was archived")
    return not found.key
