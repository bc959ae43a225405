"""What the national platform is told of a request: folio, whose, which right, state and dates; never of whom.

Pure.

Spec: the domain reference F22.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from social_security.institute.stores.arco import ArcoRequest


def build_record(member: str, request: ArcoRequest, number: int) -> dict[str, Any]:
    """The record of a request's ``number``-th event at a member."""
    return {
        "folio": request.folio,
        "numero": number,
        "miembro": member,
        "derecho": request.request["derecho"],
        "estado": request.state,
        "recibidaEl": request.request["recibidaEl"],
        "fechas": dict(request.dates),
    }
