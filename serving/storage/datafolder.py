"""A server's data folder: claimed by one process at a time, and exchanged as a whole by a restore.

`claim` is held while a server runs and while a backup is restored, so that neither finds the folder changing under it.
An exchange is three renames beside the folder, told by a journal written first: `finish_exchange` completes one that a
crash interrupted, and every claim calls it, so a folder is always the old one or the new one.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from certs.edges.tokenfiles import sync_folder, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class FolderInUse(OSError):  # noqa: N818  said to the operator
    """Another process works on the data folder."""


@contextlib.contextmanager
def claim(folder: Path) -> Iterator[None]:
    """Hold a data folder for this process alone. Raises `FolderInUse`."""
    path = folder.with_name(f".{folder.name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as err:
            raise FolderInUse(
                f"another process works on {folder}; stop that server first (it holds {path})"
            ) from err
        finish_exchange(folder)
        yield
    finally:
        os.close(descriptor)


def exchange(folder: Path, fresh: Path, aside: Path, keep: Sequence[str]) -> None:
    """Put ``fresh`` in the place of ``folder``, which goes ``aside``; what ``keep`` names moves over to the new one.

    All three are neighbours. Call it within `claim`.
    """
    announce_exchange(folder, fresh, aside, keep)
    finish_exchange(folder)


def announce_exchange(folder: Path, fresh: Path, aside: Path, keep: Sequence[str]) -> None:
    """Say that an exchange is to be made; the next claim of the folder makes it."""
    journal = {"fresh": fresh.name, "aside": aside.name, "keep": list(keep)}
    # From here on a crash is completed at the next claim; before, nothing has happened.
    write_whole(_journal(folder), json.dumps(journal).encode())


def finish_exchange(folder: Path) -> None:
    """Complete the exchange that the journal tells of; nothing when there is none. Each move is done at most once."""
    journal = _journal(folder)
    if not journal.exists():
        return
    told = json.loads(journal.read_bytes())
    fresh, aside = (folder.with_name(told[name]) for name in ("fresh", "aside"))
    if fresh.exists():
        if folder.exists():
            folder.rename(aside)
            sync_folder(folder.parent)
        fresh.rename(folder)
        sync_folder(folder.parent)
    for name in told["keep"]:
        if (aside / name).exists() and not (folder / name).exists():
            (aside / name).rename(folder / name)
    sync_folder(folder)
    journal.unlink()
    sync_folder(folder.parent)


def _journal(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.exchange.json")
