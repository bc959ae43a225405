"""What a management request must prove before it is taken: pure, numbered, one fault for each thing missing.

The unsigned deletions rest on the transport: they come through the management security server, which has proved the
sender. Everything else is signed by the member it speaks for. Stricter than X-Road in one point: a request about a
server (address, maintenance) must be signed by its owner, not by just any member.

Spec: PR-MSERV 3; X-Road 7.8's ManagementRequestVerifier.
"""

from __future__ import annotations

import ipaddress
import itertools
import re
from typing import TYPE_CHECKING

from central_server.store.requests import NewRequest, RequestOrigin, RequestType
from certs.algorithms import SignatureAlgorithm, verify_digest_signature
from certs.certificates import der_of, parse_certificate
from certs.verify import chain as chains
from certs.verify import ocsp
from schemas.faults import BadMessage, Kind, NotProved
from schemas.management import ManagementServiceCode, check_parts

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography import x509

    from certs.configuration import TrustedConfiguration
    from schemas.identifiers import ClientId
    from schemas.management import ManagementMessage, ManagementRequest, RequestParts, RequestSignature

TYPES = {
    ManagementServiceCode.AUTH_CERT_REG: RequestType.AUTH_CERT_REGISTRATION,
    ManagementServiceCode.AUTH_CERT_DELETION: RequestType.AUTH_CERT_DELETION,
    ManagementServiceCode.CLIENT_REG: RequestType.CLIENT_REGISTRATION,
    ManagementServiceCode.CLIENT_DELETION: RequestType.CLIENT_DELETION,
    ManagementServiceCode.CLIENT_DISABLE: RequestType.CLIENT_DISABLE,
    ManagementServiceCode.CLIENT_ENABLE: RequestType.CLIENT_ENABLE,
    ManagementServiceCode.CLIENT_RENAME: RequestType.CLIENT_RENAME,
    ManagementServiceCode.OWNER_CHANGE: RequestType.OWNER_CHANGE,
    ManagementServiceCode.ADDRESS_CHANGE: RequestType.ADDRESS_CHANGE,
    ManagementServiceCode.MAINTENANCE_ENABLE: RequestType.MAINTENANCE_ENABLE,
    ManagementServiceCode.MAINTENANCE_DISABLE: RequestType.MAINTENANCE_DISABLE,
}
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.IGNORECASE)


def verify_request(
    parts: RequestParts, message: ManagementMessage, configuration: TrustedConfiguration, now: datetime
) -> NewRequest:
    """The request in a message, once all of it is proved. Raises `BadMessage` or `NotProved`.

    1. The request has the signatures and certificates of its kind. 2. The sender owns the server it speaks of, in this
    instance. 3. Certificates are of approved CAs, valid and of the right use; the signing one is good by its OCSP
    response. 4. The signatures are over the envelope's bytes. 5. The signing certificate names the member the request
    speaks for. 6. The request is addressed to this instance's management service. 7. Its fields make sense.
    """
    request = message.request
    check_parts(parts, request.service)
    if request.service is ManagementServiceCode.AUTH_CERT_REG:
        signer = _verify_registration(parts, message, configuration, now)
        _check_sender(message, configuration)
    else:
        _check_sender(message, configuration)
        signer = None
        if request.service.is_signed:
            signer = _verify_signed(parts, message, configuration, now)
    if signer is not None:
        _check_signer(signer, request)
    _check_provider(message, configuration)
    _check_fields(request)
    return NewRequest(
        TYPES[request.service],
        RequestOrigin.SECURITY_SERVER,
        request.server,
        request.client,
        request.address,
        request.auth_certificate,
        request.subsystem_name,
        request.message,
        message.header.message_id,
    )


def _verify_signed(
    parts: RequestParts, message: ManagementMessage, configuration: TrustedConfiguration, now: datetime
) -> ClientId:
    certificate = parse_certificate(parts.attachments[0])
    _verify_signing_certificate(certificate, parts.attachments[1], configuration, now)
    _verify_signature(parts.signatures[0], certificate, message.raw)
    return configuration.member_of_signing_certificate(certificate, configuration.instance)


