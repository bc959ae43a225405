"""``gateway join``: register this server and its subsystems at the central server, and wait until they are approved.

It speaks to the running gateway, looks first at what is there, and can be stopped and run again at any time.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.keys import DATA
from gateway.cli.localaudit import record
from gateway.clients.model import ConnectionType
from gateway.server.running import AdminClient, local_client
from schemas.names import check_code, check_host
from serving.api.problems import Problem
from serving.cli.commands import report_errors
from serving.language import _

if TYPE_CHECKING:
    from collections.abc import Callable

LOOK_S = 0.5


@click.command(help="Register this server and its subsystems at the central server, and wait for approval.")
@DATA
@click.option(
    "--address",
    required=True,
    help="where other servers reach this one",
)
@click.option("--subsystem", "subsystems", multiple=True, help="code; repeat for several")
@click.option(
    "--connection",
    type=click.Choice([c.value for c in ConnectionType]),
    default=ConnectionType.HTTPS.value,
    show_default=True,
    help="how their systems connect",
)
@click.option(
    "--wait",
    "wait_s",
    type=float,
    default=86_400.0,
    show_default=True,
    help="seconds to wait",
)
@report_errors
def join(data: Path, address: str, subsystems: tuple[str, ...], connection: str, wait_s: float) -> None:
    check_host(address, "--address")
    for code in subsystems:
        check_code(code, f"--subsystem {code!r}:")
    deadline = time.monotonic() + wait_s
    until(lambda: _runs(data), deadline, _("the gateway to start"))
    with local_client(data) as client:
        joining = Joining(client, deadline)
        joining.register_server(address)
        for code in subsystems:
            joining.register_subsystem(code, connection)
    record(data, "JOIN", "done", (f"address {address}", *(f"subsystem {s}" for s in subsystems)))
    click.echo(_("joined: other members see this server now"))


def until(good: Callable[[], bool], deadline: float, what: str) -> None:
    """Wait for something, saying so once. Raises TimeoutError."""
    has_announced = False
    while not good():
        if not has_announced:
            click.echo(_("waits for {what}", what=what))
            has_announced = True
        if time.monotonic() >= deadline:
            raise TimeoutError(_("the wait for {what} is over", what=what))
        time.sleep(LOOK_S)


@dataclass(slots=True)
class Joining:
    """One server on its way into the registry."""

    client: AdminClient
    deadline: float

    def register_server(self, address: str) -> None:
        """Have the authentication certificate registered and in use."""
        certificate = self._certificate()
        digest, announced = certificate["certificate_details"]["hash"], False
        if certificate["status"] == "SAVED":
            self._send("PUT", f"/token-certificates/{digest}/register", {"address": address})
            announced = True
        if certificate["status"] != "REGISTERED":
            click.echo(_("registration of the server asked for"))
            until(
                lambda: self._settled(announced),
                self.deadline,
                _("the server's approval"),
            )
        if not self._certificate()["active"]:
            self._send("PUT", f"/token-certificates/{digest}/activate")
        until(
            self._is_up,
            self.deadline,
            _("the gateway to be able to exchange"),
        )

    def register_subsystem(self, code: str, connection: str) -> None:
        """Have a subsystem of the owner among the clients, registered."""
        _instance, member_class, member_code, *_server = self._server_id().split(":")
        owner = ":".join(self._server_id().split(":")[:3])
        path = f"/clients/{owner}:{code}"
        if self._status(path) is None:
            body = {
                "member_class": member_class,
                "member_code": member_code,
                "subsystem_code": code,
                "connection_type": connection,
            }
            self.client.json("POST", "/clients", {"client": body, "ignore_warnings": True})
        if self._status(path) in ("SAVED", "REGISTRATION_FAILED"):
            self._send("PUT", f"{path}/register")
            click.echo(_("registration of {code} asked for", code=code))
        until(
            lambda: self._status(path) == "REGISTERED",
            self.deadline,
            _("the approval of {code}", code=code),
        )

    def _certificate(self) -> dict[str, Any]:
        """The authentication certificate that is farthest on its way."""
        order = ("REGISTERED", "REGISTRATION_IN_PROGRESS", "SAVED")
        found = [
            certificate
            for token in self.client.json("GET", "/tokens")
            for key in token["keys"]
            if key.get("usage") == "AUTHENTICATION"
            for certificate in key["certificates"]
            if certificate["status"] in order
        ]
        if not found:
            raise LookupError(
                _("there is no authentication certificate; import it with 'gateway certificate import'")
            )
        best: dict[str, Any] = min(found, key=lambda c: order.index(c["status"]))
        return best

    def _settled(self, sent: bool) -> bool:
        status = self._certificate()["status"]
        if sent and status == "SAVED":
            raise ValueError(_("the central server declined the registration"))
        return bool(status == "REGISTERED")

    def _is_up(self) -> bool:
        """Whether the authentication certificate is good by OCSP and in use."""
        certificate = self._certificate()
        return bool(certificate["active"] and certificate["ocsp_status"] == "OCSP_RESPONSE_GOOD")

    def _server_id(self) -> str:
        found: str = self.client.call("GET", "/security-servers", query={"current_server": "true"}).value()[
            0
        ]["id"]
        return found

    def _status(self, path: str) -> str | None:
        try:
            return str(self.client.json("GET", path)["status"])
        except Problem as err:
            if err.status == 404:
                return None
            raise

    def _send(self, method: str, path: str, body: object = None) -> None:
        """Send what goes between gateways, again while nothing gets through yet: peers learn of this server in seconds."""
        while True:
            try:
                self.client.json(method, path, body)
                return
            except Problem as err:
                if err.status < 500 or time.monotonic() >= self.deadline:
                    raise
                reason = err
            click.echo(_("will be tried again: {reason}", reason=reason))
            time.sleep(LOOK_S * 4)


def _runs(data: Path) -> bool:
    try:
        with local_client(data) as client:
            client.json("GET", "/initialization/status")
    except OSError:
        return False
    return True
