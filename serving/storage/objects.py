"""Evidence in an object store, by obstore (extra ``audit``): ``s3://bucket/prefix``, ``gs://``, ``az://``, ``file:///folder``.

Who may use it is said as obstore takes it, in the environment (``AWS_ACCESS_KEY_ID``, ``AWS_ENDPOINT``, ``AWS_REGION`` and so on). An
object is read at the places that are needed: the directory of an archive at its end, then one container after another. It is
written once: the store itself is asked to refuse a second object of the name (in S3 a PUT with ``If-None-Match: *``).
"""

from __future__ import annotations

import hashlib
import io
import os
from datetime import timedelta
from importlib import import_module
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
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
    # Options given here take the place of the environment's, of which this is the one that obstore reads.
    in_clear = os.environ.get("AWS_ALLOW_HTTP", "").lower() == "true"
    options = {"timeout": timedelta(seconds=timeout_s), "allow_http": in_clear}
    path, trial = (f"{prefix}/{name}".lstrip("/") for name in (file.name, _TRIAL))
    try:
        store = _store(base, client_options=options, retry_config=_RETRIES)
        # Written at most once, when the store is new; afterwards the store refuses it.
        if _put_new(store, trial, _TRIAL_TEXT) and _put_new(store, trial, _TRIAL_TEXT):
            raise OSError(f"{address} takes a second object of the same name: it is not write-once")
        # In the store whole after this, or not at all. A crash then: the next round finds the same content there.
        if not _put_new(store, path, file.read_bytes()):
            _check_same(store, path, file)
    except _errors() as err:
        raise OSError(f"{address} cannot be written: {_reason(err)}") from err


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
    """What obstore says, without the values it was said of."""
    return str(err).partition("\n\nDebug source")[0]


def _obstore() -> Any:
    try:
        import_module("obstore.store")
        return import_module("obstore")
    except ImportError as err:
        raise OSError(
            "evidence in an object store needs the extra audit: pip install 'sacbe[audit]'"
        ) from err
