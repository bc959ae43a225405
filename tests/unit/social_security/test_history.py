"""Totals, years and shares are the worked example's, to the day and to the centavo (3.6)."""

from __future__ import annotations

from datetime import date

import pytest

from social_security.domain.faults import DomainError
from social_security.domain.history import Period, Rules, check_history, check_total, share, total

RULES = Rules(7, 52, 26, "AL_FINAL")
PER_CERTIFICATE = Rules(7, 52, 26, "POR_CONSTANCIA")


def period(institute: str, since: str, until: str) -> Period:
    return Period(institute, date.fromisoformat(since), date.fromisoformat(until))


ANA = [
    period("15-ISSEMYM", "1999-03-01", "2009-08-31"),
    period("26-ISSSTESON", "2009-08-16", "2015-02-15"),
    period("30-IPE", "2015-03-01", "2023-12-31"),
]


def test_ana_has_25_recognised_years_under_both_roundings() -> None:
    made = total(ANA, RULES)
    assert (made.union_days, made.overlap_days, made.weeks, made.rest_days) == (9059, 16, 1294, 1)
    assert made.parts == (("15-ISSEMYM", 3837), ("26-ISSSTESON", 1994), ("30-IPE", 3228))
    assert made.years == 25
    assert total(ANA, PER_CERTIFICATE).years == 25


def test_overlap_counted_twice_would_give_26_and_is_refused() -> None:
    twice = total(ANA, PER_CERTIFICATE).to_json() | {"aniosReconocidos": 26, "diasUnion": 9075}
    with pytest.raises(DomainError, match="SS-406"):
        check_total(twice, total(ANA, PER_CERTIFICATE))


def test_order_of_periods_changes_nothing() -> None:
    assert total(reversed(ANA), RULES) == total(ANA, RULES)


def test_pension_is_shared_to_the_centavo() -> None:
    assert share(1_800_000, total(ANA, RULES).parts) == {
        "15-ISSEMYM": 762_402,
        "26-ISSSTESON": 396_203,
        "30-IPE": 641_395,
    }


@pytest.mark.parametrize(
    ("until", "days", "weeks", "rest", "years"),
    [("2012-06-30", 14_960, 2137, 1, 41), ("2011-06-30", 14_594, 2084, 6, 40)],
)
def test_jose_teodoro_before_and_after_rectification(
    until: str, days: int, weeks: int, rest: int, years: int
) -> None:
    made = total(
        [period("26-ISSSTESON", "1985-01-16", until), period("14-IPEJAL", "2012-07-01", "2025-12-31")], RULES
    )
    assert (made.union_days, made.weeks, made.rest_days, made.years) == (days, weeks, rest, years)


def test_history_that_is_one_day_off_is_refused() -> None:
    entry = {
        "desde": "1999-03-01",
        "hasta": "2009-08-31",
        "dias": 3837,
        "diasDescontados": 0,
        "diasReintegrados": 0,
        "estado": "CERTIFICADO",
    }
    history = {"instituto": "15-ISSEMYM", "periodos": [entry], "totalDias": 3837}
    assert check_history(history)[0].days == 3837
    for wrong in ({"totalDias": 3838}, {"periodos": [{**entry, "dias": 3838}], "totalDias": 3838}):
        with pytest.raises(DomainError, match="SS-406"):
            check_history({**history, **wrong})
