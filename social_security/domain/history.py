"""Work history: periods as days, totals without counting a day twice, recognised years, and shares.

Pure. Days are whole and inclusive of both ends; they are exchanged unrounded. Every rule that a convention fixes (weeks a
year, when a fraction counts, rounding, who keeps an overlap) comes in as `Rules`; none is written here.

Spec: the domain reference 3.3, 3.6, 5.2 (PeriodoCotizacion, ConvenioPortabilidad).
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from social_security.domain.faults import DomainError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

ONE_DAY = timedelta(days=1)
# The most days that a period, or a whole history, has in the service description: a hundred years.
MOST_DAYS = 36600
# Nobody whose rights are asked about has worked before.
EARLIEST = date(1900, 1, 1)
AT_END = "AL_FINAL"
PER_CERTIFICATE = "POR_CONSTANCIA"
BY_DAYS = "DIAS"
BY_WEEKS = "SEMANAS_COMPLETAS"


@dataclass(frozen=True, slots=True)
class Period:
    """A certified stretch of work at one institute; an open one ends on the day to which it is counted."""

    institute: str
    since: date
    until: date
    discounted: int = 0
    reinstated: int = 0

    @property
    def calendar_days(self) -> int:
        """Its days on the calendar, both ends included."""
        return (self.until - self.since).days + 1

    @property
    def days(self) -> int:
        """The days it certifies: without those discounted, with those reinstated; never fewer than none."""
        return max(0, self.calendar_days - self.discounted + self.reinstated)


@dataclass(frozen=True, slots=True)
class Rules:
    """A convention's rules for counting: a fraction above ``fraction_weeks`` counts as a year; ``rounding`` says when."""

    days_per_week: int
    weeks_per_year: int
    fraction_weeks: int
    rounding: str
    # Whether days beyond the fraction's last whole week count for it, or whole weeks only.
    fraction_by: str = BY_DAYS


@dataclass(frozen=True, slots=True)
class Total:
    """The union of all periods, and each institute's part of it, in the order in which they first appear."""

    union_days: int
    overlap_days: int
    weeks: int
    rest_days: int
    years: int
    parts: tuple[tuple[str, int], ...]

    def to_json(self, amounts: Mapping[str, int] | None = None) -> dict[str, Any]:
        """``Totalizacion`` of the service description; ``amounts`` in centavos."""
        return {
            "diasUnion": self.union_days,
            "diasTraslape": self.overlap_days,
            "semanas": self.weeks,
            "aniosReconocidos": self.years,
            "partes": [
                {"instituto": i, "dias": d, **({} if amounts is None else {"montoCentavos": amounts[i]})}
                for i, d in self.parts
            ],
        }


def parse_rules(value: Mapping[str, Any]) -> Rules:
    """The rules of a convention's document. Raises ValueError when one is missing or unknown."""
    if value.get("overlap") != "EARLIER_INSTITUTE" or value.get("pro_rata") != "DAYS":
        raise ValueError("overlap must be EARLIER_INSTITUTE and pro_rata DAYS")
    if value.get("rounding") not in (AT_END, PER_CERTIFICATE):
        raise ValueError(f"rounding must be {AT_END} or {PER_CERTIFICATE}")
    if value.get("fraction_by", BY_DAYS) not in (BY_DAYS, BY_WEEKS):
        raise ValueError(f"fraction_by must be {BY_DAYS} or {BY_WEEKS}")
    rules = Rules(
        int(value["days_per_week"]),
        int(value["weeks_per_year"]),
        int(value["fraction_weeks"]),
        str(value["rounding"]),
        str(value.get("fraction_by", BY_DAYS)),
    )
    if rules.days_per_week < 1 or not 0 <= rules.fraction_weeks < rules.weeks_per_year:
        raise ValueError("a week has days, a year has weeks, and a fraction is less than a year")
    return rules


