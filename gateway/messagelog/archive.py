"""Archives of the message log: a zip of signed containers, each archive chained to the one before it of its group.

The last entry, ``linkinginfo``, names the archive before, the digest algorithm and, for every container, the digest of the
chain up to it: ``digest_n = hex(H(digest_(n-1) in hex ‖ hex(H(container))))``. So nothing can be taken out, put in or moved
without showing. Containers are written and read as streams; nothing here opens a file.

Spec: UG-SS 12; X-Road 7.8's LogArchiveWriter and archive verifier, which this is stricter than: order counts, no entry
may be there twice, and nothing else may lie in an archive.
"""

from __future__ import annotations

import enum
import hashlib
import io
import re
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING

import msgspec

from certs.algorithms import DigestAlgorithm
from schemas.faults import BadMessage, Fault, Kind, NotProved
from schemas.showing import shown
from schemas.zipreading import open_zip
from schemas.zipwriting import ZipWriter, deflated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from typing_extensions import Buffer

    from schemas.identifiers import ClientId
    from schemas.zipreading import Zip

    # Writes a container to the stream it is given.
    Write = Callable[[IO[bytes]], object]

LINKING_INFO = "linkinginfo"
_CONTAINER_SUFFIX = ".asice"
# A line of linking info, or a seal, has a name, a digest and little else; it is read for as many files as are there.
_LONGEST_LINE = 1024
_BUFFER = 64 * 1024
_STRONG = (DigestAlgorithm.SHA256, DigestAlgorithm.SHA384, DigestAlgorithm.SHA512)
_NOT_IN_FILE_NAMES = re.compile(r'[\x00-\x1f\x7f-\x9f\\<>/:|*?"]')


class Grouping(enum.StrEnum):
    """Whose records come into one chain of archives."""

    NONE = "none"
    MEMBER = "member"
    SUBSYSTEM = "subsystem"

    def name_for(self, owner: ClientId) -> str:
        """The group of a record's owner; empty when there is one group for all."""
        if self is Grouping.NONE:
            return ""
        return (owner.member if self is Grouping.MEMBER else owner).path()


class ArchiveLink(msgspec.Struct, frozen=True):
    """The end of an archive: its last digest in hex, and its file's name. Both empty before the first archive."""

    digest: str = ""
    file_name: str = ""


FIRST = ArchiveLink()


class LinkingInfo(msgspec.Struct, frozen=True):
    """The linking info of an archive: the archive before it and, in order, (digest of the chain, container's name)."""

    previous: ArchiveLink
    algorithm: DigestAlgorithm
    entries: tuple[tuple[str, str], ...]


def chain_digest(before: str, container_digest: bytes, algorithm: DigestAlgorithm) -> str:
    """The digest of the chain after one more container."""
    return algorithm.digest((before + container_digest.hex()).encode("ascii")).hex()


def render_linking_info(info: LinkingInfo) -> bytes:
    """Render the content of ``linkinginfo``, the file that chains an archive to the one before it."""
    previous = info.previous
    head = f"{previous.digest or '-'} {previous.file_name or '-'} {info.algorithm.name_on_wire}"
    return "".join(f"{line}\n" for line in (head, *(f"{d} {n}" for d, n in info.entries))).encode()


def parse_linking_info(raw: bytes) -> LinkingInfo:
    """Read ``linkinginfo``. Raises `BadMessage` (``malformed_hash_chain``)."""
    try:
        head, *lines = [line.split() for line in raw.decode("utf-8").splitlines()]
        digest, file_name, name = head
        entries = tuple((d, n) for d, n in lines)
        algorithm = DigestAlgorithm.from_name(name)
    except (ValueError, Fault) as err:
        raise malformed(
            "the linking info must have a line with digest, file and algorithm of the archive before, then lines of "
            f"digest and container: {err.detail if isinstance(err, Fault) else err}"
        ) from err
    if algorithm not in _STRONG:
        raise malformed(f"the linking info uses {name}; SHA-256, SHA-384 or SHA-512 was expected")
    if len({n for _, n in entries}) != len(entries):
        raise malformed("the linking info names a container twice")
    return LinkingInfo(
        ArchiveLink("" if digest == "-" else digest, "" if file_name == "-" else file_name),
        algorithm,
        entries,
    )


