"""The digest of a step of a hash chain: H over the DER of its inputs. Names and methods that both sides share."""

from __future__ import annotations

import binascii
import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

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
Part = tuple[str, bytes]


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


def sha512_step(digests: Sequence[bytes]) -> bytes:
    """`step_digest` where everything is SHA-512, as in all that is built here."""
    content = b"".join([_BEFORE_SHA512 + digest + _AFTER_SHA512 for digest in digests])
    return hashlib.sha512(_sequence_head(len(content)) + content).digest()


@lru_cache(maxsize=64)
def _sequence_head(size: int) -> bytes:
    """Tag and length of a SEQUENCE with so many bytes of content."""
    return bytes((0x30,)) + _length(size)


@lru_cache(maxsize=64)
def _template(size: int, method_uri: str) -> tuple[bytes, bytes]:
    """The DER of an input without its digest of ``size`` bytes: the bytes before it, and those after."""
    after = _der(0x0C, method_uri.encode("utf-8")) + b"\x30\x00"
    blank = _der(0x04, bytes(size))
    return _der(0x30, blank + after)[: -len(after) - size], after


def _input_der(digest: bytes, method_uri: str) -> bytes:
    before, after = _template(len(digest), method_uri)
    return before + digest + after


_BEFORE_SHA512, _AFTER_SHA512 = _template(64, SHA512_URI)


def base64_text(data: bytes) -> str:
    """Bytes as base64 text, on one line."""
    return binascii.b2a_base64(data, newline=False).decode("ascii")
