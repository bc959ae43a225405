"""Service descriptions without what may name a person, as a catalogue may keep and publish them.

Taken out: contacts, examples (they are made of somebody's data too often), comments, and whatever looks like a mail
address. Documentation stays: it is what a catalogue is read for.
"""

from __future__ import annotations

import re
from typing import Any

from lxml import etree

_MAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,255}\.[A-Za-z]{2,24}")
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
        key: _without_examples(entry, names=not names and key in _NAMED)
        for key, entry in value.items()
        if names or key not in _PERSONAL
    }


def make_wsdl_impersonal(root: etree._Element) -> None:
    """Take comments, processing instructions and mail addresses out of a WSDL."""
    for element in list(root.iter()):
        if isinstance(element, (etree._Comment, etree._ProcessingInstruction)):
            parent = element.getparent()
            if parent is not None:
                _remove_element(parent, element)
            continue
        if element.text:
            element.text = mask_mail(element.text)
        if element.tail:
            element.tail = mask_mail(element.tail)


def _remove_element(parent: etree._Element, element: etree._Element) -> None:
    before = element.getprevious()
    if element.tail:
        if before is not None:
            before.tail = (before.tail or "") + element.tail
        else:
            parent.text = (parent.text or "") + element.tail
    parent.remove(element)
