"""Working days end where the domain reference's deadline vectors say (3.4)."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from social_security.domain.calendars import Calendar, load_calendar

CALENDAR = load_calendar("15-ISSEMYM")
TERMS = {
    ("2026-03-02", 3): "2026-03-05",
    ("2026-03-02", 5): "2026-03-09",
    ("2026-03-02", 20): "2026-03-30",
    ("2026-03-02", 30): "2026-04-13",
    ("2026-03-30", 15): "2026-04-20",
    ("2026-04-20", 3): "2026-04-23",
    ("2026-04-20", 5): "2026-04-27",
    ("2026-04-20", 20): "2026-05-20",
    ("2026-04-20", 30): "2026-06-03",
    ("2026-05-20", 15): "2026-06-10",
    ("2026-08-21", 20): "2026-09-22",
    ("2026-08-21", 30): "2026-10-06",
    ("2026-09-22", 15): "2026-10-13",
    ("2026-12-14", 20): "2027-01-13",
    ("2026-12-14", 30): "2027-01-27",
    ("2027-01-13", 15): "2027-02-03",
    ("2026-04-20", 40): "2026-06-17",
    ("2026-06-17", 20): "2026-07-15",
    ("2026-03-06", 10): "2026-03-20",
    ("2026-03-17", 20): "2026-04-14",
    ("2026-06-03", 15): "2026-06-24",
    ("2026-03-20", 15): "2026-04-10",
    ("2026-03-03", 20): "2026-03-31",
}


@pytest.mark.parametrize("term", TERMS)
def test_term_ends_on_the_day_of_the_reference(term: tuple[str, int]) -> None:
    start, days = term
    assert CALENDAR.add(date.fromisoformat(start), days) == date.fromisoformat(TERMS[term])


def test_day_of_reception_is_the_members_own() -> None:
    at = datetime(2026, 3, 3, 5, 30, tzinfo=UTC)
    assert CALENDAR.local_day(at) == date(2026, 3, 2)


def test_after_the_cut_off_hour_it_is_tomorrow() -> None:
    strict = Calendar("MX-15", "1", CALENDAR.zone, CALENDAR.holidays, cut_off_hour=18)
    assert strict.local_day(datetime(2026, 3, 3, 5, 30, tzinfo=UTC)) == date(2026, 3, 3)


def test_a_suspension_moves_the_last_day() -> None:
    day = date(2026, 3, 12)
    longer = Calendar("MX-15", "2", CALENDAR.zone, CALENDAR.holidays, frozenset((day,)))
    assert longer.add(date(2026, 3, 2), 20) == date(2026, 3, 31)
