"""``gateway init --management``: this gateway provides the instance's management services.

What that takes is known from the signed configuration: which subsystem provides them, and the TLS certificate that the
central server shows. The services themselves are read from the central server's WSDL, which names their address.
"""

from __future__ import annotations

import asyncio
import functools
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from gateway.cli.keys import open_store, stored_configuration
from gateway.clients.descriptions.fetching import fetch_description
from gateway.clients.descriptions.reading import COMMAND_LIMITS, DescriptionReader
from gateway.clients.descriptionwriting import DescriptionSource
from gateway.clients.model import ConnectionType, Endpoint, ServiceType
from gateway.clients.registration import DescriptionRegister
from schemas.globalconf.anchor import parse_anchor
from schemas.identifiers import GlobalGroupId
from schemas.management import ManagementServiceCode
from serving.errors import OperatorError
from serving.language import N_, _

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.clients.records import ServiceRecord
    from gateway.clients.store import ServerConfStore
    from gateway.settings.config import GatewaySettings
    from schemas.globalconf.private import ManagementService
    from schemas.identifiers import ClientId

OWNERS_GROUP = "security-server-owners"
WSDL = "/managementservices.wsdl"
# Not of the management service: it is asked for by servers that are not registered yet.
CODES = frozenset(code.value for code in ManagementServiceCode) - {ManagementServiceCode.AUTH_CERT_REG.value}


def provide_management(data: Path, settings: GatewaySettings) -> list[str]:
    """Make this gateway the provider, as far as it is not; what was done, a line each.

    Raises ValueError when the configuration is not there or names another member's subsystem, `Refused` when the
    WSDL cannot be fetched or read.
    """
    found = stored_configuration(data)
    if found is None or found.private is None:
        raise OperatorError(
            N_("there is no global configuration yet, and it says who provides the management services")
        )
    service = found.private.management_service
    store = open_store(data)
    try:
        owner = store.server_id().owner
        if service.provider.member != owner:
            raise OperatorError(
                N_(
                    "the management services are of {path}; this gateway is of {path2}",
                    path=service.provider.path(),
                    path2=owner.path(),
                )
            )
        done = _add_provider(store, service)
        return done + asyncio.run(_add_services(store, settings, service))
    finally:
        store.close()


def _add_provider(store: ServerConfStore, service: ManagementService) -> list[str]:
    """The subsystem as a client, with the central server's certificate as the only one its services may show."""
    done: list[str] = []
    now, provider, shown = datetime.now(UTC), service.provider, service.registration_certificate
    with store.change() as tables:
        if tables.clients.find(provider) is None:
            tables.clients.add(provider, ConnectionType.HTTPS_NO_AUTH, now)
            done.append(_("client {path}", path=provider.path()))
        known = {c.der for c in tables.clients.certificates(provider)}
        if shown is not None and shown not in known:
            tables.clients.add_certificate(provider, shown, now)
            done.append(_("certificate of the central server pinned"))
    return done


async def _add_services(
    store: ServerConfStore, settings: GatewaySettings, service: ManagementService
) -> list[str]:
    provider = service.provider
    there = next((d for d in store.view.descriptions.all(provider) if d.url.endswith(WSDL)), None)
    fetch = functools.partial(fetch_description, settings.descriptions.policy())
    register = DescriptionRegister(store, fetch, DescriptionReader(COMMAND_LIMITS).read)
    done: list[str] = []
    if there is None:
        source = DescriptionSource(ServiceType.WSDL, _central_address(store) + WSDL)
        there = await register.add(provider, source, None, datetime.now(UTC))
        done.append(_("services of {url}", url=there.url))
    host = urlsplit(service.registration_address).hostname
    try:
        for one in there.services:
            _check(one, host)
    except ValueError:
        register.remove(there.id)
        raise
    return done + _open_services(
        store, provider, there.id, settle_tls=service.registration_certificate is not None
    )


def _open_services(
    store: ServerConfStore, provider: ClientId, description: int, *, settle_tls: bool
) -> list[str]:
    """Let every security server's owner call them, switched on; TLS is compared with the pinned certificate."""
    granted = 0
    with store.change() as tables:
        record = tables.descriptions.get(description)
        subject = GlobalGroupId(provider.instance, OWNERS_GROUP)
        for one in record.services:
            if settle_tls and not one.ssl_auth:
                tables.descriptions.update_service(msgspec.structs.replace(one, ssl_auth=True))
            endpoint = tables.endpoints.ensure(provider, Endpoint(one.id.service_code), generated=True)
            if not tables.rights.all(subject=subject, endpoint_id=endpoint.id):
                tables.rights.grant(endpoint, subject, datetime.now(UTC))
                granted += 1
        tables.descriptions.set_disabled(description, disabled=False, notice="")
    if not granted:
        return []
    return [_("{granted} rights for the group {OWNERS_GROUP}", granted=granted, OWNERS_GROUP=OWNERS_GROUP)]


def _check(service: ServiceRecord, host: str | None) -> None:
    """Refuse a WSDL that speaks of anything but the management services at the central server."""
    if service.id.service_code not in CODES or urlsplit(service.url).hostname != host:
        raise OperatorError(
            N_(
                "the central server's WSDL names {service_code} at {url}; management services at {host} were expected",
                service_code=service.id.service_code,
                url=service.url,
                host=host,
            )
        )


def _central_address(store: ServerConfStore) -> str:
    """The address (scheme, host and port) that the anchor names for downloads of the configuration."""
    url = urlsplit(parse_anchor(store.anchor()).sources[0].download_url)
    return f"{url.scheme}://{url.netloc}"
