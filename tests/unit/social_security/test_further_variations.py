"""Inputs that no scenario plays: other days of the year, other states, other names, and what happens at the same instant; the right value of each."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from social_security.domain.calendars import load_calendar
from social_security.domain.curp import check_digit, homonyms, parse_curp
from social_security.domain.edition import package_edition
from social_security.domain.faults import DomainError
from social_security.domain.history import Period, parse_rules, recognised_years, share, total
from social_security.institute.history import build_history, own_periods
from tests.directgateway import INSTITUTES, DirectCountry
from tests.unit.social_security.test_beside_the_scenarios import ANALYST, MEMBERS, PERSON, PIDS, Desk

ISSEMYM, SONORA, IPE = INSTITUTES
RULES = parse_rules(
    {"days_per_week": 7, "weeks_per_year": 52, "fraction_weeks": 26, "rounding": "AL_FINAL",
     "overlap": "EARLIER_INSTITUTE", "pro_rata": "DAYS"}
)  # fmt: skip
WEEKS = parse_rules({"days_per_week": 7, "weeks_per_year": 52, "fraction_weeks": 26, "rounding": "AL_FINAL",
                     "overlap": "EARLIER_INSTITUTE", "pro_rata": "DAYS", "fraction_by": "SEMANAS_COMPLETAS"})  # fmt: skip
EACH = parse_rules({"days_per_week": 7, "weeks_per_year": 52, "fraction_weeks": 26, "rounding": "POR_CONSTANCIA",
                    "overlap": "EARLIER_INSTITUTE", "pro_rata": "DAYS"})  # fmt: skip


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    made = Desk(DirectCountry(tmp_path))
    yield made
    made.c.close()


@pytest.mark.parametrize(
    ("member", "day", "working_days", "last"),
    [
        ("15-ISSEMYM", "2024-09-30", 1, "2024-10-02"),  # the hand-over of the federal executive
        ("15-ISSEMYM", "2030-09-30", 1, "2030-10-02"),
        ("15-ISSEMYM", "2025-09-30", 1, "2025-10-01"),  # no hand-over in that year
        ("15-ISSEMYM", "2036-09-30", 1, "2036-10-02"),
        ("30-IPE", "2026-12-31", 1, "2027-01-04"),  # New Year's Day is a Friday
        ("30-IPE", "2027-12-31", 1, "2028-01-03"),  # and then a Saturday
        ("26-ISSSTESON", "2028-02-28", 1, "2028-02-29"),
        ("26-ISSSTESON", "2027-02-26", 1, "2027-03-01"),
        ("26-ISSSTESON", "2028-02-29", 0, "2028-02-29"),
        ("30-IPE", "2026-04-30", 1, "2026-05-04"),  # 1 May is a Friday
    ],
)
def test_terms_end_by_the_law_s_calendar_over_year_ends_leap_days_and_hand_overs(
    member: str, day: str, working_days: int, last: str
) -> None:
    assert (
        load_calendar(package_edition(), member).add(date.fromisoformat(day), working_days).isoformat()
        == last
    )


def test_a_state_s_calendar_is_that_state_s_only_and_may_have_a_leap_day(tmp_path: Path) -> None:
    file = tmp_path / "calendars.json"
    own = {"30": {"holidays": ["02-29", "06-24"], "suspensions": ["2026-12-21"], "cut_off_hour": 18}}
    file.write_text(json.dumps({"entities": own}), encoding="utf-8")
    veracruz, sonora = (
        load_calendar(package_edition(), "30-IPE", file),
        load_calendar(package_edition(), "26-ISSSTESON", file),
    )
    assert veracruz.add(date(2028, 2, 28), 1) == date(2028, 3, 1)
    assert sonora.add(date(2028, 2, 28), 1) == date(2028, 2, 29)
    assert veracruz.add(date(2026, 12, 18), 1) == date(2026, 12, 22)
    assert sonora.add(date(2026, 12, 18), 1) == date(2026, 12, 21)
    late = datetime(
        2027, 1, 1, 0, 30, tzinfo=UTC
    )  # half past six in the evening of the year's last day, in Veracruz
    assert (veracruz.local_day(late), sonora.local_day(late)) == (date(2027, 1, 1), date(2026, 12, 31))


def days_of(*spans: tuple[str, str, str]) -> Any:
    return total([Period(i, date.fromisoformat(a), date.fromisoformat(b)) for i, a, b in spans], RULES)


@pytest.mark.parametrize(
    ("spans", "union", "overlap"),
    [
        ([("A", "2000-02-28", "2000-03-01")], 3, 0),
        ([("A", "1999-02-28", "1999-03-01")], 2, 0),
        ([("A", "1900-02-28", "1900-03-01")], 2, 0),
        ([("A", "2000-01-01", "2000-12-31"), ("B", "2000-12-31", "2001-01-01")], 367, 1),
        ([("A", "2000-02-29", "2000-02-29"), ("B", "2000-02-29", "2000-02-29"), ("C", "2000-02-29", "2000-02-29")], 1, 2),
        ([("A", "1999-12-31", "2000-01-01"), ("B", "2000-01-01", "2000-01-02"), ("A", "2000-01-02", "2000-01-03")], 4, 2),
    ],
)  # fmt: skip
def test_days_over_leap_days_and_year_ends_count_once(
    spans: list[tuple[str, str, str]], union: int, overlap: int
) -> None:
    made = days_of(*spans)
    assert (made.union_days, made.overlap_days, sum(d for _, d in made.parts)) == (union, overlap, union)


HALF = (25 * 52 + 26) * 7


@pytest.mark.parametrize(
    ("days", "by_days", "by_weeks"),
    [(HALF, 25, 25), (HALF + 1, 26, 25), (HALF + 6, 26, 25), (HALF + 7, 26, 26), (HALF - 1, 25, 25), (0, 0, 0),
     (26 * 7, 0, 0), (26 * 7 + 1, 1, 0), (364, 1, 1), (363, 1, 1)],
)  # fmt: skip
def test_half_years_are_rounded_as_the_convention_says(days: int, by_days: int, by_weeks: int) -> None:
    assert recognised_years((days,), RULES) == by_days
    assert recognised_years((days,), WEEKS) == by_weeks
    assert recognised_years((days, days), EACH) == 2 * by_days


@pytest.mark.parametrize(
    ("cents", "parts", "given"),
    [
        (100, [("A", 1), ("B", 1), ("C", 1)], {"A": 34, "B": 33, "C": 33}),
        (0, [("A", 1), ("B", 2)], {"A": 0, "B": 0}),
        (1, [("A", 1), ("B", 9999)], {"A": 0, "B": 1}),
        (99_999_999, [("A", 0), ("B", 7)], {"A": 0, "B": 99_999_999}),
        (2, [("B", 1), ("A", 1), ("C", 1)], {"A": 1, "B": 1, "C": 0}),
    ],
)
def test_shares_add_up_to_the_centavo(
    cents: int, parts: list[tuple[str, int]], given: dict[str, int]
) -> None:
    assert share(cents, parts) == given


def with_digit(first16: str, differentiator: str) -> str:
    return f"{first16}{differentiator}{check_digit(first16 + differentiator)}"


@pytest.mark.parametrize(
    ("stem", "differentiator", "born"),
    [
        ("PEXJ000229HNEXXX", "A", "2000-02-29"),  # one surname, born abroad
        ("NUXX800101MNEXXX", "0", "1980-01-01"),
        ("OXDM991231XDFXXX", "9", "1999-12-31"),  # an apostrophe is an X, so is the sex
        ("MUXA040229MOCXXX", "B", "2004-02-29"),  # Ñ is an X
    ],
)
def test_persons_with_one_surname_born_abroad_or_on_a_leap_day_have_a_curp(
    stem: str, differentiator: str, born: str
) -> None:
    value = with_digit(stem, differentiator)
    assert parse_curp(value, date(2026, 3, 2)).born.isoformat() == born
    assert parse_curp(f" {value[:4].lower()}-{value[4:10]}–{value[10:]} ", date(2026, 3, 2)).value == value
    others = homonyms(parse_curp(value, date(2026, 3, 2)))
    assert len(others) == (9 if differentiator.isdigit() else 25)
    assert {parse_curp(o, date(2100, 1, 1)).born.isoformat() for o in others} == {born}


@pytest.mark.parametrize(("stem", "differentiator"), [("PEXJ000229HNEXXX", "0"), ("PEXJ010229HNEXXX", "A"), ("PEXJ260303HNEXXX", "A")])  # fmt: skip
def test_no_curp_is_of_a_day_that_does_not_exist_or_is_to_come(stem: str, differentiator: str) -> None:
    with pytest.raises(DomainError, match="SS-103"):
        parse_curp(with_digit(stem, differentiator), date(2026, 3, 2))


async def rectified(desk: Desk, who: str, **change: Any) -> tuple[str, Any]:
    """A rectification of the first period at ISSEMYM granted and carried out; what came of it, and the period as it is now."""
    services, pid = desk.c.institutes[ISSEMYM], PIDS[who][ISSEMYM]
    before = services.periods.served(pid)[0]
    heard = await desk.granted(
        ISSEMYM,
        who,
        "RECTIFICACION",
        periodo={"idPeriodo": before.period_id, "evidenciaSha256": "0" * 64, **change},
    )
    now = next(p for p in services.periods.served(pid) if p.period_id == before.period_id)
    return ("" if heard.is_done else heard.body["codigo"]), now


async def test_a_rectified_period_is_of_days_that_somebody_can_have_worked(desk: Desk) -> None:
    today = desk.c.now.date()
    tomorrow = today + timedelta(days=1)
    before = desk.c.institutes[ISSEMYM].periods.served(PIDS["ana"][ISSEMYM])[0]
    for change, code in (
        ({"desde": "1850-01-01", "hasta": "1900-01-01"}, "SS-406"),
        ({"desde": "0001-01-01", "hasta": "0001-12-31"}, "SS-406"),
        ({"desde": "1899-12-31"}, "SS-406"),
        ({"hasta": tomorrow.isoformat()}, "SS-103"),
        ({"hasta": "2023-02-29"}, "SS-100"),
        ({"hasta": "9999-12-31"}, "SS-103"),
        ({"diasDescontados": 40_000}, "SS-100"),
    ):
        heard, now = await rectified(desk, "ana", **change)
        assert heard == code, (change, heard)
        assert now == before, change
    heard, now = await rectified(
        desk,
        "ana",
        desde="2004-02-29",
        hasta="2004-02-29",
        motivoTraslape="Dos plazas a la vez, en turnos distintos",
    )
    assert (heard, now.days) == ("", 1)
    heard, now = await rectified(desk, "ana", diasDescontados=1)
    assert (heard, now.days) == ("", 0)
    name = "D'Añorve & Cía., S.C. <Nº 1>"
    heard, now = await rectified(desk, "ana", empleador={"clave": name})
    assert (heard, now.employer) == ("", name)


async def test_a_day_of_two_posts_at_one_institute_counts_once_wherever_it_is_told(desk: Desk) -> None:
    services, pid = desk.c.institutes[ISSEMYM], PIDS["ana"][ISSEMYM]
    (period, *others) = services.periods.served(pid)
    assert period.until is not None
    told = build_history(services, pid, pid)
    more = {"desde": period.since.isoformat(), "hasta": period.until.isoformat(), "empleador": {"clave": "X-9"},
            "evidenciaSha256": "0" * 64, "motivoTraslape": "Dos plazas a la vez, en turnos distintos"}  # fmt: skip
    granted = await desk.granted(ISSEMYM, "ana", "RECTIFICACION", periodo=more)
    assert granted.is_done, granted
    twice = build_history(services, pid, pid)
    assert twice["totalDias"] == told["totalDias"] + period.days, "each certificate's days, as they are"
    assert twice["constanciaBaja"] == told["constanciaBaja"], "but no week counts twice"
    assert f"{period.days} días se traslapan" in twice["computo"]
    assert total(own_periods(services, pid), RULES).union_days == told["totalDias"]
    assert (
        others
        == [p for p in services.periods.served(pid) if p.period_id not in (period.period_id,)][: len(others)]
    )


async def test_a_case_of_the_year_s_last_day_ends_in_the_next_year_on_its_very_day(desk: Desk) -> None:
    desk.c.now = datetime(2027, 1, 1, 5, 59, tzinfo=UTC)  # a minute to midnight in Toluca
    body = {"pid": PIDS["ana"][ISSEMYM], "convenio": "CONV-DEMO-2025-01", "beneficio": "VEJEZ",
            "contrapartes": [MEMBERS[IPE]], "avisar": True}  # fmt: skip
    case = "PORT-15-2026-00000077"
    opened = await desk.c.ask(f"{ISSEMYM}/PORT", ISSEMYM, "abrirCaso", body, "PUR-PORT", case, ANALYST)
    assert opened.is_done, opened
    last = date.fromisoformat(opened.body["fechaLimite"])
    assert last == load_calendar(package_edition(), ISSEMYM).add(date(2026, 12, 31), 60) == date(2027, 3, 29)
    await desk.c.settle()
    desk.c.now = datetime(2027, 3, 30, 5, 59, tzinfo=UTC)  # still its last day there
    await desk.c.settle()
    assert desk.case(case, ISSEMYM).state == "PRESENTADA"
    desk.c.now += timedelta(minutes=2)
    await desk.c.settle()
    assert {desk.case(case, c).state for c in (ISSEMYM, IPE)} == {"VENCIDA"}


@pytest.mark.parametrize(
    ("change", "case", "code"),
    [
        ({"beneficio": "ORFANDAD"}, "PORT-15-2026-00000001", "SS-403"),
        ({"contrapartes": ["MX/GOB/30-IPE", "MX/GOB/30-IPE"]}, "PORT-15-2026-00000001", "SS-400"),
        ({"contrapartes": ["MX/GOB/15-ISSEMYM"]}, "PORT-15-2026-00000001", "SS-400"),
        ({"contrapartes": ["MX/GOB/07-NADIE"]}, "PORT-15-2026-00000001", "SS-403"),
        ({"contrapartes": []}, "PORT-15-2026-00000001", "SS-100"),
        ({"convenio": "CONV-QUE-NO-HAY"}, "PORT-15-2026-00000001", "SS-403"),
        ({"pid": PIDS["ana"]["30-IPE"]}, "PORT-15-2026-00000001", "SS-300"),
        ({}, "PORT-30-2026-00000001", "SS-200"),
    ],
)  # fmt: skip
async def test_a_case_that_cannot_be_is_refused_with_cause_and_holds_nothing(
    desk: Desk, change: dict[str, Any], case: str, code: str
) -> None:
    right = {"pid": PIDS["ana"][ISSEMYM], "convenio": "CONV-DEMO-2025-01", "beneficio": "VEJEZ",
             "contrapartes": [MEMBERS[IPE]]}  # fmt: skip
    refused = await desk.c.ask(
        f"{ISSEMYM}/PORT", ISSEMYM, "abrirCaso", right | change, "PUR-PORT", case, ANALYST
    )
    assert refused.body["codigo"] == code, refused
    assert desk.c.institutes[ISSEMYM].cases.all() == []
    right_one = "PORT-15-2026-00000002"
    opened = await desk.c.ask(f"{ISSEMYM}/PORT", ISSEMYM, "abrirCaso", right, "PUR-PORT", right_one, ANALYST)
    assert opened.is_done, "what was refused holds no benefit"


async def test_deaths_told_at_one_instant_by_two_institutes_are_one_or_a_case(desk: Desk) -> None:
    same = await asyncio.gather(
        desk.died(ISSEMYM, "ana", "2026-02-28", "2026-03-01"),
        desk.died(IPE, "ana", "2026-02-28", "2026-03-01"),
    )
    assert [h.body["aplicado"] for h in same] == [True, True]
    other = await desk.died(IPE, "ana", "2026-03-01", "2026-03-01")
    assert (other.body["aplicado"], "caso" in other.body) == (False, True), "another day is for an officer"
    await desk.c.settle()
    for code in (ISSEMYM, IPE):
        services = desk.c.institutes[code]
        assert services.vital.died(PIDS["ana"][code]) == date(2026, 2, 28)


async def test_a_death_with_an_open_case_leaves_it_to_her_representative_and_no_retirement_is_begun(
    desk: Desk,
) -> None:
    assert (await desk.open(ISSEMYM, "ana", "JUBILACION")).is_done
    assert (await desk.died(ISSEMYM, "ana", "2026-03-01", "2026-03-02")).body["aplicado"]
    await desk.c.settle()
    case = desk.case("PORT-15-2026-00000001", ISSEMYM).case
    body = {"evento": "DESISTIR", "pid": PIDS["ana"][ISSEMYM]}
    for role, done in ((PERSON, False), ("REPRESENTANTE", True)):
        heard = await desk.c.ask(f"{ISSEMYM}/PORT", ISSEMYM, "avanzarCaso", body, "PUR-PORT", case, role)
        assert heard.is_done is done, heard
    refused = await desk.open(ISSEMYM, "ana", "VEJEZ", 2)
    assert refused.body["codigo"] == "SS-302"


async def test_a_suspended_institute_does_what_ends_cases_and_what_persons_ask(desk: Desk) -> None:
    assert (await desk.open(ISSEMYM, "ana", "JUBILACION")).is_done
    told = {
        "idAviso": "MEMBRESIA:1",
        "miembro": MEMBERS[ISSEMYM],
        "estado": "SUSPENDIDA",
        "fecha": "2026-03-02",
    }
    heard = await desk.c.ask("00-ONIESS/SUPERV", "00-RNSS", "notificarMembresia", told, "PUR-SUPERV",
                             "NEG-00-2026-00000001", "SISTEMA")  # fmt: skip
    assert heard.is_done, heard
    refused = await desk.open(ISSEMYM, "ana", "VEJEZ", 2)
    assert not refused.is_done, "it begins nothing"
    body = {"evento": "DESISTIR", "pid": PIDS["ana"][ISSEMYM]}
    case = "PORT-15-2026-00000001"
    given_up = await desk.c.ask(f"{ISSEMYM}/PORT", ISSEMYM, "avanzarCaso", body, "PUR-PORT", case, PERSON)
    assert given_up.is_done, given_up
    await desk.c.settle()
    # Her benefit is free: the institute's fault is not hers.
    elsewhere = {"pid": PIDS["ana"][IPE], "convenio": "CONV-DEMO-2025-01", "beneficio": "JUBILACION",
                 "contrapartes": [MEMBERS[SONORA]]}  # fmt: skip
    opened = await desk.c.ask(
        f"{IPE}/PORT", IPE, "abrirCaso", elsewhere, "PUR-PORT", "PORT-30-2026-00000001", ANALYST
    )
    assert opened.is_done, opened
