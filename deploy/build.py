"""``make packages``: four Debian packages in ``dist/``, made of this very environment, with nothing fetched; as rpms too (`deploy.rpm`).

``sacbe-tools`` holds the software with everything it runs on, in a virtual environment of its own under ``/opt/sacbe``: the
distributions that ``sacbe`` and its extras require, as they are installed here (by ``requirements/dev.txt``, each by its
digest). ``sacbe-gateway``, ``sacbe-central`` and ``sacbe-social-security`` hold a unit, a user and folders, and depend on it.
The interpreter is Debian's own ``python3`` of the minor version that builds.
"""

from __future__ import annotations

import argparse
import compileall
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass, field
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement

from deploy import rpm
from deploy.questions import render_questions
from deploy.repository import KEY, build_signed

if TYPE_CHECKING:
    from collections.abc import Container

PROJECT = Path(__file__).parents[1]
SOURCES = Path(__file__).parent / "debian"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
NEXT = f"{sys.version_info.major}.{sys.version_info.minor + 1}"
SITE = f"opt/sacbe/lib/python{PYTHON}/site-packages"
UNITS = "usr/lib/systemd/system"
KINDS = ("deb", "rpm")
# Extras that a server may be told to use by a setting alone.
EXTRAS = ("postgres", "hsm", "acme", "trace")
MAINTAINER = "Sacbé <sacbe@localhost>"


@dataclass(frozen=True, slots=True)
class Server:
    """A package that runs one server: its name, its program, the name of its folders, and what it is in a line."""

    name: str
    program: str
    folder: str
    summary: str

    @property
    def unit(self) -> str:
        """Its systemd unit."""
        return f"{self.name}.service"


SERVERS = (
    Server("sacbe-gateway", "gateway", "gateway", "X-Road security server in Python"),
    Server("sacbe-central", "central-server", "central", "X-Road central server in Python"),
    Server(
        "sacbe-social-security",
        "social-security",
        "social-security",
        "social-security system that speaks through gateways",
    ),
)


