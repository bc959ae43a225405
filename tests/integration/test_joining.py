"""A second institute joins a running federation by the very commands of the documentation, and exchanges a message."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from benchmarks.federation import Federation, free_base
from central_server.cli.main import main as central_command
from gateway.cli.main import main
from gateway.clients.store import ServerConfStore
from gateway.keys.store import KeyConfStore
from serving.login.users import Logins
from tests.integration.calling import call, until
from tests.integration.pair import QUICK_CONFIGURATION, management_services, provider, running
from tests.paths import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.calling import Answer

pytestmark = pytest.mark.processes
BASE = free_base()
NEW = f"{BASE}.30"
# Where the new institute's own systems ask; as by the defaults, not where others reach its gateway.
SYSTEMS = f"{BASE}.31"
MOST_STEPS = 10
PROVIDER = provider(BASE, QUICK_CONFIGURATION, allowed=(), more=management_services(BASE, "MX/GOB/00-RNSS"))


def steps(page: str) -> list[str]:
    """The numbered commands of a page, in their order."""
    text = (PROJECT / "docs" / page).read_text(encoding="utf-8")
    found = re.findall(r"^ {4}(\S.*?) +# (\d+)$", text, re.MULTILINE)
    assert [int(number) for _, number in found] == list(range(1, len(found) + 1))
    return [command for command, _ in found]


def test_both_languages_name_the_same_steps_and_no_more_than_ten() -> None:
    assert steps("operate.md") == steps("operar.md")
    assert 1 < len(steps("operate.md")) <= MOST_STEPS


@pytest.fixture
def federation(tmp_path: Path) -> Iterator[Federation]:
    with running(Federation(tmp_path, [PROVIDER], base=BASE)) as made:
        yield made


class Shell:
    """Runs the page's commands in the federation's folder, under its addresses."""

    def __init__(self, federation: Federation) -> None:
        self.folder = federation.folder
        # An institute's own machine needs none of this: here all of them share one, each with an address.
        own = {f"SACBE_GATEWAY_LISTEN_{n}_HOST": NEW for n in ("PEER", "HEALTH")} | {
            "SACBE_GATEWAY_LISTEN_CONSUMER_HOST": SYSTEMS,
            "SACBE_GATEWAY_TRUST_CONFIGURATION_CONDITIONAL_POLL_S": "1",
        }
        scripts = Path(sys.executable).parent
        self.environ = {**os.environ, **own, "PATH": f"{scripts}:{os.environ['PATH']}", "SACBE_LANG": "en"}
        self.names = {
            "nuevo.example": NEW,
            "localhost:8080": f"{SYSTEMS}:8080",
            "ca.example": federation.trust_address,
            "--data proveedor": f"--data {PROVIDER.key}",
        }

    def start(self, command: str, name: str) -> subprocess.Popen[bytes]:
        for there, here in self.names.items():
            command = command.replace(there, here)
        for program, module in (("gateway", "gateway"), ("central-server", "central_server")):
            command = re.sub(rf"^{program} ", f"{shlex.quote(sys.executable)} -m {module} ", command)
        with (self.folder / f"{name}.log").open("wb") as out:
            return subprocess.Popen(
                ["bash", "-c", f"exec {command}" if "for " not in command else command],
                cwd=self.folder,
                env={**self.environ, "PYTHONPATH": str(PROJECT)},
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )

    def text(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def run(self, command: str, name: str, timeout_s: float = 240) -> str:
        process = self.start(command, name)
        try:
            assert process.wait(timeout_s) == 0, f"{command}\n{self.text(name)}"
        finally:
            process.kill()
        return self.text(name)


def test_an_institute_joins_by_the_steps_of_the_documentation(federation: Federation) -> None:
    shell = Shell(federation)
    commands = dict(enumerate(steps("operate.md"), 1))
    stays = [n for n, c in commands.items() if c.startswith(("gateway serve", "gateway join"))]
    running: dict[int, subprocess.Popen[bytes]] = {}
    try:
        for number, command in commands.items():
            if number in stays:
                running[number] = shell.start(command, f"step-{number}")
            elif command.startswith("curl"):
                (joining,) = [p for n, p in running.items() if n != stays[0]]
                assert joining.wait(240) == 0, shell.text(f"step-{stays[1]}")
                until(exchange, lambda answer: answer.status == 200, within_s=90)
                assert '"ok":true' in shell.run(command, f"step-{number}")
            else:
                shell.run(command, f"step-{number}")
        assert "joined" in shell.text(f"step-{stays[1]}")
        check_again(shell, commands)
        check_registry(federation)
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.wait(60)
    print(f"an institute joined and exchanged a message in {len(commands)} steps")


def exchange() -> Answer:
    """The new institute's call: the provider's gateway learns of it within seconds."""
    return call(SYSTEMS, "00-RNSS/INDICE/echo/hola", client="MX/GOB/30-NUEVO/AFIL")


def check_registry(federation: Federation) -> None:
    """What the central operator sees afterwards; what is settled cannot be declined any more."""
    data = ["--data", str(federation.folder / "central")]
    run = CliRunner().invoke
    waiting = run(central_command, ["request", "list", "--json", *data])
    assert json.loads(waiting.output) == []
    every = json.loads(run(central_command, ["request", "list", "--all", "--json", *data]).output)
    assert [r["state"] for r in every] == ["APPROVED", "APPROVED"]
    declined = run(central_command, ["request", "decline", str(every[0]["number"]), *data])
    assert declined.exit_code == 1
    members = json.loads(run(central_command, ["member", "list", "--json", *data]).output)
    assert {"id": "MX/GOB/30-NUEVO", "name": "Instituto Nuevo"} in members


def check_again(shell: Shell, commands: dict[int, str]) -> None:
    """A second run of what may be run again changes nothing."""
    data = shell.folder / "nuevo"
    store = ServerConfStore(data / "serverconf.sqlite")
    before = (store.load(), KeyConfStore(store.database).list_keys())
    for number, command in commands.items():
        if command.startswith(
            ("gateway init", "gateway join", "gateway certificate", "central-server member add")
        ):
            shell.run(command, f"again-{number}")
    (founding,) = (c for c in commands.values() if c.startswith("gateway init"))
    (shell.folder / "other.xml").write_bytes((shell.folder / "anchor.xml").read_bytes() + b"\n")
    assert shell.start(founding.replace("anchor.xml", "other.xml"), "other").wait(240) == 1
    assert "works by another anchor" in shell.text("other")
    after = (store.load(), KeyConfStore(store.database).list_keys())
    store.close()
    assert (after[0].clients, after[1]) == (before[0].clients, before[1])


def test_init_makes_what_it_can_without_a_configuration_and_keeps_secrets_private(tmp_path: Path) -> None:
    made = Federation(tmp_path / "federation", [PROVIDER], base=free_base())
    made.set_up()  # nothing of it runs: the configuration cannot be fetched
    data = tmp_path / "nuevo"
    asked = [
        "init", "--data", str(data), "--anchor", str(made.anchor), "--server", "GOB/30-NUEVO/SS1",
        "--pin-file", str(tmp_path / "pin"), "--admin", "ana",
    ]  # fmt: skip
    done = CliRunner().invoke(main, asked, env={"SACBE_LANG": "en"})
    assert done.exit_code == 3, done.output
    assert "run this command again" in done.output
    for secret in (tmp_path / "pin", data / "ana.password"):
        assert secret.stat().st_mode & 0o077 == 0
    logins = Logins(data / "admin.sqlite")
    assert logins.verify_password("ana", (data / "ana.password").read_text().strip()) is not None
    logins.close()
    other = CliRunner().invoke(
        main, [a.replace("30-NUEVO", "31-OTRO") for a in asked], env={"SACBE_LANG": "en"}
    )
    assert other.exit_code == 1
    assert "holds a gateway already" in other.output
    (tmp_path / "other.xml").write_bytes(made.anchor.read_bytes() + b"\n")
    moved = CliRunner().invoke(
        main, [a.replace(str(made.anchor), f"{tmp_path}/other.xml") for a in asked], env={"SACBE_LANG": "en"}
    )
    assert "another anchor, in the place of one by which nothing was proved" in moved.output
    for more in (["--address", "http://nuevo.example"], ["--address", "a b"], ["--host-name", "x/y"]):
        refused = CliRunner().invoke(main, [*asked, *more], env={"SACBE_LANG": "en"})
        assert refused.exit_code == 1
        assert f"{more[0]} is {more[1]!r}; a host name or an IP address was expected" in refused.output
    wrong = CliRunner().invoke(main, ["init", "--data", str(tmp_path / "x"), "--anchor", str(made.anchor)])
    assert wrong.exit_code == 1
    assert "--server" in wrong.output


def test_init_asks_at_a_terminal_for_what_was_not_said(tmp_path: Path) -> None:
    made = Federation(tmp_path / "federation", [PROVIDER], base=free_base())
    made.set_up()
    ours, theirs = pty.openpty()
    try:
        os.write(ours, f"{made.anchor}\nGOB/30-NUEVO/SS1\n".encode())
        asked = [
            "init",
            "--data",
            str(tmp_path / "nuevo"),
            "--pin-file",
            str(tmp_path / "pin"),
            "--no-requests",
        ]
        done = subprocess.run(
            [sys.executable, "-m", "gateway", *asked],
            stdin=theirs,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == 0, done.stderr
    store = ServerConfStore(tmp_path / "nuevo" / "serverconf.sqlite")
    assert store.server_id().path() == "MX/GOB/30-NUEVO/SS1"
    store.close()
