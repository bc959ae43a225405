"""One pass over a SOAP envelope's bytes: its headers' values, and where in the bytes a few elements lie.

Expat reads; what may grow is counted (depth, elements, attributes, namespaces, header values). Where several things are
wrong, the first in document order wins, as in X-Road, whose parser streams. No DOCTYPE, hence no entities.

Spec: PR-MESS 2 (headers, representation and security token extensions).
"""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import TypeVar
from xml.parsers import expat

import msgspec

from schemas.faults import BadMessage, Kind
from schemas.faultxml import SOAP_NS
from schemas.identifiers import (
    ID_NS,
    IDENTIFIER_PARTS,
    ClientId,
    Identifier,
    ServerId,
    ServiceId,
    identifier_from_parts,
    required_parts,
)
from schemas.names import check_text

T = TypeVar("T")

XROAD_NS = "http://x-road.eu/xsd/xroad.xsd"
REPRESENTATION_NS = "http://x-road.eu/xsd/representation.xsd"
# What an XML declaration and a content type may name; X-Road's parser takes ISO-8859-1 too.
ENCODINGS = frozenset(("utf-8", "us-ascii", "ascii", "iso-8859-1", "latin1", "iso_8859-1"))
# Cannot occur in XML, so a name cannot be mistaken for another.
_SEPARATOR = "\x0c"
_ENVELOPE = f"{SOAP_NS}{_SEPARATOR}Envelope"
_HEADER = f"{SOAP_NS}{_SEPARATOR}Header"
_BODY = f"{SOAP_NS}{_SEPARATOR}Body"
_FAULT = f"{SOAP_NS}{_SEPARATOR}Fault"
_OBJECT_TYPE = f"{ID_NS}{_SEPARATOR}objectType"
_NIL = f"http://www.w3.org/2001/XMLSchema-instance{_SEPARATOR}nil"
_REPRESENTED = f"{REPRESENTATION_NS}{_SEPARATOR}representedParty"
_VALUES = frozenset(
    f"{XROAD_NS}{_SEPARATOR}{n}" for n in ("id", "userId", "issue", "protocolVersion", "requestHash")
)
_IDENTIFIERS = {
    f"{XROAD_NS}{_SEPARATOR}client": ("MEMBER", "SUBSYSTEM"),
    f"{XROAD_NS}{_SEPARATOR}service": ("SERVICE",),
    f"{XROAD_NS}{_SEPARATOR}securityServer": ("SERVER",),
}
_PARTS_OF = {
    **{name: frozenset(f"{ID_NS}{_SEPARATOR}{p}" for p in IDENTIFIER_PARTS) for name in _IDENTIFIERS},
    _REPRESENTED: frozenset(f"{REPRESENTATION_NS}{_SEPARATOR}{p}" for p in ("partyClass", "partyCode")),
}
# Some milliseconds of work, whatever is in it.
_PIECE = 64 * 1024
_FIELD_DEPTH = 3
_PART_DEPTH = 4


class SoapLimits(msgspec.Struct, frozen=True):
    """Bounds on a SOAP envelope, in bytes and elements."""

    size_bytes: int = 10 * 1024 * 1024
    depth: int = 256
    elements: int = 500_000
    attributes: int = 256
    namespaces: int = 256  # in scope at once
    prefixes: int = 4096  # different ones in all: the parser keeps each
    header_value_bytes: int = 64 * 1024
    tag_bytes: int = 512 * 1024


DEFAULT_LIMITS = SoapLimits()


class Places(msgspec.Struct, frozen=True):
    """The places of some elements in the raw bytes: (begin, end) offsets."""

    id_element: tuple[int, int]
    id_declares_namespace: bool
    request_hash: tuple[int, int] | None
    body_content: tuple[int, int]


class Scanned(msgspec.Struct, frozen=True):
    """An envelope without a fault, read: header values as written, nothing trimmed, everything that is needed there."""

    client: ClientId
    service: ServiceId
    values: dict[str, str]
    body_name: str
    places: Places
    security_server: ServerId | None
    represented_party: str | None


def scan_in_pieces(raw: bytes, limits: SoapLimits = DEFAULT_LIMITS) -> Generator[None, None, Scanned | None]:
    """Read an envelope; its result is ``None`` if it holds a fault. Raises `BadMessage` with X-Road's kind for what is wrong first.

    It stops after each `_PIECE` bytes, so that whoever has other things to do can do them in between; `run_through` does not.
    """
    scan = _Scan(raw, limits)
    yield from scan.run()
    return None if scan.has_fault else scan.found()


