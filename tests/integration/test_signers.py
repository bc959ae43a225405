"""Tokens in processes of their own: PKCS#11 and software keys, killed and started anew, with PINs that are wrong."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import time
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from central_server.publication.nodekeys import certify_signing_key
from central_server.publication.publish import source_key
from central_server.store.sources import SigningKey
from certs.algorithms import SignatureAlgorithm, verify_digest_signature
from certs.certificates import der_of
from certs.dev.authority import DevPki
from certs.edges.signerclient import RemoteDevice
from certs.edges.tokenfiles import TokenFolder
from certs.signing import MessageSigner
from certs.tls import (
    SwappableServerContext,
    TlsCredentials,
    peer_certificates,
    peer_client_context,
    peer_server_context,
)
from certs.tokens.port import KeyId, SigningIdentity, TokenStatus, TokenType
from certs.tokens.remote import sign_request
from certs.tokens.soft import SoftToken
from gateway.cli.main import main
from gateway.clients.store import ServerConfStore
from gateway.health.stoppedtokens import look_at
from gateway.keys.store import KeyConfStore
from gateway.keys.tokens import Tokens
from gateway.settings.config import KeySettings, load
from schemas.faults import Kind, TokenFailed
from schemas.identifiers import ClientId
from schemas.xades import parse_signature_document
from serving.config.secret import SecretSource
from serving.config.tokensettings import TokenSettings
from serving.errors import OperatorError
from serving.process.devices import build_devices, build_signers, signer_loops
from serving.process.loops import Loops
from tests.integration.hosting import prepare
from tests.softhsm import SoftHsm, module

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from certs.edges.signerprocess import SignerProcess

pytestmark = pytest.mark.processes
PIN = "4321"


@pytest.fixture
def hsm(tmp_path: Path) -> SoftHsm:
    return SoftHsm(tmp_path / "h").make()


@contextlib.asynccontextmanager
async def running(
    folder: Path, token: TokenSettings, *, patience_s: float = 90.0
) -> AsyncIterator[tuple[RemoteDevice, list[SignerProcess]]]:
    """A token's processes with the device over them."""
    settings = folder / "settings.toml"
    parts = [f'[[keys.tokens]]\nid = "{token.id}"\nprocesses = {token.processes}']
    parts += (
        [f'module = "{token.module}"\nlabel = "{token.label}"'] if token.module else ["own_process = true"]
    )
    if token.module:
        parts.append(f'sign_mechanism = "{token.sign_mechanism}"')
    for name in ("read_only", "pin_per_signature"):
        parts.append(f"{name} = {str(getattr(token, name)).lower()}")
    parts.append(f"mechanisms = {list(token.mechanisms)}")
    for name in ("private_attributes", "public_attributes"):
        pairs = (f"{k} = {str(v).lower()}" for k, v in getattr(token, name).items())
        parts.append(f"{name} = {{ {', '.join(pairs)} }}")
    parts += [f"environment = {{ {', '.join(f'{k} = {v!r}' for k, v in token.environment.items())} }}"]
    if token.pin.file:
        parts.append(f'pin = {{ file = "{token.pin.file}" }}')
    settings.write_text("\n".join(parts))
    keys = KeySettings(tokens=(token,), signer_patience_s=patience_s)
    device = next(d for d in build_devices(keys, folder) if d.token_id == token.id)
    assert isinstance(device, RemoteDevice)
    signers = build_signers("gateway", keys, folder, ["--settings", str(settings)])
    loops = Loops()
    loops.start(signer_loops(signers))
    try:
        await until(lambda: _available(device))
        yield device, signers
    finally:
        await device.close()
        await loops.stop()


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait for something another process does."""
    async with asyncio.timeout(120):
        while not await holds():  # another process says nothing when it is ready
            await asyncio.sleep(0.02)


async def _available(device: RemoteDevice) -> bool:
    return (await device.state()).available


async def _logged_in(device: RemoteDevice) -> bool:
    return (await device.state()).logged_in


async def _restarted(signer: SignerProcess, before: int, device: RemoteDevice) -> bool:
    return signer.restarts > before and await _available(device)


def pin_file(folder: Path, pin: str = PIN) -> SecretSource:
    path = folder / "pin"
    path.write_text(pin)
    path.chmod(0o600)
    return SecretSource(file=str(path))


def hardware(hsm: SoftHsm, pin: SecretSource | None = None, processes: int = 1) -> TokenSettings:
    return TokenSettings(
        id="hsm",
        module=module(),
        label=hsm.label,
        pin=pin or SecretSource(),
        processes=processes,
        environment=hsm.environment,
    )


def software(folder: Path, pin: SecretSource | None = None) -> TokenSettings:
    SoftToken.create(TokenFolder(folder / "token"), PIN).close()
    return TokenSettings(id="0", own_process=True, pin=pin or SecretSource())


async def signs(device: RemoteDevice, key_id: KeyId, public: bytes) -> None:
    key = load_der_public_key(public)
    algorithm = SignatureAlgorithm.for_key(key)
    digest = algorithm.digest.digest(os.urandom(8))
    signature = await device.sign(key_id, digest, algorithm)
    verify_digest_signature(key, signature, digest, algorithm, ecdsa_format="der")


@pytest.mark.xroad("F025", "F029")
async def test_keys_of_every_kind_are_made_and_sign_on_a_pkcs11_token(hsm: SoftHsm, tmp_path: Path) -> None:
    async with running(tmp_path, hardware(hsm, pin_file(tmp_path))) as (device, _):
        state = await device.state()
        assert (state.logged_in, state.label, dict(state.infos)["Model"]) == (True, "firma", "SoftHSM v2")
        made = [await device.generate_key(kind, kind, "sign") for kind in ("rsa-2048", "ec-p256", "ec-p384")]
        for key in made:
            await signs(device, key.id, key.public_key)
        assert {(k.id, k.kind, k.label) for k in await device.device_keys()} == {
            (k.id, k.kind, k.kind) for k in made
        }
        await device.remove_key(made[0].id)
        with pytest.raises(TokenFailed) as caught:
            await signs(device, made[0].id, made[0].public_key)
        assert caught.value.kind is Kind.KEY_NOT_FOUND


async def test_signatures_go_on_while_the_process_is_killed_again_and_again(
    hsm: SoftHsm, tmp_path: Path
) -> None:
    async with running(tmp_path, hardware(hsm, pin_file(tmp_path))) as (device, (signer,)):
        key = await device.generate_key("ec-p256", "k", "sign")
        done = 0

        async def load() -> None:
            nonlocal done
            while signer.restarts < 3:
                await signs(device, key.id, key.public_key)
                done += 1

        async def kill() -> None:
            for _ in range(3):
                before = signer.restarts
                assert signer.pid is not None
                os.kill(signer.pid, signal.SIGKILL)
                await until(partial(_restarted, signer, before, device))

        async with asyncio.timeout(240), asyncio.TaskGroup() as group:
            workers = [group.create_task(load()) for _ in range(4)]
            group.create_task(kill())
        assert all(w.exception() is None for w in workers)
        assert done > 3


async def test_two_processes_share_a_token_and_one_death_is_not_noticed(hsm: SoftHsm, tmp_path: Path) -> None:
    async with running(tmp_path, hardware(hsm, pin_file(tmp_path), 2)) as (device, signers):
        await until(lambda: _logged_in(device))
        key = await device.generate_key("ec-p256", "k", "sign")
        assert signers[1].pid is not None
        os.kill(signers[1].pid, signal.SIGKILL)
        started = time.monotonic()
        for _ in range(4):
            await signs(device, key.id, key.public_key)
        assert time.monotonic() - started < 20


async def test_wrong_pins_show_on_the_token(hsm: SoftHsm, tmp_path: Path) -> None:
    async with running(tmp_path, hardware(hsm)) as (device, _):
        assert (await device.state()).logged_in is False
        with pytest.raises(TokenFailed) as caught:
            await device.login("0000")
        assert caught.value.kind is Kind.PIN_INCORRECT
        # SoftHSM raises its flag and never locks; other tokens raise more flags (see the unit tests).
        assert (await device.state()).status is TokenStatus.USER_PIN_COUNT_LOW
        await device.login(PIN)
        assert (await device.state()).logged_in


async def test_a_software_token_in_its_own_process_counts_pins_and_locks(tmp_path: Path) -> None:
    async with running(tmp_path, software(tmp_path)) as (device, _):
        for _ in range(10):
            with pytest.raises(TokenFailed):
                await device.login("wrong")
        assert (await device.state()).status is TokenStatus.USER_PIN_LOCKED
        with pytest.raises(TokenFailed, match="locked"):
            await device.login(PIN)


async def test_a_signature_fails_clearly_when_the_process_does_not_come_back(tmp_path: Path) -> None:
    device = RemoteDevice("0", TokenType.SOFTWARE, [tmp_path / "none.sock"], patience_s=0.2)
    with pytest.raises(TokenFailed, match="process that holds token 0 does not answer") as caught:
        await device.sign(KeyId("k"), b"d" * 64, SignatureAlgorithm.ECDSA_SHA512)
    assert caught.value.kind is Kind.CANNOT_SIGN
    state = await device.state()
    assert (state.available, state.failure is not None) == (False, True)


@pytest.mark.parametrize("kind", ["ec-p256", "rsa-2048"])
@pytest.mark.xroad("F025")
async def test_tls_handshakes_are_signed_in_the_token_s_process(
    hsm: SoftHsm, tmp_path: Path, kind: str
) -> None:
    pki = DevPki.create(tmp_path / "pki")
    server_id = ClientId("MX", "GOB", "1").server("SS1")
    async with running(tmp_path, hardware(hsm, pin_file(tmp_path))) as (device, _):
        key = await device.generate_key(kind, "auth", "auth")
        public = load_der_public_key(key.public_key)
        certificate = pki.issue_auth(public, server_id, "127.0.0.1")  # type: ignore[arg-type]
        credentials = TlsCredentials(device.tls_private_key(key.id, key.public_key), (certificate,))
        context = SwappableServerContext(peer_server_context(credentials, (pki.root, pki.intermediate)))
        seen: list[tuple[str | None, tuple[bytes, ...]]] = []

        async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connection = writer.get_extra_info("ssl_object")
            seen.append((connection.version(), peer_certificates(connection)))
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context.listening)
        port = server.sockets[0].getsockname()[1]
        for newest in (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2):
            client = peer_client_context(credentials)
            client.maximum_version = min(newest, client.maximum_version) if kind != "ec-p256" else newest
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client)
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()
        server.close()
        await server.wait_closed()
    versions = ["TLSv1.3", "TLSv1.2"] if kind == "ec-p256" else ["TLSv1.2", "TLSv1.2"]
    assert [v for v, _ in seen] == versions
    assert {chain[0] for _, chain in seen} == {der_of(certificate)}


# A program that has nothing of this software signs with every key, and shows no PIN beyond its login.
_LOOK = """
import sys, pkcs11
token = pkcs11.lib(sys.argv[1]).get_token(token_label="firma")
for label in ("plain", "asking"):
    with token.open(user_pin="4321") as session:
        key = session.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, label=label)
        try:
            key.sign(bytes(32), mechanism=pkcs11.Mechanism.RSA_PKCS)
        except pkcs11.PKCS11Error:
            print(key.label, "refused")
        else:
            print(key.label, "signed")
