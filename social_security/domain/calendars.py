"""Working days: the calendar of a member, and the day on which a term ends.

Pure. Day 0 is the local date of reception; Saturdays, Sundays and the calendar's holidays do not count. A calendar is a
versioned document, and an answer says which version it counted by.

Spec: the domain reference 3.4 (LFPA 28 to 30).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from social_security.domain import pack

if TYPE_CHECKING:
    from collections.abc import Mapping

ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Calendar:
    """A member's calendar: yearly holidays as (month, day), single days off, and the hour after which a day is over."""

    id: str
    version: str
    zone: str
    holidays: frozenset[tuple[int, int]]
    suspensions: frozenset[date] = frozenset()
    cut_off_hour: int | None = None

    @property
    def name(self) -> str:
        """How an answer names the calendar it counted by, as ``MX-15-ISSEMYM:2026.1``."""
        return f"{self.id}:{self.version}"

    def is_working(self, day: date) -> bool:
        """Whether a day counts."""
        return day.weekday() < 5 and (day.month, day.day) not in self.holidays and day not in self.suspensions

    def local_day(self, at: datetime) -> date:
        """The day of reception at the member; after the cut-off hour it is the next one."""
        local = at.astimezone(ZoneInfo(self.zone))
        late = self.cut_off_hour is not None and local.hour >= self.cut_off_hour
        return local.date() + ONE_DAY if late else local.date()

    def add(self, day: date, working_days: int) -> date:
        """The last day of a term of working days that begins the day after ``day``."""
        left = working_days
        while left > 0:
            day += ONE_DAY
            left -= self.is_working(day)
        return day

    def next_working(self, day: date) -> date:
        """The day itself, or the first working one after it."""
        while not self.is_working(day):
            day += ONE_DAY
        return day


def load_calendar(member_code: str) -> Calendar:
    """The calendar of a member: the federal list, in the member's zone, with what the pack says of it."""
    document = pack.document("calendars.json")
    special: Mapping[str, object] = document["members"].get(member_code, {})
    return parse_calendar(
        {
            "id": f"MX-{member_code}",
            "version": special.get("version", document["version"]),
            "zone": pack.members()[member_code].zone,
            "holidays": document["federal_holidays"],
            "suspensions": special.get("suspensions", []),
            "cut_off_hour": special.get("cut_off_hour"),
        }
    )


def parse_calendar(value: Mapping[str, object]) -> Calendar:
    """A calendar out of its document. Raises ValueError."""
    holidays, suspensions, hour = value["holidays"], value["suspensions"], value["cut_off_hour"]
    if not isinstance(holidays, list) or not isinstance(suspensions, list):
        raise ValueError("holidays and suspensions are lists of dates")
    if hour is not None and (not isinstance(hour, int) or not 0 < hour < 24):
        raise ValueError("cut_off_hour is an hour from 1 to 23, or null")
    return Calendar(
        str(value["id"]),
        str(value["version"]),
        str(value["zone"]),
        frozenset((int(d[:2]), int(d[3:])) for d in holidays),
        frozenset(date.fromisoformat(d) for d in suspensions),
        hour,
    )
