"""Access rights as a whole: every right of a provider in one list, and whether a client may make a call, with the reason."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from gateway.admin.context import AdminContext, client_id, instant, row
from gateway.admin.rights import RightResource
from gateway.admin.values import EncodedId, Text
from gateway.exchange.access import CalledEndpoint, check_access, check_enabled, find_service
from schemas.faults import Fault
from schemas.identifiers import ServiceId

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serving.api.operations import Call, Operation


class GrantedRight(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One right: who, to which endpoint of which service, since when. ``method`` * and ``path`` ** are the whole service."""

    subject_id: str
    subject_name: str | None = None
    subject_type: str | None = None
    local_group_code: str | None = None
    service_code: str
    endpoint_id: str
    method: str
    path: str
    rights_given_at: str


class GrantedQuery(msgspec.Struct, frozen=True):
    """The services whose rights are asked for: their codes with commas between; none is every one."""

    service_codes: str | None = None


class AccessQuery(msgspec.Struct, frozen=True):
    """A call to be judged: who, which service (with its version, if it has one), and for REST its method and path."""

    consumer_id: EncodedId
    service_code: Text
    method: Text | None = None
    path: Text | None = None


class AccessAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whether a call would be let through, and the fault that it would get otherwise."""

    allowed: bool
    code: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class AccessResource:
    """The handlers of ``access-rights`` as a whole and of ``access-check``, below a client."""

    context: AdminContext

    def rows(self) -> Sequence[Operation]:
        """The rows of these handlers: path, right, input, answer."""
        client, may = "/clients/{id}", "VIEW_CLIENT_ACL_SUBJECTS"
        return [
            row("GET", f"{client}/access-rights", self.granted, "Every access right to a client's services", may,
                query=GrantedQuery, answer=list[GrantedRight]),
            row("GET", f"{client}/access-check", self.check, "Whether a client may make a call", may,
                query=AccessQuery, answer=AccessAnswer),
        ]  # fmt: skip

    async def granted(self, call: Call) -> list[GrantedRight]:
        provider, rights = self.context.client(call).id, RightResource(self.context)
        found = []
        known = {}
        codes = (call.query_as(GrantedQuery).service_codes or "").split(",")
        for right in self.context.view.rights.all(provider, services=[c for c in codes if c]):
            if right.subject not in known:
                known[right.subject] = rights.view(provider, right.subject)
            subject, endpoint = known[right.subject], right.endpoint.endpoint
            found.append(
                GrantedRight(
                    subject_id=subject.id,
                    subject_name=subject.name,
                    subject_type=subject.service_client_type,
                    local_group_code=subject.local_group_code,
                    service_code=endpoint.service_code,
                    endpoint_id=str(right.endpoint.id),
                    method=endpoint.method,
                    path=endpoint.path,
                    rights_given_at=instant(right.granted_at),
                )
            )
        return found

    async def check(self, call: Call) -> AccessAnswer:
        query = call.query_as(AccessQuery)
        provider = self.context.client(call).id
        serverconf = await asyncio.to_thread(self.context.process.store.load)
        plain, _, version = query.service_code.partition(".")
        candidates = (
            ServiceId(provider, query.service_code, None),
            ServiceId(provider, plain, version or None),
        )
        chosen = next((s for s in candidates if serverconf.service(s) is not None), candidates[0])
        try:
            service = find_service(serverconf, chosen, over_rest=query.method is not None)
            check_access(
                serverconf,
                self.context.configuration(),
                client_id(query.consumer_id),
                service,
                CalledEndpoint(query.method, query.path or "/") if query.method else None,
            )
            check_enabled(service)
        except Fault as fault:
            return AccessAnswer(False, fault.code, fault.detail)
        return AccessAnswer(True)
