"""Settings of a central server: one frozen value, read once from TOML and the environment.

Every field has a default that works on a laptop; unknown names stop the start. Environment names are
``SACBE_CENTRAL_<SECTION>_<FIELD>``. Times are seconds, sizes bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from central_server.management.requests import ApprovalPolicy
from serving.config.adminsettings import AdminSettings, local_host
from serving.config.logsettings import LogStreamSettings
from serving.config.secret import SecretSource
from serving.config.setting import DAY_S, EVERYWHERE, PORT, Setting
from serving.config.settings import load_settings
from serving.config.settingtable import SettingTable
from serving.config.tokensettings import TokensSection
from serving.storage.keysafe import SealSettings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ENVIRONMENT_PREFIX = "SACBE_CENTRAL"


class Node(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which node this is, and which database it shares with the others."""

    # fmt: off
    name: Annotated[str, Setting(help="This node's name, where several share a database.")] = "node_0"
    # A postgresql:// address; empty: a SQLite file in the data folder.
    database: Annotated[str, Setting(help="Shared database, postgresql://...; empty: SQLite in the folder.")] = ""
    # fmt: on


class CentralListenSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Addresses and ports; the ports are X-Road's. 0 listens nowhere."""

    # fmt: off
    host: Annotated[str, Setting(help="Address of the configuration and of registration.")] = EVERYWHERE
    http_port: Annotated[int, Setting(help="HTTP port of the configuration; 0 none.", low=0, high=PORT)] = 80
    https_port: Annotated[int, Setting(help="HTTPS port of the configuration; 0 none.", low=0, high=PORT)] = 443
    registration_port: Annotated[int, Setting(help="Port where authentication certificates are registered; 0 none.", low=0, high=PORT)] = 4001
    management_port: Annotated[int, Setting(help="Port of the management services; 0 none.", low=0, high=PORT)] = 4002
    # Where the management service listens. Empty: at ``host`` once a certificate is pinned (management.pinned_certificates),
    # at this machine only until then.
    management_host: Annotated[str, Setting(help="Its address; empty: listen.host where a certificate is pinned, else this machine only.")] = ""
    # Networks that may read /metrics at the configuration's ports, comma-separated; this machine always may.
    metrics_from: Annotated[str, Setting(help="Networks that may read /metrics, beside this machine.")] = ""
    # fmt: on


