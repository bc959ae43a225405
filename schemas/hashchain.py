"""Hash chains: one signature or one timestamp over several messages, each with its own way to the root.

A step's digest is H over the DER of its inputs; a message with several parts is one step over them; several messages
form a tree of the shape of RFC 6962. The *result* document names the root and is what is signed: its exact bytes are
kept and sent. The *chain* document leads from one message's parts to the result's first step.

`build` writes both; `verify` reads any dialect (prefixes, white space) and refuses loops, double ids, foreign digest
methods, transforms, and inputs the chain never touched.

Spec: PR-HASHCHAIN; X-Road 7.8's HashChainBuilder and HashChainVerifier.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec
from lxml import etree

from schemas.faults import BadMessage, Kind, NotProved
from schemas.safexml import XmlLimits, parse_xml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

HASH_CHAIN_NS = "http://cyber.ee/hashchain"
DS_NS = "http://www.w3.org/2000/09/xmldsig#"
SHA512_URI = "http://www.w3.org/2001/04/xmlenc#sha512"
SIGNATURE_CHAIN_URI = "/sig-hashchain.xml"
TIMESTAMP_CHAIN_URI = "/ts-hashchain.xml"

DIGESTS: dict[str, str] = {
    "http://www.w3.org/2001/04/xmlenc#sha256": "sha256",
    "http://www.w3.org/2001/04/xmldsig-more#sha384": "sha384",
    SHA512_URI: "sha512",
}
_DEEPEST = 64
# Steps and inputs of all chain documents of one evaluation, and bytes of each: what a way to the root through a batch of
# any size takes, and so many more for each part of the message. A stranger who wants a long chain read must send its parts.
_MOST_ITEMS, _ITEMS_A_PART = 512, 2
_MOST_BYTES, _BYTES_A_PART = 128 * 1024, 2048

Part = tuple[str, bytes]
# A chain document's URI, a step's id and the digest method it is wanted by.
_StepKey = tuple[str, str, str]


class Built(msgspec.Struct, frozen=True):
    """A result document and, for each message in order, its chain document."""

    result: bytes
    chains: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class ChainResult:
    """A hash chain result document: the algorithm and digest that the signature covers."""

    chain_uri: str
    step_id: str
    algorithm_uri: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class _Item:
    """One input of a step: a given digest, a reference to a step, or a reference to data."""

    kind: str
    reference: str
    digest: bytes
    algorithm_uri: str
    transforms: tuple[str, ...] = ()


def _length(size: int) -> bytes:
    if size < 0x80:
        return bytes((size,))
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((0x80 | len(octets),)) + octets


def _der(tag: int, content: bytes) -> bytes:
    return bytes((tag,)) + _length(len(content)) + content


def step_digest(inputs: Sequence[tuple[bytes, str]], algorithm_uri: str = SHA512_URI) -> bytes:
    """The digest of a step over ``(digest, digest method URI)`` inputs, in order.

    H(DER SEQUENCE { SEQUENCE { OCTET STRING digest, UTF8String method, SEQUENCE {} } ... }).
    """
    content = b"".join([_input_der(digest, method_uri) for digest, method_uri in inputs])
    return hashlib.new(DIGESTS[algorithm_uri], _der(0x30, content)).digest()


def _sha512_step(digests: Sequence[bytes]) -> bytes:
    """`step_digest` where everything is SHA-512, as in all that is built here."""
    content = b"".join([_BEFORE_SHA512 + digest + _AFTER_SHA512 for digest in digests])
    return hashlib.sha512(_sequence_head(len(content)) + content).digest()


@lru_cache(maxsize=64)
def _sequence_head(size: int) -> bytes:
    """Tag and length of a SEQUENCE with so many bytes of content."""
    return bytes((0x30,)) + _length(size)


@lru_cache(maxsize=64)
def _template(size: int, method_uri: str) -> tuple[bytes, bytes]:
    """What stands before and after a digest of that many bytes in the DER of an input."""
    after = _der(0x0C, method_uri.encode("utf-8")) + b"\x30\x00"
    blank = _der(0x04, bytes(size))
    return _der(0x30, blank + after)[: -len(after) - size], after


def _input_der(digest: bytes, method_uri: str) -> bytes:
    before, after = _template(len(digest), method_uri)
    return before + digest + after


_BEFORE_SHA512, _AFTER_SHA512 = _template(64, SHA512_URI)

# Building


def build(
    messages: Sequence[Sequence[Part]],
    *,
    result_uri: str = SIGNATURE_CHAIN_URI,
    algorithm_uri: str = SHA512_URI,
) -> Built:
    """Result and chains for ``messages``, each a sequence of ``(URI, digest)`` parts.

    ``result_uri`` is the URI of the chain document that the result names. At least one message with at least one part;
    one message of one part alone needs no chain and is refused.
    """
    if not messages or any(not parts for parts in messages) or (len(messages) == 1 and len(messages[0]) == 1):
        raise ValueError("a hash chain needs several parts to bind together")
    leaves = [
        parts[0][1] if len(parts) == 1 else step_digest([(d, algorithm_uri) for _, d in parts], algorithm_uri)
        for parts in messages
    ]
    paths: list[list[tuple[bool, bytes]]] = [[] for _ in leaves]
    root = _tree(leaves, 0, len(leaves), paths, algorithm_uri)
    return Built(
        _render_result(root, result_uri, algorithm_uri),
        tuple(_render_chain(parts, path, algorithm_uri) for parts, path in zip(messages, paths, strict=True)),
    )


def _tree(
    leaves: Sequence[bytes], start: int, end: int, paths: list[list[tuple[bool, bytes]]], algorithm_uri: str
) -> bytes:
    """The root of ``leaves[start:end]``; ``paths`` gets, leaf upwards, (sibling stands right, its digest)."""
    if end - start == 1:
        return leaves[start]
    middle = start + (1 << ((end - start - 1).bit_length() - 1))
    left = _tree(leaves, start, middle, paths, algorithm_uri)
    right = _tree(leaves, middle, end, paths, algorithm_uri)
    for i in range(start, middle):
        paths[i].append((True, right))
    for i in range(middle, end):
        paths[i].append((False, left))
    return step_digest([(left, algorithm_uri), (right, algorithm_uri)], algorithm_uri)


_RESULT = (
    f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
    f'<h:HashChainResult xmlns:h="{HASH_CHAIN_NS}" xmlns="{DS_NS}" URI="{{uri}}">'
    '<DigestMethod Algorithm="{method}"/><DigestValue>{digest}</DigestValue></h:HashChainResult>'
)


def _render_result(root: bytes, result_uri: str, algorithm_uri: str) -> bytes:
    return _RESULT.format(uri=f"{result_uri}#STEP0", method=algorithm_uri, digest=_b64(root)).encode("ascii")


def _render_chain(parts: Sequence[Part], path: Sequence[tuple[bool, bytes]], algorithm_uri: str) -> bytes:
    steps: list[str] = []
    single = len(parts) == 1
    for depth, (sibling_is_right, sibling) in enumerate(reversed(path)):
        last = depth == len(path) - 1
        ours = _data_ref(*parts[0]) if last and single else f'<h:StepRef URI="#STEP{depth + 1}"/>'
        theirs = _sibling(sibling)
        steps.append(ours + theirs if sibling_is_right else theirs + ours)
    if not single:
        steps.append("".join(_data_ref(*part) for part in parts))
    body = "".join(f'<h:HashStep id="STEP{n}">{inner}</h:HashStep>' for n, inner in enumerate(steps))
    return (
        '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
        f'<h:HashChain xmlns:h="{HASH_CHAIN_NS}" xmlns="{DS_NS}">'
        f'<h:DefaultDigestMethod Algorithm="{algorithm_uri}"/>{body}</h:HashChain>'
    ).encode()


@lru_cache(maxsize=256)
def _sibling(digest: bytes) -> str:
    """A sibling in a chain. Those high in a tree stand in the chain of every message below."""
    return f"<h:HashValue><DigestValue>{_b64(digest)}</DigestValue></h:HashValue>"


def _data_ref(uri: str, digest: bytes) -> str:
    return f'<h:DataRef URI="{_attribute(uri)}"><DigestValue>{_b64(digest)}</DigestValue></h:DataRef>'


@lru_cache(maxsize=64)
def _attribute(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")


def _b64(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode("ascii")


_SIBLING = b"<h:HashValue><DigestValue>"
_SHA512_BYTES = 64


def is_as_built(
    result: bytes, chain: bytes, parts: Sequence[Part], result_uri: str = SIGNATURE_CHAIN_URI
) -> bool:
    """Whether both documents are, byte for byte, what `build` writes over ``parts`` and siblings named in the chain.

    Then the chain leads from exactly these parts to the result: it is made anew from them and compared whole, so how the
    siblings were found in it proves nothing and need not be strict. False says nothing; `verify` then decides.
    """
    downwards: list[tuple[bool, bytes]] = []
    for step in chain.split(b"</h:HashStep>", _DEEPEST):
        place = step.find(_SIBLING)
        if place < 0:
            continue
        start = place + len(_SIBLING)
        try:
            sibling = binascii.a2b_base64(step[start : step.find(b"<", start)])
        except binascii.Error:
            return False
        downwards.append((step[place - 2 : place] != b'">', sibling))
    upwards = downwards[::-1]
    if not parts or (len(parts) == 1 and not upwards) or _render_chain(parts, upwards, SHA512_URI) != chain:
        return False
    if any(len(sibling) != _SHA512_BYTES for _, sibling in upwards):
        return False
    digest = parts[0][1] if len(parts) == 1 else _sha512_step([d for _, d in parts])
    for is_right, sibling in upwards:
        digest = _sha512_step((digest, sibling) if is_right else (sibling, digest))
    return _render_result(digest, result_uri, SHA512_URI) == result


# Verifying


def parse_result(raw: bytes) -> ChainResult:
    """Read a result document. Raises `NotProved` (``malformed_hash_chain``)."""
    root = _parse(raw, "HashChainResult")
    uri, hash_mark, step_id = root.get("URI", "").partition("#")
    if not hash_mark or not step_id or len(root) != 2:
        raise _malformed("a hash chain result needs a URI with a step, a digest method and a digest value")
    method, value = root
    algorithm_uri = _method(method)
    return ChainResult(uri, step_id, algorithm_uri, _value(value))


def verify(
    result: bytes,
    chain: bytes,
    inputs: Mapping[str, bytes | None],
    *,
    chain_uri: str = SIGNATURE_CHAIN_URI,
    resolve: Callable[[str], bytes | None] | None = None,
    algorithm_uri: str | None = SHA512_URI,
    transform: Callable[[str, bytes], bytes] | None = None,
) -> tuple[str, ...]:
    """Prove that ``chain`` leads from every one of ``inputs`` (URI to digest) to ``result``; the data it covers, in order.

    The order matters to callers: no URI goes into any digest, so only its place says which part a digest is of.

    1. The result is well formed and names ``chain_uri``. 2. Every step is evaluated from the result's downwards. A
    digest given in ``inputs`` stands in for the chain's own, so a wrong one shows in step 3, and must equal it (step 5),
    else evidence that is checked from the bytes alone would fail later. Where None is given, or
    the URI is no input, ``resolve`` gives the bytes to digest and compare; None from it lets the chain's digest stand
    (the caller vouches for that), KeyError means there is no such thing. 3. The digest of the result's step equals the
    result. 4. Every input was touched. 5. The chain's own digests of the inputs are theirs.

    ``algorithm_uri`` is the only digest method let in; None lets in SHA-256, 384 and 512 (chains made elsewhere).
    ``transform`` applies a named transform to resolved bytes; without it transforms are refused.

    Raises `NotProved`: ``malformed_hash_chain``, ``invalid_hash_chain_ref``, ``invalid_reference``,
    ``invalid_hash_chain`` or ``hashchain_unused_inputs``; callers add the step ``malformed_signature``.
    """
    parsed = parse_result(result)
    if algorithm_uri is not None and parsed.algorithm_uri != algorithm_uri:
        raise NotProved(
            Kind.INVALID_HASH_CHAIN,
            f"the hash chain result uses {parsed.algorithm_uri}; {algorithm_uri} was expected",
        )
    if parsed.chain_uri != chain_uri:
        raise NotProved(
            Kind.INVALID_REFERENCE,
            f"the hash chain result points to {parsed.chain_uri!r}; {chain_uri!r} was expected",
        )
    walk = _Walk(chain_uri, chain, inputs, resolve, algorithm_uri, transform)
    digest = walk.evaluate(chain_uri, parsed.step_id, parsed.algorithm_uri)
    if digest != parsed.digest:
        raise NotProved(Kind.INVALID_HASH_CHAIN, "the hash chain does not lead to the digest of its result")
    unused = [uri for uri in inputs if uri not in walk.used]
    if unused:
        raise NotProved(
            Kind.HASHCHAIN_UNUSED_INPUTS, f"the hash chain does not cover {', '.join(sorted(unused))}"
        )
    if walk.overruled:
        raise _wrong_reference(walk.overruled[0])
    return tuple(walk.touched)


@dataclass(slots=True)
class _Frame:
    """A step under evaluation: its name, the inputs still to come, and (digest, method URI) of those done."""

    key: _StepKey
    left: Iterator[_Item]
    digests: list[tuple[bytes, str]]


class _Walk:
    """One evaluation: the chain documents read so far, the digest of every step and of all data that was asked for.

    Each step and each datum is digested once, however often it is referred to, and steps are walked on a list, not by
    recursion: the cost is linear in the bytes that came.
    """

    def __init__(
        self,
        chain_uri: str,
        chain: bytes,
        inputs: Mapping[str, bytes | None],
        resolve: Callable[[str], bytes | None] | None,
        algorithm_uri: str | None,
        transform: Callable[[str, bytes], bytes] | None,
    ) -> None:
        self._documents: dict[str, Mapping[str, Sequence[_Item]]] = {}
        self._items = 0
        self._inputs = inputs
        self._resolve = resolve
        self._algorithm_uri = algorithm_uri
        self._transform = transform
        self._digests: dict[_StepKey, bytes] = {}
        self._data: dict[tuple[str, str, tuple[str, ...]], bytes | None] = {}
        self.used: set[str] = set()
        self.touched: list[str] = []
        self.overruled: list[str] = []
        self._read(chain_uri, chain)

    def evaluate(self, document: str, step_id: str, algorithm_uri: str) -> bytes:
        """The digest of a step of a chain document."""
        step = (document, step_id, algorithm_uri)
        frames = [self._enter(step)]
        under_way = {(document, step_id)}
        while frames:
            frame = frames[-1]
            item = next(frame.left, None)
            if item is None:
                frames.pop()
                under_way.remove(frame.key[:2])
                digest = self._digests[frame.key] = step_digest(frame.digests, frame.key[2])
                if frames:
                    frames[-1].digests.append((digest, frame.key[2]))
                continue
            if item.kind != "StepRef":
                frame.digests.append((self._digest(item), item.algorithm_uri))
                continue
            key = self._key(frame.key[0], item)
            known = self._digests.get(key)
            if known is not None:
                # A second way to the same data: whoever asks for an order must see it, though it costs nothing.
                self.touched.append(item.reference)
                frame.digests.append((known, item.algorithm_uri))
                continue
            if key[:2] in under_way or len(frames) >= _DEEPEST:
                raise _malformed(
                    f"step {key[1]!r:.80} of the hash chain leads back to itself, or lies too deep"
                )
            under_way.add(key[:2])
            frames.append(self._enter(key))
        return self._digests[step]

    @staticmethod
    def _key(document: str, item: _Item) -> _StepKey:
        other, _, step_id = item.reference.partition("#")
        return (other or document, step_id, item.algorithm_uri)

    def _enter(self, key: _StepKey) -> _Frame:
        document, step_id, _ = key
        items = self._steps(document).get(step_id)
        if items is None:
            raise NotProved(Kind.INVALID_REFERENCE, f"the hash chain has no step {step_id!r:.80}")
        return _Frame(key, iter(items), [])

    def _steps(self, document: str) -> Mapping[str, Sequence[_Item]]:
        if document not in self._documents:
            raw = self._bytes_of(document)
            if raw is None:
                raise NotProved(
                    Kind.INVALID_REFERENCE, f"the hash chain document {document!r:.80} did not come"
                )
            self._read(document, raw)
        return self._documents[document]

    def _read(self, document: str, raw: bytes) -> None:
        root = _parse(raw, "HashChain", _MOST_BYTES + _BYTES_A_PART * len(self._inputs))
        self._items += sum(1 + len(step) for step in root)
        most = _MOST_ITEMS + _ITEMS_A_PART * len(self._inputs)
        if self._items > most:
            raise _malformed(
                f"the hash chain has {self._items} steps and inputs; at most {most} are read for a message of "
                f"{len(self._inputs)} parts"
            )
        self._documents[document] = _read_steps(root, self._algorithm_uri)

    def _digest(self, item: _Item) -> bytes:
        if item.kind == "HashValue":
            return item.digest
        self.touched.append(item.reference)
        given = self._inputs.get(item.reference)
        if item.reference in self._inputs:
            self.used.add(item.reference)
        if given is not None and not item.transforms:
            if given != item.digest:
                self.overruled.append(item.reference)
            return given
        digest = self._data_digest(item)
        if digest is not None and digest != item.digest:
            raise _wrong_reference(item.reference)
        return item.digest

    def _data_digest(self, item: _Item) -> bytes | None:
        """The digest of the data an input refers to; None when the chain's own stands."""
        key = (item.reference, item.algorithm_uri, item.transforms)
        if key in self._data:
            return self._data[key]
        data = self._bytes_of(item.reference)
        digest = None
        if data is not None:
            for name in item.transforms:
                if self._transform is None:
                    raise _malformed(
                        f"the hash chain asks for the transform {name!r:.80}, which is not accepted"
                    )
                data = self._transform(name, data)
            digest = hashlib.new(DIGESTS[item.algorithm_uri], data).digest()
        self._data[key] = digest
        return digest

    def _bytes_of(self, uri: str) -> bytes | None:
        if self._resolve is None:
            raise NotProved(Kind.INVALID_REFERENCE, f"the hash chain refers to {uri!r}, which did not come")
        try:
            return self._resolve(uri)
        except KeyError:
            raise NotProved(
                Kind.INVALID_REFERENCE, f"the hash chain refers to {uri!r}, which is not there"
            ) from None


