"""A federation on one machine: trust services, central server, gateways and systems as processes on loopback addresses.

X-Road fixes its ports, so each server has its own 127.x address. On Linux all of 127.0.0.0/8 is there; on a Mac each
address must be added first (``sudo ifconfig lo0 alias 127.50.0.1``, and so on for every address printed).

Everything is made with the commands an operator uses; nothing is left behind but the folder.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import io
import json
import os
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from central_server.cli.main import main as central_command
from certs.dev.authority import DevPki
from certs.edges.tokenfiles import TokenFolder
from certs.tokens.soft import SoftToken
from gateway.cli.main import main as gateway_command
from gateway.clients.store import ServerConfStore
from schemas.identifiers import ClientId, ServerId
from serving.process.parent import end_with_parent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

START_TIMEOUT_S = 120.0
PROJECT = Path(__file__).parents[1]
PACKAGES = ("schemas", "certs", "serving", "gateway", "central_server", "social_security", "benchmarks")


def free_base() -> str:
    """Three octets of a loopback network that no other run on this machine uses, claimed until this process ends."""
    for _ in range(200):
        base = f"127.{64 + secrets.randbelow(128)}.{secrets.randbelow(250)}"
        claim = socket.socket()
        try:
            claim.bind((f"{base}.250", 65432))
        except OSError:
            claim.close()
            continue
        atexit.register(claim.close)
        return base
    raise RuntimeError("no free loopback network was found in 200 tries")


_die_with_parent = functools.partial(end_with_parent, signal.SIGTERM)


@functools.cache
def software_digest() -> str:
    """What names the software as it is now: a digest of its sources."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        for path in sorted((PROJECT / package).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def run_command(command: object, *arguments: str) -> str:
    """Run one of the project's commands in this process; its output."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        command.main([*arguments], standalone_mode=False)  # type: ignore[attr-defined]
    return out.getvalue()


@dataclass(slots=True)
class GatewaySpec:
    """One gateway of the federation: its owner's code, address, subsystems, and what it serves (TOML)."""

    member: str
    name: str
    address: str
    subsystems: Sequence[str]
    desired: str
    kind: str = "ec-p256"
    settings: str = ""
    member_class: str = ""  # empty: the federation's
    server_code: str = "SS1"
    registered_address: str = ""  # in the registry; empty: where it listens
    has_registered_certificate: bool = True

    @property
    def key(self) -> str:
        """The name of its process and of its folder."""
        return self.member if self.server_code == "SS1" else f"{self.member}-{self.server_code}"


