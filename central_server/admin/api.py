"""The whole admin API of a central server: every resource's rows in one frame."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from central_server.admin import catalogue, groups, members, requests, servers, sources, system, tokens, trust
from central_server.admin.pages import add_pages
from central_server.admin.roles import central_roles
from serving.adminapi import AdminApi, Served

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from central_server.admin.desk import Desk
    from serving.adminsettings import AdminSettings
    from serving.authentication import Clock
    from serving.backupoperations import BackupDesk
    from serving.logins import Logins
    from serving.operations import Operation


def operations(desk: Desk) -> Sequence[Operation]:
    """Every row."""
    return [
        o
        for module in (system, members, servers, groups, trust, sources, tokens, requests, catalogue)
        for o in module.operations(desk)
    ]


def make_api(
    desk: Desk,
    settings: AdminSettings,
    logins: Logins,
    clock: Clock,
    backups: BackupDesk,
    environ: Mapping[str, str] = MappingProxyType({}),
) -> AdminApi:
    """The API, ready to listen."""
    served = Served(
        "Sacbé central server",
        desk.version,
        [*operations(desk), *backups.operations()],
        closed=lambda: backups.closed,
        pages=add_pages,
    )
    return AdminApi(settings, logins, central_roles(), served, clock, environ)
