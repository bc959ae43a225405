"""``support bundle``: what somebody who helps from afar needs to see of a server, with no secret and nothing of a person.

In it: versions, settings (secrets, mail addresses and passwords within addresses left out), whether the server runs and what
is in its way, the version of every database, names, sizes and modes of the data folder's files, room on the disk. Not in it:
any file's content, the log, keys, messages, the names of users.
"""

from __future__ import annotations

import functools
import os
import platform
import re
import shutil
import sqlite3
import stat
import sys
import zipfile
from contextlib import closing
from datetime import UTC, datetime
from importlib.metadata import distributions, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from schemas.jsontext import dump_json
from serving.cli.commands import report_errors
from serving.cli.serverfolder import ServerFolders
from serving.config.secret import SecretSource
from serving.errors import OperatorError
from serving.language import N_, _

if TYPE_CHECKING:
    from collections.abc import Callable

    Look = Callable[[Path, Path | None], dict[str, Any]]
    Load = Callable[[Path, Path | None], msgspec.Struct]

_MAIL = re.compile(r"[^\s,@/]+@[^\s,@/]+")
_LOGIN = re.compile(r"//[^/@\s]*@")
# Files in these folders are named by persons, or name them; they are counted alone.
_COUNTED = ("spool", "bodies", "archive", "backups", "uploads")
MOST_FILES = 2000


def support_commands(folders: ServerFolders, load: Load, look: Look) -> click.Group:
    """The group ``support`` of a server whose settings ``load`` gives and whose state ``look`` tells."""

    @click.group(name="support", help="For asking for help.")
    def group() -> None: ...

    @group.command(
        help="Write versions, settings, state and sizes to OUT (.zip), without secrets or anything of a person."
    )
    @folders.option()
    @click.option("--settings", "settings_file", type=click.Path(path_type=Path, exists=True))
    @click.argument("out", type=click.Path(path_type=Path))
    @report_errors
    def bundle(data: Path, settings_file: Path | None, out: Path) -> None:
        if out.exists():
            raise OperatorError(N_("{out} exists already; choose another name", out=out))
        parts = {
            "versions.json": _versions(),
            "settings.json": without_secrets(load(data, settings_file)),
            "state.json": _tried(lambda: look(data, settings_file)),
            "databases.json": _databases(data),
            "files.json": _files(data),
        }
        with zipfile.ZipFile(out, "x", zipfile.ZIP_DEFLATED) as archive:
            for name, value in parts.items():
                archive.writestr(name, dump_json(value, indent=1, ensure_ascii=False, default=str))
        out.chmod(0o600)
        click.echo(
            _("written: {out}; look into it before you send it: {names}", out=out, names=", ".join(parts))
        )

    return group


def without_secrets(settings: msgspec.Struct) -> Any:
    """Settings as JSON's values: of a secret only whether it is set, of texts no mail address and no password."""
    return _clean(settings)


def _clean(value: Any) -> Any:
    if isinstance(value, SecretSource):
        return "set" if value.is_set else "not set"
    if isinstance(value, msgspec.Struct):
        return {f: _clean(getattr(value, f)) for f in value.__struct_fields__}
    if isinstance(value, (list, tuple, frozenset, set)):
        return [_clean(one) for one in value]
    if isinstance(value, dict):
        return {str(k): _clean(v) for k, v in value.items()}
    if isinstance(value, str):
        return _MAIL.sub("***", _LOGIN.sub("//***@", value))
    return value if value is None or isinstance(value, (bool, int, float)) else str(value)


def _versions() -> dict[str, Any]:
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "sacbe": version("sacbe"),
        "python": sys.version,
        "platform": platform.platform(),
        "sqlite": sqlite3.sqlite_version,
        "processors": os.cpu_count(),
        "distributions": {d.metadata["Name"]: d.version for d in distributions() if d.metadata["Name"]},
    }


def _databases(data: Path) -> dict[str, Any]:
    """The step and the size of every database, read without changing it."""
    return {
        str(p.relative_to(data)): _tried(functools.partial(_step, p)) for p in sorted(data.rglob("*.sqlite"))
    }


def _step(path: Path) -> dict[str, Any]:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
        tables = [n for (n,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        step = database.execute("SELECT max(number) FROM step").fetchone()[0] if "step" in tables else None
    return {"step": step, "tables": len(tables), "bytes": path.stat().st_size}


def _files(data: Path) -> dict[str, Any]:
    usage = shutil.disk_usage(data)
    found: dict[str, Any] = {}
    counted: dict[str, list[int]] = {}
    for path in sorted(data.rglob("*")):
        inside = path.relative_to(data)
        folder = next((p for p in inside.parts[:-1] if p in _COUNTED), None)
        status = path.lstat()
        if folder is not None:
            sizes = counted.setdefault(folder, [0, 0])
            sizes[0], sizes[1] = sizes[0] + 1, sizes[1] + status.st_size
        elif len(found) < MOST_FILES and path.suffix != ".password":
            found[str(inside)] = {"mode": stat.filemode(status.st_mode), "bytes": status.st_size}
    return {
        "disk": {"total": usage.total, "free": usage.free},
        "owner": data.stat().st_uid,
        "files": found,
        "counted": {name: {"files": n, "bytes": size} for name, (n, size) in counted.items()},
    }


def _tried(look: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The result of ``look``, or ``{"failed": reason}``: a bundle is made most often when something is broken."""
    try:
        return look()
    except Exception as err:
        return {"failed": f"{type(err).__name__}: {err}"}
