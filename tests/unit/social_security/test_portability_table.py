"""The table of portability cases, and the arithmetic that its events carry."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from social_security.domain import states as machines
from social_security.domain.faults import DomainError
from social_security.domain.history import (
    BY_DAYS,
    BY_WEEKS,
    Period,
    Rules,
    check_shares,
    parse_rules,
    recognised_years,
    share,
)
from social_security.domain.history import total as total_of

STATES = sorted(
    {s for s, _ in machines.PORTABILITY} | {m.to for m in machines.PORTABILITY.values()} - {"=", "<"}
)
RULES = Rules(7, 52, 26, "AL_FINAL")
DOCUMENT = {
    "days_per_week": 7, "weeks_per_year": 52, "fraction_weeks": 26, "rounding": "AL_FINAL",
    "overlap": "EARLIER_INSTITUTE", "pro_rata": "DAYS",
}  # fmt: skip


def following(state: str) -> set[str]:
    """The states that may come next."""
    return {m.to for (s, _), m in machines.PORTABILITY.items() if s == state} - {
        machines.SAME,
        machines.BEFORE,
    }


def reach(state: str) -> set[str]:
    """Every state that can be reached."""
    found, todo = {state}, [state]
    while todo:
        for to in following(todo.pop()) - found:
            found.add(to)
            todo.append(to)
    return found


@pytest.mark.parametrize("state", STATES)
def test_every_state_reaches_an_end(state: str) -> None:
    assert reach(state) & machines.CLOSED


@pytest.mark.parametrize("state", STATES)
def test_every_state_is_reached_from_the_beginning(state: str) -> None:
    assert state in reach("BORRADOR")


@pytest.mark.parametrize("state", [s for s in STATES if s not in machines.CLOSED and s != "BORRADOR"])
def test_every_open_state_can_be_left_by_the_responsible_or_the_person_alone(state: str) -> None:
    authors = {
        m.author for (s, _), m in machines.PORTABILITY.items() if s == state and m.to not in ("=", "<", state)
    }
    assert authors & {machines.Author.RESPONSIBLE, machines.Author.PARTICIPANT}
    assert machines.Author.PERSON in authors


def test_a_refusal_an_expiry_and_a_decision_can_be_appealed_and_an_appeal_ends() -> None:
    for state in ("RECHAZADA", "VENCIDA", "RESUELTA", "CERRADA"):
        assert machines.portability_move(state, "RECURRIR").to == "RECURRIDA"
    assert {"ADMITIDA", "RESUELTA", "RECHAZADA", "DESISTIDA"} <= following("RECURRIDA")


@pytest.mark.parametrize("state", [*sorted(machines.CLOSED), "RECURRIDA", "BORRADOR"])
def test_no_ended_or_appealed_case_holds_the_benefit(state: str) -> None:
    assert not machines.holds_lock(state)


def test_a_rectification_reaches_a_case_wherever_its_history_counts() -> None:
    for state in ("HISTORIA_RECIBIDA", "ACLARACION", "TOTALIZADA", "PROYECTO_RESOLUCION", "CONFORMIDAD_TITULAR",
                  "TRANSFERIDA", "RESUELTA"):  # fmt: skip
        move = machines.portability_move(state, "ACLARAR")
        assert (move.author, move.to) == (machines.Author.PARTICIPANT, "HISTORIA_RECIBIDA")


def test_days_beyond_the_fraction_s_weeks_count_unless_the_convention_counts_whole_weeks() -> None:
    days = 24 * 364 + 26 * 7
    by_weeks = parse_rules(DOCUMENT | {"fraction_by": BY_WEEKS})
    by_days = parse_rules(DOCUMENT | {"fraction_by": BY_DAYS})
    assert parse_rules(DOCUMENT) == by_days
    assert [recognised_years((days + n,), by_days) for n in (0, 1, 6, 7)] == [24, 25, 25, 25]
    assert [recognised_years((days + n,), by_weeks) for n in (0, 1, 6, 7)] == [24, 24, 24, 25]


@pytest.mark.parametrize(
    "wrong", [{"fraction_by": "MESES"}, {"days_per_week": 0}, {"fraction_weeks": 52}, {"fraction_weeks": -1}]
)
def test_rules_that_cannot_be_counted_by_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_rules(DOCUMENT | wrong)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 40_000), st.integers(0, 40_000))
def test_years_never_fall_when_days_are_added(one: int, more: int) -> None:
    for by in (BY_DAYS, BY_WEEKS):
        rules = Rules(7, 52, 26, "AL_FINAL", by)
        assert recognised_years((one,), rules) <= recognised_years((one + more,), rules)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 20_000), min_size=1, max_size=8))
def test_years_by_certificate_differ_from_the_sum_s_by_less_than_the_certificates(days: list[int]) -> None:
    whole = recognised_years(days, RULES)
    apart = recognised_years(days, Rules(7, 52, 26, "POR_CONSTANCIA"))
    assert abs(whole - apart) <= len(days)


PERIODS = st.lists(
    st.builds(
        lambda who, start, length: Period(
            f"MX/GOB/{who:02}-X", date(1980, 1, 1) + timedelta(start), date(1980, 1, 1) + timedelta(start + length)
        ),
        st.integers(1, 4), st.integers(0, 9000), st.integers(0, 3000),
    ),
    min_size=1, max_size=12,
)  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(PERIODS)
def test_no_day_is_counted_twice_and_the_parts_are_the_whole(periods: list[Period]) -> None:
    made = total_of(periods, RULES)
    union = {p.since + timedelta(n) for p in periods for n in range((p.until - p.since).days + 1)}
    assert made.union_days == len(union) == sum(d for _, d in made.parts)
    assert made.weeks * 7 + made.rest_days == made.union_days


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 10**10),
    st.dictionaries(st.integers(1, 32), st.integers(0, 15_000), min_size=1, max_size=6).filter(lambda d: sum(d.values()) > 0),
)  # fmt: skip
def test_shares_add_up_are_nearly_exact_and_only_they_are_taken(cents: int, days: dict[int, int]) -> None:
    parts = [(f"MX/GOB/{n:02}-X", d) for n, d in days.items()]
    given_ = share(cents, parts)
    union = sum(days.values())
    assert sum(given_.values()) == cents
    assert all(abs(given_[name] * union - cents * d) < union for name, d in parts)
    sent: list[dict[str, Any]] = [{"instituto": n, "dias": d, "montoCentavos": given_[n]} for n, d in parts]
    check_shares(sent)
    if len(parts) > 1 and cents > 1:
        moved = [dict(p) for p in sent]
        rich = max(moved, key=lambda p: p["montoCentavos"])
        poor = min((p for p in moved if p is not rich), key=lambda p: p["montoCentavos"])
        rich["montoCentavos"] -= 2
        poor["montoCentavos"] += 2
        if rich["montoCentavos"] >= 0:
            with pytest.raises(DomainError, match="SS-406"):
                check_shares(moved)


@pytest.mark.parametrize(
    "amounts", [(1, 1, 1_799_998), (600_000, 600_000, 600_000), (762_402, 396_203, None)]
)
def test_amounts_that_are_no_shares_are_refused(amounts: tuple[int | None, ...]) -> None:
    parts = [
        {"instituto": f"MX/GOB/{n:02}-X", "dias": d} | ({} if a is None else {"montoCentavos": a})
        for n, (d, a) in enumerate(zip((3837, 1994, 3228), amounts, strict=True), 1)
    ]
    with pytest.raises(DomainError, match="SS-406"):
        check_shares(parts)


def test_an_institute_has_one_part() -> None:
    with pytest.raises(DomainError, match="SS-406"):
        check_shares([{"instituto": "MX/GOB/01-X", "dias": 1}, {"instituto": "MX/GOB/01-X", "dias": 2}])
