"""Tokens, keys, signing requests and certificates as the admin API shows them.

``possible_actions`` are what the state allows and the caller may do. Spec: schemas ``Token``, ``Key``,
``TokenCertificate``, ``TokenCertificateSigningRequest`` of X-Road's security-server API.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from certs.certificates import parse_certificate
from gateway.admin.keycontext import encoded
from gateway.keys import actions
from gateway.keys.model import KeyUsage, PossibleAction
from schemas.faults import Fault, NotProved
from serving.api.certificateview import CertificateDetails, certificate_details

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.admin.keycontext import KeyAdminContext
    from gateway.keys.model import Key, KeyCertificate, SigningRequest, Token
    from serving.api.operations import Call

_A = PossibleAction
_KINDS = {KeyUsage.AUTHENTICATION: "AUTH", KeyUsage.SIGNING: "SIGN", None: "UNKNOWN"}


class CsrView(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A signing request that is kept."""

    id: str
    owner_id: str
    certificate_profile: str | None = None
    possible_actions: list[str]


class CertificateView(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A certificate of one of the server's keys."""

    ocsp_status: str
    owner_id: str
    active: bool
    saved_to_configuration: bool
    status: str
    certificate_details: CertificateDetails
    possible_actions: list[str]
    renewed_cert_hash: str | None = None
    renewal_error: str | None = None
    ocsp_verify_before_activation_error: str | None = None
    renewal_causes: list[str] | None = None
    next_automatic_renewal_time: str | None = None


class KeyView(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A key with its certificates and requests."""

    id: str
    name: str
    label: str
    certificates: list[CertificateView]
    certificate_signing_requests: list[CsrView]
    usage: str | None = None
    available: bool
    saved_to_configuration: bool
    key_algorithm: str
    possible_actions: list[str]


class Info(msgspec.Struct, frozen=True):
    """A fact about a token."""

    key: str
    value: str


class TokenView(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A token with its keys."""

    id: str
    name: str
    type: str
    keys: list[KeyView]
    status: str
    logged_in: bool
    available: bool
    saved_to_configuration: bool
    read_only: bool
    serial_number: str | None = None
    token_infos: list[Info]
    possible_actions: list[str]


def token_view(token: Token, context: KeyAdminContext, call: Call) -> TokenView:
    """A token as this caller may see it."""
    return TokenView(
        id=token.id,
        name=token.name,
        type=token.type,
        keys=[key_view(token, key, context, call) for key in token.keys],
        status=token.status,
        logged_in=token.logged_in,
        available=token.available,
        saved_to_configuration=any(k.is_saved for k in token.keys),
        read_only=token.read_only,
        serial_number=token.serial_number,
        token_infos=[Info(name, value) for name, value in token.infos],
        possible_actions=token_actions(token, call),
    )


def key_view(token: Token, key: Key, context: KeyAdminContext, call: Call) -> KeyView:
    """A key as this caller may see it."""
    return KeyView(
        id=key.id,
        name=key.name,
        label=key.label,
        certificates=[certificate_view(c, context, call) for c in key.certificates],
        certificate_signing_requests=[csr_view(token, r, context, call) for r in key.requests],
        usage=None if key.usage is None else key.usage.name,
        available=key.available,
        saved_to_configuration=key.is_saved,
        key_algorithm=key.algorithm,
        possible_actions=key_actions(token, key, call),
    )


def csr_view(token: Token, request: SigningRequest, context: KeyAdminContext, call: Call) -> CsrView:
    """A signing request as this caller may see it."""
    owner = context.server_id().owner if request.member is None else request.member
    return CsrView(
        id=request.id,
        owner_id=encoded(owner),
        certificate_profile=request.profile,
        possible_actions=csr_actions(request, call),
    )


def certificate_view(certificate: KeyCertificate, context: KeyAdminContext, call: Call) -> CertificateView:
    """A certificate as this caller may see it."""
    owner = context.server_id().owner if certificate.member is None else certificate.member
    renewal = certificate.renewal_at
    return CertificateView(
        ocsp_status=ocsp_word(certificate, context, call.now),
        owner_id=encoded(owner),
        active=certificate.active,
        saved_to_configuration=certificate.saved,
        status=certificate.status,
        certificate_details=certificate_details(certificate.der),
        possible_actions=certificate_actions(certificate, call),
        renewed_cert_hash=certificate.renewed_hash,
        renewal_error=certificate.renewal_error,
        ocsp_verify_before_activation_error=certificate.activation_error,
        renewal_causes=list(certificate.renewal_causes) or None,
        next_automatic_renewal_time=None if renewal is None else renewal.strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


def ocsp_word(certificate: KeyCertificate, context: KeyAdminContext, now: datetime) -> str:
    """The admin API's word for a certificate: ``DISABLED``, ``EXPIRED``, or ``OCSP_RESPONSE_…`` by its OCSP response at ``now``."""
    if not certificate.active:
        return "DISABLED"
    parsed = parse_certificate(certificate.der)
    if not parsed.not_valid_before_utc <= now <= parsed.not_valid_after_utc:
        return "EXPIRED"
    try:
        context.ocsp_status(parsed, now)
    except NotProved as fault:
        if fault.is_on_hold:
            return "OCSP_RESPONSE_SUSPENDED"
        return "OCSP_RESPONSE_REVOKED" if fault.is_revoked else "OCSP_RESPONSE_UNKNOWN"
    except Fault:
        return "OCSP_RESPONSE_UNKNOWN"
    return "OCSP_RESPONSE_GOOD"


def token_actions(token: Token, call: Call) -> list[str]:
    """The actions on a token that its state and the caller's rights allow now."""
    return _allowed(
        actions.token_actions(token),
        call,
        {
            _A.GENERATE_KEY: ("GENERATE_KEY",),
            _A.LOGIN: ("ACTIVATE_DEACTIVATE_TOKEN",),
            _A.LOGOUT: ("ACTIVATE_DEACTIVATE_TOKEN",),
            _A.EDIT_FRIENDLY_NAME: ("EDIT_TOKEN_FRIENDLY_NAME",),
            _A.TOKEN_CHANGE_PIN: ("UPDATE_TOKEN_PIN",),
            _A.TOKEN_DELETE: ("DELETE_TOKEN",),
        },
    )


def key_actions(token: Token, key: Key, call: Call) -> list[str]:
    """The actions on a key that its state and the caller's rights allow now."""
    delete = {"AUTH": "DELETE_AUTH_KEY", "SIGN": "DELETE_SIGN_KEY", "UNKNOWN": "DELETE_KEY"}
    return _allowed(
        actions.key_actions(token, key),
        call,
        {
            _A.DELETE: (delete[_KINDS[key.usage]], "DELETE_KEY"),
            _A.EDIT_FRIENDLY_NAME: ("EDIT_KEY_FRIENDLY_NAME",),
            _A.GENERATE_AUTH_CSR: ("GENERATE_AUTH_CERT_REQ",),
            _A.GENERATE_SIGN_CSR: ("GENERATE_SIGN_CERT_REQ",),
        },
    )


def csr_actions(request: SigningRequest, call: Call) -> list[str]:
    """The actions on a signing request that the caller's rights allow now."""
    return _allowed(actions.request_actions(), call, {_A.DELETE: (f"DELETE_{_KINDS[request.usage]}_CERT",)})


def certificate_actions(certificate: KeyCertificate, call: Call) -> list[str]:
    """The actions on a certificate that its state and the caller's rights allow now."""
    kind = _KINDS[certificate.usage]
    return _allowed(
        actions.certificate_actions(certificate),
        call,
        {
            _A.ACTIVATE: (f"ACTIVATE_DISABLE_{kind}_CERT",),
            _A.DISABLE: (f"ACTIVATE_DISABLE_{kind}_CERT",),
            _A.DELETE: (f"DELETE_{kind}_CERT",),
            _A.REGISTER: ("SEND_AUTH_CERT_REG_REQ",),
            _A.UNREGISTER: ("SEND_AUTH_CERT_DEL_REQ",),
            _A.IMPORT_FROM_TOKEN: ("IMPORT_SIGN_CERT",),
        },
    )


def _allowed(
    possible: frozenset[PossibleAction], call: Call, needed: dict[PossibleAction, tuple[str, ...]]
) -> list[str]:
    return sorted(a for a in possible if any(call.may(permission) for permission in needed.get(a, ())))
