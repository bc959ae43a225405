"""``/access-requests``: who asked for access to a service here, and the decision; approving grants the right in the same step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import msgspec

from gateway.admin.context import AdminContext, instant, number_of, row
from gateway.clients.access_request_table import AccessState
from serving.api.problems import conflict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.clients.access_request_table import AccessRequestRecord
    from serving.api.operations import Call, Operation


class AccessRequestView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A request for access: who asks for which service, what for, on which legal basis, by which message; and how it was decided."""

    id: int
    client: str
    provider: str
    service_code: str
    purpose: str
    legal_basis: str
    message_id: str
    asked_at: str
    state: str
    contact: str = ""
    decided_at: str | None = None
    decided_by: str = ""
    reason: str = ""


class DeclineBody(msgspec.Struct, frozen=True):
    """Why access is not given; the client reads it."""

    comments: Annotated[str, msgspec.Meta(min_length=3, max_length=500)]


@dataclass(frozen=True, slots=True)
class AccessRequestResource:
    """The handlers of ``/access-requests``: a list, and each decision."""

    context: AdminContext

    def rows(self) -> Sequence[Operation]:
        """The rows of these handlers: path, right, input, answer."""
        one = "/access-requests/{id}"
        return [
            row("GET", "/access-requests", self.all, "Who asks for access", "VIEW_SERVICE_ACL",
                answer=list[AccessRequestView]),
            row("PUT", f"{one}/approve", self.approve, "Approve a request for access", "EDIT_SERVICE_ACL",
                event="APPROVE_ACCESS_REQUEST", scoped=True),
            row("PUT", f"{one}/decline", self.decline, "Decline a request for access", "EDIT_SERVICE_ACL",
                body=DeclineBody, event="DECLINE_ACCESS_REQUEST", scoped=True),
        ]  # fmt: skip

    async def all(self, _call: Call) -> list[AccessRequestView]:
        """Every request, those that wait first."""
        return [_view(r) for r in self.context.view.access_requests.all()]

    async def approve(self, call: Call) -> None:
        """Grant the client the whole service, and note it. A right that it has already stays. Raises `Problem` (``client_not_found``)."""
        record = self._waiting(call)
        plea = record.plea
        if not self.context.configuration().known_member(plea.client):
            raise conflict("client_not_found", plea.client.encoded())
        async with self.context.change() as tables:
            endpoint = tables.endpoints.base(plea.provider, plea.service_code)
            if not tables.rights.all(subject=plea.client, endpoint_id=endpoint.id):
                tables.rights.grant(endpoint, plea.client, call.now)
            tables.access_requests.decide(record.id, AccessState.APPROVED, call.principal.name, call.now)

    async def decline(self, call: Call) -> None:
        """Note that it is not given, and why."""
        record = self._waiting(call)
        reason = call.body_as(DeclineBody).comments
        call.note(reason=reason)
        async with self.context.change() as tables:
            tables.access_requests.decide(
                record.id, AccessState.DECLINED, call.principal.name, call.now, reason
            )

    def _waiting(self, call: Call) -> AccessRequestRecord:
        number = number_of(call.path["id"], "access_request_not_found")
        record = self.context.view.access_requests.get(number)
        self.context.check_client(call, record.plea.provider)
        if record.state is not AccessState.WAITING:
            raise conflict("access_request_decided", str(number))
        plea = record.plea
        call.note(client=plea.client.encoded(), service=f"{plea.provider.encoded()}:{plea.service_code}")
        return record


def _view(record: AccessRequestRecord) -> AccessRequestView:
    plea = record.plea
    return AccessRequestView(
        record.id,
        plea.client.encoded(),
        plea.provider.encoded(),
        plea.service_code,
        plea.purpose,
        plea.legal_basis,
        plea.message_id,
        instant(record.asked_at),
        record.state.value,
        plea.contact,
        None if record.decided_at is None else instant(record.decided_at),
        record.decided_by,
        record.reason,
    )
