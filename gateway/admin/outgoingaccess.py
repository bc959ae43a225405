"""``/clients/{id}/access-requests``: a client of this server asks another member for access, by a message through this server.

The provider's server keeps the request; here it leaves a record in the message log and in the audit trail. How it stands is asked there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import msgspec

from gateway.admin.context import AdminContext, client_id, row
from gateway.admin.values import EncodedId, Identifier
from gateway.edges.accessclient import ask_for_access, list_offered_services, read_access_request
from schemas.accessrequests import AccessQuestion, AccessRequestState, Words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.management.requests import ManagementChannel
    from serving.api.operations import Call, Operation


class OfferedService(msgspec.Struct, frozen=True):
    """A REST service that a provider offers: its code, and ``REST`` or ``OPENAPI``."""

    service_code: str
    service_type: str


class ProviderQuery(msgspec.Struct, frozen=True):
    """The provider whose services are listed."""

    provider: EncodedId


class AccessRequestQuery(msgspec.Struct, frozen=True):
    """The service, by its provider and its code."""

    provider: EncodedId
    service_code: Identifier


class AccessRequestBody(msgspec.Struct, frozen=True):
    """To which service of whom access is asked, what for, on which legal basis, and whom to answer."""

    provider: EncodedId
    service_code: Identifier
    purpose: Words
    legal_basis: Words
    contact: Annotated[str, msgspec.Meta(max_length=200)] = ""


@dataclass(frozen=True, slots=True)
class OutgoingAccessResource:
    """The handlers by which a client of this server asks for access elsewhere; each sends a message in its name."""

    context: AdminContext

    def rows(self) -> Sequence[Operation]:
        """The rows of these handlers: path, right, input, answer."""
        one, may = "/clients/{id}/access-requests", "EDIT_SERVICE_ACL"
        return [
            row("GET", "/clients/{id}/offered-services", self.offered, "Services that another member offers", may,
                query=ProviderQuery, answer=list[OfferedService], scoped=True),
            row("GET", one, self.state, "How a client's request for access stands", may, query=AccessRequestQuery,
                answer=AccessRequestState, scoped=True),
            row("POST", one, self.ask, "Ask another member for access to a service", may, body=AccessRequestBody,
                answer=AccessRequestState, event="ASK_FOR_ACCESS", scoped=True, exclusive=False),
        ]  # fmt: skip

    async def offered(self, call: Call) -> list[OfferedService]:
        client, provider = self.context.client(call).id, client_id(call.query_as(ProviderQuery).provider)
        found = await list_offered_services(self._channel(), client, provider)
        return [OfferedService(s.id.service_code, s.type) for s in found]

    async def state(self, call: Call) -> AccessRequestState:
        client, query = self.context.client(call).id, call.query_as(AccessRequestQuery)
        return await read_access_request(
            self._channel(), client, client_id(query.provider), query.service_code
        )

    async def ask(self, call: Call) -> AccessRequestState:
        """Send the request; the provider keeps one for each client and service, so asking twice changes nothing."""
        client, request = self.context.client(call).id, call.body_as(AccessRequestBody)
        call.note(client=client.encoded(), service=f"{request.provider}:{request.service_code}")
        question = AccessQuestion(request.service_code, request.purpose, request.legal_basis, request.contact)
        return await ask_for_access(self._channel(), client, client_id(request.provider), question)

    def _channel(self) -> ManagementChannel:
        return self.context.gateway.management.channel
