"""Institutes, registry and their gateways as processes on one machine: what demo and scenarios run on.

A `Country` is a `Federation` plus one information system a member. Everything a system says or asks goes through its
gateway; the only other hand on a system is the seed of synthetic persons.
"""

from __future__ import annotations

import errno
import io
import json
import secrets
import socket
import time
import urllib.error
import urllib.request
import uuid
import zipfile
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from benchmarks.calls import Call, Evidence, Reply
from benchmarks.federation import Federation, GatewaySpec
from benchmarks.governing import Governing
from certs.edges.configurationfiles import load_configuration_folder
from certs.verify.container import verify_container
from social_security.commands import seed
from social_security.domain import pack
from social_security.domain.edition import package_edition
from social_security.domain.notices import notice_of
from social_security.wire.gatewayfile import render_gateway, subsystems_of
from social_security.wire.wsdl import services_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


REGISTRY = "00-RNSS"
SYSTEM_PORT = 9000
ONIESS = "00-ONIESS"
PORTAL_PORT = 9080
PORTS = (8080, 8443, 5500, 5577, 5588, SYSTEM_PORT, PORTAL_PORT)


class AddressTaken(RuntimeError):
    """An address this run needs cannot be had: ``missing`` on this machine (a Mac), or ``taken`` by a process."""

    def __init__(self, *, missing: Sequence[str] = (), taken: Sequence[str] = ()) -> None:
        super().__init__(", ".join(missing or taken))
        self.missing = missing
        self.taken = taken


