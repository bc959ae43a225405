"""Signed notes, checkpoints and what cosigners sign, as text; the signatures themselves are `certs.transparency`'s.

A note is text, an empty line and signature lines ``— <key name> base64(key id ‖ signature)``. A checkpoint is a note of
origin, size and root of a log.

Spec: C2SP signed-note, tlog-checkpoint, tlog-cosignature.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re

import msgspec

from schemas.faults import BadMessage, Kind
from schemas.showing import shown
from schemas.transparency.merkle import HASH_BYTES

ED25519 = 1
COSIGNATURE_ED25519 = 4
KEY_BYTES = 32
LONGEST_NOTE = 64 * 1024
_MOST_SIGNATURES = 64
_LINE = "— "  # em dash and space
_NUMBER = re.compile(r"0|[1-9]\d{0,18}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")


class NoteSignature(msgspec.Struct, frozen=True):
    """A signature line: the key by name and id, and what it made."""

    name: str
    key_id: bytes
    signature: bytes

    def render(self) -> str:
        """The line, with its end."""
        return f"{_LINE}{self.name} {base64.b64encode(self.key_id + self.signature).decode()}\n"


class SignedNote(msgspec.Struct, frozen=True):
    """A note's text, with its last newline, and its signatures."""

    text: str
    signatures: tuple[NoteSignature, ...] = ()

    def render(self) -> bytes:
        """The note as text in UTF-8: body, empty line, a line a signature."""
        return f"{self.text}\n{''.join(s.render() for s in self.signatures)}".encode()

    def signed_also(self, *signatures: NoteSignature) -> SignedNote:
        """The note with more signatures; a newer one of the same key takes the place of the older."""
        made = {(s.name, s.key_id): s for s in (*self.signatures, *signatures)}
        return msgspec.structs.replace(self, signatures=tuple(made.values()))


class Checkpoint(msgspec.Struct, frozen=True):
    """The head of a log: how many entries it has and the root over them."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def render(self) -> str:
        """The text of its note."""
        lines = (self.origin, str(self.size), base64.b64encode(self.root).decode(), *self.extensions)
        return "".join(f"{line}\n" for line in lines)


class VerifierKey(msgspec.Struct, frozen=True):
    """A public key as notes name it: ``<name>+<id in hex>+base64(type ‖ key)``."""

    name: str
    kind: int
    public: bytes

    @property
    def key_id(self) -> bytes:
        """The first four bytes of the digest of name, type and key."""
        return key_id(self.name, self.kind, self.public)

    def render(self) -> str:
        """The key's one text form: name, hash and key, joined by ``+``."""
        return (
            f"{self.name}+{self.key_id.hex()}+{base64.b64encode(bytes([self.kind]) + self.public).decode()}"
        )


def key_id(name: str, kind: int, public: bytes) -> bytes:
    """The four bytes by which a signature line names its key (C2SP signed-note)."""
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:4]


def parse_verifier_key(text: str) -> VerifierKey:
    """Read a verifier key, Ed25519 of a log or of a witness. Raises `BadMessage` (``bad_request``)."""
    name, _, rest = text.strip().partition("+")
    stated, _, encoded = rest.partition("+")
    try:
        raw = base64.b64decode(encoded, validate=True)
    except binascii.Error as err:
        raise _bad(f"a verifier key is <name>+<id>+<base64>; {shown(text, 80)!r} came") from err
    if not is_key_name(name) or len(raw) != 1 + KEY_BYTES or raw[0] not in (ED25519, COSIGNATURE_ED25519):
        raise _bad(
            f"a verifier key has a name and an Ed25519 key of type 1 (log) or 4 (witness); {shown(text, 80)!r} came"
        )
    key = VerifierKey(name, raw[0], raw[1:])
    if stated != key.key_id.hex():
        raise _bad(
            f"the verifier key of {shown(name, 80)} says id {shown(stated, 8)}; {key.key_id.hex()} follows from it"
        )
    return key


def is_key_name(name: str) -> bool:
    """Whether a key may be called so: not empty, no space, no plus, nothing that does not print."""
    return bool(name) and "+" not in name and name.isprintable() and not any(c.isspace() for c in name)


def parse_note(raw: bytes) -> SignedNote:
    """Read a note with at least one signature line. Raises `BadMessage` (``bad_request``)."""
    if len(raw) > LONGEST_NOTE:
        raise _bad(f"a note has at most {LONGEST_NOTE} bytes; {len(raw)} came")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as err:
        raise _bad("a note is UTF-8") from err
    if _CONTROL.search(text):
        raise _bad("a note has no control character but the newline")
    body, blank, lines = text.rpartition("\n\n")
    if not blank or not lines.endswith("\n"):
        raise _bad("a note is text, an empty line and signature lines that end with a newline")
    signatures = tuple(parse_signature_line(line) for line in lines[:-1].split("\n"))
    if len(signatures) > _MOST_SIGNATURES:
        raise _bad(f"a note has at most {_MOST_SIGNATURES} signatures; {len(signatures)} came")
    return SignedNote(f"{body}\n", signatures)


def parse_signature_line(line: str) -> NoteSignature:
    """Read one signature line, without its end. Raises `BadMessage` (``bad_request``)."""
    name, _, encoded = line.removeprefix(_LINE).partition(" ")
    try:
        raw = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if not line.startswith(_LINE) or not is_key_name(name) or len(raw) < 5:
        raise _bad(f"a signature line is '— <key name> <base64>'; {shown(line, 80)!r} came")
    return NoteSignature(name, raw[:4], raw[4:])


def parse_checkpoint(text: str) -> Checkpoint:
    """Read the text of a checkpoint's note. Raises `BadMessage` (``bad_request``)."""
    if not text.endswith("\n"):
        raise _bad("a checkpoint's last line ends with a newline")
    lines = text[:-1].split("\n")
    if len(lines) < 3 or not all(lines):
        raise _bad("a checkpoint has a line each for origin, size and root hash, and no empty line")
    try:
        root = base64.b64decode(lines[2], validate=True)
    except (binascii.Error, ValueError):
        root = b""
    is_exact = base64.b64encode(root).decode() == lines[2]
    if len(root) != HASH_BYTES or not is_exact:
        raise _bad(f"a checkpoint's root is {HASH_BYTES} bytes in base64; {shown(lines[2], 80)!r} came")
    return Checkpoint(lines[0], parse_size(lines[1]), root, tuple(lines[3:]))


def parse_size(text: str) -> int:
    """A decimal number of entries without leading zeroes, below 2**63. Raises `BadMessage` (``bad_request``)."""
    if not _NUMBER.fullmatch(text) or int(text) >= 1 << 63:
        raise _bad(
            f"a tree size is a decimal number below 2**63 without leading zeroes; {shown(text, 40)!r} came"
        )
    return int(text)


def cosigned_text(text: str, at_s: int) -> bytes:
    """The text an Ed25519 cosigner signs for a checkpoint; ``at_s`` is in seconds since 1970."""
    return f"cosignature/v1\ntime {at_s}\n{text}".encode()


def _bad(detail: str) -> BadMessage:
    return BadMessage(Kind.BAD_REQUEST, detail)
