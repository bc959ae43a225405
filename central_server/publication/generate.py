"""From the registry to the documents of the configuration: pure."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from schemas.globalconf.anchor import Anchor, AnchorSource
from schemas.globalconf.private import ManagementService, PrivateParameters
from schemas.globalconf.shared import SecurityServer, SharedParameters

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from central_server.registry.model import Registry


REGISTRATION_PORT = 4001


def host_of(address: str) -> str:
    """The host of an address that may name a port too."""
    return urlsplit(f"//{address}").hostname or address


def build_shared(registry: Registry, version: int) -> SharedParameters:
    """Shared parameters of a version."""
    digest_name = "sha1" if version == 2 else "sha256"
    return SharedParameters(
        instance=registry.instance,
        version=version,
        sources=registry.sources,
        approved_cas=registry.cas,
        approved_tsas=registry.tsas,
        members=registry.members,
        security_servers=tuple(
            SecurityServer(
                s.id,
                s.address,
                frozenset(
                    hashlib.new(digest_name, der, usedforsecurity=False).digest()
                    for der in s.auth_certificates
                ),
                frozenset(s.clients),
                s.maintenance,
            )
            for s in registry.servers
        ),
        global_groups=registry.groups,
        member_classes=registry.member_classes,
        ocsp_freshness_s=registry.ocsp_freshness_s,
    )


def build_private(registry: Registry) -> PrivateParameters:
    """Private parameters, the same for every version."""
    return PrivateParameters(
        instance=registry.instance,
        management_service=ManagementService(
            f"https://{host_of(registry.address)}:{REGISTRATION_PORT}/managementservice/",
            registry.management_service,
            registry.registration_certificate,
        ),
        timestamping_interval_s=registry.timestamping_interval_s,
        anchors=registry.anchors,
    )


def build_anchor(
    instance: str, source: str, nodes: Iterable[tuple[str, Sequence[bytes]]], at: datetime, port: int = 80
) -> Anchor:
    """The anchor of the ``internal`` or ``external`` source: every node's http address, then every https one.

    ``nodes`` are addresses with the certificates each node's configuration may be verified with.
    """
    suffix = "" if port == 80 else f":{port}"
    found = [(address, tuple(certificates)) for address, certificates in nodes]
    urls = [(f"http://{address}{suffix}/{source}conf", certificates) for address, certificates in found]
    if port == 80:
        urls += [(f"https://{address}/{source}conf", certificates) for address, certificates in found]
    return Anchor(instance, tuple(AnchorSource(url, c) for url, c in urls), at)
