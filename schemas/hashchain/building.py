"""Building hash chains: a result document and, for each message, its chain document; and telling our own work by its bytes."""

from __future__ import annotations

import binascii
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from schemas.hashchain.steps import (
    DS_NS,
    HASH_CHAIN_NS,
    SHA512_URI,
    SIGNATURE_CHAIN_URI,
    Part,
    base64_text,
    sha512_step,
    step_digest,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_DEEPEST = 64


class Built(msgspec.Struct, frozen=True):
    """A result document and, for each message in order, its chain document."""

    result: bytes
    chains: tuple[bytes, ...]


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
    return _RESULT.format(uri=f"{result_uri}#STEP0", method=algorithm_uri, digest=base64_text(root)).encode(
        "ascii"
    )


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
    return f"<h:HashValue><DigestValue>{base64_text(digest)}</DigestValue></h:HashValue>"


def _data_ref(uri: str, digest: bytes) -> str:
    return f'<h:DataRef URI="{_attribute(uri)}"><DigestValue>{base64_text(digest)}</DigestValue></h:DataRef>'


@lru_cache(maxsize=64)
def _attribute(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")


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
    digest = parts[0][1] if len(parts) == 1 else sha512_step([d for _, d in parts])
    for is_right, sibling in upwards:
        digest = sha512_step((digest, sibling) if is_right else (sibling, digest))
    return _render_result(digest, result_uri, SHA512_URI) == result
