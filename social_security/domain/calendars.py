"""Working days: the calendar of a member, and the day on which a term ends.

Pure. Day 0 is the local date of reception; Saturdays, Sundays and the calendar's holidays do not count. A calendar is a
versioned document, and an answer says which version it counted by.

Spec: the domain reference 3.4 (LFPA 28 to 30; LFT 74 VII as reformed in DOF 30-09-2024).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from schemas.jsontext import load_json
from serving.config.textfiles import read_text_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from social_security.domain.edition import Edition

ONE_DAY = timedelta(days=1)
# Where the registry and ONIESS count their days, and where in the country a day begins first.
_NATIONAL = ZoneInfo("America/Mexico_City")
_EASTERNMOST = ZoneInfo("America/Cancun")


@dataclass(frozen=True, slots=True)
class Recurring:
    """A holiday that comes every ``every`` years from the year ``first`` on, up to the year ``last`` where one is set."""

    month: int
    day: int
    first: int
    every: int
    last: int | None = None

    def falls_on(self, day: date) -> bool:
        """Whether it is this day."""
        return (
            (day.month, day.day) == (self.month, self.day)
            and self.first <= day.year
            and (self.last is None or day.year <= self.last)
            and (day.year - self.first) % self.every == 0
        )


@dataclass(frozen=True, slots=True)
class Calendar:
    """A member's calendar: yearly holidays as (month, day), single days off, and the hour after which a day is over.

    ``recurring`` are holidays that do not come every year, as the hand-over of the federal executive (LFT 74 VII).
    """

    id: str
    version: str
    zone: str
    holidays: frozenset[tuple[int, int]]
    suspensions: frozenset[date] = frozenset()
    cut_off_hour: int | None = None
    recurring: tuple[Recurring, ...] = ()

    @property
    def name(self) -> str:
        """The calendar's name and version in answers that counted by it, as ``MX-15-ISSEMYM:2026.2``."""
        return f"{self.id}:{self.version}"

    def is_working(self, day: date) -> bool:
        """Whether terms count a day: neither Saturday nor Sunday, no holiday, no suspended day."""
        return (
            day.weekday() < 5
            and (day.month, day.day) not in self.holidays
            and day not in self.suspensions
            and not any(r.falls_on(day) for r in self.recurring)
        )

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


def national_day(at: datetime) -> date:
    """The date of an instant where the registry is: never the date in UTC, which is tomorrow's every evening."""
    return at.astimezone(_NATIONAL).date()


def latest_day(at: datetime) -> date:
    """The latest date that it is anywhere in the country: what happened on a later one is in the future for everybody."""
    return at.astimezone(_EASTERNMOST).date()


def load_calendar(edition: Edition, member_code: str, file: Path | None = None) -> Calendar:
    """The calendar of a member: the federal list, then what is published for its state, then what is for itself.

    ``file`` is a calendar document of the member's own beside its database; where it exists it stands for the pack's,
    so that a state's holidays need no new package. Raises ValueError when a document is not one.
    """
    document = edition.part("calendars")
    if file is not None and file.exists():
        document = {**document, **load_json(read_text_file(file))}
    state: Mapping[str, Any] = document.get("entities", {}).get(member_code[:2], {})
    own: Mapping[str, Any] = document.get("members", {}).get(member_code, {})
    return parse_calendar(
        {
            "id": f"MX-{member_code}",
            "version": own.get("version", state.get("version", document["version"])),
            "zone": edition.members[member_code].zone,
            "holidays": [
                *document["federal_holidays"],
                *state.get("holidays", []),
                *own.get("holidays", []),
            ],
            "suspensions": [*state.get("suspensions", []), *own.get("suspensions", [])],
            "cut_off_hour": own.get("cut_off_hour", state.get("cut_off_hour")),
            "recurring": [
                *document.get("federal_recurring", []),
                *state.get("recurring", []),
                *own.get("recurring", []),
            ],
        }
    )


def parse_calendar(value: Mapping[str, object]) -> Calendar:
    """A calendar out of its document. Raises ValueError."""
    holidays, suspensions, hour = value["holidays"], value["suspensions"], value["cut_off_hour"]
    recurring = value.get("recurring", [])
    if not isinstance(holidays, list) or not isinstance(suspensions, list) or not isinstance(recurring, list):
        raise ValueError("holidays, suspensions and recurring are lists")
    if hour is not None and (not isinstance(hour, int) or not 0 < hour < 24):
        raise ValueError("cut_off_hour is an hour from 1 to 23, or null")
    return Calendar(
        str(value["id"]),
        str(value["version"]),
        str(value["zone"]),
        frozenset(_month_day(d) for d in holidays),
        frozenset(date.fromisoformat(d) for d in suspensions),
        hour,
        tuple(_recurring(r) for r in recurring),
    )


def _month_day(text: object) -> tuple[int, int]:
    """A yearly holiday as ``MM-DD``; 29 February is one."""
    day = date.fromisoformat(f"2000-{text}")
    return day.month, day.day


def _recurring(value: Mapping[str, Any]) -> Recurring:
    month, day = _month_day(value["day"])
    every = int(value["every"])
    if every < 1:
        raise ValueError(f"every is a number of years from 1 on, not {every}")
    last = value.get("last")
    return Recurring(month, day, int(value["first"]), every, None if last is None else int(last))
