"""private-params.xml: what only the security servers of the own instance are told. Versions 2 and 3 differ in nothing
that is written here. Spec: PR-GCONF 4; private-parameters.xsd.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from schemas.faults import BadMessage
from schemas.globalconf.anchor import Anchor, add_anchor, anchor_of
from schemas.globalconf.elements import (
    MANY,
    Child,
    add,
    add_optional,
    base64_of,
    integer,
    malformed,
    new_root,
    parse_root,
    take,
    text,
    to_bytes,
)
from schemas.identifiers import ClientId, append_identifier, parse_client_element


class ManagementService(msgspec.Struct, frozen=True):
    """The destination of management requests; the certificate (DER) is the pinned TLS leaf of the registration address."""

    registration_address: str
    provider: ClientId
    registration_certificate: bytes | None = None


@dataclass(frozen=True, slots=True)
class PrivateParameters:
    """An instance's private parameters: its anchors of other instances and its management service (PR-GCONF 4)."""

    instance: str
    management_service: ManagementService
    timestamping_interval_s: int = 60
    anchors: tuple[Anchor, ...] = ()
    raw: bytes = field(default=b"", repr=False, compare=False)


def parse_private(raw: bytes) -> PrivateParameters:
    """Read private parameters. Raises `Fault` (``malformed_global_conf``)."""
    root = parse_root(raw, "conf", "private parameters")
    found = take(
        root,
        (
            Child("instanceIdentifier"),
            Child("configurationAnchor", 0, MANY),
            Child("managementService"),
            Child("timeStampingIntervalSeconds"),
        ),
        open_end=True,
    )
    service = take(
        found["managementService"][0],
        (
            Child("authCertRegServiceAddress"),
            Child("authCertRegServiceCert", 0),
            Child("managementRequestServiceProviderId"),
        ),
    )
    certificate = service["authCertRegServiceCert"]
    try:
        provider = parse_client_element(service["managementRequestServiceProviderId"][0])
    except BadMessage as fault:
        raise malformed(f"private parameters: {fault.detail}") from fault
    return PrivateParameters(
        instance=text(found["instanceIdentifier"]),
        management_service=ManagementService(
            text(service["authCertRegServiceAddress"]),
            provider,
            base64_of(certificate[0]) if certificate else None,
        ),
        timestamping_interval_s=integer(found["timeStampingIntervalSeconds"]),
        anchors=tuple(anchor_of(e) for e in found["configurationAnchor"]),
        raw=raw,
    )


def render_private(private: PrivateParameters) -> bytes:
    """The document, the same for every version."""
    root = new_root("conf")
    add(root, "instanceIdentifier", private.instance)
    for anchor in private.anchors:
        add_anchor(add(root, "configurationAnchor"), anchor)
    service = add(root, "managementService")
    add(service, "authCertRegServiceAddress", private.management_service.registration_address)
    add_optional(service, "authCertRegServiceCert", private.management_service.registration_certificate)
    append_identifier(service, "managementRequestServiceProviderId", private.management_service.provider)
    add(root, "timeStampingIntervalSeconds", private.timestamping_interval_s)
    return to_bytes(root)