class Approval(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The kinds of request approved without anybody looking; names as X-Road's ``[center]`` has them, with underscores."""

    # fmt: off
    auto_approve_auth_cert_reg_requests: Annotated[bool, Setting(help="Whether registrations of certificates are approved by themselves.")] = False
    auto_approve_client_reg_requests: Annotated[bool, Setting(help="Whether registrations of clients are approved by themselves.")] = False
    auto_approve_owner_change_requests: Annotated[bool, Setting(help="Whether changes of owner are approved by themselves.")] = False
    four_eyes: Annotated[bool, Setting(help="Whether two different people must approve the rest.")] = False
    # fmt: on

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

    # fmt: off
    # Files with the internal TLS certificates of the management security server, in the data folder. When one is named
    # nobody else may call the management service, and nobody at all until the file is there; without any, only processes
    # of this machine may, and what they send is kept as unproved.
    pinned_certificates: Annotated[tuple[str, ...], Setting(help="Files of the folder with the internal TLS certificates of the management gateway.")] = ()
    requests_per_minute: Annotated[int, Setting(help="Requests a minute from one address; 0 no limit.", low=0, high=1000000)] = 60
    # fmt: on


class Publishing(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of the signed configuration: how often it is made, and how long it holds."""

    # fmt: off
    # The lowest version generated; 2 lets the oldest security servers in.
    minimum_version: Annotated[int, Setting(help="Lowest version of the configuration that is generated.", low=2, high=9)] = 2
    regenerate_s: Annotated[float, Setting(help="How often a new directory is signed when nothing changes.", low=1, high=DAY_S)] = 60.0
    keep_parts_s: Annotated[float, Setting(help="How long parts of earlier generations are still served.", low=0, high=DAY_S)] = 600.0
    # What new signing keys are: rsa-2048, rsa-3072, rsa-4096, ec-p256 or ec-p384.
    key_kind: Annotated[str, Setting(help="Kind of new signing keys.")] = "rsa-2048"
    # Beside this server, which cosigns every one.
    witnesses: Annotated[int, Setting(help="How many other gateways the configuration appoints to cosign each gateway's transparency log.", low=0, high=16)] = 2
    # fmt: on


class CentralKeySettings(TokensSection, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Tokens: signing keys of the configuration may be on any of them; the TLS key is on the software token."""


class CentralNoticeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The settings of notices to institutes about their requests: a mail server, webhooks."""

    # fmt: off
    smtp_host: Annotated[str, Setting(help="Mail server of notices; empty: no mail.")] = ""
    smtp_port: Annotated[int, Setting(help="Its port.", low=1, high=PORT)] = 25
    smtp_security: Annotated[Literal["none", "starttls", "tls"], Setting(help="none, starttls or tls.")] = "none"
    smtp_user: Annotated[str, Setting(help="User, if it asks for one.")] = ""
    smtp_password: Annotated[SecretSource, Setting(help="Where its password is.")] = SecretSource()
    sender: Annotated[str, Setting(help="Who notices are from.")] = "central@localhost"
    poll_s: Annotated[float, Setting(help="How often it is looked for notices to send.", low=0.1, high=DAY_S)] = 5.0
    # fmt: on


class Catalogue(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The catalogue of every member's services."""

    # fmt: off
    gateway: Annotated[str, Setting(help="Gateway to gather the catalogue through; empty: it is not gathered.")] = ""
    # The client in whose name it asks: instance/class/code/subsystem.
    client: Annotated[str, Setting(help="Client in whose name it asks.")] = ""
    interval_s: Annotated[float, Setting(help="How often it asks.", low=1, high=30 * DAY_S)] = 3600.0
    # Where the catalogue's pages and exports are; 0 serves them nowhere.
    port: Annotated[int, Setting(help="Port of its pages; 0 none.", low=0, high=PORT)] = 0
    # fmt: on


class WitnessSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The transparency logs of gateways that this server is a witness of, at ``/tlog`` of the configuration's listener."""

    # Verifier keys beside those that this instance's gateways announce, as `gateway log key` tells.
    follows: Annotated[tuple[str, ...], Setting(help="Keys of the logs this server is a witness of.")] = ()


class CentralBackupSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Backups made over the admin API."""

    # fmt: off
    # age recipients (age1...) every backup is encrypted to; their identities are kept elsewhere.
    recipients: Annotated[tuple[str, ...], Setting(help="age recipients (age1...) that backups are encrypted to.")] = ()
    # fmt: on


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
    log_level: Annotated[str, Setting(help="How much the process writes to its log.")] = "info"
    logging: LogStreamSettings = LogStreamSettings()


TABLE = SettingTable(CentralSettings, takes_live=False)


def management_host(settings: CentralSettings) -> str:
    """The management service's host: the one of the settings, else this machine only until a certificate is pinned, then the server's."""
    listen = settings.listen
    if listen.management_host:
        return listen.management_host
    return listen.host if settings.management.pinned_certificates else local_host(listen.host)


def admin_host(settings: CentralSettings) -> str:
    """The admin API's host: the one of the settings, else an address that only this machine reaches."""
    return settings.admin.host or local_host(settings.listen.host)


def load(path: Path | None, environ: Mapping[str, str]) -> CentralSettings:
    """The settings of a TOML file (none: all defaults), overridden by the environment. Raises `OperatorError`."""
    settings = load_settings(CentralSettings, path, environ, ENVIRONMENT_PREFIX)
    TABLE.check(settings)
    return settings
