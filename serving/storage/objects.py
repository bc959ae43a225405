"""What is kept in an object store, by obstore (extra ``audit``): ``s3://bucket/prefix``, ``gs://``, ``az://``, ``file:///folder``.

Who may use it is said as obstore takes it, in the environment (``AWS_ACCESS_KEY_ID``, ``AWS_ENDPOINT``, ``AWS_REGION`` and so on). An
object is read at the places that are needed: the directory of an archive at its end, then one container after another. It is
written once: the store itself is asked to refuse a second object of the name (in S3 a PUT with ``If-None-Match: *``).
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import time
from datetime import timedelta
from importlib import import_module
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

# Bytes that are asked for together.
_TOGETHER = 256 * 1024
# Lies beside what is written; a store that takes a second one of it would let an archive be replaced.
_TRIAL = ".write-once"
_TRIAL_TEXT = (
    b"Tried by the gateway before each transfer: this store must refuse a second object of this name.\n"
)
# An object is put whole, for only so the store can be asked to refuse it; it stands in memory meanwhile.
_LARGEST = 1024 * 1024 * 1024
_RETRIES: dict[str, object] = {"max_retries": 2, "retry_timeout": timedelta(seconds=30)}
# While somebody waits for a message: how long one request may take, how often it is tried, and for how long after a failure nobody
# else tries.
_REQUEST_S = 20
_FEW_RETRIES: dict[str, object] = {"max_retries": 1, "retry_timeout": timedelta(seconds=10)}
_AWAY_S = 1.0


def is_address(path: Path | str) -> bool:
    """Whether a path is an address in an object store."""
    return isinstance(path, str) and "://" in path


def objects_at(address: str, suffixes: tuple[str, ...]) -> Iterator[tuple[str, str, int]]:
    """Address, stamp (size and time or tag) and size of every object of these suffixes below an address, by name. Raises OSError."""
    base, prefix = _split(address)
    try:
        for some in _obstore().list(_store(base), prefix or None):
            for found in sorted(some, key=lambda one: str(one["path"])):
                if str(found["path"]).endswith(suffixes):
                    mark = found.get("e_tag") or found["last_modified"].isoformat()
                    yield f"{base}/{found['path']}", f"{found['size']}-{mark}", int(found["size"])
    except _errors() as err:
        raise OSError(f"{address} cannot be listed: {_reason(err)}") from err


def open_object(address: str) -> IO[bytes]:
    """The bytes of one object, to be read at any place. Raises OSError."""
    base, path = _split(address)
    store = _store(base)
    try:
        size = int(_obstore().head(store, path)["size"])
    except _errors() as err:
        raise OSError(f"{address} cannot be read: {_reason(err)}") from err
    return io.BufferedReader(_Object(store, path, size), _TOGETHER)


def put_once(address: str, file: Path, timeout_s: float) -> None:
    """Put a file below an address under its own name, where nothing may have it; the same content there already is no error.

    Raises OSError when another content has the name, when the store would replace objects, or refuses.
    """
    base, prefix = _split(address)
    size = file.stat().st_size
    if size > _LARGEST:
        raise OSError(
            f"it has {size} bytes, and {_LARGEST} are put at once at most: lower log.archive_file_bytes"
        )
    path, trial = (f"{prefix}/{name}".lstrip("/") for name in (file.name, _TRIAL))
    try:
        store = _store(base, client_options=_options(timeout_s), retry_config=_RETRIES)
        # Written at most once, when the store is new; afterwards the store refuses it.
        if _put_new(store, trial, _TRIAL_TEXT) and _put_new(store, trial, _TRIAL_TEXT):
            raise OSError(f"{address} takes a second object of the same name: it is not write-once")
        # In the store whole after this, or not at all. A crash then: the next round finds the same content there.
        if not _put_new(store, path, file.read_bytes()):
            _check_same(store, path, file)
    except _errors() as err:
        raise OSError(f"{address} cannot be written: {_reason(err)}") from err


class ObjectFolder:
    """The objects below an address, each written once under a name of its own, read whole, and removed.

    After a failure whoever asks within `_AWAY_S` is refused with the same reason at once, so that a store that is away holds
    nobody up for longer than one try. All of it may be called from any thread. Making one asks nothing, and raises OSError where
    there is no such kind of store.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._base, self._prefix = _split(address)
        self._store = _store(self._base, client_options=_options(_REQUEST_S), retry_config=_FEW_RETRIES)
        self._failed_at = 0.0
        # Why the last request failed; empty once one did not.
        self.reason = ""

    def _path(self, name: str) -> str:
        return f"{self._prefix}/{name}".lstrip("/")

    async def put(self, name: str, content: bytes) -> None:
        """Write an object that is not there yet; the store has it whole when this returns. Raises OSError."""
        with self._asking("written"):
            try:
                await _obstore().put_async(
                    self._store, self._path(name), content, mode="create", use_multipart=False
                )
            except _obstore().exceptions.AlreadyExistsError as err:
                # The answer to the first try was lost, if it is the same.
                found = await _obstore().get_async(self._store, self._path(name))
                if bytes(await found.bytes_async()) != content:
                    raise OSError(f"{name} is in {self.address} already, with another content") from err

    def read(self, name: str) -> bytes:
        """All of an object. Raises FileNotFoundError where there is none, OSError."""
        with self._asking("read"), contextlib.suppress(FileNotFoundError):
            return bytes(_obstore().get(self._store, self._path(name)).bytes())
        raise FileNotFoundError(errno.ENOENT, f"{name} is not in {self.address}")

    def remove(self, names: Sequence[str]) -> None:
        """Remove objects; one that is not there is no error. Raises OSError."""
        with self._asking("removed"):
            _obstore().delete(self._store, [self._path(name) for name in names])

    def listed(self, after: str = "") -> Iterator[tuple[str, datetime]]:
        """Name and time of every object, or of those whose names come after one, in the order of the names. Raises OSError."""
        offset = self._path(after) if after else None
        before = len(self._path(""))
        with self._asking("listed"):
            for some in _obstore().list(self._store, self._prefix or None, offset=offset, chunk_size=1000):
                for found in some:
                    yield str(found["path"])[before:], found["last_modified"]

    async def look(self) -> None:
        """Ask the store anything. Raises OSError while it does not answer, or refuses."""
        with self._asking("listed"):
            async for _some in _obstore().list(self._store, self._prefix or None, chunk_size=1):
                break

    @contextlib.contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        if self.reason and time.monotonic() - self._failed_at < _AWAY_S:
            raise OSError(self.reason)
        try:
            yield
        except _errors() as err:
            self.reason, self._failed_at = (
                f"{self.address} cannot be {what}: {_reason(err)}",
                time.monotonic(),
            )
            raise OSError(self.reason) from err
        self.reason = ""


