"""The registry as its own verifier of trust: what gateways will believe, the central server judges requests by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from central_server.publication.generate import build_private, build_shared
from certs.certificates import parse_certificate
from certs.configuration import InstanceConfiguration, TrustedConfiguration
from certs.profiles import STANDARD_PROFILES
from certs.verify import chain as chains
from schemas.faults import Fault
from schemas.globalconf.parts import NEXT_UPDATE_ID
from schemas.globalconf.shared import CURRENT_VERSION

if TYPE_CHECKING:
    from datetime import datetime

    from central_server.registry.model import Registry
    from certs.profiles import CertificateProfiles


def trusted_configuration(
    registry: Registry, profiles: CertificateProfiles = STANDARD_PROFILES
) -> TrustedConfiguration:
    """The registry's content as a configuration to verify by; ``profiles`` read the subjects of signing certificates."""
    own = InstanceConfiguration(build_shared(registry, CURRENT_VERSION), private=build_private(registry))
    parts = {content_id: raw for content_id, _, raw in registry.parts if content_id == NEXT_UPDATE_ID}
    return TrustedConfiguration(registry.instance, {registry.instance: own}, parts, profiles)


def is_auth_certificate(configuration: TrustedConfiguration, der: bytes, now: datetime) -> bool:
    """Whether a certificate is one for authentication, of an approved CA, and valid."""
    try:
        chains.verify_chain(
            parse_certificate(der),
            (),
            configuration,
            configuration.instance,
            now,
            leaf_kind=chains.LeafKind.AUTHENTICATION,
        )
    except Fault:
        return False
    return True