def total(periods: Iterable[Period], rules: Rules) -> Total:
    """All periods added up. A day that several institutes certify counts once, for the earlier institute.

    A certificate does not say on which days its discounted ones fall, so they are taken to fall where another certificate
    counts: no day counts twice, and nobody loses days of one institute by what another discounts.
    """
    ordered = sorted(periods, key=lambda p: (p.since, p.until, p.institute, -p.days))
    parts: dict[str, int] = {}
    for together in _touching(ordered):
        counted = 0
        for number, period in enumerate(together, 1):
            so_far = _most_days(together[:number])
            parts[period.institute] = parts.get(period.institute, 0) + so_far - counted
            counted = so_far
    union = sum(parts.values())
    weeks, rest = divmod(union, rules.days_per_week)
    return Total(
        union,
        sum(p.days for p in ordered) - union,
        weeks,
        rest,
        recognised_years(tuple(parts.values()), rules),
        tuple(parts.items()),
    )


def union_days(periods: Iterable[Period]) -> int:
    """The number of different days that periods certify: one that several of them certify counts once."""
    ordered = sorted(periods, key=lambda p: (p.since, p.until, p.institute, -p.days))
    return sum(_most_days(together) for together in _touching(ordered))


def _touching(ordered: Sequence[Period]) -> list[list[Period]]:
    """Periods in groups whose days have none in common with those of another group."""
    groups: list[list[Period]] = []
    last: date | None = None
    for period in ordered:
        if last is None or period.since > last:
            groups.append([])
        groups[-1].append(period)
        last = period.until if last is None else max(last, period.until)
    return groups


def _most_days(ordered: Sequence[Period]) -> int:
    """The number of different days that periods, ordered by their beginning, can fill, each at most as many as it certifies.

    Each day goes to the period that ends first of those that still have days to place, which leaves out the fewest.
    """
    waiting: list[tuple[int, int]] = []
    starts = [(p.since.toordinal(), p.until.toordinal(), p.days) for p in ordered]
    day = next_one = filled = 0
    while waiting or next_one < len(starts):
        if not waiting:
            day = max(day, starts[next_one][0])
        while next_one < len(starts) and starts[next_one][0] <= day:
            heapq.heappush(waiting, starts[next_one][1:])
            next_one += 1
        until, left = heapq.heappop(waiting)
        room = min(left, until - day + 1)
        if room <= 0:
            continue
        if next_one < len(starts):
            room = min(room, starts[next_one][0] - day)
        filled, day = filled + room, day + room
        heapq.heappush(waiting, (until, left - room))
    return filled


def recognised_years(days: Sequence[int], rules: Rules) -> int:
    """Whole years, a fraction above the limit counted as one: of the sum, or institute by institute."""
    counted = [sum(days)] if rules.rounding == AT_END else list(days)
    return sum(_years(d, rules) for d in counted)


def _years(days: int, rules: Rules) -> int:
    years, rest = divmod(days, rules.days_per_week * rules.weeks_per_year)
    if rules.fraction_by == BY_WEEKS:
        rest -= rest % rules.days_per_week
    return years + (rest > rules.fraction_weeks * rules.days_per_week)


