"""What an institute reads of its management request, in every language: pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from central_server.store.requests import RequestState, RequestType
from schemas.jsontext import load_json
from serving.language import N_, mail_languages

_TYPES = {
    RequestType.AUTH_CERT_REGISTRATION: N_("registration of an authentication certificate"),
    RequestType.AUTH_CERT_DELETION: N_("deletion of an authentication certificate"),
    RequestType.CLIENT_REGISTRATION: N_("registration of a client"),
    RequestType.CLIENT_DELETION: N_("deletion of a client"),
    RequestType.CLIENT_DISABLE: N_("disabling of a client"),
    RequestType.CLIENT_ENABLE: N_("enabling of a client"),
    RequestType.CLIENT_RENAME: N_("renaming of a client"),
    RequestType.OWNER_CHANGE: N_("change of the server's owner"),
    RequestType.ADDRESS_CHANGE: N_("change of the server's address"),
    RequestType.MAINTENANCE_ENABLE: N_("beginning of maintenance"),
    RequestType.MAINTENANCE_DISABLE: N_("end of maintenance"),
}
_STATES = {
    RequestState.WAITING: N_("waits for its complementary request"),
    RequestState.SUBMITTED_FOR_APPROVAL: N_("waits for approval"),
    RequestState.APPROVED: N_("was approved"),
    RequestState.DECLINED: N_("was declined"),
    RequestState.REVOKED: N_("was revoked"),
}


@dataclass(frozen=True, slots=True)
class MailText:
    """A mail's subject and text."""

    subject: str
    text: str


def render_mail(body: str) -> MailText:
    """The mail for a notice's body, as `central_server.management.notices.queue_notices` writes it."""
    fields: dict[str, Any] = load_json(body)
    number = fields["request_id"]
    values = {"number": number, "state": _STATES[RequestState(fields["status"])]}
    first = N_(
        "Management request {number} ({kind}) {state} on {at}.",
        **values,
        kind=_TYPES[RequestType(fields["type"])],
        at=f"{fields['at'][:16].replace('T', ' ')} UTC",
    )
    facts = [N_("Server: {value}", value=fields["security_server_id"])]
    if fields["client_id"]:
        facts.append(N_("Client: {value}", value=fields["client_id"]))
    if fields["comments"]:
        facts.append(N_("Reason: {value}", value=fields["comments"]))
    order = mail_languages()
    subject = " / ".join(N_("request {number} {state}", **values).into(language) for language in order)
    parts = ("\n".join([first.into(lang), "", *(fact.into(lang) for fact in facts)]) for lang in order)
    return MailText(f"X-Road: {subject}", "\n\n--\n\n".join(parts) + "\n")
