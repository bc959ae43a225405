"""A fault as XML: the SOAP 1.1 envelope that carries problems between security servers, for REST too.

Written with unqualified ``faultcode``, ``faultstring``, ``faultactor`` and ``detail/faultDetail``, as X-Road reads it.
What is read is a stranger's word: bounded, and never trusted beyond being shown. Spec: PR-MESS 2.4; SOAP 1.1 4.4.
"""

from __future__ import annotations

from xml.sax.saxutils import escape

from lxml import etree

from schemas.faults import BadMessage, Kind, WireFault
from schemas.safexml import XmlLimits, parse_xml

SOAP_NS = "http://schemas.xmlsoap.org/soap/envelope/"
_LARGEST = 256 * 1024
_LONGEST = 8192


def render_soap_fault(code: str, string: str, actor: str = "", detail: str = "") -> bytes:
    """The envelope of a fault."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<SOAP-ENV:Envelope xmlns:SOAP-ENV="{SOAP_NS}"><SOAP-ENV:Body><SOAP-ENV:Fault>'
        f"<faultcode>{_text(code)}</faultcode><faultstring>{_text(string)}</faultstring>"
        f"<faultactor>{_text(actor)}</faultactor>"
        f'<detail><faultDetail xmlns="">{_text(detail)}</faultDetail></detail>'
        "</SOAP-ENV:Fault></SOAP-ENV:Body></SOAP-ENV:Envelope>"
    ).encode("utf-8", "replace")


def parse_soap_fault(raw: bytes, largest: int = _LARGEST) -> WireFault | None:
    """The fault of an envelope; None when the envelope holds no fault. Raises `BadMessage` on broken XML."""
    root = parse_xml(raw, kind=Kind.INVALID_SOAP, what="SOAP fault", limits=XmlLimits(size_bytes=largest))
    if root.tag != f"{{{SOAP_NS}}}Envelope":
        raise BadMessage(Kind.INVALID_SOAP, f"a SOAP envelope was expected, {root.tag!s:.100} came")
    fault = root.find(f"{{{SOAP_NS}}}Body/{{{SOAP_NS}}}Fault")
    if fault is None:
        return None
    return WireFault(
        _child(fault, "faultcode"), _child(fault, "faultstring"), _child(fault, "faultactor"), _detail(fault)
    )


def _child(fault: etree._Element, name: str) -> str:
    found = fault.find(name)
    if found is None:
        found = fault.find(f"{{{SOAP_NS}}}{name}")
    return "" if found is None else (found.text or "").strip()[:_LONGEST]


def _detail(fault: etree._Element) -> str:
    detail = fault.find("detail")
    if detail is None:
        return ""
    inner = detail.find("{*}faultDetail")
    return "".join(str(t) for t in (detail if inner is None else inner).itertext()).strip()[:_LONGEST]


def _text(value: str) -> str:
    return escape("".join(c for c in value if c in "\t\n\r" or (c >= " " and not "\ud800" <= c <= "\udfff")))
