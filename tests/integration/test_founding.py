"""An instance is founded from nothing by the very commands of the documentation, down to its first signed message."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from click.testing import CliRunner

from benchmarks.federation import free_base
from central_server.cli.main import main as central_command
from gateway.clients.store import ServerConfStore
from schemas.management import ManagementServiceCode
from tests.collector import TraceCollector
from tests.integration.calling import until
from tests.integration.test_joining import steps
from tests.paths import PROJECT
from tests.programs import need

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.processes
MOST_COMMANDS = 10
STAYING = ("python -m certs.dev", "central-server serve", "gateway serve")
MANAGEMENT = "MX/GOB/00-ONIESS/MANAGEMENT"


def test_both_languages_name_the_same_commands_and_fewer_than_ten() -> None:
    assert steps("from-nothing.md") == steps("desde-nada.md")
    assert 1 < len(steps("from-nothing.md")) < MOST_COMMANDS


class Machines:
    """The page's three machines: addresses of one loopback network, in one folder."""

    def __init__(self, folder: Path) -> None:
        base = free_base()
        self.folder = folder
        self.collector = TraceCollector()
        self.ca, self.central, self.gateway, self.systems = (f"{base}.{n}" for n in (2, 1, 10, 11))
        # Machines of their own need none of this: here all of them share one, each with an address.
        self.environ = {
            **os.environ,
            **{f"SACBE_GATEWAY_LISTEN_{n}_HOST": self.gateway for n in ("PEER", "HEALTH")},
            # As on a machine of its own, what others reach is not what its own systems ask at.
            "SACBE_GATEWAY_LISTEN_CONSUMER_HOST": self.systems,
            "SACBE_CENTRAL_LISTEN_HOST": self.central,
            "SACBE_GATEWAY_MONITORING_TRACE_URL": self.collector.url,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(PROJECT),
            "SACBE_LANG": "en",
        }
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self, command: str, number: int) -> subprocess.Popen[bytes]:
        for there, here in (
            ("ca.example", self.ca),
            ("central.example", self.central),
            ("gateway.example", self.gateway),
            ("curl -sf --cacert", f"curl -sf --connect-to localhost:8443:{self.systems}:8443 --cacert"),
        ):
            command = command.replace(there, here)
        for program, module in (("gateway", "gateway"), ("central-server", "central_server")):
            command = re.sub(rf"^{program} ", f"{shlex.quote(sys.executable)} -m {module} ", command)
        with self.log(number).open("wb") as out:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {command}" if "for " not in command else command],
                cwd=self.folder,
                env=self.environ,
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
        self.running.append(process)
        return process

    def log(self, number: int) -> Path:
        return self.folder / f"command-{number}.log"

    def run(self, command: str, number: int) -> str:
        process = self.start(command, number)
        assert process.wait(240) == 0, f"{command}\n{self.log(number).read_text()}"
        return self.log(number).read_text()

    def stop(self) -> None:
        for process in self.running:
            process.terminate()
        for process in self.running:
            process.wait(60)


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    made = Machines(tmp_path)
    with made.collector:
        try:
            yield made
        finally:
            made.stop()


def answers(url: str) -> Callable[[], bool]:
    def ask() -> bool:
        try:
            with urllib.request.urlopen(url, timeout=60):
                return True
        except urllib.error.URLError:
            return False

    return ask


@pytest.mark.xroad("F020")
def test_an_instance_is_founded_by_the_commands_of_the_page(machines: Machines) -> None:
    began, commands = time.monotonic(), steps("from-nothing.md")
    up = iter(
        answers(url)
        for url in (
            f"http://{machines.ca}:8888/",
            f"http://{machines.central}/health",
            f"http://{machines.gateway}:5588/",
        )
    )
    for number, command in enumerate(commands, 1):
        if command.startswith(STAYING):
            machines.start(command, number)
            until(next(up), bool, within_s=90)
        else:
            said = machines.run(command, number)
    listed = json.loads(said)["service"]
    print(f"{len(commands)} commands to the first message, in {time.monotonic() - began:.1f} s")
    assert listed == []  # the management services speak SOAP, and this asks for REST services
    check_management(machines)
    check_closed(machines)
    check_internal_certificate(machines)
    check_again(machines, commands)
    check_watching(machines)
    check_traces(machines.collector)


def check_traces(collector: TraceCollector) -> None:
    """The request over the road is one trace: both sides of the exchange, and the call of each."""

    def sides() -> list[set[str]]:
        traces: dict[bytes, set[str]] = {}
        for span in list(collector.spans):
            side = span.name if span.name.endswith(" call") else span.name.partition(" ")[0]
            traces.setdefault(span.trace_id, set()).add(side)
        return list(traces.values())

    whole = {"consumer", "consumer call", "provider", "provider call"}
    until(sides, lambda found: whole in found, within_s=90)
    assert collector.instances == {"MX/GOB/00-ONIESS/SS1"}


