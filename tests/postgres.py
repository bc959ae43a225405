"""A PostgreSQL server for tests: a cluster of its own in a temporary folder, reached by a Unix socket."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.programs import need

if TYPE_CHECKING:
    from collections.abc import Sequence

BINARIES = "/usr/lib/postgresql/*/bin"


class Cluster:
    """One running cluster."""

    def __init__(self, *, is_durable: bool = False) -> None:
        self._durable = "" if is_durable else " -c fsync=off"
        self._initdb = need("initdb", package="postgresql", beside=BINARIES)
        self._pg_ctl = need("pg_ctl", package="postgresql", beside=BINARIES)
        # Not pytest's folder: the server's user must reach it, and a socket's path has 107 characters at most.
        self.folder = Path(tempfile.mkdtemp(prefix="sacbe-pg-"))
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self.folder, user.pw_uid, user.pw_gid)
        self._databases = 0
        self._run(
            self._initdb,
            "-D",
            str(self.folder / "data"),
            "-U",
            "sacbe",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-sync",
        )
        self.start()

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = f"-k {self.folder} -c listen_addresses=''{self._durable}"
        self._run(
            self._pg_ctl,
            "-D",
            str(self.folder / "data"),
            "-w",
            "-l",
            str(self.folder / "log"),
            "-o",
            options,
            "start",
        )

    def stop(self) -> None:
        """Stop the server at once."""
        self._run(self._pg_ctl, "-D", str(self.folder / "data"), "-w", "-m", "immediate", "stop")

    def remove(self) -> None:
        """Stop the server and remove its folder."""
        self.stop()
        shutil.rmtree(self.folder)

    def new_database(self) -> str:
        """The address of a fresh database."""
        import psycopg  # noqa: PLC0415  only where PostgreSQL is

        self._databases += 1
        name = f"test{self._databases}"
        with psycopg.connect(self._address("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
        return self._address(name)

    def _address(self, database: str) -> str:
        return f"postgresql://sacbe@/{database}?host={self.folder}"

    def _run(self, *command: str) -> None:
        before: Sequence[str] = ("runuser", "-u", "postgres", "--") if os.geteuid() == 0 else ()
        # The server inherits the output: a pipe would never end.
        with (Path(self.folder) / "commands").open("ab") as out:
            subprocess.run([*before, *command], check=True, stdout=out, stderr=out, cwd=self.folder)
