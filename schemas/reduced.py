"""A message by its headers alone, for a log that may not keep its content.

REST: the method or status, the path up to the service, and X-Road's own headers. SOAP: the X-Road headers and a body with one
empty element, named after the service. What is left is no longer what was signed; its digest, kept beside it, still is.

Spec: UG-SYSPAR 3.7.1; X-Road 7.8's MessageBodyManipulator and RestMessage.getFilteredMessage.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from schemas.faultxml import SOAP_NS
from schemas.identifiers import ID_NS, render_identifier_parts
from schemas.message import Message, MessageProtocol
from schemas.soap import PROTOCOL_VERSION
from schemas.soapenvelope import REPRESENTATION_NS, XROAD_NS

if TYPE_CHECKING:
    from schemas.identifiers import ClientId, ServerId, ServiceId

# Instance, class, member, subsystem and service, after the empty one and r1.
_SERVICE_SEGMENTS = 7


def reduce_message(message: Message) -> bytes:
    """The headers of a message as bytes of its own protocol."""
    return _reduced_soap(message) if message.protocol is MessageProtocol.SOAP else _reduced_rest(message.raw)


def _reduced_rest(raw: bytes) -> bytes:
    first, second, *headers = raw.split(b"\r\n")
    if second.startswith(b"/"):
        second = b"/".join(second.partition(b"?")[0].split(b"/")[:_SERVICE_SEGMENTS])
    kept = [h for h in headers if h.lower().startswith(b"x-road-")]
    return b"".join(line + b"\r\n" for line in (first, second, *kept))


def _reduced_soap(message: Message) -> bytes:
    name = message.service.service_code + ("Response" if message.is_response else "")
    fields = "".join(
        f"<xroad:{field}>{escape(value)}</xroad:{field}>"
        for field, value in (
            ("id", message.message_id),
            ("userId", message.user_id),
            ("issue", message.issue),
            ("protocolVersion", PROTOCOL_VERSION),
        )
        if value is not None
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<soap:Envelope xmlns:soap="{SOAP_NS}" xmlns:xroad="{XROAD_NS}" xmlns:id="{ID_NS}">'
        f"<soap:Header>{_identifier('client', message.client)}{_identifier('service', message.service)}"
        f"{'' if message.security_server is None else _identifier('securityServer', message.security_server)}"
        f"{_represented_party(message.represented_party)}{fields}</soap:Header>"
        f"<soap:Body><{name}/></soap:Body></soap:Envelope>"
    ).encode()


def _identifier(name: str, identifier: ClientId | ServerId | ServiceId) -> str:
    parts = "".join(f"<id:{n}>{escape(v)}</id:{n}>" for n, v in render_identifier_parts(identifier))
    return f'<xroad:{name} id:objectType="{identifier.object_type}">{parts}</xroad:{name}>'


def _represented_party(value: str | None) -> str:
    if not value:
        return ""
    party_class, _, code = value.rpartition("/")
    party = f"<repr:partyClass>{escape(party_class)}</repr:partyClass>" if party_class else ""
    return (
        f'<repr:representedParty xmlns:repr="{REPRESENTATION_NS}">{party}'
        f"<repr:partyCode>{escape(code)}</repr:partyCode></repr:representedParty>"
    )
