"""Parts of a gateway that are made of settings and a few others: each function turns a section of the settings into one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.edges.configuration import ConfigurationClient, ConfigurationSettings
from gateway.edges.peers import PeerClient, PeerTimes
from gateway.edges.revocation import OwnRevocation
from gateway.messagelog.retention import Retention, RetentionSettings
from gateway.messagelog.store import LogSettings, MessageLog
from gateway.messagelog.timestamper import Timestamper, TimestampSettings
from gateway.monitoring.store import RecordStore, StoreSettings

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime

    import aiohttp

    from certs.configuration import TrustedConfiguration
    from gateway.config import Settings
    from gateway.datafolder import DataFolder
    from gateway.edges.peers import PeerExpected

    Clock = Callable[[], datetime]
    Current = Callable[[], TrustedConfiguration | None]


def configuration_client(
    settings: Settings, folder: DataFolder, anchor: bytes, session: aiohttp.ClientSession, now: Clock
) -> ConfigurationClient:
    """What keeps the global configuration up to date."""
    trust = settings.trust
    return ConfigurationClient(
        anchor,
        folder.globalconf,
        session,
        clock=now,
        settings=ConfigurationSettings(
            trust.configuration_poll_s, trust.configuration_conditional_poll_s, trust.federations
        ),
    )


def own_revocation(
    settings: Settings, folder: DataFolder, session: aiohttp.ClientSession, current: Current, now: Clock
) -> OwnRevocation:
    """What keeps OCSP responses for this server's certificates."""
    trust = settings.trust
    return OwnRevocation(
        folder.root / "ocsp",
        session,
        current,
        now,
        fetch_s=trust.ocsp_fetch_s,
        retry_s=trust.ocsp_retry_s,
        timeout_s=trust.ocsp_timeout_s,
        order=trust.ocsp_order,
    )


def message_log(settings: Settings, folder: DataFolder) -> MessageLog:
    """The message log."""
    return MessageLog.open(folder.log, settings=LogSettings(settings.log.queue_length))


def timestamper(
    settings: Settings,
    log: MessageLog,
    session: aiohttp.ClientSession,
    current: Current,
    now: Clock,
    wanted: Callable[[], Sequence[tuple[str, str]]],
) -> Timestamper:
    """What timestamps the message log."""
    chosen = settings.log
    return Timestamper(
        log,
        current,
        session,
        now,
        TimestampSettings(
            chosen.timestamp_interval_s,
            chosen.timestamp_retry_s,
            chosen.acceptable_timestamp_failure_s,
            timeout_s=chosen.timestamp_timeout_s,
            order=chosen.timestamp_order,
            race=chosen.timestamp_race,
        ),
        wanted=wanted,
    )


def retention(settings: Settings, folder: DataFolder, log: MessageLog, now: Clock) -> Retention:
    """What archives the message log and removes what is old."""
    chosen = settings.log
    return Retention(
        log,
        folder.log,
        now,
        RetentionSettings(
            chosen.archive_interval_s,
            chosen.archive_grouping,
            chosen.archive_file_bytes,
            chosen.keep_records_days,
        ),
    )


def record_store(settings: Settings, folder: DataFolder, now: Clock) -> RecordStore:
    """Where operational records are kept."""
    chosen = settings.monitoring
    return RecordStore(
        folder.log / "opmonitoring.sqlite",
        now,
        StoreSettings(chosen.keep_days, chosen.write_s, chosen.buffer_length),
    )


def peer_client(
    settings: Settings,
    check: Callable[[Sequence[bytes], PeerExpected], Awaitable[None]],
    tls: Callable[[], ssl.SSLContext],
) -> PeerClient:
    """What sends messages to security servers."""
    limits = settings.limits
    return PeerClient(
        check,
        tls,
        port=settings.listen.peer_port,
        times=PeerTimes(
            limits.peer_connect_s,
            limits.peer_remembered_connect_s,
            limits.peer_read_s,
            limits.fastest_remembered_s,
        ),
    )


def consumer_url(settings: Settings) -> str:
    """This gateway's own consumer listener over HTTPS, as this machine reaches it."""
    host = settings.listen.consumer_host
    if host in ("0.0.0.0", "::"):  # noqa: S104  compared, not bound
        host = "127.0.0.1"
    return f"https://{host}:{settings.listen.https_port}/"
