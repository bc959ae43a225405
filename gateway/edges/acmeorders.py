"""ACME for this server: which account orders from which CA, and the loop that renews before it is too late.

A renewed signing certificate is used as soon as it is good by OCSP. A renewed authentication certificate is registered
through ``register`` and activated once the global configuration lists it; the old one serves until then.
"""

from __future__ import annotations

import hashlib
import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

import msgspec

from certs.certificates import name_text, parse_certificate
from gateway.edges.acmeclient import Account, AcmeClient, ChallengeBoard
from gateway.keys.context import Orders
from gateway.keys.model import CertificateStatus, KeyCertificate, KeyUsage
from gateway.refusals import GatewayCode
from schemas.faults import Fault
from serving.errors import Refused
from serving.language import N_
from serving.process.loops import Loop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from certs.configuration import TrustedConfiguration
    from gateway.keys.operations import KeyOperations
    from gateway.keys.store import KeyConfStore
    from gateway.settings.config import Acme
    from schemas.globalconf.shared import AcmeServer, ApprovedCa
    from schemas.identifiers import ClientId
    from serving.process.pace import Pace

log = logging.getLogger("gateway.acme")


class RenewalOrders(Orders, Protocol):
    """Orders, and when CAs suggest to renew."""

    async def renewal_time(self, ca: ApprovedCa, member: ClientId | None, der: bytes) -> datetime | None:
        """When the CA suggests to renew; None when it does not say. Raises `Refused`."""
        ...


