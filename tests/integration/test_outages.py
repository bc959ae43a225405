"""What stands around a gateway fails: it serves as long as its proofs hold, then refuses, then recovers by itself.

All times are short here: OCSP responses count for twelve seconds, missing timestamps for as long, the configuration for
about thirty.
"""

from __future__ import annotations

import json
import re
import threading
import time
import urllib.request
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from benchmarks.federation import Federation, GatewaySpec, free_base, run_command
from central_server.cli.main import main as central_command
from tests.integration.calling import behave, call, log_text, logged, until, works
from tests.integration.pair import consumer, provider, running, short_times

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.processes
BASE = free_base()
SHORT = short_times(acceptable_timestamp_failure_s=12)
CONSUMER = consumer(BASE, SHORT)
PROVIDER = provider(BASE, SHORT)
AT = CONSUMER.address
LIFETIME_S = 28
# Which side first counts twelve seconds without a timestamp is chance.
UNSTAMPED = {f"server.{side}.logging_failed.timestamping_failed" for side in ("clientproxy", "serverproxy")}


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    with running(
        Federation(
            tmp_path_factory.mktemp("outages"),
            [CONSUMER, PROVIDER],
            base=BASE,
            expire_interval_s=LIFETIME_S,
            ocsp_freshness_s=12,
        )
    ) as made:
        works(AT)
        yield made


@pytest.fixture(autouse=True)
def undisturbed(federation: Federation) -> Iterator[None]:
    """What one test disturbs ends with it, also when it fails."""
    yield
    behave(federation, ocsp="ok", tsa="ok")
    if "central" not in federation.processes:
        federation.start_central()
    works(AT)


def serves_then_refuses(begun: float, codes: set[str], at_least_s: float) -> str:
    """Serves for a while after the outage began (by `time.monotonic`), then refuses with one of ``codes``; the fault's text."""
    assert call(AT).status == 200
    refused = until(lambda: call(AT), lambda a: a.status != 200)
    assert time.monotonic() - begun > at_least_s
    assert refused.code in codes
    return refused.message


@pytest.mark.parametrize("how", ["down", "hang"])
@pytest.mark.xroad("F049")
def test_ocsp_responder_fails(federation: Federation, how: str) -> None:
    begun = time.monotonic()
    behave(federation, ocsp=how)
    # Which of the certificates' responses runs out first, and on which side it is seen first, is chance: the peer's TLS
    # one at the handshake, the own one at signing, the signer's at verification of what the other side sent just before.
    codes = {
        "server.clientproxy.ssl_authentication_failed",
        "server.serverproxy.service_failed.ssl_authentication_failed",
        "server.clientproxy.incorrect_validation_info",
        "server.clientproxy.cannot_create_signature.incorrect_validation_info",
        "server.clientproxy.signature_verification.invalid_cert_path.incorrect_validation_info",
        "server.serverproxy.signature_verification.invalid_cert_path.incorrect_validation_info",
        "server.serverproxy.cannot_create_signature.incorrect_validation_info",
    }
    text = serves_then_refuses(begun, codes, 3)
    assert "OCSP response" in text
    assert "older than the 12 s allowed" in text
    # Once the consumer's side itself lacks a proof, it refuses before anything is logged.
    early = {
        "server.clientproxy.ssl_authentication_failed",
        "server.clientproxy.cannot_create_signature.incorrect_validation_info",
    }
    until(lambda: call(AT), lambda a: a.code in early)
    sent = call(AT, headers={"X-Road-Id": f"no-ocsp-{how}"})
    assert sent.status == 500
    assert logged(federation, CONSUMER, f"no-ocsp-{how}") == []
    behave(federation, ocsp="ok")
    works(AT)


@pytest.mark.xroad("F101")
def test_timestamping_authority_fails(federation: Federation) -> None:
    begun = time.monotonic()
    behave(federation, tsa="down")
    text = serves_then_refuses(begun, UNSTAMPED, 2.5)
    assert "no timestamp could be had since" in text
    until(lambda: call(AT), lambda a: a.code.startswith("server.clientproxy."))
    sent = call(AT, headers={"X-Road-Id": "no-tsa"})
    assert sent.status == 500
    assert logged(federation, CONSUMER, "no-tsa") == logged(federation, PROVIDER, "no-tsa") == []
    behave(federation, tsa="ok")
    works(AT)


