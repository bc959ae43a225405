"""Who may call what: access rights of a consumer's client to an endpoint of a local service.

Pure: a snapshot of the server configuration, the global configuration (for global groups) and the request go in;
nothing or `Fault` comes out. Matching is exact. A path that servers read in several ways (an encoded slash, path
parameters) needs a right to each of them. A member in a group does not stand for its subsystems.

Spec: PR-REST 4.2, UG-SS 7; order of the checks as X-Road's server proxy has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from gateway.clients.globs import compile_glob
from schemas.faults import Fault, Kind
from schemas.identifiers import ClientId, GlobalGroupId, ServiceId
from schemas.target import Reading, ServiceTarget, loosened, parse_service_target

if TYPE_CHECKING:
    from gateway.clients.model import AccessRight, Endpoint, ServerConf, Service


class CalledEndpoint(NamedTuple):
    """Method and path after the service code, still percent-encoded, that a REST request calls.

    ``overriding`` names what may lead the system to another method or path (`schemas.headers.overriding_of`).
    """

    method: str
    path: str
    overriding: str | None = None


class GlobalGroups(Protocol):
    """The port of an access decision to the global configuration."""

    def in_global_group(self, client: ClientId, group: GlobalGroupId) -> bool:
        """Whether the global configuration lists the client, exactly, in the group."""
        ...


def build_unknown_service(service_id: ServiceId) -> Fault:
    """The refusal of a service that is not here; it begins with X-Road's words, which systems are known to look for."""
    return Fault(
        Kind.UNKNOWN_SERVICE,
        f"Unknown service: SERVICE:{service_id.path()}: this security server does not have it",
    )


def find_service(serverconf: ServerConf, service_id: ServiceId, *, over_rest: bool) -> Service:
    """The service, which must exist here and speak the protocol of the request. Raises `Fault` (``service_type``)."""
    service = serverconf.service(service_id)
    if service is None:
        raise build_unknown_service(service_id)
    if service.type.is_rest != over_rest:
        used, needed = ("REST", "SOAP") if over_rest else ("SOAP", "REST")
        raise Fault(
            Kind.SERVICE_TYPE, f"service {service_id.path()} speaks {needed}; the request came over {used}"
        )
    return service


def check_access(
    serverconf: ServerConf,
    groups: GlobalGroups,
    client: ClientId,
    service: Service,
    called: CalledEndpoint | None = None,
) -> None:
    """Refuse a client without a right to the endpoint that the request falls under, however its path may be read.

    Without ``called`` only a right to the whole service counts, as for SOAP; so it is for a request in which something
    may lead the system to another endpoint. Raises `Fault` (``access_denied``).
    """
    target = parse_service_target("" if called is None else called.path)
    overriding = None if called is None else called.overriding
    method = None if called is None or overriding is not None else called.method
    rights = [
        right.endpoint
        for right in serverconf.rights_of(service.id.client, service.id.service_code)
        if _is_subject(serverconf, groups, client, right)
    ]
    if all(any(_covers(e, method, target, reading) for e in rights) for reading in target.readings):
        return
    endpoint = "" if called is None else f"{called.method} {called.path or '/'} of "
    why = (
        ""
        if overriding is None
        else f"; {overriding[:80]} may lead the system to another endpoint, so only a right to the whole service counts: leave it out"
    )
    raise Fault(
        Kind.ACCESS_DENIED,
        f"Request is not allowed: SERVICE:{service.id.path()}: "
        f"client {client.path()} has no access right to {endpoint}it{why}",
    )


def endpoints_granted(
    serverconf: ServerConf, groups: GlobalGroups, client: ClientId, provider: ClientId, service_code: str
) -> tuple[Endpoint, ...]:
    """The endpoints of a service that a client's rights cover; the base endpoint covers every one."""
    rights = serverconf.rights_of(provider, service_code)
    return tuple(r.endpoint for r in rights if _is_subject(serverconf, groups, client, r))


def check_enabled(service: Service) -> None:
    """Refuse a service that its provider has disabled, with the provider's notice. Raises `Fault` (``service_disabled``)."""
    if service.disabled is not None:
        raise Fault(Kind.SERVICE_DISABLED, f"service {service.id.path()} is disabled: {service.disabled}")


def pattern_fits(pattern: str, target: ServiceTarget, reading: Reading) -> bool:
    """Whether a path pattern covers one reading of a path. No pattern but ``**`` covers empty segments."""
    if pattern == "**":
        return True
    if target.has_empty_segment:
        return False
    right_path = loosened(pattern) if reading.loose else pattern
    return compile_glob(right_path).fits(reading.path)


def _covers(endpoint: Endpoint, method: str | None, target: ServiceTarget, reading: Reading) -> bool:
    if endpoint.is_base:
        return True
    return (
        method is not None
        and endpoint.method.upper() in ("*", method.upper())
        and pattern_fits(endpoint.path, target, reading)
    )


def _is_subject(serverconf: ServerConf, groups: GlobalGroups, client: ClientId, right: AccessRight) -> bool:
    subject = right.subject
    if isinstance(subject, ClientId):
        return subject == client
    if isinstance(subject, GlobalGroupId):
        return groups.in_global_group(client, subject)
    return serverconf.in_local_group(right.provider, subject, client)
