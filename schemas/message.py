"""The message that both protocols become: who asks whom for what, and the digests that a signature covers.

A `Message` holds the exact bytes of its main part (``message.xml`` of the evidence) beside what was parsed from them.
Bodies and attachments live in spools; here they are a digest and a size. Digests are SHA-512, as everywhere on the
wire between security servers.

Spec: PR-MESSTRANSP 4; PR-SIGDOC (names of the signed parts).
"""

from __future__ import annotations

import enum
import hashlib
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from schemas.identifiers import ClientId, ServerId, ServiceId

MESSAGE_URI = "/message.xml"


class MessageProtocol(enum.StrEnum):
    """The message protocol a consumer system spoke."""

    REST = "REST"
    SOAP = "SOAP"


class Side(enum.StrEnum):
    """On which side of the exchange this server stood."""

    CONSUMER = "consumer"
    PROVIDER = "provider"


class Attachment(msgspec.Struct, frozen=True):
    """A body or attachment: SHA-512 digest and size in bytes."""

    digest: bytes
    size_bytes: int


class Message(msgspec.Struct, frozen=True):
    """One request or response, in either protocol."""

    protocol: MessageProtocol
    is_response: bool
    raw: bytes
    digest: bytes
    client: ClientId
    service: ServiceId
    message_id: str
    request_id: str
    attachments: tuple[Attachment, ...] = ()
    security_server: ServerId | None = None
    user_id: str | None = None
    issue: str | None = None
    represented_party: str | None = None

    def with_attachments(self, attachments: tuple[Attachment, ...]) -> Message:
        """The same message, once its bodies are known."""
        return msgspec.structs.replace(self, attachments=attachments)

    def parts(self) -> tuple[tuple[str, bytes], ...]:
        """URI and digest of everything a signature must cover, the message first."""
        return (
            (MESSAGE_URI, self.digest),
            *((f"/attachment{n}", a.digest) for n, a in enumerate(self.attachments, 1)),
        )


def digest_of(data: bytes) -> bytes:
    """The SHA-512 digest of bytes, as 64 raw bytes."""
    return hashlib.sha512(data).digest()
