"""Each port of an exchange fails before and after it took effect: no log, no sending, no call, no answer; nothing forged."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from certs.signing import MessageSignature
from gateway.clients.model import Client, ConnectionType, Endpoint, ServerConf
from schemas import rest, transport
from schemas.faults import Fault, Kind, NotProved, PeerFault, TokenFailed
from schemas.identifiers import ClientId
from schemas.message import Attachment, digest_of
from tests.doubles import Sent, Trouble
from tests.exchanges import GatewayPair, provider_conf
from tests.worlds import CONSUMER, NOW, PROVIDER, PROVIDER_SERVER, STRANGER

WHOLE = [
    "consumer logs request",
    "sent",
    "provider logs request",
    "service called",
    "provider logs answer",
    "consumer logs answer",
    "answered",
]
NO_LOG = Fault(Kind.LOGGING_FAILED, "the disk is full")
NO_KEY = TokenFailed(Kind.TOKEN_NOT_ACTIVE, "the token is locked")
NO_OCSP = NotProved(Kind.INCORRECT_VALIDATION_INFO, "the OCSP response is old")
NO_PEER = Fault(Kind.NETWORK_ERROR, "connection lost")
NO_SERVICE = Fault(Kind.NETWORK_ERROR, "the system is down")


@pytest.fixture
def pair(tmp_path: Path) -> GatewayPair:
    return GatewayPair(tmp_path)


def left_in(folder: Path) -> list[Path]:
    """Spools that nobody let go of."""
    return list(folder.iterdir())


async def refused(pair: GatewayPair, **how: object) -> str:
    """The code with which an exchange fails; no answer was given, and no spool is left."""
    with pytest.raises(Fault) as caught:
        await pair.ask(**how)  # type: ignore[arg-type]
    assert "answered" not in pair.trace
    return caught.value.code


@pytest.mark.parametrize("body", [None, b"", b"x", b"x" * 200_000], ids=["none", "empty", "small", "large"])
async def test_an_exchange_takes_its_steps_in_order(
    pair: GatewayPair, body: bytes | None, tmp_path: Path
) -> None:
    assert await pair.ask(body=body) == b"found"
    assert pair.trace == WHOLE
    assert left_in(tmp_path) == []
    first, second = pair.consumer_log.entries
    assert (first.owner, second.owner) == (CONSUMER, CONSUMER)
    assert pair.provider_log.entries[0].signature == first.signature
    assert pair.provider_log.entries[1].signature == second.signature


# Consumer side

ENCODING = Encoding.DER
Spoil = Callable[[GatewayPair], None]


def no_log_before(pair: GatewayPair) -> None:
    pair.consumer_log.fails(is_response=False, before=NO_LOG)


def no_log_after(pair: GatewayPair) -> None:
    pair.consumer_log.fails(is_response=False, after=NO_LOG)


def no_key(pair: GatewayPair) -> None:
    pair.consumer_signing.trouble = Trouble(before=NO_KEY)


def key_lost_after(pair: GatewayPair) -> None:
    pair.consumer_signing.trouble = Trouble(after=NO_KEY)


def no_signing_ocsp(pair: GatewayPair) -> None:
    pair.consumer_identities.signing_trouble = Trouble(before=NO_OCSP)


def no_auth_ocsp(pair: GatewayPair) -> None:
    pair.consumer_identities.auth_trouble = Trouble(before=NO_OCSP)


def no_peer(pair: GatewayPair) -> None:
    pair.peers.trouble = Trouble(before=NO_PEER)


def no_configuration(pair: GatewayPair) -> None:
    pair.configuration = None


def expired_configuration(pair: GatewayPair) -> None:
    world = pair.world.configuration
    own = replace(world.own, expires_at=NOW)
    pair.configuration = replace(world, instances={"MX": own})


def unknown_client(pair: GatewayPair) -> None:
    pair.consumer_conf = replace(pair.consumer_conf, clients=())


def client_of_another_server(pair: GatewayPair) -> None:
    pair.consumer_conf = ServerConf(PROVIDER_SERVER, (Client(CONSUMER, ConnectionType.HTTP),))


def consumer_must_use_tls(pair: GatewayPair) -> None:
    pair.consumer_conf = replace(pair.consumer_conf, clients=(Client(CONSUMER, ConnectionType.HTTPS),))


def too_large_a_body(pair: GatewayPair) -> None:
    pair.max_body_bytes = 3


NOTHING_SENT: tuple[tuple[Spoil, str], ...] = (
    (no_log_before, "server.clientproxy.logging_failed"),
    (no_log_after, "server.clientproxy.logging_failed"),
    (no_key, "server.clientproxy.cannot_create_signature.token_not_active"),
    (key_lost_after, "server.clientproxy.cannot_create_signature.token_not_active"),
    (no_signing_ocsp, "server.clientproxy.incorrect_validation_info"),
    (no_auth_ocsp, "server.clientproxy.incorrect_validation_info"),
    (no_peer, "server.clientproxy.network_error"),
    (no_configuration, "server.clientproxy.global_conf_outdated"),
    (expired_configuration, "server.clientproxy.global_conf_outdated"),
    (unknown_client, "server.clientproxy.unknown_member"),
    (client_of_another_server, "server.clientproxy.unknown_member"),
    (consumer_must_use_tls, "server.clientproxy.ssl_authentication_failed"),
    (too_large_a_body, "server.clientproxy.invalid_request"),
)


@pytest.mark.parametrize(("spoil", "code"), NOTHING_SENT, ids=[s.__name__ for s, _ in NOTHING_SENT])
async def test_nothing_leaves_the_consumer_side(
    pair: GatewayPair, spoil: Spoil, code: str, tmp_path: Path
) -> None:
    spoil(pair)
    assert await refused(pair) == code
    assert pair.peers.sent == []
    assert "sent" not in pair.trace
    assert left_in(tmp_path) == []


async def test_a_connection_lost_after_sending_leaves_the_request_logged_on_both_sides(
    pair: GatewayPair,
) -> None:
    pair.peers.trouble = Trouble(after=NO_PEER)
    assert await refused(pair) == "server.clientproxy.network_error"
    assert pair.trace == WHOLE[:5]


@pytest.mark.parametrize("when", ["before", "after"])
async def test_an_answer_that_cannot_be_logged_is_not_given(pair: GatewayPair, when: str) -> None:
    pair.consumer_log.fails(is_response=True, **{when: NO_LOG})
    assert await refused(pair) == "server.clientproxy.logging_failed"
    assert pair.services.calls


# Provider side


def provider_no_log(pair: GatewayPair) -> None:
    pair.provider_log.fails(is_response=False, before=NO_LOG)


def provider_log_after(pair: GatewayPair) -> None:
    pair.provider_log.fails(is_response=False, after=NO_LOG)


def no_right(pair: GatewayPair) -> None:
    pair.provider_conf = replace(pair.provider_conf, rights=())


def right_to_another_path(pair: GatewayPair) -> None:
    (right,) = pair.provider_conf.rights
    other = msgspec.structs.replace(right, endpoint=Endpoint("afiliados", "GET", "/public/**"))
    pair.provider_conf = replace(pair.provider_conf, rights=(other,))


def no_service(pair: GatewayPair) -> None:
    pair.provider_conf = replace(pair.provider_conf, services=())


def disabled_service(pair: GatewayPair) -> None:
    pair.provider_conf = provider_conf(disabled="until Monday")


def unknown_provider(pair: GatewayPair) -> None:
    pair.provider_conf = replace(pair.provider_conf, clients=())


def no_tls_certificate(pair: GatewayPair) -> None:
    pair.certificates = ()


def tls_certificate_of_another(pair: GatewayPair) -> None:
    pair.certificates = (pair.world.auth[STRANGER.member.server("SS1")].public_bytes(ENCODING),)


def signing_certificate_for_tls(pair: GatewayPair) -> None:
    pair.certificates = (pair.world.identities[CONSUMER.member].certificate.public_bytes(ENCODING),)


def no_hash_algorithm(pair: GatewayPair) -> None:
    pair.rewrite_request = lambda sent: Sent(without(sent.headers, "x-hash-algorithm"), sent.raw)


def another_hash_algorithm(pair: GatewayPair) -> None:
    pair.rewrite_request = lambda sent: Sent({**sent.headers, "x-hash-algorithm": "SHA-256"}, sent.raw)


def bare_xml(pair: GatewayPair) -> None:
    pair.rewrite_request = lambda sent: Sent({**sent.headers, "content-type": "text/xml"}, sent.raw)


def truncated(pair: GatewayPair) -> None:
    pair.rewrite_request = lambda sent: Sent(sent.headers, sent.raw[:-40])


def without_signature(pair: GatewayPair) -> None:
    def strip(sent: Sent) -> Sent:
        boundary = sent.headers["content-type"].partition("boundary=")[2].encode()
        pieces = sent.raw.split(b"--" + boundary)
        kept = [p for p in pieces if transport.SIGNATURE_TYPE.encode() not in p]
        return Sent(sent.headers, (b"--" + boundary).join(kept))

    pair.rewrite_request = strip


def without_ocsp(pair: GatewayPair) -> None:
    def strip(sent: Sent) -> Sent:
        boundary = sent.headers["content-type"].partition("boundary=")[2].encode()
        pieces = sent.raw.split(b"--" + boundary)
        kept = [p for p in pieces if b"ocsp-response\r\n" not in p]
        return Sent(sent.headers, (b"--" + boundary).join(kept))

    pair.rewrite_request = strip


def changed_body(pair: GatewayPair) -> None:
    pair.rewrite_request = lambda sent: Sent(sent.headers, sent.raw.replace(b'{"a":1}', b'{"a":2}'))


def changed_client(pair: GatewayPair) -> None:
    pair.rewrite_request = lambda sent: Sent(
        sent.headers, sent.raw.replace(CONSUMER.path().encode(), STRANGER.path().encode())
    )


def without(headers: dict[str, str], name: str) -> dict[str, str]:
    return {n: v for n, v in headers.items() if n != name}


def too_old(pair: GatewayPair) -> None:
    pair.minimum_client_version = "99.0.0"


SERVER = "server.serverproxy."
SSL = "ssl_authentication_failed"
NOTHING_CALLED: tuple[tuple[Spoil, str], ...] = (
    (provider_no_log, "logging_failed"),
    (provider_log_after, "logging_failed"),
    (too_old, "client_proxy_version_not_supported"),
    (no_right, "access_denied"),
    (right_to_another_path, "access_denied"),
    (no_service, "unknown_service"),
    (disabled_service, "service_disabled"),
    (unknown_provider, "service_failed.unknown_member"),
    (no_tls_certificate, f"service_failed.{SSL}"),
    (tls_certificate_of_another, f"service_failed.{SSL}"),
    (signing_certificate_for_tls, f"service_failed.{SSL}"),
    (without_ocsp, f"service_failed.{SSL}"),
    (changed_client, f"service_failed.{SSL}"),
    (no_hash_algorithm, "service_failed.missing_header"),
    (another_hash_algorithm, "service_failed.invalid_message"),
    (bare_xml, "service_failed.invalid_content_type"),
    (truncated, "service_failed.mime_parsing_failed"),
    (without_signature, "missing_signature"),
    (changed_body, "signature_verification.malformed_signature.invalid_hash_chain"),
)


@pytest.mark.parametrize(("spoil", "code"), NOTHING_CALLED, ids=[s.__name__ for s, _ in NOTHING_CALLED])
async def test_nothing_is_called_on_the_provider_side(pair: GatewayPair, spoil: Spoil, code: str) -> None:
    spoil(pair)
    assert await refused(pair) == SERVER + code
    assert pair.services.calls == []
    assert all(not e.message.is_response for e in pair.provider_log.entries)
    assert len(pair.consumer_log.entries) == 1  # the request alone: a fault is not logged


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_system_that_fails_leaves_the_request_logged_and_no_answer(
    pair: GatewayPair, when: str
) -> None:
    pair.services.trouble = Trouble(**{when: NO_SERVICE})
    assert (await refused(pair)).endswith("network_error")
    assert [e.message.is_response for e in pair.provider_log.entries] == [False]


@pytest.mark.parametrize("when", ["before", "after"])
async def test_an_answer_the_provider_cannot_log_never_leaves_it(pair: GatewayPair, when: str) -> None:
    pair.provider_log.fails(is_response=True, **{when: NO_LOG})
    assert await refused(pair) == SERVER + "logging_failed"
    assert pair.services.calls
    assert b"application/x-road-rest-response" not in pair.peers.answers[0].raw


async def test_an_answer_the_provider_cannot_sign_never_leaves_it(pair: GatewayPair) -> None:
    pair.provider_signing.trouble = Trouble(before=NO_KEY)
    assert await refused(pair) == SERVER + "cannot_create_signature.token_not_active"
    assert [e.message.is_response for e in pair.provider_log.entries] == [False]


# Forged answers


async def test_a_replayed_answer_is_refused(pair: GatewayPair) -> None:
    await pair.ask()
    kept = pair.peers.answers[0]
    pair.rewrite_answer = lambda _: kept
    pair.trace.clear()
    assert (await refused(pair)).endswith("inconsistent_response")
    assert "consumer logs answer" not in pair.trace


async def test_the_answer_to_another_request_is_refused_even_with_the_same_ids(pair: GatewayPair) -> None:
    pair.new_id = lambda: "00000000-0000-4000-8000-000000000000"
    await pair.ask("/v1/x", body=b"one")
    kept = pair.peers.answers[0]
    pair.rewrite_answer = lambda _: kept
    pair.trace.clear()
    assert (await refused(pair, path="/v1/x", body=b"two")).endswith("inconsistent_response")
    assert (await refused(pair, path="/v1/y", body=b"one")).endswith("inconsistent_response")


def signed_by(
    pair: GatewayPair, member: ClientId, *, body: bytes = b"forged", covered: bytes | None = None
) -> Spoil:
    """Put in place of the answer one that ``member`` signed over ``covered`` (the body itself)."""

    def spoil(_: GatewayPair) -> None:
        def forge(_answer: Sent) -> Sent:
            sent = pair.consumer_log.entries[0].message
            request = rest.parse_request(sent.raw)
            digest = sent.attachments[0].digest
            response = rest.build_response(
                200, "OK", (), request, rest.compute_request_hash(sent.digest, digest)
            )
            signed = covered if covered is not None else body
            message = response.to_message((Attachment(digest_of(signed), len(signed)),))
            signature = pair.world.sign(message, identity=pair.world.identities[member])[0]
            return written(response.raw, body, signature)

        pair.rewrite_answer = forge

    return spoil


def written(raw: bytes, body: bytes, signature: MessageSignature) -> Sent:
    writer = transport.ProxyMessageWriter("xtopforged")
    pieces = [writer.rest(raw, is_response=True), writer.body_start(), body, writer.body_end()]
    if signature.hash_chain_result is not None and signature.hash_chain is not None:
        pieces += [
            writer.hash_chain_result(signature.hash_chain_result),
            writer.hash_chain(signature.hash_chain),
        ]
    pieces += [writer.signature(signature.signature), writer.close()]
    return Sent({"content-type": writer.content_type, "x-hash-algorithm": "SHA-512"}, b"".join(pieces))


async def test_an_answer_that_the_provider_signed_is_taken(pair: GatewayPair) -> None:
    signed_by(pair, PROVIDER.member)(pair)
    assert await pair.ask() == b"forged"


@pytest.mark.parametrize("member", [STRANGER.member, CONSUMER.member], ids=["stranger", "consumer itself"])
async def test_an_answer_signed_by_another_member_is_refused(pair: GatewayPair, member: ClientId) -> None:
    signed_by(pair, member)(pair)
    assert await refused(pair) == "server.clientproxy.signature_verification.incorrect_certificate"
    assert len(pair.consumer_log.entries) == 1


async def test_an_answer_whose_body_was_not_signed_is_refused(pair: GatewayPair) -> None:
    signed_by(pair, PROVIDER.member, covered=b"another")(pair)
    assert "signature_verification.malformed_signature" in await refused(pair)


async def test_an_answer_without_hash_algorithm_is_refused(pair: GatewayPair) -> None:
    pair.rewrite_answer = lambda answer: Sent(without(answer.headers, "x-hash-algorithm"), answer.raw)
    assert await refused(pair) == "server.clientproxy.service_failed.missing_header"


async def test_a_request_sent_back_as_the_answer_is_refused(pair: GatewayPair) -> None:
    pair.rewrite_answer = lambda answer: Sent(
        answer.headers | {"content-type": pair.peers.sent[0].headers["content-type"]},
        pair.peers.sent[0].raw,
    )
    assert (await refused(pair)).startswith("server.clientproxy.service_failed")


async def test_an_empty_answer_is_refused(pair: GatewayPair) -> None:
    pair.rewrite_answer = lambda answer: Sent(answer.headers, b"")
    assert await refused(pair) == "server.clientproxy.missing_rest"


async def test_a_fault_of_the_peer_comes_as_it_was_said(pair: GatewayPair) -> None:
    no_service(pair)
    with pytest.raises(PeerFault) as caught:
        await pair.ask()
    assert caught.value.code == SERVER + "unknown_service"
    assert len(pair.consumer_log.entries) == 1


@pytest.mark.xroad("F095")
async def test_every_fault_has_an_id_of_its_own_which_the_consumer_is_told(pair: GatewayPair) -> None:
    no_right(pair)
    told = []
    for _ in range(2):
        with pytest.raises(PeerFault) as caught:
            await pair.ask()
        told.append(caught.value.wire.detail)
    assert len({uuid.UUID(detail) for detail in told}) == 2


@pytest.mark.xroad("F091")
async def test_a_security_token_and_a_represented_party_reach_the_system_signed(pair: GatewayPair) -> None:
    token, party = "Bearer eyJhbGciOiJub25lIn0.e30.", "GOV/1234"
    await pair.ask(headers=(("X-Road-Security-Token", token), ("X-Road-Represented-Party", party)))
    (called,) = pair.services.calls
    sent = {name.lower(): value for name, value in called.headers}
    assert (sent["x-road-security-token"], sent["x-road-represented-party"]) == (token, party)
    raw = pair.provider_log.entries[0].message.raw
    assert f"X-Road-Security-Token:{token}".encode() in raw
