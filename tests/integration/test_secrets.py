"""Private keys are where they belong: sealed on disk, open only in the process that holds the token."""

from __future__ import annotations

import base64
import re
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from benchmarks.federation import Federation, GatewaySpec, free_base
from certs.edges.tokenfiles import TokenFolder
from certs.softtoken import SoftToken

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.processes

BASE = free_base()
APART = GatewaySpec(
    "15-ISSEMYM",
    "ISSEMYM",
    f"{BASE}.15",
    ["AFIL"],
    '[[client]]\nid = "MX/GOB/15-ISSEMYM/AFIL"\nconnection = "HTTP"\n',
    settings='[[keys.tokens]]\nid = "0"\nown_process = true',
)
PROVIDER = GatewaySpec(
    "00-RNSS",
    "RNSS",
    f"{BASE}.10",
    ["INDICE"],
    f"""
[[client]]
id = "MX/GOB/00-RNSS/INDICE"
connection = "HTTP"
[[client.service]]
code = "echo"
url = "http://{BASE}.10:9000"
[[client.service.allow]]
subject = "MX/GOB/15-ISSEMYM/AFIL"
""",
)


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    made = Federation(tmp_path_factory.mktemp("secrets"), [APART, PROVIDER], base=BASE)
    made.set_up()
    try:
        made.start("echo", "benchmarks.echo", "--host", PROVIDER.address)
        made.start_all()
        made.wait_for(f"http://{PROVIDER.address}:9000/")
        for _ in range(5):
            request = urllib.request.Request(
                f"http://{APART.address}:8080/r1/MX/GOB/00-RNSS/INDICE/echo/x",
                data=b"hola",
                headers={"X-Road-Client": "MX/GOB/15-ISSEMYM/AFIL"},
            )
            with urllib.request.urlopen(request, timeout=30) as answer:
                assert answer.read() == b"hola"
        yield made
    finally:
        made.stop()


def secrets_of(federation: Federation, spec: GatewaySpec) -> list[bytes]:
    """Every way in which a private key of a gateway could lie about: as numbers, as DER, as PEM."""
    token = SoftToken(TokenFolder(federation.data(spec) / "token"))
    token.unlock((federation.folder / "pin").read_text())
    found: list[bytes] = []
    for info in token.key_infos():
        key = token.tls_private_key(info.id)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        scalar = key.private_numbers().private_value.to_bytes(32, "big")
        der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        found += [scalar, scalar[::-1], scalar.hex().encode(), base64.b64encode(der)[20:60]]
    token.close()
    return found


def memory_of(pid: int) -> Iterator[bytes]:
    """A process's readable memory, piece by piece, with enough overlap to miss nothing."""
    maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    with Path(f"/proc/{pid}/mem").open("rb", 0) as memory:
        for line in maps:
            match = re.match(r"([0-9a-f]+)-([0-9a-f]+) r", line)
            if match is None or line.endswith(("[vvar]", "[vsyscall]", "[vdso]", "[vvar_vclock]")):
                continue
            at, end = int(match[1], 16), int(match[2], 16)
            while at < end:
                size = min(end - at, 16 * 1024 * 1024)
                memory.seek(at)
                try:
                    yield memory.read(min(size + 64, end - at))
                except OSError:
                    break
                at += size


def holds(pid: int, secrets: list[bytes]) -> bool:
    return any(secret in piece for piece in memory_of(pid) for secret in secrets)


def child_of(pid: int) -> int:
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


def test_the_process_that_faces_the_network_holds_no_key(federation: Federation) -> None:
    secrets = secrets_of(federation, APART)
    gateway = federation.processes[APART.member].pid
    assert not holds(gateway, secrets)
    # The scan can find keys: it does where they are, in the token's process, and in a gateway that keeps them itself.
    assert holds(child_of(gateway), secrets)
    assert holds(federation.processes[PROVIDER.member].pid, secrets_of(federation, PROVIDER))


@pytest.mark.parametrize("spec", [APART, PROVIDER], ids=["apart", "inside"])
def test_no_key_is_on_the_disk_or_in_a_log_in_clear(federation: Federation, spec: GatewaySpec) -> None:
    secrets = [*secrets_of(federation, spec), (federation.folder / "pin").read_bytes()]
    paths = [p for p in federation.data(spec).rglob("*") if p.is_file()]
    paths.append(federation.folder / f"{spec.member}.log")
    assert len(paths) > 5
    assert [p.name for p in paths for s in secrets if s in p.read_bytes()] == []
