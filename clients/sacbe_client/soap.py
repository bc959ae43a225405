"""SOAP through the own gateway: the headers that zeep puts into an envelope, and its faults as `CallError`.

Spec: PR-MESS 2.2 (headers, protocol version 4.0) and 2.4 (faults).
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

from sacbe_client.errors import CallError

if TYPE_CHECKING:
    from sacbe_client.identifiers import ClientId, ServiceId

_CLIENT: Final = ("xRoadInstance", "memberClass", "memberCode", "subsystemCode")
_SERVICE: Final = (*_CLIENT, "serviceCode", "serviceVersion")


def soap_headers(
    client: ClientId, service: ServiceId, *, user_id: str | None = None, issue: str | None = None
) -> dict[str, Any]:
    """The header values for ``_soapheaders`` of a zeep operation whose description declares X-Road's header parts.

    A new message id each time. Raises `ValueError` when the service has no subsystem: nothing can be told from its identifier.
    """
    if service.client.subsystem is None:
        raise ValueError("a SOAP service belongs to a subsystem")
    headers: dict[str, Any] = {
        "client": {
            "objectType": "MEMBER" if client.subsystem is None else "SUBSYSTEM",
            **dict(zip(_CLIENT, client.components, strict=False)),
        },
        "service": {"objectType": "SERVICE", **dict(zip(_SERVICE, service.components, strict=False))},
        "id": str(uuid.uuid4()),
        "protocolVersion": "4.0",
    }
    if user_id is not None:
        headers["userId"] = user_id
    if issue is not None:
        headers["issue"] = issue
    return headers


def error_of(fault: Any) -> CallError:
    """The error that a ``zeep.exceptions.Fault`` tells of: its ``code`` without the prefix, its ``message`` and ``detail``."""
    code = str(fault.code or "").rpartition(":")[2]
    detail = getattr(fault, "detail", None)
    return CallError(
        code,
        str(fault.message or ""),
        detail="".join(detail.itertext()).strip() if detail is not None else "",
    )
