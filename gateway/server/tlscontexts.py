"""The TLS contexts of a running gateway: what it shows to security servers, and what to information systems.

Each listener has one context for good, whose key pair and trust are swapped between two handshakes; connections that are
open keep what they began with.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from certs.certificates import der_of
from certs.systemtls import SystemServerContext
from certs.tls import (
    PEER_RULES,
    SYSTEM_RULES,
    SwappableServerContext,
    peer_client_context,
    peer_server_context,
    provider_client_context,
)
from schemas.faults import Fault, Kind, NotProved

if TYPE_CHECKING:
    import ssl

    from certs.configuration import TrustedConfiguration
    from certs.tls import TlsCredentials, TlsRules
    from gateway.edges.internaltls import InternalTls
    from gateway.keys.identities import OwnIdentities


class TlsContexts:
    """All of them. `take_internal` and `take_credentials` bring them up to date."""

    def __init__(
        self, internal: InternalTls, peers: TlsRules = PEER_RULES, systems: TlsRules = SYSTEM_RULES
    ) -> None:
        self.internal = internal
        self._peers = peers
        self.own: TlsCredentials = internal.current
        self.own_ders = (der_of(self.own.chain[0]),)
        self.provider: ssl.SSLContext = provider_client_context(self.own)
        self.system = SystemServerContext(self.own, systems)
        self.peer = SwappableServerContext(peer_server_context(self.own, (), peers))
        self._peer_client: ssl.SSLContext | None = None
        self._key: object = None

    def peer_client(self) -> ssl.SSLContext:
        """The context for calling security servers. Raises `NotProved` while there is nothing to show them."""
        if self._peer_client is None:
            raise NotProved(
                Kind.SSL_AUTHENTICATION_FAILED,
                "this security server has no usable authentication certificate yet",
            )
        return self._peer_client

    def take_internal(self) -> None:
        """Show the internal TLS certificate that is kept now, from the next handshake on."""
        self.internal.settle()
        kept = self.internal.current
        if kept.chain != self.own.chain:
            self.own = kept
            self.own_ders = (der_of(kept.chain[0]),)
            self.provider = provider_client_context(kept)
            self.system.swap(kept)

    def take_credentials(self, identities: OwnIdentities, configuration: TrustedConfiguration) -> None:
        """Show security servers the authentication certificate in use, and trust the CAs approved now."""
        with contextlib.suppress(Fault):  # what is in the way is among the problems
            credentials = identities.tls_credentials()
            key = (identities.tls_key(), configuration.all_ca_certificates())
            if key != self._key:
                trusted = configuration.all_ca_certificates()
                self.peer.swap(peer_server_context(credentials, trusted, self._peers))
                self._peer_client = peer_client_context(credentials, self._peers)
                self._key = key
