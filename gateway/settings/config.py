"""Settings of a gateway: one frozen value, read once from TOML and the environment.

Every field has a default that works on a laptop; unknown names stop the start. Environment names are
``SACBE_GATEWAY_<SECTION>_<FIELD>``. Times are seconds, sizes bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from certs.tls import PEER_RULES, SYSTEM_RULES, TlsRules, choose_rules
from certs.tokens.soft import KeyKind
from gateway.clients.descriptions.described import MAX_BYTES
from gateway.clients.descriptions.fetchpolicy import FetchPolicy
from gateway.keys.model import KeyUsage
from gateway.messagelog.archive import Grouping
from gateway.messagelog.openpgp import PgpSettings, parse_pgp
from gateway.settings.nodesettings import ENVIRONMENT_PREFIX, NodeSettings
from schemas.faults import Spelling
from schemas.globalconf.cost import CostOrder
from serving.config.adminsettings import AdminSettings
from serving.config.logsettings import LogStreamSettings
from serving.config.secret import SecretSource
from serving.config.setting import DAY_S, EVERYWHERE, GIB, PORT, Setting
from serving.config.settings import load_settings
from serving.config.settingtable import SettingTable, nested
from serving.config.tokensettings import TokensSection
from serving.errors import OperatorError
from serving.language import N_
from serving.process.outward import DENIED
from serving.storage.keysafe import SealSettings

if TYPE_CHECKING:
    from collections.abc import Mapping


class ListenSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Addresses and ports; the ports are X-Road's."""

    # fmt: off
    consumer_host: Annotated[str, Setting(help="Address where consumer systems connect.")] = "127.0.0.1"
    http_port: Annotated[int, Setting(help="HTTP port for systems.", low=1, high=PORT)] = 8080
    https_port: Annotated[int, Setting(help="HTTPS port for systems.", low=1, high=PORT)] = 8443
    peer_host: Annotated[str, Setting(help="Address where other security servers connect.")] = EVERYWHERE
    peer_port: Annotated[int, Setting(help="Port of messages between security servers.", low=1, high=PORT)] = 5500
    ocsp_port: Annotated[int, Setting(help="Port where other security servers get OCSP responses.", low=1, high=PORT)] = 5577
    # GET / answers 200 when messages can be exchanged, 503 with the reason when not.
    health_host: Annotated[str, Setting(help="Address that tells the health.")] = "127.0.0.1"
    health_port: Annotated[int, Setting(help="Port that tells the health.", low=1, high=PORT)] = 5588
    # Longer than a balancer takes to find out: the interval of its checks times the failures it asks for.
    drain_s: Annotated[float, Setting(help="How long a stopping gateway says so at the health address and still takes connections.", live=True, low=0, high=600)] = 0.0
    # fmt: on


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The bounds on exchanges: seconds, bytes and numbers of connections."""

    # fmt: off
    peer_connect_s: Annotated[float, Setting(help="How long connecting to another security server may take.", live=True, low=0.1, high=600)] = 30.0
    peer_remembered_connect_s: Annotated[float, Setting(help="How long the server that was fastest is tried before the others are.", live=True, low=0.1, high=600)] = 5.0
    # Longer than the longest service timeout (1000 s); 0 waits for ever, as X-Road does.
    peer_read_s: Annotated[float, Setting(help="Longest silence of another security server; 0 waits for ever.", live=True, low=0, high=DAY_S)] = 1060.0
    fastest_remembered_s: Annotated[float, Setting(help="How long the fastest server is remembered; 0 never.", live=True, low=0, high=30 * DAY_S)] = 3600.0
    pooled_peer_connections: Annotated[bool, Setting(help="Whether a connection with another security server carries one message after another.", live=True)] = True
    service_total_s: Annotated[float, Setting(help="How long a provider's system may take for its whole answer; 0 sets no end. Each service's timeout counts silence.", live=True, low=0, high=DAY_S)] = 0.0
    # The longest silence within a consumer system's request body, and the longest it may take no byte of its answer.
    consumer_idle_s: Annotated[float, Setting(help="Longest silence of a system within its request, or taking its answer.", live=True, low=0.1, high=3600)] = 30.0
    # Connections of consumer systems, and of peers, at a time: above it the oldest without a request under way is closed.
    connections: Annotated[int, Setting(help="Connections at a time on each port; above it the oldest idle one is closed.", live=True, low=1, high=1000000)] = 4096
    # Above either, an address has one connection and one request under way on the message ports until the process is below again.
    processor_load: Annotated[float, Setting(help="Processors kept busy above which each address has one request at a time (1: one whole); 0 no limit.", live=True, low=0, high=1024)] = 0.0
    memory_bytes: Annotated[int, Setting(help="Resident memory above which each address has one request at a time; 0 no limit.", live=True, low=0, high=1024 * GIB)] = 0
    # How long a connection may wait for its next request, or take to send a request's head.
    keepalive_s: Annotated[float, Setting(help="How long a connection may wait for its next request.", live=True, low=0.1, high=3600)] = 90.0
    # Largest body of a message, either way. It is spooled, never held in memory.
    body_bytes: Annotated[int, Setting(help="Largest body of a message.", live=True, low=1024, high=1024 * GIB)] = 4 * 1024 * 1024 * 1024
    # fmt: on


class TlsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Protocols and cipher suites, with a floor: TLS 1.2, forward secrecy, SHA-2. Empty lists take what is built in."""

    # fmt: off
    # X-Road 7 speaks TLS 1.2; ask for 1.3 only where every peer is ours.
    peer_minimum: Annotated[Literal["TLSv1.2", "TLSv1.3"], Setting(help="Oldest TLS version between security servers.")] = "TLSv1.2"
    # In OpenSSL's spelling; one outside the built-in list stops the start.
    peer_ciphers: Annotated[tuple[str, ...], Setting(help="Cipher suites of TLS 1.2 between security servers, best first; empty takes the built-in list, beyond which none is accepted.")] = ()
    system_minimum: Annotated[Literal["TLSv1.2", "TLSv1.3"], Setting(help="Oldest TLS version where consumer systems and administrators connect.")] = "TLSv1.2"
    system_ciphers: Annotated[tuple[str, ...], Setting(help="Cipher suites of TLS 1.2 there, best first; empty takes the built-in list, beyond which none is accepted.")] = ()
    # fmt: on

    def peers(self) -> TlsRules:
        """The rules between security servers. Raises `OperatorError`."""
        return _rules("tls.peer_ciphers", self.peer_minimum, self.peer_ciphers, PEER_RULES)

    def systems(self) -> TlsRules:
        """The rules for consumer systems and the admin API. Raises `OperatorError`."""
        return _rules("tls.system_ciphers", self.system_minimum, self.system_ciphers, SYSTEM_RULES)


