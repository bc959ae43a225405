"""Asking another member's server, as a client of this one, for access to a service, how that stands, and which services it offers.

Each question is a REST message through this server's own consumer side, so it is signed, proved and logged like any other. Offered
services come from ``listMethods``, which every X-Road security server answers; ``requestAccess`` is `schemas.accessrequests`. What is
no good answer raises `Refused` (``access_request_not_answered``) with the peer's fault.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from gateway.edges.probing import LIST_METHODS
from gateway.refusals import GatewayCode
from schemas.accessrequests import REQUEST_ACCESS, AccessQuestion, AccessRequestState
from schemas.faults import Fault, UnexpectedStatus
from schemas.jsontext import decode_json, encode_json, load_json
from schemas.metadata import ListedService, parse_services_json
from serving.errors import Refused
from serving.language import N_
from serving.process.failing import FailureReason, fault_causes, reason_of

if TYPE_CHECKING:
    from gateway.management.requests import ManagementChannel
    from schemas.identifiers import ClientId


async def list_offered_services(
    channel: ManagementChannel, client: ClientId, provider: ClientId
) -> tuple[ListedService, ...]:
    """The REST services of a provider, whoever may call them. Raises `Refused`."""
    raw = await _ask(channel, client, provider, LIST_METHODS)
    try:
        return parse_services_json(raw)
    except Fault as fault:
        raise _refused(reason_of(fault, fault.code)) from fault


async def ask_for_access(
    channel: ManagementChannel, client: ClientId, provider: ClientId, question: AccessQuestion
) -> AccessRequestState:
    """Send a request for access; how it stands now. Raises `Refused`."""
    return _parse_state(await _ask(channel, client, provider, REQUEST_ACCESS, body=encode_json(question)))


async def read_access_request(
    channel: ManagementChannel, client: ClientId, provider: ClientId, service_code: str
) -> AccessRequestState:
    """The state of the client's request for a service at the provider. Raises `Refused`, also when it never asked."""
    query = f"?serviceCode={quote(service_code, safe='')}"
    return _parse_state(await _ask(channel, client, provider, REQUEST_ACCESS, query))


async def _ask(
    channel: ManagementChannel,
    client: ClientId,
    provider: ClientId,
    code: str,
    query: str = "",
    body: bytes | None = None,
) -> bytes:
    """The body of a good answer to one message."""
    headers = {"Accept": "application/json", "X-Road-Client": _path(client.components)}
    if body is not None:
        headers["Content-Type"] = "application/json"
    try:
        status, answer = await channel.ask_own(
            f"/r1/{_path((*provider.components, code))}{query}", headers, body
        )
    except Fault as fault:
        raise _refused(reason_of(fault, fault.code)) from fault
    if status == 200:
        return answer
    try:
        problem = load_json(answer)
        reason = FailureReason(f"{problem['type']}: {problem['message']}", fault_causes(str(problem["type"])))
    except (ValueError, KeyError, TypeError):
        reason = reason_of(UnexpectedStatus(status))
    raise _refused(reason)


def _parse_state(raw: bytes) -> AccessRequestState:
    try:
        return decode_json(raw, AccessRequestState)
    except (msgspec.DecodeError, UnicodeDecodeError) as err:
        raise _refused(reason_of(err, "the provider's answer cannot be read")) from err


def _refused(reason: FailureReason) -> Refused:
    short = FailureReason(reason.detail[:1000], reason.causes)
    return Refused(
        GatewayCode.ACCESS_REQUEST_NOT_ANSWERED, N_("the provider's gateway gave no answer: {why}", why=short)
    )


def _path(components: tuple[str, ...]) -> str:
    return "/".join(quote(part, safe="") for part in components)
