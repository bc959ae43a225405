"""What an institute reads of its management request, in Spanish and English: pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from central_server.store.requests import RequestState, RequestType

_TYPES = {
    RequestType.AUTH_CERT_REGISTRATION: (
        "registro de un certificado de autenticación",
        "registration of an authentication certificate",
    ),
    RequestType.AUTH_CERT_DELETION: (
        "baja de un certificado de autenticación",
        "deletion of an authentication certificate",
    ),
    RequestType.CLIENT_REGISTRATION: ("registro de un cliente", "registration of a client"),
    RequestType.CLIENT_DELETION: ("baja de un cliente", "deletion of a client"),
    RequestType.CLIENT_DISABLE: ("desactivación de un cliente", "disabling of a client"),
    RequestType.CLIENT_ENABLE: ("activación de un cliente", "enabling of a client"),
    RequestType.CLIENT_RENAME: ("cambio de nombre de un cliente", "renaming of a client"),
    RequestType.OWNER_CHANGE: ("cambio de dueño del servidor", "change of the server's owner"),
    RequestType.ADDRESS_CHANGE: ("cambio de dirección del servidor", "change of the server's address"),
    RequestType.MAINTENANCE_ENABLE: ("inicio de mantenimiento", "beginning of maintenance"),
    RequestType.MAINTENANCE_DISABLE: ("fin de mantenimiento", "end of maintenance"),
}
_STATES = {
    RequestState.WAITING: ("espera su solicitud complementaria", "waits for its complementary request"),
    RequestState.SUBMITTED_FOR_APPROVAL: ("espera aprobación", "waits for approval"),
    RequestState.APPROVED: ("fue aprobada", "was approved"),
    RequestState.DECLINED: ("fue rechazada", "was declined"),
    RequestState.REVOKED: ("fue revocada", "was revoked"),
}


@dataclass(frozen=True, slots=True)
class MailText:
    """A mail's subject and text."""

    subject: str
    text: str


def render_mail(body: str) -> MailText:
    """The mail for a notice's body, as `central_server.management.notices.queue_notices` writes it."""
    said: dict[str, Any] = json.loads(body)
    kind, state = _TYPES[RequestType(said["type"])], _STATES[RequestState(said["status"])]
    number, at = said["request_id"], f"{said['at'][:16].replace('T', ' ')} UTC"
    facts = [("Servidor", "Server", said["security_server_id"])]
    if said["client_id"]:
        facts.append(("Cliente", "Client", said["client_id"]))
    if said["comments"]:
        facts.append(("Motivo", "Reason", said["comments"]))
    spanish = [f"La solicitud {number} ({kind[0]}) {state[0]} el {at}.", ""]
    english = [f"Management request {number} ({kind[1]}) {state[1]} on {at}.", ""]
    spanish += [f"{es}: {value}" for es, _, value in facts]
    english += [f"{en}: {value}" for _, en, value in facts]
    subject = f"X-Road: la solicitud {number} {state[0]} / request {number} {state[1]}"
    return MailText(subject, "\n".join([*spanish, "", "--", "", *english, ""]))
