"""What every resource of the admin API is given, and how what the rules refuse becomes an answer.

An `AdminContext` looks at the process through one value: the server's configuration always, the running gateway once the server
is initialised. Changes go through `change`, which the running gateway takes at once.
"""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Any

from gateway.clients.records import ClientRecord, ClientStatus, RequestKind, derive_status
from schemas.faults import Fault
from schemas.identifiers import ClientId, ServerId
from schemas.management import ManagementRequest, ManagementServiceCode
from schemas.numbers import whole_number
from serving.api.operations import Call, Operation
from serving.api.problems import Problem, bad_request, conflict, failed, not_found
from serving.errors import Refused
from serving.language import N_, Text
from serving.process.failing import reason_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from datetime import datetime

    from certs.configuration import TrustedConfiguration
    from certs.tokens.port import KeyId
    from gateway.admin.ports import Process, RunningGateway
    from gateway.clients.tables import Tables
    from gateway.keys.operations import KeyOperations
    from gateway.management.requests import SentRequest

    Handler = Callable[[Call], Awaitable[object]]


class AdminContext:
    """The process, its running gateway and its stores, as the handlers use them."""

    def __init__(self, process: Process) -> None:
        self.process = process

    @property
    def gateway(self) -> RunningGateway:
        """The running gateway. Refused while the server is not initialised."""
        found = self.process.gateway
        if found is None:
            raise conflict(
                "action_not_possible",
                "the server is not initialised: give it an anchor, then POST /initialization",
            )
        return found

    @property
    def keys(self) -> KeyOperations:
        """Operations on tokens, keys and certificates."""
        return self.gateway.keys

    @property
    def view(self) -> Tables:
        """The server's configuration for reading."""
        return self.process.store.view

    @contextlib.asynccontextmanager
    async def change(self) -> AsyncIterator[Tables]:
        """The server's configuration for changing, in one transaction; at its end the running gateway has taken it.

        The whole of it is read in a thread, for messages go on meanwhile. Nothing may be awaited within.
        """
        self.server_id()
        with self.process.store.change() as tables:
            yield tables
        await self.take()

    async def take(self) -> None:
        """Let the running gateway take what was changed; it is read in a thread."""
        await self.gateway.read_and_reload()

    def server_id(self) -> ServerId:
        """This server's identifier. Refused while it has none."""
        if not self.process.store.is_initialised():
            raise conflict("action_not_possible", "the server is not initialised")
        return self.process.store.server_id()

    def configuration(self) -> TrustedConfiguration:
        """The global configuration. Refused when there is none that holds."""
        found = self.process.configuration()
        if found is None:
            raise conflict("global_conf_outdated", "there is no valid global configuration")
        return found

    # Clients

    def listed(self) -> frozenset[ClientId]:
        """The clients that the global configuration lists on this server, its owner among them."""
        configuration = self.process.configuration()
        server = None if configuration is None else configuration.server(self.server_id())
        return frozenset() if server is None else server.clients | {server.id.owner}

    def status(self, client: ClientRecord) -> ClientStatus:
        """The registration status of a client, from its record, pending requests and the global configuration."""
        return derive_status(
            client, self.view.requests.kinds_of(client.id.path()), listed_here=client.id in self.listed()
        )

    def client(self, call: Call, name: str = "id") -> ClientRecord:
        """The client a path names, within what the caller may see. Refused when it is none of this server."""
        identifier = client_id(call.path[name])
        call.check_scope(identifier.encoded())
        return self.view.clients.get(identifier)

    def check_client(self, call: Call, client: ClientId) -> None:
        """Refuse callers that are narrowed to other clients. Raises `Problem` (403)."""
        call.check_scope(client.encoded())

    # Management requests

    async def send_raw(self, request: ManagementRequest, auth_key: KeyId | None) -> SentRequest:
        """Send a management request with proofs as fresh as they come. Raises `Fault`."""
        await self.gateway.refresh_proofs()
        return await self.gateway.management.send_request(request, auth_key=auth_key)

    async def send_certificate_request(
        self, request: ManagementRequest, auth_key: KeyId | None
    ) -> SentRequest:
        """Send a request about a certificate; a registration is followed from now on. Raises `Fault`."""
        sent = await self.send_raw(request, auth_key)
        if request.service is ManagementServiceCode.AUTH_CERT_REG:
            self.gateway.follow_registration(request, sent)
        return sent

    async def ask(
        self, call: Call, kind: RequestKind, request: ManagementRequest, subject: str, detail: str = ""
    ) -> None:
        """Send a management request and follow it until it is settled. ``subject``: a client's or the server's path."""
        sent = await self.send(request)
        call.note(request=sent.request_id)
        async with self.change() as tables:
            tables.requests.add(
                kind, subject, detail, call.now, number=sent.request_id, message_id=sent.message_id
            )

    async def send(self, request: ManagementRequest) -> SentRequest:
        """Send a management request; whatever stops it is one code with the reason. Raises `Problem` (``management_request_sending_failed``)."""
        try:
            return await self.send_raw(request, None)
        except Fault as fault:
            words = not_sent(fault)
            raise failed(
                "management_request_sending_failed", f"{fault.code}: {fault.detail}", words=words
            ) from fault


def not_sent(fault: Fault) -> Text:
    """Why a management request was not sent, or not taken, for a person."""
    return N_("The request to the central server did not succeed: {why}", why=reason_of(fault))


def client_id(text: str) -> ClientId:
    """A client from ``INST:CLASS:CODE[:SUBSYSTEM]``. Raises `Problem` (``invalid_encoded_id``)."""
    parts = text.split(":")
    if len(parts) not in (3, 4) or not all(part.strip() for part in parts):
        raise bad_request("invalid_encoded_id", text)
    return ClientId(*parts)


def number_of(text: str, code: str) -> int:
    """A database number from a path; what is no number names nothing. Raises `Problem` (404, ``code``)."""
    number = whole_number(text)
    if number is None:
        raise not_found(code, text)
    return number


def instant(at: datetime) -> str:
    """A time in UTC as the API writes it: RFC 3339, whole seconds, ``Z``."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def problem_of(refused: Refused) -> Problem:
    """The answer to a refusal of the rules: its details, or its text where it has none; its warnings speak for themselves."""
    metadata = refused.metadata if refused.metadata or refused.warnings else (str(refused),)
    return Problem(refused.code.status, refused.code, metadata, refused.warnings)


def _answered(handler: Handler) -> Handler:
    @functools.wraps(handler)
    async def answered(call: Call) -> object:
        try:
            return await handler(call)
        except Refused as err:
            raise problem_of(err) from err

    return answered


def row(method: str, path: str, handler: Handler, summary: str, *permissions: str, **more: Any) -> Operation:
    """A row of the table; refusals of the rules become answers."""

    errors = {404, 409, *more.pop("errors", ())}
    tag = path.split("/")[1]
    if "prepare" in more:
        more["prepare"] = _answered(more["prepare"])
    return Operation(
        method, path, _answered(handler), summary, permissions, errors=tuple(errors), tag=tag, **more
    )
