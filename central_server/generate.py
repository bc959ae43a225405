"""From the registry to the documents of the configuration: pure."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from schemas.globalconf.anchor import Anchor, AnchorSource
from schemas.globalconf.private import ManagementService, PrivateParameters
from schemas.globalconf.shared import SecurityServer, SharedParameters, Source

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from central_server.registry import Registry


def build_shared(
    registry: Registry, version: int, internal: Sequence[bytes], external: Sequence[bytes]
) -> SharedParameters:
    """Shared parameters of a version; the certificates are those configuration may be verified with."""
    digest_name = "sha1" if version == 2 else "sha256"
    return SharedParameters(
        instance=registry.instance,
        version=version,
        sources=(Source(registry.address, tuple(internal), tuple(external)),),
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
            f"https://{registry.address}:4001/managementservice/", registry.management_service
        ),
        timestamping_interval_s=registry.timestamping_interval_s,
    )


def build_anchor(
    registry: Registry, source: str, certificates: Sequence[bytes], at: datetime, port: int = 80
) -> Anchor:
    """The anchor of the ``internal`` or ``external`` source, http first as clients expect, then https."""
    suffix = "" if port == 80 else f":{port}"
    urls = [f"http://{registry.address}{suffix}/{source}conf"]
    if port == 80:
        urls.append(f"https://{registry.address}/{source}conf")
    return Anchor(registry.instance, tuple(AnchorSource(u, tuple(certificates)) for u in urls), at)
