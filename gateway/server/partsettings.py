"""The settings of each part, from the sections of `gateway.settings.config`: at the start, and again when they change. Pure.

A section holds what the operator writes; a part's settings are a value of the part, in its own units and with its own types.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.edges.configuration import ConfigurationSettings
from gateway.edges.http import Bounds
from gateway.edges.peers import PeerTimes
from gateway.messagelog.bodyrules import BodyRules
from gateway.messagelog.retention import RetentionSettings
from gateway.messagelog.timestamper import TimestampSettings
from gateway.messagelog.transfer import TransferSettings
from gateway.monitoring.store import StoreSettings
from gateway.transparency.logloop import LogLoopSettings
from gateway.transparency.witnessclient import AppointedWitness
from serving.process.load import LoadLimits

if TYPE_CHECKING:
    from gateway.settings.config import GatewaySettings


def configuration_settings(settings: GatewaySettings) -> ConfigurationSettings:
    """The configuration client's part of the settings."""
    trust = settings.trust
    return ConfigurationSettings(
        trust.configuration_poll_s, trust.configuration_conditional_poll_s, trust.federations
    )


def timestamp_settings(settings: GatewaySettings) -> TimestampSettings:
    """The timestamper's part of the settings."""
    log = settings.log
    return TimestampSettings(
        log.timestamp_interval_s,
        log.timestamp_retry_s,
        log.acceptable_timestamp_failure_s,
        timeout_s=log.timestamp_timeout_s,
        order=log.timestamp_order,
        race=log.timestamp_race,
        follow_addresses=log.follow_timestamp_addresses,
    )


def body_rules(settings: GatewaySettings) -> BodyRules:
    """Which bodies the message log keeps."""
    log = settings.log
    if log.message_body_logging:
        local, remote = log.disabled_body_logging_local_producers, log.disabled_body_logging_remote_producers
    else:
        local, remote = log.enabled_body_logging_local_producers, log.enabled_body_logging_remote_producers
    limit = log.max_loggable_body_bytes
    return BodyRules(
        log.message_body_logging,
        frozenset(local),
        frozenset(remote),
        None if limit < 0 else limit,
        log.truncated_body_allowed,
    )


def retention_settings(settings: GatewaySettings) -> RetentionSettings:
    """The settings of archives and of the removal of old records, out of ``[log]``."""
    log = settings.log
    return RetentionSettings(
        log.archive_interval_s,
        log.archive_grouping,
        log.archive_file_bytes,
        log.keep_records_days,
        log.seal_archives,
        log.destroy_keys_days,
        TransferSettings(log.archive_directory, log.archive_store, log.archive_command, pgp=log.pgp()),
    )


def log_loop_settings(settings: GatewaySettings) -> LogLoopSettings:
    """The settings of the transparency log's loop, out of ``[transparency]``. Raises `BadMessage` for a witness that is none."""
    transparency = settings.transparency
    return LogLoopSettings(
        transparency.checkpoint_s,
        transparency.stamp_s,
        transparency.witness_timeout_s,
        transparency.deadline_s,
        tuple(map(AppointedWitness.parse, transparency.witnesses)),
        transparency.appointed,
        transparency.alert_s,
    )


def store_settings(settings: GatewaySettings) -> StoreSettings:
    """The operational records' part of the settings."""
    monitoring = settings.monitoring
    return StoreSettings(monitoring.keep_days, monitoring.write_s, monitoring.buffer_length)


def peer_times(settings: GatewaySettings) -> PeerTimes:
    """The times, in seconds, of connections with other security servers, out of ``[limits]``."""
    limits = settings.limits
    return PeerTimes(
        limits.peer_connect_s,
        limits.peer_remembered_connect_s,
        limits.peer_read_s,
        limits.fastest_remembered_s,
        limits.pooled_peer_connections,
    )


def bounds(settings: GatewaySettings) -> Bounds:
    """The listeners' part of the settings: connections, and seconds an idle one is kept."""
    limits = settings.limits
    load = LoadLimits(limits.processor_load, limits.memory_bytes)
    return Bounds(limits.connections, limits.keepalive_s, load=load)