def _read_steps(root: etree._Element, algorithm_uri: str | None) -> dict[str, list[_Item]]:
    if not len(root) or root[0].tag != f"{{{HASH_CHAIN_NS}}}DefaultDigestMethod":
        raise _malformed("a hash chain begins with its default digest method")
    default = _method(root[0])
    steps: dict[str, list[_Item]] = {}
    for element in list(root)[1:]:
        step_id = element.get("id")
        if element.tag != f"{{{HASH_CHAIN_NS}}}HashStep" or not step_id or not len(element):
            raise _malformed("a hash chain holds steps with an id and at least one input")
        if step_id in steps:
            raise _malformed(f"step {step_id!r:.80} of the hash chain is there twice")
        steps[step_id] = [_item(child, default) for child in element]
    methods = {item.algorithm_uri for items in steps.values() for item in items} | {default}
    if algorithm_uri is not None and methods != {algorithm_uri}:
        raise NotProved(
            Kind.INVALID_HASH_CHAIN,
            f"the hash chain uses {', '.join(sorted(methods))}; {algorithm_uri} was expected",
        )
    return steps


def _item(element: etree._Element, default: str) -> _Item:
    name = etree.QName(element)
    if name.namespace != HASH_CHAIN_NS or name.localname not in ("HashValue", "StepRef", "DataRef"):
        raise _malformed(f"a step of a hash chain cannot hold {name.localname!r}")
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
            raise _malformed(f"an input of a hash chain cannot hold {tag!s:.80}")
    reference = element.get("URI", "")
    if (name.localname == "HashValue") == bool(reference) or (not digest and name.localname != "StepRef"):
        raise _malformed(f"{name.localname} of a hash chain lacks its URI or its digest")
    return _Item(name.localname, reference, digest, method, transforms)


