"""What an operator does with tokens, keys, signing requests and certificates; the admin API and the commands call this.

Every operation checks first and changes last, so a refused one leaves nothing behind and can be repeated. Refusals are
`Refused` with the admin API's code; a token that fails raises `TokenFailed`.

Spec: UG-SS 5 (certificate life); X-Road 7.8's TokenCertificateService and KeyAndCertificateRequestService.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import msgspec
from cryptography import x509

from certs.certificatefiles import read_certificate
from certs.certificates import der_of, parse_certificate
from certs.edges.devices import public_bytes
from certs.tokens.port import KeyId, TokenStatus
from gateway.keys import actions
from gateway.keys.model import (
    CertificateEvent,
    CertificateStatus,
    Key,
    KeyCertificate,
    KeyUsage,
    PossibleAction,
    SigningRequest,
    move,
)
from gateway.keys.pins import check_pin
from gateway.keys.requesting import FieldDescription, Requesting
from gateway.keys.tokens import usage_by_extension
from gateway.refusals import GatewayCode
from schemas.faults import Fault, Kind, TokenFailed
from serving.errors import Refused
from serving.language import N_
from serving.process.failing import reason_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from certs.configuration import TrustedConfiguration
    from gateway.keys.context import KeyContext, Orders
    from gateway.keys.model import Token
    from gateway.keys.store import KeyConfStore
    from gateway.keys.tokens import Tokens
    from schemas.globalconf.shared import ApprovedCa
    from schemas.identifiers import ClientId


class KeyOperations:
    """The operations of one server."""

    def __init__(self, store: KeyConfStore, tokens: Tokens, context: KeyContext) -> None:
        self._store = store
        self._tokens = tokens
        self._context = context
        self._requesting = Requesting(tokens, lambda: self._context)

    def take_key_kinds(self, kinds: Mapping[KeyUsage | None, str]) -> None:
        """Make new keys of other kinds from now on."""
        self._context = msgspec.structs.replace(self._context, key_kinds=kinds)

    # Tokens

    async def tokens(self) -> tuple[Token, ...]:
        """Every token with its keys, requests and certificates."""
        return await self._tokens.tokens()

    async def token(self, token_id: str) -> Token:
        """One token. Raises `Refused` (``token_not_found``)."""
        return await self._tokens.token(token_id)

    async def initialise_token(self, token_id: str, pin: str) -> Token:
        """Make the software token with its first PIN; it is logged in afterwards."""
        self.check_new_pin(pin)
        await self._tokens.device(token_id).make(pin)
        self._store.touch()
        return await self.token(token_id)

    async def login(self, token_id: str, pin: str) -> Token:
        """Log in. Raises `Refused` (``pin_incorrect``, ``action_not_possible``)."""
        token = await self.token(token_id)
        if token.logged_in:
            return token
        if not token.available or token.status is TokenStatus.NOT_INITIALIZED:
            raise Refused(
                GatewayCode.ACTION_NOT_POSSIBLE,
                N_("the token {token_id} cannot be logged in to now", token_id=token_id),
            )
        await _pin(self._tokens.login(token_id, pin))
        self._store.touch()
        return await self.token(token_id)

    async def logout(self, token_id: str) -> Token:
        """Log out: keys of this token sign no more."""
        token = await self.token(token_id)
        if token.logged_in:
            await self._tokens.device(token_id).logout()
            self._store.touch()
        return await self.token(token_id)

    async def change_pin(self, token_id: str, old: str, new: str) -> None:
        """Change the PIN of a logged-in token. Raises `Refused`."""
        token = await self.token(token_id)
        actions.require(PossibleAction.TOKEN_CHANGE_PIN, actions.token_actions(token))
        self.check_new_pin(new)
        await _pin(self._tokens.device(token_id).change_pin(old, new))

    def check_new_pin(self, pin: str) -> None:
        """Refuse a PIN that may not be one. Raises `Refused`."""
        check_pin(pin, strict=self._context.has_pin_policy())

    async def rename_token(self, token_id: str, name: str) -> Token:
        """Give a token another friendly name."""
        await self.token(token_id)
        self._store.rename_token(token_id, name)
        return await self.token(token_id)

    async def delete_token(self, token_id: str) -> None:
        """Forget a token whose device is gone, with its keys and certificates."""
        token = await self.token(token_id)
        actions.require(PossibleAction.TOKEN_DELETE, actions.token_actions(token))
        self._store.remove_token(token_id)

    # Keys

    async def key(self, key_id: str) -> tuple[Token, Key]:
        """A key and its token. Raises `Refused` (``key_not_found``)."""
        for token in await self.tokens():
            for key in token.keys:
                if key.id == key_id:
                    return token, key
        raise Refused(GatewayCode.KEY_NOT_FOUND, N_("there is no key {key_id!r}", key_id=key_id))

    async def generate_key(
        self, token_id: str, label: str, usage: KeyUsage | None = None, kind: str | None = None
    ) -> Key:
        """Make a key; what it is for can be left open until its first request."""
        token = await self.token(token_id)
        actions.require(PossibleAction.GENERATE_KEY, actions.token_actions(token))
        key_kind = kind or self._context.key_kinds[usage]
        key_id = await self._tokens.generate_key(token_id, key_kind, label, usage)
        return (await self.key(key_id))[1]

    async def rename_key(self, key_id: str, name: str) -> Key:
        """Give a key another friendly name."""
        _, key = await self.key(key_id)
        self._store.rename_key(key.id, name)
        return (await self.key(key_id))[1]

    async def delete_key(self, key_id: str) -> None:
        """Destroy a key with its requests and certificates. What is registered must be unregistered first."""
        token, key = await self.key(key_id)
        actions.require(PossibleAction.DELETE, actions.key_actions(token, key))
        for certificate in (c for c in key.certificates if c.saved):
            actions.require(PossibleAction.DELETE, actions.certificate_actions(certificate))
        await self._tokens.remove_key(key)

    # Signing requests

    def subject_fields(
        self, ca_name: str, usage: KeyUsage, member: ClientId | None
    ) -> tuple[FieldDescription, ...]:
        """The fields a CA's profile wants in a request. Raises `Refused`."""
        return self._requesting.subject_fields(ca_name, usage, member)

    def approved_ca(self, name: str) -> ApprovedCa:
        """An approved CA by its name. Raises `Refused` (``certificate_authority_not_found``)."""
        return self._requesting.approved_ca(name)

    async def create_request(
        self,
        key_id: str,
        usage: KeyUsage,
        ca_name: str,
        member: ClientId | None,
        values: Mapping[str, str],
    ) -> SigningRequest:
        """Keep a signing request for a key. Raises `Refused`; `request_der` gives its bytes."""
        token, key = await self.key(key_id)
        if key.usage not in (None, usage):
            raise Refused(
                GatewayCode.WRONG_KEY_USAGE,
                N_(
                    "the key {key_id} is for {usage}, not for {expected}",
                    key_id=key_id,
                    usage=key.usage,
                    expected=usage,
                ),
            )
        action = (
            PossibleAction.GENERATE_SIGN_CSR
            if usage is KeyUsage.SIGNING
            else PossibleAction.GENERATE_AUTH_CSR
        )
        actions.require(action, actions.key_actions(token, key))
        request = self._requesting.new_request(key.id, usage, ca_name, member, values)
        await self._requesting.sign(request, key)  # a request that cannot be signed is not kept
        self._store.set_usage(key.id, usage)
        self._store.add_request(request)
        return request

    async def generate_key_with_request(
        self,
        token_id: str,
        label: str,
        usage: KeyUsage,
        ca_name: str,
        member: ClientId | None,
        values: Mapping[str, str],
    ) -> tuple[Key, SigningRequest]:
        """Make a key and a request for it, or neither."""
        self._requesting.new_request(KeyId(""), usage, ca_name, member, values)  # refuse before a key is made
        key = await self.generate_key(token_id, label, usage)
        try:
            request = await self.create_request(key.id, usage, ca_name, member, values)
        except (Fault, ValueError):
            await self._tokens.remove_key(key)
            raise
        return (await self.key(key.id))[1], request

    def draft_request(
        self, key_id: str, usage: KeyUsage, ca_name: str, member: ClientId | None, values: Mapping[str, str]
    ) -> SigningRequest:
        """A request that is not kept yet, its values checked. Raises `Refused`."""
        return self._requesting.new_request(KeyId(key_id), usage, ca_name, member, values)

    async def request_der(self, key_id: str, request_id: str) -> bytes:
        """A kept request (DER), built and signed again. Raises `Refused` (``csr_not_found``)."""
        _, key = await self.key(key_id)
        return await self._requesting.sign(self._request(key, request_id), key)

    async def delete_request(self, key_id: str, request_id: str) -> None:
        """Delete a kept signing request of a key. Raises `Refused` when either is unknown."""
        _, key = await self.key(key_id)
        self._store.remove_request(self._request(key, request_id).id)

    # Certificates

    def certificate(self, digest: str) -> KeyCertificate:
        """The certificate with a hash. Raises `Refused` (``certificate_not_found``)."""
        found = next((c for c in self._store.certificates() if c.hash == digest.strip().upper()), None)
        if found is None:
            raise Refused(
                GatewayCode.CERTIFICATE_NOT_FOUND,
                N_("there is no certificate with hash {digest}", digest=digest),
            )
        return found

    async def find_certificate(self, digest: str) -> KeyCertificate:
        """The certificate with a hash, those included that are only on a token. Raises `Refused`."""
        with contextlib.suppress(Refused):
            return self.certificate(digest)
        for token in await self.tokens():
            for certificate in (c for k in token.keys for c in k.certificates):
                if certificate.hash == digest.strip().upper():
                    return certificate
        raise Refused(
            GatewayCode.CERTIFICATE_NOT_FOUND,
            N_("neither the configuration nor a token holds a certificate with hash {digest}", digest=digest),
        )

    async def import_from_token(self, digest: str) -> KeyCertificate:
        """Take a signing certificate that is stored on a token. Raises `Refused` as `import_certificate` does."""
        found = await self.find_certificate(digest)
        actions.require(PossibleAction.IMPORT_FROM_TOKEN, actions.certificate_actions(found))
        return await self.import_certificate(found.der)

    async def import_certificate(
        self, data: bytes, *, activate_auth: bool = False, any_member: bool = False
    ) -> KeyCertificate:
        """Take a certificate (PEM or DER) for one of the keys. Raises `Refused`.

        A signing certificate is registered and active at once; an authentication certificate waits for its registration,
        inactive unless ``activate_auth``. ``any_member`` takes signing certificates of members that are no clients yet.
        """
        try:
            parsed = read_certificate(data)
        except Fault as err:
            raise Refused(
                GatewayCode.INVALID_CERTIFICATE,
                N_("the certificate cannot be read: {detail}", detail=err.detail),
            ) from err
        usage = usage_of(parsed)
        key = await self._key_of(parsed)
        if key.usage not in (None, usage):
            raise Refused(
                GatewayCode.CERT_WRONG_USAGE,
                N_("the key is for {usage}, the certificate for {expected}", usage=key.usage, expected=usage),
                key.id,
            )
        if any(c.der == der_of(parsed) for c in self._store.certificates()):
            raise Refused(GatewayCode.CERTIFICATE_ALREADY_EXISTS, N_("this certificate was imported before"))
        member = self._member_of(parsed, usage, any_member=any_member)
        signing = usage is KeyUsage.SIGNING
        imported = KeyCertificate(
            der_of(parsed),
            key.id,
            usage,
            active=signing or activate_auth,
            status=CertificateStatus.REGISTERED if signing else CertificateStatus.SAVED,
            member=member,
            imported_at=self._context.now(),
        )
        answered = [r.id for r in key.requests if r.usage is usage and r.member in (None, member)]
        self._store.set_usage(key.id, usage)
        self._store.import_certificate(imported, answered)
        return imported

    async def activate(self, digest: str) -> KeyCertificate:
        """Use a certificate; it must be good by OCSP first. Raises `Refused`, `NotProved`."""
        certificate = self.certificate(digest)
        actions.require(PossibleAction.ACTIVATE, actions.certificate_actions(certificate))
        if self._context.verify is not None:
            try:
                await self._context.verify(parse_certificate(certificate.der))
            except Fault as fault:
                self._store.change_certificate(certificate, activation_error=fault.detail)
                raise
        return self._store.change_certificate(
            certificate, active=True, activation_error=None, awaits_activation=False
        )

    async def disable(self, digest: str) -> KeyCertificate:
        """Stop using a certificate without deleting it."""
        certificate = self.certificate(digest)
        actions.require(PossibleAction.DISABLE, actions.certificate_actions(certificate))
        return self._store.change_certificate(certificate, active=False, awaits_activation=False)

    async def delete_certificate(self, digest: str) -> None:
        """Forget a certificate. Raises `Refused` while the central server may still list it."""
        certificate = self.certificate(digest)
        actions.require(PossibleAction.DELETE, actions.certificate_actions(certificate))
        self._store.remove_certificate(certificate.der)

    def mark_registration_sent(self, digest: str) -> KeyCertificate:
        """After the registration request went out: registration is in progress."""
        return self._move(digest, CertificateEvent.REGISTRATION_SENT, PossibleAction.REGISTER)

    def mark_registration_refused(self, digest: str) -> None:
        """The registration was refused: it may be asked for again. Nothing when the certificate has moved on, or is gone."""
        for certificate in self._store.certificates():
            new_status = move(certificate.status, CertificateEvent.REGISTRATION_REFUSED)
            if certificate.hash == digest and new_status is not None:
                self._store.change_certificate(certificate, status=new_status)

    def mark_deletion_sent(self, digest: str) -> KeyCertificate:
        """After the deletion request went out, or instead of it ("mark for deletion")."""
        return self._move(digest, CertificateEvent.DELETION_SENT, PossibleAction.UNREGISTER)

    def observe(self, configuration: TrustedConfiguration) -> tuple[tuple[KeyCertificate, str], ...]:
        """Move certificates as the global configuration says; what changed, with a word for each."""
        server, now = self._context.server_id(), self._context.now()
        return actions.observe(self._store, configuration, server, now, activates=self._context.activates())

    async def activate_waiting(self) -> list[tuple[KeyCertificate, Fault | Refused | None]]:
        """Activate what waits to be; each with what kept it from it, if anything did. What failed waits on."""
        tried: list[tuple[KeyCertificate, Fault | Refused | None]] = []
        for certificate in self._store.certificates():
            if certificate.awaits_activation and not certificate.active:
                try:
                    tried.append((await self.activate(certificate.hash), None))
                except (Fault, Refused) as err:
                    tried.append((certificate, err))
        return tried

    # Ordering

    async def order_certificate(self, key_id: str, request_id: str, orders: Orders) -> KeyCertificate:
        """Order the certificate for a kept request from its CA, and import it. Raises `Refused` (``acme.*``)."""
        _, key = await self.key(key_id)
        request = self._request(key, request_id)
        ca = self._requesting.approved_ca(request.ca_name)
        if ca.acme_server is None:
            raise Refused(
                GatewayCode.ACME_FETCHING_METADATA_ERROR, N_("{ca} takes no ACME orders", ca=ca.name), ca.name
            )
        der = await self._requesting.sign(request, key)
        return await self.import_certificate(await orders.order(ca, request.usage, request.member, der))

    async def renew_certificate(self, digest: str, orders: Orders) -> KeyCertificate:
        """A new key on the same token, and a certificate for it with the old one's subject, imported; both say so.

        Raises `Refused`; the reason stands with the old certificate then, and no key is left behind.
        """
        old = self.certificate(digest)
        token, key = await self.key(old.key_id)
        parsed = parse_certificate(old.der)
        made: Key | None = None
        try:
            ca = self._requesting.issuer_of(parsed)
            values = self._requesting.values_of(parsed, ca, old.usage)
            made, request = await self.generate_key_with_request(
                token.id, key.label, old.usage, ca.name, old.member, values
            )
            new = await self.order_certificate(made.id, request.id, orders)
        except (Refused, Fault) as err:
            reason = reason_of(err)
            self._store.change_certificate(old, renewal_error=reason.detail, renewal_causes=reason.causes)
            if made is not None:
                await self._tokens.remove_key(made)
            raise
        self._store.change_certificate(old, renewed_hash=new.hash, renewal_error=None, renewal_causes=())
        return new

    def _request(self, key: Key, request_id: str) -> SigningRequest:
        found = next((r for r in key.requests if r.id == request_id), None)
        if found is None:
            raise Refused(
                GatewayCode.CSR_NOT_FOUND,
                N_("the key {key} has no request {request_id!r}", key=key.id, request_id=request_id),
            )
        return found

    async def _key_of(self, certificate: x509.Certificate) -> Key:
        public_key = public_bytes(certificate.public_key())
        for token in await self.tokens():
            for key in token.keys:
                if key.public_key == public_key:
                    return key
        raise Refused(
            GatewayCode.KEY_NOT_FOUND,
            N_("the certificate belongs to none of the keys of this server's tokens"),
        )

    def _member_of(
        self, certificate: x509.Certificate, usage: KeyUsage, *, any_member: bool
    ) -> ClientId | None:
        configuration = self._context.configuration()
        if usage is KeyUsage.AUTHENTICATION or (configuration is None and any_member):
            return None
        if configuration is None:
            raise Refused(
                GatewayCode.GLOBAL_CONF_OUTDATED, N_("there is no valid global configuration to judge it by")
            )
        try:
            member = configuration.member_of_signing_certificate(certificate, configuration.instance)
        except Fault as fault:
            raise Refused(GatewayCode.INVALID_CERTIFICATE, fault.detail) from fault
        if not any_member and not self._context.is_local_member(member):
            raise Refused(
                GatewayCode.CLIENT_NOT_FOUND,
                N_("{member} is not a client here", member=member.path()),
                member.path(),
            )
        return member

    def _move(self, digest: str, event: CertificateEvent, action: PossibleAction) -> KeyCertificate:
        certificate = self.certificate(digest)
        new_status = move(certificate.status, event)
        if new_status is None or certificate.usage is not KeyUsage.AUTHENTICATION:
            raise Refused(
                GatewayCode.ACTION_NOT_POSSIBLE,
                N_(
                    "{action} is not possible for a certificate that is {status}",
                    action=action,
                    status=certificate.status,
                ),
            )
        return self._store.change_certificate(certificate, status=new_status)


def usage_of(certificate: x509.Certificate) -> KeyUsage:
    """The usage that a certificate's keyUsage says. Raises `Refused` when it is for both or neither."""
    usage = usage_by_extension(certificate)
    if usage is None:
        raise Refused(
            GatewayCode.INVALID_CERTIFICATE,
            N_(
                "the certificate must be for signing or for authentication, not both and not neither (see its keyUsage)"
            ),
        )
    return usage


async def _pin(attempt: Awaitable[None]) -> None:
    """A PIN that was given, tried. Raises `Refused` (``pin_incorrect``) when it is wrong or the token locked."""
    try:
        await attempt
    except TokenFailed as fault:
        if fault.kind is Kind.PIN_INCORRECT:
            raise Refused(GatewayCode.PIN_INCORRECT, fault.detail) from fault
        if fault.kind is Kind.TOKEN_NOT_ACTIVE:
            raise Refused(GatewayCode.ACTION_NOT_POSSIBLE, fault.detail) from fault
        raise
