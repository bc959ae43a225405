"""Settings of a central server: one frozen value, read once from TOML and the environment.

Every field has a default that works on a laptop; unknown names stop the start. Environment names are
``SACBE_CENTRAL_<SECTION>_<FIELD>``. Times are seconds, sizes bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from central_server.management.requests import ApprovalPolicy
from central_server.settingrows import ROWS
from serving.config.adminsettings import AdminSettings, local_host
from serving.config.logsettings import LogStreamSettings
from serving.config.secret import SecretSource
from serving.config.settings import load_settings
from serving.config.settingtable import SettingTable
from serving.config.tokensettings import TokenKeeping
from serving.storage.keysafe import SealSettings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ENVIRONMENT_PREFIX = "SACBE_CENTRAL"


class Node(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which node this is, and which database it shares with the others."""

    name: str = "node_0"
    # A postgresql:// address; empty: a SQLite file in the data folder.
    database: str = ""


class CentralListenSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Addresses and ports; the ports are X-Road's. 0 listens nowhere."""

    host: str = "0.0.0.0"  # noqa: S104  gateways must reach it
    # The signed configuration.
    http_port: int = 80
    https_port: int = 443
    # Registration of authentication certificates, by servers not yet on the road.
    registration_port: int = 4001
    # The management service, for the management security server alone.
    management_port: int = 4002
    # Where the management service listens. Empty: at ``host`` once a certificate is pinned (management.pinned_certificates),
    # at this machine only until then.
    management_host: str = ""
    # Networks that may read /metrics at the configuration's ports, comma-separated; this machine always may.
    metrics_from: str = ""


class Approval(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The kinds of request approved without anybody looking; names as X-Road's ``[center]`` has them, with underscores."""

    auto_approve_auth_cert_reg_requests: bool = False
    auto_approve_client_reg_requests: bool = False
    auto_approve_owner_change_requests: bool = False
    # Two different people must approve what is not approved automatically.
    four_eyes: bool = False

    def policy(self) -> ApprovalPolicy:
        """The same for the rules."""
        return ApprovalPolicy(
            self.auto_approve_auth_cert_reg_requests,
            self.auto_approve_client_reg_requests,
            self.auto_approve_owner_change_requests,
            self.four_eyes,
        )


class Management(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who may bring management requests, and how many."""

    # Files with the internal TLS certificates of the management security server, in the data folder. When one is named
    # nobody else may call the management service, and nobody at all until the file is there; without any, only processes
    # of this machine may, and what they send is kept as unproved.
    pinned_certificates: tuple[str, ...] = ()
    requests_per_minute: int = 60


class Publishing(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of the signed configuration: how often it is made, and how long it holds."""

    # The lowest version generated; 2 lets the oldest security servers in.
    minimum_version: int = 2
    # How often a new directory is signed when nothing changes.
    regenerate_s: float = 60.0
    # How long parts of earlier generations are still served.
    keep_parts_s: float = 600.0
    # What new signing keys are: rsa-2048, rsa-3072, rsa-4096, ec-p256 or ec-p384.
    key_kind: str = "rsa-2048"


class CentralKeySettings(TokenKeeping, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Tokens: signing keys of the configuration may be on any of them; the TLS key is on the software token."""


class CentralNoticeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How institutes are told what became of their requests."""

    # Empty: no mail is sent.
    smtp_host: str = ""
    smtp_port: int = 25
    smtp_security: Literal["none", "starttls", "tls"] = "none"
    smtp_user: str = ""
    smtp_password: SecretSource = SecretSource()
    sender: str = "central@localhost"
    poll_s: float = 5.0


class Catalogue(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The catalogue of every member's services."""

    # The consumer address of a gateway to gather through; empty: nothing is gathered.
    gateway: str = ""
    # The client in whose name it asks: instance/class/code/subsystem.
    client: str = ""
    interval_s: float = 3600.0
    # Where the catalogue's pages and exports are; 0 serves them nowhere.
    port: int = 0


class WitnessSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The transparency logs of gateways that this server is a witness of, at ``/tlog`` of the configuration's listener."""

    # Their verifier keys, as `gateway log key` tells.
    follows: tuple[str, ...] = ()


class CentralBackupSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Backups made over the admin API."""

    # age recipients (age1...) every backup is encrypted to; their identities are kept elsewhere.
    recipients: tuple[str, ...] = ()


class CentralSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything a central server is told from outside its database."""

    node: Node = Node()
    listen: CentralListenSettings = CentralListenSettings()
    admin: AdminSettings = AdminSettings()
    approval: Approval = Approval()
    management: Management = Management()
    publishing: Publishing = Publishing()
    keys: CentralKeySettings = CentralKeySettings()
    notices: CentralNoticeSettings = CentralNoticeSettings()
    catalogue: Catalogue = Catalogue()
    witness: WitnessSettings = WitnessSettings()
    backup: CentralBackupSettings = CentralBackupSettings()
    seal: SealSettings = SealSettings()
    log_level: str = "info"
    logging: LogStreamSettings = LogStreamSettings()


TABLE = SettingTable(CentralSettings, ROWS)


def management_host(settings: CentralSettings) -> str:
    """Where the management service listens: this machine only until somebody is pinned, unless the settings say where."""
    listen = settings.listen
    if listen.management_host:
        return listen.management_host
    return listen.host if settings.management.pinned_certificates else local_host(listen.host)


def admin_host(settings: CentralSettings) -> str:
    """Where the admin API listens: as told, else at this machine only."""
    return settings.admin.host or local_host(settings.listen.host)


def load(path: Path | None, environ: Mapping[str, str]) -> CentralSettings:
    """The settings of a TOML file (none: all defaults), overridden by the environment. Raises `OperatorError`."""
    settings = load_settings(CentralSettings, path, environ, ENVIRONMENT_PREFIX)
    TABLE.check(settings)
    return settings
