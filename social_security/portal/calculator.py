"""What if: the career as it is certified, some more time worked here, and a pension shared among institutes, each rule beside its number.

An estimate and no decision: it counts with the same functions as a case does (`social_security.domain.history`), by the rules
that the answer names, over what institutes certify today. Nothing is kept.

Spec: the domain reference 3.3, 3.6; F08, F09.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

from serving.language import N_, Text
from social_security.domain.faults import DomainError
from social_security.domain.history import AT_END, BY_DAYS, Period, check_history, share, total

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from social_security.domain.history import Rules, Total

MOST_PESOS: Final = 10_000_000
MOST_YEARS_AHEAD: Final = 50


@dataclass(frozen=True, slots=True)
class Estimate:
    """A career added up: its total, the amount of each institute in centavos where one was asked for, and what lacks."""

    made: Total
    shares: Mapping[str, int]
    uncounted: Sequence[str]


def estimate(
    histories: Sequence[Mapping[str, Any]],
    member: str,
    today: date,
    until: date | None,
    cents: int | None,
    rules: Rules,
) -> Estimate:
    """The estimate, by the rules of the catalogue, for a career that goes on at ``member`` from tomorrow until a day, with a monthly amount to share.

    A history whose days do not add up is not counted, and named in ``uncounted``.
    """
    periods: list[Period] = []
    uncounted = []
    for history in histories:
        try:
            periods += check_history(history)
        except DomainError:
            uncounted.append(str(history["instituto"]))
    if until is not None and until > today:
        periods.append(Period(member, today + timedelta(days=1), until))
    made = total(periods, rules)
    shares = share(cents, made.parts) if cents is not None and made.union_days else {}
    return Estimate(made, shares, tuple(uncounted))


def cited(rules: Rules) -> list[Text]:
    """The rules in words, in the order in which they apply."""
    fraction = (
        N_("A rest above {weeks} weeks counts as a year.", weeks=rules.fraction_weeks)
        if rules.fraction_by == BY_DAYS
        else N_("A rest above {weeks} whole weeks counts as a year.", weeks=rules.fraction_weeks)
    )
    return [
        N_("A day that several institutes certify counts once, for the one where the period began earlier."),
        N_("Discounted days do not count; reinstated ones do."),
        N_(
            "A week has {days} days and a year {weeks} weeks.",
            days=rules.days_per_week,
            weeks=rules.weeks_per_year,
        ),
        N_("Years are counted once, over the sum of all days.")
        if rules.rounding == AT_END
        else N_("Years are counted certificate by certificate, and then added."),
        fraction,
        N_(
            "Each institute pays in proportion to its days; the centavos that are left go to the largest remainders."
        ),
    ]


def read_wishes(query: Mapping[str, str], today: date) -> tuple[Text | None, date | None, int | None]:
    """Read the wishes of an address: their mistake or None, the last day to work, the monthly amount in centavos."""
    until_text, amount_text = (query.get(n, "").strip() for n in ("hasta", "monto"))
    until: date | None = None
    cents: int | None = None
    try:
        until = date.fromisoformat(until_text) if until_text else None
        cents = int(Decimal(amount_text.replace(",", "")) * 100) if amount_text else None
    except (ValueError, InvalidOperation, OverflowError):
        return N_("A date is written YYYY-MM-DD, and an amount in pesos, as 18,000.00."), None, None
    if until is not None and not today < until <= today.replace(
        year=today.year + MOST_YEARS_AHEAD, day=min(today.day, 28)
    ):
        return (
            N_("The last day is after today, and within {years} years.", years=MOST_YEARS_AHEAD),
            None,
            None,
        )
    if cents is not None and not 0 < cents <= MOST_PESOS * 100:
        return (
            N_("The amount is more than nothing and at most {most} pesos.", most=f"{MOST_PESOS:,}"),
            None,
            None,
        )
    return None, until, cents
