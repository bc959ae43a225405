"""The whole admin API of a gateway: every resource's rows in one frame."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from gateway.admin import authorities, certificates, keys, tokens
from gateway.admin.accessrequests import AccessRequestResource
from gateway.admin.accessview import AccessResource
from gateway.admin.address_and_maintenance import AddressAndMaintenance
from gateway.admin.backups import Backups
from gateway.admin.clientcertificates import ClientCertificates
from gateway.admin.clientrequests import ClientRequests
from gateway.admin.clients import ClientResource
from gateway.admin.connections import Connections
from gateway.admin.console.site import add_pages
from gateway.admin.context import AdminContext
from gateway.admin.diagnostics import Diagnostics
from gateway.admin.initialization import InitializationResource
from gateway.admin.interface import Interface
from gateway.admin.internalcertificate import InternalCertificate
from gateway.admin.keycontext import KeyAdminContext
from gateway.admin.localgroups import LocalGroups
from gateway.admin.mail import Mail
from gateway.admin.messages import MessageLogResource
from gateway.admin.orders import GatewayOrders
from gateway.admin.outgoingaccess import OutgoingAccessResource
from gateway.admin.registry import RegistryResource
from gateway.admin.rights import RightResource
from gateway.admin.roles import gateway_roles
from gateway.admin.services import ServiceResource
from gateway.admin.settings import SettingResource
from gateway.admin.system import System
from gateway.admin.traffic import Traffic
from gateway.clients.descriptions.fetching import fetch_description
from gateway.clients.descriptions.reading import DescriptionReader
from gateway.clients.descriptions.validating import with_validator
from gateway.clients.registration import DescriptionRegister
from gateway.desired.changelines import difference, state_of
from gateway.settings.datafolder import BACKUP_CONTENT
from serving.api.backupoperations import BackupResource
from serving.api.server import AdminApi, Served
from serving.storage.audit import AuditLog
from serving.web.formnames import back_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import datetime

    from cryptography import x509

    from certs.verify.ocsp import OcspStatus
    from gateway.admin.ports import Process
    from gateway.clients.records import Document
    from serving.api.authentication import Clock
    from serving.api.operations import Operation
    from serving.config.adminsettings import AdminSettings
    from serving.login.sessions import SessionStore
    from serving.login.users import Logins


def _backup_resource(process: Process) -> BackupResource:
    return BackupResource(
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


def operations(process: Process, backups: BackupResource | None = None) -> Sequence[Operation]:
    """Every operation of the admin API, in the order of the resources."""
    context, backups = AdminContext(process), backups or _backup_resource(process)

    async def fetch(url: str, trusted: Collection[bytes]) -> Document:
        return await fetch_description(process.settings.descriptions.policy(), url, trusted)

    def ocsp_status(certificate: x509.Certificate, now: datetime) -> OcspStatus:
        return context.gateway.ocsp_status(certificate, now)  # of the gateway that runs when it is called

    read = with_validator(
        DescriptionReader().read, lambda: process.settings.descriptions.wsdl_validator_command
    )
    register = DescriptionRegister(process.store, fetch, read)
    key_context = KeyAdminContext(
        lambda: context.keys,
        context.server_id,
        process.configuration,
        ocsp_status,
        context.send_certificate_request,
        lambda: process.settings.trust.ocsp_order.name,
        GatewayOrders(context),
    )
    return [
        *InitializationResource(context).rows(),
        *InternalCertificate(context).rows(),
        *AddressAndMaintenance(context).rows(),
        *System(context).rows(),
        *ClientResource(context, key_context).rows(),
        *ClientRequests(context).rows(),
        *ClientCertificates(context).rows(),
        *LocalGroups(context).rows(),
        *ServiceResource(context, register).rows(),
        *RightResource(context).rows(),
        *AccessResource(context).rows(),
        *AccessRequestResource(context).rows(),
        *OutgoingAccessResource(context).rows(),
        *(o for module in (tokens, keys, certificates, authorities) for o in module.operations(key_context)),
        *RegistryResource(context).rows(),
        *Diagnostics(context).rows(),
        *Connections(context).rows(),
        *Traffic(context).rows(),
        *MessageLogResource(context).rows(),
        *Mail(context).rows(),
        *Interface(context, backups).rows(),
        *Backups(backups).rows(),
        *SettingResource(context).rows(),
    ]


# A node's token is opened at the node itself, and its settings are read there.
_AT_EVERY_NODE = frozenset({"LOGIN_TOKEN", "LOGOUT_TOKEN", "SETTINGS_RELOAD"})


def barred_where_read_only(process: Process) -> Callable[[Operation], str | None]:
    """The reason why an operation is refused at a node whose setting ``node.read_only`` says so: it changes what all nodes share."""

    def reason(operation: Operation) -> str | None:
        if not process.settings.node.read_only or operation.event in (None, *_AT_EVERY_NODE):
            return None
        return "this node is read-only (node.read_only): make the change at another node of this server"

    return reason


def make_api(
    process: Process,
    settings: AdminSettings,
    logins: Logins,
    clock: Clock,
    environ: Mapping[str, str],
    sessions: SessionStore | None = None,
) -> AdminApi:
    """The API, ready to listen."""

    def watch() -> Callable[[], Sequence[str]]:
        before = state_of(process.store)

        return lambda: difference(before, state_of(process.store))

    async def take() -> None:
        if process.gateway is not None:
            await process.gateway.read_and_reload()

    backups = _backup_resource(process)
    rows = operations(process, backups)
    served = Served(
        "Sacbé gateway",
        version("sacbe"),
        rows,
        watch,
        take,
        lambda: backups.closed,
        barred_where_read_only(process),
        add_pages,
        back_of,
    )
    return AdminApi(settings, logins, gateway_roles(), served, clock, environ, sessions)
