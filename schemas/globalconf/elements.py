"""Reading and writing the small XML vocabulary all configuration documents share: ordered, unqualified children.

`take` is the structural half of the schema: it checks order and number of an element's children and gives them by
name. Documents that break it are refused with what was expected and what came.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, NamedTuple

from lxml import etree

from schemas.faults import Fault, Kind
from schemas.numbers import signed_number
from schemas.safexml import XmlLimits, parse_xml

if TYPE_CHECKING:
    from collections.abc import Sequence

CONF_NS = "http://x-road.eu/xsd/xroad.xsd"
ID_NS = "http://x-road.eu/xsd/identifiers"
MANY = 1_000_000
_LIMITS = XmlLimits(size_bytes=64 * 1024 * 1024, depth=24)


class Child(NamedTuple):
    """A child an element may have: local name, and how often at least and at most."""

    name: str
    least: int = 1
    most: int = 1


def parse_root(raw: bytes, root_name: str, what: str) -> etree._Element:
    """The root element of a configuration document, comments gone. Raises `Fault`."""
    root = parse_xml(raw, kind=Kind.MALFORMED_GLOBAL_CONF, what=what, limits=_LIMITS)
    if root.tag != f"{{{CONF_NS}}}{root_name}":
        raise malformed(f"the {what} begins with {root.tag!s:.100}; {root_name} in {CONF_NS} was expected")
    return root


def take(
    element: etree._Element, spec: Sequence[Child], *, open_end: bool = False
) -> dict[str, list[etree._Element]]:
    """The children by name, in the order and numbers of ``spec``; ``open_end`` lets others follow. Raises `Fault`."""
    names = [name for name, _, _ in spec]
    found: dict[str, list[etree._Element]] = {name: [] for name in names}
    place, last = 0, len(names)
    for child in element:
        tag = str(child.tag)
        while place < last and names[place] != tag:
            place += 1
        if place == last:
            if open_end and tag not in found:
                break
            raise malformed(f"{_name(element)} cannot hold {_name(child)} here")
        found[tag].append(child)
    for name, least, most in spec:
        count = len(found[name])
        if not least <= count <= most:
            raise malformed(
                f"{_name(element)} has {count} {name}; {least} to "
                f"{'any number' if most == MANY else most} were expected"
            )
    return found


def text(elements: Sequence[etree._Element]) -> str:
    """The text of the only element."""
    return (elements[0].text or "").strip()


def optional_text(elements: Sequence[etree._Element]) -> str | None:
    """The text of the element, or None when it is not there."""
    return text(elements) if elements else None


def base64_of(element: etree._Element) -> bytes:
    """The decoded content of a base64Binary element. Raises `Fault`."""
    try:
        return base64.b64decode("".join((element.text or "").split()), validate=True)
    except (binascii.Error, ValueError):
        raise malformed(f"{_name(element)} is not base64") from None


def integer(elements: Sequence[etree._Element]) -> int:
    """The integer in the only element. Raises `Fault`."""
    number = signed_number(text(elements).strip().removeprefix("+"))
    if number is None:
        raise malformed(f"{_name(elements[0])} is not an integer of 64 bits")
    return number


def boolean(value: str, what: str) -> bool:
    """An ``xs:boolean`` as a bool; ``what`` names the element in the fault. Raises `Fault`."""
    if value in ("true", "1"):
        return True
    if value in ("false", "0"):
        return False
    raise malformed(f"{what} is {value!r}; true or false was expected")


def malformed(detail: str) -> Fault:
    """The fault of every broken configuration document."""
    return Fault(Kind.MALFORMED_GLOBAL_CONF, detail)


def _name(element: etree._Element) -> str:
    return etree.QName(element).localname


def new_root(root_name: str) -> etree._Element:
    """An empty document with the namespaces X-Road's own writer declares."""
    return etree.Element(f"{{{CONF_NS}}}{root_name}", nsmap={"ns2": ID_NS, "ns3": CONF_NS})


def add(parent: etree._Element, name: str, value: str | int | bytes | bool | None = None) -> etree._Element:
    """Append an unqualified child; bytes are written in base64, booleans as xs:boolean."""
    element = etree.SubElement(parent, name)
    if isinstance(value, bool):
        element.text = "true" if value else "false"
    elif isinstance(value, bytes):
        element.text = base64.b64encode(value).decode("ascii")
    elif value is not None:
        element.text = str(value)
    return element


def add_optional(parent: etree._Element, name: str, value: str | bytes | None) -> None:
    """Append a child unless there is nothing to say."""
    if value is not None:
        add(parent, name, value)


def to_bytes(root: etree._Element) -> bytes:
    """The document, declared UTF-8 and indented for the person who opens it."""
    etree.indent(root, "    ")
    raw: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8", standalone=True)
    return raw
