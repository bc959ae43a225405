"""What a signed container says of parts that are not, or not wholly, in it: ``META-INF/withheld.json``.

A body that was erased on an order, that the log may not keep, or that is left out for whoever may see evidence but not
content: each is named by the SHA-512 digest that the signature is over. So it can still be proved who signed it, that it was
signed before its timestamp, and that a copy of the content, wherever one turns up, is or is not what was signed. What the
content says cannot be proved from such a container; what the file says of sender and service is its writer's word until the
signature's certificate confirms the member.

X-Road has no such file; its verifier finds such a container without a message, or with one that is not what was signed.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

import msgspec

from schemas.faults import BadMessage, Kind
from schemas.identifiers import ClientId
from schemas.jsontext import decode_json, encode_json

MESSAGE_URI = "/message.xml"
_FORMAT = "sacbe-withheld-1"
_URI = re.compile(r"/message\.xml|/attachment[1-9][0-9]{0,5}")
_SHA512_BYTES = 64


class Reason(enum.StrEnum):
    """Why parts are not there."""

    ERASED = "erased"
    NOT_LOGGED = "not-logged"
    CUT = "cut"
    LEFT_OUT = "left-out"


_SAYS = {
    Reason.ERASED: (
        "El contenido se borró por la orden indicada y no se puede recuperar. Sigue probado: quién firmó, cuándo a más "
        "tardar, y el resumen SHA-512 de lo firmado.",
        "The content was erased by the order named here and cannot be recovered. Still proved: who signed, when at the latest, "
        "and the SHA-512 digest of what was signed.",
    ),
    Reason.NOT_LOGGED: (
        "Esta bitácora no guarda el contenido. Está probado: quién firmó, cuándo a más tardar, y el resumen SHA-512.",
        "This log does not keep the content. Proved: who signed, when at the latest, and the SHA-512 digest.",
    ),
    Reason.CUT: (
        "Un cuerpo está cortado al límite de esta bitácora; está probado su resumen, no la parte que se guardó.",
        "A body is cut to this log's limit; its digest is proved, the part that was kept is not.",
    ),
    Reason.LEFT_OUT: (
        "El contenido se omitió en esta copia; la bitácora puede tenerlo.",
        "The content is left out of this copy; the log may have it.",
    ),
}


class WithheldPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part that was signed: its SHA-512, its size where known, and how many of its bytes are in the container."""

    uri: str
    sha512: str
    size_bytes: int | None = None
    kept_bytes: int = 0


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The order to erase: its reference, the authority that gave it, who carried it out and when (ISO 8601, UTC)."""

    reference: str
    authority: str
    carried_out_by: str
    at: str


class _Says(msgspec.Struct, frozen=True):
    es: str
    en: str


class _WithheldFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    format: str
    reason: Reason
    says: _Says
    message_id: str
    is_response: bool
    protocol: str
    client: str
    service: str
    parts: list[WithheldPart]
    order: Order | None = None


@dataclass(frozen=True, slots=True)
class Withheld:
    """The parts that are not there, and why; what is said of the message is unproved."""

    reason: Reason
    message_id: str
    is_response: bool
    protocol: str
    client: ClientId
    service: str
    parts: tuple[WithheldPart, ...]
    order: Order | None = None

    @property
    def signer(self) -> ClientId:
        """The member that must have signed."""
        provider = ClientId(*self.service.split("/")[:3])
        return provider if self.is_response else self.client.member

    def digests(self) -> dict[str, bytes]:
        """The parts' digests by their URI."""
        return {p.uri: bytes.fromhex(p.sha512) for p in self.parts}

    def says(self) -> str:
        """In a line: why, by whose order, what is withheld."""
        order = self.order
        by = (
            ""
            if order is None
            else f" by order {order.reference} of {order.authority}, carried out by {order.carried_out_by} at {order.at}"
        )
        cut = ", ".join(
            p.uri + (f" (first {p.kept_bytes} bytes of {p.size_bytes} kept)" if p.kept_bytes else "")
            for p in self.parts
        )
        return f"{self.reason.value}{by}: {cut}"


def render_withheld(withheld: Withheld) -> bytes:
    """The withheld list as UTF-8 JSON, as it stands in the container."""
    stored = _WithheldFile(
        format=_FORMAT,
        reason=withheld.reason,
        says=_Says(*_SAYS[withheld.reason]),
        message_id=withheld.message_id,
        is_response=withheld.is_response,
        protocol=withheld.protocol,
        client=withheld.client.path(),
        service=withheld.service,
        parts=list(withheld.parts),
        order=withheld.order,
    )
    return encode_json(stored, indent=1)


def parse_withheld(raw: bytes) -> Withheld:
    """Read the file. Raises `BadMessage`."""
    try:
        stored = decode_json(raw, _WithheldFile)
        client, provider = ClientId(*stored.client.split("/")), stored.service.split("/")[:3]
        if len(provider) != 3:
            raise ValueError(f"{stored.service!r} names no service")
        if stored.format != _FORMAT:
            raise ValueError(f"its format is {stored.format!r}; {_FORMAT!r} was expected")
        if (stored.order is not None) != (stored.reason is Reason.ERASED):
            raise ValueError("an order stands there if and only if content was erased")
        _check_parts(stored.parts)
    except (msgspec.DecodeError, msgspec.ValidationError, ValueError, TypeError) as err:
        raise BadMessage(
            Kind.INVALID_MESSAGE, f"META-INF/withheld.json of the container cannot be read: {err}"
        ) from err
    return Withheld(
        stored.reason,
        stored.message_id,
        stored.is_response,
        stored.protocol,
        client,
        stored.service,
        tuple(stored.parts),
        stored.order,
    )


def _check_parts(parts: list[WithheldPart]) -> None:
    if not parts or len({p.uri for p in parts}) != len(parts):
        raise ValueError("it names no part, or one twice")
    for part in parts:
        if _URI.fullmatch(part.uri) is None:
            raise ValueError(f"{part.uri!r} is no part of a message")
        if len(bytes.fromhex(part.sha512)) != _SHA512_BYTES:
            raise ValueError(f"{part.uri} has no SHA-512 digest")
