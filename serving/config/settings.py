"""Settings from one TOML file and the environment, checked once into a frozen value.

Unknown names stop the start: a misspelt setting must not silently be a default. Environment variables override the file:
``<PREFIX>_<SECTION>_<FIELD>`` (or ``<PREFIX>_<FIELD>`` outside sections), in upper case. Between the two stand the values
that an operator set by command or over the admin API.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, get_origin

import msgspec

from serving.config.settingtable import reason_of
from serving.config.textfiles import read_toml_file
from serving.errors import OperatorError
from serving.language import N_

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

T = TypeVar("T", bound=msgspec.Struct)


def load_settings(
    kind: type[T],
    path: Path | None,
    environ: Mapping[str, str],
    prefix: str,
    kept: Mapping[str, Any] | None = None,
) -> T:
    """The settings of ``kind``; ``kept`` are tables and values that go before the file's. Raises `OperatorError`."""
    try:
        values: dict[str, Any] = {} if path is None else read_toml_file(path)
    except OSError as err:
        raise OperatorError(N_("the settings file {path} cannot be read: {err}", path=path, err=err)) from err
    for key, value in (kept or {}).items():
        values[key] = {**values.get(key, {}), **value} if isinstance(value, dict) else value
    for name, value in environ.items():
        if name.startswith(f"{prefix}_"):
            _override(kind, values, name.removeprefix(f"{prefix}_").lower(), value, name)
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as err:
        raise OperatorError(
            N_(
                "a setting is wrong: {err} (file {file}, environment {prefix}_*)",
                err=reason_of(kind, values, err),
                file=path or N_("none"),
                prefix=prefix,
            )
        ) from err


def _override(kind: type[msgspec.Struct], values: dict[str, Any], key: str, value: str, name: str) -> None:
    fields = {f.name: f for f in msgspec.structs.fields(kind)}
    if key in fields:
        values[key] = _written(fields[key].type, value)
        return
    for section, field in fields.items():
        inner = field.type
        if key.startswith(f"{section}_") and isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            rest = key.removeprefix(f"{section}_")
            for one in msgspec.structs.fields(inner):
                if one.name == rest:
                    values.setdefault(section, {})[rest] = _written(one.type, value)
                    return
    raise OperatorError(N_("the environment variable {name} names no setting", name=name))


def _written(kind: Any, text: str) -> str | list[str]:
    """A value as the environment writes it; a list is written with commas, an empty one as nothing."""
    bare = kind.__origin__ if hasattr(kind, "__metadata__") else kind
    if get_origin(bare) is tuple:
        return [part.strip() for part in text.split(",") if part.strip()]
    return text