class AcmeOrders:
    """Orders from any approved CA that has an ACME server."""

    def __init__(self, settings: Acme, folder: Path, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._folder = folder
        self._environ = environ
        self.board = ChallengeBoard()

    def reconfigure(self, settings: Acme) -> None:
        """Order with other contacts from now on."""
        self._settings = settings

    async def order(
        self, ca: ApprovedCa, usage: KeyUsage, member: ClientId | None, request_der: bytes
    ) -> bytes:
        """The certificate (PEM) for a request. Raises `Refused` (``acme.*``)."""
        server = _server(ca)
        profile = server.signing_profile_id if usage is KeyUsage.SIGNING else server.authentication_profile_id
        return await self._client(ca, server, member).order(request_der, profile)

    async def renewal_time(self, ca: ApprovedCa, member: ClientId | None, der: bytes) -> datetime | None:
        """When the CA suggests to renew; None when it does not say. Raises `Refused`."""
        return await self._client(ca, _server(ca), member).renewal_time(der)

    async def account_state(self, ca: ApprovedCa, member: ClientId | None) -> tuple[bool, bool]:
        """Whether the CA binds accounts to outside ones, and whether the settings name one. Raises `Refused`."""
        required = await self._client(ca, _server(ca), member).demands_binding()
        return required, bool(self._binding(ca, member)[0])

    def _client(self, ca: ApprovedCa, server: AcmeServer, member: ClientId | None) -> AcmeClient:
        settings = self._settings
        try:
            secret = settings.account_secret.read(self._environ)
            kid, mac_key = self._binding(ca, member)
        except ValueError as err:
            raise Refused(
                GatewayCode.ACME_ACCOUNT_KEYSTORE_PASSWORD_MISSING,
                N_("setting acme.account_secret: {err}", err=err),
            ) from err
        who = hashlib.sha256(f"{server.directory_url} {kid}".encode()).hexdigest()[:16]
        account = Account(self._folder / who, secret, settings.contact, kid, mac_key)
        return AcmeClient(server.directory_url, account, self.board, trusted_ca=settings.trusted_ca)

    def _binding(self, ca: ApprovedCa, member: ClientId | None) -> tuple[str, str]:
        named = [b for b in self._settings.bindings if b.ca == ca.name]
        path = member.path() if member else ""
        binding = next((b for b in named if b.member == path), None) or next(
            (b for b in named if not b.member), None
        )
        return ("", "") if binding is None else (binding.kid, binding.mac_key.read(self._environ))


def _server(ca: ApprovedCa) -> AcmeServer:
    if ca.acme_server is None:
        raise Refused(
            GatewayCode.ACME_FETCHING_METADATA_ERROR, N_("{ca} takes no ACME orders", ca=ca.name), ca.name
        )
    return ca.acme_server


class Renewing(msgspec.Struct, frozen=True):
    """The ports of the renewal loop. ``register`` sends an authentication certificate's registration."""

    operations: KeyOperations
    store: KeyConfStore
    orders: RenewalOrders
    configuration: Callable[[], TrustedConfiguration | None]
    register: Callable[[KeyCertificate], Awaitable[None]]
    now: Callable[[], datetime]
    notify: Callable[[str, str, str, str], None] = lambda _kind, _subject, _detail, _member: None


def renewal_loop(settings: Callable[[], Acme], renewing: Renewing, pace: Pace) -> Loop:
    """The loop that renews while the settings say so; ``pace`` is told when they change."""

    async def work() -> None:
        if settings().renew:
            await renew_due(settings(), renewing)

    return Loop("renewals", work, lambda: settings().renewal_check_s if settings().renew else None, pace=pace)


async def renew_due(settings: Acme, renewing: Renewing) -> list[KeyCertificate]:
    """Renew what is due now, and take into use what was renewed before; the new certificates."""
    made: list[KeyCertificate] = []
    for certificate in renewing.store.certificates():
        subject = name_text(parse_certificate(certificate.der).subject)
        member = "" if certificate.member is None else certificate.member.path()
        try:
            if _awaits_activation(certificate, renewing.store):
                await renewing.operations.activate(certificate.hash)
                renewing.notify("certificate-activated", subject, certificate.hash, member)
            elif await _is_due(certificate, settings, renewing):
                new = await renewing.operations.renew_certificate(certificate.hash, renewing.orders)
                made.append(new)
                if new.usage is KeyUsage.AUTHENTICATION:
                    await renewing.register(new)
                    renewing.operations.mark_registration_sent(new.hash)
                renewing.notify("certificate-renewed", subject, new.hash, member)
        except (Fault, Refused) as err:
            reason = err.detail if isinstance(err, Fault) else str(err)
            log.error("renewal failed", extra={"event": "renewal", "subject": subject, "reason": reason})
            renewing.notify("renewal-failed", subject, reason, member)
    return made


def _awaits_activation(certificate: KeyCertificate, store: KeyConfStore) -> bool:
    """Whether this is a renewed authentication certificate that the configuration lists by now."""
    return (
        not certificate.active
        and certificate.usage is KeyUsage.AUTHENTICATION
        and certificate.status is CertificateStatus.REGISTERED
        and any(c.renewed_hash == certificate.hash for c in store.certificates())
    )


async def _is_due(certificate: KeyCertificate, settings: Acme, renewing: Renewing) -> bool:
    configuration = renewing.configuration()
    if configuration is None or not certificate.active or certificate.renewed_hash:
        return False
    parsed = parse_certificate(certificate.der)
    entries = configuration.approved_ca_entries(parsed.issuer, configuration.instance)
    if not entries or entries[0][0].acme_server is None:
        return False
    at = certificate.renewal_at
    if at is None:
        at = await renewing.orders.renewal_time(entries[0][0], certificate.member, certificate.der)
        at = at or renew_at(
            parsed.not_valid_before_utc, parsed.not_valid_after_utc, settings.renew_at_remaining
        )
        renewing.store.change_certificate(certificate, renewal_at=at)
    return renewing.now() >= at


def renew_at(since: datetime, until: datetime, remaining: float) -> datetime:
    """When to renew a certificate whose CA does not say: when this part of its lifetime is left."""
    return until - timedelta(seconds=(until - since).total_seconds() * remaining)
