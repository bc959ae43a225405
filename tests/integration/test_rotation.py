"""Certificates change hands while messages flow: no request fails, though old ones expire and are switched off."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from benchmarks.federation import Federation, GatewaySpec, free_base, run_command
from central_server.cli.main import main as central_command
from gateway.cli.main import main as gateway_command
from tests.integration.calling import Answer, call, until
from tests.integration.pair import consumer, provider, running, start
from tests.programs import lack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemas.identifiers import ClientId, ServerId

pytestmark = pytest.mark.processes
BASE = free_base()
QUICK = "[keys]\nauthentication_settle_s = 15\n[trust]\nocsp_fetch_s = 2\nocsp_retry_s = 1"
CONSUMER = consumer(BASE, QUICK)
PROVIDER = provider(BASE, QUICK)
LIFE_S = 40
SECOND = timedelta(seconds=1)


@pytest.fixture
def federation(tmp_path: Path) -> Iterator[Federation]:
    with running(Federation(tmp_path / "f", [CONSUMER, PROVIDER], base=BASE)) as made:
        yield made


def faketime() -> str:
    """libfaketime's library. Without it a test is skipped, in CI failed."""
    found = next(iter(sorted(Path("/usr/lib").glob("**/faketime/libfaketime.so.1"))), None)
    if found is None:
        lack("libfaketime", "libfaketime")
    return str(found)


