"""The documents of a hash chain in any dialect, as values. Anything they must not hold is refused (``malformed_hash_chain``)."""

from __future__ import annotations

import base64
import binascii

import msgspec
from lxml import etree

from schemas.faults import BadMessage, Kind, NotProved
from schemas.hashchain.steps import DIGESTS, DS_NS, HASH_CHAIN_NS, base64_text
from schemas.safexml import XmlLimits, parse_xml

MOST_BYTES = 128 * 1024


class ChainResult(msgspec.Struct, frozen=True):
    """A hash chain result document: the algorithm and digest that the signature covers."""

    chain_uri: str
    step_id: str
    algorithm_uri: str
    digest: bytes


class ChainInput(msgspec.Struct, frozen=True):
    """One input of a step: a given digest, a reference to a step, or a reference to data."""

    kind: str
    reference: str
    digest: bytes
    algorithm_uri: str
    transforms: tuple[str, ...] = ()


def parse_result(raw: bytes) -> ChainResult:
    """Read a result document. Raises `NotProved` (``malformed_hash_chain``)."""
    root = parse_chain(raw, "HashChainResult")
    uri, hash_mark, step_id = root.get("URI", "").partition("#")
    if not hash_mark or not step_id or len(root) != 2:
        raise malformed("a hash chain result needs a URI with a step, a digest method and a digest value")
    method, value = root
    algorithm_uri = _method(method)
    return ChainResult(uri, step_id, algorithm_uri, _value(value))


def read_steps(root: etree._Element, algorithm_uri: str | None) -> dict[str, list[ChainInput]]:
    """The steps of a chain document by id, their inputs in order; every method must be ``algorithm_uri`` if that is given.

    Raises `NotProved`: ``malformed_hash_chain``, ``invalid_hash_chain``.
    """
    if not len(root) or root[0].tag != f"{{{HASH_CHAIN_NS}}}DefaultDigestMethod":
        raise malformed("a hash chain begins with its default digest method")
    default = _method(root[0])
    steps: dict[str, list[ChainInput]] = {}
    for element in list(root)[1:]:
        step_id = element.get("id")
        if element.tag != f"{{{HASH_CHAIN_NS}}}HashStep" or not step_id or not len(element):
            raise malformed("a hash chain holds steps with an id and at least one input")
        if step_id in steps:
            raise malformed(f"step {step_id!r:.80} of the hash chain is there twice")
        steps[step_id] = [_item(child, default) for child in element]
    methods = {item.algorithm_uri for items in steps.values() for item in items} | {default}
    if algorithm_uri is not None and methods != {algorithm_uri}:
        raise NotProved(
            Kind.INVALID_HASH_CHAIN,
            f"the hash chain uses {', '.join(sorted(methods))}; {algorithm_uri} was expected",
        )
    return steps


def _item(element: etree._Element, default: str) -> ChainInput:
    name = etree.QName(element)
    if name.namespace != HASH_CHAIN_NS or name.localname not in ("HashValue", "StepRef", "DataRef"):
        raise malformed(f"a step of a hash chain cannot hold {name.localname!r}")
    method, digest = default, b""
    transforms: tuple[str, ...] = ()
    for child in element:
        tag = child.tag
        if tag == f"{{{DS_NS}}}DigestMethod":
            method = _method(child)
        elif tag == f"{{{DS_NS}}}DigestValue":
            digest = _value(child)
        elif tag == f"{{{DS_NS}}}Transforms" and name.localname != "StepRef":
            transforms = tuple(t.get("Algorithm", "") for t in child)
        else:
            raise malformed(f"an input of a hash chain cannot hold {tag!s:.80}")
    reference = element.get("URI", "")
    if (name.localname == "HashValue") == bool(reference) or (not digest and name.localname != "StepRef"):
        raise malformed(f"{name.localname} of a hash chain lacks its URI or its digest")
    return ChainInput(name.localname, reference, digest, method, transforms)


def parse_chain(raw: bytes, root_name: str, most_bytes: int = MOST_BYTES) -> etree._Element:
    """The root element of a document of at most ``most_bytes``. Raises `NotProved` (``malformed_hash_chain``)."""
    limits = XmlLimits(size_bytes=most_bytes, depth=16)
    try:
        root = parse_xml(raw, kind=Kind.MALFORMED_HASH_CHAIN, what="hash chain", limits=limits)
    except BadMessage as fault:
        raise malformed(fault.detail) from fault
    if root.tag != f"{{{HASH_CHAIN_NS}}}{root_name}":
        raise malformed(f"{root_name} was expected, {root.tag!s:.100} came")
    return root


def _method(element: etree._Element) -> str:
    uri = element.get("Algorithm", "")
    if etree.QName(element).localname not in ("DigestMethod", "DefaultDigestMethod") or uri not in DIGESTS:
        raise malformed(f"the digest method {uri!r} is not SHA-256, SHA-384 or SHA-512")
    return uri


def _value(element: etree._Element) -> bytes:
    if element.tag != f"{{{DS_NS}}}DigestValue":
        raise malformed("a digest value was expected")
    try:
        text = "".join((element.text or "").split())
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise malformed("a digest value is not base64") from None
    if not value:
        raise malformed("a digest value is empty")
    if base64_text(value) != text:
        raise malformed("a digest value is not base64 in its one form")
    return value


def malformed(detail: str) -> NotProved:
    """The refusal (``malformed_hash_chain``) of what no hash chain may hold."""
    return NotProved(Kind.MALFORMED_HASH_CHAIN, detail)