def _parse(raw: bytes, root_name: str, most_bytes: int = _MOST_BYTES) -> etree._Element:
    limits = XmlLimits(size_bytes=most_bytes, depth=16)
    try:
        root = parse_xml(raw, kind=Kind.MALFORMED_HASH_CHAIN, what="hash chain", limits=limits)
    except BadMessage as fault:
        raise _malformed(fault.detail) from fault
    if root.tag != f"{{{HASH_CHAIN_NS}}}{root_name}":
        raise _malformed(f"{root_name} was expected, {root.tag!s:.100} came")
    return root


def _method(element: etree._Element) -> str:
    uri = element.get("Algorithm", "")
    if etree.QName(element).localname not in ("DigestMethod", "DefaultDigestMethod") or uri not in DIGESTS:
        raise _malformed(f"the digest method {uri!r} is not SHA-256, SHA-384 or SHA-512")
    return uri


def _value(element: etree._Element) -> bytes:
    if element.tag != f"{{{DS_NS}}}DigestValue":
        raise _malformed("a digest value was expected")
    try:
        text = "".join((element.text or "").split())
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _malformed("a digest value is not base64") from None
    if not value:
        raise _malformed("a digest value is empty")
    if _b64(value) != text:
        raise _malformed("a digest value is not base64 in its one form")
    return value


def _wrong_reference(uri: str) -> NotProved:
    return NotProved(
        Kind.INVALID_HASH_CHAIN_REF, f"the hash chain's digest of {uri} is not the digest of what came"
    )


def _malformed(detail: str) -> NotProved:
    return NotProved(Kind.MALFORMED_HASH_CHAIN, detail)