@dataclass(slots=True)
class Build:
    """One run: where the packages go, their version, how they are compressed, and a folder to work in."""

    out: Path
    version: str
    compression: str
    work: Path
    kinds: Container[str] = KINDS
    made: list[Path] = field(default_factory=list)

    def pack(self, name: str, root: Path, summary: str, depends: str, requires: str) -> None:
        """Write the package of a folder; what it needs is said in Debian's words and in rpm's."""
        _open_to_all(root)
        if "deb" in self.kinds:
            self._pack_deb(name, root, summary, depends)
        if "rpm" in self.kinds:
            fields = {"Name": name, "Version": self.version, "Summary": summary, "License": "MIT"}
            self.made.append(rpm.build_rpm(root, self.out, fields, requires, self.compression))

    def _pack_deb(self, name: str, root: Path, summary: str, depends: str) -> None:
        size = sum(f.stat().st_size for f in root.rglob("*") if f.is_file() and not f.is_symlink()) // 1024
        control = {
            "Package": name,
            "Version": self.version,
            "Architecture": _architecture(),
            "Maintainer": MAINTAINER,
            "Installed-Size": str(size),
            "Depends": depends,
            "Section": "net",
            "Priority": "optional",
            "Description": f"{summary}\n Speaks the protocols of X-Road 7.8.",
        }
        text = "".join(f"{key}: {value}\n" for key, value in control.items())
        (root / "DEBIAN").mkdir(exist_ok=True)
        (root / "DEBIAN" / "control").write_text(text, encoding="utf-8")
        target = self.out / f"{name}_{self.version}_{_architecture()}.deb"
        command = [
            "dpkg-deb",
            "--root-owner-group",
            f"-Z{self.compression}",
            "--build",
            str(root),
            str(target),
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        self.made.append(target)


def _open_to_all(root: Path) -> None:
    """What is installed is read by the service users, whatever umask the tree was checked out or compiled under."""
    for path in (root, *root.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


def _architecture() -> str:
    run = subprocess.run(["dpkg", "--print-architecture"], check=True, capture_output=True, text=True)
    return run.stdout.strip()


def required() -> dict[str, Distribution]:
    """Every distribution that the software and its extras need here, by name, itself left out. Raises LookupError."""
    found: dict[str, Distribution] = {}
    pending = [("sacbe", extra) for extra in ("", *EXTRAS)]
    while pending:
        name, extra = pending.pop()
        if name != "sacbe" and not extra and name in found:
            continue
        try:
            this = distribution(name)
        except PackageNotFoundError as err:
            raise LookupError(f"{name} is not installed here; run make first") from err
        found[name] = this
        for text in this.requires or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                inner = requirement.name.lower().replace("_", "-")
                pending += [(inner, one) for one in ("", *requirement.extras) if one or inner not in found]
    del found["sacbe"]
    return found


def copy_distribution(this: Distribution, target: Path) -> None:
    """The files of an installed distribution, without its scripts and compiled modules."""
    for file in this.files or ():
        if file.parts[0] == ".." or file.suffix == ".pyc" or file.is_absolute():
            continue
        place = target / file
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(str(this.locate_file(file)), place)


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)


def _copy(source: Path, target: Path, mode: int = 0o644) -> None:
    _write(target, source.read_text(encoding="utf-8"), mode)


def _environment(root: Path, version: str) -> None:
    """The virtual environment: an interpreter that is Debian's, the distributions, the software, its programs."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    site = root / SITE
    for this in required().values():
        copy_distribution(this, site)
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    for package in wheel["packages"]:
        ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
        shutil.copytree(PROJECT / package, site / package, ignore=ignored, dirs_exist_ok=True)
    info = site / f"sacbe-{version}.dist-info"
    _write(info / "METADATA", f"Metadata-Version: 2.1\nName: sacbe\nVersion: {version}\n")
    _write(info / "RECORD", "")
    _write(root / "opt/sacbe/pyvenv.cfg", "home = /usr/bin\ninclude-system-site-packages = false\n")
    programs = root / "opt/sacbe/bin"
    programs.mkdir(parents=True)
    (programs / "python").symlink_to(f"/usr/bin/python{PYTHON}")
    for name, where in project["project"]["scripts"].items():
        module, _, function = where.partition(":")
        text = f"#!/opt/sacbe/bin/python -I\nimport sys\n\nfrom {module} import {function}\n\nsys.exit({function}())\n"
        _write(programs / name, text, 0o755)
    # Compiled here, for the service user cannot write there; the names in tracebacks are those of the installed files.
    compileall.compile_dir(str(site), quiet=2, stripdir=str(root), prependdir="/", workers=0)


def _documents(root: Path, name: str) -> None:
    target = root / "usr/share/doc" / name
    for document in ("install.md", "instalar.md", "settings.md", "ajustes.md"):
        source = PROJECT / "docs" / document
        if source.exists():
            _copy(source, target / document)
    _copy(PROJECT / "LICENSE", target / "copyright")


def build_tools(build: Build) -> None:
    """The package of the software itself, with the auditor's commands and the backup timer."""
    root = build.work / "sacbe-tools"
    _environment(root, build.version)
    for unit in ("sacbe-backup.service", "sacbe-backup.timer"):
        _copy(SOURCES / unit, root / UNITS / unit)
    _copy(SOURCES / "backup", root / "usr/lib/sacbe/backup", 0o755)
    for script in ("postinst", "prerm"):
        _copy(SOURCES / f"tools.{script}", root / "DEBIAN" / script, 0o755)
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin/sacbe").symlink_to("/opt/sacbe/bin/sacbe")
    _documents(root, "sacbe-tools")
    depends = f"python3 (>= {PYTHON}), python3 (<< {NEXT}), libc6"
    summary = "commands of Sacbé, and what its servers run on"
    build.pack("sacbe-tools", root, summary, depends, f"/usr/bin/python{PYTHON}, glibc")


def build_server(build: Build, server: Server) -> None:
    """The package of one server."""
    root = build.work / server.name
    _copy(SOURCES / server.unit, root / UNITS / server.unit)
    for script in ("postinst", "prerm", "postrm"):
        text = (SOURCES / f"server.{script}").read_text(encoding="utf-8")
        for name, value in (("NAME", server.name), ("FOLDER", server.folder), ("UNIT", server.unit)):
            text = text.replace(f"@{name}@", value)
        _write(root / "DEBIAN" / script, text, 0o755)
    _copy(SOURCES / "sacbe.tmpfiles", root / f"usr/lib/tmpfiles.d/{server.name}.conf")
    _documents(root, server.name)
    if server.folder == "gateway":
        place = root / "usr/share/doc" / server.name / "archive-transfer"
        _copy(PROJECT / "deploy" / "samples" / "archive-transfer", place, 0o755)
    answers = (SOURCES / f"{server.folder}.env").read_text(encoding="utf-8")
    place = root / "usr/share/doc" / server.name / f"{server.folder}.env"
    _write(place, answers + render_questions(server.folder))
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin" / server.program).symlink_to(f"/opt/sacbe/bin/{server.program}")
    depends = f"sacbe-tools (= {build.version}), passwd"
    requires = f"sacbe-tools = {rpm.version_of(build.version)}, shadow-utils, systemd"
    build.pack(server.name, root, server.summary, depends, requires)


def build_all(out: Path, version: str, compression: str, kinds: Container[str] = ("deb",)) -> list[Path]:
    """Every package, of the kinds that are asked for; where they are."""
    # What is installed must be readable by everybody, whatever the mask of whoever builds.
    mask = os.umask(0o022)
    try:
        return _build_all(out, version, compression, kinds)
    finally:
        os.umask(mask)


def _build_all(out: Path, version: str, compression: str, kinds: Container[str]) -> list[Path]:
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        build = Build(out, version, compression, Path(work), kinds)
        build.work.chmod(0o755)
        build_tools(build)
        for server in SERVERS:
            build_server(build, server)
        return build.made


def main() -> None:
    """Build the packages and name them."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    parser = argparse.ArgumentParser(
        description="packages of this environment for Debian, and for RHEL where rpmbuild is"
    )
    parser.add_argument("--out", type=Path, default=PROJECT / "dist")
    parser.add_argument("--version", default=project["project"]["version"])
    parser.add_argument("--compression", choices=("xz", "gzip", "none"), default="xz")
    options = parser.parse_args()
    kinds = KINDS if rpm.is_installed() else ("deb",)
    print(f"{', '.join(kinds)} of {len(SERVERS) + 1} packages, some minutes ...", flush=True)
    packages = build_all(options.out, options.version, options.compression, kinds)
    for made in packages:
        print(f"{made} ({made.stat().st_size // 1024} KiB)")
    if "rpm" not in kinds:
        print(f"no rpms: {rpm.RPMBUILD} is not installed (apt install rpm)")
    repository = build_signed([p for p in packages if p.suffix == ".deb"], options.out)
    print(f"{repository}: signed" if repository else f"no repository: {KEY} names no key to sign it with")


if __name__ == "__main__":
    main()
