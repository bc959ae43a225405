"""A server's data folder: claimed by one process at a time, and exchanged as a whole by a restore.

`claim` is held while a server runs and while a backup is restored, so that neither finds the folder changing under it.
Everything it needs is inside the folder, because a service may own its folder and nothing beside it, and the folder may be
a mount: the lock, the journal, the data to come and the data that were. An exchange moves entries one by one, told by a
journal written first: `finish_exchange` completes one that a crash interrupted, and every claim calls it, so what runs on
the folder is always the old data or the new.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

from certs.edges.tokenfiles import sync_folder, write_whole
from schemas.jsontext import dump_json, load_json
from serving.errors import OperatorError
from serving.language import N_, _

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

LOCK = ".lock"
JOURNAL = ".exchange.json"
# Data that a restore took the place of stay under such a name.
ASIDE = "before-"


def check_initialised(folder: Path, marks: Sequence[str], remedy: str) -> None:
    """Refuse a folder that holds none of ``marks``: a server is not founded by a name typed wrong. Raises `OperatorError`."""
    # A restore that a crash left half done is completed by the claim that follows.
    if not any((folder / name).exists() for name in (*marks, JOURNAL)):
        raise OperatorError(
            N_(
                "there is no server in {folder}; correct --data, or {remedy}",
                folder=folder.absolute(),
                remedy=remedy,
            )
        )


def make_private(folder: Path) -> None:
    """From now on what this process makes is its owner's alone; so are the folder and what stands in it."""
    os.umask(0o077)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in (folder, *folder.iterdir()):
        if path.is_symlink():
            continue
        mode = path.stat().st_mode
        if mode & 0o077:
            # An owner who is somebody else keeps the modes he gave, as on a volume shared with a group.
            with contextlib.suppress(PermissionError):
                path.chmod(mode & 0o700)


@contextlib.contextmanager
def claim(folder: Path) -> Iterator[int]:
    """Hold a data folder for this process alone, and for those that inherit the open file that is given. Raises `OperatorError`; PermissionError naming the folder."""
    try:
        make_private(folder)
        path = folder / LOCK
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except PermissionError as err:
        raise PermissionError(
            _(
                "{folder} cannot be written by user {user}; give it to that user (chown) or run as its owner",
                folder=folder,
                user=os.geteuid(),
            )
        ) from err
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as err:
            raise OperatorError(
                N_(
                    "another process works on {folder}; stop that server first (it holds {path})",
                    folder=folder,
                    path=path,
                )
            ) from err
        finish_exchange(folder)
        yield descriptor
    finally:
        os.close(descriptor)


def exchange(folder: Path, fresh: Path, aside: Path, keep: Sequence[str]) -> None:
    """Put what is in ``fresh`` in the place of what is in ``folder``, which goes ``aside``; what ``keep`` names stays.

    ``fresh`` and ``aside`` are names within the folder. Call it within `claim`.
    """
    announce_exchange(folder, fresh, aside, keep)
    finish_exchange(folder)


def announce_exchange(folder: Path, fresh: Path, aside: Path, keep: Sequence[str]) -> None:
    """Say that an exchange is to be made; the next claim of the folder makes it."""
    # From here on a crash is completed at the next claim; before, nothing has happened.
    _write_journal(folder, {"fresh": fresh.name, "aside": aside.name, "keep": list(keep)})


def finish_exchange(folder: Path) -> None:
    """Complete the exchange that the journal tells of; nothing when there is none. Each move is done at most once. Raises ValueError."""
    journal = folder / JOURNAL
    if not journal.exists():
        return
    try:
        plan = load_json(journal.read_bytes())
        fresh, aside = (folder / str(plan[name]) for name in ("fresh", "aside"))
        plan["keep"] = [str(name) for name in plan["keep"]]
    except (ValueError, LookupError, TypeError) as err:
        raise OperatorError(
            N_(
                "{journal}, the journal of a restore, is damaged ({err}); see which of the folders in {folder} is whole, put its content in place, and remove the journal",
                journal=journal,
                err=err,
                folder=folder,
            )
        ) from err
    if "leaving" not in plan:
        coming = {p.name for p in fresh.iterdir()} if fresh.exists() else set()
        plan["coming"] = sorted(coming)
        plan["leaving"] = sorted(p.name for p in folder.iterdir() if _leaves(p.name, plan, coming))
        # On disk now: which entries leave and which come. A crash from here on repeats moves that were not made.
        _write_journal(folder, plan)
    # While entries move, the journal says which; a crash at any of them leaves the rest to the next claim. First what leaves, so that
    # no name is ever taken twice.
    if plan["leaving"]:
        aside.mkdir(mode=0o700, exist_ok=True)
    for name in plan["leaving"]:
        if not (aside / name).exists():
            (folder / name).rename(aside / name)
    sync_folder(folder)
    for name in plan["coming"]:
        if (fresh / name).exists():
            (fresh / name).rename(folder / name)
    if fresh.exists():
        fresh.rmdir()
    sync_folder(folder)
    # Every entry is at its place. A crash before the journal is gone finds nothing left to move, and removes it.
    journal.unlink()
    sync_folder(folder)


def _leaves(name: str, plan: dict[str, list[str]], coming: set[str]) -> bool:
    if name in (LOCK, JOURNAL, plan["fresh"], plan["aside"]) or name.startswith(ASIDE):
        return False
    return name in coming or name not in plan["keep"]


def _write_journal(folder: Path, plan: dict[str, str | list[str]]) -> None:
    write_whole(folder / JOURNAL, dump_json(plan).encode())  # on disk whole: the earlier plan or this one
