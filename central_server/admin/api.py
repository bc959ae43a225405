"""The whole admin API of a central server: every resource's rows in one frame."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from central_server.admin import (
    catalogue,
    groups,
    members,
    overview,
    requests,
    servers,
    sources,
    system,
    tokens,
    trust,
)
from central_server.admin.console.site import add_pages
from central_server.admin.roles import central_roles
from serving.api.server import AdminApi, Served
from serving.web.formnames import back_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from central_server.admin.context import CentralAdminContext
    from serving.api.authentication import Clock
    from serving.api.backupoperations import BackupResource
    from serving.api.operations import Operation
    from serving.config.adminsettings import AdminSettings
    from serving.login.sessions import SessionStore
    from serving.login.users import Logins


def operations(context: CentralAdminContext) -> Sequence[Operation]:
    """Every row of the central server's admin API."""
    return [
        o
        for module in (
            system,
            members,
            servers,
            overview,
            groups,
            trust,
            sources,
            tokens,
            requests,
            catalogue,
        )
        for o in module.operations(context)
    ]


def make_api(
    context: CentralAdminContext,
    settings: AdminSettings,
    logins: Logins,
    clock: Clock,
    backups: BackupResource,
    environ: Mapping[str, str] = MappingProxyType({}),
    sessions: SessionStore | None = None,
) -> AdminApi:
    """The API, ready to listen."""
    served = Served(
        "Sacbé central server",
        context.version,
        [*operations(context), *backups.operations()],
        closed=lambda: backups.closed,
        pages=add_pages,
        places=back_of,
    )
    return AdminApi(settings, logins, central_roles(), served, clock, environ, sessions)
