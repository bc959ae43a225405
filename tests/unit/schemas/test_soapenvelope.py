"""SOAP envelopes, rule by rule: the first thing that is wrong, with X-Road's kind for it."""

from __future__ import annotations

import pytest

from schemas.faults import BadMessage, Kind
from schemas.soapenvelope import Scanned, SoapLimits, run_through, scan_in_pieces

SOAP = 'xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"'
XRD, ID = 'xmlns:x="http://x-road.eu/xsd/xroad.xsd"', 'xmlns:i="http://x-road.eu/xsd/identifiers"'
REPRESENTED = 'xmlns:r="http://x-road.eu/xsd/representation.xsd"'
XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
MEMBER = (
    "<i:xRoadInstance>MX</i:xRoadInstance><i:memberClass>GOB</i:memberClass><i:memberCode>1</i:memberCode>"
)
CLIENT = f'<x:client i:objectType="MEMBER">{MEMBER}</x:client>'
SERVICE = f'<x:service i:objectType="SERVICE">{MEMBER}<i:serviceCode>sum</i:serviceCode></x:service>'
MESSAGE_ID, VERSION = "<x:id>1</x:id>", "<x:protocolVersion>4.0</x:protocolVersion>"
HEADER = f"<s:Header>{CLIENT}{SERVICE}{MESSAGE_ID}{VERSION}</s:Header>"
BODY = "<s:Body><sum/></s:Body>"
SMALL = SoapLimits(
    depth=5, elements=40, attributes=2, namespaces=8, prefixes=9, header_value_bytes=10, tag_bytes=2_000
)


def envelope(*parts: str) -> str:
    return f"<s:Envelope {SOAP} {XRD} {ID} {REPRESENTED} {XSI}>{''.join(parts)}</s:Envelope>"


def header(*extra: str, without: str = "", put: str = "") -> str:
    return envelope(
        HEADER.replace(without or "\0", put).replace("</s:Header>", f"{''.join(extra)}</s:Header>"), BODY
    )


def scan(text: str, limits: SoapLimits = SMALL) -> Scanned | None:
    return run_through(scan_in_pieces(text.encode(), limits))


