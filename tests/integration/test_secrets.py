"""Private keys are where they belong: sealed on disk, open only in the process that holds the token."""

from __future__ import annotations

import re
import ssl
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pyrage
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from benchmarks.federation import Federation, GatewaySpec, free_base, run_command
from central_server.cli.main import main as central_command
from certs.certificates import der_of
from certs.edges.tokenfiles import TokenFolder
from certs.tokens.soft import SoftToken
from gateway.cli.main import main as gateway_command
from serving.storage.keysafe import TOKEN_PURPOSE, KeySafe, Seal
from serving.storage.selfsigned import self_signed
from tests.integration.calling import call
from tests.integration.pair import consumer, provider, running
from tests.keyscan import forms, found_below, found_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

pytestmark = pytest.mark.processes

BASE = free_base()
APART = consumer(BASE, '[[keys.tokens]]\nid = "0"\nown_process = true')
PROVIDER = provider(BASE)


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    with running(Federation(tmp_path_factory.mktemp("secrets"), [APART, PROVIDER], base=BASE)) as made:
        for _ in range(5):
            assert call(APART.address, body=b"hola").body == b"hola"
        yield made


def keys_of(folder: Path, pin: str) -> list[PrivateKeyTypes]:
    """Every private key of a server: those on its software token, and those that the token seals."""
    token = SoftToken(TokenFolder(folder / "token"))
    token.unlock(pin)
    safe = KeySafe((Seal.of_token(token.derive_secret(TOKEN_PURPOSE)),))
    found: list[PrivateKeyTypes] = [token.tls_private_key(info.id) for info in token.key_infos()]
    token.close()
    return [*found, *(safe.read(path) for path in sealed_files(folder))]


def sealed_files(folder: Path) -> list[Path]:
    return [*sorted((folder / "tls").glob("*.key.json")), *folder.glob("backup.key.json")]


def secrets_of(federation: Federation, spec: GatewaySpec) -> list[bytes]:
    """Every way in which a key on a gateway's token could lie about."""
    token = SoftToken(TokenFolder(federation.data(spec) / "token"))
    token.unlock(pin_of(federation))
    found = [form for info in token.key_infos() for form in forms(token.tls_private_key(info.id))]
    token.close()
    return found


def pin_of(federation: Federation) -> str:
    return (federation.folder / "pin").read_text()


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


def test_no_key_is_on_the_disk_or_in_a_log_in_clear(federation: Federation) -> None:
    """The whole folder of the federation, where its processes put everything; its test authority is left out."""
    pin = pin_of(federation)
    all_settled(federation)
    folders = [federation.folder / "central", federation.data(APART), federation.data(PROVIDER)]
    sealed = {folder.name: [p.name for p in sealed_files(folder)] for folder in folders}
    assert sealed == {
        "central": ["admin.key.json"],
        APART.key: ["admin.key.json", "internal.key.json"],
        PROVIDER.key: ["admin.key.json", "internal.key.json"],
    }
    keys = [key for folder in folders for key in keys_of(folder, pin)]
    assert {type(key).__name__ for key in keys} == {"ECPrivateKey", "RSAPrivateKey"}
    secrets = [pin.encode(), *(form for key in keys for form in forms(key))]
    found = found_below(federation.folder, secrets)
    apart = {path: what for path, what in found.items() if not path.startswith("trust/")}
    assert apart == {"pin": ["a known secret"]}
    # The scan can find keys: those of the test authority are in clear.
    assert "PEM" in found["trust/root.key"]


def test_a_backup_holds_no_key_in_clear_whoever_opens_it(federation: Federation, tmp_path: Path) -> None:
    identity, pin_file = pyrage.x25519.Identity.generate(), str(federation.folder / "pin")
    sides = (
        (gateway_command, federation.data(APART)),
        (gateway_command, federation.data(PROVIDER)),
        (central_command, federation.folder / "central"),
    )
    for command, folder in sides:
        out = tmp_path / f"{folder.name}.age"
        told = ["--data", str(folder), "--pin-file", pin_file, "--recipient", str(identity.to_public())]
        run_command(command, "backup", "create", *told, str(out))
        keys = keys_of(folder, pin_of(federation))
        assert any(isinstance(key, ed25519.Ed25519PrivateKey) for key in keys)
        secrets = [pin_of(federation).encode(), *(form for key in keys for form in forms(key))]
        opened = pyrage.decrypt(out.read_bytes(), [identity])
        assert b"token/token.json" in opened
        assert b"tls/admin.key.json" in opened
        assert b"backup.key.json" in opened
        assert (found_in(out.read_bytes(), secrets), found_in(opened, secrets)) == ([], [])
        assert found_below(folder, secrets) == {}


def shown(address: str) -> bytes:
    """The certificate of an admin listener, which begins after the rest of its process."""
    deadline = time.monotonic() + 90
    while True:
        try:
            return ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate((address, 4000)))
        except OSError:
            assert time.monotonic() < deadline, "nobody listens for administrators"
            time.sleep(0.1)


def until(holds: Callable[[], bool]) -> None:
    """Wait for something another process does."""
    deadline = time.monotonic() + 90
    while not holds():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.1)


def settled(address: str, folder: Path) -> bytes:
    """The certificate of an admin listener once it is the kept one: it is one from memory until the token is open that seals the key."""
    kept = folder / "tls" / "admin.pem"
    until(lambda: kept.exists() and shown(address) == ssl.PEM_cert_to_DER_cert(kept.read_text()))
    return shown(address)


def all_settled(federation: Federation) -> list[bytes]:
    """What each of the three shows, in order."""
    central = settled(federation.central_address, federation.folder / "central")
    return [central, *(settled(spec.address, federation.data(spec)) for spec in (APART, PROVIDER))]


def test_administrators_see_the_same_certificate_after_an_unattended_restart(federation: Federation) -> None:
    before = all_settled(federation)
    federation.kill("central")
    for spec in (APART, PROVIDER):
        federation.kill(spec.key)
    federation.start_central()
    for spec in (APART, PROVIDER):
        federation.start_gateway(spec)
    assert all_settled(federation) == before


def test_a_start_that_waits_for_its_pin_shows_the_kept_certificate_once_somebody_came(
    federation: Federation,
) -> None:
    data = federation.data(PROVIDER)
    kept = settled(PROVIDER.address, data)
    federation.kill(PROVIDER.key)
    settings = str(data / "settings.toml")
    federation.start(PROVIDER.key, "gateway", "serve", "--data", str(data), "--settings", settings)
    assert shown(PROVIDER.address) != kept
    # The command trusts the certificate of now, whatever it is.
    run_command(
        gateway_command,
        "token",
        "login",
        "--data",
        str(data),
        "--password-file",
        str(federation.folder / "pin"),
        "0",
    )
    until(lambda: shown(PROVIDER.address) == kept)
    federation.wait_for(f"http://{PROVIDER.address}:5588/")


def test_a_clear_key_that_an_earlier_version_left_is_sealed_at_the_next_start(federation: Federation) -> None:
    folder = federation.data(APART) / "tls"
    federation.kill(APART.key)
    key, (certificate,) = self_signed("theirs")
    (folder / "admin.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / "admin.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    federation.start_gateway(APART)
    assert shown(APART.address) == der_of(certificate)
    until(lambda: found_below(federation.data(APART), forms(key)) == {})
