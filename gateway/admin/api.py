"""The whole admin API of a gateway: every resource's rows in one frame."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, cast

from gateway.admin import authorities, certificates, keys, tokens
from gateway.admin.backups import Backups
from gateway.admin.beginning import Beginning
from gateway.admin.clientcertificates import ClientCertificates
from gateway.admin.clientrequests import ClientRequests
from gateway.admin.clients import Clients
from gateway.admin.connections import Connections
from gateway.admin.desk import Desk, LaterKeys
from gateway.admin.diagnostics import Diagnostics
from gateway.admin.interface import Interface
from gateway.admin.internalcertificate import InternalCertificate
from gateway.admin.keydesk import KeyDesk
from gateway.admin.localgroups import LocalGroups
from gateway.admin.mail import Mail
from gateway.admin.orders import GatewayOrders
from gateway.admin.pages import add_pages
from gateway.admin.registry import Registry
from gateway.admin.rights import Rights
from gateway.admin.roles import gateway_roles
from gateway.admin.services import Services
from gateway.admin.settings import SettingDesk
from gateway.admin.standing import Standing
from gateway.admin.system import System
from gateway.admin.traffic import Traffic
from gateway.changelines import difference, state_of
from gateway.datafolder import BACKUP_CONTENT
from gateway.descriptions.fetching import fetch_description
from gateway.descriptions.register import DescriptionRegister
from serving.adminapi import AdminApi, Served
from serving.audit import AuditLog
from serving.backupoperations import BackupDesk

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from gateway.admin.desk import Process
    from gateway.keyconf.operations import KeyOperations
    from gateway.serverconf.records import Document
    from serving.adminsettings import AdminSettings
    from serving.authentication import Clock
    from serving.logins import Logins
    from serving.operations import Operation


def _backup_desk(process: Process) -> BackupDesk:
    return BackupDesk(
        process.folder.root,
        BACKUP_CONTENT,
        lambda: process.settings.backup.recipients,
        lambda: process.store.server_id().path(),
        version("sacbe"),
        process.safe,
        process.start_anew,
        lambda: any(t.module and not t.pin.is_set for t in process.settings.keys.tokens),
        lambda: AuditLog(process.logins.database).head(),
    )


def operations(process: Process, backups: BackupDesk | None = None) -> Sequence[Operation]:
    """Every row."""
    desk, backups = Desk(process), backups or _backup_desk(process)

    async def fetch(url: str, trusted: Collection[bytes]) -> Document:
        return await fetch_description(process.settings.descriptions.policy(), url, trusted)

    register = DescriptionRegister(process.store, fetch)
    key_desk = KeyDesk(
        cast("KeyOperations", LaterKeys(desk)),
        desk.server_id,
        process.configuration,
        lambda certificate, now: desk.gateway.ocsp_status(certificate, now),  # noqa: PLW0108  the gateway of then
        desk.send_certificate_request,
        lambda: process.settings.trust.ocsp_order.name,
        GatewayOrders(desk),
    )
    return [
        *Beginning(desk).rows(),
        *InternalCertificate(desk).rows(),
        *Standing(desk).rows(),
        *System(desk).rows(),
        *Clients(desk, key_desk).rows(),
        *ClientRequests(desk).rows(),
        *ClientCertificates(desk).rows(),
        *LocalGroups(desk).rows(),
        *Services(desk, register).rows(),
        *Rights(desk).rows(),
        *(o for module in (tokens, keys, certificates, authorities) for o in module.operations(key_desk)),
        *Registry(desk).rows(),
        *Diagnostics(desk).rows(),
        *Connections(desk).rows(),
        *Traffic(desk).rows(),
        *Mail(desk).rows(),
        *Interface(desk, backups).rows(),
        *Backups(backups).rows(),
        *SettingDesk(desk).rows(),
    ]


def make_api(
    process: Process, settings: AdminSettings, logins: Logins, clock: Clock, environ: Mapping[str, str]
) -> AdminApi:
    """The API, ready to listen."""

    def watch() -> Callable[[], Sequence[str]]:
        before = state_of(process.store)

        def after() -> Sequence[str]:
            found = difference(before, state_of(process.store))
            if found and process.gateway is not None:
                process.gateway.reload()
            return found

        return after

    backups = _backup_desk(process)
    rows = operations(process, backups)
    served = Served("Sacbé gateway", version("sacbe"), rows, watch, lambda: backups.closed, add_pages)
    return AdminApi(settings, logins, gateway_roles(), served, clock, environ)
