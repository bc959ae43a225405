"""All tables of the server's configuration, as one value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.serverconf.clients import Clients, Requests, TimestampingServices
    from gateway.serverconf.descriptions import Descriptions
    from gateway.serverconf.rights import Endpoints, Groups, Rights


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables, all on one connection: changes made through one value stand or fall together."""

    clients: Clients
    descriptions: Descriptions
    endpoints: Endpoints
    rights: Rights
    groups: Groups
    requests: Requests
    timestamping: TimestampingServices