@dataclass(slots=True)
class Federation:
    """The processes of one federation under one folder."""

    folder: Path
    gateways: Sequence[GatewaySpec]
    base: str = "127.50.0"
    instance: str = "MX"
    member_class: str = "GOB"
    expire_interval_s: int = 600
    ocsp_freshness_s: int = 3600
    groups: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    # The central server's settings, as variables.
    central_environment: dict[str, str] = field(default_factory=dict)
    # Linux: processes end when the one that started them is gone, whatever became of it.
    dies_with_us: bool = False
    # What a process is started by, by its name: a command that takes another as its arguments.
    under: Mapping[str, Sequence[str]] = field(default_factory=dict)
    start_timeout_s: float = START_TIMEOUT_S
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    # How often each was started.
    starts: dict[str, int] = field(default_factory=dict)
    pki: DevPki | None = None

    @property
    def trust_address(self) -> str:
        """Where CA, OCSP responder and TSA are."""
        return f"{self.base}.2"

    @property
    def central_address(self) -> str:
        """Where the central server is."""
        return f"{self.base}.1"

    @property
    def anchor(self) -> Path:
        """The internal configuration anchor."""
        return self.folder / "anchor.xml"

    def member(self, spec: GatewaySpec) -> ClientId:
        """The member that owns a gateway."""
        return ClientId(self.instance, spec.member_class or self.member_class, spec.member)

    def server(self, spec: GatewaySpec) -> ServerId:
        """A gateway's identifier."""
        return ServerId(self.instance, spec.member_class or self.member_class, spec.member, spec.server_code)

    def data(self, spec: GatewaySpec) -> Path:
        """A gateway's data folder."""
        return self.folder / spec.key

    # Setting up

    def set_up(self) -> None:
        """Make keys, certificates, registry and configurations; a second time nothing is made anew.

        What another version of the software left in the folder is removed first: a federation for a laptop has no data
        worth a migration.
        """
        made_by = self.folder / "made-by"
        is_ours = (self.folder / "federation.toml").exists()
        if is_ours and not (made_by.exists() and made_by.read_text() == software_digest()):
            shutil.rmtree(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        made_by.write_text(software_digest())
        self.pki = DevPki.open(self.folder / "trust")
        if not (self.folder / "pin").exists():
            (self.folder / "pin").write_text(secrets.token_urlsafe(12))
            (self.folder / "pin").chmod(0o600)
        pin = str(self.folder / "pin")
        central = self.folder / "central"
        if not (central / "central.sqlite").exists():
            run_command(
                central_command, "init", "--data", str(central), "--pin-file", pin, "--kind", "ec-p256"
            )
        self._issue_before_init()
        (self.folder / "federation.toml").write_text(self._registry(), encoding="utf-8")
        run_command(central_command, "apply", "--data", str(central), str(self.folder / "federation.toml"))
        if not self.anchor.exists():
            run_command(
                central_command, "anchor", "internal", "--data", str(central), "--out", str(self.anchor)
            )
        for spec in self.gateways:
            self._set_up_gateway(spec, pin)

    def _issue_before_init(self) -> None:
        """The registry needs the gateways' certificates, and the gateways the anchor: keys come first."""
        assert self.pki is not None
        for spec in self.gateways:
            certificate = self.folder / f"{spec.key}-auth.pem"
            if certificate.exists():
                continue
            pin = (self.folder / "pin").read_text()
            token = SoftToken.create(TokenFolder(self.folder / f"{spec.key}.token"), pin)
            auth = token.generate_key(spec.kind, "auth", "auth")
            sign = token.generate_key(spec.kind, "sign", "sign")
            issued = self.pki.issue_auth(token.public_key(auth), self.server(spec), spec.address)
            signing = self.pki.issue_sign(token.public_key(sign), self.member(spec), spec.name)
            token.close()
            (self.folder / f"{spec.key}-sign.pem").write_bytes(signing.public_bytes(Encoding.PEM))
            certificate.write_bytes(issued.public_bytes(Encoding.PEM))

    def _registry(self) -> str:
        lines = [
            f'instance = "{self.instance}"',
            f'address = "{self.central_address}:8080"',
            f'management_service = "{self.member(self.gateways[0]).path()}"',
            f"expire_interval_s = {self.expire_interval_s}",
            f"ocsp_freshness_s = {self.ocsp_freshness_s}",
            *self._member_classes(),
            "[[ca]]",
            'certificate = "trust/root.pem"',
            'intermediates = ["trust/intermediate.pem"]',
            f'ocsp = [{{ url = "http://{self.trust_address}:8888/ocsp", certificate = "trust/ocsp.pem" }}]',
            "[[tsa]]",
            'name = "TSA"',
            f'url = "http://{self.trust_address}:8888/tsa"',
            'certificate = "trust/tsa.pem"',
        ]
        named: set[str] = set()
        for spec in self.gateways:
            member = self.member(spec).path()
            if member not in named:
                named.add(member)
                subsystems = json.dumps(list(spec.subsystems))
                lines += [
                    "[[member]]",
                    f'id = "{member}"',
                    f'name = "{spec.name}"',
                    f"subsystems = {subsystems}",
                ]
            certificates = [f"{spec.key}-auth.pem"] if spec.has_registered_certificate else []
            clients = json.dumps([f"{member}/{s}" for s in spec.subsystems])
            lines += [
                "[[server]]",
                f'id = "{self.server(spec).path()}"',
                f'address = "{spec.registered_address or spec.address}"',
                f"auth_certificates = {json.dumps(certificates)}",
                f"clients = {clients}",
            ]
        return "\n".join(lines) + "\n" + self.groups

    def _member_classes(self) -> list[str]:
        used = dict.fromkeys([self.member_class, *(s.member_class for s in self.gateways if s.member_class)])
        return [
            line
            for code in used
            for line in ("[[member_class]]", f'code = "{code}"', f'description = "{code}"')
        ]

    def _set_up_gateway(self, spec: GatewaySpec, pin: str) -> None:
        data = self.data(spec)
        if not (data / "serverconf.sqlite").exists():
            data.mkdir(parents=True, exist_ok=True)
            (self.folder / f"{spec.key}.token").rename(data / "token")
            store = ServerConfStore(data / "serverconf.sqlite")
            store.initialise(self.server(spec), self.anchor.read_bytes(), owner_added_at=datetime.now(UTC))
            store.close()
            for usage in ("auth", "sign"):
                pem = self.folder / f"{spec.key}-{usage}.pem"
                run_command(
                    gateway_command, "certificate", "import", "--data", str(data), "--pin-file", pin, str(pem)
                )
        (data / "gateway.toml").write_text(spec.desired, encoding="utf-8")
        run_command(gateway_command, "apply", "--data", str(data), str(data / "gateway.toml"))
        (data / "settings.toml").write_text(
            f'{spec.settings}\n[listen]\nconsumer_host = "{spec.address}"\npeer_host = "{spec.address}"\n'
            f'health_host = "{spec.address}"\n',
            encoding="utf-8",
        )

    # Running

    def start(
        self, name: str, *arguments: str, environment: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a module as a process; its output goes to a file in the folder."""
        tied = _die_with_parent if self.dies_with_us else None
        with (self.folder / f"{name}.log").open("ab") as out:
            process = subprocess.Popen(
                [*self.under.get(name, ()), sys.executable, "-m", *arguments],
                stdout=out,
                stderr=out,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **self.environment, **(environment or {})},
                start_new_session=True,
                preexec_fn=tied,  # set by programs of one thread alone
            )
        self.processes[name] = process
        self.starts[name] = self.starts.get(name, 0) + 1
        return process

    def start_trust(self) -> None:
        """Start CA, OCSP responder and TSA."""
        self.start("trust", "certs.dev", "--dir", str(self.folder / "trust"), "--host", self.trust_address)
        self.wait_for(f"http://{self.trust_address}:8888/")

    def start_central(self) -> None:
        """Start the central server."""
        self.start(
            "central",
            "central_server",
            "serve",
            "--data",
            str(self.folder / "central"),
            "--pin-file",
            str(self.folder / "pin"),
            "--host",
            self.central_address,
            "--port",
            "8080",
            "--https-port",
            "0",
            environment={"SACBE_CENTRAL_ADMIN_HOST": self.central_address, **self.central_environment},
        )
        self.wait_for(f"http://{self.central_address}:8080/health")
        self.wait_for(f"https://{self.central_address}:4000/")

    def start_gateway(self, spec: GatewaySpec, *, wait: bool = True) -> None:
        """Start a gateway."""
        data = self.data(spec)
        self.start(
            spec.key,
            "gateway",
            "serve",
            "--data",
            str(data),
            "--pin-file",
            str(self.folder / "pin"),
            "--settings",
            str(data / "settings.toml"),
        )
        if wait:
            self.wait_for_gateway(spec)

    def wait_for_gateway(self, spec: GatewaySpec) -> None:
        """Wait until a gateway exchanges messages, and then for its administrators' address, which it takes and notes last."""
        self.wait_for(f"http://{spec.address}:5588/")
        # Nobody connects there: the admin API, and its memory, come with the first who does.
        pid = self.processes[spec.key].pid
        # As the process sees it, which may have a file system of its own (proc(5)); a Mac has no such view.
        view = Path(f"/proc/{pid}/root")
        note = (view if view.exists() else Path("/")) / (
            self.data(spec) / "running.json"
        ).absolute().relative_to("/")
        deadline = time.monotonic() + self.start_timeout_s
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, ValueError):  # none yet; one that was killed left its own
                if json.loads(note.read_bytes())["pid"] == pid:
                    return
            time.sleep(0.05)
        raise RuntimeError(f"{note} does not name process {pid}: see {self.folder / spec.key}.log")

    def start_all(self) -> None:
        """Start everything, gateways last."""
        self.start_trust()
        self.start_central()
        for spec in self.gateways:
            self.start_gateway(spec, wait=False)
        for spec in self.gateways:
            self.wait_for_gateway(spec)

    def wait_for(self, url: str) -> None:
        """Wait until a URL answers 200. Raises RuntimeError with what it said last."""
        last_answer = "nothing"
        unproved = ssl.create_default_context()
        unproved.check_hostname, unproved.verify_mode = False, ssl.CERT_NONE
        deadline = time.monotonic() + self.start_timeout_s
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(url, timeout=30, context=unproved):
                    return
            except urllib.error.HTTPError as err:
                last_answer = err.read().decode("utf-8", "replace")
            except OSError as err:
                last_answer = str(err)
            time.sleep(0.05)
        raise RuntimeError(f"{url} did not come up: {last_answer}")

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """End a process as a crash would."""
        process = self.processes.pop(name)
        process.send_signal(number)
        process.wait(timeout=90)

    def stop(self) -> None:
        """End every process."""
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes.clear()


def serial_of(pem: Path) -> int:
    """A certificate's serial number."""
    return x509.load_pem_x509_certificate(pem.read_bytes()).serial_number
