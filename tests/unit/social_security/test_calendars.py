"""Working days end where the domain reference's deadline vectors say (3.4)."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from social_security.domain.calendars import Calendar, load_calendar, parse_calendar
from social_security.domain.edition import package_edition

CALENDAR = load_calendar(package_edition(), "15-ISSEMYM")
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


@pytest.mark.parametrize(
    ("day", "works"),
    [
        ("2024-10-01", False),
        ("2030-10-01", False),
        ("2036-10-01", False),
        ("2026-10-01", True),
        ("2025-10-01", True),
        ("2012-10-01", True),
        ("2006-12-01", False),
        ("2030-12-02", True),
        ("2023-12-01", True),
    ],
)
def test_the_hand_over_of_the_federal_executive_is_a_holiday_every_six_years(day: str, works: bool) -> None:
    assert CALENDAR.is_working(date.fromisoformat(day)) is works


def test_a_term_over_the_hand_over_ends_a_day_later() -> None:
    assert CALENDAR.add(date(2030, 9, 20), 20) == date(2030, 10, 21)
    assert CALENDAR.add(date(2024, 9, 30), 1) == date(2024, 10, 2)


def test_a_states_own_calendar_is_a_file_beside_its_database(tmp_path: Path) -> None:
    file = tmp_path / "calendar.json"
    assert load_calendar(package_edition(), "15-ISSEMYM", file) == CALENDAR
    entities = {"15": {"version": "MEX-2026.1", "holidays": ["03-02"], "suspensions": ["2026-04-02"]}}
    file.write_text(json.dumps({"entities": entities}), encoding="utf-8")
    own = load_calendar(package_edition(), "15-ISSEMYM", file)
    assert own.name == "MX-15-ISSEMYM:MEX-2026.1"
    assert not own.is_working(date(2027, 3, 2))
    assert not own.is_working(date(2026, 4, 2))
    assert load_calendar(package_edition(), "30-IPE", file).is_working(date(2027, 3, 2))


@pytest.mark.parametrize("wrong", ["13-01", "02-30", "x", "2026-01-01"])
def test_a_holiday_that_is_no_day_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_calendar({"id": "x", "version": "1", "zone": "UTC", "holidays": [wrong], "suspensions": [], "cut_off_hour": None})  # fmt: skip
