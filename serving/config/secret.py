"""A secret from where its owner keeps it: a file, an environment variable, or what a command prints."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from serving.config.textfiles import read_text_file
from serving.errors import OperatorError
from serving.language import N_

if TYPE_CHECKING:
    from collections.abc import Mapping

_COMMAND_TIMEOUT_S = 30


class SecretSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The source of a secret: a file, a variable of the environment or a program; at most one of the three."""

    file: str = ""
    environment: str = ""
    # A program with its arguments; its first line of output counts.
    command: tuple[str, ...] = ()

    @property
    def is_set(self) -> bool:
        """Whether any place is named."""
        return bool(self.file or self.environment or self.command)

    def read(self, environ: Mapping[str, str]) -> str:
        """The secret. Raises ValueError saying what is wrong, never the secret."""
        if sum(map(bool, (self.file, self.environment, self.command))) != 1:
            raise OperatorError(N_("a secret comes from exactly one of file, environment and command"))
        if self.file:
            return _present(self._from_file(), f"the file {self.file}")
        if self.environment:
            return _present(environ.get(self.environment, ""), f"the environment variable {self.environment}")
        return _present(self._from_command(), f"the command {self.command[0]}")

    def _from_file(self) -> str:
        try:
            return read_secret_file(Path(self.file))
        except OSError as err:
            raise OperatorError(
                N_("the secret file {file} cannot be read: {err}", file=self.file, err=err)
            ) from err

    def _from_command(self) -> str:
        try:
            done = subprocess.run(  # the operator's own command
                self.command, capture_output=True, text=True, timeout=_COMMAND_TIMEOUT_S, check=True
            )
        except (OSError, subprocess.SubprocessError) as err:
            raise OperatorError(
                N_(
                    "the command {command} gave no secret: {name}",
                    command=self.command[0],
                    name=type(err).__name__,
                )
            ) from err
        return done.stdout.partition("\n")[0]


def read_secret_file(path: Path) -> str:
    """The secret in a file that its owner alone may read, without the line's end.

    Pipes and terminals (``/dev/stdin``) are taken as they are. Raises ValueError with the remedy, OSError.
    """
    mode = path.stat().st_mode
    if stat.S_ISREG(mode) and mode & 0o077:
        raise OperatorError(
            N_(
                "the secret file {path} can be read by others (mode {mode:o}); chmod 600 {path}",
                path=path,
                mode=mode & 511,
            )
        )
    return read_text_file(path).strip()


def _present(text: str, where: str) -> str:
    if not text.strip():
        raise OperatorError(N_("{where} holds no secret", where=where))
    return text.strip()
