"""How the services of this server did lately, in memory: last success, last failure, and the last ten minutes."""

from __future__ import annotations

import collections
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from gateway.monitoring.records import PRODUCER
from schemas.identifiers import ClientId, ServiceId
from schemas.monitoring import ServiceHealth, Statistics

if TYPE_CHECKING:
    from schemas.monitoring import Record

PERIOD_S = 600
MAX_SERVICES = 10_000
MAX_CALLS = 20_000


class _Call(msgspec.Struct, frozen=True):
    at_ms: int
    succeeded: bool
    duration_ms: int | None
    request_size: int | None
    response_size: int | None


class _Seen(msgspec.Struct):
    last_successful: int | None = None
    last_unsuccessful: int | None = None
    service_type: str | None = None
    calls: collections.deque[_Call] = msgspec.field(
        default_factory=lambda: collections.deque(maxlen=MAX_CALLS)
    )


class Health:
    """Fed with every record; only those of the provider side count."""

    def __init__(self) -> None:
        self._services: dict[ServiceId, _Seen] = {}

    def add(self, record: Record) -> None:
        """Count one operational record of the provider side; others, and services beyond the bound, are passed over."""
        service = _service(record)
        if record.get("securityServerType") != PRODUCER or service is None:
            return
        if service not in self._services and len(self._services) >= MAX_SERVICES:
            return
        seen = self._services.setdefault(service, _Seen())
        at, succeeded = int(record["responseOutTs"]), bool(record["succeeded"])
        if succeeded:
            seen.last_successful = at
        else:
            seen.last_unsuccessful = at
        if "serviceType" in record:
            seen.service_type = str(record["serviceType"])
        seen.calls.append(
            _Call(
                at,
                succeeded,
                _duration(record),
                _number(record, "requestSize"),
                _number(record, "responseSize"),
            )
        )

    def snapshot(self, now_ms: int, provider: ClientId | None) -> tuple[ServiceHealth, ...]:
        """Every service asked about, in the order of identifiers."""
        return tuple(
            ServiceHealth(
                service,
                seen.last_successful,
                seen.last_unsuccessful,
                seen.service_type,
                _statistics(seen, now_ms),
            )
            for service, seen in sorted(self._services.items(), key=lambda entry: entry[0])
            if provider in (None, service.client)
        )


def _statistics(seen: _Seen, now_ms: int) -> Statistics:
    while seen.calls and seen.calls[0].at_ms < now_ms - PERIOD_S * 1000:
        seen.calls.popleft()
    good = [c for c in seen.calls if c.succeeded]
    return Statistics(
        len(good),
        len(seen.calls) - len(good),
        tuple(c.duration_ms for c in good if c.duration_ms is not None),
        tuple(c.request_size for c in good if c.request_size is not None),
        tuple(c.response_size for c in good if c.response_size is not None),
    )


def _duration(record: Record) -> int | None:
    begin, end = _number(record, "requestOutTs"), _number(record, "responseInTs")
    return None if begin is None or end is None else end - begin


def _number(record: Record, name: str) -> int | None:
    return int(record[name]) if name in record else None


def _service(record: Record) -> ServiceId | None:
    try:
        return _service_id(
            str(record["serviceXRoadInstance"]),
            str(record["serviceMemberClass"]),
            str(record["serviceMemberCode"]),
            str(record["serviceSubsystemCode"]) if "serviceSubsystemCode" in record else None,
            str(record["serviceCode"]),
            str(record["serviceVersion"]) if "serviceVersion" in record else None,
        )
    except KeyError:
        return None


@lru_cache(maxsize=1024)
def _service_id(
    instance: str,
    member_class: str,
    member_code: str,
    subsystem: str | None,
    code: str,
    service_version: str | None,
) -> ServiceId:
    return ServiceId(ClientId(instance, member_class, member_code, subsystem), code, service_version)
