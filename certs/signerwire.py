"""What a server and the process that holds a token's keys say to each other over a Unix socket.

A frame is four bytes of length and MessagePack. Every request has a number, its answer the same; answers may come in
another order. An answer has either a value or a fault's kind and detail. The socket's file is the permission: whoever can
open it can have digests signed and secrets derived (what else this server seals opens with those), and no key of the token
can be had through it.
"""

from __future__ import annotations

import struct

import msgspec

from certs.tokens.port import KeyId
from schemas.faults import Kind, TokenFailed

LARGEST_FRAME = 1024 * 1024
_LENGTH = struct.Struct(">I")


class Ask(msgspec.Struct, frozen=True, omit_defaults=True):
    """A request. ``do`` is one of state, make, unlock, lock, change_pin, keys, certificates, generate, remove, sign,
    derive.
    """

    id: int
    do: str
    pin: str = ""
    new_pin: str = ""
    key: str = ""
    kind: str = ""
    label: str = ""
    usage: str = ""
    digest: bytes = b""
    algorithm: str = ""
    purpose: str = ""


class TokenState(msgspec.Struct, frozen=True, omit_defaults=True):
    """A token's state on the wire. ``status`` is the admin API's word (`certs.tokens.port.TokenStatus`)."""

    status: str
    logged_in: bool
    hardware: bool
    read_only: bool = False
    label: str = ""
    serial: str = ""
    infos: dict[str, str] = {}
    failure: str = ""


class KeyOnToken(msgspec.Struct, frozen=True):
    """A key of the token."""

    id: str
    kind: str
    label: str
    usage: str
    public_key: bytes


class SignerAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """An answer: what was asked for, or why not."""

    id: int
    signature: bytes = b""
    secret: bytes = b""
    state: TokenState | None = None
    keys: list[KeyOnToken] | None = None
    certificates: list[bytes] | None = None
    fault: str = ""
    detail: str = ""
    # The token was lost in this; another process will take this one's place.
    lost: bool = False

    def check(self) -> SignerAnswer:
        """The answer itself, unless it is a fault. Raises `TokenFailed`."""
        if not self.fault:
            return self
        try:
            kind = Kind(self.fault)
        except ValueError:
            kind = Kind.CANNOT_SIGN
        raise TokenFailed(kind, self.detail)


def key_id(text: str) -> KeyId:
    """A key's id off the wire."""
    return KeyId(text)


_ask_decoder = msgspec.msgpack.Decoder(Ask)
_answer_decoder = msgspec.msgpack.Decoder(SignerAnswer)
_encoder = msgspec.msgpack.Encoder()


def frame(value: Ask | SignerAnswer) -> bytes:
    """A value as it goes over the socket."""
    body = _encoder.encode(value)
    return _LENGTH.pack(len(body)) + body


class Frames:
    """Takes bytes as they come and gives whole frames' bodies. Raises ValueError when a frame is too long."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The bodies that are complete now. Raises ValueError."""
        self._buffer += data
        found = []
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if length > LARGEST_FRAME:
                raise ValueError(f"a frame of {length} bytes came; {LARGEST_FRAME} is the most")
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                break
            found.append(bytes(self._buffer[_LENGTH.size : end]))
            del self._buffer[:end]
        return found


def read_ask(body: bytes) -> Ask:
    """A request off the wire. Raises ValueError."""
    try:
        return _ask_decoder.decode(body)
    except msgspec.DecodeError as err:
        raise ValueError(f"what came over the signer's socket is no request: {err}") from err


def read_answer(body: bytes) -> SignerAnswer:
    """An answer off the wire. Raises ValueError."""
    try:
        return _answer_decoder.decode(body)
    except msgspec.DecodeError as err:
        raise ValueError(f"what came over the signer's socket is no answer: {err}") from err