def test_timestamping_authority_lies(federation: Federation) -> None:
    begun = time.monotonic()
    behave(federation, tsa="wrong-imprint")
    serves_then_refuses(begun, UNSTAMPED, 2.5)
    behave(federation, tsa="ok")
    works(AT)


def publish(federation: Federation, lifetime_s: int) -> None:
    """Let the central server publish configurations of a longer lifetime, and wait until both gateways have a fresh one.

    One that ends before what a gateway has would be an old one to it.
    """
    registry = federation.folder / "federation.toml"
    told = re.sub(r"(?m)^expire_interval_s = .*$", f"expire_interval_s = {lifetime_s}", registry.read_text())
    registry.write_text(told)
    run_command(central_command, "apply", "--data", str(federation.folder / "central"), str(registry))
    for spec in (CONSUMER, PROVIDER):
        until(
            lambda spec=spec: (expiry(federation, spec) - datetime.now(UTC)).total_seconds(),  # type: ignore[misc]
            lambda left: lifetime_s - 5 < left <= lifetime_s,
            within_s=180,
        )


def expiry(federation: Federation, spec: GatewaySpec) -> datetime:
    """When the configuration ends that a gateway has on its disk."""
    part = federation.data(spec) / "globalconf" / "MX" / "shared-params.xml.metadata"
    return datetime.fromisoformat(json.loads(part.read_bytes())["expirationDate"])


@pytest.mark.xroad("F157")
def test_central_server_fails(federation: Federation) -> None:
    works(AT)
    publish(federation, LIFETIME_S + 6)
    begun = time.monotonic()
    federation.kill("central")
    federation.kill(PROVIDER.key)  # a restart during the outage goes on with what is on the disk
    federation.start_gateway(PROVIDER)
    assert call(AT).status == 200
    text = serves_then_refuses(
        begun,
        {
            f"server.{side}.{step}global_conf_outdated"
            for side in ("clientproxy", "serverproxy")
            for step in ("", "signature_verification.")  # it may expire while an exchange is under way
        },
        1,
    )
    assert "expired at" in text
    # A restart with nothing but an expired configuration on the disk refuses too, and says so. (The provider's may
    # have expired first: the consumer's is waited for.)
    expired = "server.clientproxy.global_conf_outdated"
    until(lambda: call(AT), lambda refused: refused.code == expired)
    federation.kill(CONSUMER.key)
    federation.start_gateway(CONSUMER, wait=False)
    refused = until(lambda: call(AT), lambda _: True)
    assert refused.code == expired
    assert call(AT, headers={"X-Road-Id": "expired"}).status == 500
    assert logged(federation, CONSUMER, "expired") == []
    federation.start_central()
    works(AT)


class Stale(BaseHTTPRequestHandler):
    """Serves what a central server once served, whatever the time."""

    kept: dict[str, bytes] = {}  # one server a test

    def do_GET(self) -> None:
        found = self.kept.get(self.path)
        self.send_response(404 if found is None else 200)
        self.send_header("Content-Length", str(len(found or b"")))
        self.end_headers()
        self.wfile.write(found or b"")

    def log_message(self, *_: object) -> None:
        pass


def test_a_configuration_that_was_rolled_back_is_refused(federation: Federation) -> None:
    publish(federation, 60)
    central = f"http://{federation.central_address}:8080"
    path = "/internalconf?version=6"
    old = urllib.request.urlopen(f"{central}{path}", timeout=60).read()
    Stale.kept = {path: old}
    for line in old.split(b"\r\n" if b"\r\n" in old else b"\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-location":
            part = value.strip().decode()
            Stale.kept[part] = urllib.request.urlopen(f"{central}{part}", timeout=60).read()
    assert len(Stale.kept) >= 3
    publish(federation, 90)
    federation.kill("central")
    server = ThreadingHTTPServer((federation.central_address, 8080), Stale)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        for spec in (CONSUMER, PROVIDER):
            until(
                lambda spec=spec: log_text(federation, spec),  # type: ignore[misc]
                lambda text: "an old configuration is not taken back" in text,
            )
        assert call(AT).status == 200  # with the newer one, which still holds
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    federation.start_central()
    works(AT)
