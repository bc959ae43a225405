"""Distinguished names as people read and write them."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from certs.certificates import name_text, parse_name

ATTRIBUTES = (
    NameOID.COMMON_NAME,
    NameOID.ORGANIZATION_NAME,
    NameOID.SERIAL_NUMBER,
    NameOID.BUSINESS_CATEGORY,
    NameOID.GIVEN_NAME,
    NameOID.SURNAME,
    NameOID.ORGANIZATION_IDENTIFIER,
    NameOID.POSTAL_CODE,
)
VALUES = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0x24F, exclude_characters="\x7f"), min_size=1, max_size=30
)


@given(st.lists(st.tuples(st.sampled_from(ATTRIBUTES), VALUES), min_size=1, max_size=6))
def test_a_name_is_written_without_numbers_and_read_back(
    parts: list[tuple[x509.ObjectIdentifier, str]],
) -> None:
    name = x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])
    text = name_text(name)
    assert text.count("2.5.4.") == sum(value.count("2.5.4.") for _, value in parts)
    assert parse_name(text) == name


@pytest.mark.parametrize(
    "written", ["serialNumber=MX/SS1/GOB", "SERIALNUMBER=MX/SS1/GOB", "2.5.4.5=MX/SS1/GOB"]
)
def test_attributes_are_taken_in_any_case_and_by_number(written: str) -> None:
    name = parse_name(f"CN=ss1.example,{written},O=Instituto\\, A.C.,C=MX")
    assert name.get_attributes_for_oid(NameOID.SERIAL_NUMBER)[0].value == "MX/SS1/GOB"
    assert name.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value == "Instituto, A.C."


@pytest.mark.parametrize("written", ["CN", "=x", "noSuchAttribute=x", "CN=a,,O=b"])
def test_what_is_no_name_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_name(written)
