"""Writing TOML: texts, lists and tables of them, enough for the files that this software also reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.jsontext import dump_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def toml_value(value: object) -> str:
    """A text, number, truth value, list or inline table in TOML's spelling. Raises TypeError."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        # JSON's spelling of a text, but for the one character that TOML wants escaped and JSON does not.
        return dump_json(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml_value(one) for one in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {toml_value(one)}" for name, one in value.items()) + " }"
    raise TypeError(f"{type(value).__name__} has no spelling here")


def toml_lines(fields: Mapping[str, object], header: str = "") -> Iterable[str]:
    """A table's lines after its header; fields that are None or an empty list are left out."""
    if header:
        yield ""
        yield f"[[{header}]]"
    for name, value in fields.items():
        if value is not None and value not in ((), []):
            yield f"{name} = {toml_value(value)}"
