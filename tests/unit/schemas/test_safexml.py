"""The door for XML from outside: each bound lets its last value in and refuses the one beyond, by name."""

from __future__ import annotations

import pytest

from schemas.faults import BadMessage, Kind
from schemas.safexml import XmlLimits, parse_xml

SMALL = XmlLimits(size_bytes=200, depth=3, attributes=2, namespaces=2, elements=4)


@pytest.mark.parametrize(
    ("kept", "broken", "words"),
    [
        (b"<a>" + b" " * 193 + b"</a>", b"<a>" + b" " * 194 + b"</a>", "201 bytes; at most 200"),
        (b"<a><b/><b/><b/></a>", b"<a><b/><b/><b/><b/></a>", "more than 4 elements"),
        (b"<a><b><c/></b></a>", b"<a><b><c><d/></c></b></a>", "nests more than 3"),
        (b'<a b="" c=""/>', b'<a b="" c="" d=""/>', "more than 2 attributes"),
        (b'<a xmlns="u:a" b="" c=""/>', b'<a xmlns="u:a" b="" c="" d=""/>', "more than 2 attributes"),
        (
            b'<a xmlns:x="u:x"><b xmlns:y="u:y"/><b xmlns:y="u:y"/></a>',
            b'<a xmlns:x="u:x"><b xmlns:y="u:y"><c xmlns="u:z"/></b></a>',
            "more than 2 namespace declarations in scope",
        ),
        (b"<a>\xc3\xb1</a>", b"<a>\xf1</a>", "not well-formed"),
        (b"<a></a>", b"<a></b>", "not well-formed"),
        (b"<a/>", b"<a/><a/>", "not well-formed"),
        (b"<a>&lt;</a>", b"<a>&nbsp;</a>", "not well-formed"),
        (b"<a/>", b"", "not well-formed"),
        (b'<x:a xmlns:x="u:x"/>', b"<x:a/>", "not well-formed.* prefix x on a is not defined"),
        (b'<a xml:id="n1"/>', b'<a xml:id="1"/>', "not well-formed.* not an NCName"),
        (b"<a/>", b"<!DOCTYPE a><a/>", "has a DOCTYPE"),
        (b"<a/>", b'<!DOCTYPE a [<!ENTITY e "x">]><a>&e;</a>', "has a DOCTYPE"),
        (
            b'<?xml version="1.0" encoding="utf-8"?><a/>',
            b'<?xml version="1.0" encoding="latin-1"?><a/>',
            "encoding 'latin-1'",
        ),
        (b'<?xml version="1.0" encoding="US-ASCII"?><a/>', b'<?xml version="1.1"?><a/>', "XML version '1.1'"),
        (b"\xef\xbb\xbf<a/>", "<a/>".encode("utf-16"), "is not UTF-8"),
        (b"<a/>", "<a/>".encode("utf-16-le"), "is not UTF-8"),
        (b"<a/>", "<a/>".encode("utf-32-be"), "is not UTF-8"),
    ],
)
def test_each_bound_lets_the_last_document_in_and_refuses_the_next(
    kept: bytes, broken: bytes, words: str
) -> None:
    assert parse_xml(kept, limits=SMALL).tag.endswith("a")
    with pytest.raises(BadMessage, match=words) as caught:
        parse_xml(broken, kind=Kind.INVALID_SOAP, what="letter", limits=SMALL)
    assert caught.value.kind is Kind.INVALID_SOAP
    assert caught.value.detail.startswith("the letter ")


def test_a_comment_hides_no_text_unless_comments_are_wanted() -> None:
    raw = b"<a>1<!-- 2 --><?p 3?>4</a>"
    assert parse_xml(raw).text == "14"
    assert len(parse_xml(raw, with_comments=True)) == 2
