"""Gathers every member's service descriptions through a gateway, as any consumer would: signed, logged, allowed.

Each subsystem registered at a server is asked for its REST and its SOAP services and for their descriptions; a service
whose provider has no description for it is listed without. Who cannot be asked is kept as unreachable with the reason;
nothing known is forgotten for it.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

import aiohttp

from central_server.catalogue import LARGEST_DESCRIPTION
from central_server.store.loading import load_registry
from central_server.store.records import Actor
from central_server.store.services import FoundService, record_provider, record_unreachable
from schemas import metadata, soap
from schemas.faults import BadMessage, Fault, Kind
from schemas.identifiers import ClientId, ServiceId, quote_path
from schemas.multipart import MultipartParser, PartData, PartStart, parse_content_type
from schemas.soapenvelope import XROAD_NS

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from central_server.config import Catalogue
    from central_server.store.records import CentralStore

log = logging.getLogger("central_server.catalogue")

TIMEOUT = aiohttp.ClientTimeout(total=90, sock_connect=10)
AT_ONCE = 8
ACTOR = Actor("service catalogue")
_FIRST_WAIT_S = 30.0


class _Refused(ValueError):  # noqa: N818  a provider's no
    """The provider answered, and did not give what was asked for."""


@dataclass(frozen=True, slots=True)
class Gatherer:
    """Asks every provider, again and again."""

    store: CentralStore
    settings: Catalogue
    clock: Callable[[], datetime]

    async def run(self) -> None:
        """Gather for ever, or never when no gateway is set."""
        if not self.settings.gateway:
            await asyncio.Event().wait()
        await asyncio.sleep(min(_FIRST_WAIT_S, self.settings.interval_s))
        async with aiohttp.ClientSession(trust_env=False, cookie_jar=aiohttp.DummyCookieJar()) as session:
            while True:
                try:
                    await self.gather(session)
                except (Fault, ValueError, LookupError) as err:
                    log.error("gathering failed", extra={"event": "catalogue", "reason": str(err)})
                await asyncio.sleep(self.settings.interval_s)

    async def gather(self, session: aiohttp.ClientSession) -> tuple[int, int]:
        """Ask every provider once; how many were reached and how many were not."""
        registry = load_registry(self.store.read())
        providers = sorted({c for s in registry.servers for c in (*s.clients, s.id.owner)})
        gate = asyncio.Semaphore(AT_ONCE)

        async def ask(provider: ClientId) -> bool:
            async with gate:
                return await self._ask(session, provider)

        reached = await asyncio.gather(*(ask(p) for p in providers))
        return sum(reached), len(reached) - sum(reached)

    async def _ask(self, session: aiohttp.ClientSession, provider: ClientId) -> bool:
        try:
            found = [] if provider.is_member else await self._rest(session, provider)
            found += await self._soap(session, provider)
        except (Fault, aiohttp.ClientError, TimeoutError, OSError, ValueError) as err:
            detail = err.detail if isinstance(err, Fault) else str(err) or type(err).__name__
            with self.store.change(ACTOR, self.clock(), publishes=False) as records:
                record_unreachable(records, provider, detail)
            return False
        with self.store.change(ACTOR, self.clock(), publishes=False) as records:
            record_provider(records, provider, found)
        return True

    # REST

    async def _rest(self, session: aiohttp.ClientSession, provider: ClientId) -> list[FoundService]:
        _, raw = await self._get(session, provider, metadata.LIST_METHODS)
        found = []
        for listed in metadata.parse_services_json(raw):
            if listed.type != "OPENAPI":
                found.append(FoundService(listed.id, "REST"))
                continue
            query = f"?serviceCode={quote(listed.id.service_code, safe='')}"
            try:
                media_type, description = await self._get(session, provider, metadata.GET_OPENAPI, query)
            except _Refused as err:
                _without(listed.id, err)
                media_type, description = "", b""
            found.append(FoundService(listed.id, "OPENAPI", media_type, description))
        return found

    async def _get(
        self, session: aiohttp.ClientSession, provider: ClientId, code: str, query: str = ""
    ) -> tuple[str, bytes]:
        url = f"{self.settings.gateway.rstrip('/')}/r1/{quote_path(provider.components)}/{code}{query}"
        headers = {"X-Road-Client": self.settings.client, "Accept": "*/*"}
        async with session.get(url, headers=headers, timeout=TIMEOUT, allow_redirects=False) as answer:
            raw = await _read(answer)
            if answer.status != 200:
                raise _Refused(f"{code}: HTTP {answer.status}: {raw[:300].decode('utf-8', 'replace')}")
            return answer.headers.get("Content-Type", ""), raw

    # SOAP

    async def _soap(self, session: aiohttp.ClientSession, provider: ClientId) -> list[FoundService]:
        body = f'<xroad:{metadata.LIST_METHODS} xmlns:xroad="{XROAD_NS}"/>'
        _, raw = await self._post(session, ServiceId(provider, metadata.LIST_METHODS), body)
        found = []
        for service in metadata.parse_services_body(raw):
            wanted = metadata.render_get_wsdl_body(service.service_code, service.service_version)
            attachments: list[bytes] = []
            try:
                attachments, _ = await self._post(session, ServiceId(provider, metadata.GET_WSDL), wanted)
            except _Refused as err:
                _without(service, err)
            found.append(FoundService(service, "WSDL", "text/xml", attachments[0] if attachments else b""))
        return found

    async def _post(
        self, session: aiohttp.ClientSession, service: ServiceId, body: str
    ) -> tuple[list[bytes], bytes]:
        client = ClientId(*self.settings.client.split("/"))
        envelope = soap.render_request(client, service, str(uuid.uuid4()), body)
        headers = {"Content-Type": "text/xml; charset=UTF-8"}
        async with session.post(
            f"{self.settings.gateway.rstrip('/')}/", data=envelope, headers=headers, timeout=TIMEOUT
        ) as answer:
            parts = _parts(answer.headers.get("Content-Type", ""), await _read(answer))
        parsed = soap.parse_envelope(parts[0])
        if isinstance(parsed, soap.SoapFault):
            raise _Refused(f"{service.service_code}: {parsed.wire.code}: {parsed.wire.string}")
        return parts[1:], parts[0]


def _without(service: ServiceId, err: _Refused) -> None:
    log.info(
        "service without a description",
        extra={"event": "catalogue", "service": service.path(), "reason": str(err)},
    )


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