def share(amount_cents: int, parts: Sequence[tuple[str, int]]) -> dict[str, int]:
    """An amount split by days, whole centavos, the largest remainders rounded up; the sum is the amount. Raises ValueError."""
    union = sum(days for _, days in parts)
    if union <= 0:
        raise ValueError("there are no days to share by")
    exact = [(name, amount_cents * days) for name, days in parts]
    given = {name: product // union for name, product in exact}
    left = amount_cents - sum(given.values())
    for name, _ in sorted(exact, key=lambda e: (-(e[1] % union), e[0]))[:left]:
        given[name] += 1
    return given


def check_history(value: Mapping[str, Any]) -> list[Period]:
    """The served periods of a ``Historia`` whose days add up. Raises `DomainError` SS-406."""
    found: list[Period] = []
    days = 0
    for entry in value["periodos"]:
        if entry["estado"] == "SUSTITUIDO":
            raise _mismatch("un periodo sustituido no se totaliza", "a replaced period does not count")
        until = entry.get("hasta", entry.get("contadoHasta"))
        if until is None:
            # An open period whose sender does not count it yet.
            if entry["dias"] != 0:
                raise _mismatch(
                    "un periodo abierto con días dice hasta cuándo se contaron (contadoHasta)",
                    "an open period with days says up to when they were counted (contadoHasta)",
                )
            continue
        period = Period(
            value["instituto"],
            date.fromisoformat(entry["desde"]),
            date.fromisoformat(until),
            entry["diasDescontados"],
            entry["diasReintegrados"],
        )
        check_period(period)
        if entry["dias"] != period.days:
            raise _mismatch(
                f"el periodo dice {entry['dias']} días y son {period.days}",
                f"the period says {entry['dias']} days, they are {period.days}",
            )
        days += entry["dias"]
        found.append(period)
    if value["totalDias"] != days:
        raise _mismatch(
            f"totalDias dice {value['totalDias']} y los periodos suman {days}",
            f"totalDias says {value['totalDias']}, the periods add up to {days}",
        )
    return found


def check_period(period: Period) -> None:
    """Refuse a period that nobody can have worked, or that no message carries. Raises `DomainError` SS-406."""
    if period.until < period.since:
        raise _mismatch(
            f"el periodo termina el {period.until}, antes de empezar el {period.since}",
            f"the period ends on {period.until}, before it begins on {period.since}",
        )
    if period.since < EARLIEST:
        raise _mismatch(
            f"el periodo empieza el {period.since}, antes de {EARLIEST}",
            f"the period begins on {period.since}, before {EARLIEST}",
        )
    if period.calendar_days > MOST_DAYS:
        raise _mismatch(
            f"un periodo tiene a lo más {MOST_DAYS} días; del {period.since} al {period.until} van {period.calendar_days}",
            f"a period has at most {MOST_DAYS} days; from {period.since} to {period.until} there are {period.calendar_days}",
        )
    if not 0 <= period.reinstated <= period.discounted <= period.calendar_days:
        raise _mismatch(
            f"de {period.calendar_days} días no se descuentan {period.discounted} y reintegran {period.reinstated}",
            f"of {period.calendar_days} days, {period.discounted} cannot be discounted and {period.reinstated} reinstated",
        )


def count_words(period: Period) -> str:
    """The count of a period's days written out, in Spanish, the certificate's language."""
    return (
        f"{period.since} a {period.until}: {period.calendar_days} días naturales - {period.discounted} descontados "
        f"+ {period.reinstated} reintegrados = {period.days}"
    )


def check_total(value: Mapping[str, Any], expected: Total) -> None:
    """Refuse a ``Totalizacion`` that is not the one its periods give. Raises `DomainError` SS-406."""
    for name, right in expected.to_json().items():
        if name != "partes" and value[name] != right:
            raise _mismatch(
                f"{name} dice {value[name]} y es {right}", f"{name} says {value[name]}, it is {right}"
            )
    parts = [(p["instituto"], p["dias"]) for p in value["partes"]]
    if sorted(parts) != sorted(expected.parts):
        raise _mismatch("las partes no corresponden", "the parts differ")
    check_shares(value["partes"])


def check_total_alone(value: Mapping[str, Any], rules: Rules) -> None:
    """Check that a ``Totalizacion`` agrees with itself, for a reader who has not all periods. Raises `DomainError`."""
    days = tuple(p["dias"] for p in value["partes"])
    for name, claimed, right in (
        ("diasUnion", value["diasUnion"], sum(days)),
        ("semanas", value["semanas"], sum(days) // rules.days_per_week),
        ("aniosReconocidos", value["aniosReconocidos"], recognised_years(days, rules)),
    ):
        if claimed != right:
            raise _mismatch(f"{name} dice {claimed} y es {right}", f"{name} says {claimed}, it is {right}")
    check_shares(value["partes"])


def check_shares(parts: Sequence[Mapping[str, Any]]) -> None:
    """Refuse amounts that are not the shares by days of their sum (`share`), or are given of some parts only (SS-406)."""
    names = [p["instituto"] for p in parts]
    if len(set(names)) != len(names):
        raise _mismatch("un instituto tiene una sola parte", "an institute has one part")
    given = {p["instituto"]: int(p["montoCentavos"]) for p in parts if "montoCentavos" in p}
    if not given:
        return
    days = [(p["instituto"], int(p["dias"])) for p in parts]
    if len(given) != len(parts) or sum(d for _, d in days) <= 0:
        raise _mismatch("cada parte lleva su monto, o ninguna", "every part carries its amount, or none does")
    right = share(sum(given.values()), days)
    if given != right:
        listed = ", ".join(f"{n.rpartition('/')[2]} {a}" for n, a in right.items())
        raise _mismatch(
            f"los montos no son proporcionales: {listed}", f"the amounts are not proportional: {listed}"
        )


def _mismatch(es: str, en: str) -> DomainError:
    return DomainError("SS-406", es, en)
