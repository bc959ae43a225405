"""An institute goes from a bare machine to its first answered request by the commands of its page, in both languages."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from benchmarks.federation import Federation, GatewaySpec
from social_security.__main__ import main as social_command
from social_security.domain.edition import package_edition
from social_security.wire.gatewayfile import render_gateway
from tests.integration.calling import until
from tests.integration.pair import QUICK_CONFIGURATION, management_services
from tests.integration.test_joining import BASE, NEW, SYSTEMS, Shell, steps
from tests.paths import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.processes
MOST_COMMANDS = 12
# The gateway of the registry, which provides the management services here too.
REGISTRY = f"{BASE}.10"
STAYING = ("systemctl start", "gateway join", "central-server member admit")
SPECIMEN = "SABC560626MDFLRN01"


def test_both_languages_name_the_same_commands_and_no_more_than_twelve() -> None:
    assert steps("joining.md") == steps("ingreso.md")
    assert 1 < len(steps("joining.md")) <= MOST_COMMANDS


def registry_spec() -> GatewaySpec:
    """The registry's gateway: what `init` wrote for it, and the management services."""
    offered = render_gateway(package_edition(), "00-RNSS", f"http://{REGISTRY}:9000", ("00-RNSS",))
    offered += management_services(BASE, "MX/GOB/00-RNSS")
    return GatewaySpec(
        "00-RNSS", "RNSS", REGISTRY, ("IDENT", "INDICE", "VITAL"), offered, settings=QUICK_CONFIGURATION
    )


@pytest.fixture
def federation(tmp_path: Path) -> Iterator[Federation]:
    """A federation whose registry serves, and in which nobody knows the new institute."""
    made = Federation(tmp_path, [registry_spec()], base=BASE)
    made.set_up()
    asked = [
        "init",
        "--data",
        f"{tmp_path}/rnss",
        "--member",
        "00-RNSS",
        "--secret-file",
        f"{tmp_path}/rnss.phrase",
    ]
    done = CliRunner().invoke(
        social_command, [*asked, "--host", REGISTRY, "--gateway", f"http://{REGISTRY}:8080"]
    )
    assert done.exit_code == 0, done.output
    try:
        made.start("rnss-sistema", "social_security", "serve", "--data", f"{tmp_path}/rnss",
                   "--settings", f"{tmp_path}/rnss/settings.toml")  # fmt: skip
        made.start_all()
        made.wait_for(f"http://{REGISTRY}:9000/estado")
        yield made
    finally:
        made.stop()


class Machine(Shell):
    """The page's machines: the institute's new one, the central operator's and the registry's, in one folder."""

    def __init__(self, federation: Federation) -> None:
        super().__init__(federation)
        self.names = {
            "ipejal.example": NEW,
            "localhost:8080": f"{SYSTEMS}:8080",
            "ca.example": federation.trust_address,
            "/var/lib/sacbe/gateway.pin": "gateway.pin",
            "/var/lib/sacbe/frase": "frase",
            "/var/lib/sacbe/gateway": "gw",
            "/var/lib/sacbe/social-security": "sistema",
            "--data rnss": "--data 00-RNSS",
            # The units of the packages, by the commands that they run.
            "systemctl start sacbe-gateway": "gateway serve --data gw --pin-file gateway.pin",
            "systemctl start sacbe-social-security": (
                f"{sys.executable} -m social_security serve --data sistema --settings sistema/settings.toml"
            ),
        }

    def start(self, command: str, name: str) -> subprocess.Popen[bytes]:
        command = re.sub(r"(^|\| )social-security ", rf"\1{sys.executable} -m social_security ", command)
        if command.startswith("echo "):
            command = f"bash -c {json.dumps(command)}"
        return super().start(command, name)


@pytest.mark.xroad("F020")
def test_an_institute_is_answered_by_the_registry_after_the_commands_of_the_page(
    federation: Federation,
) -> None:
    began, machine = time.monotonic(), Machine(federation)
    commands = dict(enumerate(steps("joining.md"), 1))
    running: dict[int, subprocess.Popen[bytes]] = {}
    try:
        for number, command in commands.items():
            if command.startswith("apt install"):
                # Packages are installed by tests/integration/test_packages.py; the programs are here already.
                continue
            if command.startswith(STAYING):
                running[number] = machine.start(command, f"step-{number}")
                if command.startswith("gateway join"):
                    for waiting in (number - 1, number):
                        assert running[waiting].wait(240) == 0, machine.text(f"step-{waiting}")
                elif "social-security" in command:
                    federation.wait_for(f"http://{NEW}:9000/estado")
            else:
                said = machine.run(command, f"step-{number}", timeout_s=240)
        assert json.loads(said) == {"resultado": "NO_COINCIDE"}
        print(f"{len(commands)} commands to the first answered request, in {time.monotonic() - began:.1f} s")
        check_person(federation, machine, commands[len(commands)])
        check_again(machine, commands)
        check_conformance(machine)
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.wait(60)


def check_person(federation: Federation, machine: Machine, command: str) -> None:
    """Whom the registry knows it finds, and it has the key by which it names her to the institute."""
    folder = federation.folder / "rnss"
    enrolled = subprocess.run(
        [sys.executable, "-m", "social_security", "officer", "enrol", "--data", str(folder), "--member",
         "15-ISSEMYM", "--level", "2"],
        input=f"{SPECIMEN}\n", capture_output=True, text=True, timeout=90, check=False, cwd=PROJECT,
    )  # fmt: skip
    assert enrolled.returncode == 0, enrolled.stderr
    found = json.loads(machine.run(command, "found"))
    assert found["resultado"] == "COINCIDE"


def check_again(machine: Machine, commands: dict[int, str]) -> None:
    """A second making changes nothing: the same key is told and taken once more."""
    keys = machine.folder / "sistema" / "keys.json"
    before = keys.read_bytes()
    (making,) = (c for c in commands.values() if c.startswith("social-security init"))
    assert "the registry has this system's key" in machine.run(making, "again")
    assert keys.read_bytes() == before


def check_conformance(machine: Machine) -> None:
    """The institute's own services answer through its gateway what the suite of the gate asks."""
    command = "social-security conformance --settings sistema/settings.toml --out report.json"
    until(lambda: _passes(machine, command), bool, within_s=90)


def _passes(machine: Machine, command: str) -> bool:
    process = machine.start(command, "conformance")
    return process.wait(240) == 0