def check_management(machines: Machines) -> None:
    """A request over the road reaches the central server: the gateway's own address is changed through it."""
    store = ServerConfStore(machines.folder / "gw" / "serverconf.sqlite")
    services = store.view.descriptions.services()
    store.close()
    assert {s.full_code for s in services} == {
        c.value for c in ManagementServiceCode if c is not ManagementServiceCode.AUTH_CERT_REG
    }
    assert all(s.ssl_auth and s.url.startswith(f"https://{machines.central}:4002/") for s in services)
    joining = machines.start(
        f"gateway join --data gw --address {machines.gateway} --subsystem NUEVO --connection HTTP", 21
    )
    machines.run("central-server request approve --member MX/GOB/00-ONIESS --wait 60 --data central", 22)
    assert joining.wait(240) == 0, machines.log(21).read_text()


def check_closed(machines: Machines) -> None:
    """Nobody but the management gateway is let in at 4002."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with pytest.raises((ssl.SSLError, ConnectionError, urllib.error.URLError)):
        urllib.request.urlopen(
            f"https://{machines.central}:4002/managementservice/manage/", b"x", 60, context=context
        )


def check_internal_certificate(machines: Machines) -> None:
    """A system that trusts what the gateway exports reaches it by the names that were given at its making."""
    machines.run("gateway tls export --data gw --out exported.pem", 30)
    context = ssl.create_default_context(cafile=str(machines.folder / "exported.pem"))
    for name in (machines.gateway, "localhost", "127.0.0.1"):
        with (
            socket.create_connection((machines.systems, 8443), 60) as plain,
            context.wrap_socket(plain, server_hostname=name) as secured,
        ):
            assert secured.version() in ("TLSv1.2", "TLSv1.3")


def check_watching(machines: Machines) -> None:
    """Prometheus scrapes both servers, takes the alert rules, and answers every question of the dashboard."""
    if not (os.environ.get("CI") or shutil.which("prometheus")):
        return
    monitoring, address = PROJECT / "deploy" / "monitoring", f"{machines.gateway}:9090"
    jobs = {"gateway": f"{machines.gateway}:5588", "central": f"{machines.central}:80"}
    (machines.folder / "prometheus.yml").write_text(
        json.dumps(
            {
                "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                "rule_files": [str(monitoring / "alerts.yaml")],
                "scrape_configs": [
                    {"job_name": name, "static_configs": [{"targets": [at]}]} for name, at in jobs.items()
                ],
            }
        )
    )
    words = ["--config.file=prometheus.yml", f"--web.listen-address={address}", "--storage.tsdb.path=tsdb"]
    machines.start(shlex.join([need("prometheus", package="prometheus"), *words]), 60)

    def asked(path: str, **query: str) -> Any:
        with urllib.request.urlopen(
            f"http://{address}/api/v1/{path}?{urlencode(query)}", timeout=60
        ) as answer:
            told = json.load(answer)
        assert told["status"] == "success", told
        return told["data"]

    until(
        lambda: (
            len(asked("query", query="sacbe_up == 1")["result"])
            if answers(f"http://{address}/-/ready")()
            else 0
        ),
        lambda found: found == len(jobs),
        within_s=90,
    )
    rules = [r for g in asked("rules")["groups"] for r in g["rules"]]
    assert len(rules) > 10
    assert [r["name"] for r in rules if r["health"] == "err"] == []
    panels = json.loads((monitoring / "dashboard.json").read_text(encoding="utf-8"))["panels"]

    def silent() -> list[str]:
        return [
            panel["title"]
            for panel in panels
            if not any(
                asked("query", query=target["expr"].replace("$instance", ".*"))["result"]
                for target in panel["targets"]
            )
        ]

    # No backup was made yet; everything else has something to show, once there is more than one scrape.
    until(silent, lambda found: found == ["Time since the last backup"], within_s=90)


def check_again(machines: Machines, commands: list[str]) -> None:
    """A second run of what founds changes nothing."""
    data = ["--data", str(machines.folder / "central")]
    before = CliRunner().invoke(central_command, ["export", *data, str(machines.folder / "before.toml")])
    assert before.exit_code == 0, before.output
    for number, command in enumerate(commands, 1):
        if command.startswith(
            ("central-server bootstrap", "gateway init", "central-server management-gateway")
        ):
            machines.run(command, 40 + number)
    after = CliRunner().invoke(central_command, ["export", *data, str(machines.folder / "after.toml")])
    assert after.exit_code == 0, after.output
    kept = [(machines.folder / f"{name}.toml").read_text().splitlines()[1:] for name in ("before", "after")]
    assert kept[0] == kept[1]
