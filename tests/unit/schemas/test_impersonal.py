"""What a description loses before it is published, and what stays."""

from __future__ import annotations

import pytest
from lxml import etree

from schemas.impersonal import impersonal_openapi, make_wsdl_impersonal, mask_mail
from schemas.safexml import parse_xml

MASK = "(address removed)"


@pytest.mark.parametrize("mail", ["ana@ipe.mx", "Ana.P%c+x_1-2@mail.ipe.gob.mx", "josé.peña@educación.mx"])
def test_a_mail_address_goes_and_what_stands_around_it_stays(mail: str) -> None:
    assert mask_mail(f"<{mail}>, o mailto:{mail}.") == f"<{MASK}>, o mailto:{MASK}."


@pytest.mark.parametrize("text", ["", "a@b", "@x.mx", "user @ x.mx", "xpath/@name", "10@20.30"])
def test_what_is_no_mail_address_stays(text: str) -> None:
    assert mask_mail(text) == text


@pytest.mark.parametrize(
    ("document", "kept"),
    [
        ({}, {}),
        ({"info": "ana@ipe.mx"}, {"info": MASK}),
        ({"info": {"contact": {"name": "Ana"}, "title": "t"}}, {"info": {"title": "t"}}),
        ({"contact": 1, "a": [1, None, {"example": 1, "b": True}, "ana@ipe.mx"]}, {"contact": 1, "a": [1, None, {"b": True}, MASK]}),
        ({"ana@ipe.mx": 1, 200: 2}, {MASK: 1, 200: 2}),
        # Below ``properties`` a name is the author's, and what it stands for a schema again.
        ({"properties": {"example": {"example": 1, "type": "a"}}}, {"properties": {"example": {"type": "a"}}}),
        ({"properties": {"properties": {"examples": 1, "x-example": 2}}}, {"properties": {"properties": {}}}),
    ],
)  # fmt: skip
def test_an_openapi_document_loses_its_contact_examples_and_mail(
    document: dict[str, object], kept: object
) -> None:
    before = repr(document)
    assert impersonal_openapi(document) == kept
    assert repr(document) == before


def test_a_wsdl_loses_comments_and_mail_wherever_it_stands_and_nothing_else() -> None:
    tag = "tag:a@b.mx,2026:x"
    text = f'<d xmlns:t="{tag}" targetNamespace="{tag}" a="{{0}}">{{0}}<e b=""/>de {{0}} y{{1}}<f/></d>'
    root = parse_xml(text.format("ana@ipe.mx", "<!-- Ana --><?who Ana?>").encode())
    make_wsdl_impersonal(root)
    assert etree.tostring(root).decode() == text.format(MASK, "")
