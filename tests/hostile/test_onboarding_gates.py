"""Gates tried out of their time, by the wrong member, or twice: each is refused by the system itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from social_security.domain import pack
from tests.social import SmallCountry, small_country

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

CASE = "ALTA-14-2026-00000001"
BODY: dict[str, Any] = {
    "nombre": "Instituto de prueba",
    "entidad": "14",
    "clasePropuesta": "GOB",
    "codigoPropuesto": "14-IPEJAL",
    "fundamentoCreacion": "Ley",
    "subsistemas": ["AFIL"],
    "contactos": [{"rol": r, "correo": "x@example.mx"} for r in pack.codes()["contact_roles"]],
}
GATE = {"resultado": "APROBADA", "evidenciaSha256": "a" * 64, "resueltoPor": "oniess:op-1"}


@pytest.fixture
async def country(tmp_path: Path) -> AsyncIterator[SmallCountry]:
    """A small country; its date is 2 March 2026."""
    async with small_country(tmp_path) as made:
        yield made


async def alta(
    c: SmallCountry,
    operation: str,
    body: dict[str, Any],
    *,
    by: str = "00-ONIESS",
    case: str = CASE,
    gate: str = "",
) -> tuple[int, dict[str, Any]]:
    """One act of onboarding."""
    return await c.ask(
        f"{by}/ALTA", "00-ONIESS", operation, body, purpose="PUR-ALTA", case=case, role="OPERADOR_ALTA",
        path={"caso": case, "compuerta": gate},
    )  # fmt: skip


@pytest.mark.parametrize("by", ["15-ISSEMYM", "30-IPE", "00-RNSS", "14-IPEJAL", "15-GARANTE"])
async def test_only_oniess_decides_on_gates(country: SmallCountry, by: str) -> None:
    assert (await alta(country, "solicitarAlta", BODY, by=by))[1]["codigo"] == "SS-210"
    await alta(country, "solicitarAlta", BODY)
    assert (await alta(country, "resolverCompuerta", GATE, by=by, gate="documentos"))[1]["codigo"] == "SS-210"
    assert (await alta(country, "activarAlta", {"fecha": "2026-03-02"}, by=by))[1]["codigo"] == "SS-210"
    _, seen = await alta(country, "verAlta", {})
    assert set(seen["compuertas"].values()) == {"PENDIENTE"}


@pytest.mark.parametrize("filed", ["2020-01-01", "2026-03-01", "2026-03-03", "2030-01-01", "9999-12-31"])
async def test_impact_assessment_is_filed_between_the_application_and_today(
    country: SmallCountry, filed: str
) -> None:
    await alta(country, "solicitarAlta", BODY)
    _, refused = await alta(country, "resolverCompuerta", GATE | {"presentadaEl": filed}, gate="impacto")
    assert (refused["codigo"], refused["campo"]) == ("SS-601", "presentadaEl")


async def test_a_rejected_impact_assessment_takes_its_term_back(country: SmallCountry) -> None:
    await alta(country, "solicitarAlta", BODY)
    _, approved = await alta(country, "resolverCompuerta", GATE, gate="impacto")
    assert approved["operacionDesde"] == "2026-04-13"
    _, rejected = await alta(country, "resolverCompuerta", GATE | {"resultado": "RECHAZADA"}, gate="impacto")
    assert "operacionDesde" not in rejected


@pytest.mark.parametrize(
    "changed",
    [
        {"codigoPropuesto": "15-ISSEMYM", "entidad": "15"},
        {"codigoPropuesto": "30-IPE", "entidad": "30", "clasePropuesta": "EXT"},
        {"codigoPropuesto": "00-RNSS", "entidad": "00"},
        {"codigoPropuesto": "00-ONIESS", "entidad": "00"},
    ],
)
async def test_a_code_that_a_member_has_is_not_given_twice(
    country: SmallCountry, changed: dict[str, Any]
) -> None:
    assert (await alta(country, "solicitarAlta", BODY | changed))[1]["codigo"] == "SS-205"


async def test_a_code_of_another_state_or_of_an_open_application_is_refused(country: SmallCountry) -> None:
    assert (await alta(country, "solicitarAlta", BODY | {"entidad": "15"}))[1]["codigo"] == "SS-600"
    assert (await alta(country, "solicitarAlta", BODY))[0] == 201
    other = "ALTA-14-2026-00000002"
    status, refused = await alta(country, "solicitarAlta", BODY, case=other)
    assert (status, refused["codigo"]) == (409, "SS-205")
    assert CASE in refused["mensaje"]
    assert (await alta(country, "solicitarAlta", BODY))[0] == 201
    changed = await alta(country, "solicitarAlta", BODY | {"nombre": "Otro"})
    assert changed[1]["codigo"] == "SS-402"


@pytest.mark.parametrize("day", ["2027-03-02", "2026-03-03", "2026-03-01", "2020-01-01", "9999-12-31"])
async def test_activation_on_another_day_than_today_is_refused(country: SmallCountry, day: str) -> None:
    await alta(country, "solicitarAlta", BODY)
    status, refused = await alta(country, "activarAlta", {"fecha": day})
    assert (status, refused["codigo"]) == (409, "SS-600")
    await alta(country, "resolverCompuerta", GATE, gate="impacto")
    _, refused = await alta(country, "activarAlta", {"fecha": day})
    # Its thirty working days have not passed today, whatever day is asked for.
    assert refused["codigo"] == "SS-601"


@pytest.mark.parametrize("made", ["2026-03-03", "2027-01-01", "2026-01-30", "2020-01-01"])
async def test_a_conformance_report_of_another_time_is_refused(country: SmallCountry, made: str) -> None:
    await alta(country, "solicitarAlta", BODY)
    report = {"suite": "OSS-CONF 1.0", "fecha": made, "pruebas": {"C-01": True}}
    _, refused = await alta(country, "resolverCompuerta", GATE | {"reporte": report}, gate="conformidad")
    assert refused["codigo"] == "SS-602"
