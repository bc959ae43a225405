"""The pictures of the portals and their numbers: a career over all institutes, the 32 states, the filter of the access log."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from social_security.domain import pack
from social_security.portal.country import Presence, draw_country, render_rows
from social_security.portal.logfilter import AccessFilter
from social_security.portal.timeline import LEFT, WIDTH, Span, draw_career, years_and_days
from social_security.portal.words import indicator_value, relevant_terms

DAYS = st.dates(date(1960, 1, 1), date(2026, 3, 1))


def history(institute: str, *periods: tuple[str, str | None]) -> dict[str, Any]:
    """A ``Historia`` with periods of a beginning and an end; without an end it is counted to 1 March 2026."""
    return {
        "instituto": institute,
        "periodos": [
            {
                "desde": since,
                "dias": 1,
                **({"contadoHasta": "2026-03-01"} if until is None else {"hasta": until}),
            }
            for since, until in periods
        ],
    }


def spans(found: tuple[tuple[Span, float, float], ...]) -> list[tuple[str, str, int]]:
    """Spans of a picture as dates."""
    return [(s.since.isoformat(), s.until.isoformat(), s.days) for s, _, _ in found]


def test_gaps_and_overlaps_are_of_all_institutes_together() -> None:
    picture = draw_career([
        history("MX/GOB/15-ISSEMYM", ("1999-03-01", "2009-08-31")),
        history("MX/GOB/26-ISSSTESON", ("2009-08-16", "2015-02-15")),
        history("MX/GOB/30-IPE", ("2015-03-01", None)),
    ])  # fmt: skip
    assert picture is not None
    assert spans(picture.gaps) == [("2015-02-16", "2015-02-28", 13)]
    assert spans(picture.overlaps) == [("2009-08-16", "2009-08-31", 16)]
    assert [lane.institute for lane in picture.lanes] == [
        "MX/GOB/15-ISSEMYM",
        "MX/GOB/26-ISSSTESON",
        "MX/GOB/30-IPE",
    ]
    assert [b.is_open for lane in picture.lanes for b in lane.bars] == [False, False, True]


def test_periods_that_touch_have_no_gap_and_nobody_s_history_has_no_picture() -> None:
    picture = draw_career(
        [history("a", ("2000-01-01", "2000-01-31")), history("b", ("2000-02-01", "2000-02-01"))]
    )
    assert picture is not None
    assert (picture.gaps, picture.overlaps) == ((), ())
    assert draw_career([]) is None
    assert draw_career([history("a")]) is None
    assert draw_career([{"instituto": "a", "periodos": [{"desde": "2020-01-01", "dias": 0}]}]) is None


@given(st.lists(st.tuples(st.sampled_from("abc"), DAYS, DAYS), min_size=1, max_size=12))
def test_every_day_is_in_a_period_or_in_a_gap_and_the_picture_stays_in_its_frame(
    periods: list[tuple[str, date, date]],
) -> None:
    told = [
        history(who, *((min(a, b).isoformat(), max(a, b).isoformat()) for w, a, b in periods if w == who))
        for who in "abc"
    ]
    picture = draw_career(told)
    assert picture is not None
    covered = {d for _, a, b in periods for d in range(min(a, b).toordinal(), max(a, b).toordinal() + 1)}
    between = {d for s, _, _ in picture.gaps for d in range(s.since.toordinal(), s.until.toordinal() + 1)}
    assert covered.isdisjoint(between)
    assert covered | between == set(range(min(covered), max(covered) + 1))
    twice = {d for s, _, _ in picture.overlaps for d in range(s.since.toordinal(), s.until.toordinal() + 1)}
    assert twice == {
        d
        for d in covered
        if sum(min(a, b).toordinal() <= d <= max(a, b).toordinal() for _, a, b in periods) > 1
    }
    for lane in picture.lanes:
        for bar in lane.bars:
            assert LEFT <= bar.x <= WIDTH - LEFT
            assert bar.x + bar.width <= WIDTH
    assert all(one[1] < other[1] for one, other in pairwise(picture.marks))


def test_days_are_told_as_years_of_365_days() -> None:
    assert years_and_days(9059) == (24, 299)
    assert years_and_days(364) == (0, 364)


def test_every_state_has_a_tile_of_its_own_and_says_how_far_it_is() -> None:
    tiles = draw_country({
        "altas": [{"codigo": "19-ISSSTELEON", "estado": "CONVENIO"}, {"codigo": "15-ISSEMYM", "estado": "ACTIVA"}],
        "miembros": [
            {"miembro": "MX/GOB/15-ISSEMYM", "estado": "ACTIVA"}, {"miembro": "MX/GOB/30-IPE", "estado": "SUSPENDIDA"},
            {"miembro": "MX/GOB/26-ISSSTESON", "estado": "BAJA"}, {"miembro": "MX/EXT/22-MQRO", "estado": "ACTIVA"},
            {"miembro": "MX/GOB/00-RNSS", "estado": "ACTIVA"},
        ],
    })  # fmt: skip
    assert [t.number for t in tiles] == [f"{n:02}" for n in range(1, 33)]
    assert len({(t.x, t.y) for t in tiles}) == 32
    found = {t.number: t.presence for t in tiles if t.presence is not Presence.OUT}
    assert found == {"15": Presence.IN, "19": Presence.COMING, "30": Presence.COMING}
    rows = render_rows(tiles)
    assert len(rows) == 33
    assert ("26", "Sonora", "fuera", "26-ISSSTESON BAJA") in rows
    assert {t.name for t in tiles} == {e["name"] for e in pack.codes()["entities"] if e["number"] != "99"}


@pytest.mark.parametrize(
    ("query", "taken"),
    [
        ({}, [0, 1, 2]),
        ({"quien": "otros"}, [1, 2]),
        ({"quien": "propias"}, [0]),
        ({"resultado": "NEGADO"}, [2]),
        ({"quien": "otros", "proposito": "PUR-PORT"}, [1]),
        ({"quien": "<script>", "resultado": "x", "proposito": "y"}, [0, 1, 2]),
    ],
)
def test_the_filter_of_the_access_log_takes_what_is_chosen(query: dict[str, str], taken: list[int]) -> None:
    me = "MX/GOB/15-ISSEMYM"
    rows = [
        {
            "receiverCode": me,
            "receiverSystem": "Portal ciudadano",
            "outcome": "ENTREGADO",
            "purpose": "PUR-HIST",
        },
        {
            "receiverCode": "MX/GOB/30-IPE",
            "receiverSystem": "X",
            "outcome": "ENTREGADO",
            "purpose": "PUR-PORT",
        },
        {"receiverCode": me, "receiverSystem": "Ventanilla", "outcome": "NEGADO", "purpose": "PUR-HIST"},
    ]
    chosen = AccessFilter.read(query)
    assert [n for n, row in enumerate(rows) if chosen.takes(row, me)] == taken
    assert AccessFilter.read(chosen.address()) == chosen


def test_a_term_that_no_longer_runs_is_not_shown() -> None:
    assert relevant_terms("RECIBIDA") == ("limitePrevencion", "limiteRespuesta", "limiteRecurso")
    assert relevant_terms("IMPROCEDENTE") == ("limiteRecurso",)
    assert relevant_terms("CUMPLIDA") == ()


def test_a_ratio_is_told_as_a_percentage_of_what() -> None:
    row = {"valor": 3 / 22, "unidad": "razón", "numerador": 3, "denominador": 22}
    assert in_both(row) == ("13.6 % (3 / 22)", "13.6 % (3 / 22)")
    assert in_both(row | {"valor": 0.31, "numerador": None, "denominador": None})[0] == "31 %"
    assert in_both({"valor": 12.0, "unidad": "días hábiles"}) == ("12 días hábiles", "12 working days")


def in_both(row: dict[str, object]) -> tuple[str, str]:
    said = indicator_value(row)
    return said.into("es"), said.into("en")
