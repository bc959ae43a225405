"""Identifiers, rule by rule: what each reader refuses, with which kind and words."""

from __future__ import annotations

import pytest
from lxml import etree

from schemas.faults import BadMessage, Kind
from schemas.identifiers import (
    ID_NS,
    ClientId,
    GlobalGroupId,
    LocalGroupId,
    ServerId,
    ServiceId,
    check_identifier,
    parse_client_element,
    parse_client_path,
    parse_identifier,
    parse_server_path,
    quote_path,
    unquote_segments,
)

MEMBER = (
    "<i:xRoadInstance>MX</i:xRoadInstance><i:memberClass>GOB</i:memberClass><i:memberCode>1</i:memberCode>"
)


def element(object_type: str | None, parts: str) -> etree._Element:
    told = "" if object_type is None else f' i:objectType="{object_type}"'
    return etree.fromstring(f'<a xmlns:i="{ID_NS}"{told}>{parts}</a>')


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("MX/GOB", Kind.INVALID_CLIENT_IDENTIFIER, "3 or 4 segments"),
        ("MX/GOB/1/S/x", Kind.INVALID_CLIENT_IDENTIFIER, "got 5"),
        ("MX//1", Kind.INVALID_CLIENT_IDENTIFIER, "blank"),
        ("MX/GOB/%20", Kind.INVALID_CLIENT_IDENTIFIER, "blank"),
        ("MX/GOB/a b", Kind.BAD_REQUEST, "' ', which must be percent-encoded"),
        ("MX/GOB/ñ", Kind.BAD_REQUEST, "'ñ', which must be percent-encoded"),
        ("MX/GOB/%4", Kind.BAD_REQUEST, "without two hexadecimal digits"),
        ("MX/GOB/%zz", Kind.BAD_REQUEST, "without two hexadecimal digits"),
        ("MX/GOB/%ff", Kind.BAD_REQUEST, "not UTF-8"),
        ("MX/GOB/%00", Kind.BAD_REQUEST, "an identifier"),
    ],
)
def test_a_client_s_path_that_is_refused_says_why(text: str, kind: Kind, words: str) -> None:
    with pytest.raises(BadMessage, match=words) as caught:
        parse_client_path(text)
    assert caught.value.kind is kind


@pytest.mark.parametrize("text", ["MX/GOB/1", "MX/GOB/1/SS1/x"])
def test_a_server_s_path_has_four_segments(text: str) -> None:
    with pytest.raises(BadMessage, match="4 segments"):
        parse_server_path(text)
    assert parse_server_path("MX/GOB/1/SS1") == ServerId("MX", "GOB", "1", "SS1")


@pytest.mark.parametrize("code", ["a/b", "á é", "%", "..", "a+b&c"])
def test_what_is_quoted_is_read_back(code: str) -> None:
    assert unquote_segments(quote_path(["MX", code])) == ("MX", code)


@pytest.mark.parametrize(
    ("object_type", "parts", "kind", "words"),
    [
        (None, MEMBER, Kind.INVALID_XML, "lacks the attribute id:objectType"),
        ("CENTRE", MEMBER, Kind.INVALID_XML, "'CENTRE' is not a known"),
        ("MEMBER", MEMBER + "<memberCode>1</memberCode>", Kind.INVALID_XML, "must be in the namespace"),
        ("MEMBER", MEMBER + "<i:other>1</i:other>", Kind.INVALID_XML, "'other' is no part"),
        ("MEMBER", MEMBER + "<i:memberCode>2</i:memberCode>", Kind.INVALID_XML, "appears twice"),
    ],
)
def test_an_element_that_is_no_identifier_says_why(
    object_type: str | None, parts: str, kind: Kind, words: str
) -> None:
    with pytest.raises(BadMessage, match=words) as caught:
        parse_identifier(element(object_type, parts))
    assert caught.value.kind is kind


@pytest.mark.parametrize(
    ("object_type", "parts"),
    [
        ("SUBSYSTEM", MEMBER),
        ("MEMBER", MEMBER + "<i:subsystemCode>S</i:subsystemCode>"),
        ("SERVER", MEMBER),
        ("SERVICE", MEMBER),
        ("GLOBALGROUP", "<i:xRoadInstance>MX</i:xRoadInstance>"),
        ("LOCALGROUP", "<i:groupCode> </i:groupCode>"),
    ],
)
def test_an_identifier_has_the_parts_of_its_type_and_none_is_blank(object_type: str, parts: str) -> None:
    with pytest.raises(BadMessage):
        parse_identifier(element(object_type, parts))


def test_identifiers_of_every_type_are_read() -> None:
    member = ClientId("MX", "GOB", "1")
    assert member.subsystem("S").member == member.member == member
    assert parse_identifier(element("MEMBER", MEMBER)) == member
    subsystem = MEMBER + "<i:subsystemCode>S</i:subsystemCode>"
    assert parse_client_element(element("SUBSYSTEM", subsystem)) == member.subsystem("S")
    service = subsystem + "<i:serviceCode>sum</i:serviceCode><i:serviceVersion>v1</i:serviceVersion>"
    assert parse_identifier(element("SERVICE", service)) == ServiceId(member.subsystem("S"), "sum", "v1")
    server = element("SERVER", MEMBER + "<i:serverCode>SS1</i:serverCode>")
    assert parse_identifier(server) == member.server("SS1")
    group = "<i:xRoadInstance>MX</i:xRoadInstance><i:groupCode>g</i:groupCode>"
    assert parse_identifier(element("GLOBALGROUP", group)) == GlobalGroupId("MX", "g")
    assert parse_identifier(element("LOCALGROUP", "<i:groupCode>g</i:groupCode>")) == LocalGroupId("g")
    with pytest.raises(BadMessage, match="expected a MEMBER or SUBSYSTEM"):
        parse_client_element(server)


@pytest.mark.parametrize("code", ["a/b", "a:b", "a\\b", "a;b", "a%b", "a\u200bb", "a\tb", ".."])
def test_a_code_that_is_kept_holds_nothing_that_another_reader_takes_otherwise(code: str) -> None:
    with pytest.raises(BadMessage):
        check_identifier(ClientId("MX", "GOB", code))
