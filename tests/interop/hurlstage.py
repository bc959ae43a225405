"""The stage of ``serve-for-hurl``: a central server, two gateways, a test CA and systems, empty but for one user each.

It runs in a network and mount namespace of its own: every server has an address of 127.66.0.x and the scenarios' host name
for it, and X-Road's ports are free. Only what an operator does before the first login is done here: users are made, and
the consumer's gateway is given a PKCS#11 token (SoftHSM). Everything else is the scenarios' doing.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import json
import os
import re
import secrets
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from tests.softhsm import SoftHsm, module

if TYPE_CHECKING:
    from collections.abc import Iterator

HOSTS = {
    name: f"127.66.0.{number}"
    for number, name in enumerate(("cs", "testca", "ss0", "ss1", "issoap", "isrest", "isopenapi"), 1)
}
USER, PASSWORD = "xrd", "secret"
ROLES = ("SECURITY_OFFICER", "REGISTRATION_OFFICER", "SYSTEM_ADMINISTRATOR")
GATEWAY_ROLES = (*ROLES, "SERVICE_ADMINISTRATOR", "SECURITYSERVER_OBSERVER")
SCENARIOS = ("setup.hurl", "test-proxy-rest.hurl", "test-proxy-soap.hurl")
HSM_LABEL = "x-road-softhsm2"
START_S = 120.0
# A step that waits for a new configuration is tried this often; X-Road's own runs wait up to two minutes a step.
RETRIES, RETRY_MS = 120, 500
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1


def main(hurl: str, scenarios: str) -> int:
    """Bring everything up, run the scenarios, say how many requests passed; 0 when all of them did."""
    with tempfile.TemporaryDirectory(prefix="sacbe-hurl-") as made:
        folder = Path(made)
        prepare_network(folder)
        with running(folder):
            passed, wanted = run_scenarios(folder, hurl, Path(scenarios))
        if passed != wanted:
            show_logs(folder)
    print(f"{passed} of {wanted} requests passed", flush=True)
    return 0 if passed == wanted else 1


def prepare_network(folder: Path) -> None:
    """Switch the loopback interface on and make the host names known, in this namespace only."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = array.array("B", struct.pack("16sh14x", b"lo", 0))
        fcntl.ioctl(control, _SIOCGIFFLAGS, request)
        flags = struct.unpack("16sh14x", request)[1] | _IFF_UP
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags))
    hosts = folder / "hosts"
    hosts.write_text(
        "".join(f"{address} {name}\n" for name, address in HOSTS.items()) + "127.0.0.1 localhost\n"
    )
    subprocess.run(["mount", "--bind", str(hosts), "/etc/hosts"], check=True)


@contextlib.contextmanager
def running(folder: Path) -> Iterator[None]:
    """Every server, up and answering."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(name: str, *arguments: str, environment: dict[str, str] | None = None) -> None:
        with (folder / f"{name}.log").open("ab") as out:
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", *arguments],
                    stdout=out,
                    stderr=out,
                    stdin=subprocess.DEVNULL,
                    env={**os.environ, **(environment or {})},
                )
            )

    try:
        (folder / "password").write_text(PASSWORD)
        (folder / "password").chmod(0o600)
        start(
            "testca", "certs.dev", "--dir", str(folder / "trust"), "--host", HOSTS["testca"],
            "--tsa-port", "8899", "--algorithm", "rsa", "--flat",
        )  # fmt: skip
        start(
            "providers", "tests.interop.hurlproviders", HOSTS["issoap"], HOSTS["isrest"], HOSTS["isopenapi"]
        )
        prepare_central(folder)
        start(
            "cs",
            "central_server",
            "serve",
            "--data",
            str(folder / "cs"),
            "--settings",
            str(folder / "cs.toml"),
        )
        hsm = SoftHsm(folder / "hsm", HSM_LABEL).make()
        for name in ("ss0", "ss1"):
            prepare_gateway(folder, name, hsm if name == "ss1" else None)
            start(
                name, "gateway", "serve", "--data", str(folder / name), "--settings", str(folder / f"{name}.toml"),
                environment=hsm.environment if name == "ss1" else None,
            )  # fmt: skip
        wait_for("http://testca:8888/")
        take_ca_files(folder)
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=60)
            process.kill()


def prepare_central(folder: Path) -> None:
    """A central server's settings and its first user."""
    (folder / "cs.toml").write_text(
        f'[listen]\nhost = "{HOSTS["cs"]}"\nhttps_port = 0\n[admin]\nhost = "{HOSTS["cs"]}"\n'
        "[management]\nrequests_per_minute = 600\n"
    )
    add_user("central_server", folder, "cs", ROLES)


