"""``/diagnostics``: whether the registration service, the configuration's sources and other security servers are reached."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import aiohttp
import msgspec

from gateway.admin.context import AdminContext, client_id, row
from gateway.admin.diagnostics import failure_code
from gateway.admin.values import CodeWithMetadata, EncodedId
from gateway.edges.probing import Probe, probe_rest, probe_soap
from schemas.faults import Fault, UnexpectedStatus
from schemas.globalconf.anchor import parse_anchor
from schemas.identifiers import ServerId
from serving.api.problems import bad_request
from serving.process.failing import FailureReason, fault_causes, reason_of
from serving.process.outward import outward_session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serving.api.operations import Call, Operation

CHECK_S = 10.0


class ConnectionStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whether something can be reached."""

    status_class: str
    error: CodeWithMetadata | None = None


class GlobalConfConnection(msgspec.Struct, frozen=True):
    """Whether a source of the configuration can be reached."""

    download_url: str
    connection_status: ConnectionStatus


class OtherServerQuery(msgspec.Struct, frozen=True):
    """Which server to ask, as whom, how."""

    protocol_type: Literal["REST", "SOAP"]
    client_id: EncodedId
    target_client_id: EncodedId
    security_server_id: EncodedId


@dataclass(frozen=True, slots=True)
class Connections:
    """The handlers of ``/diagnostics`` that try a connection when they are called."""

    context: AdminContext

    def rows(self) -> Sequence[Operation]:
        """The rows of these handlers: path, right, input, answer."""
        base, may = "/diagnostics", "DIAGNOSTICS"
        return [
            row("GET", base + "/auth-cert-req-status", self.registration, "Can the registration service be reached",
                may, answer=ConnectionStatus),
            row("GET", base + "/global-conf-status", self.sources, "Can the configuration's sources be reached", may,
                answer=list[GlobalConfConnection]),
            row("GET", base + "/other-security-server-status", self.other, "Does another security server answer", may,
                query=OtherServerQuery, answer=ConnectionStatus),
        ]  # fmt: skip

    async def registration(self, _call: Call) -> ConnectionStatus:
        private = self.context.configuration().private
        service = None if private is None else private.management_service
        if service is None or service.registration_certificate is None:
            nobody = "the global configuration names no registration service"
            return failure(FailureReason(nobody, ("not_in_configuration",)))
        try:
            await self.context.gateway.management.channel.get_pinned(
                service.registration_address, service.registration_certificate
            )
        except Fault as fault:
            return failure(reason_of(fault))
        return ConnectionStatus("OK")

    async def sources(self, _call: Call) -> list[GlobalConfConnection]:
        raw = self.context.process.anchor()
        urls = [s.download_url for s in parse_anchor(raw).sources] if raw else []
        async with outward_session(timeout=aiohttp.ClientTimeout(total=CHECK_S)) as session:
            states = await asyncio.gather(*(_reach(session, url) for url in urls))
        return [GlobalConfConnection(url, state) for url, state in zip(urls, states, strict=True)]

    async def other(self, call: Call) -> ConnectionStatus:
        query = call.query_as(OtherServerQuery)
        server = server_of(query.security_server_id)
        probe = Probe(client_id(query.client_id), client_id(query.target_client_id), server)
        channel = self.context.gateway.management.channel
        found = await (
            probe_rest(channel, probe)
            if query.protocol_type == "REST"
            else probe_soap(channel, probe, str(uuid.uuid4()))
        )
        if found is None:
            return ConnectionStatus("OK")
        causes = found.causes or fault_causes(found.code)
        return ConnectionStatus("FAIL", CodeWithMetadata(found.code, [found.detail, *causes]))


def server_of(text: str) -> ServerId:
    """A security server from ``INST:CLASS:CODE:SERVER``. Raises `Problem` (``invalid_encoded_id``)."""
    parts = text.split(":")
    if len(parts) != 4 or not all(part.strip() for part in parts):
        raise bad_request("invalid_encoded_id", text)
    return ServerId(*parts)


def failure(reason: FailureReason) -> ConnectionStatus:
    """The answer of a connection test that failed, with its reason."""
    return ConnectionStatus("FAIL", failure_code(reason))


async def _reach(session: aiohttp.ClientSession, url: str) -> ConnectionStatus:
    try:
        async with session.get(url, allow_redirects=False) as answer:
            if answer.status == 200:
                return ConnectionStatus("OK")
            raise UnexpectedStatus(answer.status)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as err:
        return failure(reason_of(err, f"{url} was not reached"))
