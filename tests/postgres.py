"""A PostgreSQL server for tests: a cluster of its own in a temporary folder, reached by a Unix socket."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.programs import need

if TYPE_CHECKING:
    from collections.abc import Sequence

BINARIES = "/usr/lib/postgresql/*/bin"


class Cluster:
    """One running cluster."""

    def __init__(
        self,
        *,
        is_durable: bool = False,
        standby_of: Cluster | None = None,
        beside: Path | None = None,
        connections: int = 100,
    ) -> None:
        self._options = f"-c max_connections={connections}{'' if is_durable else ' -c fsync=off'}"
        self._initdb = need("initdb", package="postgresql", beside=BINARIES)
        self._pg_ctl = need("pg_ctl", package="postgresql", beside=BINARIES)
        # Not pytest's folder: the server's user must reach it, and a socket's path has 107 characters at most.
        if standby_of is None:
            self.folder = Path(tempfile.mkdtemp(prefix="sacbe-pg-", dir=beside))
        else:
            self.folder = standby_of.standby_folder
            self.folder.mkdir(mode=0o700)
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self.folder, user.pw_uid, user.pw_gid)
        self._databases = 0
        data = str(self.folder / "data")
        if standby_of is None:
            self._run(self._initdb, "-D", data, "-U", "sacbe", "-A", "trust", "-E", "UTF8", "--no-sync")
        else:
            copy = need("pg_basebackup", package="postgresql", beside=BINARIES)
            primary = f"postgresql://sacbe@/?host={standby_of.folder}&application_name=standby"
            self._run(copy, "-D", data, "-d", primary, "-R", "-c", "fast", "--no-sync")
        self.start()

    @property
    def standby_folder(self) -> Path:
        """Where a standby of this cluster has its socket once there is one."""
        return self.folder.with_name(f"{self.folder.name}-standby")

    def wait_for_standby(self) -> None:
        """From now on a commit is acknowledged once the standby has it; return when it follows."""
        self._say("ALTER SYSTEM SET synchronous_standby_names = 'standby'")
        self._say("SELECT pg_reload_conf()")
        deadline = time.monotonic() + 60
        while self._say("SELECT sync_state FROM pg_stat_replication") != [("sync",)]:
            assert time.monotonic() < deadline, "the standby does not follow"
            time.sleep(0.05)

    def promote(self) -> None:
        """Make a standby the primary; it takes changes when this returns."""
        self._run(self._pg_ctl, "-D", str(self.folder / "data"), "-w", "-t", "240", "promote")

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = f"-k {self.folder} -c listen_addresses='' {self._options}"
        self._run(
            self._pg_ctl,
            "-D",
            str(self.folder / "data"),
            "-w",
            "-t",
            "240",
            "-l",
            str(self.folder / "log"),
            "-o",
            options,
            "start",
        )
        self._runs = True

    def stop(self) -> None:
        """Stop the server at once."""
        self._run(self._pg_ctl, "-D", str(self.folder / "data"), "-w", "-t", "240", "-m", "immediate", "stop")
        self._runs = False

    def remove(self) -> None:
        """Stop the server, if it runs, and remove its folder."""
        if self._runs:
            self.stop()
        shutil.rmtree(self.folder)

    def new_database(self) -> str:
        """The address of a fresh database."""
        self._databases += 1
        name = f"test{self._databases}"
        self._say(f"CREATE DATABASE {name}")
        return self._address(name)

    def _say(self, sql: str) -> list[tuple[object, ...]]:
        import psycopg  # only where PostgreSQL is

        with psycopg.connect(self._address("postgres"), autocommit=True) as connection:
            said = connection.execute(sql)
            return said.fetchall() if said.description else []

    def _address(self, database: str) -> str:
        return f"postgresql://sacbe@/{database}?host={self.folder}"

    def _run(self, *command: str) -> None:
        before: Sequence[str] = ("runuser", "-u", "postgres", "--") if os.geteuid() == 0 else ()
        # The server inherits the output: a pipe would never end.
        with (Path(self.folder) / "commands").open("ab") as out:
            subprocess.run([*before, *command], check=True, stdout=out, stderr=out, cwd=self.folder)