def prepare_gateway(folder: Path, name: str, hsm: SoftHsm | None) -> None:
    """A gateway's settings and its first user; ``hsm`` gives it a hardware token."""
    address = HOSTS[name]
    token = "" if hsm is None else hardware_token(folder, hsm)
    (folder / f"{name}.toml").write_text(
        f'[listen]\nconsumer_host = "{address}"\npeer_host = "{address}"\nhealth_host = "{address}"\n'
        f'[admin]\nhost = "{address}"\n[trust]\nrequest_status_s = 2\nconfiguration_conditional_poll_s = 0.5\n{token}'
    )
    add_user("gateway", folder, name, GATEWAY_ROLES)


def hardware_token(folder: Path, hsm: SoftHsm) -> str:
    """The settings of the token that SoftHSM plays, logged in from a file."""
    pin = folder / "hsm-pin"
    pin.write_text(hsm.pin)
    pin.chmod(0o600)
    # A second, unused one is listed too, as SoftHSM's free slot is in X-Road: hurl 8 gives a filter with one match as that
    # match, and the scenario's ``nth 0`` wants a list.
    spare = SoftHsm(folder / "spare", "spare").make()
    return (
        f'[[keys.tokens]]\nid = "31"\nmodule = "{module()}"\nlabel = "{HSM_LABEL}"\npin = {{ file = "{pin}" }}\n'
        f'[[keys.tokens]]\nid = "32"\nmodule = "{module()}"\nlabel = "{spare.label}"\n'
        f'environment = {{ SOFTHSM2_CONF = "{spare.environment["SOFTHSM2_CONF"]}" }}\n'
    )


def add_user(server: str, folder: Path, name: str, roles: tuple[str, ...]) -> None:
    """The one user the scenarios log in as, with every role."""
    given = [word for role in roles for word in ("--role", f"XROAD_{role}")]
    command = [sys.executable, "-m", server, "user", "add", USER, "--data", str(folder / name), *given]
    subprocess.run(
        [*command, "--password-file", str(folder / "password")], check=True, stdout=subprocess.DEVNULL
    )


def wait_for(url: str) -> None:
    """Until a server answers."""
    deadline = time.monotonic() + START_S
    while True:
        try:
            urllib.request.urlopen(url, timeout=60).close()
            return
        except OSError as err:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{url} did not come up: {err}") from err
            time.sleep(0.1)


def take_ca_files(folder: Path) -> None:
    """The certificates that the scenarios upload, fetched as an operator does."""
    (folder / "files" / "ca").mkdir(parents=True)
    for name in ("ca", "ocsp", "tsa"):
        with urllib.request.urlopen(f"http://testca:8888/testca/{name}.pem", timeout=60) as answer:
            (folder / "files" / "ca" / f"{name}.pem").write_bytes(answer.read())


def run_scenarios(folder: Path, hurl: str, scenarios: Path) -> tuple[int, int]:
    """Run the scenarios in order; how many requests passed, and how many there are."""
    passed = wanted = 0
    go_on = True
    for name in SCENARIOS:
        wanted += count_requests((scenarios / name).read_text(encoding="utf-8"))
        if go_on:
            done, go_on = run_one(folder, hurl, scenarios, name)
            passed += done
    return passed, wanted


def count_requests(text: str) -> int:
    """How many requests a scenario makes: lines that begin with a method, outside of bodies."""
    return len(re.findall(r"^(?:GET|POST|PUT|PATCH|DELETE) https?://", text, re.MULTILINE))


def run_one(folder: Path, hurl: str, scenarios: Path, name: str) -> tuple[int, bool]:
    """Run one scenario; how many of its requests passed, and whether all of it did."""
    report = folder / f"report-{secrets.token_hex(3)}"
    result = subprocess.run(
        [
            hurl, "--insecure", "--retry", str(RETRIES), "--retry-interval", str(RETRY_MS),
            "--variables-file", str(scenarios / "vars.env"), "--file-root", str(folder / "files"),
            "--report-json", str(report), str(scenarios / name),
        ],
        stdout=subprocess.DEVNULL,
        check=False,
    )  # fmt: skip
    told = json.loads((report / "report.json").read_text(encoding="utf-8"))
    reached = len({entry["index"] for entry in told[0]["entries"]})
    # hurl stops at the first request that fails for good: all that it reached before had passed.
    return (reached, True) if result.returncode == 0 else (max(reached - 1, 0), False)


def show_logs(folder: Path) -> None:
    """The end of every server's log, for whoever looks for the cause."""
    for path in sorted(folder.glob("*.log")):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        print(f"--- {path.stem}", *lines[-15:], sep="\n", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
