"""Verifying hash chains: from the parts of one message to the root that is signed, in any dialect."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from schemas.faults import Kind, NotProved
from schemas.hashchain.documents import (
    MOST_BYTES,
    ChainInput,
    malformed,
    parse_chain,
    parse_result,
    read_steps,
)
from schemas.hashchain.steps import DIGESTS, SHA512_URI, SIGNATURE_CHAIN_URI, step_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence


_DEEPEST = 64
# Steps and inputs of all chain documents of one evaluation, and bytes of each: what a way to the root through a batch of
# any size takes, and so many more for each part of the message. A stranger who wants a long chain read must send its parts.
_MOST_ITEMS, _ITEMS_A_PART = 512, 2
_BYTES_A_PART = 2048
# A chain document's URI, a step's id and the digest method it is wanted by.
_StepKey = tuple[str, str, str]


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


class _Frame(msgspec.Struct):
    """A step under evaluation: its name, the inputs still to come, and (digest, method URI) of those done."""

    key: _StepKey
    left: Iterator[ChainInput]
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
        self._documents: dict[str, Mapping[str, Sequence[ChainInput]]] = {}
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
        """The digest of a step of a chain document. Raises `NotProved`."""
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
                raise malformed(
                    f"step {key[1]!r:.80} of the hash chain leads back to itself, or lies too deep"
                )
            under_way.add(key[:2])
            frames.append(self._enter(key))
        return self._digests[step]

    @staticmethod
    def _key(document: str, item: ChainInput) -> _StepKey:
        other, _, step_id = item.reference.partition("#")
        return (other or document, step_id, item.algorithm_uri)

    def _enter(self, key: _StepKey) -> _Frame:
        document, step_id, _ = key
        items = self._steps(document).get(step_id)
        if items is None:
            raise NotProved(Kind.INVALID_REFERENCE, f"the hash chain has no step {step_id!r:.80}")
        return _Frame(key, iter(items), [])

    def _steps(self, document: str) -> Mapping[str, Sequence[ChainInput]]:
        if document not in self._documents:
            raw = self._bytes_of(document)
            if raw is None:
                raise NotProved(
                    Kind.INVALID_REFERENCE, f"the hash chain document {document!r:.80} did not come"
                )
            self._read(document, raw)
        return self._documents[document]

    def _read(self, document: str, raw: bytes) -> None:
        root = parse_chain(raw, "HashChain", MOST_BYTES + _BYTES_A_PART * len(self._inputs))
        self._items += sum(1 + len(step) for step in root)
        most = _MOST_ITEMS + _ITEMS_A_PART * len(self._inputs)
        if self._items > most:
            raise malformed(
                f"the hash chain has {self._items} steps and inputs; at most {most} are read for a message of "
                f"{len(self._inputs)} parts"
            )
        self._documents[document] = read_steps(root, self._algorithm_uri)

    def _digest(self, item: ChainInput) -> bytes:
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

    def _data_digest(self, item: ChainInput) -> bytes | None:
        """The digest of the data an input refers to; None when the chain's own stands."""
        key = (item.reference, item.algorithm_uri, item.transforms)
        if key in self._data:
            return self._data[key]
        data = self._bytes_of(item.reference)
        digest = None
        if data is not None:
            for name in item.transforms:
                if self._transform is None:
                    raise malformed(
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


def _wrong_reference(uri: str) -> NotProved:
    return NotProved(
        Kind.INVALID_HASH_CHAIN_REF, f"the hash chain's digest of {uri} is not the digest of what came"
    )
