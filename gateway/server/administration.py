"""What an administrator and the loops use: keys, management requests and what becomes of them, certificate orders, notices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gateway.edges.acmeorders import AcmeOrders, Renewing, renewal_loop
from gateway.health.notifier import Notifier
from gateway.keys.activation import activation_loop
from gateway.keys.operations import KeyOperations
from gateway.management.request_tracker import RequestTracker
from gateway.management.requests import ManagementSender
from gateway.management.sender import HttpManagementChannel
from gateway.server import parts
from gateway.server.state import GatewayState, utc_now
from schemas.management import ManagementRequest, ManagementServiceCode
from serving.process.pace import Pace

if TYPE_CHECKING:
    import aiohttp

    from gateway.keys.model import KeyCertificate
    from gateway.management.requests import SentRequest
    from gateway.server.proofs import Proofs
    from gateway.server.tlscontexts import TlsContexts
    from gateway.settings.config import GatewaySettings
    from serving.process.loops import Loop


class Administration(msgspec.Struct, frozen=True):
    """Keys, management requests, orders of certificates, notices; and the paces of the loops that work on them."""

    state: GatewayState
    proofs: Proofs
    keys: KeyOperations
    management: ManagementSender
    acme: AcmeOrders
    notifier: Notifier
    request_tracker: RequestTracker
    renewal_pace: Pace
    activation_pace: Pace

    @classmethod
    def build(
        cls, state: GatewayState, proofs: Proofs, tls: TlsContexts, session: aiohttp.ClientSession
    ) -> Administration:
        """All of them, as the settings say."""
        settings, folder = state.settings, state.folder
        keys = KeyOperations(state.keyconf, state.tokens, state.key_context(proofs.current, proofs.verify))
        management = ManagementSender(
            proofs.current,
            lambda: proofs.identities,
            state.tokens,
            HttpManagementChannel(session, parts.consumer_url(settings), lambda: tls.own),
            utc_now,
            parts.new_id,
        )
        notifier = Notifier(
            settings.notices,
            state.server_id.path(),
            session,
            utc_now,
            state.environ,
            folder.root / "notices.json",
        )
        request_tracker = RequestTracker(
            state.store,
            state.keyconf,
            keys,
            management,
            proofs.current,
            notifier.notify,
            settings.trust.request_status_s,
        )
        acme = AcmeOrders(settings.acme, folder.root / "acme", state.environ)
        return cls(state, proofs, keys, management, acme, notifier, request_tracker, Pace(), Pace())

    def loops(self) -> list[Loop]:
        """The loops that follow requests, renew certificates and activate those that wait for it."""
        renewing = Renewing(
            self.keys,
            self.state.keyconf,
            self.acme,
            self.proofs.current,
            self._register,
            utc_now,
            self.notifier.notify,
        )
        return [
            self.request_tracker.loop(),
            renewal_loop(lambda: self.state.settings.acme, renewing, self.renewal_pace),
            activation_loop(self.keys, self.notifier.notify, self.activation_pace),
        ]

    def reconfigure(self, settings: GatewaySettings) -> None:
        """Go on with other settings from the next round on."""
        self.keys.take_key_kinds(settings.keys.kinds())
        self.acme.reconfigure(settings.acme)
        self.renewal_pace.changed()
        self.notifier.reconfigure(settings.notices)

    def follow_registration(self, request: ManagementRequest, sent: SentRequest) -> None:
        """Follow the registration of an authentication certificate until it is settled."""
        self.request_tracker.follow_registration(request, sent, utc_now())

    async def _register(self, certificate: KeyCertificate) -> None:
        """Ask the central server to register a renewed authentication certificate at this server's address."""
        configuration, server_id = self.proofs.current(), self.state.server_id
        registered = configuration.server(server_id) if configuration else None
        request = ManagementRequest(
            ManagementServiceCode.AUTH_CERT_REG,
            server_id,
            address=registered.address if registered else None,
            auth_certificate=certificate.der,
        )
        sent = await self.management.send_request(request, auth_key=certificate.key_id)
        self.follow_registration(request, sent)