def run_through(work: Generator[None, None, T]) -> T:
    """The result of a piece of work that is done without a stop."""
    while True:
        try:
            next(work)
        except StopIteration as done:
            found: T = done.value
            return found


class _Scan:
    """Reads one envelope. Its handlers know where they stand by depth alone: the grammar is four levels deep."""

    def __init__(self, raw: bytes, limits: SoapLimits) -> None:
        self._raw = raw
        self._limits = limits
        self._depth = 0
        self._elements = 0
        self._namespaces = 0
        self._declared = 0
        self._prefixes: set[str | None] = set()
        self._part: str | None = None  # Header or Body, when inside
        self._seen: set[str] = set()
        self._field: str | None = None
        self._object_type = ""
        self._parts: dict[str, str] = {}
        self._text: list[str] = []
        self._text_size = 0
        self._begun = 0
        self._values: dict[str, str] = {}
        self._identifiers: dict[str, Identifier] = {}
        self._represented: str | None = None
        self._id_element = (0, 0)
        self._id_declares = False
        self._hash_element: tuple[int, int] | None = None
        self._body_begin = 0
        self._body_content = (0, 0)
        self._body_names: list[str] = []
        self.has_fault = False

    def run(self) -> Generator[None, None, None]:
        """Read it all, with a stop after each piece; raises at the first thing that is wrong."""
        parser = expat.ParserCreate(namespace_separator=_SEPARATOR)
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.StartNamespaceDeclHandler = self._namespace
        parser.EndNamespaceDeclHandler = self._namespace_end
        parser.StartDoctypeDeclHandler = _refuse_doctype
        parser.XmlDeclHandler = _check_declaration
        self._parser = parser
        try:
            last = max(0, (len(self._raw) - 1) // _PIECE * _PIECE)
            for begin in range(0, last, _PIECE):
                parser.Parse(self._raw[begin : begin + _PIECE], False)
                if begin + _PIECE - parser.CurrentByteIndex > self._limits.tag_bytes:
                    raise _too_much(f"a tag or a comment of more than {self._limits.tag_bytes} bytes")
                yield
            parser.Parse(self._raw[last:], True)
        except (expat.ExpatError, ValueError) as err:
            raise BadMessage(Kind.INVALID_SOAP, f"the SOAP envelope is not well-formed XML: {err}") from err

    def found(self) -> Scanned:
        """The envelope as read, complete: everything that must be there is. Raises `BadMessage` (``invalid_soap``)."""
        client, service = self._identifiers["client"], self._identifiers["service"]
        server = self._identifiers.get("securityServer")
        assert isinstance(client, ClientId) and isinstance(service, ServiceId)
        return Scanned(
            client,
            service,
            self._values,
            self._body_names[0],
            Places(self._id_element, self._id_declares, self._hash_element, self._body_content),
            server if isinstance(server, ServerId) else None,
            self._represented,
        )

    # Handlers

    def _namespace(self, prefix: str | None, _uri: str | None) -> None:
        self._prefixes.add(prefix)
        if len(self._prefixes) > self._limits.prefixes:
            raise _too_much(f"more than {self._limits.prefixes} different namespace prefixes")
        self._namespaces += 1
        self._declared += 1
        if self._namespaces > self._limits.namespaces:
            raise _too_much(f"more than {self._limits.namespaces} namespace declarations in scope")

    def _namespace_end(self, _prefix: str | None) -> None:
        self._namespaces -= 1

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._elements += 1
        declared, self._declared = self._declared, 0
        if self._elements > self._limits.elements:
            raise _too_much(
                f"more than {self._limits.elements} elements; large content belongs in an attachment"
            )
        if self._depth > self._limits.depth:
            raise _too_much(f"elements nested more than {self._limits.depth} deep")
        if len(attributes) > self._limits.attributes:
            raise _too_much(f"an element with more than {self._limits.attributes} attributes")
        if self._depth == 1:
            if name != _ENVELOPE:
                raise BadMessage(Kind.INVALID_SOAP, f"a SOAP envelope was expected; {_local(name)!r} came")
        elif self._depth == 2:
            self._start_part(name)
        elif self._part == _HEADER:
            self._start_in_header(name, attributes, declared)
        elif self._part == _BODY and self._depth == _FIELD_DEPTH:
            self._start_in_body(name)

    def _start_part(self, name: str) -> None:
        self._part = name if name in (_HEADER, _BODY) else None
        if self._part is None:
            return
        if self._part in self._seen or (name == _HEADER and _BODY in self._seen):
            raise BadMessage(Kind.INVALID_SOAP, f"the SOAP envelope has a second or misplaced {_local(name)}")
        self._seen.add(name)
        if name == _BODY:
            self._body_begin = self._end_of_tag(self._parser.CurrentByteIndex)

    def _start_in_header(self, name: str, attributes: dict[str, str], declared: int) -> None:
        if self._depth == _FIELD_DEPTH:
            self._field = None
            if name in _VALUES:
                self._once(_local(name), self._values)
                _check_not_nil(name, attributes)
                self._field = name
                self._begun = self._parser.CurrentByteIndex
                self._id_declares = bool(declared) if _local(name) == "id" else self._id_declares
                self._collect()
            elif name in _IDENTIFIERS:
                self._once(_local(name), self._identifiers)
                self._object_type = _object_type(attributes, _IDENTIFIERS[name])
                self._field, self._parts = name, {}
            elif name == _REPRESENTED:
                if self._represented is not None:
                    raise _duplicate("representedParty")
                self._field, self._parts = name, {}
        elif self._field is not None and self._depth == _PART_DEPTH:
            if self._field in _PARTS_OF and name in _PARTS_OF[self._field]:
                self._once(_local(name), self._parts)
                _check_not_nil(name, attributes)
                self._collect()
                return
            if self._field in _VALUES:
                self._interrupted()
        elif self._parser.CharacterDataHandler is not None:
            self._interrupted()

    def _start_in_body(self, name: str) -> None:
        if name == _FAULT:
            self.has_fault = True
            return
        self._body_names.append(_local(name))
        if len(self._body_names) > 1:
            raise BadMessage(Kind.INVALID_BODY, "the SOAP body has more than one element")

    def _end(self, name: str) -> None:
        if self._part == _HEADER and self._field is not None:
            self._end_in_header(name)
        if self._depth == 2:
            if name == _BODY:
                self._end_body()
            self._part = None
        elif self._depth == 1 and not self.has_fault:
            self._check_complete()
        self._depth -= 1

    def _end_in_header(self, name: str) -> None:
        if self._depth == _PART_DEPTH and self._field in _PARTS_OF:
            if name in _PARTS_OF[self._field]:
                self._parts[_local(name)] = self._collected()
        elif self._depth == _FIELD_DEPTH:
            self._end_field(name)
            self._field = None

    def _end_field(self, name: str) -> None:
        local = _local(name)
        if name in _VALUES:
            value = self._collected()
            place = (self._begun, self._end_of_element(self._begun))
            if local == "protocolVersion":
                _check_version(value)
            elif local == "id":
                self._id_element = place
            elif local == "requestHash":
                self._hash_element = place
            self._values[local] = value
        elif name in _IDENTIFIERS:
            self._identifiers[local] = _identifier(self._object_type, self._parts)
        else:
            self._represented = _represented_party(self._parts)

    def _end_body(self) -> None:
        self._body_content = (self._body_begin, self._parser.CurrentByteIndex)

    def _check_complete(self) -> None:
        if _HEADER not in self._seen:
            raise BadMessage(Kind.MISSING_HEADER, "the SOAP envelope has no header")
        for name, found in (
            ("protocolVersion", self._values.get("protocolVersion")),
            ("client", self._identifiers.get("client")),
            ("id", self._values.get("id", "").strip()),
            ("service", self._identifiers.get("service")),
        ):
            if not found:
                raise BadMessage(
                    Kind.MISSING_HEADER_FIELD, f"the SOAP header lacks {name} (namespace {XROAD_NS})"
                )
        if _BODY not in self._seen:
            raise BadMessage(Kind.MISSING_BODY, "the SOAP envelope has no body")
        if not self._body_names:
            raise BadMessage(Kind.INVALID_BODY, "the SOAP body has no element; exactly one was expected")
        service = self._identifiers["service"]
        if isinstance(service, ServiceId) and not self._body_names[0].startswith(service.service_code):
            raise BadMessage(
                Kind.INCONSISTENT_HEADERS,
                f"the body's element is {self._body_names[0][:100]!r}; the header's service code is "
                f"{service.service_code!r}, with which it must begin",
            )

    # Text and places

    def _collect(self) -> None:
        self._text, self._text_size = [], 0
        self._parser.CharacterDataHandler = self._take
        self._parser.CommentHandler = self._parser.ProcessingInstructionHandler = self._interrupted

    def _interrupted(self, *_: object) -> None:
        """Some read a value up to what stands within it, others past it: they would see another client or message."""
        raise BadMessage(
            Kind.INVALID_SOAP,
            f"the value of {_local(self._field or '')} in the SOAP header has an element, comment or instruction in it",
        )

    def _take(self, text: str) -> None:
        self._text.append(text)
        self._text_size += len(text)
        if self._text_size > self._limits.header_value_bytes:
            raise _too_much(f"a header value longer than {self._limits.header_value_bytes} characters")

    def _collected(self) -> str:
        parser = self._parser
        parser.CharacterDataHandler = parser.CommentHandler = parser.ProcessingInstructionHandler = None
        return "".join(self._text)

    def _once(self, name: str, among: dict[str, str] | dict[str, Identifier]) -> None:
        if name in among:
            raise _duplicate(name)

    def _end_of_tag(self, begin: int) -> int:
        """The offset after the start tag at ``begin``; a ``>`` in an attribute's value does not end it."""
        found = _TAG.match(self._raw, begin)
        return begin if found is None else found.end()

    def _end_of_element(self, begin: int) -> int:
        """The offset after the element at ``begin``, which ends now: after its end tag, or its only one."""
        first = self._end_of_tag(begin)
        if self._raw[first - 2 : first] == b"/>":
            return first
        return self._raw.find(b">", self._parser.CurrentByteIndex) + 1


_TAG = re.compile(rb"<(?:[^>\"']|\"[^\"]*\"|'[^']*')*>")


def _local(name: str) -> str:
    return name.rpartition(_SEPARATOR)[2]


def _too_much(what: str) -> BadMessage:
    return BadMessage(Kind.INVALID_SOAP, f"the SOAP envelope has {what}")


def _duplicate(name: str) -> BadMessage:
    return BadMessage(Kind.DUPLICATE_HEADER_FIELD, f"the SOAP header has {name} twice")


def _refuse_doctype(*_: object) -> None:
    raise BadMessage(Kind.INVALID_SOAP, "the SOAP envelope has a DOCTYPE, which is not allowed")


def _check_declaration(_version: str, encoding: str | None, _standalone: int) -> None:
    if encoding is not None and encoding.lower() not in ENCODINGS:
        raise BadMessage(
            Kind.INVALID_SOAP,
            f"the SOAP envelope declares the encoding {encoding[:40]!r}; messages are sent in UTF-8",
        )


def _check_version(value: str) -> None:
    if not value.startswith("4."):
        raise BadMessage(
            Kind.INVALID_PROTOCOL_VERSION, f"protocolVersion is {value[:40]!r}; 4.x is spoken here"
        )


def _object_type(attributes: dict[str, str], expected: tuple[str, ...]) -> str:
    found = attributes.get(_OBJECT_TYPE)
    if found is None:
        raise BadMessage(
            Kind.INVALID_XML, f"an identifier lacks the attribute objectType of namespace {ID_NS}"
        )
    if found not in expected:
        raise BadMessage(Kind.INVALID_XML, f"objectType is {found[:40]!r}; expected {' or '.join(expected)}")
    return found


def _check_not_nil(name: str, attributes: dict[str, str]) -> None:
    """A reader that knows schemas sees no value in a nil element, others its text."""
    if attributes.get(_NIL, "false").strip() not in ("false", "0"):
        raise BadMessage(Kind.INVALID_SOAP, f"{_local(name)} in the SOAP header is nil")


def _identifier(object_type: str, parts: dict[str, str]) -> Identifier:
    """A missing or blank part is ``internal_error`` in X-Road, whose code peers and test suites compare."""
    needed = [n for n in required_parts(object_type) if not parts.get(n, "").strip()]
    if needed:
        raise BadMessage(
            Kind.INTERNAL_ERROR, f"an identifier of type {object_type} lacks {', '.join(needed)}"
        )
    for part in parts.values():
        check_text(part, "an identifier", lines=True)
    return identifier_from_parts(object_type, parts)


def _represented_party(parts: dict[str, str]) -> str:
    code = parts.get("partyCode", "")
    if not code.strip():
        raise BadMessage(Kind.MISSING_HEADER_FIELD, "representedParty lacks partyCode")
    return f"{parts['partyClass']}/{code}" if "partyClass" in parts else code
