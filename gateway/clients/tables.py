"""All tables of the server's configuration, as one value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from gateway.clients.access_request_table import AccessRequestTable
    from gateway.clients.client_table import ClientTable, Requests, TimestampingServices
    from gateway.clients.description_table import DescriptionTable
    from gateway.clients.right_table import Endpoints, LocalGroupTable, RightTable


class Tables(msgspec.Struct, frozen=True):
    """The tables, all on one connection: changes made through one value stand or fall together."""

    clients: ClientTable
    descriptions: DescriptionTable
    endpoints: Endpoints
    rights: RightTable
    groups: LocalGroupTable
    requests: Requests
    timestamping: TimestampingServices
    access_requests: AccessRequestTable