"""


def asked_by_another_program(hsm: SoftHsm) -> list[str]:
    looked = subprocess.run(
        [sys.executable, "-c", _LOOK, module()],
        env={**os.environ, **hsm.environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return looked.stdout.splitlines()


@pytest.mark.xroad("F025")
async def test_a_key_that_asks_for_the_pin_at_each_signature_is_shown_it_and_keeps_to_its_mechanisms(
    hsm: SoftHsm, tmp_path: Path
) -> None:
    plain = hardware(hsm, pin_file(tmp_path))
    async with running(tmp_path, plain) as (device, _):
        await device.generate_key("rsa-2048", "plain", "sign")
    asking = msgspec.structs.replace(
        plain,
        pin_per_signature=True,
        mechanisms=("RSA_PKCS",),
        private_attributes={"ALWAYS_AUTHENTICATE": True, "DECRYPT": False},
        public_attributes={"ENCRYPT": False},
    )
    async with running(tmp_path, asking) as (device, _):
        await until(lambda: _logged_in(device))
        key = await device.generate_key("rsa-2048", "asking", "sign")
        for _ in range(2):
            await signs(device, key.id, key.public_key)
        with pytest.raises(TokenFailed, match=r"MechanismInvalid|KeyFunctionNotPermitted"):
            await device.sign(key.id, bytes(64), SignatureAlgorithm.RSA_PSS_SHA512)
        await device.change_pin(PIN, "8765")
        await signs(device, key.id, key.public_key)
        await device.change_pin("8765", PIN)
    assert sorted(asked_by_another_program(hsm)) == ["asking refused", "plain signed"]


@pytest.mark.xroad("F025")
async def test_rsa_keys_of_a_token_that_signs_by_pss_alone_sign_requests_messages_and_configurations(
    hsm: SoftHsm, tmp_path: Path
) -> None:
    pki = DevPki.create(tmp_path / "pki")
    member = ClientId("MX", "GOB", "1")
    by_pss = msgspec.structs.replace(
        hardware(hsm, pin_file(tmp_path)), sign_mechanism="RSA_PKCS_PSS", mechanisms=("RSA_PKCS_PSS",)
    )
    store = ServerConfStore(tmp_path / "serverconf.sqlite")
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(store.close)
        device, _ = await stack.enter_async_context(running(tmp_path, by_pss))
        await until(lambda: _logged_in(device))
        tokens = Tokens(KeyConfStore(store.database), [device])
        key_id = await tokens.generate_key("hsm", "rsa-2048", "firma", None)
        (key,) = await device.device_keys()
        public = load_der_public_key(key.public_key)
        assert isinstance(public, rsa.RSAPublicKey)
        with pytest.raises(TokenFailed):  # the device's rule, not ours
            await device.sign(key_id, bytes(64), SignatureAlgorithm.RSA_SHA512)
        with pytest.raises(TokenFailed, match="ec-p256"):
            tokens.tls_private_key(key_id, key.public_key)

        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        pss = tokens.signs_pss(key_id)
        der = await sign_request(builder, key_id, public, tokens, pss=pss)
        request = x509.load_der_x509_csr(der)
        assert request.is_signature_valid
        assert isinstance(request.signature_algorithm_parameters, padding.PSS)

        certificate = pki.issue_sign(request, member)
        algorithm = SignatureAlgorithm.for_key(public, pss=pss)
        identity = SigningIdentity(member, key_id, certificate, (), algorithm)
        message = (("/message.xml", bytes(64)),)
        made = await MessageSigner(tokens).sign(identity, [b"ocsp"], message, datetime.now(UTC))
        document = parse_signature_document(made.signature)
        assert document.algorithm_uri == "http://www.w3.org/2007/05/xmldsig-more#sha512-rsa-MGF1"
        verify_digest_signature(
            certificate.public_key(),
            document.signature_value,
            algorithm.digest.digest(document.signed_info),
            algorithm,
            ecdsa_format="raw",
        )

        source = SigningKey(key_id, "internal", await certify_signing_key(device, key, "x"), active=True)
        assert source_key(source, public, pss=device.signs_pss).algorithm is SignatureAlgorithm.RSA_PSS_SHA512


@pytest.mark.xroad("F032")
async def test_a_command_tries_a_key_of_a_pkcs11_token_many_times_at_once(
    hsm: SoftHsm, tmp_path: Path
) -> None:
    prepare(tmp_path)
    async with running(tmp_path, hardware(hsm, pin_file(tmp_path))) as (device, _):
        await until(lambda: _logged_in(device))
        key = await device.generate_key("ec-p256", "k", "sign")
        said = await asyncio.to_thread(
            CliRunner().invoke,
            main,
            ["key", "try", key.id, "--count", "40", "--at-once", "8", "--json", "--data", str(tmp_path)],
        )
    assert said.exit_code == 0, said.output
    (found,) = json.loads(said.output)
    assert (found["signatures"], found["algorithm"]) == (40, "SHA512withECDSA")


@pytest.mark.xroad("F025")
async def test_a_token_that_is_only_read_signs_and_is_never_written_to(hsm: SoftHsm, tmp_path: Path) -> None:
    token = hardware(hsm, pin_file(tmp_path))
    async with running(tmp_path, token) as (device, _):
        key = await device.generate_key("ec-p256", "kept", "sign")
    async with running(tmp_path, msgspec.structs.replace(token, read_only=True)) as (device, _):
        await until(lambda: _logged_in(device))
        assert (await device.state()).read_only
        await signs(device, key.id, key.public_key)
        for writing in (
            device.generate_key("ec-p256", "other", "sign"),
            device.remove_key(key.id),
            device.change_pin(PIN, "8765"),
        ):
            with pytest.raises(TokenFailed, match="only read"):
                await writing
        assert [k.id for k in await device.device_keys()] == [key.id]


@pytest.mark.xroad("F025")
def test_a_token_is_found_in_the_slots_that_the_settings_name_alone(hsm: SoftHsm) -> None:
    shown = subprocess.run(
        ["softhsm2-util", "--show-slots"],
        env={**os.environ, **hsm.environment},
        capture_output=True,
        text=True,
        check=True,
    )
    slot, other = (int(number) for number in re.findall(r"^Slot (\d+)$", shown.stdout, re.MULTILINE))
    assert look_at(msgspec.structs.replace(hardware(hsm), slots=(slot, 4))) is None
    found = look_at(msgspec.structs.replace(hardware(hsm), slots=(other,)))
    assert found is not None
    assert f"in the slots ({other},)" in found


@pytest.mark.parametrize(
    ("said", "names"),
    [
        ('mechanisms = ["RSA"]', "mechanisms names RSA; there are ECDSA, RSA_PKCS, RSA_PKCS_PSS"),
        ("private_attributes = { SIGNS = true }", "private_attributes names SIGNS"),
        ("public_attributes = { SENSITIVE = true }", "public_attributes names SENSITIVE"),
    ],
)
def test_settings_of_a_token_that_name_what_there_is_not_are_refused(
    tmp_path: Path, said: str, names: str
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(f'[[keys.tokens]]\nid = "hsm"\nmodule = "/m.so"\n{said}\n')
    with pytest.raises(OperatorError, match=names):
        load(file, {})
