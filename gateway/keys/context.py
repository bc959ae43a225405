"""What operations on keys ask of the rest of the server, and of the CAs that take orders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from gateway.keys.model import KeyUsage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from datetime import datetime

    from cryptography import x509

    from certs.configuration import TrustedConfiguration
    from schemas.globalconf.shared import ApprovedCa
    from schemas.identifiers import ClientId, ServerId


_KINDS: Mapping[KeyUsage | None, str] = {
    KeyUsage.SIGNING: "rsa-2048",
    KeyUsage.AUTHENTICATION: "rsa-2048",
    None: "rsa-2048",
}


class KeyContext(msgspec.Struct, frozen=True):
    """The ports of key operations to the rest of the server. ``verify`` proves a certificate good by OCSP, or raises."""

    now: Callable[[], datetime]
    new_id: Callable[[], str]
    server_id: Callable[[], ServerId]
    configuration: Callable[[], TrustedConfiguration | None]
    is_local_member: Callable[[ClientId], bool]
    verify: Callable[[x509.Certificate], Awaitable[None]] | None = None
    key_kinds: Mapping[KeyUsage | None, str] = msgspec.field(default_factory=lambda: dict(_KINDS))
    # Settings that may change while running.
    has_pin_policy: Callable[[], bool] = lambda: False
    activates: Callable[[], bool] = lambda: False


class Orders(Protocol):
    """The port that orders certificates from CAs (RFC 8555)."""

    async def order(
        self, ca: ApprovedCa, usage: KeyUsage, member: ClientId | None, request_der: bytes
    ) -> bytes:
        """The certificate (PEM) for a request. Raises `Refused` (``acme.*``)."""
        ...