def archive_file_name(group: str, start: datetime, end: datetime, last_digest: str) -> str:
    """``mlog-[<group>-]<start>-<end>-<first 16 hex digits of the last digest>.zip``, times in UTC."""
    # 120 bytes leave room for the rest of a file name, 255 bytes at the most.
    short = _NOT_IN_FILE_NAMES.sub("_", group).encode()[:120].decode("utf-8", "ignore")
    named = f"{short}-" if group else ""
    times = "-".join(f"{at.astimezone(UTC):%Y%m%d%H%M%S}" for at in (start, end))
    return f"mlog-{named}{times}-{last_digest[:16]}.zip"


class ArchiveChain:
    """The linking info of an archive that is being written."""

    def __init__(self, previous: ArchiveLink, algorithm: DigestAlgorithm) -> None:
        self.algorithm = algorithm
        self._previous = previous
        self._entries: list[tuple[str, str]] = []
        self._times: list[datetime] = []

    @property
    def last_digest(self) -> str:
        """The digest of the chain so far."""
        return self._entries[-1][0] if self._entries else self._previous.digest

    @property
    def end(self) -> datetime:
        """When the newest container's record was written."""
        return max(self._times)

    def add(self, name: str, at: datetime, container_digest: bytes) -> None:
        """Append a container by its digest."""
        self._entries.append((chain_digest(self.last_digest, container_digest, self.algorithm), name))
        self._times.append(at)

    def render(self) -> bytes:
        """Render the linking info of the archive as it is so far."""
        return render_linking_info(LinkingInfo(self._previous, self.algorithm, tuple(self._entries)))

    def link(self, group: str) -> ArchiveLink:
        """The link to the archive, with its file's name."""
        return ArchiveLink(
            self.last_digest, archive_file_name(group, min(self._times), max(self._times), self.last_digest)
        )


class ArchiveWriter:
    """Writes one archive: `add` containers, then `finish`."""

    def __init__(
        self, out: IO[bytes], previous: ArchiveLink, algorithm: DigestAlgorithm = DigestAlgorithm.SHA512
    ) -> None:
        self._zip = ZipWriter(out)
        self._chain = ArchiveChain(previous, algorithm)
        self.size_bytes = 0

    @property
    def last_digest(self) -> str:
        """The digest of the chain so far."""
        return self._chain.last_digest

    def add(self, name: str, at: datetime, write: Write, *, in_memory: bool = False) -> None:
        """Append a container; ``write`` is given the stream to write it to, or with ``in_memory`` a buffer."""
        if in_memory:
            raw = written(write)
            self._zip.add(name, raw, at.astimezone(UTC))
            size, digest = len(raw), self._chain.algorithm.digest(raw)
        else:
            digesting = add_digested(self._zip, name, at, write, self._chain.algorithm)
            size, digest = digesting.size, digesting.digest()
        self.size_bytes += size
        self._chain.add(name, at, digest)

    def finish(self, group: str) -> ArchiveLink:
        """Write the linking info and close the zip; the link to this archive, with its file's name."""
        self._zip.add(LINKING_INFO, self._chain.render(), self._chain.end.astimezone(UTC), deflated)
        self._zip.close()
        return self._chain.link(group)


def written(write: Write) -> bytes:
    """The bytes that ``write`` writes to its stream."""
    out = io.BytesIO()
    write(out)
    return out.getvalue()


def add_digested(
    out: ZipWriter, name: str, at: datetime, write: Write, algorithm: DigestAlgorithm
) -> Digesting:
    """Append a file to an archive; its size and digest."""
    made: list[Digesting] = []

    def digested(inner: IO[bytes]) -> None:
        made.append(Digesting(inner, algorithm))
        with io.BufferedWriter(made[-1], _BUFFER) as buffered:
            write(buffered)

    out.add_stream(name, digested, at.astimezone(UTC))
    return made[-1]


class Digesting(io.RawIOBase):
    """Passes bytes on, digesting and counting them."""

    def __init__(self, out: IO[bytes], algorithm: DigestAlgorithm) -> None:
        self._out = out
        self._hash = hashlib.new(algorithm.short)
        self.size = 0

    def writable(self) -> bool:
        """Whether bytes can be written: always."""
        return True

    def write(self, data: Buffer, /) -> int:
        """Take bytes; how many: all."""
        raw = bytes(data)
        self._out.write(raw)
        self._hash.update(raw)
        self.size += len(raw)
        return len(raw)

    def digest(self) -> bytes:
        """The digest of all bytes written so far."""
        return self._hash.digest()


