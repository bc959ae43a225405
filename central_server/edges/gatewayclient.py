"""Asking providers as an information system does: plain HTTP to a gateway, which signs, logs and sends what is asked."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

import aiohttp

from central_server.registry.descriptions import LARGEST_DESCRIPTION
from schemas import soap
from schemas.faults import BadMessage, Kind, PeerFault, WireFault
from schemas.identifiers import ClientId, ServiceId, quote_path
from schemas.multipart import MultipartParser, PartData, PartStart, parse_content_type

TIMEOUT = aiohttp.ClientTimeout(total=90, sock_connect=10)


@dataclass(frozen=True, slots=True)
class CatalogueGatewayClient:
    """A gateway's consumer address, and the client in whose name is asked."""

    session: aiohttp.ClientSession
    gateway: str
    client: str

    async def get(self, provider: ClientId, code: str, query: str = "") -> tuple[str, bytes]:
        """Media type and body of a REST answer. Raises `PeerFault` for any but 200."""
        url = f"{self.gateway.rstrip('/')}/r1/{quote_path(provider.components)}/{code}{query}"
        headers = {"X-Road-Client": self.client, "Accept": "*/*"}
        async with self.session.get(url, headers=headers, timeout=TIMEOUT, allow_redirects=False) as answer:
            raw = await _read(answer)
            if answer.status != 200:
                text = raw[:300].decode("utf-8", "replace")
                wire = WireFault(
                    answer.headers.get("X-Road-Error", "unknown"), f"{code}: HTTP {answer.status}: {text}"
                )
                raise PeerFault(wire)
            return answer.headers.get("Content-Type", ""), raw

    async def post(self, service: ServiceId, body: str) -> tuple[list[bytes], bytes]:
        """Attachments and envelope of a SOAP answer. Raises `PeerFault` for a fault."""
        client = ClientId(*self.client.split("/"))
        envelope = soap.render_request(client, service, str(uuid.uuid4()), body)
        headers = {"Content-Type": "text/xml; charset=UTF-8"}
        url = f"{self.gateway.rstrip('/')}/"
        async with self.session.post(
            url, data=envelope, headers=headers, timeout=TIMEOUT, allow_redirects=False
        ) as answer:
            parts = _parts(answer.headers.get("Content-Type", ""), await _read(answer))
        parsed = soap.parse_envelope(parts[0])
        if isinstance(parsed, soap.SoapFault):
            code = f"{service.service_code}: {parsed.wire.code}: {parsed.wire.string}"
            raise PeerFault(WireFault(parsed.wire.code, code))
        return parts[1:], parts[0]


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for chunk in answer.content.iter_any():
        content += chunk
        if len(content) > LARGEST_DESCRIPTION + 100_000:
            raise ValueError(f"more than {LARGEST_DESCRIPTION} bytes came")
    return bytes(content)


def _parts(content_type: str, body: bytes) -> list[bytes]:
    media, parameters = parse_content_type(content_type)
    if not media.startswith("multipart/"):
        return [body]
    parser = MultipartParser(parameters.get("boundary", ""))
    events = list(parser.feed(body))
    parser.close()
    found: list[bytearray] = []
    for event in events:
        if isinstance(event, PartStart):
            found.append(bytearray())
        elif isinstance(event, PartData):
            found[-1] += event.data
    if not found:
        raise BadMessage(Kind.INVALID_MESSAGE, "a multipart answer without a part came")
    return [bytes(part) for part in found]
