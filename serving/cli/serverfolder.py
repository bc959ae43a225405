"""The option ``--data`` of commands that work on a server that is there: a folder without one is refused, and nothing is made in it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from serving.language import _

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class ServerFolders:
    """The marks by which folders of one kind of server are known.

    ``default`` is the folder where none is named, ``marks`` are files of which every such folder has one, ``database`` is the
    environment variable that names a database shared by nodes, whose folders may be empty, ``make`` is the command that makes one.
    """

    default: str
    marks: tuple[str, ...]
    database: str
    make: str

    def option(self) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """``--data`` for a command that needs a server in the folder."""
        return click.option("--data", type=ServerFolder(self), default=Path(self.default), show_default=True)

    def new_option(self) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """``--data`` for a command that may make the folder, or says itself what is missing in it."""
        return click.option(
            "--data", type=click.Path(path_type=Path), default=Path(self.default), show_default=True
        )

    def check(self, folder: Path) -> None:
        """Raises `click.ClickException` unless a server was made in the folder, or works on a database that nodes share."""
        if os.environ.get(self.database) or any((folder / mark).exists() for mark in self.marks):
            return
        raise click.ClickException(
            _(
                "there is no server in {folder}: it holds none of {marks}; run '{make}' first, or correct --data",
                folder=folder,
                marks=", ".join(self.marks),
                make=self.make,
            )
        )


class ServerFolder(click.Path):
    """A folder in which a server was made; anything else ends the command with a line."""

    def __init__(self, folders: ServerFolders) -> None:
        super().__init__(path_type=Path)
        self._folders = folders

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        """The folder as a `Path`."""
        folder = Path(os.fspath(super().convert(value, param, ctx)))  # type: ignore[arg-type]
        self._folders.check(folder)
        return folder
