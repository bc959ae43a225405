"""What proves this server and others: the global configuration, OCSP responses, and the identities in use."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import msgspec

from certs.edges.configurationfiles import render_verificationconf
from certs.verify import chain as chains
from certs.verify import ocsp
from gateway.keys.identities import OwnIdentities
from gateway.server import parts
from gateway.server.state import GatewayState, utc_now
from schemas.faults import Kind, NotProved

if TYPE_CHECKING:
    from datetime import datetime

    import aiohttp
    from cryptography import x509

    from certs.configuration import TrustedConfiguration
    from gateway.edges.configuration import ConfigurationClient
    from gateway.edges.revocation import OwnRevocation


class Proofs(msgspec.Struct, frozen=True):
    """The configuration's client, the OCSP responses of this server's certificates, and its identities."""

    configuration: ConfigurationClient
    revocation: OwnRevocation
    identities: OwnIdentities

    @classmethod
    def build(cls, state: GatewayState, session: aiohttp.ClientSession) -> Proofs:
        """All of them, as the settings say; nothing is fetched yet."""
        settings = state.settings
        configuration = parts.configuration_client(state, state.store.anchor(), session, utc_now)
        revocation = parts.own_revocation(
            settings, state.folder, session, lambda: configuration.current, utc_now
        )
        identities = OwnIdentities(
            state.tokens,
            revocation,
            lambda: state.server_id,
            settle_s=settings.keys.authentication_settle_s,
        )
        return cls(configuration, revocation, identities)

    def current(self) -> TrustedConfiguration | None:
        """The global configuration in force; None while there is none, or it has expired."""
        return self.configuration.current

    def needed(self) -> TrustedConfiguration:
        """The global configuration in force. Raises `NotProved` (``global_conf_outdated``) when there is none."""
        configuration = self.configuration.current
        if configuration is None:
            raise NotProved(Kind.GLOBAL_CONF_OUTDATED, "there is no global configuration")
        return configuration

    async def verify(self, certificate: x509.Certificate) -> None:
        """Prove a certificate of this server good now, asking its OCSP responder. Raises `NotProved`."""
        configuration = self.needed()
        path = chains.verify_chain(certificate, (), configuration, configuration.instance, utc_now())
        for own, issuer in itertools.pairwise(path):
            await self.revocation.verify(own, issuer)

    def ocsp_status(self, certificate: x509.Certificate, now: datetime) -> ocsp.OcspStatus:
        """The status in the OCSP response at hand for a certificate. Raises `NotProved` when there is none that holds."""
        configuration = self.needed()
        own, issuer, *_ = chains.verify_chain(certificate, (), configuration, configuration.instance, now)
        response = self.revocation.response(own, issuer, now)
        return ocsp.check_response(response, own, issuer, configuration, now)

    def verificationconf(self) -> bytes:
        """The verification configuration as a ZIP archive. Raises `NotProved` without a global configuration."""
        return render_verificationconf(self.needed())
