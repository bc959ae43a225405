"""The table ``[node]`` of a settings file: the database that nodes share is written into it and taken out of it, the rest stays."""

from __future__ import annotations

import os
import tomllib
from typing import TYPE_CHECKING

from certs.edges.tokenfiles import write_whole
from schemas.jsontext import encode_json
from serving.config.textfiles import read_text_file
from serving.errors import OperatorError
from serving.language import N_

if TYPE_CHECKING:
    from pathlib import Path

_HEADER = "[node]"


def name_database(file: Path, database: str, password_file: Path | None = None) -> None:
    """Let the settings in ``file`` name the database. Raises `OperatorError` where they name another one already."""
    text = read_text_file(file) if file.exists() else ""
    named = tomllib.loads(text).get("node", {})
    if named.get("database") == database:
        return
    if "database" in named or (named and _HEADER not in text.splitlines()):
        raise OperatorError(
            N_(
                "everything is copied; now set node.database in {file} to {to} and begin again",
                file=file,
                to=database,
            )
        )
    new = [f"database = {encode_json(database).decode()}"]
    if password_file is not None:
        new.append(f"password = {{ file = {encode_json(str(password_file.absolute())).decode()} }}")
    lines = text.splitlines()
    if _HEADER in lines:
        at = lines.index(_HEADER) + 1
        lines[at:at] = new
    else:
        lines += [*([""] if lines else []), _HEADER, *new]
    _write(file, lines)


def forget_database(file: Path) -> None:
    """Let the settings in ``file`` name no database any more."""
    lines = read_text_file(file).splitlines() if file.exists() else []
    kept, inside = list[str](), False
    for line in lines:
        inside = line.strip() == _HEADER or (inside and not line.startswith("["))
        if not (inside and line.partition("=")[0].strip() in ("database", "password")):
            kept.append(line)
    _write(file, kept)


def _write(file: Path, lines: list[str]) -> None:
    """Write the file whole; it stays its owner's, and whoever could read it can."""
    before = file.stat() if file.exists() else None
    write_whole(file, ("\n".join(lines) + "\n").encode(), mode=0o600)
    # The new content is on disk. A crash here leaves it readable to whoever ran the command; the same command mends it.
    if before is not None:
        os.chown(file, before.st_uid, before.st_gid)
        file.chmod(before.st_mode & 0o777)
