"""What the admin API needs of the process it runs in and of the gateway that runs there, as ports.

The process and the gateway fit them without naming them; nothing here or in a resource names either (`gateway.server`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from datetime import datetime

    from cryptography import x509

    from certs.configuration import TrustedConfiguration
    from certs.verify.ocsp import OcspStatus
    from gateway.clients.model import ServerConf
    from gateway.clients.store import ServerConfStore
    from gateway.edges.acmeorders import AcmeOrders
    from gateway.edges.configuration import ConfigurationClient
    from gateway.edges.internaltls import InternalTls
    from gateway.edges.revocation import OwnRevocation
    from gateway.health.diagnosis import Diagnosis
    from gateway.health.notifier import Notifier
    from gateway.keys.identities import OwnIdentities
    from gateway.keys.operations import KeyOperations
    from gateway.management.requests import ManagementSender, SentRequest
    from gateway.messagelog.reading import LogReader
    from gateway.messagelog.timestamper import Timestamper
    from gateway.monitoring.store import RecordStore
    from gateway.settings.config import GatewaySettings
    from gateway.settings.datafolder import DataFolder
    from gateway.settings.livesettings import LiveSettings
    from schemas.identifiers import ServerId
    from schemas.management import ManagementRequest
    from serving.config.settingtable import Change
    from serving.login.users import Logins
    from serving.storage.keysafe import KeySafe


@dataclass(frozen=True, slots=True)
class Reloaded:
    """The outcome of reading the settings again: the changes in force now, and those that wait for the next start."""

    taken: tuple[Change, ...]
    waiting: tuple[Change, ...]


class RunningGateway(Protocol):
    """A gateway that runs, for its administrators."""

    @property
    def keys(self) -> KeyOperations:
        """The operations on tokens, keys and certificates."""
        ...

    @property
    def management(self) -> ManagementSender:
        """The sender of management requests."""
        ...

    @property
    def acme(self) -> AcmeOrders:
        """The orders of certificates from CAs."""
        ...

    @property
    def notifier(self) -> Notifier:
        """The notifier that tells operators by webhook and mail."""
        ...

    @property
    def internal_tls(self) -> InternalTls:
        """The certificate that consumer and provider systems see."""
        ...

    @property
    def provider_tls(self) -> ssl.SSLContext:
        """The TLS context for calls of providers' systems."""
        ...

    @property
    def identities(self) -> OwnIdentities:
        """The signing and authentication identities in use."""
        ...

    @property
    def configuration_client(self) -> ConfigurationClient:
        """The client that keeps the global configuration up to date."""
        ...

    @property
    def timestamper(self) -> Timestamper:
        """The timestamper of the message log."""
        ...

    @property
    def log_reader(self) -> LogReader:
        """The reader of the message log."""
        ...

    @property
    def revocation(self) -> OwnRevocation:
        """OCSP responses for this server's certificates."""
        ...

    @property
    def records(self) -> RecordStore:
        """The store of operational monitoring records."""
        ...

    def now(self) -> datetime:
        """The clock this gateway goes by."""
        ...

    def ocsp_status(self, certificate: x509.Certificate, now: datetime) -> OcspStatus:
        """The status in the OCSP response at hand. Raises `NotProved` when there is none that holds."""
        ...

    def reload(self, conf: ServerConf | None = None) -> None:
        """Take the server's configuration as it is on the disk now; ``conf`` where the caller has just read it."""
        ...

    async def read_and_reload(self) -> None:
        """Do as `reload`; the server's configuration is read in a thread, so others are served meanwhile."""
        ...

    async def refresh_proofs(self) -> None:
        """Take what changed, and fetch the OCSP responses that are missing."""
        ...

    def follow_registration(self, request: ManagementRequest, sent: SentRequest) -> None:
        """Follow the registration of an authentication certificate until it is settled."""
        ...

    async def diagnosis(self) -> Diagnosis:
        """Findings about keys, certificates, OCSP, timestamps and clocks, each with its remedy."""
        ...


class Process(Protocol):
    """The process the admin API runs in."""

    folder: DataFolder
    settings: GatewaySettings
    store: ServerConfStore
    live: LiveSettings
    safe: KeySafe
    logins: Logins
    start_anew: Callable[[], None] | None

    @property
    def gateway(self) -> RunningGateway | None:
        """The gateway that runs; None until the server is initialised."""
        ...

    def reconfigure(self) -> Reloaded:
        """Read the settings again and go on with what may change while running. Raises `OperatorError`."""
        ...

    def configuration(self) -> TrustedConfiguration | None:
        """The global configuration in force."""
        ...

    async def take_anchor(self, anchor: bytes) -> None:
        """Fetch and prove a configuration by a first anchor, and keep it."""
        ...

    async def replace_anchor(self, anchor: bytes) -> None:
        """Fetch and prove a configuration by another anchor, and go on with it."""
        ...

    def anchor(self) -> bytes | None:
        """The configuration anchor in use (XML), or None before there is one."""
        ...

    async def initialise(self, server: ServerId, pin: str | None) -> None:
        """Become a security server, with its token."""
        ...

    async def restart(self) -> None:
        """Begin anew with what is on the disk now."""
        ...