# Verifying


class ArchiveVerdict(msgspec.Struct):
    """The findings about an archive: its own link's digest, the archive before it, and its containers."""

    previous: ArchiveLink
    last_digest: str
    containers: list[str] = msgspec.field(default_factory=list)
    # Sealed archives only, looked into with the log's keys: whose key is destroyed.
    erased: list[str] = msgspec.field(default_factory=list)


def verify_archive(
    source: IO[bytes], previous_digest: str | None, look: Callable[[str, IO[bytes]], None] | None = None
) -> ArchiveVerdict:
    """Prove that an archive is whole and follows the archive whose last digest is ``previous_digest``.

    1. It is a zip of containers, at least one, and one linking info. 2. The linking info begins from ``previous_digest``
    (empty: it is the first of its group; None: the caller cannot know). 3. It names exactly the containers that are there,
    in their order. 4. The chain over them has the digests it says. ``look`` is shown each container.

    Raises `BadMessage` (``malformed_hash_chain``) or `NotProved` (``invalid_hash_chain``).
    """
    archive = open_archive_zip(source)
    names = archive.names  # 1
    containers = [n for n in names if n != LINKING_INFO]
    strange = [n for n in containers if "/" in n or not n.endswith(_CONTAINER_SUFFIX)]
    if strange:
        raise malformed(f"an archive holds containers and nothing else; {shown(strange[0], 80)!r} came")
    if LINKING_INFO not in names:
        raise malformed("the archive has no linking info")
    info = parse_linking_info(read_bounded(archive, LINKING_INFO))
    if not containers:
        raise malformed("the archive has no containers")
    check_previous(info, previous_digest)  # 2
    check_chain(info, containers, lambda name: _digest_of(archive, name, info.algorithm))
    if look is not None:
        for name in containers:
            with archive.open(name) as container:
                look(name, container)
    digest = info.entries[-1][0].lower()
    return ArchiveVerdict(info.previous, digest, containers)


def open_archive_zip(source: IO[bytes]) -> Zip:
    """The zip that an archive is. Raises `BadMessage` (``malformed_hash_chain``)."""
    try:
        return open_zip(source)
    except BadMessage as fault:
        raise malformed(f"this is no archive of signed containers: {fault.detail}") from fault


def check_previous(info: LinkingInfo, previous_digest: str | None) -> None:
    """Step 2: the archive follows the one before it. Raises `NotProved`."""
    if previous_digest is not None and previous_digest.lower() != info.previous.digest.lower():
        raise NotProved(
            Kind.INVALID_HASH_CHAIN,
            f"the archive follows the one that ends with {info.previous.digest or 'nothing (it is a first one)'}; "
            f"{previous_digest or 'a first one'} was expected",
        )


def check_chain(info: LinkingInfo, names: Sequence[str], digest_of: Callable[[str], bytes]) -> None:
    """Steps 3 and 4: the linking info names these containers in their order, with the digests they have. Raises `NotProved`."""
    if [n for _, n in info.entries] != list(names):  # 3
        raise NotProved(
            Kind.INVALID_HASH_CHAIN,
            f"the linking info names {len(info.entries)} containers, and they are not the {len(names)} that are there",
        )
    digest = info.previous.digest
    for declared, name in info.entries:  # 4
        digest = chain_digest(digest, digest_of(name), info.algorithm)
        if digest != declared.lower():
            raise NotProved(
                Kind.INVALID_HASH_CHAIN, f"the digest of {shown(name)} is not the one in the linking info"
            )


def read_bounded(archive: Zip, name: str) -> bytes:
    """Read a file about an archive's entries, bounded by how many they are. Raises `BadMessage`."""
    return archive.read(name, _LONGEST_LINE * (len(archive.entries) + 1))


def _digest_of(archive: Zip, name: str, algorithm: DigestAlgorithm) -> bytes:
    digest = hashlib.new(algorithm.short)
    for chunk in archive.chunks(name):
        digest.update(chunk)
    return digest.digest()


def malformed(detail: str) -> BadMessage:
    """The refusal of an archive that cannot be read."""
    return BadMessage(Kind.MALFORMED_HASH_CHAIN, detail)
