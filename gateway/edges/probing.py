"""Asking another security server what it lists, as a client of this one: whether messages get there and back.

The question is ``listMethods``, which every X-Road security server answers without an access right. It goes through this
server's own consumer side, so everything an exchange needs is tried: keys, proofs, message log, network, and the peer's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from schemas import soap
from schemas.faults import Fault, UnexpectedStatus
from schemas.faultxml import parse_soap_fault
from schemas.identifiers import ServiceId
from schemas.jsontext import load_json
from schemas.soapenvelope import XROAD_NS
from serving.process.failing import causes_of

if TYPE_CHECKING:
    from gateway.management.requests import ManagementChannel
    from schemas.identifiers import ClientId, ServerId

LIST_METHODS = "listMethods"


@dataclass(frozen=True, slots=True)
class Probe:
    """Who asks, whom, and on which of his servers."""

    client: ClientId
    target: ClientId
    server: ServerId


@dataclass(frozen=True, slots=True)
class Failed:
    """The fault that came back instead of a list: its code and its text; causes where more than its code is known."""

    code: str
    detail: str
    causes: tuple[str, ...] = ()


async def probe_rest(channel: ManagementChannel, probe: Probe) -> Failed | None:
    """Ask over REST; None when the answer was good."""
    path = "/r1/" + "/".join(quote(part, safe="") for part in (*probe.target.components, LIST_METHODS))
    headers = {
        "Accept": "application/json",
        "X-Road-Client": _header(probe.client.components),
        "X-Road-Security-Server": _header(probe.server.components),
    }
    try:
        status, body = await channel.ask_own(path, headers)
    except Fault as fault:
        return Failed(fault.code, fault.detail, causes_of(fault))
    if status == 200:
        return None
    try:
        answer = load_json(body)
        return Failed(str(answer["type"]), str(answer["message"]))
    except (ValueError, KeyError, TypeError):
        unexpected = UnexpectedStatus(status)
        return Failed("network_error", str(unexpected), causes_of(unexpected))


async def probe_soap(channel: ManagementChannel, probe: Probe, message_id: str) -> Failed | None:
    """Ask over SOAP; None when the answer was good."""
    body = f'<xroad:{LIST_METHODS} xmlns:xroad="{XROAD_NS}"/>'
    service = ServiceId(probe.target, LIST_METHODS)
    raw = soap.render_request(probe.client, service, message_id, body, security_server=probe.server)
    try:
        _, answer = await channel.send_message(soap.CONTENT_TYPE, raw)
        found = parse_soap_fault(answer)
    except Fault as fault:
        return Failed(fault.code, fault.detail, causes_of(fault))
    return None if found is None else Failed(found.code, found.string)


def _header(components: tuple[str, ...]) -> str:
    return "/".join(quote(part, safe="") for part in components)