def _options(timeout_s: float) -> dict[str, object]:
    # Options given here take the place of the environment's, of which this is the one that obstore reads.
    in_clear = os.environ.get("AWS_ALLOW_HTTP", "").lower() == "true"
    return {"timeout": timedelta(seconds=timeout_s), "allow_http": in_clear}


def _put_new(store: Any, path: str, content: bytes) -> bool:
    """Put an object where none has its name; whether it was put."""
    try:
        _obstore().put(store, path, content, mode="create", use_multipart=False)
    except _obstore().exceptions.AlreadyExistsError:
        return False
    return True


def _check_same(store: Any, path: str, file: Path) -> None:
    """Compare what is in the store with a file. Raises OSError where it is not the same."""
    found = hashlib.sha256()
    try:
        for chunk in _obstore().get(store, path).stream():
            found.update(chunk)
    except _errors() as err:
        raise OSError(f"{path} is in the store already, and cannot be compared: {_reason(err)}") from err
    with file.open("rb") as source:
        if found.digest() != hashlib.file_digest(source, "sha256").digest():
            raise OSError(f"{path} is in the store already, with another content")


class _Object(io.RawIOBase):
    """Reads ranges of an object."""

    def __init__(self, store: Any, path: str, size: int) -> None:
        self._store, self._path, self._size, self._place = store, path, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(0, start + offset)
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: Any) -> int:
        length = min(len(buffer), self._size - self._place)
        if length <= 0:
            return 0
        try:
            found = bytes(_obstore().get_range(self._store, self._path, start=self._place, length=length))
        except _errors() as err:
            raise OSError(f"{self._path} cannot be read: {_reason(err)}") from err
        buffer[: len(found)] = found
        self._place += len(found)
        return len(found)


def _split(address: str) -> tuple[str, str]:
    """The store of an address, and what is below it: of a file's address its root is the store.

    Names of objects are not of a URL's kind: ``#``, ``?`` and ``%`` are letters like others.
    """
    scheme, _, rest = address.partition("://")
    place, _, path = rest.partition("/")
    return f"{scheme}://{place}", path.strip("/")


def _store(base: str, **options: object) -> Any:
    store = _obstore().store
    if base == "file://":
        return store.LocalStore("/")
    # A bucket with Object Lock takes an object only with a checksum.
    config = {"aws_checksum_algorithm": "sha256"} if base.startswith("s3:") else {}
    return store.from_url(base, config=config, **options)


def _errors() -> tuple[type[Exception], ...]:
    """The exceptions of obstore, which raises Python's own for an object or a bucket that is not there."""
    return (_obstore().exceptions.BaseError, FileNotFoundError)


def _reason(err: Exception) -> str:
    """obstore's message without its debug source, which repeats the values of the call."""
    return str(err).partition("\n\nDebug source")[0]


def _obstore() -> Any:
    try:
        import_module("obstore.store")
        return import_module("obstore")
    except ImportError as err:
        raise OSError("an object store needs the extra audit: pip install 'sacbe[audit]'") from err
