"""Ranges of days and of moments as messages name them: neither reversed nor beyond what a calendar counts to.

Pure.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final

from social_security.domain.faults import DomainError

if TYPE_CHECKING:
    from collections.abc import Mapping

# A day after it, and any zone's offset, is still a date that can be counted with.
_LAST: Final = date.max - timedelta(days=2)
_FIRST: Final = date.min + timedelta(days=2)


def parse_days(body: Mapping[str, str], since: str = "desde", until: str = "hasta") -> tuple[date, date]:
    """The first and the last day that two fields name. Raises `DomainError` SS-103."""
    first, last = date.fromisoformat(body[since]), date.fromisoformat(body[until])
    if not _FIRST <= first <= last <= _LAST:
        raise DomainError(
            "SS-103",
            f"se espera {since} ≤ {until}; llegó {first} a {last}",
            f"{since} ≤ {until} was expected; {first} to {last} came",
            field=until,
        )
    return first, last


def parse_moments(body: Mapping[str, str], since: str, until: str) -> tuple[datetime | None, datetime | None]:
    """The moments, in UTC, that two fields name, each None when it is not there. Raises `DomainError` SS-100 or SS-103."""
    first, last = _moment(body, since), _moment(body, until)
    if first is not None and last is not None and last < first:
        raise DomainError(
            "SS-103",
            f"se espera {since} ≤ {until}",
            f"{since} ≤ {until} was expected",
            field=until,
        )
    return first, last


def _moment(body: Mapping[str, str], name: str) -> datetime | None:
    if name not in body:
        return None
    at = datetime.fromisoformat(body[name])
    if at.tzinfo is None:
        raise DomainError(
            "SS-100", "la hora lleva su diferencia con UTC", "a time carries its offset from UTC", field=name
        )
    if not _FIRST <= at.date() <= _LAST:
        raise DomainError(
            "SS-103", f"{name} no es de este calendario", f"{name} is beyond the calendar", field=name
        )
    return at.astimezone(UTC)
