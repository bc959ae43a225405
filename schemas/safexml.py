"""The only door by which XML from outside comes in.

A document is scanned by expat first, before any tree is built: no DTD, UTF-8 only, bounded depth, attributes and
namespace declarations (inclusive canonicalisation is quadratic in them, so half a megabyte could cost minutes).
Only then does lxml build the tree, with entities, network and huge nodes off.
"""

from __future__ import annotations

from xml.parsers import expat

import msgspec
from lxml import etree

from schemas.faults import BadMessage, Kind

_BOM = b"\xef\xbb\xbf"


class XmlLimits(msgspec.Struct, frozen=True):
    """Bounds on a document; the defaults suit signatures and envelopes."""

    size_bytes: int = 10 * 1024 * 1024
    depth: int = 64
    attributes: int = 64
    namespaces: int = 64
    elements: int = 1_000_000


DEFAULT_LIMITS = XmlLimits()


def parse_xml(
    data: bytes,
    *,
    kind: Kind = Kind.INVALID_XML,
    what: str = "document",
    limits: XmlLimits = DEFAULT_LIMITS,
    with_comments: bool = False,
) -> etree._Element:
    """The root element of a document that keeps every bound. Raises `BadMessage` of ``kind`` otherwise.

    Comments and processing instructions are not in the tree unless asked for, so ``text`` is an element's whole text: with
    a comment in its middle it would be what stands before, which is not what others read.
    """
    if len(data) > limits.size_bytes:
        raise BadMessage(kind, f"the {what} has {len(data)} bytes; at most {limits.size_bytes} are accepted")
    _scan(data, kind, what, limits)
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        encoding="utf-8",
        remove_comments=not with_comments,
        remove_pis=not with_comments,
    )
    try:
        root = etree.fromstring(data.removeprefix(_BOM), parser)
    except (etree.XMLSyntaxError, ValueError) as err:
        raise BadMessage(kind, f"the {what} is not well-formed XML: {err}") from err
    assert root.getroottree().docinfo.internalDTD is None, "the scan refuses every DOCTYPE"
    return root


def _scan(data: bytes, kind: Kind, what: str, limits: XmlLimits) -> None:
    parser = expat.ParserCreate()
    depth = elements = 0
    open_namespaces = [0]

    def start(_name: str, attributes: dict[str, str]) -> None:
        nonlocal depth, elements
        depth += 1
        elements += 1
        if elements > limits.elements:
            raise BadMessage(kind, f"the {what} has more than {limits.elements} elements")
        declared = sum(1 for a in attributes if a == "xmlns" or a.startswith("xmlns:")) if attributes else 0
        open_namespaces.append(open_namespaces[-1] + declared)
        if depth > limits.depth:
            raise BadMessage(kind, f"the {what} nests more than {limits.depth} elements")
        if len(attributes) - declared > limits.attributes:
            raise BadMessage(kind, f"the {what} has an element with more than {limits.attributes} attributes")
        if open_namespaces[-1] > limits.namespaces:
            raise BadMessage(
                kind, f"the {what} has more than {limits.namespaces} namespace declarations in scope"
            )

    def end(_name: str) -> None:
        nonlocal depth
        depth -= 1
        open_namespaces.pop()

    def doctype(*_: object) -> None:
        raise BadMessage(kind, f"the {what} has a DOCTYPE, which is not allowed")

    def declaration(version: str | None, encoding: str | None, _standalone: int) -> None:
        if encoding is not None and encoding.lower() not in ("utf-8", "us-ascii", "ascii"):
            raise BadMessage(kind, f"the {what} declares the encoding {encoding!r}; only UTF-8 is accepted")
        if version not in (None, "1.0"):
            raise BadMessage(kind, f"the {what} is of XML version {version!r}; only 1.0 is accepted")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.StartDoctypeDeclHandler = doctype
    parser.XmlDeclHandler = declaration
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\x00" in data[:4]:
        raise BadMessage(kind, f"the {what} is not UTF-8")
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError) as err:
        raise BadMessage(kind, f"the {what} is not well-formed XML: {err}") from err
