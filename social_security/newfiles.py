"""New files and folders of a command, there whole or not at all: a command that was killed may be given again as it was.

What is not whole yet stands beside its name, as ``NAME.part``; who begins again begins it anew.
"""

from __future__ import annotations

import contextlib
import csv
import fcntl
import os
import shutil
from typing import TYPE_CHECKING, Final

from serving.entrance import sync_folder
from serving.errors import OperatorError
from serving.language import N_

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import TextIO

PART: Final = ".part"


class NewFile:
    """A file that only its owner reads: `publish` puts it in its place, `drop` takes it back.

    Raises FileExistsError where it is there already, `OperatorError` while another process writes it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = part_of(path)
        handle = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        self.text: TextIO = os.fdopen(handle, "w", encoding="utf-8", newline="")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            self.text.close()
            raise OperatorError(
                N_("{path} is being written by another process; wait for its end", path=path)
            ) from err
        if path.exists():
            self.drop()
            raise FileExistsError(str(path))
        # On disk now: the part of a run that was killed, if there was one. From here on it is this run's.
        os.ftruncate(handle, 0)

    def publish(self) -> None:
        """Put the file in its place, which outlives a power cut; a second call does nothing."""
        if self.text.closed:
            return
        self.text.flush()
        os.fsync(self.text.fileno())
        # On disk now: the whole file beside its name. A crash here leaves that, and the command is given again.
        self._part.rename(self._path)
        sync_folder(self._path.parent)
        self.text.close()

    def drop(self) -> None:
        """Take the file back: nothing of it stays on the disk; after a crash before this its part does, until the command is given again."""
        self._part.unlink(missing_ok=True)
        self.text.close()


def part_of(path: Path) -> Path:
    """The path at which a new file or folder stands until it is whole."""
    return path.with_name(path.name + PART)


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[TextIO]:
    """A new file, published at the end, and not there after whatever is raised. Raises FileExistsError, `OperatorError`."""
    made = NewFile(path)
    try:
        yield made.text
        made.publish()
    finally:
        if not made.text.closed:
            made.drop()


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """The folder to write into, put in its place at the end, and not there after whatever is raised. Raises FileExistsError."""
    if path.exists():
        raise FileExistsError(str(path))
    part = part_of(path)
    # On disk now: the part of a run that was killed, if there was one. It is made anew.
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(mode=0o700, parents=True)
    try:
        yield part
        # On disk now: the whole folder beside its name. A crash here leaves that, and the command is given again.
        part.rename(path)
        sync_folder(path.parent)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_rows(file: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> int:
    """Write a new CSV that only its owner reads; how many rows. Raises FileExistsError."""
    count = 0
    with new_file(file) as opened:
        writer = csv.writer(opened)
        writer.writerow(columns)
        for row in rows:
            writer.writerow("" if cell is None else cell for cell in row)
            count += 1
    return count