def test_an_envelope_with_all_that_is_needed_is_read() -> None:
    found = scan(header())
    assert found is not None
    assert (found.client.path(), found.service.path(), found.body_name) == ("MX/GOB/1", "MX/GOB/1/sum", "sum")


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("<a>", Kind.INVALID_SOAP, "a SOAP envelope was expected; 'a' came"),
        (envelope(HEADER, BODY) + "x", Kind.INVALID_SOAP, "not well-formed"),
        ("<!DOCTYPE a><a/>", Kind.INVALID_SOAP, "DOCTYPE"),
        ('<?xml version="1.0" encoding="UTF-16"?><a/>', Kind.INVALID_SOAP, "declares the encoding .UTF-16"),
        (envelope(HEADER, HEADER, BODY), Kind.INVALID_SOAP, "second or misplaced Header"),
        (envelope(BODY, HEADER), Kind.INVALID_SOAP, "second or misplaced Header"),
        (envelope(HEADER, BODY, BODY), Kind.INVALID_SOAP, "second or misplaced Body"),
        (envelope(BODY), Kind.MISSING_HEADER, "has no header"),
        (envelope(HEADER), Kind.MISSING_BODY, "has no body"),
        (envelope(HEADER, "<s:Body/>"), Kind.INVALID_BODY, "has no element"),
        (envelope(HEADER, "<s:Body><sum/><b/></s:Body>"), Kind.INVALID_BODY, "more than one element"),
        (envelope(HEADER, "<s:Body><other/></s:Body>"), Kind.INCONSISTENT_HEADERS, "'other'"),
        (header(without=VERSION), Kind.MISSING_HEADER_FIELD, "lacks protocolVersion"),
        (header(without=CLIENT), Kind.MISSING_HEADER_FIELD, "lacks client"),
        (header(without=SERVICE), Kind.MISSING_HEADER_FIELD, "lacks service"),
        (header(without=MESSAGE_ID), Kind.MISSING_HEADER_FIELD, "lacks id"),
        (header(without=">1</x:id>", put="> </x:id>"), Kind.MISSING_HEADER_FIELD, "lacks id"),
        (header(without="4.0", put="3.9"), Kind.INVALID_PROTOCOL_VERSION, "4.x is spoken"),
        (header(MESSAGE_ID), Kind.DUPLICATE_HEADER_FIELD, "id twice"),
        (header(CLIENT), Kind.DUPLICATE_HEADER_FIELD, "client twice"),
        (header(without="</i:serviceCode>", put="</i:serviceCode><i:serviceCode>b</i:serviceCode>"),
         Kind.DUPLICATE_HEADER_FIELD, "serviceCode twice"),
        (header(without='<x:client i:objectType="MEMBER"', put="<x:client"), Kind.INVALID_XML, "lacks the attribute"),
        (header(without='"MEMBER"', put='"SERVER"'), Kind.INVALID_XML, "expected .*MEMBER"),
        (header(without="<x:id>", put='<x:id xsi:nil="true">'), Kind.INVALID_SOAP, "id in the SOAP header is nil"),
        (header(without="<i:memberCode>1</i:memberCode></x:client>", put="</x:client>"),
         Kind.INTERNAL_ERROR, "lacks memberCode"),
        (header(without="<x:id>1", put="<x:id>1<b/>"), Kind.INVALID_SOAP, "has an element, comment"),
        (header(without="<x:id>1", put="<x:id>1<!-- 2 -->"), Kind.INVALID_SOAP, "has an element, comment"),
        (header(without="<x:id>1", put="<x:id>1<?a b?>"), Kind.INVALID_SOAP, "has an element, comment"),
        (header(without="<i:memberCode>1", put="<i:memberCode>1<b/>"), Kind.INVALID_SOAP, "has an element, comment"),
        (header("<r:representedParty/>"), Kind.MISSING_HEADER_FIELD, "lacks partyCode"),
        (header(*["<r:representedParty><r:partyCode>1</r:partyCode></r:representedParty>"] * 2),
         Kind.DUPLICATE_HEADER_FIELD, "representedParty twice"),
        (header(without="<x:id>1", put="<x:id>12345678901"), Kind.INVALID_SOAP, "longer than 10"),
        (header("<a/>" * 40), Kind.INVALID_SOAP, "more than 40 elements"),
        (header("<a><a><a><a/></a></a></a>"), Kind.INVALID_SOAP, "nested more than 5"),
        (header('<a b="" c="" d=""/>'), Kind.INVALID_SOAP, "more than 2 attributes"),
        (header("<a " + " ".join(f'xmlns:p{n}="u"' for n in range(4)) + "/>"), Kind.INVALID_SOAP, "in scope"),
        (header(*(f'<a xmlns:p{n}="u"/>' for n in range(9))), Kind.INVALID_SOAP, "different namespace prefixes"),
        (header(f"<!-- {'a' * 300_000} -->"), Kind.INVALID_SOAP, "a tag or a comment of more than"),
    ],
)  # fmt: skip
def test_an_envelope_that_is_refused_says_what_is_wrong_first(text: str, kind: Kind, words: str) -> None:
    with pytest.raises(BadMessage, match=words) as caught:
        scan(text)
    assert caught.value.kind is kind


def test_what_the_grammar_does_not_name_is_passed_over() -> None:
    strange = '<o:id xmlns:o="urn:o">2<o:memberCode>3</o:memberCode></o:id>'
    begins = ("<x:client", "<i:memberClass>", "<x:id>", "<s:Body>", "</s:Envelope>")
    text = header(
        "<x:issue/>", f"<r:representedParty>{strange}<r:partyCode>7</r:partyCode></r:representedParty>"
    )
    for begin in begins:
        text = text.replace(begin, strange + begin, 1)
    found = scan(text.replace("<sum/>", f"<sum>{'a' * 200_000}</sum>"))
    assert found is not None
    assert (found.client.path(), found.service.path(), found.body_name) == ("MX/GOB/1", "MX/GOB/1/sum", "sum")
    assert found.values == {"id": "1", "issue": "", "protocolVersion": "4.0"}
    assert found.represented_party == "7"


def test_an_envelope_with_a_fault_is_none() -> None:
    assert scan(envelope("<s:Body><s:Fault/></s:Body>")) is None
