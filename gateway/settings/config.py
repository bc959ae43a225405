"""Settings of a gateway: one frozen value, read once from TOML and the environment.

Every field has a default that works on a laptop; unknown names stop the start. Environment names are
``SACBE_GATEWAY_<SECTION>_<FIELD>``. Times are seconds, sizes bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from certs.tokens.soft import KeyKind
from gateway.clients.descriptions.described import MAX_BYTES
from gateway.clients.descriptions.fetchpolicy import DENIED, FetchPolicy
from gateway.keys.model import KeyUsage
from gateway.messagelog.archive import Grouping
from gateway.settings.nodesettings import ENVIRONMENT_PREFIX, NodeSettings
from gateway.settings.settingrows import ROWS
from schemas.faults import Spelling
from schemas.globalconf.cost import CostOrder
from serving.config.adminsettings import AdminSettings
from serving.config.logsettings import LogStreamSettings
from serving.config.secret import SecretSource
from serving.config.settings import load_settings
from serving.config.settingtable import SettingTable, nested
from serving.config.tokensettings import TokenKeeping
from serving.storage.keysafe import SealSettings

if TYPE_CHECKING:
    from collections.abc import Mapping


class ListenSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Addresses and ports; the ports are X-Road's."""

    # Where consumer systems connect.
    consumer_host: str = "127.0.0.1"
    http_port: int = 8080
    https_port: int = 8443
    # Where other security servers connect: messages and OCSP responses.
    peer_host: str = "0.0.0.0"  # noqa: S104  other institutes must reach it
    peer_port: int = 5500
    ocsp_port: int = 5577
    # GET / answers 200 when messages can be exchanged, 503 with the reason when not.
    health_host: str = "127.0.0.1"
    health_port: int = 5588


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How long and how large."""

    peer_connect_s: float = 30.0
    # A remembered fastest server is tried this long before the others are.
    peer_remembered_connect_s: float = 5.0
    # Longer than the longest service timeout (1000 s); 0 waits for ever, as X-Road does.
    peer_read_s: float = 1060.0
    fastest_remembered_s: float = 3600.0
    # The longest a provider's system may take for a whole answer; 0 sets no end. A service's own timeout counts silence.
    service_total_s: float = 0.0
    # The longest silence within a consumer system's request body, and the longest it may take no byte of its answer.
    consumer_idle_s: float = 30.0
    # Connections of consumer systems, and of peers, at a time: above it the oldest without a request under way is closed.
    connections: int = 4096
    # How long a connection may wait for its next request, or take to send a request's head.
    keepalive_s: float = 90.0
    # Largest body of a message, either way. It is spooled, never held in memory.
    body_bytes: int = 4 * 1024 * 1024 * 1024


class Trust(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How often proofs are renewed."""

    configuration_poll_s: float = 60.0
    # With a central server that answers conditional requests the poll is this cheap and this frequent.
    configuration_conditional_poll_s: float = 3.0
    # How often the central server is asked what became of management requests that wait.
    request_status_s: float = 15.0
    # Federated instances to accept: none, all, or a comma-separated list.
    federations: str = "none"
    # 0 takes the interval of the global configuration (1200 s if it names none).
    ocsp_fetch_s: float = 0.0
    ocsp_retry_s: float = 60.0
    # A responder that has not answered after this long is given up for the next one.
    ocsp_timeout_s: float = 20.0
    # Responders that cost: none (as listed), only-free, free-first, only-paid or paid-first.
    ocsp_order: CostOrder = CostOrder.NONE
    # Consumer sides with older software are refused; a version such as 7.6.0, or empty for none.
    minimum_client_version: str = ""


