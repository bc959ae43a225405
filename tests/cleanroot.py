"""A root of its own to install packages into: this machine's files beneath, what is changed above, in memory, gone at the end.

Needs Linux's overlay file system and the right to mount; `CleanRoot.why_not` says what is missing.
"""

from __future__ import annotations

import configparser
import os
import shlex
import shutil
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

MOUNT = """
mount -t tmpfs root "$1" && mkdir "$1/upper" "$1/work" "$1/root" &&
mount -t overlay root -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root" &&
mount --rbind /dev "$1/root/dev" && mount -t proc proc "$1/root/proc" &&
mount -t tmpfs tmp "$1/root/tmp" && echo ready && exec sleep infinity
"""


class Unit(configparser.RawConfigParser):
    """A unit file; of a name that is there several times all values are kept, a line each."""

    def __init__(self, text: str) -> None:
        super().__init__(strict=False, delimiters=("=",), comment_prefixes=("#",), interpolation=None)
        self.optionxform = str  # type: ignore[assignment,method-assign]
        self.read_string(text)

    def service(self, name: str) -> str:
        """A value of the service's section."""
        return self.get("Service", name)


@dataclass(slots=True)
class CleanRoot:
    """The root and what runs in it."""

    folder: Path
    holder: subprocess.Popen[str] | None = None
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def open(self) -> str | None:
        """Make it; why it cannot be made here, else None."""
        if os.geteuid() != 0:
            return "only root can mount"
        if shutil.which("unshare") is None or shutil.which("nsenter") is None:
            return "unshare and nsenter are needed (apt install util-linux)"
        self.folder.mkdir(parents=True, exist_ok=True)
        # Gone with this process, however it ends.
        words = [
            "setpriv",
            "--pdeathsig",
            "KILL",
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--propagation",
            "private",
        ]
        self.holder = subprocess.Popen(
            [*words, "sh", "-c", MOUNT, "sh", str(self.folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.holder.stdout is not None
        if self.holder.stdout.readline().strip() == "ready":
            return None
        _, said = self.holder.communicate(timeout=20)
        return f"no root of its own can be made here: {said.strip()}"

    def close(self) -> None:
        """End everything in it; what was mounted goes with it."""
        for process in self.running:
            process.terminate()
        for process in self.running:
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
        if self.holder is not None:
            self.holder.kill()  # unshare passes nothing on; --kill-child ends what is in there
            self.holder.communicate(timeout=20)

    def words(self, *command: str) -> list[str]:
        """A command as it is run in here."""
        assert self.holder is not None
        children = Path(f"/proc/{self.holder.pid}/task/{self.holder.pid}/children").read_text().split()
        enter = ["nsenter", "--target", children[0], "--mount", "--pid"]
        return [*enter, "chroot", str(self.folder / "root"), *command]

    def run(self, *command: str, **environ: str) -> str:
        """Run a command in here; its output. Raises AssertionError when it fails."""
        done = subprocess.run(
            self.words(*command),
            capture_output=True,
            text=True,
            timeout=180,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "SACBE_LANG": "en", **environ},
            check=False,
        )
        assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def start(self, *command: str, log: Path, **environ: str) -> subprocess.Popen[bytes]:
        """Start a command in here."""
        with log.open("wb") as out:
            process = subprocess.Popen(
                self.words(*command),
                stdout=out,
                stderr=out,
                stdin=subprocess.DEVNULL,
                env={
                    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                    "LANG": "C.UTF-8",
                    "SACBE_LANG": "en",
                    **environ,
                },
            )
        self.running.append(process)
        return process

    def stop(self, serving: str) -> None:
        """Tell a service that runs in here as its own user to end, as systemd would."""
        self.run("pkill", "-TERM", "-u", "sacbe", "-f", serving)

    def start_unit(self, name: str, log: Path, notify: Path, **environ: str) -> subprocess.Popen[bytes]:
        """Start a service as its unit says, without systemd: user, capabilities, commands, environment file."""
        unit = Unit(self.run("cat", f"/usr/lib/systemd/system/{name}"))
        self.run(*shlex.split(unit.service("ExecStartPre").removeprefix("+")))
        words = shlex.split(unit.service("ExecStart"))
        told = self.run("cat", unit.service("EnvironmentFile").removeprefix("-"))
        options = next(line for line in told.splitlines() if line.startswith("OPTIONS="))
        split = shlex.split(shlex.split(options.partition("=")[2])[0])
        at = words.index("$OPTIONS")
        words[at : at + 1] = split
        user = unit.service("User")
        drop = ["setpriv", f"--reuid={user}", f"--regid={unit.service('Group')}", "--init-groups"]
        if unit.service("AmbientCapabilities"):
            wanted = "+" + unit.service("AmbientCapabilities").removeprefix("CAP_").lower()
            drop += [f"--inh-caps={wanted}", f"--ambient-caps={wanted}"]
        usec = str(2_000_000)
        return self.start(
            *drop, "--no-new-privs", *words, log=log, NOTIFY_SOCKET=str(notify), WATCHDOG_USEC=usec, **environ
        )


class NotifySocket:
    """What systemd would hear: the datagram socket of sd_notify, in the abstract namespace."""

    def __init__(self, name: str) -> None:
        self.name = Path(f"@{name}")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{name}")
        self._socket.settimeout(90)

    def wait_for(self, state: str) -> None:
        """Until a state is told."""
        while self._socket.recv(4096).decode() != state:
            pass

    def close(self) -> None:
        """Hear nothing more."""
        self._socket.close()
