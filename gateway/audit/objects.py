"""Evidence in an object store, by obstore (extra ``audit``): ``s3://bucket/prefix``, ``gs://``, ``az://``, ``file:///folder``.

Who may read it is said as obstore takes it, in the environment (``AWS_ACCESS_KEY_ID``, ``AWS_ENDPOINT``, ``AWS_REGION`` and so on). An
object is read at the places that are needed: the directory of an archive at its end, then one container after another.
"""

from __future__ import annotations

import io
from importlib import import_module
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Bytes that are asked for together.
_TOGETHER = 256 * 1024


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
    except _obstore().exceptions.BaseError as err:
        raise OSError(f"{address} cannot be listed: {err}") from err


def open_object(address: str) -> IO[bytes]:
    """The bytes of one object, to be read at any place. Raises OSError."""
    base, path = _split(address)
    store = _store(base)
    try:
        size = int(_obstore().head(store, path)["size"])
    except _obstore().exceptions.BaseError as err:
        raise OSError(f"{address} cannot be read: {err}") from err
    return io.BufferedReader(_Object(store, path, size), _TOGETHER)


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
        except _obstore().exceptions.BaseError as err:
            raise OSError(f"{self._path} cannot be read: {err}") from err
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


def _store(base: str) -> Any:
    store = _obstore().store
    return store.LocalStore("/") if base == "file://" else store.from_url(base)


def _obstore() -> Any:
    try:
        import_module("obstore.store")
        return import_module("obstore")
    except ImportError as err:
        raise OSError(
            "evidence in an object store needs the extra audit: pip install 'sacbe[audit]'"
        ) from err
