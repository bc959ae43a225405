"""Text files that a person writes: settings, lists, secrets. What is wrong with one is said with its name."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

from schemas.numbers import is_kept
from serving.errors import OperatorError
from serving.language import N_

if TYPE_CHECKING:
    from pathlib import Path

LARGEST_BYTES = 64 * 1024 * 1024


def read_text_file(path: Path) -> str:
    """The text of a file, without the mark that editors of Windows put in front. Raises `OperatorError` for one that is no UTF-8 or above 64 MiB, OSError."""
    with path.open("rb") as file:
        content = file.read(LARGEST_BYTES + 1)
    if len(content) > LARGEST_BYTES:
        raise OperatorError(
            N_("{file} has more than {mib} MiB: it is no such file", file=path, mib=LARGEST_BYTES >> 20)
        )
    try:
        return content.decode("utf-8").removeprefix("\ufeff").replace("\r\n", "\n")
    except UnicodeDecodeError as err:
        line = content.count(b"\n", 0, err.start) + 1
        raise OperatorError(
            N_(
                "{file}, line {line}: the text is not UTF-8; save it as UTF-8 and try again",
                file=path,
                line=line,
            )
        ) from err


def read_toml_file(path: Path) -> dict[str, Any]:
    """The tables and values of a TOML file. Raises `OperatorError` naming the file, OSError."""
    return parse_toml(read_text_file(path), str(path))


def parse_toml(text: str, name: str = "") -> dict[str, Any]:
    """The tables and values of a text; ``name`` is its file's. Raises `OperatorError` for what is no TOML, or a number that nothing keeps."""
    try:
        values = tomllib.loads(text)
        _check_numbers(values, "")
    except (ValueError, RecursionError) as err:
        raise OperatorError(N_("{file} is not TOML: {err}", file=name or N_("the file"), err=err)) from err
    return values


def _check_numbers(value: object, place: str) -> None:
    """Refuse (ValueError) what TOML lets be and no field takes: ``nan``, ``inf`` and whole numbers beyond 64 bits."""
    if isinstance(value, dict):
        for key, inner in value.items():
            _check_numbers(inner, f"{place}.{key}".removeprefix("."))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            _check_numbers(inner, f"{place}[{number}]")
    elif isinstance(value, int | float) and not is_kept(value):
        raise OperatorError(N_("the number at {place} is none that can be kept", place=place))