def _verify_registration(
    parts: RequestParts, message: ManagementMessage, configuration: TrustedConfiguration, now: datetime
) -> ClientId:
    auth, owner = parse_certificate(parts.attachments[0]), parse_certificate(parts.attachments[1])
    if message.request.auth_certificate != der_of(auth):
        raise NotProved(
            Kind.CERT_VALIDATION,
            "the authentication certificate in the envelope is not the one attached to the request",
        )
    _verify_signing_certificate(owner, parts.attachments[2], configuration, now)
    chains.verify_chain(
        auth, (), configuration, configuration.instance, now, leaf_kind=chains.LeafKind.AUTHENTICATION
    )
    _verify_signature(parts.signatures[0], auth, message.raw)
    _verify_signature(parts.signatures[1], owner, message.raw)
    return configuration.member_of_signing_certificate(owner, configuration.instance)


def _verify_signing_certificate(
    certificate: x509.Certificate, response: bytes, configuration: TrustedConfiguration, now: datetime
) -> None:
    path = chains.verify_chain(
        certificate, (), configuration, configuration.instance, now, leaf_kind=chains.LeafKind.SIGNING
    )
    issuer = next(itertools.islice(path, 1, None), certificate)
    ocsp.check_response(response, certificate, issuer, configuration, now)


def _verify_signature(signature: RequestSignature, certificate: x509.Certificate, soap: bytes) -> None:
    algorithm = SignatureAlgorithm.from_jca_name(signature.algorithm)
    verify_digest_signature(
        certificate.public_key(),
        signature.value,
        algorithm.digest.digest(soap),
        algorithm,
        ecdsa_format="der",
    )


def _check_sender(message: ManagementMessage, configuration: TrustedConfiguration) -> None:
    server, sender = message.request.server, message.header.client
    if sender != server.owner:
        raise _bad(f"Sender does not match server owner. {sender.path()} sent, {server.owner.path()} owns")
    if server.instance != configuration.instance:
        raise _bad(f"the security server is of instance {server.instance}; this is {configuration.instance}")


_ABOUT_CLIENT = frozenset(
    (
        ManagementServiceCode.CLIENT_REG,
        ManagementServiceCode.CLIENT_DISABLE,
        ManagementServiceCode.CLIENT_ENABLE,
        ManagementServiceCode.CLIENT_RENAME,
        ManagementServiceCode.OWNER_CHANGE,
    )
)


def _check_signer(signer: ClientId, request: ManagementRequest) -> None:
    about_client = request.service in _ABOUT_CLIENT and request.client is not None
    speaks_for = request.client.member if about_client and request.client else request.server.owner
    if signer != speaks_for:
        raise _bad(
            f"the request is signed by {signer.path()}, but it speaks for {speaks_for.path()}; that member must sign it"
        )


def _check_provider(message: ManagementMessage, configuration: TrustedConfiguration) -> None:
    private = configuration.private
    provider = None if private is None else private.management_service.provider
    if message.header.provider != provider:
        shown = "none" if provider is None else provider.path()
        raise _bad(
            f"the request is addressed to {message.header.provider.path()}; the management service is {shown}"
        )


def _check_fields(request: ManagementRequest) -> None:
    client = request.client
    if request.service is ManagementServiceCode.CLIENT_RENAME:
        if client is not None and client.is_member:
            raise _bad("Only name of subsystem can be changed")
        if not (request.subsystem_name or "").strip():
            raise _bad("Invalid subsystem name")
    if request.address is not None and not is_address(request.address):
        raise _bad(f"{request.address[:80]!r} is no IP address and no domain name")
    if request.service is ManagementServiceCode.ADDRESS_CHANGE and not request.address:
        raise _bad("the new address is empty")


def is_address(text: str) -> bool:
    """Whether a text is an IP address or a domain name, in Unicode or not."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        try:
            name = text.encode("idna").decode("ascii")
        except UnicodeError:
            return False
        return 0 < len(name) <= 253 and all(_LABEL.fullmatch(label) for label in name.split("."))
    return True


def _bad(detail: str) -> BadMessage:
    return BadMessage(Kind.INVALID_REQUEST, detail)
