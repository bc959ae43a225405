"""Signing requests and the subjects that certificate profiles ask for. Pure: a token signs what is built here."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509

if TYPE_CHECKING:
    from certs.profiles import CertificateProfile
    from schemas.identifiers import ClientId, ServerId


@dataclass(frozen=True, slots=True)
class Requester:
    """What a profile's subject templates may speak of."""

    member: ClientId
    server: ServerId
    name: str
    address: str
    country: str = "MX"

    def values(self) -> dict[str, str]:
        """The values by their names in templates."""
        return {
            "instance": self.member.instance,
            "class": self.member.member_class,
            "code": self.member.member_code,
            "name": self.name,
            "server": self.server.server_code,
            "server_path": self.server.path(),
            "address": self.address,
            "country": self.country,
        }


def build_subject(profile: CertificateProfile, requester: Requester, usage: str) -> x509.Name:
    """The subject of a ``sign`` or ``auth`` request."""
    fields = profile.sign_subject if usage == "sign" else profile.auth_subject
    values = requester.values()
    # Some profiles put the instance into C, which only allows two letters; CAs that issue such know why.
    return x509.Name([_attribute(oid, template.format_map(values)) for oid, template in fields])


def _attribute(oid: x509.ObjectIdentifier, value: str) -> x509.NameAttribute[str]:
    return x509.NameAttribute(oid, value, _validate=len(value) <= 64 and oid != x509.NameOID.COUNTRY_NAME)


def build_request(
    profile: CertificateProfile, requester: Requester, usage: str
) -> x509.CertificateSigningRequestBuilder:
    """A request still to be signed by the key it is for."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(build_subject(profile, requester, usage))
    if profile.wants_alternative_name or usage == "auth":
        names = x509.SubjectAlternativeName([general_name(requester.address)])
        builder = builder.add_extension(names, critical=False)
    return builder


def general_name(address: str) -> x509.GeneralName:
    """An address as a DNS name or an IP address."""
    try:
        return x509.IPAddress(ipaddress.ip_address(address))
    except ValueError:
        return x509.DNSName(address)
