"""The packages: installed into a clean root, started as their units say, an exchange, an upgrade, a purge; the same as rpms."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from benchmarks.federation import free_base
from central_server.cli.main import main as central_command
from deploy import rpm
from deploy.build import KINDS, SERVERS, SOURCES, Build, build_all, build_server
from tests.cleanroot import CleanRoot, NotifySocket
from tests.integration.calling import until
from tests.integration.test_joining import steps
from tests.programs import need

if TYPE_CHECKING:
    from collections.abc import Iterator

# The packages of the whole environment are built, unpacked twice and served from: longer than one test may take elsewhere.
pytestmark = [pytest.mark.processes, pytest.mark.timeout(900)]
OLD, NEW = "0.1.0", "0.1.1~next"
UNITS = sorted(f.name for f in SOURCES.iterdir() if f.suffix in (".service", ".timer"))
DEBIAN_PYTHON = Path(f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}")


@pytest.fixture(scope="module", autouse=True)
def mask() -> Iterator[None]:
    """The mask of an installing administrator; a command that ran in this process before may have left a narrower one."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CleanRoot]:
    need("dpkg-deb", package="dpkg")
    if not DEBIAN_PYTHON.exists():
        pytest.skip(f"{DEBIAN_PYTHON} is not here: the packages run on Debian's own interpreter")
    made = CleanRoot(tmp_path_factory.mktemp("root"))
    reason = made.open()
    try:
        if reason is not None:
            pytest.skip(reason)
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    kinds = KINDS if rpm.is_installed() else ("deb",)
    made = build_all(tmp_path_factory.mktemp("dist"), OLD, "none", kinds)
    return {path.name.partition("_")[0]: path for path in made if path.suffix == ".deb"} | {
        path.name.partition(f"-{OLD}")[0] + ".rpm": path for path in made if path.suffix == ".rpm"
    }


def next_version(package: Path, folder: Path) -> Path:
    """The same package as a later version of it."""
    root = folder / "unpacked"
    shutil.rmtree(root, ignore_errors=True)
    subprocess.run(["dpkg-deb", "-R", str(package), str(root)], check=True)
    control = root / "DEBIAN" / "control"
    control.write_text(control.read_text(encoding="utf-8").replace(OLD, NEW), encoding="utf-8")
    for old in root.glob(f"opt/sacbe/lib/python*/site-packages/sacbe-{OLD}.dist-info"):
        metadata = old / "METADATA"
        metadata.write_text(metadata.read_text().replace(OLD, NEW))
        old.rename(old.with_name(f"sacbe-{NEW}.dist-info"))
    target = folder / package.name.replace(OLD, NEW)
    subprocess.run(["dpkg-deb", "-Znone", "--build", str(root), str(target)], check=True, capture_output=True)
    return target


class Machine:
    """The page "from nothing" on one machine with packages: both servers are units there."""

    def __init__(self, root: CleanRoot, folder: Path) -> None:
        base = free_base()
        self.root, self.folder = root, folder
        self.ca, self.central, self.gateway = (f"{base}.{n}" for n in (2, 1, 10))
        self.settings = {
            "central": {"SACBE_CENTRAL_LISTEN_HOST": self.central},
            "gateway": {
                f"SACBE_GATEWAY_LISTEN_{n}_HOST": self.gateway for n in ("CONSUMER", "PEER", "HEALTH")
            },
        }

    def install(self, *packages: Path, by: tuple[str, ...] = ("dpkg", "-i")) -> None:
        for package in packages:
            shutil.copy(package, f"/proc/{self._pid()}/root{self.root.folder}/root/tmp/")
        names = [f"/tmp/{p.name}" for p in packages]
        self.root.run(*by, *names, DEBIAN_FRONTEND="noninteractive")
        self.root.run("rm", *names)

    def _pid(self) -> str:
        assert self.root.holder is not None
        pid = self.root.holder.pid
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0]

    def start(self, name: str) -> subprocess.Popen[bytes]:
        log, told = self.folder / f"{name}.log", NotifySocket(f"sacbe-{os.getpid()}-{name}")
        process = self.root.start_unit(f"sacbe-{name}.service", log, told.name, **self.settings[name])
        try:
            told.wait_for("READY=1")
            told.wait_for("WATCHDOG=1")
        except TimeoutError:
            pytest.fail(log.read_text())
        finally:
            told.close()
        return process

    def run(self, command: str, **environ: str) -> str:
        """A command of the page, with the folders and addresses of this machine."""
        for there, here in (
            ("ca.example", self.ca), ("central.example", self.central), ("gateway.example", self.gateway), ("//localhost:", f"//{self.gateway}:"),
            ("--data central", "--data /var/lib/sacbe/central"), ("central.pin", "/var/lib/sacbe/central.pin"),
            ("--data gw", "--data /var/lib/sacbe/gateway"), ("gw.pin", "/var/lib/sacbe/gateway.pin"),
            ("central/anchor.xml", "/var/lib/sacbe/central/anchor.xml"), ("ca/registry", "/tmp/ca/registry"),
            ("@gw/", "@/var/lib/sacbe/gateway/"), (" gw/", " /var/lib/sacbe/gateway/"),
        ):  # fmt: skip
            command = command.replace(there, here)
        return self.root.run("sh", "-c", f"cd /tmp && {command}", **environ)

    def exchange(self, command: str) -> str:
        """The page's exchange, once the gateway says that it can."""
        until(lambda: answers(f"http://{self.gateway}:5588/"), bool, within_s=90)
        return self.run(command)


