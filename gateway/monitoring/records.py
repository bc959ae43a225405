"""One operational monitoring record out of an exchange. Pure; no message content goes in. Spec: PR-OPMON 2."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from gateway.exchange.versions import PROXY_VERSION
from schemas.message import Message, MessageProtocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from certs.configuration import TrustedConfiguration
    from gateway.clients.model import ServerConf
    from gateway.exchange.record import ExchangeRecord
    from schemas.identifiers import ClientId
    from schemas.monitoring import Value

PRODUCER = "Producer"
_PARTY = ("XRoadInstance", "MemberClass", "MemberCode", "SubsystemCode")
_SHORT, _LONG = 255, 2048
_COPIED = (
    "securityServerType",
    "requestInTs",
    "requestOutTs",
    "responseInTs",
    "responseOutTs",
    "messageId",
    "xRequestId",
    "succeeded",
    "faultCode",
    "faultString",
    "statusCode",
)


def build_record(
    record: ExchangeRecord,
    serverconf: ServerConf,
    configuration: TrustedConfiguration | None,
    internal_ip: str,
) -> dict[str, Value]:
    """The record's fields as they are kept, without ``monitoringDataTs``.

    ``xRoadVersion`` is that of the protocol spoken, as peers are told: collectors decide by it what else to expect.
    """
    fields: dict[str, Value] = {"securityServerInternalIp": internal_ip, "xRoadVersion": PROXY_VERSION}
    noted = record.fields
    fields |= {name: noted[name] for name in _COPIED if name in noted}
    head = record.head
    if head is not None:
        fields.update(_client_fields("client", head.client))
        fields.update(_client_fields("service", head.service.client))
        fields["serviceCode"] = head.service.service_code
        if head.service.service_version is not None:
            fields["serviceVersion"] = head.service.service_version
        fields |= _addresses(head.client, head.service.client, serverconf, configuration)
        described = serverconf.service(head.service)
        if described is not None:
            fields["serviceType"] = described.type.value
    if isinstance(head, Message):
        fields |= _message_fields(head, is_producer=fields["securityServerType"] == PRODUCER)
    if record.response is not None:
        fields |= _size_fields("response", record.response)
    for name, value in [(n, v) for n, v in fields.items() if v == "" or (type(v) is str and len(v) > _SHORT)]:
        if value:
            fields[name] = str(value)[: _LONG if name == "faultString" else _SHORT]
        else:
            del fields[name]
    return fields


@lru_cache(maxsize=1024)
def _client_fields(prefix: str, client: ClientId) -> Mapping[str, Value]:
    return {f"{prefix}{name}": part for name, part in zip(_PARTY, client.components, strict=False)}


def party_path(fields: Mapping[str, Value], prefix: str) -> str:
    """The ``client`` or ``service`` party of a record as ``instance/class/code[/subsystem]``; empty where it names none."""
    return "/".join(str(fields[f"{prefix}{name}"]) for name in _PARTY if f"{prefix}{name}" in fields)


def _addresses(
    client: ClientId, provider: ClientId, serverconf: ServerConf, configuration: TrustedConfiguration | None
) -> dict[str, Value]:
    """This server's address on its own side; of the other side only where one server alone stands for the client."""
    if configuration is None:
        return {}
    found: dict[str, Value] = {}
    for name, who in (("client", client), ("service", provider)):
        servers = configuration.servers_of(who)
        own = [s for s in servers if s.id == serverconf.server_id and serverconf.client(who) is not None]
        chosen = own or (servers if len(servers) == 1 else [])
        if chosen:
            found[f"{name}SecurityServerAddress"] = chosen[0].address
    return found


def _message_fields(message: Message, *, is_producer: bool) -> dict[str, Value]:
    fields: dict[str, Value] = {
        "messageUserId": message.user_id or "",
        "messageIssue": message.issue or "",
        "messageProtocolVersion": "4.0" if message.protocol is MessageProtocol.SOAP else "1",
    }
    if message.represented_party:
        party_class, _, code = message.represented_party.rpartition("/")
        fields |= {"representedPartyClass": party_class, "representedPartyCode": code}
    fields |= _size_fields("request", message)
    if message.protocol is MessageProtocol.SOAP:
        return fields
    method, rest = (line.decode("utf-8", "replace") for line in message.raw.split(b"\r\n", 2)[:2])
    fields["restMethod"] = method
    if is_producer:
        fields["restPath"] = _path_after_service(rest)
    return fields


def _size_fields(prefix: str, message: Message) -> dict[str, Value]:
    bodies = sum(a.size_bytes for a in message.attachments)
    if message.protocol is not MessageProtocol.SOAP:
        return {f"{prefix}Size": len(message.raw) + bodies}
    fields: dict[str, Value] = {f"{prefix}Size": len(message.raw)}
    if message.attachments:
        fields[f"{prefix}MimeSize"] = len(message.raw) + bodies
        fields[f"{prefix}AttachmentCount"] = len(message.attachments)
    return fields


def _path_after_service(target: str) -> str:
    """The path below the service, without its query: instance, class, member, subsystem and code are said elsewhere."""
    segments = target.partition("?")[0].lstrip("/").split("/")
    return "/" + "/".join(segments[6:])
