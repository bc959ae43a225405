"""Peers that are not what they should be: unregistered, of a foreign CA, revoked, or gone bad. Nobody is fooled."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from typing import TYPE_CHECKING

import pytest

from benchmarks.federation import Federation, GatewaySpec, free_base, serial_of
from certs.tls import TlsCredentials, peer_client_context, peer_server_context
from serving.storage.selfsigned import self_signed
from tests.integration.calling import AFIL, Answer, call, logged, post, until, works
from tests.integration.middle import Listener, Middle
from tests.integration.pair import client, service, start_echo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = pytest.mark.processes
BASE = free_base()
SHORT = "[limits]\npeer_read_s = 6\npeer_connect_s = 15\n"
SERVICE = service("echo", f"http://{BASE}.10:9000", AFIL, "MX/GOB/66-INTRUSO/AFIL")


def spec(member: str, number: int, subsystem: str, desired: str, **more: object) -> GatewaySpec:
    text = client(f"MX/GOB/{member}/{subsystem}") + desired
    return GatewaySpec(member, member, f"{BASE}.{number}", [subsystem], text, settings=SHORT, **more)  # type: ignore[arg-type]


CONSUMER = spec("15-ISSEMYM", 15, "AFIL", "")
PROVIDER = spec("00-RNSS", 110, "INDICE", SERVICE, registered_address=f"{BASE}.10")
# Its certificate is of an approved CA, but the registry does not know it.
INTRUDER = spec("66-INTRUSO", 66, "AFIL", SERVICE, has_registered_certificate=False)
# Registered, but no gateway of ours ever runs there.
GHOST = spec("77-FANTASMA", 77, "AFIL", "")
AT = CONSUMER.address


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    made = Federation(tmp_path_factory.mktemp("strangers"), [CONSUMER, PROVIDER, INTRUDER, GHOST], base=BASE)
    made.set_up()
    try:
        start_echo(made)
        made.start_trust()
        made.start_central()
        for one in (CONSUMER, PROVIDER, INTRUDER):
            made.start_gateway(one)
        made.wait_for(f"http://{BASE}.10:9000/")
        yield made
    finally:
        made.stop()


@pytest.fixture
async def middle(federation: Federation) -> AsyncIterator[Middle]:
    async with Middle(federation, PROVIDER, CONSUMER) as made:
        first = await ask("first")
        assert first.status == 200, first
        yield made


async def ask(
    message_id: str, *, at: str = AT, client: str = "MX/GOB/15-ISSEMYM/AFIL", path: str = ""
) -> Answer:
    return await asyncio.to_thread(
        call,
        at,
        path or "00-RNSS/INDICE/echo/x",
        client=client,
        body=b'{"was":"asked"}',
        headers={"X-Road-Id": message_id},
    )


BAD = {
    "replayed": "server.clientproxy.inconsistent_response",
    "altered": "server.clientproxy.signature_verification.",
    "unsigned": "server.clientproxy.missing_signature",
    "cut": "server.clientproxy.service_failed.io_error",
    "no length": "server.clientproxy.service_failed.mime_parsing_failed",
    "silent": "server.clientproxy.network_error",
    "not multipart": "server.clientproxy.service_failed.invalid_content_type",
    "another status": "server.clientproxy.http_error",
    "huge header": "server.clientproxy.network_error",
}


@pytest.mark.parametrize("mode", BAD)
async def test_a_bad_answer_never_reaches_the_consumer(
    federation: Federation, middle: Middle, mode: str
) -> None:
    middle.mode = mode
    message_id = f"bad-{mode.replace(' ', '-')}"
    answer = await ask(message_id)
    assert answer.status == 500
    assert answer.code.startswith(BAD[mode]), (answer.code, answer.body)
    assert set(json.loads(answer.body)) == {"type", "message", "detail"}
    assert middle.asked == 2
    assert logged(federation, CONSUMER, message_id) == [0]
    middle.mode = "pass"
    assert (await ask(f"{message_id}-after")).status == 200


async def test_a_peer_that_is_not_registered_may_not_ask(federation: Federation) -> None:
    async with Middle(
        federation, PROVIDER, INTRUDER
    ) as middle:  # it only passes on, with the intruder's own key
        answer = await ask("intruder", at=INTRUDER.address, client="MX/GOB/66-INTRUSO/AFIL")
    assert (answer.status, answer.code) == (
        500,
        "server.serverproxy.service_failed.ssl_authentication_failed",
    )
    assert "not registered for any security server" in answer.message
    assert middle.asked == 1
    assert logged(federation, PROVIDER, "intruder") == []


async def test_a_peer_that_is_not_registered_is_not_asked(federation: Federation) -> None:
    answer = await ask("to-intruder", path="66-INTRUSO/AFIL/echo/x")
    assert (answer.status, answer.code) == (500, "server.clientproxy.ssl_authentication_failed")
    assert "not registered for any security server" in answer.message
    assert logged(federation, CONSUMER, "to-intruder") == []
    assert logged(federation, INTRUDER, "to-intruder") == []


async def test_a_peer_with_a_certificate_of_a_foreign_ca_gets_no_byte(federation: Federation) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    foreign = peer_server_context(TlsCredentials(*self_signed(GHOST.address)), ())
    foreign.verify_mode = ssl.CERT_NONE
    del context
    async with Listener(GHOST.address, foreign) as listener:
        answer = await ask("to-ghost", path="77-FANTASMA/AFIL/echo/x")
    # This code means that TLS came to a certificate; the listener may or may not see its handshake end before it is left.
    assert (answer.status, answer.code) == (500, "server.clientproxy.ssl_authentication_failed")
    assert listener.bytes_received == 0
    assert logged(federation, CONSUMER, "to-ghost") == []


@pytest.mark.parametrize("shown", ["a foreign certificate", "no certificate"])
def test_a_stranger_does_not_come_past_the_handshake(federation: Federation, shown: str) -> None:
    if shown == "no certificate":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context = peer_client_context(TlsCredentials(*self_signed("stranger")))
    with (
        pytest.raises((ssl.SSLError, ConnectionError)),
        socket.create_connection((PROVIDER.address, 5500), timeout=60) as raw,
        context.wrap_socket(raw) as connection,
    ):
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        if not connection.recv(1):
            raise ConnectionError("closed")
    del federation


@pytest.mark.parametrize("usage", ["sign", "auth"])
async def test_a_revoked_certificate_is_refused_and_a_good_one_taken_again(
    federation: Federation, middle: Middle, usage: str
) -> None:
    revoked = CONSUMER if usage == "sign" else PROVIDER
    serial = serial_of(federation.folder / f"{revoked.key}-{usage}.pem")
    trust = f"http://{federation.trust_address}:8888"

    def restart() -> None:
        for one in (PROVIDER, CONSUMER):
            federation.kill(one.key)
            federation.start_gateway(one, wait=False)

    def refused() -> Answer:
        return until(lambda: call(AT), lambda a: "revoked" in a.body.decode())

    await asyncio.to_thread(post, f"{trust}/revoke?serial={serial}")
    await asyncio.to_thread(restart)
    answer = await asyncio.to_thread(refused)
    assert answer.status == 500
    before = middle.asked
    assert (await ask(f"revoked-{usage}")).status == 500
    assert middle.asked == before
    assert logged(federation, PROVIDER, f"revoked-{usage}") == []
    await asyncio.to_thread(post, f"{trust}/unrevoke?serial={serial}")
    await asyncio.to_thread(restart)
    await asyncio.to_thread(works, AT)
