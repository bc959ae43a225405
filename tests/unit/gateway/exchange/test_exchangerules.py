"""Messages between gateways and the peer behind them, rule by rule: what a message must have, who may send it, how old it may be."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from certs.certificates import der_of
from gateway.exchange import wire
from gateway.exchange.authentication import ConsumerConnection
from gateway.exchange.peertrust import check_consumer_side
from gateway.exchange.ports import LocalAnswer
from gateway.exchange.protocols import ConsumerRequest, PeerRequest
from gateway.exchange.record import ExchangeRecord
from gateway.exchange.restprotocol import RestConsumer, RestProvider
from gateway.exchange.soapentity import EntityReader
from gateway.exchange.versions import check_client_version
from gateway.http.whole import WholeBody
from gateway.messagelog.spool import LARGEST_IN_MEMORY, MEMORY_LIMIT, SpoolFolder
from schemas import soap
from schemas.faults import BadMessage, Fault, Kind, NotProved, Origin, PeerFault, TokenFailed
from schemas.faultxml import render_soap_fault
from schemas.identifiers import ClientId
from schemas.message import Attachment, digest_of
from schemas.soapenvelope import DEFAULT_LIMITS
from schemas.transport import ProxyMessageWriter, RestPart, SoapPart
from serving.storage.selfsigned import self_signed
from tests import worlds
from tests.doubles import Sent, one_by_one
from tests.exchanges import SERVICE, GatewayPair
from tests.worlds import CONSUMER, CONSUMER_SERVER, NOW, PROVIDER, PROVIDER_SERVER, STRANGER

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.exchange.ports import ServiceCall
    from schemas.identifiers import ServiceId
    from schemas.message import MessageProtocol

WRITER = ProxyMessageWriter("xtopabc")
REST = worlds.world().request().raw
FAULT = render_soap_fault("Server.X", "no")


@pytest.fixture
def pair(tmp_path: Path) -> GatewayPair:
    return GatewayPair(tmp_path)


def reader(
    pair: GatewayPair, raw: bytes, *, is_response: bool = False, most: int = 100
) -> wire.MessageReader:
    return wire.MessageReader(
        WRITER.content_type,
        one_by_one(raw, 7),
        pair.spools.new,
        is_response=is_response,
        max_body_bytes=most,
    )


def spools_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def written(*parts: bytes) -> bytes:
    return b"".join((*parts, WRITER.close()))


def body(size: int) -> bytes:
    return WRITER.body_start() + bytes(size) + WRITER.body_end()


# What a message must have


@pytest.mark.parametrize("value", ["SHA-512", "sha-512", "SHA512"])
def test_the_hash_algorithm_between_gateways_is_named_and_one(value: str) -> None:
    wire.check_hash_algorithm(value)
    for wrong, kind in (
        (None, Kind.MISSING_HEADER),
        ("SHA-256", Kind.INVALID_MESSAGE),
        ("", Kind.INVALID_MESSAGE),
    ):
        with pytest.raises(BadMessage, match="SHA-512") as caught:
            wire.check_hash_algorithm(wrong)
        assert caught.value.kind is kind


async def test_a_message_without_a_signature_is_read_and_proves_nothing(pair: GatewayPair) -> None:
    found = reader(pair, written(WRITER.rest(REST, is_response=False), WRITER.signature(b"<s/>")))
    assert isinstance(await found.read_head(), RestPart)
    assert (await found.read_rest()).proof().signature == b"<s/>"
    unsigned = reader(pair, written(WRITER.rest(REST, is_response=False)))
    await unsigned.read_head()
    received = await unsigned.read_rest()
    with pytest.raises(BadMessage, match="the message has no signature") as caught:
        received.proof()
    assert caught.value.kind is Kind.MISSING_SIGNATURE


@pytest.mark.parametrize("size", [0, 99, 100, 101])
async def test_the_bodies_of_a_message_are_as_large_as_may_be_together(
    pair: GatewayPair, size: int, tmp_path: Path
) -> None:
    found = reader(pair, written(WRITER.rest(REST, is_response=False), body(size), WRITER.signature(b"<s/>")))
    await found.read_head()
    if size <= 100:
        received = await found.read_rest()
        assert [b.spool.size for b in received.attachments] == [size]
    else:
        with pytest.raises(BadMessage, match="bodies exceed the 100 bytes"):
            await found.read_rest()
    found.discard()
    assert spools_in(tmp_path) == []


async def test_a_fault_ends_an_answer_and_is_nothing_in_a_request(pair: GatewayPair) -> None:
    head, fault = WRITER.rest(REST, is_response=False), WRITER.fault(FAULT)
    request = reader(pair, written(head, fault))
    await request.read_head()
    with pytest.raises(BadMessage, match="no signature"):
        (await request.read_rest()).proof()
    answer = reader(pair, written(WRITER.soap(FAULT, "text/xml")), is_response=True)
    with pytest.raises(PeerFault) as caught:
        await answer.read_head()
    assert caught.value.detail == "no"
    assert await reader(pair, written(WRITER.soap(FAULT, "text/xml"))).read_head() is None


async def test_a_message_ends_before_it_began(pair: GatewayPair) -> None:
    assert await reader(pair, written()).read_head() is None


# Who may send it


def prove(pair: GatewayPair, *, client: ClientId = CONSUMER, now: timedelta = timedelta(), **how: Any) -> str:
    world = pair.world
    chain = how.get("certificates", (der_of(world.auth[CONSUMER_SERVER]), der_of(world.pki.intermediate)))
    responses = how.get("ocsp_responses", (world.ocsp(world.auth[CONSUMER_SERVER]),))
    server = check_consumer_side(world.configuration, chain, responses, client, NOW + now)
    return server.id.path()


def test_a_peer_is_the_server_whose_certificate_is_registered_with_the_client(pair: GatewayPair) -> None:
    assert prove(pair) == CONSUMER_SERVER.path()


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"certificates": ()}, "showed no TLS certificate"),
        ({"ocsp_responses": ()}, "no OCSP response came for the TLS certificate"),
        ({"ocsp_responses": (b"x",)}, "is not proved: "),
        ({"certificates": (der_of(self_signed("x")[1][0]),)}, "is not proved: "),
        ({"client": STRANGER}, f"{CONSUMER_SERVER.path()}, where {STRANGER.path()} is not registered"),
        ({"now": timedelta(hours=2)}, "is not proved: "),
        ({"now": timedelta(days=9999)}, "is not proved: "),
    ],
)
def test_a_peer_that_is_not_proved_says_which_check_failed(
    pair: GatewayPair, how: dict[str, Any], words: str
) -> None:
    with pytest.raises(NotProved, match=words) as caught:
        prove(pair, **how)
    assert caught.value.kind is Kind.SSL_AUTHENTICATION_FAILED


def test_a_certificate_of_an_approved_authority_that_nobody_registered_is_no_peer(pair: GatewayPair) -> None:
    world = pair.world
    key = self_signed("sin registrar")[0].public_key()
    unregistered = world.pki.issue_auth(key, CONSUMER.member.server("SS9"), "127.0.0.1", now=NOW)
    with pytest.raises(NotProved, match="is not registered for any security server"):
        prove(pair, certificates=(der_of(unregistered),), ocsp_responses=(world.ocsp(unregistered),))


def test_a_verdict_on_a_peer_is_kept_no_longer_than_its_ocsp_response_is_good(pair: GatewayPair) -> None:
    world = pair.world
    given = ((der_of(world.auth[CONSUMER_SERVER]),), (world.ocsp(world.auth[CONSUMER_SERVER]),), CONSUMER)
    for after in (timedelta(), timedelta(minutes=59)):
        assert check_consumer_side(world.configuration, *given, NOW + after).id == CONSUMER_SERVER
    with pytest.raises(NotProved):
        check_consumer_side(world.configuration, *given, NOW + timedelta(hours=2))


def test_a_verdict_on_a_peer_is_of_one_configuration(pair: GatewayPair) -> None:
    world = pair.world
    given = ((der_of(world.auth[CONSUMER_SERVER]),), (world.ocsp(world.auth[CONSUMER_SERVER]),), CONSUMER)
    assert check_consumer_side(world.configuration, *given, NOW).id == CONSUMER_SERVER
    without = worlds.trusted(replace(world.shared, security_servers=()), NOW)
    with pytest.raises(NotProved, match="is not registered for any security server"):
        check_consumer_side(without, *given, NOW)


@pytest.mark.parametrize(
    ("sent", "passes"), [("7.4.0", True), ("7.10.1", True), ("7.3.9", False), (None, False), ("x", False)]
)
def test_a_peer_is_as_new_as_this_gateway_demands(sent: str | None, passes: bool) -> None:
    check_client_version(sent, "")
    if passes:
        check_client_version(sent, "7.4.0")
        return
    with pytest.raises(BadMessage, match=rf"7\.4\.0; this one says it is {sent or 'unknown'}") as caught:
        check_client_version(sent, "7.4.0")
    assert caught.value.kind is Kind.CLIENT_PROXY_VERSION_NOT_SUPPORTED


# REST on both sides


async def test_the_part_that_comes_is_the_one_that_was_expected(pair: GatewayPair) -> None:
    sent = pair.world.request()
    peer_request = PeerRequest({}, WholeBody(b""), ())
    for wrong in (RestPart(REST, True), SoapPart(b"<a/>", "text/xml", ())):
        with pytest.raises(BadMessage, match="has no REST request part") as caught:
            await RestProvider().parse_request(wrong, peer_request)
        assert caught.value.kind is Kind.MISSING_REST
    for wrong in (RestPart(REST, False), SoapPart(b"<a/>", "text/xml", ())):
        with pytest.raises(BadMessage, match="did not answer with a REST response"):
            await RestConsumer().parse_answer(wrong, sent)


@pytest.mark.parametrize("size", [9, 10, 11])
async def test_a_body_of_a_consumer_system_is_as_large_as_this_gateway_takes(
    pair: GatewayPair, size: int, tmp_path: Path
) -> None:
    pair.max_body_bytes = 10
    pair.services.body = b"found"
    if size <= 10:
        assert await pair.ask(body=bytes(size)) == b"found"
    else:
        with pytest.raises(Fault, match="10"):
            await pair.ask(body=bytes(size))
        assert pair.trace == []
    assert spools_in(tmp_path) == []


@pytest.mark.parametrize("budget_bytes", [0, 1 << 20])
@pytest.mark.parametrize("is_whole", [False, True])
@pytest.mark.parametrize("size", [0, 1, MEMORY_LIMIT, MEMORY_LIMIT + 1, LARGEST_IN_MEMORY + 1])
async def test_a_body_is_what_came_however_it_came_and_none_where_no_byte_did(
    pair: GatewayPair, tmp_path: Path, size: int, budget_bytes: int, *, is_whole: bool
) -> None:
    pair.spools = SpoolFolder(tmp_path, budget_bytes)
    raw, context = random.Random(size).randbytes(size), pair.consumer_context()
    chunks = WholeBody(raw) if is_whole else one_by_one(raw, 5000)
    asked = ConsumerRequest("POST", "/", (), chunks, ConsumerConnection(over_tls=False))
    sent = await RestConsumer().read_bodies(context, asked, pair.world.rest_request(body=b""))
    read = [b"".join([chunk async for chunk in body.spool.chunks()]) for body in sent.bodies]
    assert read == ([raw] if raw else [])
    assert sent.message.attachments == tuple(Attachment(digest_of(r), size) for r in read)
    stays = size <= (LARGEST_IN_MEMORY if budget_bytes else MEMORY_LIMIT)
    assert (spools_in(tmp_path) == []) is stays
    wire.discard_all(sent.bodies)
    assert spools_in(tmp_path) == []


@pytest.mark.parametrize("is_whole", [False, True])
async def test_a_body_that_is_too_large_leaves_nothing(
    pair: GatewayPair, tmp_path: Path, *, is_whole: bool
) -> None:
    pair.max_body_bytes = MEMORY_LIMIT + 10
    raw = bytes(pair.max_body_bytes + 1)
    chunks = WholeBody(raw) if is_whole else one_by_one(raw, MEMORY_LIMIT + 5)
    asked = ConsumerRequest("POST", "/", (), chunks, ConsumerConnection(over_tls=False))
    with pytest.raises(BadMessage, match=f"larger than the {pair.max_body_bytes} bytes") as caught:
        await RestConsumer().read_bodies(pair.consumer_context(), asked, pair.world.rest_request(body=b""))
    assert caught.value.kind is Kind.INVALID_REQUEST
    assert spools_in(tmp_path) == []


# Both sides whole


async def refused(pair: GatewayPair) -> Fault:
    with pytest.raises(Fault) as caught:
        await pair.ask()
    return caught.value


async def test_a_client_or_provider_that_is_not_configured_here_is_named(pair: GatewayPair) -> None:
    pair.consumer_conf = replace(pair.consumer_conf, clients=())
    fault = await refused(pair)
    assert fault.kind is Kind.UNKNOWN_MEMBER
    assert (
        f"{CONSUMER.path()} is not configured on this security server ({CONSUMER_SERVER.path()})"
        in fault.detail
    )


async def test_a_provider_that_is_not_configured_there_is_named(pair: GatewayPair) -> None:
    pair.provider_conf = replace(pair.provider_conf, clients=())
    fault = await refused(pair)
    assert fault.code.endswith("unknown_member")
    assert f"{PROVIDER.path()} is not a client of security server {PROVIDER_SERVER.path()}" in fault.detail


@pytest.mark.parametrize(
    ("content_type", "raw", "words"),
    [
        ("text/plain", written(), "security servers send multipart/mixed"),
        (WRITER.content_type, written(), "the peer's request ended before its message"),
    ],
)
async def test_a_peer_sends_a_multipart_with_a_message(
    pair: GatewayPair, content_type: str, raw: bytes, words: str
) -> None:
    pair.rewrite_request = lambda sent: Sent({**sent.headers, "content-type": content_type}, raw)
    assert words in (await refused(pair)).detail


async def test_an_answer_without_a_message_is_the_providers_gateways_failure(pair: GatewayPair) -> None:
    pair.rewrite_answer = lambda answer: Sent(
        {**answer.headers, "content-type": WRITER.content_type}, written()
    )
    fault = await refused(pair)
    assert (fault.kind, fault.detail) == (
        Kind.MISSING_REST,
        "the provider's gateway answered without a message",
    )


async def test_an_answer_that_cannot_be_signed_is_not_given_and_leaves_nothing(
    pair: GatewayPair, tmp_path: Path
) -> None:
    pair.spools = SpoolFolder(tmp_path)
    pair.services.body = bytes(LARGEST_IN_MEMORY + 1)
    pair.provider_signing.trouble.before = TokenFailed(Kind.TOKEN_NOT_ACTIVE, "locked")
    fault = await refused(pair)
    assert fault.code == "server.serverproxy.cannot_create_signature.token_not_active"
    assert pair.trace[-1] == "service called"
    assert spools_in(tmp_path) == []


class Registry:
    """A service that the gateway answers itself, and a fault that it may have."""

    def __init__(self, fault: Fault | None = None) -> None:
        self.fault = fault

    def find(self, service: ServiceId, _protocol: MessageProtocol) -> Registry | None:
        return self if service == SERVICE else None

    async def answer(self, call: ServiceCall) -> LocalAnswer:
        if self.fault is not None:
            raise self.fault
        return LocalAnswer((("Content-Type", "text/plain"),), call.message.client.path().encode())


async def test_a_service_of_the_gateways_own_needs_no_right_and_its_fault_is_the_gateways(
    pair: GatewayPair,
) -> None:
    pair.provider_conf = replace(pair.provider_conf, rights=())
    assert (await refused(pair)).code == "server.serverproxy.access_denied"
    pair.local_services = Registry()
    assert await pair.ask() == CONSUMER.path().encode()
    assert pair.services.calls == []
    pair.local_services = Registry(Fault(Kind.INVALID_REQUEST, "no such day"))
    fault = await refused(pair)
    assert (fault.code, fault.detail) == ("server.serverproxy.invalid_request", "no such day")


def test_a_record_ends_with_what_became_of_the_exchange() -> None:
    at = NOW + timedelta(milliseconds=1500)
    done = ExchangeRecord("Client", NOW).finish(at)
    assert (done["succeeded"], "faultCode" in done) == (True, False)
    assert (done["responseOutTs"], done["requestInTs"]) == (
        int(NOW.timestamp()) * 1000 + 1500,
        int(NOW.timestamp()) * 1000,
    )
    fault = Fault(Kind.ACCESS_DENIED, "n" * 3000)
    fault.origin, fault.id = Origin.SERVER_PROXY, "an id"
    failed = ExchangeRecord("Producer", NOW).finish(at, fault)
    assert failed["succeeded"] is False
    assert (failed["faultCode"], failed["faultId"]) == ("server.serverproxy.access_denied", "an id")
    assert failed["faultString"] == "n" * 2048


@pytest.mark.parametrize("err", [MemoryError(), ValueError("the PIN is 1234"), OSError(28, "No space")])
def test_a_failure_that_nobody_foresaw_says_nothing_of_its_reason_but_want_of_memory(err: Exception) -> None:
    fault = wire.internal_fault(err)
    assert fault.kind is Kind.INTERNAL_ERROR
    assert ("no memory for this message now" in fault.detail) is isinstance(err, MemoryError)
    assert "1234" not in fault.detail


# SOAP with attachments

ENVELOPE = soap.render_request(CONSUMER, SERVICE, "q1", "<a/>")


def related(first: bytes, *others: bytes) -> bytes:
    parts = [first + b"\r\n\r\n" + ENVELOPE, *others]
    return b"".join(b"--b\r\n" + part + b"\r\n" for part in parts) + b"--b--\r\n"


async def read_entity(pair: GatewayPair, content_type: str, raw: bytes) -> None:
    reading = EntityReader(content_type, one_by_one(raw, 7), pair.spools.new, 100)
    try:
        assert await reading.read_envelope() is not None
        await reading.read_bodies()
    finally:
        reading.discard()


@pytest.mark.parametrize(
    ("content_type", "raw", "words"),
    [
        (
            "multipart/related; boundary=b; boundary*0=c",
            related(b"Content-Type: text/xml"),
            r"written whole, without '\*'",
        ),
        (
            'multipart/related; boundary=b; start="<x>"',
            related(b"Content-Type: text/xml"),
            "does not name the first part",
        ),
        (
            'multipart/related; boundary=b; start="<x>"',
            related(b"Content-Type: text/xml\r\nContent-ID: <y>"),
            "does not name the first part",
        ),
        ("multipart/related; boundary=b", related(b"X: y"), "no Content-Type header"),
        (
            "multipart/related; boundary=b",
            related(b"Content-Type: text/xml", b"X: y\r\n\r\nz"),
            "no Content-Type",
        ),
        (
            "multipart/related; boundary=b",
            related(b"Content-Type: text/xml\r\nContent-Type: text/plain"),
            "2 contradicting Content-Type headers",
        ),
    ],
)
async def test_a_multipart_of_a_system_is_read_alike_by_everybody(
    pair: GatewayPair, content_type: str, raw: bytes, words: str
) -> None:
    with pytest.raises(BadMessage, match=words):
        await read_entity(pair, content_type, raw)


@pytest.mark.parametrize("is_multipart", [False, True])
async def test_an_envelope_is_as_large_as_an_envelope_may_be(
    pair: GatewayPair, *, is_multipart: bool
) -> None:
    largest = DEFAULT_LIMITS.size_bytes
    content_type = "multipart/related; boundary=b" if is_multipart else "text/xml"

    def sent(size: int) -> bytes:
        head, tail = (
            (b"--b\r\nContent-Type: text/xml\r\n\r\n", b"\r\n--b--\r\n") if is_multipart else (b"", b"")
        )
        return head + bytes(size) + tail

    envelope = await EntityReader(
        content_type, one_by_one(sent(largest), 1 << 20), pair.spools.new, 1
    ).read_envelope()
    assert envelope is not None
    assert len(envelope.raw) == largest
    larger = EntityReader(content_type, one_by_one(sent(largest + 1), 1 << 20), pair.spools.new, 1)
    with pytest.raises(
        BadMessage, match=f"is larger than {largest} bytes; large content belongs in an attachment"
    ):
        await larger.read_envelope()
