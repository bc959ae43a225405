"""What a gateway offers to a catalogue of services: each service of a provider, and where its description stands.

One JSON document a provider, over the message exchange: ``/r1/.../getCatalogue``. With ``serviceCode`` (and
``serviceVersion``) the same service answers the description itself, without what may name a person: contacts, examples,
comments and mail addresses, and without the addresses of the provider's systems. A digest tells whether a description
has changed since it was gathered. This service is this software's own; X-Road's gateways answer that it is unknown.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

import msgspec

from schemas.faults import BadMessage, Kind
from schemas.identifiers import ClientId, ServiceId
from schemas.jsontext import decode_json, encode_json

GET_CATALOGUE = "getCatalogue"


class DescriptionType(enum.StrEnum):
    """The language of a description."""

    REST = "REST"
    OPENAPI3 = "OPENAPI3"
    WSDL = "WSDL"


class CatalogueEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A method and a path pattern."""

    method: str
    path: str


class CatalogueService(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One service. ``digest`` is the SHA-256 (hex) of the description as offered here; empty when there is none."""

    service_code: str
    type: DescriptionType
    service_version: str | None = None
    title: str = ""
    digest: str = ""
    media_type: str = ""
    # The provider's notice when the service is switched off; empty text when it gave none.
    disabled: str | None = None
    endpoints: tuple[CatalogueEndpoint, ...] = ()


class _Document(msgspec.Struct, frozen=True, kw_only=True):
    provider: str
    services: tuple[CatalogueService, ...]


def render_catalogue(provider: ClientId, services: Sequence[CatalogueService]) -> bytes:
    """The services of a provider as JSON."""
    return encode_json(_Document(provider=provider.path(), services=tuple(services)))


def parse_catalogue(raw: bytes, provider: ClientId) -> tuple[CatalogueService, ...]:
    """The services out of a provider's answer. Raises `BadMessage` (``invalid_message``) on anything else."""
    try:
        document = decode_json(raw, _Document)
        for service in document.services:
            ServiceId(provider, service.service_code, service.service_version)
    except (msgspec.DecodeError, UnicodeDecodeError) as err:
        raise BadMessage(Kind.INVALID_MESSAGE, f"the catalogue is not what it should be: {err}") from err
    if document.provider != provider.path():
        raise BadMessage(
            Kind.INVALID_MESSAGE,
            f"the catalogue is of {document.provider}; that of {provider.path()} was asked for",
        )
    return document.services