class KeySettings(TokenKeeping, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Keys and the certificates for them."""

    # What kind of key is made for signing and for authentication.
    sign_kind: KeyKind = KeyKind.RSA_2048
    auth_kind: KeyKind = KeyKind.RSA_2048
    # A newly registered authentication certificate is shown to peers after this long, when they know it too, as long as
    # another one is good.
    authentication_settle_s: float = 300.0
    # X-Road's PIN policy: at least ten characters of three of the four classes (small, capital, digits, others).
    enforce_pin_policy: bool = False
    # An authentication certificate is activated once the global configuration lists it, without a person.
    activate_authentication: bool = False

    def kinds(self) -> dict[KeyUsage | None, str]:
        """The kind of key by what it is for; a key without a usage yet is made for signing."""
        return {
            KeyUsage.SIGNING: self.sign_kind.value,
            KeyUsage.AUTHENTICATION: self.auth_kind.value,
            None: self.sign_kind.value,
        }


class AcmeBinding(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An outside account that an ACME server wants ours bound to."""

    # The approved CA's name, and the member that orders; no member stands for all.
    ca: str
    member: str = ""
    kid: str
    # base64url, as the CA gives it.
    mac_key: SecretSource


class Acme(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Ordering and renewing certificates from CAs whose ACME server the global configuration names."""

    # Where HTTP-01 challenges are answered; port 0 answers none. CAs look at port 80.
    challenge_host: str = "0.0.0.0"  # noqa: S104  the CA must reach it
    challenge_port: int = 0
    # What seals the accounts' keys on disk, at least eight characters.
    account_secret: SecretSource = SecretSource()
    contact: tuple[str, ...] = ()
    # A file with the CA certificates of the ACME servers' own TLS, where the system does not know them.
    trusted_ca: str = ""
    bindings: tuple[AcmeBinding, ...] = ()
    # Whether certificates are renewed without a person; how often that is looked at; and when a CA does not say:
    # how much of the lifetime may be left.
    renew: bool = False
    renewal_check_s: float = 3600.0
    renew_at_remaining: float = 0.33


class MemberContact(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who is told by mail of what concerns one member's certificates, besides the server's own recipients."""

    # The member's identifier, such as MX/GOB/15-ISSEMYM.
    member: str
    recipients: tuple[str, ...]


class NoticeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who is told when something expires, fails or is refused: by webhook, by mail, or nobody."""

    webhook_url: str = ""
    # Signs what the webhook gets.
    webhook_secret: SecretSource = SecretSource()
    recipients: tuple[str, ...] = ()
    contacts: tuple[MemberContact, ...] = ()
    sender: str = "sacbe@localhost"
    smtp_host: str = "localhost"
    smtp_port: int = 25
    smtp_security: Literal["none", "starttls", "tls"] = "none"
    smtp_user: str = ""
    smtp_password: SecretSource = SecretSource()
    # How often to look, and after how long to tell again what is still wrong.
    check_s: float = 60.0
    repeat_s: float = 86_400.0


class MessageLogSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The message log and its timestamps."""

    # 0 takes the interval of the global configuration (60 s if it names none).
    timestamp_interval_s: float = 0.0
    timestamp_retry_s: float = 60.0
    # An authority that has not answered after this long is given up for the next one.
    timestamp_timeout_s: float = 20.0
    # Authorities that cost, as ``trust.ocsp_order``.
    timestamp_order: CostOrder = CostOrder.NONE
    # Ask all authorities at once and take the quickest answer, instead of one after another.
    timestamp_race: bool = False
    # Timestamp each message before it leaves, with those that wait beside it; without a timestamp nothing leaves then.
    timestamp_at_once: bool = False
    # After this long without a timestamp nothing is logged, hence nothing exchanged; 0 never stops.
    acceptable_timestamp_failure_s: float = 14_400.0
    # Messages that may wait for the disk before more are refused.
    queue_length: int = 10_000
    # Seals the keys of messages and bodies in the log. Unset, a secret of the software token does, and opens with its PIN.
    secret: SecretSource = SecretSource()
    # After how many days new records get keys of a new tree, so that an old copy of the key file opens none of them.
    key_days: int = 30
    # X-Road's switches: whether messages are kept with their bodies, and producers' subsystems (paths) for which they are
    # when this is off, or are not when it is on; one list for producers behind this gateway and one for those of others.
    message_body_logging: bool = True
    enabled_body_logging_local_producers: tuple[str, ...] = ()
    enabled_body_logging_remote_producers: tuple[str, ...] = ()
    disabled_body_logging_local_producers: tuple[str, ...] = ()
    disabled_body_logging_remote_producers: tuple[str, ...] = ()
    # A message with a larger body is refused, unless bodies may be cut for the log; 0 keeps no body, -1 is no limit.
    max_loggable_body_bytes: int = -1
    truncated_body_allowed: bool = False
    # How often timestamped records are archived and old ones removed; 0 never does either.
    archive_interval_s: float = 21_600.0
    # Archives are sealed, each container under its record's key; off, they are X-Road's own, in clear.
    seal_archives: bool = True
    # One chain of archives for all (none), a chain a member, or a chain a subsystem.
    archive_grouping: Grouping = Grouping.NONE
    # An archive that has grown beyond this is the last of its size: the next record begins a new one.
    archive_file_bytes: int = 32 * 1024 * 1024
    # A directory that each archive is copied to, and a program that is given its path, once it is complete.
    archive_directory: str = ""
    archive_command: tuple[str, ...] = ()
    # Days an archived record stays in the log.
    keep_records_days: int = 30
    # Days after which the keys of records that left the log are destroyed: their sealed archives open no more. 0 never does.
    destroy_keys_days: int = 0


class TransparencySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The message log as a transparency log, its witnesses, and the logs this server is a witness of."""

    # How often what was logged is taken into the log and a checkpoint signed; 0 keeps no transparency log.
    checkpoint_s: float = 10.0
    # How often a checkpoint is timestamped; 0 never.
    stamp_s: float = 3_600.0
    # Who cosigns this server's checkpoints: "<http address> <verifier key>", as `gateway log witness` of theirs tells.
    witnesses: tuple[str, ...] = ()
    witness_timeout_s: float = 10.0
    # After this long without the signatures of all of them nothing is exchanged; 0 never stops.
    deadline_s: float = 0.0
    # Verifier keys of the logs whose checkpoints this server cosigns, as `gateway log key` of theirs tells.
    follows: tuple[str, ...] = ()


class MonitoringSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The settings of operational monitoring records."""

    keep_days: int = 7
    write_s: float = 5.0
    # Records that may wait to be written before the oldest of them are let go.
    buffer_length: int = 20_000
    # The central monitoring client is told version, operating system and certificates of this server, and no more.
    limit_remote_metrics: bool = False
    # Where an OpenTelemetry collector takes traces by OTLP over HTTP (extra ``trace``); empty: nowhere.
    trace_url: str = ""
    # Networks that may read /metrics at the health address, comma-separated; this machine always may.
    metrics_from: str = ""


class BackupSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Backups made over the admin API."""

    # age recipients (age1...) every backup is encrypted to; their identities are kept elsewhere.
    recipients: tuple[str, ...] = ()


class Systems(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The settings of connections with information systems."""

    # Names and addresses in the internal TLS certificate when this gateway makes one, comma-separated: what systems connect to.
    tls_address: str = "sacbe-internal"
    # Seals the internal TLS key on disk in the place of what ``seal`` says.
    tls_passphrase: SecretSource = SecretSource()

    def passphrase(self, environ: Mapping[str, str]) -> str | None:
        """The passphrase, or None when none is set."""
        return self.tls_passphrase.read(environ) if self.tls_passphrase.is_set else None


class DescriptionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Fetching service descriptions by URL: which of a provider's hosts this gateway may turn to."""

    # Host names, ``*.domain`` or networks, comma-separated; empty lets any host that no line below denies.
    allowed_hosts: str = ""
    # Networks that are refused whatever the name: link-local (cloud metadata), multicast, unspecified.
    denied_networks: str = ",".join(DENIED)
    max_bytes: int = MAX_BYTES
    fetch_s: float = 30.0
    # A provider's certificate must be proved by this machine's trust store or registered for the client.
    verify_tls: bool = True
    # Checks a WSDL besides our own validator: gets the document on its standard input and the URL as its last argument;
    # what it prints when it ends with another status than 0 are warnings. Empty: none.
    wsdl_validator_command: str = ""

    def policy(self) -> FetchPolicy:
        """The same as a value of the reader."""
        return FetchPolicy(
            _listed(self.allowed_hosts),
            _listed(self.denied_networks),
            self.max_bytes,
            self.fetch_s,
            self.verify_tls,
        )


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


class GatewaySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything a gateway is told from outside its database."""

    node: NodeSettings = NodeSettings()
    listen: ListenSettings = ListenSettings()
    limits: Limits = Limits()
    trust: Trust = Trust()
    keys: KeySettings = KeySettings()
    acme: Acme = Acme()
    notices: NoticeSettings = NoticeSettings()
    log: MessageLogSettings = MessageLogSettings()
    transparency: TransparencySettings = TransparencySettings()
    monitoring: MonitoringSettings = MonitoringSettings()
    systems: Systems = Systems()
    descriptions: DescriptionSettings = DescriptionSettings()
    # The admin API. Without a host it listens where consumer systems connect if that is this machine only.
    admin: AdminSettings = AdminSettings()
    backup: BackupSettings = BackupSettings()
    seal: SealSettings = SealSettings()
    # ``snake`` writes fault codes as X-Road 7.8 does, ``camel`` as 7.7 and before.
    fault_spelling: Spelling = Spelling.SNAKE
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    logging: LogStreamSettings = LogStreamSettings()


TABLE = SettingTable(GatewaySettings, ROWS)


def load(
    path: Path | None, environ: Mapping[str, str], kept: Mapping[str, object] | None = None
) -> GatewaySettings:
    """The settings of a TOML file (none: all defaults), overridden by those kept by name, then by the environment.

    Raises `OperatorError`.
    """
    settings = load_settings(GatewaySettings, path, environ, ENVIRONMENT_PREFIX, nested(kept or {}))
    TABLE.check(settings)
    settings.logging.area_levels()
    return settings