@pytest.fixture
def machine(root: CleanRoot, tmp_path: Path) -> Machine:
    return Machine(root, tmp_path)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=60):
            return True
    except urllib.error.URLError:
        return False


@pytest.mark.xroad("F001", "F003", "F016", "F128")
def test_packages_install_serve_exchange_upgrade_and_purge(
    machine: Machine, packages: dict[str, Path], tmp_path: Path
) -> None:
    root = machine.root
    machine.install(packages["sacbe-tools"], *(packages[s.name] for s in SERVERS))
    check_units(root)
    check_files(root)
    commands = steps("from-nothing.md")
    root.start(
        "/opt/sacbe/bin/python", "-m", "certs.dev", "--dir", "/tmp/ca", "--host", machine.ca,
        log=tmp_path / "ca.log",
    )  # fmt: skip
    until(lambda: answers(f"http://{machine.ca}:8888/"), bool)
    machine.run(commands[1])
    root.run("chown", "sacbe:sacbe", "/var/lib/sacbe/central.pin")
    machine.start("central")
    for command in commands[3:7]:
        machine.run(command, **machine.settings["gateway"])
    root.run("chown", "sacbe:sacbe", "/var/lib/sacbe/gateway.pin")
    gateway = machine.start("gateway")
    machine.exchange(commands[8])
    # An upgrade while it serves; its restart is systemd's, which is not here.
    newer = [next_version(packages[name], tmp_path) for name in ("sacbe-tools", *(s.name for s in SERVERS))]
    machine.install(*newer)
    root.stop("gateway serve")
    assert gateway.wait(60) == 0
    assert NEW in root.run("/usr/bin/gateway", "--version")
    machine.start("gateway")
    machine.exchange(commands[8])
    machine.run("gateway log verify --data gw --pin-file gw.pin")
    check_removal(root)


def check_units(root: CleanRoot) -> None:
    """systemd itself finds nothing to say about the units."""
    need("systemd-analyze", package="systemd")
    told = root.run("sh", "-c", "systemd-analyze verify --man=no " + " ".join(
        f"/usr/lib/systemd/system/{u}" for u in UNITS
    ) + " 2>&1")  # fmt: skip
    assert [line for line in told.splitlines() if "sacbe" in line] == []
    assert root.run("sh", "-n", "/usr/lib/sacbe/backup") == ""


def check_files(root: CleanRoot) -> None:
    """The program is root's and nobody else's to write; data folders are the service user's alone."""
    writable = root.run("find", "/opt/sacbe", "!", "-type", "l", "-perm", "/022")
    assert writable == ""
    foreign = root.run("find", "/opt/sacbe", "!", "-user", "root")
    assert foreign == ""
    assert "demo" in root.run("/usr/bin/sacbe", "--help")
    for server in SERVERS:
        told = root.run("stat", "-c", "%U %a", f"/var/lib/sacbe/{server.folder}")
        assert told.split() == ["sacbe", "700"]
        assert server.program in root.run(f"/usr/bin/{server.program}", "--help")


def check_removal(root: CleanRoot) -> None:
    """Removing keeps what was exchanged, purging leaves nothing."""
    for serving in ("gateway serve", "central-server serve"):
        root.stop(serving)
    for process in root.running[1:]:
        process.wait(60)
    names = [s.name for s in SERVERS]
    root.run("dpkg", "--remove", *names)
    root.run("test", "-e", "/var/lib/sacbe/gateway/log")
    root.run("dpkg", "--purge", *names, "sacbe-tools")
    assert (
        root.run("sh", "-c", "ls -d /opt/sacbe /var/lib/sacbe /etc/sacbe /usr/lib/sacbe 2>/dev/null || true")
        == ""
    )
    assert root.run("sh", "-c", "getent passwd sacbe || true") == ""


