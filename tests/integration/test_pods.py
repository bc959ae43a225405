"""The pods of the Kubernetes manifests, each in a network of its own: the manifests' own commands, settings and probes.

What a cluster adds (scheduling, volumes, services) is not here; the entry points are those of the installed environment.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.integration.calling import until
from tests.integration.test_joining import steps
from tests.paths import PROJECT
from tests.programs import need

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.processes
MANIFESTS = PROJECT / "deploy" / "kubernetes"
CENTRAL, GATEWAY = "10.77.0.1", "10.77.0.2"
CLIENT = "X-Road-Client: MX/GOB/00-ONIESS/MANAGEMENT"


@dataclass(slots=True)
class Pod:
    """A network namespace with the one container of a manifest; ``volume`` is its working folder."""

    name: str
    address: str
    volume: Path
    container: dict[str, Any] = field(init=False)
    holder: subprocess.Popen[bytes] = field(init=False)
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Read the manifest, make the namespace."""
        manifest = yaml.safe_load_all((MANIFESTS / f"{self.name}.yaml").read_text(encoding="utf-8"))
        (self.container,) = next(manifest)["spec"]["template"]["spec"]["containers"]
        self.volume.mkdir()
        self.holder = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec sleep infinity"],
            stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self.holder.stdout is not None
        assert self.holder.stdout.readline() == b"up\n"

    @property
    def stranger(self) -> str:
        """Another address of this pod, outside of the networks of pods."""
        return self.address.replace("10.77.0.", "172.16.77.")

    @property
    def namespace(self) -> str:
        """Its network namespace, as nsenter takes it."""
        return f"/proc/{self.holder.pid}/ns/net"

    @property
    def environ(self) -> dict[str, str]:
        """What the manifest sets, on top of a path to the programs."""
        path = f"{Path(sys.executable).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        told = {entry["name"]: entry["value"] for entry in self.container["env"]}
        return {"PATH": path, "LANG": "C.UTF-8", "SACBE_LANG": "en", "PYTHONPATH": str(PROJECT), **told}

    def popen(self, *command: str) -> subprocess.Popen[bytes]:
        """A process in the pod, its output in a file beside the volume."""
        with self.log().open("ab") as out:
            process = subprocess.Popen(
                ["nsenter", f"--net={self.namespace}", *command],
                cwd=self.volume, env=self.environ, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            )  # fmt: skip
        self.running.append(process)
        return process

    def log(self) -> Path:
        """What its processes said."""
        return self.volume.with_suffix(".log")

    def start(self) -> subprocess.Popen[bytes]:
        """Start the container as the kubelet would."""
        return self.popen(*self.container["command"], *self.container["args"])

    def execute(self, command: str) -> str:
        """``kubectl exec``; what it said. Raises AssertionError when it fails."""
        done = subprocess.run(
            ["nsenter", f"--net={self.namespace}", "sh", "-c", command],
            cwd=self.volume, env=self.environ, capture_output=True, text=True, timeout=90, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}\n{self.log().read_text()}"
        return done.stdout

    def status(self, url: str, source: str = "") -> str:
        """The status of a GET from this pod, ``000`` where nobody answers."""
        words = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "5"]
        words += ["--cacert", "gateway/tls/internal.pem", "--header", CLIENT]
        done = subprocess.run(
            ["nsenter", f"--net={self.namespace}", *words, *(["--interface", source] if source else []), url],
            cwd=self.volume, capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        return done.stdout

    def probe(self, kind: str, address: str) -> str:
        """The URL that a probe of the manifest asks."""
        asked = self.container[kind]["httpGet"]
        (port,) = [p["containerPort"] for p in self.container["ports"] if p["name"] == asked["port"]]
        return f"http://{address}:{port}{asked['path']}"

    def close(self) -> None:
        """End what runs in it, then itself."""
        for process in self.running:
            process.terminate()
        for process in self.running:
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
        self.holder.kill()
        self.holder.communicate()


def join(central: Pod, gateway: Pod) -> None:
    """A wire between both pods, each with an address within the network of pods and one outside of it."""
    central.execute(f"ip link add pod0 type veth peer name pod0 netns {gateway.holder.pid}")
    for pod in (central, gateway):
        for words in (
            f"address add {pod.address}/24 dev pod0",
            f"address add {pod.stranger}/24 dev pod0",
            "link set pod0 up",
        ):
            pod.execute(f"ip {words}")


@pytest.fixture
def pods(tmp_path: Path) -> Iterator[tuple[Pod, Pod]]:
    for program, package in (("ip", "iproute2"), ("nsenter", "util-linux"), ("curl", "curl")):
        need(program, package=package, beside="/usr/sbin")
    if os.geteuid() or subprocess.run(["unshare", "--net", "true"], check=False).returncode:
        pytest.skip("only root may make networks")
    made: list[Pod] = []
    try:
        for name, address in (("central", CENTRAL), ("gateway", GATEWAY)):
            made.append(Pod(name, address, tmp_path / name))
        yield made[0], made[1]
    finally:
        for pod in made:
            pod.close()


def found(central: Pod, gateway: Pod) -> None:
    """The commands of "from nothing", in the pods; what one machine gives another is copied between the volumes."""
    commands = [
        command.replace("central.example", f"{CENTRAL}:8080")  # a cluster's service has port 80 for it
        .replace("gateway.example", GATEWAY)
        .replace("ca.example", CENTRAL)
        .replace("gw", "gateway")
        for command in steps("from-nothing.md")
    ]
    central.popen("python", *commands[0].split()[1:])
    until(lambda: gateway.status(f"http://{CENTRAL}:8888/"), "200".__eq__)
    central.execute(commands[1])
    # What comes next fetches the configuration.
    wait_for(gateway, central.probe("readinessProbe", central.address))
    shutil.copytree(central.volume / "central", gateway.volume / "central", ignore=only_anchor)
    for command in commands[3:6]:
        gateway.execute(command)
    (central.volume / "gateway" / "tls").mkdir(parents=True)
    for name in ("auth.pem", "gateway/tls/internal.pem"):
        shutil.copy(gateway.volume / name, central.volume / name)
    central.execute(commands[6])


def only_anchor(_folder: str, names: list[str]) -> set[str]:
    return set(names) - {"anchor.xml"}


def check_metrics(central: Pod, gateway: Pod) -> None:
    """Figures are for the networks of the manifests; an address outside of them is refused."""
    for port, settings in (
        (8080, "SACBE_CENTRAL_LISTEN_METRICS_FROM"),
        (5588, "SACBE_GATEWAY_MONITORING_METRICS_FROM"),
    ):
        asked, asker = (central, gateway) if port == 8080 else (gateway, central)
        assert asked.environ[settings] == "10.0.0.0/8"
        assert asker.status(f"http://{asked.address}:{port}/metrics") == "200"
        assert asker.status(f"http://{asked.address}:{port}/metrics", asker.stranger) == "403"


@pytest.mark.xroad("F005")
def test_pods_wait_are_founded_serve_are_probed_and_end(pods: tuple[Pod, Pod]) -> None:
    central, gateway = pods
    join(central, gateway)
    # Nothing to serve yet: a pod waits, and ends at once when it is told to.
    idle = gateway.start()
    until(lambda: children(idle.pid), bool)
    idle.terminate()
    assert idle.wait(60) == 0, gateway.log().read_text()
    serving = [pod.start() for pod in pods]
    found(central, gateway)
    wait_for(central, gateway.probe("readinessProbe", gateway.address))
    wait_for(gateway, f"https://{GATEWAY}:8443/r1/MX/GOB/00-ONIESS/MANAGEMENT/listMethods")
    check_metrics(central, gateway)
    for pod, process in zip(pods, serving, strict=True):
        process.terminate()
        assert process.wait(60) == 0, pod.log().read_text()


def wait_for(asker: Pod, url: str) -> None:
    """Until a pod has its answer from another."""
    until(lambda: asker.status(url), "200".__eq__, within_s=90)


def children(pid: int) -> str:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text()
