"""Strangers' service descriptions, read within bounds, and what of them may be kept: nothing that may name a person.

A description that cannot be read cannot be cleaned either, so nothing of it is kept.
"""

from __future__ import annotations

from typing import Any

from lxml import etree

from schemas.faults import BadMessage, Kind
from schemas.impersonal import impersonal_openapi, make_wsdl_impersonal
from schemas.jsontext import encode_json
from schemas.safexml import XmlLimits, parse_xml
from schemas.xmlencoding import to_utf8
from schemas.yamlbounds import YamlBounds
from schemas.yamldocument import load_document

LARGEST_DESCRIPTION = 2 * 1024 * 1024
_BOUNDS = YamlBounds(aliases=2_000)


def parse_openapi(raw: bytes) -> dict[str, Any]:
    """An OpenAPI document as plain values. Raises `BadMessage`."""
    if len(raw) > LARGEST_DESCRIPTION:
        raise BadMessage(Kind.INVALID_MESSAGE, f"the description has {len(raw)} bytes; too many to read")
    try:
        document = load_document(
            raw, _BOUNDS, (("info", "title"), ("info", "version"), ("info", "description"))
        )
    except BadMessage as fault:
        raise BadMessage(
            Kind.INVALID_MESSAGE, f"the description is no OpenAPI document: {fault.detail}"
        ) from fault
    if not isinstance(document, dict) or not isinstance(document.get("info"), dict):
        raise BadMessage(Kind.INVALID_MESSAGE, "the description is no OpenAPI document: it has no info")
    return document


def parse_wsdl(raw: bytes) -> etree._Element:
    """The root of a WSDL. Raises `BadMessage`."""
    if len(raw) > LARGEST_DESCRIPTION:
        raise BadMessage(Kind.INVALID_MESSAGE, f"the description has {len(raw)} bytes; too many to read")
    return parse_xml(
        to_utf8(raw, what="WSDL"), what="WSDL", limits=XmlLimits(size_bytes=2 * LARGEST_DESCRIPTION)
    )


def without_persons(kind: str, raw: bytes) -> tuple[str, bytes]:
    """Media type and content of a description (``OPENAPI`` or ``WSDL``) as it may be kept; empty when it cannot be read."""
    try:
        if kind == "WSDL":
            root = parse_wsdl(raw)
            make_wsdl_impersonal(root)
            return "text/xml", etree.tostring(root, encoding="UTF-8", xml_declaration=True)
        return "application/json", encode_json(impersonal_openapi(parse_openapi(raw)))
    except (BadMessage, TypeError, RecursionError):  # TypeError: keys that JSON has not
        return "", b""