class Country:
    """A federation of institutes with their systems."""

    def __init__(
        self,
        folder: Path,
        codes: Sequence[str],
        base: str = "127.50.0",
        *,
        clock: bool = False,
        gateway_settings: str = "",
        system_settings: dict[str, str] | None = None,
        quota: int | None = None,
    ) -> None:
        self.folder = folder
        self.base = base
        self.codes = tuple(codes)
        self.clock_file = folder / "reloj" if clock else None
        self._gateway_settings = gateway_settings
        # More settings of systems, as lines of TOML: by member, or for all of them under "".
        self._system_settings = system_settings or {}
        # Look-ups of an account and day, where the policy is to say another number than the pack.
        self.quota = quota or pack.operations()["buscarBeneficiario"].daily_quota or 0
        self.governing = Governing(folder / "gobierno", quota)
        self._applicants: set[str] = set()
        self._specs = {c: self._spec(c, gateway_settings) for c in self.codes}
        self.federation = Federation(folder, list(self._specs.values()), base=base)

    # Addresses

    def address(self, code: str) -> str:
        """A member's address: its entity's number, the registry 10."""
        if code.startswith("00-"):
            return f"{self.base}.{10 if code == REGISTRY else 11}"
        return f"{self.base}.{int(code[:2]) + (100 if package_edition().is_guarantor(code) else 0)}"

    def addresses(self) -> list[str]:
        """Every loopback address of the country."""
        return [
            self.federation.central_address,
            self.federation.trust_address,
            *(self.address(c) for c in self.codes),
        ]

    def check_addresses(self) -> None:
        """Refuse to start on addresses that are missing (a Mac) or taken (an earlier run). Raises `AddressTaken`."""
        taken: list[str] = []
        needed: list[tuple[str, tuple[int, ...]]] = [
            (self.federation.central_address, (8080,)),
            (self.federation.trust_address, (8888,)),
            *((self.address(c), PORTS) for c in self.codes),
        ]
        for address, ports in needed:
            for port in ports:
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    try:
                        probe.bind((address, port))
                    except OSError as err:
                        if err.errno == errno.EADDRNOTAVAIL:
                            raise AddressTaken(missing=self.addresses()) from err
                        taken.append(f"{address}:{port}")
        if taken:
            raise AddressTaken(taken=taken)

    # Setting up and running

    def set_up(self) -> None:
        """Make keys, certificates, registry, configurations and the synthetic persons; nothing twice."""
        self.federation.set_up()
        secret = self.passphrase()
        seed.seed_registry(self.system_folder(REGISTRY), secret.read_text("ascii"))
        for code in self.systems():
            if code == ONIESS:
                seed.seed_oniess(self.system_folder(code))
            elif code != REGISTRY:
                seed.seed_institute(
                    self.system_folder(code), code, self.system_folder(REGISTRY), secret.read_text("ascii")
                )
        if (self.system_folder(ONIESS) / "oniess.sqlite").exists():
            issuers = (self.folder / "trust" / "intermediate.pem").read_bytes()
            (self.system_folder(ONIESS) / "server-authorities.pem").write_bytes(issuers)
        self.governing.publish(self.system_folder(ONIESS), self.gateways())
        for code in self.systems():
            lines = [
                f'member = "{code}"',
                f'host = "{self.address(code)}"',
                f"port = {SYSTEM_PORT}",
                f'clock_file = "{self.clock_file or ""}"',
                "fixture_keys = true",
                f'gateway = "http://{self.address(code)}:8080"',
                self._system_settings.get("", ""),
                self._system_settings.get(code, ""),
                "[keys_secret]",
                f'file = "{secret}"',
            ]
            (self.system_folder(code) / "settings.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def passphrase(self) -> Path:
        """The file with the passphrase that seals the keys of every system here; made once."""
        file = self.folder / "frase"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(secrets.token_urlsafe(18), encoding="ascii")
            file.chmod(0o600)
        return file

    def start(self) -> None:
        """Start every process and wait until messages can be exchanged."""
        for code in self.systems():
            self.start_system(code)
        self.federation.start_all()
        for code in self.systems():
            self.federation.wait_for(f"http://{self.address(code)}:{SYSTEM_PORT}/estado")

    def add(self, code: str) -> None:
        """Register another member while all others run, and start its gateway and system. Nobody grants it anything yet."""
        self.codes = (*self.codes, code)
        self._applicants = {code}
        self._specs[code] = self._spec(code, self._gateway_settings)
        self.federation.gateways = list(self._specs.values())
        self.set_up()
        self.start_system(code)
        self.federation.start_gateway(self._specs[code])
        self.federation.wait_for(f"http://{self.address(code)}:{SYSTEM_PORT}/estado")

    def grant(self, code: str) -> None:
        """Let each other member grant the new one its rights; nothing else changes for them."""
        self._applicants.discard(code)
        for other in self.codes:
            self._specs[other].desired = self._spec(other, self._gateway_settings).desired
        self.federation.set_up()

    def systems(self) -> list[str]:
        """The members that have a system of their own: all but the guarantors."""
        return [c for c in self.codes if not package_edition().is_guarantor(c)]

    def gateways(self) -> dict[Path, list[str]]:
        """The gateways that serve something: the identifiers of their services, by the gateway's folder."""
        return {self.folder / code: self.services_of(code) for code in self.systems()}

    def services_of(self, code: str) -> list[str]:
        """The services of a member by identifier."""
        rest = [
            f"{member_path(code)}/{subsystem}/oss-v1" for subsystem in subsystems_of(package_edition(), code)
        ]
        if code == ONIESS:
            return rest
        soap = [
            f"{member_path(code)}/{s}/{name}"
            for s in subsystems_of(package_edition(), code)
            for name in services_of(s)
        ]
        return [*rest, *soap]

    def start_system(self, code: str) -> None:
        """Start a member's information system."""
        folder = self.system_folder(code)
        self.federation.start(
            f"{code}-sistema",
            "social_security",
            "serve",
            "--data",
            str(folder),
            "--settings",
            str(folder / "settings.toml"),
        )

    def restart_gateway(self, code: str) -> None:
        """End a member's gateway as a crash would, and start it again."""
        self.federation.kill(code)
        self.start_gateway(code)

    def start_gateway(self, code: str) -> None:
        """Start a member's gateway."""
        self.federation.start_gateway(self._specs[code])

    def stop(self) -> None:
        """End every process."""
        self.federation.stop()

    def system_folder(self, code: str) -> Path:
        """Where a member's system keeps its data."""
        return self.folder / "systems" / code

    def set_clock(self, at: str) -> None:
        """Set the time that every system sees (RFC 3339)."""
        if self.clock_file is None:
            raise ValueError("this country runs on the machine's clock")
        self.clock_file.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.clock_file.with_suffix(".new")
        fresh.write_text(at, encoding="ascii")
        fresh.replace(self.clock_file)

    # Calling

    def call(
        self,
        client: str,
        provider: str,
        operation: str,
        body: dict[str, Any] | None,
        call: Call,
        **path: str,
    ) -> Reply:
        """Call an operation through the client's gateway. ``client`` is ``15-ISSEMYM/AFIL``, ``provider`` a code."""
        described = pack.operations()[operation]
        where = described.path.format(**path) if path else described.path
        code = client.partition("/")[0]
        uri, digest = notice_of(package_edition(), code)
        bases = call.bases or sorted(pack.purposes()[call.purpose].legal_bases[0])
        headers = {
            "Content-Type": "application/json",
            "X-Road-UserId": f"MX-{code}:{call.user}",
            "X-Road-Issue": call.case,
            "X-OSS-Proposito": call.purpose,
            "X-OSS-Fundamento": ",".join(bases),
            "X-OSS-Motivo": quote(call.reason),
            "X-OSS-Sistema": call.system,
            "X-OSS-Rol": call.role,
            "X-OSS-Aviso": f"{uri};sha256={digest}",
            "X-OSS-Politica": "1.0.0",
            **call.headers,
        }
        return self.send(
            client, f"{member_path(provider)}/{described.subsystem}", described.method, where, body, headers
        )

    def send(
        self,
        client: str,
        provider: str,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        service: str = "oss-v1",
    ) -> Reply:
        """One HTTP request to the client's gateway; headers whose value is empty are left out."""
        code, subsystem = client.split("/")
        message_id = f"MX-{uuid.uuid4()}"
        sent = {
            "X-Road-Client": f"{member_path(code)}/{subsystem}",
            "X-Road-Id": message_id,
            **(headers or {}),
        }
        request = urllib.request.Request(
            f"http://{self.address(code)}:8080/r1/{provider}/{service}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={n: v for n, v in sent.items() if v},
        )
        started = time.monotonic()
        try:
            with urllib.request.urlopen(request, timeout=90) as answer:
                status, found, raw = answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as err:
            status, found, raw = err.code, err.headers, err.read()
        took = (time.monotonic() - started) * 1000
        is_json = "json" in found.get("Content-Type", "")
        value = json.loads(raw) if raw and is_json else {}
        text = raw.decode("utf-8", "replace")
        return Reply(status, value, found.get("X-Road-Error"), message_id, client, provider, took, text)

    # Evidence

    def evidence(self, reply: Reply, into: Path) -> list[Evidence]:
        """The containers of an exchange from both sides, downloaded and verified offline."""
        client_code, client_subsystem = reply.client.split("/")
        provider_code, provider_subsystem = reply.service.split("/")[2:4]
        trusted = load_configuration_folder(self.verification_configuration(client_code, into), strict=False)
        found: list[Evidence] = []
        for side, code, subsystem in (
            ("consumer", client_code, client_subsystem),
            ("provider", provider_code, provider_subsystem),
        ):
            folder = into / f"{side}-{code}"
            for file in self.containers(code, subsystem, reply.message_id, folder):
                with file.open("rb") as source:
                    found.append(Evidence(side, file, verify_container(source, trusted, at=None)))
        return found

    def containers(self, code: str, subsystem: str, message_id: str, folder: Path) -> list[Path]:
        """Download a message's containers from a member's gateway."""
        folder.mkdir(parents=True, exist_ok=True)
        member = pack.members()[code]
        query = urlencode(
            {
                "xRoadInstance": "MX",
                "memberClass": member.member_class,
                "memberCode": code,
                "subsystemCode": subsystem,
                "queryId": message_id,
                "force": "",
            }
        )
        with urllib.request.urlopen(f"http://{self.address(code)}:8080/asic?{query}", timeout=60) as answer:
            archive = zipfile.ZipFile(io.BytesIO(answer.read()))
        files: list[Path] = []
        for name in archive.namelist():
            file = folder / name
            file.write_bytes(archive.read(name))
            files.append(file)
        return files

    def verification_configuration(self, code: str, into: Path) -> Path:
        """The configuration an auditor needs, as a member's gateway gives it out."""
        folder = into / "verificationconf"
        with urllib.request.urlopen(
            f"http://{self.address(code)}:8080/verificationconf", timeout=60
        ) as answer:
            zipfile.ZipFile(io.BytesIO(answer.read())).extractall(folder)
        return folder

    # What each gateway serves

    def _spec(self, code: str, settings: str) -> GatewaySpec:
        member = pack.members()[code]
        subsystems = subsystems_of(package_edition(), code)
        granted = [c for c in self.codes if c == code or c not in self._applicants]
        return GatewaySpec(
            code,
            member.name,
            self.address(code),
            subsystems,
            render_gateway(package_edition(), code, f"http://{self.address(code)}:{SYSTEM_PORT}", granted),
            settings=settings,
            member_class=member.member_class,
        )


def member_path(code: str) -> str:
    """A member's identifier."""
    return pack.members()[code].path
