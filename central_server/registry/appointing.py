"""Who cosigns whose transparency log: the central server, and a number of other gateways, those of other members first.

The choice follows from the identifiers alone (the least digests of log and witness together), so every node makes the same
one, and a server that joins or leaves changes the witnesses of few logs.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from schemas.globalconf.witnesses import Appointments

if TYPE_CHECKING:
    from central_server.registry.model import Registry
    from schemas.identifiers import ServerId


def appoint(registry: Registry, count: int) -> Appointments:
    """The logs of registered servers that announced their keys, each with ``count`` witnesses or as many as there are."""
    there = {server.id for server in registry.servers if server.address}
    logs = [log for log in registry.witnesses.logs if log.server in there]
    servers = [log.server for log in logs]
    return Appointments(
        registry.witnesses.central,
        tuple(replace(log, witnesses=_chosen(log.server, servers, count)) for log in logs),
    )


def _chosen(log: ServerId, servers: list[ServerId], count: int) -> tuple[ServerId, ...]:
    def rank(witness: ServerId) -> tuple[bool, bytes]:
        both = f"{log.path()}\n{witness.path()}".encode()
        return witness.owner == log.owner, hashlib.sha256(both).digest()

    return tuple(sorted((s for s in servers if s != log), key=rank)[:count])
