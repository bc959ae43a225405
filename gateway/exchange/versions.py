"""The oldest software of consumer sides that a provider side still answers (X-Road 7.8, UG-SS 6.8)."""

from __future__ import annotations

import re

from schemas.faults import BadMessage, Kind

# The version of X-Road whose protocols this gateway speaks, as it tells peers and monitoring.
PROXY_VERSION = "7.8.0"
PROXY_VERSION_HEADER = "x-proxy-version"
_NUMBERS = re.compile(r"\d{1,9}(?:\.\d{1,9}){0,5}")


def parse_version(text: str) -> tuple[int, ...]:
    """The numbers that a version begins with, without zeros at their end; none for what begins with no number."""
    found = _NUMBERS.match(text.strip())
    numbers = [int(n) for n in found[0].split(".")] if found else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def check_client_version(sent: str | None, minimum: str) -> None:
    """Refuse a peer older than ``minimum``; one that names no version is older than any. An empty minimum lets everybody in.

    Raises `BadMessage` (``client_proxy_version_not_supported``).
    """
    if minimum and parse_version(sent or "") < parse_version(minimum):
        raise BadMessage(
            Kind.CLIENT_PROXY_VERSION_NOT_SUPPORTED,
            f"The minimum supported version for client security server is: {minimum}; this one says it is "
            f"{(sent or 'unknown')[:40]}",
        )
