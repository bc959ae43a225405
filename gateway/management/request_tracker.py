"""Management requests: taking what a new configuration settles, and asking what was refused.

The central server of this software says what became of a request (see `gateway.management.requests`); another one does not, and
then a refused request goes on waiting, as it does in X-Road.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
from typing import TYPE_CHECKING

import msgspec

from gateway.clients.records import RequestKind
from gateway.clients.request_status import (
    REFUSED,
    Seen,
    decide_new_owner,
    decide_settled,
    rename_after_refusal,
)
from gateway.keys.model import CertificateStatus, KeyUsage
from gateway.management.requests import SentRequest
from schemas.faults import Fault
from schemas.identifiers import ClientId
from serving.process.loops import Loop
from serving.storage.conflicts import DatabaseConflict

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from certs.configuration import TrustedConfiguration
    from gateway.clients.records import PendingRequest
    from gateway.clients.store import ServerConfStore
    from gateway.keys.operations import KeyOperations
    from gateway.keys.store import KeyConfStore
    from gateway.management.requests import ManagementSender
    from schemas.management import ManagementRequest

log = logging.getLogger("gateway.requests")

MOST_A_ROUND = 5


class RequestTracker(msgspec.Struct, frozen=True):
    """Keeps requests and states as the central server has them. Uses the store from the event loop's thread."""

    store: ServerConfStore
    keyconf: KeyConfStore
    keys: KeyOperations
    management: ManagementSender
    configuration: Callable[[], TrustedConfiguration | None]
    # Tell a person: what happened, about what, and details.
    notify: Callable[[str, str, str], None]
    ask_s: float
    # The requests that were asked about last.
    last_queried: list[int] = msgspec.field(default_factory=list)

    def observe(self, configuration: TrustedConfiguration) -> None:
        """Take what a configuration settles; the owner of this server may be another now.

        What cannot be written down now is so at the next look.
        """
        try:
            self._observe(configuration)
        except (DatabaseConflict, sqlite3.Error) as err:
            log.warning("requests not settled", extra={"event": "management_request", "reason": str(err)})

    def _observe(self, configuration: TrustedConfiguration) -> None:
        self._follow_owner(configuration)
        server = configuration.server(self.store.server_id())
        listed = frozenset() if server is None else server.clients | {server.id.owner}
        unseen = [c.id for c in self.store.view.clients.all() if c.id in listed and not c.seen_registered]
        if unseen:
            self.store.note_registered(unseen)
        self._settle(configuration)

    def _settle(self, configuration: TrustedConfiguration) -> None:
        certificates = self.keyconf.certificates()
        seen = Seen(
            configuration.server(self.store.server_id()),
            configuration.member_name,
            {c.hash for c in certificates if c.status is CertificateStatus.REGISTERED},
            {c.hash for c in certificates},
        )
        view = self.store.view
        settled = decide_settled(view.requests.all(), view.clients.all(), seen)
        if not settled:
            return
        with self.store.change() as tables:
            for request in settled.over:
                tables.requests.remove(request.kind, request.subject)
            for request in settled.effective:
                tables.requests.mark_effective(request.id)
            for client in settled.unregistered:
                tables.clients.forget_registered(client)
            for client in settled.named:
                tables.clients.set_name(client, None, None)
        for request in settled.over:
            log.info("management request settled", extra=_facts(request))

    def follow_registration(self, request: ManagementRequest, sent: SentRequest, now: datetime) -> None:
        """Follow the registration of an authentication certificate."""
        digest = hashlib.sha256(request.auth_certificate or b"").hexdigest().upper()
        kind, address = RequestKind.AUTH_CERT_REGISTRATION, request.address or ""
        with self.store.change() as tables:
            tables.requests.add(
                kind, digest, address, now, number=sent.request_id, message_id=sent.message_id
            )

    def _follow_owner(self, configuration: TrustedConfiguration) -> None:
        own = self.store.server_id()
        if configuration.server(own) is not None:
            return
        entries = [
            found
            for c in self.keyconf.certificates()
            if c.usage is KeyUsage.AUTHENTICATION
            and (found := configuration.server_by_auth_certificate(c.der)) is not None
        ]
        members = {c.id for c in self.store.view.clients.all() if c.id.is_member}
        now = decide_new_owner(own, entries, members)
        if now is not None:
            self.store.rename_server(now)
            log.warning(
                "owner changed", extra={"event": "owner_changed", "from": own.path(), "to": now.path()}
            )

    def loop(self) -> Loop:
        """The loop that asks, as long as something waits."""
        return Loop(
            "requests",
            self.ask,
            lambda: self.ask_s,
            first_s=self.ask_s,
            event="management_request",
            failure_text="requests not settled",
        )

    async def ask(self) -> None:
        """Ask what became of every request that waits; one that was refused waits no longer.

        A row at fault keeps no other waiting: the rest of the round goes on, then the first error is raised to the loop, which
        tells it on health.
        """
        errors: list[Exception] = []
        configuration = self.configuration()
        if configuration is not None:
            try:
                self._settle(configuration)
            except Exception as err:
                errors.append(err)
        for request in self._due():
            try:
                await self._ask_of(request)
            except Exception as err:
                log.exception("a request cannot be followed", extra=_facts(request))
                errors.append(err)
        if errors:
            raise errors[0]

    async def _ask_of(self, request: PendingRequest) -> None:
        try:
            found = await self.management.fetch_status(SentRequest(request.number, request.message_id))
        except Fault as fault:
            log.info("no status of a request", extra={**_facts(request), "reason": fault.detail})
            return
        if found.status in REFUSED:
            self._refuse(request, found.comments or found.status)

    def _due(self) -> list[PendingRequest]:
        """The next few of those that wait, in turn: the central server bounds how much it is asked."""
        waiting = [r for r in self.store.view.requests.all() if r.message_id and not r.effective]
        last = self.last_queried[-1] if self.last_queried else 0
        due = sorted(waiting, key=lambda r: (r.id <= last, r.id))[:MOST_A_ROUND]
        self.last_queried[:] = [r.id for r in due]
        return due

    def _refuse(self, request: PendingRequest, why: str) -> None:
        with self.store.change() as tables:
            if request.kind not in tables.requests.kinds_of(request.subject):
                return
            tables.requests.remove(request.kind, request.subject)
            if request.kind is RequestKind.CLIENT_RENAME:
                client = tables.clients.find(ClientId(*request.subject.split("/")))
                if client is not None:
                    tables.clients.set_name(client.id, *rename_after_refusal(client))
        if request.kind is RequestKind.AUTH_CERT_REGISTRATION:
            self.keys.mark_registration_refused(request.subject)
        log.warning("management request refused", extra={**_facts(request), "reason": why})
        self.notify("request-refused", f"{request.kind} {request.subject}", why)


def _facts(request: PendingRequest) -> dict[str, object]:
    return {
        "event": "management_request",
        "kind": request.kind.value,
        "subject": request.subject,
        "number": request.number,
    }
