"""Which consumer system may speak for which client: connection types and internal certificates.

The certificate is compared byte for byte with those registered for the client: no path, no name. Spec: UG-SS 9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gateway.clients.model import Client, ConnectionType
from schemas.faults import Fault, Kind

if TYPE_CHECKING:
    from collections.abc import Collection


class ConsumerConnection(msgspec.Struct, frozen=True):
    """A consumer system's connection: over TLS or not, and the certificate (DER) that it showed, if any."""

    over_tls: bool
    certificate: bytes | None = None


def check_consumer_system(
    client: Client, connection: ConsumerConnection, own_certificates: Collection[bytes] = ()
) -> None:
    """Refuse a system that did not connect as its client's connection type demands. Raises `Fault` (``ssl_authentication_failed``).

    ``own_certificates`` (DER) are this server's internal ones, which always pass.
    """
    if client.connection is ConnectionType.HTTP:
        return
    name = client.id.path()
    if not connection.over_tls:
        raise Fault(
            Kind.SSL_AUTHENTICATION_FAILED,
            f"client {name} is set to {client.connection}: its systems must use HTTPS; this request came over HTTP",
        )
    if client.connection is ConnectionType.HTTPS_NO_AUTH:
        return
    if connection.certificate is None:
        raise Fault(
            Kind.SSL_AUTHENTICATION_FAILED,
            f"client {name} is set to HTTPS with certificate; the system showed no certificate",
        )
    if connection.certificate in own_certificates or connection.certificate in client.certificates:
        return
    raise Fault(
        Kind.SSL_AUTHENTICATION_FAILED,
        f"the certificate the system showed is not among the {len(client.certificates)} registered "
        f"for client {name}",
    )
