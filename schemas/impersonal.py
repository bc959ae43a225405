"""Service descriptions without what may name a person, as a catalogue may keep and publish them.

Taken out: contacts, examples (they are made of somebody's data too often), comments, and whatever looks like a mail
address. Documentation stays: it is what a catalogue is read for.
"""

from __future__ import annotations

import re
from typing import Any

from lxml import etree

_MAIL = re.compile(r"[\w.%+-]{1,64}@[\w.-]{1,255}\.[^\W\d_]{2,24}")
_MASK = "(address removed)"
_PERSONAL = frozenset(("example", "examples", "x-example", "x-examples"))
# Members whose own keys are names that the description's author chose.
_NAMED = frozenset(
    (
        "properties",
        "patternProperties",
        "schemas",
        "parameters",
        "responses",
        "headers",
        "paths",
        "$defs",
        "content",
    )
)
# Attributes whose value a prefix stands for; ``tag:`` URIs (RFC 4151) have an address in them.
_NAMESPACES = ("targetNamespace", "namespace")


def mask_mail(text: str) -> str:
    """A text without mail addresses."""
    return _MAIL.sub(_MASK, text)


def impersonal_openapi(document: dict[str, Any]) -> dict[str, Any]:
    """A copy of an OpenAPI document without contact, examples and mail addresses."""
    copy: dict[str, Any] = _without_examples(document)
    info = copy.get("info")
    if isinstance(info, dict):
        info.pop("contact", None)
    return copy


def _without_examples(value: Any, *, names: bool = False) -> Any:
    """A copy without examples and mail addresses. Below ``properties`` and the like, keys are names and all stay."""
    if isinstance(value, str):
        return mask_mail(value)
    if isinstance(value, list):
        return [_without_examples(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    return {
        _without_examples(key): _without_examples(entry, names=not names and key in _NAMED)
        for key, entry in value.items()
        if names or key not in _PERSONAL
    }


def make_wsdl_impersonal(root: etree._Element) -> None:
    """Take mail addresses out of a WSDL; `schemas.safexml.parse_xml` let no comment and no instruction in."""
    for element in root.iter():
        element.text = element.text and mask_mail(element.text)
        element.tail = element.tail and mask_mail(element.tail)
        for name, value in element.attrib.items():
            if name not in _NAMESPACES:
                element.set(name, mask_mail(str(value)))
