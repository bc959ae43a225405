"""Archives handed on once they are complete: copied into a directory, put into an object store, given to a command, each once.

An archive that was handed on has a mark of its name in ``.sent`` beside it; a crash between the two hands it on again, so a
command must bear being given an archive twice. A copy is whole under its name or not there, and never replaces another file or object.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from pathlib import Path
from typing import IO, TYPE_CHECKING

import msgspec

from certs.edges.tokenfiles import sync_folder, write_whole
from gateway.messagelog.openpgp import SUFFIX, PgpSettings, draw, encrypt
from schemas.faults import Fault, Kind
from schemas.showing import shown
from serving.storage.objects import put_once

if TYPE_CHECKING:
    from collections.abc import Callable

_MARKS, _ENCRYPTED = ".sent", ".encrypted"
_LONGEST_OUTPUT = 500


class TransferSettings(msgspec.Struct, frozen=True):
    """The destinations of archives: a directory, an object store, a program with its arguments; seconds that store or program may take."""

    directory: str = ""
    store: str = ""
    command: tuple[str, ...] = ()
    timeout_s: float = 600.0
    pgp: PgpSettings = msgspec.field(default_factory=PgpSettings)

    @property
    def is_set(self) -> bool:
        """Whether anything is to be done."""
        return bool(self.directory or self.store or self.command)


def _nobody(_name: str) -> str:
    """The group of archives that have none."""
    return ""


async def transfer_archives(
    folder: Path, settings: TransferSettings, group_of: Callable[[str], str] = _nobody
) -> int:
    """Hand on every archive in ``folder`` that has not been; how many. Raises `Fault` at the first that cannot be.

    With OpenPGP keys what is handed on is encrypted to those of the archive's group, which ``group_of`` tells by its name.
    """
    if not settings.is_set:
        return 0
    left = await asyncio.to_thread(_left, folder)
    for path in left:
        handed = path
        if settings.pgp.is_set:
            handed = await _encrypted(path, folder / _ENCRYPTED, settings.pgp, group_of(path.name))
        if settings.directory:
            await asyncio.to_thread(_copy, handed, Path(settings.directory))
        if settings.store:
            await asyncio.to_thread(_put, handed, settings.store, settings.timeout_s)
        if settings.command:
            await _run((*settings.command, str(handed)), settings.timeout_s)
        # Handed on; a crash before this mark hands it on once more, an encrypted one with the bytes it had.
        await asyncio.to_thread(write_whole, folder / _MARKS / path.name, b"")
        if handed != path:
            await asyncio.to_thread(handed.unlink)
    return len(left)


async def _encrypted(path: Path, folder: Path, pgp: PgpSettings, group: str) -> Path:
    """The archive encrypted, whole under its name: made once, for encryption makes other bytes each time."""
    target = folder / f"{path.name}{SUFFIX}"
    if await asyncio.to_thread(target.exists):
        return target
    keys = pgp.keys_for(group)
    with (
        await asyncio.to_thread(path.open, "rb") as source,
        await encrypt(draw(source), keys, pgp.home) as made,
    ):
        await asyncio.to_thread(_keep, made, target)
    return target


def _keep(source: IO[bytes], target: Path) -> None:
    target.parent.mkdir(mode=0o700, exist_ok=True)
    temporary = target.with_name(f".{target.name}.tmp")
    with temporary.open("wb") as out:
        shutil.copyfileobj(source, out)
        out.flush()
        os.fsync(out.fileno())
    # On the disk; a crash before the name is given leaves a hidden file that the next round writes over.
    temporary.replace(target)
    sync_folder(target.parent)


def _left(folder: Path) -> list[Path]:
    """The complete archives without a mark, by name."""
    marks = folder / _MARKS
    marks.mkdir(mode=0o700, exist_ok=True)
    found = [p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")]
    return sorted(p for p in found if not (marks / p.name).exists())


def _copy(path: Path, directory: Path) -> None:
    """Copy an archive whole. Raises `Fault` when another file has its name, or the disk fails."""
    target, temporary = directory / path.name, directory / f".{path.name}.tmp"
    try:
        with path.open("rb") as source:
            if target.exists():
                with target.open("rb") as there:
                    if _digest(there) == _digest(source):
                        temporary.unlink(missing_ok=True)  # of a crash between the link and its removal
                        return
                raise _failed(path, f"{target} is there already, with another content")
            with temporary.open("wb") as out:
                shutil.copyfileobj(source, out)
                out.flush()
                os.fsync(out.fileno())
        # The copy is on the disk; a link fails where a file has come meanwhile, a rename would replace it.
        target.hardlink_to(temporary)
        # The archive has its name; a crash before the next line leaves a second, hidden one, removed by the next round.
        temporary.unlink()
        sync_folder(directory)
    except OSError as err:
        raise _failed(path, f"it cannot be copied to {directory}: {err}") from err


def _put(path: Path, address: str, timeout_s: float) -> None:
    """Put an archive into an object store. Raises `Fault` when another object has its name, or the store fails."""
    try:
        put_once(address, path, timeout_s)
    except (OSError, ValueError) as err:
        raise _failed(path, str(err)) from err


def _digest(file: IO[bytes]) -> bytes:
    return hashlib.file_digest(file, "sha256").digest()  # type: ignore[arg-type]  # an open file


async def _run(command: tuple[str, ...], timeout_s: float) -> None:
    path = Path(command[-1])
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as err:
        raise _failed(path, f"{shown(command[0])} cannot be run: {err}") from err
    try:
        async with asyncio.timeout(timeout_s):
            _, output = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise _failed(path, f"{shown(command[0])} took longer than {timeout_s:g} s") from None
    if process.returncode:
        text = shown(output.decode("utf-8", "replace").strip(), _LONGEST_OUTPUT)
        raise _failed(path, f"{shown(command[0])} ended with {process.returncode}: {text}")


def _failed(path: Path, detail: str) -> Fault:
    return Fault(
        Kind.LOGGING_FAILED,
        f"the archive {path.name} was not handed on ({detail}); it is tried again with the next round",
    )
