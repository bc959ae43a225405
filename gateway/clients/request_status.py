"""What becomes of management requests: decided from the global configuration, and from what the central server says. Pure.

A request that is approved shows only as another configuration; one that is refused shows nowhere in it and must be asked
for. Until one of the two is seen the request waits here. A disabled client is a request that took effect and stays, for
the configuration says no more than that the client is not listed.

Spec: UG-SS 4 (states of clients); the moves are those of X-Road 7.8's GlobalConfChecker, but that a deletion which took
effect leaves a client that can be registered again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gateway.clients.records import ClientRecord, PendingRequest, RenameStatus, RequestKind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from schemas.globalconf.shared import SecurityServer
    from schemas.identifiers import ClientId, ServerId

REFUSED = frozenset(("DECLINED", "REVOKED"))
_ENDED_BY_ENABLING = (RequestKind.CLIENT_ENABLE, RequestKind.CLIENT_DISABLE)


class Settled(msgspec.Struct):
    """The changes to make: requests that are over, those that took effect and stay, and clients with another state."""

    over: list[PendingRequest] = msgspec.field(default_factory=list)
    effective: list[PendingRequest] = msgspec.field(default_factory=list)
    # No longer registered, because this side asked for it.
    unregistered: list[ClientId] = msgspec.field(default_factory=list)
    # The configuration has the name that was wished for.
    named: list[ClientId] = msgspec.field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.over or self.effective or self.unregistered or self.named)


class Seen(msgspec.Struct, frozen=True):
    """This server as the global configuration has it: its entry, names, and the hashes of its registered certificates."""

    server: SecurityServer | None
    name_of: Callable[[ClientId], str | None]
    registered_certificates: Collection[str]
    certificates: Collection[str]

    @property
    def listed(self) -> frozenset[ClientId]:
        """The clients listed on this server, its owner among them."""
        return frozenset() if self.server is None else self.server.clients | {self.server.id.owner}


def decide_settled(pending: Sequence[PendingRequest], clients: Iterable[ClientRecord], seen: Seen) -> Settled:
    """Decide from the global configuration which pending requests are over, and which clients have another state by it."""
    settled = Settled()
    by_path = {client.id.path(): client for client in clients}
    for request in pending:
        client = by_path.get(request.subject)
        if client is not None:
            _settle_client(request, client.id, pending, seen, settled)
        elif _is_over(request, seen):
            settled.over.append(request)
    for client in by_path.values():
        if client.rename is not None and seen.name_of(client.id) == client.name and client.id in seen.listed:
            settled.named.append(client.id)
    return settled


def _settle_client(
    request: PendingRequest, client: ClientId, pending: Sequence[PendingRequest], seen: Seen, settled: Settled
) -> None:
    listed, same = client in seen.listed, [r for r in pending if r.subject == request.subject]
    match request.kind:
        case RequestKind.CLIENT_REGISTRATION if listed:
            settled.over.append(request)
        case RequestKind.CLIENT_DELETION if not listed:
            settled.over += [r for r in same if r not in settled.over]
            settled.unregistered.append(client)
        case RequestKind.CLIENT_DISABLE if not listed and not request.effective:
            settled.effective.append(request)
        case RequestKind.CLIENT_DISABLE if listed and request.effective:
            settled.over += [r for r in same if r.kind in _ENDED_BY_ENABLING and r not in settled.over]
        case RequestKind.CLIENT_RENAME if seen.name_of(client) == request.detail:
            settled.over.append(request)
        case RequestKind.OWNER_CHANGE if seen.server is not None and seen.server.id.owner == client:
            settled.over.append(request)


def _is_over(request: PendingRequest, seen: Seen) -> bool:
    server = seen.server
    match request.kind:
        case RequestKind.ADDRESS_CHANGE:
            return server is not None and server.address == request.detail
        case RequestKind.MAINTENANCE_ENABLE:
            return server is not None and server.maintenance is not None
        case RequestKind.MAINTENANCE_DISABLE:
            return server is not None and server.maintenance is None
        case RequestKind.AUTH_CERT_REGISTRATION:
            return request.subject in seen.registered_certificates or request.subject not in seen.certificates
        case _:
            return True  # of a client that is gone


def decide_new_owner(
    own: ServerId,
    entries: Iterable[SecurityServer],
    members: Collection[ClientId],
) -> ServerId | None:
    """The identifier this server has now, where the configuration knows it no longer by the old one.

    ``entries`` are the servers that list one of this server's authentication certificates, ``members`` the members that
    are clients here: only one of them can have become the owner.
    """
    for entry in entries:
        same = entry.id.instance == own.instance and entry.id.server_code == own.server_code
        if same and entry.id != own and entry.id.owner in members:
            return entry.id
    return None


def rename_after_refusal(client: ClientRecord) -> tuple[str | None, RenameStatus | None]:
    """The name and its state after a new name was refused: none, so the configuration's shows."""
    return (None, None) if client.rename is RenameStatus.NAME_SUBMITTED else (client.name, client.rename)
