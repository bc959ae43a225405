"""Country presets: what a new server begins with, as files of data beside this module (``presets/*.toml``).

A file says the country of certificates' subjects, the first values of the registry, and settings of both servers, each in
the words of its settings file. Making a server writes them into its own ``settings.toml``: a preset that changes in a later
version changes nothing that runs.
"""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import msgspec

from serving.config.textfiles import read_toml_file
from serving.config.tomltext import toml_value
from serving.errors import OperatorError
from serving.language import N_

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

FOLDER = "presets"


class RegistryStart(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """First values of a registry: the profile of its CAs, times in seconds, and the class of the first member."""

    profile: str = "Basic"
    ocsp_freshness_s: int = 3600
    timestamping_interval_s: int = 60
    expire_interval_s: int = 600
    member_class: str = "GOB"
    member_class_description: str = "GOB"


class Preset(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One country's values; ``central`` and ``gateway`` are tables of the servers' settings."""

    country: str
    registry: RegistryStart = RegistryStart()
    central: dict[str, Any] = {}
    gateway: dict[str, Any] = {}


def preset_names() -> tuple[str, ...]:
    """The names of all presets, in the order they are listed."""
    found = (files(__package__) / FOLDER).iterdir()
    return tuple(sorted(f.name.removesuffix(".toml") for f in found if f.name.endswith(".toml")))


def read_preset(name: str) -> Preset:
    """A preset by its name. Raises ValueError when there is none."""
    if name not in preset_names():
        raise OperatorError(
            N_("there is no preset {name!r}; there are: {names}", name=name, names=", ".join(preset_names()))
        )
    text = (files(__package__) / FOLDER / f"{name}.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), Preset)


def render_settings(tables: Mapping[str, Any], note: str) -> str:
    """A settings file of these tables; ``note`` is its first comment."""
    return "\n".join([f"# {note}", *_lines(tables)]) + "\n"


def has_values(file: Path) -> bool:
    """Whether a settings file is there and says anything: a package brings one of comments alone."""
    return file.exists() and bool(read_toml_file(file))


def _lines(tables: Mapping[str, Any]) -> Iterator[str]:
    for name, value in tables.items():
        if not isinstance(value, dict):
            yield f"{name} = {toml_value(value)}"
    for section, fields in tables.items():
        if isinstance(fields, dict):
            yield ""
            yield f"[{section}]"
            yield from (f"{name} = {toml_value(value)}" for name, value in fields.items())
