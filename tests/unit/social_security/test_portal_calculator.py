"""What if: the calculator counts as a case does, says by which rules, and refuses what cannot be."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from social_security.domain.benefits import default_rules
from social_security.domain.edition import package_edition
from social_security.portal.calculator import cited, estimate, read_wishes
from tests.portals import Browser, World, open_world
from tests.unit.social_security.test_portal_person import logged_in

TODAY = date(2026, 3, 2)
HERE = "MX/GOB/15-ISSEMYM"
RULES = default_rules(package_edition())


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


def history(member: str, since: str, until: str, days: int) -> dict[str, object]:
    period = {
        "desde": since,
        "hasta": until,
        "dias": days,
        "diasDescontados": 0,
        "diasReintegrados": 0,
        "estado": "CERTIFICADO",
    }
    return {"instituto": member, "periodos": [period], "totalDias": days}


def test_time_still_to_be_worked_counts_from_tomorrow_and_shares_are_whole_centavos() -> None:
    other = history("MX/GOB/30-IPE", "2000-02-29", "2000-02-29", 1)
    found = estimate([other], HERE, TODAY, date(2026, 3, 4), 100, RULES)
    assert dict(found.made.parts) == {"MX/GOB/30-IPE": 1, HERE: 2}
    assert found.shares == {"MX/GOB/30-IPE": 33, HERE: 67}


def test_a_history_that_does_not_add_up_is_named_and_not_counted() -> None:
    wrong = history("MX/GOB/30-IPE", "2000-02-28", "2000-02-29", 3)
    found = estimate([wrong], HERE, TODAY, None, 100, RULES)
    assert (found.uncounted, found.made.union_days, found.shares) == (("MX/GOB/30-IPE",), 0, {})


@given(st.integers(1, 10**9), st.dates(date(2026, 3, 3), date(2070, 1, 1)))
def test_shares_are_the_amount_whatever_it_is(cents: int, until: date) -> None:
    other = history("MX/GOB/30-IPE", "1999-03-01", "1999-03-31", 31)
    assert sum(estimate([other], HERE, TODAY, until, cents, RULES).shares.values()) == cents


@pytest.mark.parametrize(
    "query",
    [
        {"hasta": "ayer"}, {"hasta": "2026-03-02"}, {"hasta": "1999-01-01"}, {"hasta": "2999-01-01"}, {"hasta": "2027-02-29"},
        {"monto": "-1"}, {"monto": "0"}, {"monto": "mil"}, {"monto": "NaN"}, {"monto": "Infinity"}, {"monto": "1e30"},
    ],
)  # fmt: skip
def test_what_cannot_be_is_said(query: dict[str, str]) -> None:
    assert read_wishes(query, TODAY)[0] is not None


def test_an_amount_is_read_as_people_write_it_also_on_a_leap_day() -> None:
    assert read_wishes({"monto": "18,000.50", "hasta": "2028-03-01"}, date(2028, 2, 29)) == (
        None,
        date(2028, 3, 1),
        1_800_050,
    )
    assert len(cited(RULES)) == 6


async def test_the_person_sees_her_parts_and_the_rules(world: World) -> None:
    address, accounts = await world.portal("15-ISSEMYM")
    async with Browser(address) as person:
        await logged_in(world, person, accounts, "ana")
        await person.get("/calculadora?monto=18000&hasta=2027-12-31")
        assert person.status == 200
        assert "Años reconocidos" in person.page.text
        assert "Cada instituto paga en proporción a sus días" in person.page.text
        await person.get("/calculadora?monto=mil")
        assert person.status == 400
        await person.get("/calculadora?monto=18000&lang=en")
        assert "Recognised years" in person.page.text
