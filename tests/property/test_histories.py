"""Totals over any history: no day counts twice, nothing is negative, what is sent adds up, whatever is discounted."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from social_security.domain.faults import DomainError
from social_security.domain.history import Period, Rules, check_history, count_words, total

RULES = Rules(7, 52, 26, "AL_FINAL")
START = date(1980, 1, 1)


@st.composite
def periods(draw: st.DrawFn, institutes: tuple[str, ...] = ("A", "B", "C")) -> Period:
    since = START + timedelta(days=draw(st.integers(0, 15_000)))
    length = draw(st.integers(1, 4_000))
    discounted = draw(st.integers(0, length))
    reinstated = draw(st.integers(0, discounted))
    until = since + timedelta(days=length - 1)
    return Period(draw(st.sampled_from(institutes)), since, until, discounted, reinstated)


def calendar_union(found: list[Period]) -> int:
    days: set[int] = set()
    for p in found:
        days.update(range(p.since.toordinal(), p.until.toordinal() + 1))
    return len(days)


@given(st.lists(periods(), min_size=1, max_size=6))
def test_no_day_counts_twice_and_none_is_invented(found: list[Period]) -> None:
    made = total(found, RULES)
    certified = sum(p.days for p in found)
    assert 0 <= made.union_days <= min(certified, calendar_union(found))
    assert made.overlap_days == certified - made.union_days
    assert sum(days for _, days in made.parts) == made.union_days
    assert all(days >= 0 for _, days in made.parts)
    assert made.union_days >= max(
        0, certified - (sum(p.calendar_days for p in found) - calendar_union(found))
    )


@given(st.lists(periods(), min_size=1, max_size=6), st.data())
def test_another_certificate_never_takes_days_away(found: list[Period], data: st.DataObject) -> None:
    fewer = list(found)
    fewer.remove(data.draw(st.sampled_from(found)))
    assert total(found, RULES).union_days >= total(fewer, RULES).union_days
    assert total(found, RULES).union_days >= max(p.days for p in found)


def test_days_that_one_institute_discounts_count_where_another_certifies_them() -> None:
    until = START + timedelta(days=99)
    nothing, whole = Period("A", START, until, 100), Period("B", START, until)
    assert total([nothing, whole], RULES).parts == (("A", 0), ("B", 100))
    inner = Period("B", START + timedelta(days=19), START + timedelta(days=29))
    made = total([Period("A", START, until, 10), inner], RULES)
    assert (made.union_days, made.parts) == (100, (("A", 90), ("B", 10)))


@given(st.lists(periods(), min_size=1, max_size=6))
def test_the_order_in_which_certificates_come_changes_nothing(found: list[Period]) -> None:
    made, turned = total(found, RULES), total(found[::-1], RULES)
    assert (made.union_days, made.overlap_days, made.years) == (
        turned.union_days,
        turned.overlap_days,
        turned.years,
    )


@given(periods())
def test_days_are_the_calendars_without_those_discounted(one: Period) -> None:
    assert one.days == one.calendar_days - one.discounted + one.reinstated
    assert 0 <= one.days <= one.calendar_days
    assert total([one], RULES).union_days == one.days
    assert count_words(one).endswith(f"= {one.days}")


@given(st.lists(periods(("A",)), min_size=1, max_size=6), st.booleans())
def test_a_history_that_is_sent_adds_up_to_its_total(found: list[Period], is_open: bool) -> None:
    value = history(found, is_open=is_open)
    read = check_history(value)
    assert sum(p.days for p in read) == value["totalDias"]
    assert total(read, RULES) == total(found, RULES)


@given(st.lists(periods(("A",)), min_size=1, max_size=4), st.integers(1, 500), st.booleans())
def test_a_day_more_or_less_than_the_periods_give_is_seen(
    found: list[Period], wrong: int, in_total: bool
) -> None:
    value = history(found)
    if in_total:
        value["totalDias"] += wrong
    else:
        value["periodos"][0]["dias"] += wrong
        value["totalDias"] += wrong
    with pytest.raises(DomainError, match="SS-406"):
        check_history(value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"hasta": "1979-12-31"},
        {"diasDescontados": 400},
        {"diasDescontados": 10, "diasReintegrados": 11},
        {"diasReintegrados": 1},
    ],
)
def test_a_period_that_cannot_be_is_refused_even_when_its_days_agree(wrong: dict[str, Any]) -> None:
    value = history([Period("A", START, START + timedelta(days=365))])
    entry = value["periodos"][0] | wrong
    days = (date.fromisoformat(entry["hasta"]) - START).days + 1
    entry["dias"] = days - entry["diasDescontados"] + entry["diasReintegrados"]
    with pytest.raises(DomainError, match="SS-406"):
        check_history(value | {"periodos": [entry], "totalDias": entry["dias"]})


def history(found: list[Period], *, is_open: bool = False) -> dict[str, Any]:
    """A ``Historia`` as an institute sends it; the last period open, counted up to its end, when asked."""
    entries = [
        {
            "desde": p.since.isoformat(), "hasta": p.until.isoformat(), "dias": p.days, "estado": "CERTIFICADO",
            "diasDescontados": p.discounted, "diasReintegrados": p.reinstated,
        }
        for p in found
    ]  # fmt: skip
    if is_open:
        entries[-1]["contadoHasta"] = entries[-1].pop("hasta")
    return {"instituto": "A", "periodos": entries, "totalDias": sum(p.days for p in found)}