def contents(*words: str) -> set[str]:
    """The files that a package's list names, without folders."""
    listed = subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()
    return {
        line.removeprefix(".") for line in listed if line.startswith(("/", "./")) and not line.endswith("/")
    }


def files_of_deb(package: Path) -> set[str]:
    return contents("sh", "-c", f"dpkg-deb --fsys-tarfile {shlex.quote(str(package))} | tar -t")


@pytest.mark.xroad("F002")
def test_rpms_hold_what_the_debian_packages_do_install_upgrade_and_keep_data_when_removed(
    packages: dict[str, Path], tmp_path: Path
) -> None:
    need("rpmbuild", package="rpm")
    for name in ("sacbe-tools", *(s.name for s in SERVERS)):
        listed = contents("rpm", "-qpl", str(packages[f"{name}.rpm"]))
        assert files_of_deb(packages[name]) <= listed
        assert all(path.startswith("/opt/sacbe") for path in listed - files_of_deb(packages[name]))
    needed = subprocess.run(
        ["rpm", "-qpR", str(packages["sacbe-gateway.rpm"])], check=True, capture_output=True, text=True
    )
    assert f"sacbe-tools = {OLD}" in needed.stdout.splitlines()
    newer = Build(tmp_path, NEW, "none", tmp_path / "work", ("rpm",))
    build_server(newer, SERVERS[0])
    root = CleanRoot(tmp_path / "root")
    try:
        if (reason := root.open()) is not None:
            pytest.skip(reason)
        machine = Machine(root, tmp_path)
        # The names that RHEL's packages have are not this machine's, whose files they stand for are there.
        machine.install(
            packages["sacbe-tools.rpm"], packages["sacbe-gateway.rpm"], by=("rpm", "-i", "--nodeps")
        )
        assert root.run("stat", "-c", "%U %a", "/var/lib/sacbe/gateway").split() == ["sacbe", "700"]
        assert root.run("stat", "-c", "%G %a", "/etc/sacbe/gateway.env").split() == ["sacbe", "640"]
        assert root.run("find", "/opt/sacbe", "!", "-user", "root") == ""
        assert OLD in root.run("/usr/bin/gateway", "--version")
        root.run("sh", "-c", "echo '# kept' >>/etc/sacbe/gateway.env")
        machine.install(*newer.made, by=("rpm", "-U", "--nodeps"))
        assert f"sacbe-gateway-{NEW}" in root.run("rpm", "-q", "sacbe-gateway")
        root.run("rpm", "-e", "sacbe-gateway", "sacbe-tools")
        assert root.run("sh", "-c", "ls -d /opt/sacbe /usr/bin/gateway 2>/dev/null || true") == ""
        assert root.run("tail", "-n", "1", "/etc/sacbe/gateway.env").strip() == "# kept"
        root.run("test", "-d", "/var/lib/sacbe/gateway")
    finally:
        root.close()


@pytest.mark.xroad("F139")
def test_a_timer_makes_a_backup_and_keeps_as_many_of_its_own_as_it_is_told(tmp_path: Path) -> None:
    data, secret, folder = tmp_path / "c", tmp_path / "passphrase", tmp_path / "backups"
    secret.write_text("correct horse battery staple")
    secret.chmod(0o600)
    making = (
        f"bootstrap --data {data} --pin-file {tmp_path / 'pin'} --instance XX --address c.example --owner GOV/1 "
        "--name Owner --kind ec-p256"
    )
    made = CliRunner().invoke(central_command, shlex.split(making))
    assert made.exit_code == 0, made.output
    folder.mkdir()
    older = [folder / f"timer_2020010{n}-000000.age" for n in range(1, 6)]
    mine = folder / "before-the-move.age"
    for file in (*older, mine):
        file.write_bytes(b"x")
    words = f"backup rotate --data {data} --passphrase-file {secret} --keep 3 {folder}"
    done = CliRunner().invoke(central_command, shlex.split(words))
    assert done.exit_code == 0, done.output
    kept = sorted(folder.glob("timer_*.age"))
    assert kept[:2] == older[3:]
    assert len(kept) == 3
    assert kept[2].stat().st_size > 100
    assert mine.exists()
    # One that fails deletes nothing.
    secret.write_text("")
    assert CliRunner().invoke(central_command, shlex.split(words)).exit_code == 1
    assert sorted(folder.glob("timer_*.age")) == kept
