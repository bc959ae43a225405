"""Certificate profiles as data: what a signing request says, and which member a signing certificate names.

A profile is named on the wire by an X-Road Java class; the eight standard ones are here, plus ``Mexico``. A profile is a
row of `STANDARD_PROFILES`: subject fields of requests, and rules that read a subject. Several rules are tried in order; the
first whose fields are all there speaks. A new profile is a TOML file: see `certs.profiledata`. Which profiles count is said
by the `CertificateProfiles` that a configuration, a node or a command holds; no process knows more than it was handed.

Spec: X-Road 7.8's certificateprofile package; the first value of a repeated field counts.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec
from cryptography.x509.oid import NameOID, ObjectIdentifier

from schemas.faults import Kind, NotProved
from schemas.identifiers import ClientId

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from cryptography import x509

JAVA_PACKAGE = "ee.ria.xroad.common.certificateprofile.impl."
JAVA_SUFFIX = "CertificateProfileInfoProvider"

C = NameOID.COUNTRY_NAME
ORGANIZATION = NameOID.ORGANIZATION_NAME
OU = NameOID.ORGANIZATIONAL_UNIT_NAME
CN = NameOID.COMMON_NAME
SERIAL = NameOID.SERIAL_NUMBER
CATEGORY = NameOID.BUSINESS_CATEGORY
ORGANIZATION_IDENTIFIER = NameOID.ORGANIZATION_IDENTIFIER

ALTERNATIVE_NAME = "subjectAltName"
FIELD_OIDS: dict[str, ObjectIdentifier] = {
    "C": C,
    "O": ORGANIZATION,
    "OU": OU,
    "CN": CN,
    "serialNumber": SERIAL,
    "SN": SERIAL,
    "businessCategory": CATEGORY,
    "organizationIdentifier": ORGANIZATION_IDENTIFIER,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "L": NameOID.LOCALITY_NAME,
    "emailAddress": NameOID.EMAIL_ADDRESS,
    "x500UniqueIdentifier": NameOID.X500_UNIQUE_IDENTIFIER,
}


class SubjectField(msgspec.Struct, frozen=True):
    """A field of a signing request: its id on the wire, the template of its value, the key of its label.

    A read-only field always has the value of its template; the template of another is a proposal.
    """

    id: str
    template: str
    label: str
    read_only: bool = True
    required: bool = True

    @property
    def oid(self) -> ObjectIdentifier | None:
        """The field of the subject; None for the subject alternative name."""
        return FIELD_OIDS.get(self.id)


class CertificateProfile(msgspec.Struct, frozen=True):
    """One profile. Templates may use {instance} {class} {code} {name} {server} {server_path} {address} {country}."""

    name: str
    sign: tuple[SubjectField, ...]
    auth: tuple[SubjectField, ...]
    rules: tuple[Callable[[Mapping[ObjectIdentifier, str], str], tuple[str, str, str] | None], ...]

    def fields(self, usage: str) -> tuple[SubjectField, ...]:
        """The fields of a ``sign`` or ``auth`` request, in their order."""
        return self.sign if usage == "sign" else self.auth


def _fields(
    *oids: ObjectIdentifier,
) -> Callable[[Mapping[ObjectIdentifier, str], str], tuple[str, str, str] | None]:
    """Instance, class and code stand in three fields."""

    def rule(subject: Mapping[ObjectIdentifier, str], _instance: str) -> tuple[str, str, str] | None:
        values = [subject.get(oid) for oid in oids]
        return (values[0], values[1], values[2]) if values[0] and values[1] and values[2] else None

    return rule


def _basic(subject: Mapping[ObjectIdentifier, str], instance: str) -> tuple[str, str, str] | None:
    member_class, code = subject.get(CATEGORY), subject.get(SERIAL)
    return (instance, member_class, code) if member_class and code else None


def _country_bound(
    country: str,
) -> Callable[[Mapping[ObjectIdentifier, str], str], tuple[str, str, str] | None]:
    """O, OU, CN under a fixed country, with a serial number present (Faroe Islands, Iceland)."""
    fields = _fields(ORGANIZATION, OU, CN)

    def rule(subject: Mapping[ObjectIdentifier, str], instance: str) -> tuple[str, str, str] | None:
        found = fields(subject, instance)
        if subject.get(C) != country or SERIAL not in subject or found is None:
            raise _unreadable(f"C={country}, O, OU, CN and serialNumber were expected")
        return found

    return rule


def _finnish_serial(subject: Mapping[ObjectIdentifier, str], _instance: str) -> tuple[str, str, str] | None:
    serial = subject.get(SERIAL)
    if serial is None:
        return None
    parts = serial.split("/")
    if (
        subject.get(C) != "FI"
        or ORGANIZATION not in subject
        or len(parts) != 3
        or not subject.get(CN)
        or not all(parts)
    ):
        raise _unreadable("C=FI, O, CN and serialNumber=instance/server/class were expected")
    return parts[0], parts[2], subject[CN]


def _finnish_unit(subject: Mapping[ObjectIdentifier, str], _instance: str) -> tuple[str, str, str] | None:
    if OU not in subject:
        return None
    if subject.get(C) != "FI" or not subject.get(ORGANIZATION) or not subject.get(CN):
        raise _unreadable("C=FI, O, OU and CN were expected")
    return subject[ORGANIZATION], subject[OU], subject[CN]


_ESTONIAN_CLASSES = (("NTREE-", "COM"), ("GO:EE-", "GOV"), ("NP:EE-", "NGO"))


def _estonian_identifier(
    subject: Mapping[ObjectIdentifier, str], instance: str
) -> tuple[str, str, str] | None:
    value = subject.get(ORGANIZATION_IDENTIFIER)
    if value is None:
        return None
    for prefix, member_class in _ESTONIAN_CLASSES:
        if value.startswith(prefix):
            return instance, member_class, value.removeprefix(prefix)
    return instance, "NEE", value


def _estonian_serial(subject: Mapping[ObjectIdentifier, str], instance: str) -> tuple[str, str, str] | None:
    serial = subject.get(SERIAL, "")
    if re.fullmatch(r"[1-9][0-9]{7}", serial) is None:
        raise _unreadable("a serialNumber of eight digits was expected")
    member_class = "COM" if serial[0] in "123456" else "GOV" if serial[0] == "7" else "NGO"
    return instance, member_class, serial


def _estonian_person(subject: Mapping[ObjectIdentifier, str], instance: str) -> tuple[str, str, str] | None:
    serial = subject.get(SERIAL)
    return (instance, "PERSON", serial) if serial else None


_EJBCA = _fields(C, ORGANIZATION, CN)
_COUNTRY = SubjectField("C", "{country}", "COUNTRY_CODE", read_only=False)
_ORGANIZATION = SubjectField("O", "{name}", "ORGANIZATION_NAME")
_CATEGORY = SubjectField("businessCategory", "{class}", "MEMBER_CLASS_BC")
_SERIAL_CODE = SubjectField("serialNumber", "{code}", "MEMBER_CODE_SN")
_NAME = SubjectField("CN", "{name}", "ORGANIZATION_NAME_CN")
_CODE = SubjectField("CN", "{code}", "MEMBER_CODE")
_DNS_NAME = SubjectField("CN", "{address}", "SERVER_DNS_NAME", read_only=False)
_ALTERNATIVE = SubjectField(ALTERNATIVE_NAME, "{address}", "SUBJECT_ALTERNATIVE_NAME", read_only=False)
_FI = SubjectField("C", "FI", "COUNTRY_CODE")
_FI_ORGANIZATION = SubjectField("O", "{name}", "ORGANIZATION_NAME", read_only=False)
_FI_SERIAL = SubjectField("serialNumber", "{instance}/{server}/{class}", "SERIAL_NUMBER")
_O_INSTANCE = SubjectField("O", "{instance}", "INSTANCE_IDENTIFIER_O")
_OU_CLASS = SubjectField("OU", "{class}", "MEMBER_CLASS_OU")
_SERIAL_SERVER = SubjectField("serialNumber", "{server_path}", "SERIAL_NUMBER")
_SK = (SubjectField("SN", "{code}", "SERIAL_NUMBER_SN"), SubjectField("CN", "{name}", "COMMON_NAME"))

_STANDARD = (
    CertificateProfile(
        "Ejbca",
        (
            SubjectField("C", "{instance}", "INSTANCE_IDENTIFIER"),
            SubjectField("O", "{class}", "MEMBER_CLASS"),
            _CODE,
        ),
        (
            SubjectField("C", "{instance}", "INSTANCE_IDENTIFIER"),
            SubjectField("CN", "{server}", "SERVER_CODE"),
        ),
        (_EJBCA,),
    ),
    CertificateProfile(
        "Basic",
        (_NAME, _ORGANIZATION, _CATEGORY, _COUNTRY, _SERIAL_CODE),
        (_DNS_NAME, _SERIAL_CODE, _COUNTRY, _ORGANIZATION),
        (_basic,),
    ),
    CertificateProfile(
        "BasicACME",
        (_COUNTRY, _ORGANIZATION, _CATEGORY, _SERIAL_CODE, _NAME, _ALTERNATIVE),
        (_COUNTRY, _ORGANIZATION, _SERIAL_CODE, _DNS_NAME, _ALTERNATIVE),
        (_basic,),
    ),
    CertificateProfile(
        "FiVRK",
        (_FI, _FI_ORGANIZATION, _FI_SERIAL, _CODE, _ALTERNATIVE),
        (_FI, _FI_ORGANIZATION, _FI_SERIAL, _DNS_NAME, _ALTERNATIVE),
        (_finnish_serial, _finnish_unit, _EJBCA),
    ),
    CertificateProfile(
        "Fo",
        (
            SubjectField("C", "FO", "COUNTRY_CODE"),
            _O_INSTANCE,
            _OU_CLASS,
            _CODE,
            SubjectField("serialNumber", "{server_path}", "SERIAL_NUMBER", read_only=False),
        ),
        (
            SubjectField("C", "FO", "COUNTRY_CODE"),
            _O_INSTANCE,
            SubjectField("CN", "{server_path}", "COMMON_NAME"),
        ),
        (_country_bound("FO"),),
    ),
    CertificateProfile(
        "Is",
        (SubjectField("C", "IS", "COUNTRY_CODE"), _O_INSTANCE, _OU_CLASS, _CODE, _SERIAL_SERVER),
        (SubjectField("C", "IS", "COUNTRY_CODE"), _DNS_NAME, _SERIAL_SERVER),
        (
            lambda s, i: None if SERIAL not in s and OU not in s else _country_bound("IS")(s, i),
            _EJBCA,
        ),
    ),
    CertificateProfile("SkKlass3", _SK, _SK, (_estonian_identifier, _estonian_serial)),
    CertificateProfile("SkEsteId", (), (), (_estonian_person,)),
    CertificateProfile(
        "Mexico",
        (
            SubjectField("C", "MX", "COUNTRY_CODE"),
            _ORGANIZATION,
            _OU_CLASS,
            _NAME,
            _SERIAL_CODE,
            _CATEGORY,
        ),
        (SubjectField("C", "MX", "COUNTRY_CODE"), _ORGANIZATION, _DNS_NAME, _SERIAL_CODE),
        (_basic,),
    ),
)


class CertificateProfiles(msgspec.Struct, frozen=True):
    """The profiles that are known somewhere, each by its short name, in whatever case it is written."""

    _by_name: Mapping[str, CertificateProfile] = msgspec.field(default_factory=dict)

    def names(self) -> tuple[str, ...]:
        """The short names, as the profiles spell them, standard ones first."""
        return tuple(profile.name for profile in self._by_name.values())

    def extended(self, further: Iterable[CertificateProfile]) -> CertificateProfiles:
        """These profiles and further ones. Raises ValueError when a name is taken."""
        known = dict(self._by_name)
        for profile in further:
            if known.setdefault(profile.name.lower(), profile) is not profile:
                raise ValueError(f"there is another certificate profile named {profile.name!r} already")
        return CertificateProfiles(MappingProxyType(known))

    def named(self, java_class: str) -> CertificateProfile:
        """The profile of a Java class name or of its short form. Raises `NotProved` (``incorrect_certificate``)."""
        short = java_class.rpartition(".")[2].removesuffix(JAVA_SUFFIX)
        found = self._by_name.get(short.lower())
        if found is None:
            raise NotProved(
                Kind.INCORRECT_CERTIFICATE, f"the certificate profile {java_class!r} is not known here"
            )
        return found

    def member_of_certificate(
        self, java_class: str, certificate: x509.Certificate, instance: str
    ) -> ClientId:
        """The member that a signing certificate's subject names by a profile. Raises `NotProved` (``incorrect_certificate``)."""
        subject: dict[ObjectIdentifier, str] = {}
        for attribute in certificate.subject:
            value = attribute.value
            subject.setdefault(
                attribute.oid, value if isinstance(value, str) else value.decode("utf-8", "replace")
            )
        return self.member_of_fields(java_class, subject, instance)

    def member_of_fields(
        self, java_class: str, subject: Mapping[ObjectIdentifier, str], instance: str
    ) -> ClientId:
        """The same for subject fields already taken out, the first value of each. Raises `NotProved`."""
        for rule in self.named(java_class).rules:
            found = rule(subject, instance)
            if found is not None:
                return ClientId(*found)
        raise _unreadable(f"the profile {java_class.rpartition('.')[2]} found no member in it")


def _unreadable(detail: str) -> NotProved:
    return NotProved(Kind.INCORRECT_CERTIFICATE, f"the certificate's subject names no member: {detail}")


STANDARD_PROFILES = CertificateProfiles().extended(_STANDARD)
