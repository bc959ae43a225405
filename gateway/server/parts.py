"""Parts of a gateway that are made of settings and a few others: each function turns a section of the settings into one."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import TYPE_CHECKING

from gateway.edges.configuration import ConfigurationClient
from gateway.edges.peers import PeerClient
from gateway.edges.revocation import OwnRevocation
from gateway.messagelog.keys import LogKeys
from gateway.messagelog.retention import Retention
from gateway.messagelog.store import LogSettings, MessageLog
from gateway.messagelog.timestamper import Timestamper
from gateway.monitoring.store import RecordStore
from gateway.server.archiveprocess import ArchiveProcess
from gateway.server.partsettings import (
    body_rules,
    configuration_settings,
    log_loop_settings,
    peer_times,
    retention_settings,
    store_settings,
    timestamp_settings,
)
from gateway.transparency.logloop import FOLDER, TransparencyLoop
from schemas.transparency.announcement import witness_name
from serving.config.setting import EVERYWHERE
from serving.web.witnessing import Witness

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime

    import aiohttp

    from certs.configuration import TrustedConfiguration
    from gateway.edges.peers import PeerExpected
    from gateway.messagelog.keys import KeySecret
    from gateway.server.state import GatewayState
    from gateway.settings.config import GatewaySettings
    from gateway.settings.datafolder import DataFolder
    from gateway.transparency.appointed import ConfiguredWitnesses
    from schemas.identifiers import ServerId
    from serving.storage.keysafe import KeySafe

    Clock = Callable[[], datetime]
    Current = Callable[[], TrustedConfiguration | None]


def configuration_client(
    state: GatewayState, anchor: bytes, session: aiohttp.ClientSession, now: Clock
) -> ConfigurationClient:
    """The client that keeps the global configuration up to date, as the settings say."""
    return ConfigurationClient(
        anchor,
        state.folder.globalconf,
        session,
        clock=now,
        settings=configuration_settings(state.settings),
        profiles=state.profiles,
    )


def own_revocation(
    settings: GatewaySettings,
    folder: DataFolder,
    session: aiohttp.ClientSession,
    current: Current,
    now: Clock,
) -> OwnRevocation:
    """The keeper of OCSP responses for this server's certificates, as the settings say."""
    trust = settings.trust
    return OwnRevocation(
        folder.ocsp,
        session,
        current,
        now,
        fetch_s=trust.ocsp_fetch_s,
        retry_s=trust.ocsp_retry_s,
        timeout_s=trust.ocsp_timeout_s,
        order=trust.ocsp_order,
    )


def message_log(settings: GatewaySettings, folder: DataFolder) -> MessageLog:
    """The message log, its keys still closed."""
    keys = LogKeys(folder.message_log_keys, period=timedelta(days=settings.log.key_days))
    return MessageLog.open(
        folder.message_log, keys, settings=LogSettings(settings.log.queue_length, bodies=body_rules(settings))
    )


def timestamper(
    settings: GatewaySettings,
    log: MessageLog,
    session: aiohttp.ClientSession,
    current: Current,
    now: Clock,
    services: Callable[[], Sequence[tuple[str, str]] | None],
) -> Timestamper:
    """The timestamper of the message log; ``wanted`` gives name and URL of each service in use."""
    return Timestamper(log, current, session, now, timestamp_settings(settings), services=services)


def retention(
    settings: GatewaySettings,
    folder: DataFolder,
    log: MessageLog,
    now: Clock,
    secret: Callable[[], Awaitable[KeySecret | None]],
) -> Retention:
    """The archiver of the message log, which removes what is older than the settings say; ``secret`` is `GatewayState.log_secret`."""
    write_apart = ArchiveProcess(folder, secret).write
    return Retention(log, folder.log, now, retention_settings(settings), write_apart)


def transparency(
    settings: GatewaySettings,
    folder: DataFolder,
    log: MessageLog,
    server: Callable[[], ServerId],
    safe: KeySafe,
    session: aiohttp.ClientSession,
    stamper: Timestamper,
    now: Clock,
) -> TransparencyLoop:
    """The keeper of the message log as a transparency log; with the timestamper it guards traffic."""
    transparency_loop = TransparencyLoop(
        log,
        folder.log,
        server,
        safe,
        session,
        stamper.stamp_digest,
        now,
        log_loop_settings(settings),
    )

    def check(at: datetime) -> None:
        stamper.check(at)
        transparency_loop.check(at)

    log.guard(check)
    return transparency_loop


def witness(
    settings: GatewaySettings,
    folder: DataFolder,
    server: Callable[[], ServerId],
    safe: KeySafe,
    now: Clock,
    configured: ConfiguredWitnesses,
) -> Witness:
    """The witness that cosigns the transparency logs of others: those of the configuration, and those of the settings."""
    follows = settings.transparency.follows
    return Witness(
        folder.log / FOLDER, lambda: witness_name(server()), follows, safe, now, configured.log_key
    )


def record_store(settings: GatewaySettings, folder: DataFolder, now: Clock) -> RecordStore:
    """The store of operational records in the data folder; what is kept for how long is the settings'."""
    return RecordStore(folder.records, now, store_settings(settings))


def peer_client(
    settings: GatewaySettings,
    check: Callable[[Sequence[bytes], PeerExpected], Awaitable[None]],
    tls: Callable[[], ssl.SSLContext],
) -> PeerClient:
    """The client that sends messages to other security servers."""
    return PeerClient(check, tls, port=settings.listen.peer_port, times=peer_times(settings))


def consumer_url(settings: GatewaySettings) -> str:
    """This gateway's own consumer listener over HTTPS, as this machine reaches it."""
    host = settings.listen.consumer_host
    if host in (EVERYWHERE, "::"):
        host = "127.0.0.1"
    return f"https://{host}:{settings.listen.https_port}/"


def new_id() -> str:
    """A random UUID of version 4 (RFC 9562 5.4), as text."""
    digits = secrets.token_hex(16)
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
