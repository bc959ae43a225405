"""Telling institutes what became of their requests: contacts, and an outbox that is written with the decision itself.

A notice is queued in the transaction that decides, so none is lost by a crash; `central_server.edges.notifier` sends
them. A webhook's body is signed with the contact's secret (HMAC-SHA-256, header ``X-Sacbe-Signature``).
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from central_server.store.requests import RequestOrigin
from schemas.identifiers import ClientId
from schemas.jsontext import dump_json
from serving.process.outward import address_of

if TYPE_CHECKING:
    from central_server.store.records import Records
    from central_server.store.requests import KeptRequest

MOST_TRIES = 12
FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Contact:
    """A member's contact: a mail address, a webhook with the secret that signs what is sent to it, or both."""

    member: ClientId
    mail: str | None = None
    webhook: str | None = None
    secret: str | None = None


@dataclass(frozen=True, slots=True)
class RequestNotice:
    """One message that waits to be sent."""

    number: int
    contact: Contact
    channel: str
    body: str
    tries: int


def check_webhook(url: str) -> None:
    """Refuse what is no ``https`` address, nor one of this machine written as such (``http://127.0.0.1``). Raises ValueError."""
    parts = urlsplit(url)
    host = address_of(parts.hostname or "")
    is_here = parts.scheme == "http" and host is not None and host.is_loopback
    if not (is_here or (parts.scheme == "https" and parts.hostname)) or "@" in parts.netloc:
        raise ValueError(f"the webhook {url!r} is not https, or holds a user's name")


def find_contact(records: Records, member: ClientId) -> Contact | None:
    """A member's contact, or None."""
    row = records.row("SELECT mail, webhook, secret FROM contact WHERE member = ?", member.path())
    return None if row is None else Contact(member, *row)


def keep_contact(records: Records, contact: Contact) -> None:
    """Keep the contact of a member, in place of the one before."""
    old = find_contact(records, contact.member)
    records.rows(
        "INSERT INTO contact (member, mail, webhook, secret) VALUES (?, ?, ?, ?) ON CONFLICT (member) "
        "DO UPDATE SET mail = excluded.mail, webhook = excluded.webhook, secret = excluded.secret",
        contact.member.path(),
        contact.mail,
        contact.webhook,
        contact.secret,
    )
    records.note(
        "EDIT_CONTACT",
        contact.member.encoded(),
        before=[] if old is None else [f"mail {old.mail}", f"webhook {old.webhook}"],
        after=[f"mail {contact.mail}", f"webhook {contact.webhook}"],
    )


def queue_notices(records: Records, request: KeptRequest) -> None:
    """Put what became of a security server's request into the outbox of its owner and of the client's member."""
    new_request = request.content
    if new_request.origin is not RequestOrigin.SECURITY_SERVER:
        return
    body = dump_json(
        {
            "request_id": request.number,
            "type": new_request.type.value,
            "status": request.state.value,
            "security_server_id": new_request.server.encoded(),
            "client_id": None if new_request.client is None else new_request.client.encoded(),
            "comments": request.content.comments,
            "at": records.at,
        },
        ensure_ascii=False,
    )
    notified = {new_request.server.owner}
    if new_request.client is not None:
        notified.add(new_request.client.member)
    for member in sorted(notified):
        contact = find_contact(records, member)
        if contact is None:
            continue
        for channel, where in (("mail", contact.mail), ("webhook", contact.webhook)):
            if where:
                records.insert(
                    "notice",
                    request_id=request.number,
                    member=member.path(),
                    channel=channel,
                    body=body,
                    tries=0,
                    next_at=records.at,
                )


def due_notices(records: Records, now: datetime) -> list[RequestNotice]:
    """The notices that are to be sent at ``now``."""
    rows = records.rows(
        "SELECT n.id, n.member, n.channel, n.body, n.tries, c.mail, c.webhook, c.secret FROM notice n "
        "JOIN contact c ON c.member = n.member WHERE n.next_at <= ? AND n.tries < ? ORDER BY n.id LIMIT 100",
        now.isoformat(timespec="milliseconds"),
        MOST_TRIES,
    )
    return [
        RequestNotice(int(r[0]), Contact(ClientId(*r[1].split("/")), r[5], r[6], r[7]), r[2], r[3], int(r[4]))
        for r in rows
    ]


def next_try(tries: int, now: datetime) -> datetime:
    """When to try again after some failures."""
    return now + min(FIRST_WAIT * int(2 ** min(tries, 20)), LONGEST_WAIT)


def sign_body(secret: str, body: bytes) -> str:
    """The signature of a webhook's body."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
