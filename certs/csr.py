"""Signing requests and the subjects that certificate profiles ask for. Pure: a token signs what is built here."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

import msgspec
from cryptography import x509

from certs.profiles import ALTERNATIVE_NAME, FIELD_OIDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from certs.profiles import CertificateProfile
    from schemas.identifiers import ClientId, ServerId


class Requester(msgspec.Struct, frozen=True):
    """Whom a certificate is requested for, as a profile's subject templates name it."""

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
    values = requester.values()
    return _name([(f.oid, f.template.format_map(values)) for f in profile.fields(usage)])


def build_request(
    profile: CertificateProfile, requester: Requester, usage: str
) -> x509.CertificateSigningRequestBuilder:
    """A request still to be signed by the key it is for."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(build_subject(profile, requester, usage))
    if usage == "auth" or any(f.oid is None for f in profile.fields(usage)):
        names = x509.SubjectAlternativeName([general_name(requester.address)])
        builder = builder.add_extension(names, critical=False)
    return builder


def check_values(
    profile: CertificateProfile, requester: Requester, usage: str, given: Mapping[str, str]
) -> dict[str, str]:
    """The value of every field of a request: what was given, a read-only field's own. Raises ValueError naming the field."""
    values = requester.values()
    found: dict[str, str] = {}
    for field in profile.fields(usage):
        chosen = given.get(field.id, "").strip()
        if field.required and not field.read_only and not chosen:
            raise ValueError(f"missing parameter: {field.id}")
        value = field.template.format_map(values) if field.read_only or not chosen else chosen
        if field.required and not value.strip():
            raise ValueError(f"the field {field.id} ({field.label}) has no value")
        found[field.id] = value
    unknown = sorted(set(given) - set(found))
    if unknown:
        raise ValueError(f"extraneous parameters: {', '.join(unknown)}; {', '.join(found)} were expected")
    return found


def build_request_of(values: Mapping[str, str]) -> x509.CertificateSigningRequestBuilder:
    """A request, still to be signed, for checked values by field id, in their order. Raises ValueError."""
    subject = _name([(FIELD_OIDS[i], v) for i, v in values.items() if i != ALTERNATIVE_NAME and v])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    address = values.get(ALTERNATIVE_NAME)
    if address:
        names = [general_name(a.strip()) for a in address.split(",") if a.strip()]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder


def general_name(address: str) -> x509.GeneralName:
    """An address as a DNS name or an IP address."""
    try:
        return x509.IPAddress(ipaddress.ip_address(address))
    except ValueError:
        return x509.DNSName(address)


def _name(fields: Iterable[tuple[x509.ObjectIdentifier | None, str]]) -> x509.Name:
    # Some profiles put the instance into C, which only allows two letters; CAs that issue such know why.
    return x509.Name([_attribute(oid, value) for oid, value in fields if oid is not None])


def _attribute(oid: x509.ObjectIdentifier, value: str) -> x509.NameAttribute[str]:
    return x509.NameAttribute(oid, value, _validate=len(value) <= 64 and oid != x509.NameOID.COUNTRY_NAME)
