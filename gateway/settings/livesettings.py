"""The settings a gateway runs by: its file, then what was set by command or over the admin API, then the environment.

What is set is kept in the server configuration's database, by name, only after the whole has been checked: a value that
is refused changes nothing. A running gateway looks at `revision` and takes what may change while it runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.settings.config import TABLE, GatewaySettings, load
from gateway.settings.nodesettings import ENVIRONMENT_PREFIX, FILE
from schemas.jsontext import decode_json, encode_json
from serving.errors import OperatorError
from serving.language import N_

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from serving.config.settingtable import Change
    from serving.storage.database import AnyDatabase


def settings_file(data: Path, given: Path | None) -> Path | None:
    """The file that is read: the one that was named, else ``settings.toml`` of the data folder, if it is there."""
    if given is not None:
        return given
    return data / FILE if (data / FILE).exists() else None


class LiveSettings:
    """Reads settings and keeps what is set."""

    def __init__(self, database: AnyDatabase, file: Path | None, environ: Mapping[str, str]) -> None:
        self._database = database
        self.file = file
        self._environ = environ

    def load(self) -> GatewaySettings:
        """The settings as they are written now. Raises `OperatorError`."""
        return load(self.file, self._environ, self.kept())

    def revision(self) -> tuple[tuple[str, str], ...]:
        """The stored names and values, to see whether they changed."""
        return tuple((n, v) for n, v in self._database.query("SELECT name, value FROM setting ORDER BY name"))

    def kept(self) -> dict[str, object]:
        """The values that were set by command or API, by the setting's name."""
        return parse_kept(self.revision())

    def source(self, name: str) -> str:
        """The origin of a setting's value: ``environment``, ``set``, ``file`` or ``default``."""
        if variable_of(name) in self._environ:
            return "environment"
        if name in self.kept():
            return "set"
        settings, default = load(self.file, {}), TABLE.defaults[name]
        return "default" if TABLE.flatten(settings)[name] == default else "file"

    def set(self, name: str, text: str) -> tuple[Change, ...]:
        """Keep a value for a setting; what is different now. Raises `OperatorError`, and nothing has changed."""
        if name.startswith("node."):
            raise OperatorError(
                N_(
                    "{name} says where settings are kept and cannot be kept there: set it in {file} of the data folder, or as {variable}, and restart",
                    name=name,
                    file=FILE,
                    variable=variable_of(name),
                )
            )
        value = decode_json(encode_json(TABLE.parse(name, text), enc_hook=str))
        return self._keep({**self.kept(), name: value}, name)

    def unset(self, name: str) -> tuple[Change, ...]:
        """Go back to the file's value or the default; what is different now. Raises `OperatorError`."""
        TABLE.setting(name)
        return self._keep({n: v for n, v in self.kept().items() if n != name}, name)

    def _keep(self, kept: dict[str, object], name: str) -> tuple[Change, ...]:
        try:
            before = self.load()
        except OperatorError:
            before = load(self.file, self._environ)  # what was kept is what is wrong; it can be taken back
        after = load(self.file, self._environ, kept)
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM setting WHERE name = ?", (name,))
            if name in kept:
                connection.execute(
                    "INSERT INTO setting (name, value) VALUES (?, ?)",
                    (name, encode_json(kept[name]).decode()),
                )
        return TABLE.differences(before, after)


def parse_kept(rows: Iterable[tuple[str, str]]) -> dict[str, object]:
    """Rows of the table ``setting`` as names and values."""
    return {name: decode_json(value) for name, value in rows}


def variable_of(name: str) -> str:
    """The environment variable that overrides a setting."""
    return f"{ENVIRONMENT_PREFIX}_{name.replace('.', '_')}".upper()