def test_a_certificate_that_ends_at_noon_is_used_until_noon_and_not_after(tmp_path: Path) -> None:
    """Every process lives on a clock that jumps to a few seconds before noon; the only signing certificate ends at 12:00:00."""
    noon = (datetime.now(UTC) + timedelta(days=1)).replace(hour=12, minute=0, second=0, microsecond=0)
    federation = Federation(tmp_path / "noon", [CONSUMER, PROVIDER], base=BASE)
    federation.set_up()
    assert federation.pki is not None
    pem = federation.folder / f"{CONSUMER.key}-sign.pem"
    old = x509.load_pem_x509_certificate(pem.read_bytes())
    yesterday = noon - timedelta(days=1)
    ending = federation.pki.issue_sign(
        old.public_key(),  # type: ignore[arg-type]
        federation.member(CONSUMER),
        days=1,
        now=yesterday + timedelta(minutes=5),
    )
    assert ending.not_valid_after_utc == noon
    (federation.folder / "noon.pem").write_bytes(ending.public_bytes(Encoding.PEM))
    command(federation, CONSUMER, "certificate", "import", str(federation.folder / "noon.pem"))
    command(federation, CONSUMER, "certificate", "disable", hashes(federation, CONSUMER, "sign")[0])
    clock = tmp_path / "clock"

    def noon_comes_in(seconds: float) -> datetime:
        """Set the processes' clock; when it is noon on it, by the true one."""
        end = datetime.now(UTC) + timedelta(seconds=seconds)
        clock.write_text(f"+{(noon - end).total_seconds():.0f}s")
        return end

    noon_comes_in(180)
    federation.environment = {
        "LD_PRELOAD": faketime(),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_CACHE_DURATION": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
    try:
        start(federation)
        with Load() as load:
            until(lambda: len(load.answers), lambda found: found > 20)
            end = noon_comes_in(12)  # all clocks jump, once everything is up
            time.sleep(max(0.0, (end - datetime.now(UTC)).total_seconds()))
            until(lambda: load.answers[-1][0], lambda asked: asked > end + 3 * SECOND)
    finally:
        federation.stop()
    before = [a for _, answered, a in load.answers if answered < end - 2 * SECOND]
    after = [a for asked, _, a in load.answers if asked > end + 2 * SECOND]
    assert len(before) > 20 and len(after) > 2
    assert [a.message for a in before if a.status != 200] == []
    assert {a.status for a in after} == {500}
    assert "is valid from" in after[-1].message
    assert "12:00" in after[-1].message


def command(federation: Federation, spec: GatewaySpec, *arguments: str) -> str:
    data = ["--data", str(federation.data(spec))]
    pin = ["--pin-file", str(federation.folder / "pin")]
    group, name, *rest = arguments
    return run_command(
        gateway_command, group, name, *data, *(pin if name in ("generate", "import") else []), *rest
    )


def request(federation: Federation, spec: GatewaySpec, usage: str, name: str) -> Path:
    """A new key of a running gateway; the file with the request for its certificate."""
    key_id = command(federation, spec, "key", "generate", "--usage", usage, "--kind", "ec-p256").strip()
    made = federation.folder / f"{name}.csr"
    run_command(
        gateway_command,
        "key",
        "make-csr",
        "--data",
        str(federation.data(spec)),
        "--pin-file",
        str(federation.folder / "pin"),
        "--key",
        key_id,
        "--member",
        federation.member(spec).path(),
        "--name",
        spec.name,
        "--address",
        spec.address,
        "--out",
        str(made),
    )
    return made


def renew(
    federation: Federation, spec: GatewaySpec, usage: str, asked: Path, days: float = 90
) -> x509.Certificate:
    """The certificate of a request, imported into the running gateway. One that signs has its OCSP response then."""
    assert federation.pki is not None
    member: ClientId = federation.member(spec)
    server: ServerId = federation.server(spec)
    desired = x509.load_pem_x509_csr(asked.read_bytes())
    issued = (
        federation.pki.issue_sign(desired, member, spec.name, days=days)  # type: ignore[arg-type]
        if usage == "sign"
        else federation.pki.issue_auth(desired, server, spec.address)
    )
    path = asked.with_suffix(".pem")
    path.write_bytes(issued.public_bytes(Encoding.PEM))
    command(federation, spec, "certificate", "import", str(path))
    if usage == "sign":
        until(lambda: proved(federation, spec), lambda found: issued.fingerprint(SHA256()).hex() in found)
    return issued


def proved(federation: Federation, spec: GatewaySpec) -> set[str]:
    """The digests of the certificates of which a running gateway has a good OCSP response."""
    return {
        certificate["certificate_details"]["hash"].lower()
        for token in json.loads(command(federation, spec, "api", "GET", "/tokens", "--json"))
        for key in token["keys"]
        for certificate in key["certificates"]
        if certificate["ocsp_status"] == "OCSP_RESPONSE_GOOD"
    }


def hashes(federation: Federation, spec: GatewaySpec, usage: str) -> list[str]:
    lines = command(federation, spec, "certificate", "list").splitlines()
    return [line.split()[0] for line in lines if line.split()[1] == usage]


class Load:
    """Two consumers that never pause: when they asked, when they were answered, and what."""

    def __init__(self) -> None:
        self.answers: list[tuple[datetime, datetime, Answer]] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(2)]

    def _run(self) -> None:
        while not self._stop.is_set():
            asked = datetime.now(UTC)
            answer = call(CONSUMER.address, body=b"{}")
            self.answers.append((asked, datetime.now(UTC), answer))

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def test_rotation_under_load_fails_no_request_and_what_is_not_renewed_stops(federation: Federation) -> None:
    # A signing certificate of seconds, to expire under load; everything else is renewed with two overlapping ones.
    old_sign = hashes(federation, CONSUMER, "sign")[0]
    with Load() as load:
        renew(federation, CONSUMER, "auth", request(federation, CONSUMER, "auth", "auth2"))
        registry = federation.folder / "federation.toml"
        listed = f'"{CONSUMER.key}-auth.pem"'
        registry.write_text(registry.read_text().replace(f"[{listed}]", f'[{listed}, "auth2.pem"]'))
        run_command(central_command, "apply", "--data", str(federation.folder / "central"), str(registry))
        renew(federation, PROVIDER, "sign", request(federation, PROVIDER, "sign", "sign2"))
        brief, lasting = (request(federation, CONSUMER, "sign", name) for name in ("short", "long"))
        short = renew(federation, CONSUMER, "sign", brief, (300 + LIFE_S) / 86_400)
        expires = short.not_valid_after_utc
        command(federation, CONSUMER, "certificate", "disable", old_sign)  # only the short one signs now
        time.sleep(2)
        renew(federation, CONSUMER, "sign", lasting)
        assert datetime.now(UTC) < expires, "the machine was too slow for what is tried"
        time.sleep(max(0.0, (expires - datetime.now(UTC)).total_seconds()) + 3)
        command(federation, CONSUMER, "certificate", "disable", hashes(federation, CONSUMER, "auth")[0])
        time.sleep(3)
    failed = [(asked, a.code, a.message) for asked, _, a in load.answers if a.status != 200]
    assert failed == []
    assert any(asked > expires for asked, _, _ in load.answers)
    assert len(load.answers) > 100

    # The last one switched off: refused at once, by name, and the diagnosis says so.
    command(federation, CONSUMER, "certificate", "disable", hashes(federation, CONSUMER, "sign")[-1])
    deadline = time.monotonic() + 90
    while (answer := call(CONSUMER.address, body=b"{}")).status == 200 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert answer.status == 500
    with pytest.raises(SystemExit) as caught:
        run_command(
            gateway_command, "diagnose", "--url", f"http://{CONSUMER.address}:5588/", "--language", "en"
        )
    assert caught.value.code == 1
