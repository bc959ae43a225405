"""What differs between the message protocols, as ports: how a message is read, carried to a service, and rendered.

`gateway.exchange.consumer` and `provider` hold the one order of steps for all; `restprotocol` and `soapprotocol` answer
these questions and do nothing else. ``Q`` is a protocol's parsed request, ``A`` its parsed answer; both keep the bytes
they were parsed from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from gateway.clients.model import ServerConf
    from gateway.exchange.access import CalledEndpoint
    from gateway.exchange.authentication import ConsumerConnection
    from gateway.exchange.ports import ExchangeContext, ServiceAnswer, ServiceCall
    from gateway.exchange.record import ExchangeRecord
    from gateway.exchange.wire import Body, Outgoing
    from schemas.faults import Kind
    from schemas.message import Message, MessageProtocol
    from schemas.multipart import Headers
    from schemas.transport import RestPart, SoapPart

    # Asks the service: a provider's system, or the gateway itself.
    Target = Callable[[ServiceCall], AbstractAsyncContextManager[ServiceAnswer]]

Q = TypeVar("Q")
A = TypeVar("A")


class ConsumerRequest(msgspec.Struct, frozen=True):
    """A consumer system's HTTP request as it came: raw target, headers in order, body still to be read."""

    method: str
    target: str
    headers: Sequence[tuple[str, str]]
    body: AsyncIterator[bytes] | None
    connection: ConsumerConnection

    def header(self, name: str) -> str | None:
        """The first header of that name, whatever its case."""
        return next((v for n, v in self.headers if n.lower() == name), None)

    def values(self, name: str) -> list[str]:
        """Every header of that name (in lower case), in order."""
        return [v for n, v in self.headers if n.lower() == name]


class ConsumerAnswer(msgspec.Struct, frozen=True):
    """The provider's answer, proved and logged, as the consumer system gets it. Discard it once it is sent.

    ``chunks`` is None for an answer without a body.
    """

    status: int
    reason: str
    headers: Sequence[tuple[str, str]]
    chunks: AsyncIterator[bytes] | None
    bodies: Sequence[Body] = ()


class PeerRequest(msgspec.Struct, frozen=True):
    """A security server's HTTP request: headers by lower-case name, body still to be read."""

    headers: dict[str, str]
    chunks: AsyncIterator[bytes]
    certificates: Sequence[bytes]


class ConsumerProtocol(Protocol[Q, A]):
    """The consumer side of a message protocol."""

    missing: Kind

    async def read_request(
        self, context: ExchangeContext, consumer_request: ConsumerRequest, instance: str
    ) -> Q:
        """The request's head; bodies are still to be read. Raises `BadMessage`."""
        ...

    def message_of(self, request: Q) -> Message:
        """The request's message, without bodies."""
        ...

    async def read_bodies(
        self, context: ExchangeContext, consumer_request: ConsumerRequest, request: Q
    ) -> Outgoing:
        """The whole request, bodies spooled; whoever takes it discards them. Raises `BadMessage`."""
        ...

    def leaving(self, request: Q, sent: Outgoing) -> ServiceCall | None:
        """The whole request as a call, to be held against the policies of what may leave; None where there are none."""
        ...

    def discard(self, request: Q) -> None:
        """Discard the bodies that reading the request has spooled so far; for a request that fails before `read_bodies`."""
        ...

    def headers(self, request: Q) -> Headers:
        """The HTTP headers between gateways that only this protocol has."""
        ...

    async def parse_answer(self, head: RestPart | SoapPart, sent: Message) -> A:
        """The answer's head. Raises `BadMessage`."""
        ...

    def answer_message(self, answer: A, bodies: Sequence[Body]) -> Message:
        """The message that an answer and its bodies are, as its signature covers it."""
        ...

    def check_answers(self, request: Q, sent: Message, answer: A) -> None:
        """Refuse an answer that is not this request's; its signature has been verified before. Raises `BadMessage`."""
        ...

    def render(
        self, context: ExchangeContext, answer: A, bodies: Sequence[Body], original_content_type: str
    ) -> ConsumerAnswer:
        """The answer for the consumer system."""
        ...


class ProvedRequest(msgspec.Struct, frozen=True):
    """A proved request on its way to a service, with its bodies."""

    message: Message
    bodies: Sequence[Body]


class ProviderProtocol(Protocol[Q]):
    """The provider side of a message protocol."""

    name: MessageProtocol
    missing: Kind

    def check_headers(self, peer_request: PeerRequest) -> None:
        """Refuse HTTP headers between gateways that are wrong in this protocol. Raises `BadMessage`."""
        ...

    async def parse_request(self, head: RestPart | SoapPart, peer_request: PeerRequest) -> Q:
        """The request's head. Raises `BadMessage`."""
        ...

    def message_of(self, request: Q) -> Message:
        """The request's message, without bodies."""
        ...

    def check_target(self, request: Q, serverconf: ServerConf) -> None:
        """Refuse a request that names another security server, where the protocol looks at it. Raises `BadMessage`."""
        ...

    def endpoint_of(self, request: Q) -> CalledEndpoint | None:
        """Method and path that an access right may name; None where only whole services have rights."""
        ...

    async def call(
        self,
        context: ExchangeContext,
        target: Target,
        request: Q,
        proved: ProvedRequest,
        record: ExchangeRecord,
    ) -> Outgoing:
        """Call the service and give its answer as a message, ready to be signed. A fault of the service's is raised."""
        ...