def _rules(name: str, minimum: str, ciphers: tuple[str, ...], default: TlsRules) -> TlsRules:
    try:
        return choose_rules(minimum, ciphers, default)
    except ValueError as err:
        raise OperatorError(N_("{name}: {err}", name=name, err=err)) from err


class Trust(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The seconds between renewals of proofs: configuration, OCSP responses, certificates; and which federations are accepted."""

    # fmt: off
    configuration_poll_s: Annotated[float, Setting(help="How often the global configuration is fetched.", live=True, low=1, high=DAY_S)] = 60.0
    # With a central server that answers conditional requests the poll is this cheap and this frequent.
    configuration_conditional_poll_s: Annotated[float, Setting(help="The same where the central server answers conditional requests.", live=True, low=0.5, high=DAY_S)] = 3.0
    request_status_s: Annotated[float, Setting(help="How often the central server is asked about requests that wait.", low=0.1, high=DAY_S)] = 15.0
    # Federated instances to accept: none, all, or a comma-separated list.
    federations: Annotated[str, Setting(help="Federated instances to accept: none, all, or a list.")] = "none"
    # 0 takes the interval of the global configuration (1200 s if it names none).
    ocsp_fetch_s: Annotated[float, Setting(help="How often OCSP responses are fetched; 0 as the global configuration says.", live=True, low=0, high=DAY_S)] = 0.0
    ocsp_retry_s: Annotated[float, Setting(help="How long to wait after an OCSP request that failed.", live=True, low=0.5, high=3600)] = 60.0
    # A responder that has not answered after this long is given up for the next one.
    ocsp_timeout_s: Annotated[float, Setting(help="How long an OCSP responder may take.", live=True, low=0.5, high=600)] = 20.0
    # Responders that cost: none (as listed), only-free, free-first, only-paid or paid-first.
    ocsp_order: Annotated[CostOrder, Setting(help="Order of OCSP responders by their cost.", live=True)] = CostOrder.NONE
    # Consumer sides with older software are refused; a version such as 7.6.0, or empty for none.
    minimum_client_version: Annotated[str, Setting(help="Oldest version of consumer sides that are answered; empty: all.", live=True)] = ""
    # fmt: on


class KeySettings(TokensSection, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Keys and the certificates for them."""

    # fmt: off
    sign_kind: Annotated[KeyKind, Setting(help="Kind of new signing keys.", live=True)] = KeyKind.RSA_2048
    auth_kind: Annotated[KeyKind, Setting(help="Kind of new authentication keys.", live=True)] = KeyKind.RSA_2048
    # A newly registered authentication certificate is shown to peers after this long, when they know it too, as long as
    # another one is good.
    authentication_settle_s: Annotated[float, Setting(help="How long a newly registered authentication certificate waits before it is shown.", live=True, low=0, high=DAY_S)] = 300.0
    # X-Road's PIN policy.
    enforce_pin_policy: Annotated[bool, Setting(help="Whether a new PIN must have ten characters of three of the four classes: small, capital, digits, others.", live=True)] = False
    activate_authentication: Annotated[bool, Setting(help="Whether an authentication certificate activates itself once the global configuration lists it.", live=True)] = False
    # fmt: on

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

    # fmt: off
    # Where HTTP-01 challenges are answered; port 0 answers none. CAs look at port 80.
    challenge_host: Annotated[str, Setting(help="Address where HTTP-01 challenges are answered.")] = EVERYWHERE
    challenge_port: Annotated[int, Setting(help="Port of those challenges; 0 none.", low=0, high=PORT)] = 0
    # What seals the accounts' keys on disk, at least eight characters.
    account_secret: Annotated[SecretSource, Setting(help="Where the secret is that seals the accounts' keys.")] = SecretSource()
    contact: Annotated[tuple[str, ...], Setting(help="Contacts of the accounts (mailto:...).", live=True)] = ()
    # A file with the CA certificates of the ACME servers' own TLS, where the system does not know them.
    trusted_ca: Annotated[str, Setting(help="File with the CAs of the ACME servers' own TLS.", live=True)] = ""
    bindings: Annotated[tuple[AcmeBinding, ...], Setting(help="Outside accounts that ours are bound to.")] = ()
    # Whether certificates are renewed without a person; how often that is looked at; and when a CA does not say:
    # how much of the lifetime may be left.
    renew: Annotated[bool, Setting(help="Whether certificates are renewed without a person.", live=True)] = False
    renewal_check_s: Annotated[float, Setting(help="How often to look for what must be renewed.", live=True, low=1, high=7 * DAY_S)] = 3600.0
    renew_at_remaining: Annotated[float, Setting(help="Part of the lifetime that is left when it is renewed.", live=True, low=0.01, high=0.99)] = 0.33
    # fmt: on


class MemberContact(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who is told by mail of what concerns one member's certificates, besides the server's own recipients."""

    # The member's identifier, such as MX/GOB/15-ISSEMYM.
    member: str
    recipients: tuple[str, ...]


class NoticeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who is told when something expires, fails or is refused: by webhook, by mail, or nobody."""

    # fmt: off
    webhook_url: Annotated[str, Setting(help="Where notices are posted to; empty: nowhere.", live=True)] = ""
    webhook_secret: Annotated[SecretSource, Setting(help="Where the secret is that signs them.")] = SecretSource()
    recipients: Annotated[tuple[str, ...], Setting(help="Who gets notices by mail.", live=True)] = ()
    contacts: Annotated[tuple[MemberContact, ...], Setting(help="Who else is told by mail of one member's certificates.")] = ()
    sender: Annotated[str, Setting(help="Sender of the notices.", live=True)] = "sacbe@localhost"
    smtp_host: Annotated[str, Setting(help="Mail server.", live=True)] = "localhost"
    smtp_port: Annotated[int, Setting(help="Its port.", live=True, low=1, high=PORT)] = 25
    smtp_security: Annotated[Literal["none", "starttls", "tls"], Setting(help="How that connection is protected.", live=True)] = "none"
    smtp_user: Annotated[str, Setting(help="User at the mail server.", live=True)] = ""
    smtp_password: Annotated[SecretSource, Setting(help="Where that user's password is.")] = SecretSource()
    check_s: Annotated[float, Setting(help="How often to look for what to tell.", live=True, low=1, high=DAY_S)] = 60.0
    repeat_s: Annotated[float, Setting(help="When to tell again what is still wrong.", live=True, low=60, high=365 * DAY_S)] = 86_400.0
    # fmt: on


class MessageLogSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The message log and its timestamps."""

    # fmt: off
    # 0 takes the interval of the global configuration (60 s if it names none).
    timestamp_interval_s: Annotated[float, Setting(help="How often records are timestamped; 0 as the global configuration says.", live=True, low=0, high=DAY_S)] = 0.0
    timestamp_retry_s: Annotated[float, Setting(help="How long to wait after timestamping failed.", live=True, low=0.5, high=3600)] = 60.0
    # An authority that has not answered after this long is given up for the next one.
    timestamp_timeout_s: Annotated[float, Setting(help="How long a timestamping authority may take.", live=True, low=0.5, high=600)] = 20.0
    # Authorities that cost, as ``trust.ocsp_order``.
    timestamp_order: Annotated[CostOrder, Setting(help="Order of those authorities by their cost.", live=True)] = CostOrder.NONE
    follow_timestamp_addresses: Annotated[bool, Setting(help="Whether a chosen authority is asked where the global configuration says it is now.", live=True)] = True
    timestamp_race: Annotated[bool, Setting(help="Ask all at once and take the quickest answer.", live=True)] = False
    # Timestamp each message before it leaves, with those that wait beside it; without a timestamp nothing leaves then.
    timestamp_at_once: Annotated[bool, Setting(help="Timestamp each message before it leaves.", live=True)] = False
    # After this long without a timestamp nothing is logged, hence nothing exchanged; 0 never stops.
    acceptable_timestamp_failure_s: Annotated[float, Setting(help="After how long without timestamps exchanges stop; 0 never.", live=True, low=0, high=30 * DAY_S)] = 14_400.0
    queue_length: Annotated[int, Setting(help="Messages that may wait for the disk.", live=True, low=1, high=1000000)] = 10_000
    # Seals the keys of messages and bodies in the log. Unset, a secret of the software token does, and opens with its PIN.
    secret: Annotated[SecretSource, Setting(help="Where the secret is that seals the log's keys; unset, the software token seals them.")] = SecretSource()
    # After how many days new records get keys of a new tree, so that an old copy of the key file opens none of them.
    key_days: Annotated[int, Setting(help="Days after which new records get keys of another tree.", low=1, high=36500)] = 30
    # X-Road's switches: whether messages are kept with their bodies, and producers' subsystems (paths) for which they are
    # when this is off, or are not when it is on; one list for producers behind this gateway and one for those of others.
    message_body_logging: Annotated[bool, Setting(help="Whether messages are kept with their bodies.", live=True)] = True
    enabled_body_logging_local_producers: Annotated[tuple[str, ...], Setting(help="Subsystems behind this gateway whose bodies are kept although that is false.", live=True)] = ()
    enabled_body_logging_remote_producers: Annotated[tuple[str, ...], Setting(help="The same, behind other security servers.", live=True)] = ()
    disabled_body_logging_local_producers: Annotated[tuple[str, ...], Setting(help="Subsystems behind this gateway whose bodies are not kept although that is true.", live=True)] = ()
    disabled_body_logging_remote_producers: Annotated[tuple[str, ...], Setting(help="The same, behind other security servers too.", live=True)] = ()
    # A message with a larger body is refused, unless bodies may be cut for the log; 0 keeps no body, -1 is no limit.
    max_loggable_body_bytes: Annotated[int, Setting(help="Largest body that is kept; a larger one is refused or cut; 0 none, -1 no limit.", live=True, low=-1, high=1024 * GIB)] = -1
    truncated_body_allowed: Annotated[bool, Setting(help="Whether a larger body is cut in the log instead of refusing the message.", live=True)] = False
    archive_interval_s: Annotated[float, Setting(help="How often records are archived and old ones removed; 0 never.", live=True, low=0, high=30 * DAY_S)] = 21_600.0
    # Archives are sealed, each container under its record's key; off, they are X-Road's own, in clear.
    seal_archives: Annotated[bool, Setting(help="Whether archives are sealed; else they are in clear, in X-Road's format.", live=True)] = True
    archive_grouping: Annotated[Grouping, Setting(help="One chain of archives for all, a member or a subsystem.", live=True)] = Grouping.NONE
    # An archive that has grown beyond this is the last of its size: the next record begins a new one.
    archive_file_bytes: Annotated[int, Setting(help="Size beyond which another archive begins.", live=True, low=1024, high=1024 * GIB)] = 32 * 1024 * 1024
    archive_directory: Annotated[str, Setting(help="Directory that each archive is copied to.", live=True)] = ""
    # "s3://bucket/prefix"; keys and endpoint in the environment, as obstore takes them (docs/archives.md).
    archive_store: Annotated[str, Setting(help="Write-once object store that each archive is put into: s3://bucket/prefix.", live=True)] = ""
    archive_command: Annotated[tuple[str, ...], Setting(help="Program that is given each archive's path, with its arguments.", live=True)] = ()
    openpgp_home: Annotated[str, Setting(help="Folder of GnuPG with public keys, for archives handed on and downloads; empty encrypts neither.")] = ""
    openpgp_default_keys: Annotated[tuple[str, ...], Setting(help="Fingerprints of the keys for everybody whose member has none of its own.")] = ()
    # "MX/GOB/15-ISSEMYM 0123...CDEF".
    openpgp_member_keys: Annotated[tuple[str, ...], Setting(help="Members' own keys: path and fingerprint.")] = ()
    openpgp_downloads: Annotated[bool, Setting(help="Whether evidence that a system downloads is encrypted though it does not ask.")] = False
    keep_records_days: Annotated[int, Setting(help="Days an archived record stays in the message log.", live=True, low=0, high=36500)] = 30
    destroy_keys_days: Annotated[int, Setting(help="Days after which keys of records that left the log are destroyed: their archives open no more; 0 never.", live=True, low=0, high=36500)] = 0
    # fmt: on

    def pgp(self) -> PgpSettings:
        """The OpenPGP keys that these settings name, by member and for everybody. Raises `OperatorError`."""
        try:
            return parse_pgp(
                self.openpgp_home,
                self.openpgp_default_keys,
                self.openpgp_member_keys,
                for_downloads=self.openpgp_downloads,
            )
        except ValueError as err:
            raise OperatorError(N_("{name}: {err}", name="log.openpgp_*", err=err)) from err


class TransparencySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The message log as a transparency log, its witnesses, and the logs this server is a witness of."""

    # fmt: off
    # How often what was logged is taken into the log and a checkpoint signed; 0 keeps no transparency log.
    checkpoint_s: Annotated[float, Setting(help="How often what was logged enters the transparency log; 0 keeps none.", live=True, low=0, high=3600)] = 10.0
    stamp_s: Annotated[float, Setting(help="How often its checkpoint is timestamped; 0 never.", live=True, low=0, high=30 * DAY_S)] = 3_600.0
    # Who cosigns this server's checkpoints: "<http address> <verifier key>", as `gateway log witness` of theirs tells.
    witnesses: Annotated[tuple[str, ...], Setting(help="Witnesses that cosign it: 'address key'.", live=True)] = ()
    # Beside them, those that the signed configuration appoints: the central server and two other gateways.
    appointed: Annotated[bool, Setting(help="Whether the witnesses that the configuration appoints cosign it too.", live=True)] = True
    alert_s: Annotated[float, Setting(help="After how long without one of them it is an alert.", live=True, low=0, high=DAY_S)] = 120.0
    witness_timeout_s: Annotated[float, Setting(help="How long a witness may take.", live=True, low=0.1, high=600)] = 10.0
    deadline_s: Annotated[float, Setting(help="After how long without witnesses exchanges stop; 0 never.", live=True, low=0, high=30 * DAY_S)] = 0.0
    # Verifier keys of logs whose checkpoints this server cosigns beside those of its instance, as `gateway log key` of theirs tells.
    follows: Annotated[tuple[str, ...], Setting(help="Keys of the logs this server is a witness of.")] = ()
    # fmt: on


class MonitoringSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The settings of operational monitoring records."""

    # fmt: off
    keep_days: Annotated[int, Setting(help="Days operational records are kept.", live=True, low=1, high=36500)] = 7
    write_s: Annotated[float, Setting(help="How often they are written.", live=True, low=0.1, high=3600)] = 5.0
    # Records that may wait to be written before the oldest of them are let go.
    buffer_length: Annotated[int, Setting(help="How many may wait to be written.", live=True, low=1, high=10000000)] = 20_000
    limit_remote_metrics: Annotated[bool, Setting(help="Whether the central monitoring client is told version, operating system and certificates only.", live=True)] = False
    # By OTLP over HTTP, with the extra ``trace``.
    trace_url: Annotated[str, Setting(help="OpenTelemetry collector that gets traces, such as http://collector:4318/v1/traces; empty: none.", live=True)] = ""
    # Networks that may read /metrics at the health address, comma-separated; this machine always may.
    metrics_from: Annotated[str, Setting(help="Networks that may read /metrics, beside this machine.", live=True)] = ""
    # fmt: on


class BackupSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Backups made over the admin API."""

    # fmt: off
    # age recipients (age1...) every backup is encrypted to; their identities are kept elsewhere.
    recipients: Annotated[tuple[str, ...], Setting(help="age recipients (age1...) that backups are encrypted to.", live=True)] = ()
    # fmt: on


class Systems(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The settings of connections with information systems."""

    # fmt: off
    log_client_certificate: Annotated[bool, Setting(help="Whether the certificate that a system showed is written to the log beside each exchange.", live=True)] = False
    tls_address: Annotated[str, Setting(help="Names and addresses, comma-separated, in the internal TLS certificate when it is made here.", live=True)] = "sacbe-internal"
    # Seals the internal TLS key on disk in the place of what ``seal`` says.
    tls_passphrase: Annotated[SecretSource, Setting(help="Where the passphrase is that seals the internal TLS key.")] = SecretSource()
    # fmt: on

    def passphrase(self, environ: Mapping[str, str]) -> str | None:
        """The passphrase, or None when none is set."""
        return self.tls_passphrase.read(environ) if self.tls_passphrase.is_set else None


class DescriptionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Fetching service descriptions by URL: which of a provider's hosts this gateway may turn to."""

    # fmt: off
    # Host names, ``*.domain`` or networks, comma-separated; empty lets any host that no line below denies.
    allowed_hosts: Annotated[str, Setting(help="Hosts that descriptions are read from; empty: any.", live=True)] = ""
    # Networks that are refused whatever the name: link-local (cloud metadata), multicast, unspecified.
    denied_networks: Annotated[str, Setting(help="Networks that are always refused.", live=True)] = ",".join(DENIED)
    max_bytes: Annotated[int, Setting(help="Largest description that is read.", live=True, low=1024, high=GIB)] = MAX_BYTES
    fetch_s: Annotated[float, Setting(help="How long reading one may take.", live=True, low=0.5, high=600)] = 30.0
    # A provider's certificate must be proved by this machine's trust store or registered for the client.
    verify_tls: Annotated[bool, Setting(help="Whether the certificate of who gives it is proved.", live=True)] = True
    # Checks a WSDL besides our own validator: gets the document on its standard input and the URL as its last argument;
    # what it prints when it ends with another status than 0 are warnings. Empty: none.
    wsdl_validator_command: Annotated[str, Setting(help="Program that checks each WSDL too (document on its input, URL as last argument); empty: none.", live=True)] = ""
    # fmt: on

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
    tls: TlsSettings = TlsSettings()
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
    # fmt: off
    # ``snake`` writes fault codes as X-Road 7.8 does, ``camel`` as 7.7 and before.
    fault_spelling: Annotated[Spelling, Setting(help="Fault codes as X-Road 7.8 (snake) or 7.7 (camel) writes them.", live=True)] = Spelling.SNAKE
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Setting(help="How much the process writes to its log.", live=True)] = "info"
    logging: LogStreamSettings = LogStreamSettings()
    # fmt: on


TABLE = SettingTable(GatewaySettings)


def load(
    path: Path | None, environ: Mapping[str, str], kept: Mapping[str, object] | None = None
) -> GatewaySettings:
    """The settings of a TOML file (none: all defaults), overridden by those kept by name, then by the environment.

    Raises `OperatorError`.
    """
    settings = load_settings(GatewaySettings, path, environ, ENVIRONMENT_PREFIX, nested(kept or {}))
    TABLE.check(settings)
    settings.logging.area_levels()
    settings.log.pgp()
    settings.tls.peers()
    settings.tls.systems()
    return settings
