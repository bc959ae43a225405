"""A central server and a gateway as packages leave them, a CA beside them, a system behind: nothing is set up but one user each.

Everything else is done in a browser by `tests.integration.test_setup_by_pages`.
"""

from __future__ import annotations

import secrets
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchmarks.federation import Federation, free_base, run_command
from central_server.cli.main import main as central_command
from gateway.cli.main import main as gateway_command

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

USER, PASSWORD = "xrd", "secret"
CENTRAL_ROLES = ("SECURITY_OFFICER", "REGISTRATION_OFFICER", "SYSTEM_ADMINISTRATOR")
GATEWAY_ROLES = (*CENTRAL_ROLES, "SERVICE_ADMINISTRATOR", "SECURITYSERVER_OBSERVER")


class FreshFederation:
    """The processes and the addresses of their pages. The CA certifies what it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.base = free_base()
        self.central = f"{self.base}.1"
        self.trust = f"{self.base}.2"
        self.system = f"{self.base}.10"
        self.gateway = f"{self.base}.15"
        self.processes = Federation(folder, (), self.base, dies_with_us=True)

    @property
    def system_address(self) -> str:
        """Where the system answers that the gateway has behind it."""
        return f"http://{self.system}:9000"

    def start(self) -> None:
        """Start everything and wait until each answers."""
        self._add_users()
        self._write_settings()
        run = self.processes
        run.start("trust", "certs.dev", "--dir", str(self.folder / "trust"), "--host", self.trust, "--flat")
        run.start("system", "benchmarks.echo", "--host", self.system)
        for module, name in (("central_server", "central"), ("gateway", "gateway")):
            data, settings = str(self.folder / name), str(self.folder / f"{name}.toml")
            run.start(name, module, "serve", "--data", data, "--settings", settings)
        run.wait_for(f"http://{self.trust}:8888/")
        run.wait_for(f"{self.system_address}/")

    def stop(self) -> None:
        """End every process."""
        self.processes.stop()

    def _add_users(self) -> None:
        password = self.folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o600)
        for command, name, roles in (
            (central_command, "central", CENTRAL_ROLES),
            (gateway_command, "gateway", GATEWAY_ROLES),
        ):
            given = [word for role in roles for word in ("--role", f"XROAD_{role}")]
            data = str(self.folder / name)
            run_command(
                command, "user", "add", USER, "--data", data, *given, "--password-file", str(password)
            )

    def _write_settings(self) -> None:
        """Addresses of this federation alone, and no limit on what one address asks in a minute: a browser here is quicker than a person."""
        quick = "requests_per_second = 0\nrequests_per_minute = 0\n"
        (self.folder / "central.toml").write_text(
            f'[listen]\nhost = "{self.central}"\nhttp_port = 8080\nhttps_port = 0\n[admin]\nhost = "{self.central}"\n{quick}'
        )
        at = f'consumer_host = "{self.gateway}"\npeer_host = "{self.gateway}"\nhealth_host = "{self.gateway}"\n'
        trust = "[trust]\nrequest_status_s = 0.5\nconfiguration_conditional_poll_s = 0.5\n"
        (self.folder / "gateway.toml").write_text(
            f'[listen]\n{at}[admin]\nhost = "{self.gateway}"\n{quick}{trust}'
        )

    def certify(self, request: bytes, kind: str) -> bytes:
        """The certificate (PEM) of a request, ``auth`` or ``sign``, as the CA's own form gives it."""
        boundary = secrets.token_hex(8)
        parts = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="type"\r\n\r\n{kind}\r\n'
            f'--{boundary}\r\nContent-Disposition: form-data; name="certreq"; filename="request"\r\n\r\n'
        )
        body = parts.encode() + request + f"\r\n--{boundary}--\r\n".encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        asked = urllib.request.Request(f"http://{self.trust}:8888/testca/sign", body, headers)
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return bytes(answer.read())


@contextmanager
def fresh_federation(folder: Path) -> Iterator[FreshFederation]:
    """Started, and stopped whatever happens."""
    made = FreshFederation(folder)
    try:
        made.start()
        yield made
    finally:
        made.stop()
