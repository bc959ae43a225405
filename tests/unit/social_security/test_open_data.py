"""What is published without login, and what ONIESS does about violations."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pytest

from serving.storage.database import Database
from social_security.domain.benefits import UNKNOWN, benefits, check_requirements, find_benefit, measures
from social_security.domain.calendars import load_calendar
from social_security.domain.edition import package_edition
from social_security.domain.history import parse_rules
from social_security.domain.indicators import (
    INDICATORS,
    MEDIANS,
    OF_PERSONS,
    Count,
    add_up,
    render_count,
    render_uncounted,
)
from social_security.domain.pack import document
from social_security.oniess.adoption import outdated
from social_security.oniess.catalogue import build_catalogue
from social_security.oniess.collecting import Gathered
from social_security.oniess.escalation import add_up as add_up_violations
from social_security.oniess.escalation import escalate
from social_security.oniess.readings import compute_month, institutes_of
from social_security.oniess.store import Application, OniessStore
from social_security.oniess.tables import STEPS
from tests.social import SmallCountry, small_country

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

RULES = parse_rules(document("benefits.json")["rules"])
NOW = datetime(2026, 4, 20, 16, tzinfo=UTC)
IPE = "MX/GOB/30-IPE"


@pytest.fixture
async def country(tmp_path: Path) -> AsyncIterator[SmallCountry]:
    async with small_country(tmp_path) as made:
        yield made


async def test_retirees_are_published_by_name_and_amount_with_the_silent_members_named(
    country: SmallCountry,
) -> None:
    found = await country.read("00-ONIESS", "/jubilados")
    assert found["jubilados"] == [
        {"instituto": IPE, "nombre": "María Inés Ñandú Ensayo", "montoCentavos": 1245050}
    ]
    assert found["silenciosos"] == ["MX/EXT/22-MQRO", "MX/GOB/26-ISSSTESON"]
    text = await country.read("00-ONIESS", "/jubilados?formato=csv")
    assert next(csv.DictReader(io.StringIO(text)))["nombre"] == "María Inés Ñandú Ensayo"


async def test_member_that_is_silent_is_named_and_its_last_reading_stands_in(country: SmallCountry) -> None:
    await country.read("00-ONIESS", "/jubilados")
    country.roads["00-ONIESS"].down.add("30-IPE")
    found = await country.read("00-ONIESS", "/jubilados")
    assert IPE in found["silenciosos"]
    assert [r["instituto"] for r in found["jubilados"]] == [IPE]


async def test_every_indicator_is_answered_and_says_its_source(country: SmallCountry) -> None:
    rows = {r["id"]: r for r in await country.read("00-ONIESS", "/indicadores?periodo=2026-03")}
    assert list(rows) == [i.id for i in INDICATORS]
    assert (rows["IND-13"]["valor"], rows["IND-13"]["numerador"]) == (0.31, None)
    assert (rows["IND-01"]["numerador"], rows["IND-01"]["denominador"]) == (3, 22)
    assert "de 32" in rows["IND-01"]["fuente"]
    assert (rows["IND-02"]["suprimido"], rows["IND-02"]["denominador"]) == (False, 3)
    assert (rows["IND-11"]["valor"], rows["IND-16"]["fuente"]) == (0.95, "sin fuente")
    assert "22-MQRO" in rows["IND-07"]["fuente"]


@pytest.mark.parametrize("path", ["/indicadores?periodo=2026", "/jubilados?formato=pdf"])
async def test_reading_that_is_not_understood_is_refused(country: SmallCountry, path: str) -> None:
    assert (await country.read("00-ONIESS", path))["codigo"] == "SS-100"


def test_counts_of_members_add_up_and_small_cells_are_suppressed() -> None:
    whole = add_up(
        [{"IND-07": {"numerador": 4, "denominador": 5}}, {"IND-07": {"numerador": 4, "denominador": 5}}]
    )
    indicators = {i.id: i for i in INDICATORS}
    assert render_count(indicators["IND-07"], "2026-04", whole["IND-07"], "m")["valor"] == 0.8
    assert render_count(indicators["IND-08"], "2026-04", Count(3), "m")["suprimido"] is True
    assert render_count(indicators["IND-04"], "2026-04", Count(values=[1, 9, 5, 7, 3]), "m")["valor"] == 5
    assert render_count(indicators["IND-04"], "2026-04", Count(values=[1, 9]), "m")["suprimido"] is True


def test_only_counts_of_persons_are_suppressed_when_small() -> None:
    for indicator in INDICATORS:
        row = render_count(indicator, "2026-04", Count(1, 3, [2] if indicator.id in MEDIANS else []), "m")
        assert row["suprimido"] == (indicator.id in OF_PERSONS), indicator.id


def test_no_indicator_shows_counts_that_nobody_told() -> None:
    for row in (render_uncounted(i, "2026-04") for i in INDICATORS):
        assert (row["numerador"], row["denominador"]) == (None, None)
        assert (row["valor"] is None) == (row["id"] != "IND-13")


@pytest.mark.parametrize(
    ("paths", "institutes"),
    [
        (["MX/GOB/00-RNSS", "MX/GOB/00-ONIESS", "MX/GOB/15-ISSEMYM"], 1),
        (["MX/EXT/22-MQRO", "MX/GAR/15-GARANTE", "MX/GOB/33-X", "MX/GOB/32-ISSSTEZAC"], 1),
        ([], 0),
    ],
)
def test_institutes_are_those_of_a_state_only(paths: list[str], institutes: int) -> None:
    assert len(institutes_of(paths)) == institutes


def test_measure_nobody_knows_makes_a_requirement_unknown_never_unmet() -> None:
    benefit = find_benefit(package_edition(), IPE, "VEJEZ")
    assert benefit is not None
    found = check_requirements(benefit, measures(9059, None, RULES))
    assert (found["resultado"], [r["resultado"] for r in found["requisitos"]]) == (
        UNKNOWN,
        [UNKNOWN, "CUMPLE"],
    )
    assert "tiene" not in found["requisitos"][0]
    assert check_requirements(benefit, measures(100, 70, RULES))["resultado"] == "NO_CUMPLE"


def test_every_benefit_of_the_catalogue_names_requirements_evidence_and_law() -> None:
    for benefit in benefits(package_edition()):
        assert benefit.requirements
        assert benefit.evidence
        assert benefit.basis.startswith("mx:")
        assert benefit.time.startswith("P")


def violations(cases: int) -> Gathered:
    row = {"miembro": IPE, "regla": "oss:no-curp", "codigo": "SS-105", "casos": cases}
    return Gathered({"MX/GOB/15-ISSEMYM": {"violaciones": [row]}}, ())


def test_each_measure_is_taken_once_and_the_third_lays_an_order_before_the_governing_body(
    tmp_path: Path,
) -> None:
    store, calendar = (
        OniessStore(Database(tmp_path / "oniess.sqlite", STEPS)),
        load_calendar(package_edition(), "00-ONIESS"),
    )
    store.add_members([IPE])

    def rounds(cases: int) -> list[Any]:
        return escalate(store, add_up_violations(violations(cases)), NOW, calendar)

    assert rounds(1) == [IPE]
    assert rounds(1) == []
    assert store.proposed_orders() == {}
    assert rounds(4) == [IPE, IPE]
    sent = store.database.query("SELECT member, body FROM outbox ORDER BY id")
    assert [("APERCIBIMIENTO" in b, "PLAN" in b, "SUSPENSION" in b) for _, b in sent] == [
        (True, False, False),
        (False, True, False),
        (False, False, True),
    ]
    assert b'"member": "MX/GOB/30-IPE"' in store.proposed_orders()[IPE]
    store.database.close()


def test_the_cost_says_what_a_thousand_messages_cost_too(tmp_path: Path) -> None:
    store = OniessStore(Database(tmp_path / "oniess.sqlite", STEPS))
    store.add_members([IPE, "MX/GOB/15-ISSEMYM"])
    store.set_cost("2026-03", 500_000_00)
    told = {IPE: {"IND-11": {"numerador": 30_000, "denominador": 40_000}}}
    row = next(r for r in compute_month(store, "2026-03", told, ()) if r["id"] == "IND-16")
    assert (row["valor"], "12,500.00 MXN por millar" in row["fuente"]) == (250_000, True), row
    silent = next(r for r in compute_month(store, "2026-03", {}, ()) if r["id"] == "IND-16")
    assert "millar" not in silent["fuente"]
    store.database.close()


def test_the_catalogue_flags_each_member_by_its_last_report(tmp_path: Path) -> None:
    def brought(code: str, reported: str) -> Application:
        gates = {
            "conformidad": {"estado": "APROBADA", "reporte": reported}
            if reported
            else {"estado": "PENDIENTE"}
        }
        request = {"codigoPropuesto": code, "subsistemas": ["HIST", "PORT"]}
        return Application(f"ALTA-{code[:2]}", request, "ACTIVA", date(2025, 1, 2), None, gates)

    members = [{"miembro": f"MX/GOB/{c}", "estado": s} for c, s in
               (("30-IPE", "ACTIVA"), ("15-ISSEMYM", "SUSPENDIDA"), ("26-ISSSTESON", "ACTIVA"), ("14-IPEJAL", "ACTIVA"))]  # fmt: skip
    made = build_catalogue(
        package_edition(), members,
        [brought("30-IPE", "2025-03-02"), brought("15-ISSEMYM", "2025-03-01"), brought("26-ISSSTESON", "")],
        date(2026, 3, 2),
    )  # fmt: skip
    flags = {
        e["@id"].partition("MX/")[2]: (e["oss:conformidad"], e["oss:estado"])
        for e in made["@graph"]
        if "oss:conformidad" in e
    }
    assert flags["GOB/30-IPE/HIST/oss-v1"] == flags["GOB/30-IPE"] == ("VIGENTE", "ACTIVA")
    assert flags["GOB/15-ISSEMYM/PORT/oss-v1"] == ("VENCIDA", "SUSPENDIDA")
    assert flags["GOB/26-ISSSTESON/HIST/oss-v1"] == flags["GOB/14-IPEJAL"] == ("SIN_REPORTE", "ACTIVA")
    (catalogue,) = [e for e in made["@graph"] if e["@type"] == "dcat:Catalog"]
    assert len(catalogue["dcat:service"]) == 6
    assert made["@graph"] != document("catalogue.jsonld")["@graph"], "the pack's document stays as it is"


def test_an_approval_that_no_longer_says_how_a_member_is_is_named() -> None:
    gates = {"titular": {"politica": "a" * 64}, "conformidad": {"reporte": "2025-03-01"}, "documentos": {}}
    assert outdated(gates, "a" * 64, date(2026, 3, 1)) == []
    assert outdated(gates, "b" * 64, date(2026, 3, 2)) == ["titular", "conformidad"]
    assert outdated({}, "b" * 64, date(2026, 3, 2)) == []
