"""Signing requests: which CA, which subject by its profile, and the request itself. Nothing here is kept.

Spec: X-Road 7.8's KeyAndCertificateRequestService.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_der_public_key

from certs import csr
from certs.certificates import name_text
from certs.tokens import remote as delegated
from gateway.keys.model import Key, KeyUsage, SigningRequest
from gateway.refusals import GatewayCode
from schemas.faults import Fault
from serving.errors import Refused
from serving.language import N_

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from certs.configuration import TrustedConfiguration
    from certs.profiles import CertificateProfile
    from certs.tokens.port import KeyId
    from gateway.keys.context import KeyContext
    from gateway.keys.tokens import Tokens
    from schemas.globalconf.shared import ApprovedCa
    from schemas.identifiers import ClientId


class FieldDescription(msgspec.Struct, frozen=True):
    """A subject field as the admin API describes it."""

    id: str
    label_key: str
    default_value: str
    read_only: bool
    required: bool


class Requesting:
    """Signing requests of one server, as its context is at the moment."""

    def __init__(self, tokens: Tokens, context: Callable[[], KeyContext]) -> None:
        self._tokens = tokens
        self._current_context = context

    @property
    def _context(self) -> KeyContext:
        return self._current_context()

    def _configuration(self) -> TrustedConfiguration:
        configuration = self._context.configuration()
        if configuration is None:
            raise Refused(
                GatewayCode.GLOBAL_CONF_OUTDATED,
                N_("there is no valid global configuration to take CAs from"),
            )
        return configuration

    def approved_ca(self, name: str) -> ApprovedCa:
        """An approved CA by its name. Raises `Refused` (``certificate_authority_not_found``)."""
        for ca in self._configuration().own.shared.approved_cas:
            if ca.name == name:
                return ca
        raise Refused(
            GatewayCode.CERTIFICATE_AUTHORITY_NOT_FOUND,
            N_("no approved CA is named {name!r}", name=name),
            name,
        )

    def issuer_of(self, certificate: x509.Certificate) -> ApprovedCa:
        """The approved CA that issued a certificate. Raises `Refused` (``certificate_authority_not_found``)."""
        configuration = self._configuration()
        entries = configuration.approved_ca_entries(certificate.issuer, configuration.instance)
        if not entries:
            name = name_text(certificate.issuer)
            raise Refused(
                GatewayCode.CERTIFICATE_AUTHORITY_NOT_FOUND,
                N_("no approved CA is named {name}", name=name),
                name,
            )
        return entries[0][0]

    def subject_fields(
        self, ca_name: str, usage: KeyUsage, member: ClientId | None
    ) -> tuple[FieldDescription, ...]:
        """The fields a CA's profile wants in a request. Raises `Refused`."""
        ca = self.approved_ca(ca_name)
        profile, requester = self._profile(ca), self._requester(usage, member)
        values = requester.values()
        return tuple(
            FieldDescription(f.id, f.label, f.template.format_map(values), f.read_only, f.required)
            for f in profile.fields(usage.value)
        )

    def new_request(
        self,
        key_id: KeyId,
        usage: KeyUsage,
        ca_name: str,
        member: ClientId | None,
        values: Mapping[str, str],
    ) -> SigningRequest:
        """A signing request, checked and not kept. Raises `Refused`."""
        ca = self.approved_ca(ca_name)
        if usage is KeyUsage.SIGNING and ca.authentication_only:
            raise Refused(
                GatewayCode.CERTIFICATE_AUTHORITY_NOT_FOUND,
                N_("{ca_name} issues authentication certificates only", ca_name=ca_name),
                ca_name,
            )
        requester = self._requester(usage, member)
        try:
            checked = csr.check_values(self._profile(ca), requester, usage.value, values)
            csr.build_request_of(checked)
        except (ValueError, TypeError) as err:
            if isinstance(err, Refused):
                raise
            raise Refused(GatewayCode.INVALID_DN_PARAMETER, str(err)) from err
        holder = None if usage is KeyUsage.AUTHENTICATION else requester.member
        return SigningRequest(
            self._context.new_id(),
            key_id,
            usage,
            holder,
            ca_name,
            ca.profile,
            tuple(checked.items()),
            self._context.now(),
        )

    async def sign(self, request: SigningRequest, key: Key) -> bytes:
        """The request (DER), built from its values and signed by its key. Raises `TokenFailed`."""
        builder = csr.build_request_of(dict(request.values))
        pss = self._tokens.signs_pss(key.id)
        return await delegated.sign_request(builder, key.id, _public_key(key), self._tokens, pss=pss)

    def _profile(self, ca: ApprovedCa) -> CertificateProfile:
        try:
            return self._configuration().profiles.named(ca.profile)
        except Fault as fault:
            raise Refused(GatewayCode.CERTIFICATE_PROFILE_INSTANTIATION_FAILURE, fault.detail) from fault

    def _requester(self, usage: KeyUsage, member: ClientId | None) -> csr.Requester:
        server = self._context.server_id()
        if usage is KeyUsage.SIGNING and member is None:
            raise Refused(
                GatewayCode.MEMBER_ID_REQUIRED_FOR_SIGN_CSR,
                N_("a signing certificate is for a member: say which"),
            )
        holder = server.owner if member is None or usage is KeyUsage.AUTHENTICATION else member.member
        if usage is KeyUsage.SIGNING and not self._context.is_local_member(holder):
            raise Refused(
                GatewayCode.CLIENT_NOT_FOUND,
                N_("{holder} is not a client here", holder=holder.path()),
                holder.path(),
            )
        configuration = self._context.configuration()
        name = configuration.member_name(holder) if configuration else None
        found = configuration.server(server) if configuration else None
        address = (found.address or "") if found else ""
        return csr.Requester(holder, server, name or holder.member_code, address, country="")

    def values_of(self, certificate: x509.Certificate, ca: ApprovedCa, usage: KeyUsage) -> dict[str, str]:
        """The operator's values in the request that a certificate came of, for the next request. Raises `Refused`."""
        return _subject_values(certificate, self._profile(ca), usage)


def render_request(der: bytes, form: str) -> bytes:
    """A request as ``DER`` or ``PEM``."""
    return der if form.upper() == "DER" else x509.load_der_x509_csr(der).public_bytes(Encoding.PEM)


def _public_key(key: Key) -> rsa.RSAPublicKey | ec.EllipticCurvePublicKey:
    public_key = load_der_public_key(key.public_key)
    if not isinstance(public_key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise Refused(GatewayCode.ACTION_NOT_POSSIBLE, N_("the key {key} is neither RSA nor EC", key=key.id))
    return public_key


def _subject_values(
    certificate: x509.Certificate, profile: CertificateProfile, usage: KeyUsage
) -> dict[str, str]:
    """The subject fields (name to value) that the operator chose for the old request, read from the certificate issued for it."""
    values: dict[str, str] = {}
    for found in profile.fields(usage.value):
        if found.read_only:
            continue
        if found.oid is None:
            with contextlib.suppress(x509.ExtensionNotFound):
                names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
                values[found.id] = ", ".join(str(n.value) for n in names)
        else:
            attributes = certificate.subject.get_attributes_for_oid(found.oid)
            if attributes:
                values[found.id] = str(attributes[0].value)
    return values
