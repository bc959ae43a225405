"""Text files that a person writes: settings, lists, secrets. What is wrong with one is said with its name."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

from serving.errors import OperatorError
from serving.language import _

if TYPE_CHECKING:
    from pathlib import Path

LARGEST_BYTES = 64 * 1024 * 1024


def read_text_file(path: Path) -> str:
    """The text of a file. Raises `OperatorError` for one that is no UTF-8 or above 64 MiB, OSError."""
    with path.open("rb") as file:
        content = file.read(LARGEST_BYTES + 1)
    if len(content) > LARGEST_BYTES:
        raise OperatorError(
            _("{file} has more than {mib} MiB: it is no such file", file=path, mib=LARGEST_BYTES >> 20)
        )
    try:
        return content.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as err:
        line = content.count(b"\n", 0, err.start) + 1
        raise OperatorError(
            _(
                "{file}, line {line}: the text is not UTF-8; save it as UTF-8 and try again",
                file=path,
                line=line,
            )
        ) from err


def read_toml_file(path: Path) -> dict[str, Any]:
    """The tables and values of a TOML file. Raises `OperatorError` naming the file, OSError."""
    try:
        return tomllib.loads(read_text_file(path))
    except (tomllib.TOMLDecodeError, RecursionError) as err:
        raise OperatorError(_("{file} is not TOML: {err}", file=path, err=err)) from err
