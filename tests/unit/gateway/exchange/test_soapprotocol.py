"""SOAP as a message protocol, rule by rule: what is refused, whose fault it is called, and that no spool stays."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from gateway.exchange.authentication import ConsumerConnection
from gateway.exchange.ports import ServiceAnswer, ServiceCall
from gateway.exchange.protocols import ConsumerRequest, PeerRequest, ProvedRequest
from gateway.exchange.record import ExchangeRecord
from gateway.exchange.soapprotocol import SoapConsumer, SoapConsumerRequest, SoapProvider, SoapReceived
from gateway.exchange.wire import SOAP_ACTION_HEADER, Outgoing, discard_all
from schemas import soap
from schemas.faults import BadMessage, Fault, Kind, PeerFault, Step
from schemas.faultxml import render_soap_fault
from schemas.soapenvelope import DEFAULT_LIMITS
from schemas.transport import RestPart, SoapPart
from tests.doubles import one_by_one
from tests.exchanges import SERVICE, GatewayPair
from tests.worlds import CONSUMER, CONSUMER_SERVER, NOW, PROVIDER_SERVER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from schemas.identifiers import ServerId

XML = ("Content-Type", "text/xml; charset=UTF-8")
RELATED = ("Content-Type", "multipart/related; boundary=b")


def envelope(message_id: str = "q1", *, server: ServerId | None = None) -> bytes:
    body = '<a:afiliados xmlns:a="urn:a"><curp>1</curp></a:afiliados>'
    return soap.render_request(CONSUMER, SERVICE, message_id, body, security_server=server)


def answer_to(message_id: str = "q1") -> bytes:
    return soap.render_answer(
        soap.parse_message(envelope(message_id)), '<a:afiliadosResponse xmlns:a="urn:a"/>'
    )


def related(*parts: bytes) -> bytes:
    """A multipart whose first part is an envelope."""
    heads = [b"Content-Type: text/xml", *([b"Content-Type: text/plain"] * (len(parts) - 1))]
    written = b"".join(b"--b\r\n%b\r\n\r\n%b\r\n" % pair for pair in zip(heads, parts, strict=True))
    return written + b"--b--\r\n"


FAULT = render_soap_fault("Server.Own", "the system has a fault of its own")


def spools_in(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file()]


# The consumer side


async def read(folder: Path, raw: bytes | None, *headers: tuple[str, str]) -> SoapConsumerRequest:
    body = None if raw is None else one_by_one(raw)
    asked = ConsumerRequest("POST", "/", headers, body, ConsumerConnection(over_tls=False))
    return await SoapConsumer().read_request(GatewayPair(folder).consumer_context(), asked, "MX")


@pytest.mark.parametrize(
    ("headers", "raw", "kind", "words"),
    [
        ((), envelope(), Kind.INVALID_REQUEST, "has no Content-Type"),
        ((("Content-Type", ""),), envelope(), Kind.INVALID_REQUEST, "has no Content-Type"),
        ((XML, RELATED), envelope(), Kind.INVALID_REQUEST, "Content-Type came 2 times"),
        (
            (XML, ("SOAPAction", '"a"'), ("SOAPAction", '"b"')),
            envelope(),
            Kind.INVALID_REQUEST,
            "SOAPAction came 2",
        ),
        ((XML, ("SOAPAction", "a")), envelope(), Kind.INVALID_SOAP_ACTION, "in double quotes"),
        ((XML, ("Content-Encoding", "gzip")), envelope(), Kind.INVALID_CONTENT_TYPE, "uncompressed"),
        (
            (("Content-Type", "application/json"),),
            envelope(),
            Kind.INVALID_CONTENT_TYPE,
            "SOAP comes as text/xml",
        ),
        (
            (("Content-Type", "multipart/related"),),
            related(envelope()),
            Kind.INVALID_CONTENT_TYPE,
            "boundary",
        ),
        ((RELATED,), b"--b--\r\n", Kind.MISSING_SOAP, "has no part"),
        ((RELATED,), b"", Kind.MISSING_SOAP, "has no part"),
        ((RELATED,), b"no delimiter", Kind.MISSING_SOAP, "has no part"),
        ((XML,), None, Kind.INVALID_SOAP, "not well-formed"),
        ((XML,), b"<a/>", Kind.INVALID_SOAP, "a SOAP envelope was expected"),
    ],
)
async def test_what_a_consumer_system_sends_wrongly_is_its_own_fault(
    tmp_path: Path, headers: tuple[tuple[str, str], ...], raw: bytes | None, kind: Kind, words: str
) -> None:
    with pytest.raises(BadMessage, match=words) as caught:
        await read(tmp_path, raw, *headers)
    assert (caught.value.kind, caught.value.code) == (kind, f"client.{kind.value}")


async def test_a_header_that_comes_twice_and_says_the_same_is_read(tmp_path: Path) -> None:
    assert await read(tmp_path, envelope(), XML, XML, ("SOAPAction", '"u:a"'), ("SOAPAction", '"u:a"'))


async def test_a_fault_where_a_request_was_expected_is_passed_on_as_the_consumers(tmp_path: Path) -> None:
    with pytest.raises(PeerFault, match="a fault of its own") as caught:
        await read(tmp_path, FAULT, XML)
    assert caught.value.code.startswith("client.")


# Between gateways


def peer_request(**headers: str) -> PeerRequest:
    return PeerRequest(headers, one_by_one(b""), ())


async def received(raw: bytes = b"") -> SoapReceived:
    return await SoapProvider().parse_request(
        SoapPart(raw or envelope(), "text/xml", ()), peer_request(**{"x-road-request-id": "r1"})
    )


async def test_the_parts_between_gateways_must_be_soap_and_no_fault() -> None:
    for head, kind, words in (
        (RestPart(b"GET /", is_response=False), Kind.MISSING_SOAP, "has a REST part where SOAP was expected"),
        (SoapPart(FAULT, "text/xml", ()), Kind.INVALID_MESSAGE, "a fault came"),
        (SoapPart(envelope(), "application/json", ()), Kind.INVALID_CONTENT_TYPE, "SOAP comes as text/xml"),
    ):
        with pytest.raises(BadMessage, match=words) as caught:
            await SoapProvider().parse_request(head, peer_request())
        assert caught.value.kind is kind


async def test_a_request_that_names_another_security_server_is_refused_here(tmp_path: Path) -> None:
    conf = GatewayPair(tmp_path).provider_conf
    for named in (None, PROVIDER_SERVER):
        SoapProvider().check_target(await received(envelope(server=named)), conf)
    with pytest.raises(BadMessage, match=f"for security server {CONSUMER_SERVER.path()}") as caught:
        SoapProvider().check_target(await received(envelope(server=CONSUMER_SERVER)), conf)
    assert caught.value.kind is Kind.INVALID_SECURITY_SERVER


@pytest.mark.parametrize("action", ["a", '"', '""a"', '"a b"', '"a'])
def test_a_soap_action_that_is_no_uri_in_quotes_is_refused_between_gateways_too(action: str) -> None:
    with pytest.raises(BadMessage) as caught:
        SoapProvider().check_headers(peer_request(**{SOAP_ACTION_HEADER: action}))
    assert caught.value.kind is Kind.INVALID_SOAP_ACTION


# The provider's system


async def call(
    folder: Path, status: int, raw: bytes, *headers: tuple[str, str], error: Fault | None = None
) -> tuple[Outgoing, ExchangeRecord]:
    """One call of a system that answers like this, or that cannot be called."""

    @contextlib.asynccontextmanager
    async def target(_call: ServiceCall) -> AsyncIterator[ServiceAnswer]:
        if error is not None:
            raise error
        yield ServiceAnswer(status, "", headers, one_by_one(raw))

    request, record = await received(), ExchangeRecord("Producer", NOW)
    proved = ProvedRequest(request.message, ())
    context = GatewayPair(folder).provider_context()
    return await SoapProvider().call(context, target, request, proved, record), record


@pytest.mark.parametrize(
    ("status", "headers", "raw", "kind", "words"),
    [
        (404, (XML,), answer_to(), Kind.HTTP_ERROR, "HTTP 404; 200 or 500 was expected"),
        (204, (XML,), b"", Kind.HTTP_ERROR, "HTTP 204"),
        (200, (), answer_to(), Kind.INVALID_CONTENT_TYPE, "has no Content-Type"),
        (200, (XML, ("content-encoding", "br")), answer_to(), Kind.INVALID_CONTENT_TYPE, "uncompressed"),
        (200, (("Content-Type", "text/html"),), b"<p/>", Kind.INVALID_CONTENT_TYPE, "SOAP comes as text/xml"),
        (200, (RELATED,), b"--b--\r\n", Kind.INVALID_MESSAGE, "multipart without any part"),
        (200, (RELATED,), related(answer_to(), b"cut")[:-9], Kind.MIME_PARSING_FAILED, "end"),
        (200, (RELATED,), related(answer_to(), bytes(1_000_001)), Kind.INVALID_MESSAGE, "exceed the 1000000"),
        (200, (XML,), b"<a/>", Kind.INVALID_SOAP, "a SOAP envelope was expected"),
    ],
)
async def test_what_a_system_answers_wrongly_is_the_services_failure_and_leaves_no_spool(
    tmp_path: Path, status: int, headers: tuple[tuple[str, str], ...], raw: bytes, kind: Kind, words: str
) -> None:
    with pytest.raises(Fault, match=words) as caught:
        await call(tmp_path, status, raw, *headers)
    assert (caught.value.kind, caught.value.steps) == (kind, (Step.SERVICE_FAILED,))
    assert spools_in(tmp_path) == []


@pytest.mark.parametrize("kind", [Kind.SERVICE_MISSING_URL, Kind.SERVICE_MALFORMED_URL])
async def test_an_address_that_this_gateway_cannot_use_is_not_the_services_failure(
    tmp_path: Path, kind: Kind
) -> None:
    with pytest.raises(Fault) as caught:
        await call(tmp_path, 200, b"", error=Fault(kind, "no address"))
    assert caught.value.steps == ()


@pytest.mark.parametrize("status", [200, 500])
async def test_a_fault_of_the_system_is_passed_on_with_its_envelope(tmp_path: Path, status: int) -> None:
    with pytest.raises(PeerFault, match="a fault of its own") as caught:
        await call(tmp_path, status, FAULT, XML)
    assert (caught.value.wire.code, caught.value.raw) == ("Server.Own", FAULT)


async def test_an_envelope_that_the_requests_hash_makes_too_large_is_refused(tmp_path: Path) -> None:
    room = DEFAULT_LIMITS.size_bytes - len(answer_to())
    raw = answer_to().replace(b"<a:afiliadosResponse", b" " * room + b"<a:afiliadosResponse")
    with pytest.raises(Fault, match="belongs in an attachment") as caught:
        await call(tmp_path, 200, raw, XML)
    assert caught.value.kind is Kind.INVALID_BODY


async def test_an_answer_carries_the_requests_hash_and_what_came_with_it(tmp_path: Path) -> None:
    made, record = await call(tmp_path, 200, related(answer_to(), b"one", b"two"), RELATED)
    sent = (await received()).message
    assert [b.content_type for b in made.bodies] == ["text/plain", "text/plain"]
    assert (len(made.message.attachments), made.original_content_type) == (2, RELATED[1])
    assert record.fields["statusCode"] == 200
    discard_all(made.bodies)
    assert spools_in(tmp_path) == []
    assert sent.request_id == made.message.request_id


# The answer, at the consumer's gateway


@pytest.mark.parametrize(
    ("answer", "words", "code"),
    [
        (answer_to(), "has no requestHash", "inconsistent_response"),
        (
            answer_to("q2"),
            "the answer's id is 'q2'; the request's is 'q1'",
            "service_failed.inconsistent_response",
        ),
        (
            soap.with_request_hash(soap.parse_message(answer_to()), "AA==").raw,
            "requestHash is not the digest",
            "inconsistent_response",
        ),
    ],
)
async def test_an_answer_that_is_not_this_requests_is_refused(
    tmp_path: Path, answer: bytes, words: str, code: str
) -> None:
    request = await read(tmp_path, envelope(), XML)
    found = await SoapConsumer().parse_answer(SoapPart(answer, "text/xml", ()), request.message)
    with pytest.raises(BadMessage, match=words) as caught:
        SoapConsumer().check_answers(request, request.message, found)
    assert caught.value.code == code


async def test_the_answer_of_this_very_request_is_taken(tmp_path: Path) -> None:
    request = await read(tmp_path, envelope(), XML)
    made = soap.with_request_hash(
        soap.parse_message(answer_to()), soap.compute_request_hash(request.message.digest)
    )
    found = await SoapConsumer().parse_answer(SoapPart(made.raw, "text/xml", ()), request.message)
    SoapConsumer().check_answers(request, request.message, found)
