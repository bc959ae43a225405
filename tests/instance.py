"""A small instance for tests: a PKI, members with signing keys, a registry, and requests as gateways make them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from central_server.registry.model import OWNERS_DESCRIPTION, OWNERS_GROUP, RegisteredServer, Registry
from certs.algorithms import SignatureAlgorithm
from certs.certificates import der_of
from certs.dev.authority import DevPki
from certs.dev.responder import ocsp_reply
from certs.verify import ocsp
from schemas.globalconf.shared import (
    ApprovedCa,
    ApprovedTsa,
    CaInfo,
    GlobalGroup,
    Member,
    MemberClass,
    OcspInfo,
    Subsystem,
)
from schemas.identifiers import ClientId, GlobalGroupId
from schemas.management import (
    ManagementRequest,
    ManagementServiceCode,
    RequestHeader,
    RequestParts,
    RequestSignature,
    render_parts,
    render_request,
)

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography import x509

PROFILE = "ee.ria.xroad.common.certificateprofile.impl.BasicCertificateProfileInfoProvider"


def signature_over(key: Any, data: bytes) -> RequestSignature:
    value = key.sign(data, ec.ECDSA(hashes.SHA512()))
    return RequestSignature(SignatureAlgorithm.ECDSA_SHA512.jca_name, value)


@dataclass
class Instance:
    """An instance with one approved CA."""

    folder: Path
    now: datetime
    name: str = "MX"
    provider: ClientId = field(init=False)

    def __post_init__(self) -> None:
        self.pki = DevPki.create(self.folder / "pki", now=self.now)
        self.provider = ClientId(self.name, "GOB", "00-ONIESS", "GESTION")

    def registry(self, *members: ClientId, servers: tuple[RegisteredServer, ...] = ()) -> Registry:
        """The registry with the provider's member and others, classes as they need."""
        everyone = dict.fromkeys((self.provider.member, *(m.member for m in members)))
        subsystems = dict.fromkeys((self.provider, *members))
        classes = sorted({m.member_class for m in everyone})
        responder = (OcspInfo("http://127.0.0.1/ocsp", der_of(self.pki.ocsp_certificate)),)
        return Registry(
            instance=self.name,
            address="127.0.0.1",
            management_service=self.provider,
            member_classes=tuple(MemberClass(c, f"class {c}") for c in classes),
            members=tuple(
                Member(
                    m,
                    f"class {m.member_class}",
                    m.member_code,
                    tuple(
                        Subsystem(s.subsystem_code) for s in subsystems if s.member == m and s.subsystem_code
                    ),
                )
                for m in everyone
            ),
            servers=servers,
            groups=(
                GlobalGroup(
                    GlobalGroupId(self.name, OWNERS_GROUP),
                    OWNERS_DESCRIPTION,
                    frozenset(s.id.owner for s in servers if s.auth_certificates),
                ),
            ),
            cas=(
                ApprovedCa(
                    "Dev",
                    CaInfo(der_of(self.pki.root)),
                    PROFILE,
                    False,
                    (CaInfo(der_of(self.pki.intermediate), responder),),
                ),
            ),
            tsas=(ApprovedTsa("TSA", "http://127.0.0.1/tsa", der_of(self.pki.tsa_certificate)),),
        )

    def signer(self, member: ClientId) -> tuple[Any, x509.Certificate]:
        """A signing key and certificate of a member."""
        key = ec.generate_private_key(ec.SECP256R1())
        return key, self.pki.issue_sign(key.public_key(), member, now=self.now)

    def auth(self, server: ClientId) -> tuple[Any, x509.Certificate]:
        """An authentication key and certificate of a member's server SS1."""
        key = ec.generate_private_key(ec.SECP256R1())
        return key, self.pki.issue_auth(key.public_key(), server.server("SS1"), "ss1.mx", now=self.now)

    def ocsp_of(self, certificate: x509.Certificate) -> bytes:
        """What the responder says of a certificate, a minute ago."""
        question = ocsp.build_request(certificate, self.pki.intermediate)
        return ocsp_reply(self.pki, question, self.now - timedelta(minutes=1))

    def header(self, request: ManagementRequest, message_id: str) -> RequestHeader:
        return RequestHeader(request.server.owner, self.provider, message_id)

    def parts(
        self,
        request: ManagementRequest,
        message_id: str = "id-1",
        *,
        signer: tuple[Any, x509.Certificate] | None = None,
        auth: tuple[Any, x509.Certificate] | None = None,
    ) -> RequestParts:
        """A request as a gateway would send it."""
        soap = render_request(request, self.header(request, message_id))
        if not request.service.is_signed:
            return RequestParts(soap)
        about_client = request.client is not None
        member = request.client.member if about_client and request.client else request.server.owner
        key, certificate = signer or self.signer(member)
        own, status = signature_over(key, soap), self.ocsp_of(certificate)
        if request.service is not ManagementServiceCode.AUTH_CERT_REG:
            return RequestParts(soap, (own,), (der_of(certificate), status))
        auth_key, auth_certificate = auth or self.auth(request.server.owner)
        return RequestParts(
            soap,
            (signature_over(auth_key, soap), own),
            (der_of(auth_certificate), der_of(certificate), status),
        )

    def body(self, request: ManagementRequest, message_id: str = "id-1", **keys: Any) -> tuple[str, bytes]:
        """The same as content type and body."""
        return render_parts(self.parts(request, message_id, **keys), "boundary-of-a-test")
