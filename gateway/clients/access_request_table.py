"""Requests for access to this server's services, as other members' systems made them over the exchange, and how each was decided.

There is at most one of a client for a service: while it waits, asking again changes nothing; once it is decided, a new one takes its place.
So the table is bounded by clients and services, and `MOST_WAITING` bounds what one client can heap up before somebody looks.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import msgspec

from gateway.refusals import GatewayCode
from gateway.rows import client_of, instant, next_id, readable, seconds
from serving.errors import Refused
from serving.language import N_

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from gateway.rows import Run
    from schemas.identifiers import ClientId

MOST_WAITING = 20
_COLUMNS = (
    "id, client, provider, service_code, purpose, legal_basis, contact, message_id, asked_at, state, decided_at, "
    "decided_by, reason"
)


class AccessState(enum.StrEnum):
    """The states of a request for access to a service."""

    WAITING = "WAITING"
    APPROVED = "APPROVED"
    DECLINED = "DECLINED"


class AccessPlea(msgspec.Struct, frozen=True):
    """A request as its client made it: for which service of which provider, for which purpose, on which legal basis."""

    client: ClientId
    provider: ClientId
    service_code: str
    purpose: str
    legal_basis: str
    contact: str
    message_id: str


class AccessRequestRecord(msgspec.Struct, frozen=True):
    """A request and how it stands; ``reason`` is the provider's, for the client to read."""

    id: int
    plea: AccessPlea
    asked_at: datetime
    state: AccessState = AccessState.WAITING
    decided_at: datetime | None = None
    decided_by: str = ""
    reason: str = ""


class AccessRequestTable:
    """The table of requests for access."""

    def __init__(self, rows: Run) -> None:
        self._rows = rows

    def all(self) -> tuple[AccessRequestRecord, ...]:
        """Every request: those that wait first (the last state by the alphabet), the newest first."""
        found = self._rows(f"SELECT {_COLUMNS} FROM access_request ORDER BY state DESC, id DESC", ())
        return tuple(readable("access_request", found, _record))

    def get(self, number: int) -> AccessRequestRecord:
        """One request. Refused (``access_request_not_found``) when there is none of this number."""
        found = self._rows(f"SELECT {_COLUMNS} FROM access_request WHERE id = ?", (number,))
        if not found:
            raise Refused(
                GatewayCode.ACCESS_REQUEST_NOT_FOUND,
                N_("there is no request for access {number}", number=number),
            )
        return _record(found[0])

    def find(self, client: ClientId, provider: ClientId, service_code: str) -> AccessRequestRecord | None:
        """The request of a client for a service, or None."""
        found = self._rows(
            f"SELECT {_COLUMNS} FROM access_request WHERE client = ? AND provider = ? AND service_code = ?",
            (client.path(), provider.path(), service_code),
        )
        return next(readable("access_request", found, _record), None)

    def add(self, plea: AccessPlea, now: datetime) -> AccessRequestRecord:
        """Keep a request; the one of now where it waits already. Refused (``too_many_access_requests``) above `MOST_WAITING`."""
        known = self.find(plea.client, plea.provider, plea.service_code)
        if known is not None and known.state is AccessState.WAITING:
            return known
        ((waiting,),) = self._rows(
            "SELECT count(*) FROM access_request WHERE client = ? AND state = 'WAITING'",
            (plea.client.path(),),
        )
        if waiting >= MOST_WAITING:
            raise Refused(
                GatewayCode.TOO_MANY_ACCESS_REQUESTS,
                N_(
                    "{client} has {waiting} requests that wait for a decision; at most {most_waiting} may",
                    client=plea.client.path(),
                    waiting=waiting,
                    most_waiting=MOST_WAITING,
                ),
            )
        if known is not None:
            self._rows("DELETE FROM access_request WHERE id = ?", (known.id,))
        own = next_id(self._rows, "access_request")
        self._rows(
            f"INSERT INTO access_request ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'WAITING', NULL, '', '')",
            (
                own,
                plea.client.path(),
                plea.provider.path(),
                plea.service_code,
                plea.purpose,
                plea.legal_basis,
                plea.contact,
                plea.message_id,
                seconds(now),
            ),
        )
        return AccessRequestRecord(own, plea, instant(seconds(now)))

    def decide(self, number: int, state: AccessState, by: str, now: datetime, reason: str = "") -> None:
        """Note a decision. Refused (``access_request_decided``) when there is one already."""
        if self.get(number).state is not AccessState.WAITING:
            raise Refused(
                GatewayCode.ACCESS_REQUEST_DECIDED,
                N_("request for access {number} was decided already", number=number),
            )
        self._rows(
            "UPDATE access_request SET state = ?, decided_at = ?, decided_by = ?, reason = ? WHERE id = ?",
            (state.value, seconds(now), by, reason, number),
        )


def _record(row: Sequence[object]) -> AccessRequestRecord:
    number, client, provider, code, purpose, basis, contact, message, at, state, decided, by, reason = row
    return AccessRequestRecord(
        int(str(number)),
        AccessPlea(
            client_of(str(client)), client_of(str(provider)), str(code), str(purpose), str(basis), str(contact),
            str(message),
        ),
        instant(int(str(at))),
        AccessState(str(state)),
        None if decided is None else instant(int(str(decided))),
        str(by),
        str(reason),
    )  # fmt: skip
