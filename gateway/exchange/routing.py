"""Which security servers may be asked for a service, and in which order.

Pure: addresses come from the global configuration, the order from what is remembered. Racing connections and
remembering the winner is the business of `gateway.edges.peers`.

Spec: X-Road's client proxy (maintenance mode, explicit security server, fastest connection).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.faults import Fault, Kind

if TYPE_CHECKING:
    from datetime import datetime

    from certs.configuration import TrustedConfiguration
    from schemas.globalconf.shared import SecurityServer
    from schemas.identifiers import ClientId, ServerId


def choose_servers(
    configuration: TrustedConfiguration, provider: ClientId, chosen: ServerId | None
) -> tuple[SecurityServer, ...]:
    """Every security server that may be asked, none of them in maintenance; never empty.

    Raises `Fault`: ``unknown_member``, ``invalid_security_server`` or ``maintenance_mode``.
    """
    if configuration.shared(provider.instance) is None:
        raise Fault(
            Kind.UNKNOWN_MEMBER,
            f"no valid configuration of instance {provider.instance!r} is at hand; "
            f"it is not federated with {configuration.instance!r} or its configuration expired",
        )
    servers = configuration.servers_of(provider)
    if not servers:
        raise Fault(
            Kind.UNKNOWN_MEMBER,
            f"no security server offers {provider.path()}; check the identifier, or ask whether it is registered",
        )
    if chosen is not None:
        servers = tuple(s for s in servers if s.id == chosen)
        if not servers:
            raise Fault(
                Kind.INVALID_SECURITY_SERVER,
                f"security server {chosen.path()} does not serve {provider.path()}",
            )
    awake = tuple(s for s in servers if s.maintenance is None)
    if not awake:
        notice = next((s.maintenance for s in servers if s.maintenance), "no notice given")
        raise Fault(
            Kind.MAINTENANCE_MODE,
            f"every security server of {provider.path()} is in maintenance: {notice}",
        )
    addressed = tuple(s for s in awake if s.address)
    if not addressed:
        raise Fault(
            Kind.UNKNOWN_MEMBER,
            f"no security server of {provider.path()} has an address in the configuration",
        )
    return addressed


def check_registered_here(
    configuration: TrustedConfiguration, own: ServerId, client: ClientId, role: str, kind: Kind
) -> None:
    """Refuse a client that the global configuration does not list on this security server. Raises `Fault` of ``kind``.

    ``role`` is the word for it in the refusal: client or provider.
    """
    server = configuration.server(own)
    if server is None or not (client == server.id.owner or client in server.clients):
        raise Fault(
            kind,
            f"{role} {client.path()} is not registered on this security server ({own.path()}); "
            "its registration may still wait for approval at the central server",
        )


def check_fresh(configuration: TrustedConfiguration | None, now: datetime) -> TrustedConfiguration:
    """The configuration, which must exist and be valid at ``now``. Raises `Fault` (``global_conf_outdated``)."""
    if configuration is None:
        raise Fault(
            Kind.GLOBAL_CONF_OUTDATED,
            "this security server has no valid global configuration yet; check its anchor and the central server",
        )
    configuration.check_fresh(now)
    return configuration
