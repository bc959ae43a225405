"""The same packages for RHEL and its kin: each Debian package's folder as an rpm, built by ``rpmbuild`` where that is installed.

The files, units, user and folders are those of the Debian packages, and so are the scripts: rpm tells a script how many versions stay
(1, 2 or 0), Debian in words, and a line before each script turns one into the other. As there, removing keeps data and settings.
The interpreter is ``/usr/bin/python3.N`` of the minor version that builds, which RHEL's package ``python3.N`` holds.
"""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

RPMBUILD = "rpmbuild"
# Where no file of another package is: the whole tree is this one's.
_OWN = "opt/sacbe"
_PAYLOADS = {"xz": "w6.xzdio", "gzip": "w6.gzdio", "none": "w.ufdio"}
# Debian's script, rpm's section, and the words that Debian would have given the script.
_SCRIPTS = (
    ("postinst", "%post", 'if [ "$1" -gt 1 ]; then set -- configure before; else set -- configure ""; fi'),
    ("prerm", "%preun", 'if [ "$1" -eq 0 ]; then set -- remove; else set -- upgrade; fi'),
    ("postrm", "%postun", 'if [ "$1" -eq 0 ]; then set -- remove; else set -- upgrade; fi'),
)
# Nothing is stripped, compiled or searched for what it needs: the tree is whole, and what it needs is said.
_PREAMBLE = """\
%global debug_package %{nil}
%global _build_id_links none
%global __os_install_post %{nil}
AutoReqProv: no
"""


def is_installed() -> bool:
    """Whether rpms can be built here."""
    return shutil.which(RPMBUILD) is not None


def version_of(version: str) -> str:
    """A version as rpm may have it: a hyphen would begin the release."""
    return version.replace("-", "~")


def build_rpm(root: Path, out: Path, fields: Mapping[str, str], requires: str, compression: str) -> Path:
    """The rpm of a Debian package's folder, in ``out``; ``fields`` are Name, Version, Summary, License. Raises CalledProcessError."""
    work = out / f".{fields['Name']}.rpmbuild"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(mode=0o755)
    try:
        spec = work / f"{fields['Name']}.spec"
        spec.write_text(render_spec(root, fields, requires), encoding="utf-8")
        command = [
            RPMBUILD,
            "-bb",
            "--quiet",
            "--define",
            f"_topdir {work}",
            "--define",
            "_rpmdir %{_topdir}",
        ]
        command += [
            "--define",
            "_rpmfilename %{NAME}.rpm",
            "--define",
            f"_binary_payload {_PAYLOADS[compression]}",
        ]
        subprocess.run([*command, str(spec)], check=True, capture_output=True)
        target = out / f"{fields['Name']}-{version_of(fields['Version'])}.{_architecture()}.rpm"
        # Whole when it has this name: a crash before leaves the folder of the work, which the next run removes.
        (work / f"{fields['Name']}.rpm").replace(target)
        return target
    finally:
        shutil.rmtree(work, ignore_errors=True)


def render_spec(root: Path, fields: Mapping[str, str], requires: str) -> str:
    """The spec of a folder as a Debian package has it, with its scripts in ``DEBIAN``."""
    lines = [
        f"{name}: {value}" for name, value in {**fields, "Version": version_of(fields["Version"])}.items()
    ]
    lines += ["Release: 1", f"Requires: {requires}", _PREAMBLE]
    lines += ["%description", f"{fields['Summary']}. Speaks the protocols of X-Road 7.8.", ""]
    lines += ["%install", f"cp -a '{root}/.' %{{buildroot}}/", "rm -r %{buildroot}/DEBIAN", ""]
    for script, section, words in _SCRIPTS:
        file = root / "DEBIAN" / script
        if file.exists():
            _, _, body = file.read_text(encoding="utf-8").partition("\n")
            lines += [section, words, body.replace("%", "%%")]
    return "\n".join([*lines, "%files", "%defattr(-,root,root,-)", *_files(root), ""])


def _files(root: Path) -> Iterator[str]:
    """What the package holds: its own tree whole, and every other file by its name."""
    if (root / _OWN).is_dir():
        yield f"/{_OWN}"
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if name.startswith(("DEBIAN", _OWN)) or (path.is_dir() and not path.is_symlink()):
            continue
        yield f'%doc "/{name}"' if name.startswith("usr/share/doc/") else f'"/{name}"'


def _architecture() -> str:
    run = subprocess.run(["rpm", "--eval", "%{_target_cpu}"], check=True, capture_output=True, text=True)
    return run.stdout.strip()
