"""Asking for access to a service over the exchange: the question and the answer as JSON. Ours; other implementations have none.

A client sends ``POST /r1/PROVIDER/requestAccess`` through its own gateway, so the question is signed, proved and logged like any other
message, and nobody asks in another's name. ``GET /r1/PROVIDER/requestAccess?serviceCode=CODE`` answers how it stands. A server that does not
know ``requestAccess`` answers that there is no such service: then the provider is asked by letter.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from schemas.faults import BadMessage, Kind
from schemas.jsontext import decode_json
from schemas.names import check_text

REQUEST_ACCESS = "requestAccess"
LONGEST_QUESTION = 16 * 1024
Words = Annotated[str, msgspec.Meta(min_length=3, max_length=500)]


class AccessQuestion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For which service access is asked, what for, on which legal basis, and whom to answer (a mail address or a telephone)."""

    service_code: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    purpose: Words
    legal_basis: Words
    contact: Annotated[str, msgspec.Meta(max_length=200)] = ""


class AccessRequestState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of a request: WAITING, APPROVED or DECLINED; times as RFC 3339; ``reason`` is the provider's."""

    service_code: str
    state: str
    asked_at: str
    decided_at: str | None = None
    reason: str = ""


def parse_question(raw: bytes) -> AccessQuestion:
    """The question in a body. Raises `BadMessage` (``invalid_request``)."""
    try:
        found = decode_json(raw, AccessQuestion)
    except (msgspec.DecodeError, UnicodeDecodeError) as err:
        raise BadMessage(Kind.INVALID_REQUEST, f"the request for access cannot be read: {err}") from err
    for name in ("service_code", "purpose", "legal_basis", "contact"):
        check_text(getattr(found, name), f"{name} of a request for access")
    return found
