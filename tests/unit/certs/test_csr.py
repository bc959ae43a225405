"""Signing requests, rule by rule: the subject a profile asks for, its fields checked, and the names beside the subject."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from certs import csr
from certs.profiles import STANDARD_PROFILES
from tests.worlds import CONSUMER, CONSUMER_SERVER

if TYPE_CHECKING:
    from certs.profiles import CertificateProfile

REQUESTER = csr.Requester(CONSUMER.member, CONSUMER_SERVER, "ISSEMyM", "gw.issemym.example")
KEY = ec.generate_private_key(ec.SECP256R1())
CASES = [(name, usage) for name in sorted(STANDARD_PROFILES.names()) for usage in ("sign", "auth")]


def signed(builder: x509.CertificateSigningRequestBuilder) -> x509.CertificateSigningRequest:
    return builder.sign(KEY, hashes.SHA256())


def names_of(request: x509.CertificateSigningRequest) -> list[x509.GeneralName]:
    try:
        return list(request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return []


def given_by(profile: CertificateProfile, usage: str) -> dict[str, str]:
    """What a person fills in: every field that she may, with what the profile proposes."""
    values = REQUESTER.values()
    return {f.id: f.template.format_map(values) or "x" for f in profile.fields(usage) if not f.read_only}


@pytest.mark.parametrize(("name", "usage"), CASES)
def test_the_request_of_a_profile_is_the_request_of_its_usual_values(name: str, usage: str) -> None:
    profile = STANDARD_PROFILES.named(name)
    values = csr.check_values(profile, REQUESTER, usage, given_by(profile, usage))
    assert list(values) == [f.id for f in profile.fields(usage)]
    assert all(values[f.id] for f in profile.fields(usage) if f.required)
    request = signed(csr.build_request(profile, REQUESTER, usage))
    assert request.is_signature_valid
    assert request.subject == signed(csr.build_request_of(values)).subject


@pytest.mark.parametrize(("name", "usage"), CASES)
def test_a_field_that_is_read_only_keeps_its_value_and_another_takes_what_is_given(
    name: str, usage: str
) -> None:
    profile = STANDARD_PROFILES.named(name)
    for field in profile.fields(usage):
        values = csr.check_values(profile, REQUESTER, usage, given_by(profile, usage) | {field.id: " XX "})
        usual = field.template.format_map(REQUESTER.values())
        assert values[field.id] == (usual if field.read_only else "XX")


def test_a_field_that_the_profile_does_not_have_is_refused_by_name() -> None:
    profile = STANDARD_PROFILES.named("FiVRK")
    with pytest.raises(ValueError, match="extraneous parameters: NOPE, Z; "):
        csr.check_values(profile, REQUESTER, "sign", {**given_by(profile, "sign"), "Z": "1", "NOPE": "2"})


@pytest.mark.parametrize(("name", "usage"), CASES)
def test_a_required_field_that_is_not_given_is_refused_by_name(name: str, usage: str) -> None:
    profile = STANDARD_PROFILES.named(name)
    usual = given_by(profile, usage)
    for field in profile.fields(usage):
        if field.required and not field.read_only:
            for missing in ({}, {field.id: "  "}):
                rest = {i: v for i, v in usual.items() if i != field.id}
                with pytest.raises(ValueError, match=f"missing parameter: {field.id}"):
                    csr.check_values(profile, REQUESTER, usage, rest | missing)


def test_a_required_field_whose_own_value_is_empty_is_refused_by_name() -> None:
    nameless = csr.Requester(CONSUMER.member, CONSUMER_SERVER, " ", " ", country=" ")
    found = 0
    for name, usage in CASES:
        profile = STANDARD_PROFILES.named(name)
        fixed = [f for f in profile.fields(usage) if f.required and f.read_only]
        empty = next((f for f in fixed if not f.template.format_map(nameless.values()).strip()), None)
        if empty is not None:
            found += 1
            with pytest.raises(ValueError, match=f"the field {empty.id} .* has no value"):
                csr.check_values(profile, nameless, usage, given_by(profile, usage))
    assert found


def test_an_authentication_request_names_its_address() -> None:
    by_name = signed(csr.build_request(STANDARD_PROFILES.named("Basic"), REQUESTER, "auth"))
    assert names_of(by_name) == [x509.DNSName("gw.issemym.example")]
    assert names_of(signed(csr.build_request(STANDARD_PROFILES.named("Basic"), REQUESTER, "sign"))) == []


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.ip_addresses().map(str), st.from_regex(r"[a-z][a-z0-9-]{0,20}\.example", fullmatch=True)))
def test_an_address_is_an_ip_address_or_a_dns_name(address: str) -> None:
    found = csr.general_name(address)
    try:
        assert found == x509.IPAddress(ipaddress.ip_address(address))
    except ValueError:
        assert found == x509.DNSName(address)


def test_several_addresses_are_several_names_and_blanks_are_none() -> None:
    built = signed(csr.build_request_of({"CN": "x", "subjectAltName": "a.example, 192.0.2.1,, "}))
    assert names_of(built) == [x509.DNSName("a.example"), x509.IPAddress(ipaddress.ip_address("192.0.2.1"))]
    assert names_of(signed(csr.build_request_of({"CN": "x", "subjectAltName": ""}))) == []
