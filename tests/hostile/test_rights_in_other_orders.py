"""A person's rights in orders that nobody planned: an appeal won twice, a rectification of what was cancelled, access after opposing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from social_security.domain import pack
from social_security.institute.arco import refusal_digest
from tests.directgateway import DirectCountry
from tests.property.countrymachine import MEMBERS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AT = "15-ISSEMYM"
ANA = next(p["pids"][AT] for p in pack.persons()["persons"] if p["name"] == "ana")
GUARANTOR, PERSON, UNIT = "GARANTE", "TITULAR", "UNIDAD_TRANSPARENCIA"


class Desk:
    """Ana's requests at her institute, numbered as they come."""

    def __init__(self, country: DirectCountry) -> None:
        self.country, self.number = country, 0

    async def file(self, right: str, **more: Any) -> str:
        self.number += 1
        folio = f"ARCO-15-2026-{self.number:08d}"
        body = {"pid": ANA, "derecho": right, "representante": False, "nivelIdentidad": "LOA2", "modalidad": "ELECTRONICA",
                "recibidaEl": self.country.now.isoformat(), "responsables": [MEMBERS[AT]], "descripcion": "Lo que digo."}  # fmt: skip
        heard = await self.country.ask(
            f"{AT}/ARCO", AT, "presentarArco", body | more, "PUR-ARCO", folio, PERSON
        )
        assert heard.is_done, heard
        return folio

    async def advance(self, folio: str, state: str, role: str = UNIT, **more: Any) -> Any:
        client = "15-GARANTE/SUPERV" if role == GUARANTOR else f"{AT}/ARCO"
        body = {"estado": state, "ocurridoEl": self.country.now.isoformat(), **more}
        return await self.country.ask(client, AT, "avanzarArco", body, "PUR-ARCO", folio, role)

    async def grant(self, folio: str) -> Any:
        await self.advance(folio, "EN_TRAMITE")
        await self.advance(folio, "PROCEDENTE")
        return await self.advance(folio, "EFECTIVA")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    country = DirectCountry(tmp_path)
    yield Desk(country)
    country.close()


def correction(desk: Desk, **values: Any) -> dict[str, Any]:
    period = desk.country.institutes[AT].periods.served(ANA)[0]
    return {"idPeriodo": period.period_id, "evidenciaSha256": "0" * 64, **values}


async def test_an_appeal_that_is_won_twice_corrects_once(desk: Desk) -> None:
    periods = desk.country.institutes[AT].periods
    folio = await desk.file("RECTIFICACION", periodo=correction(desk, diasDescontados=10))
    await desk.advance(folio, "EN_TRAMITE")
    no = await desk.advance(folio, "IMPROCEDENTE", causas=["IV"], resolucionComite="CT/1")
    for _ in range(2):
        hers = {"huellaNegativa": refusal_digest(no.body["negativa"])}
        assert (await desk.advance(folio, "RECURRIDA", PERSON, **hers)).is_done
        assert (await desk.advance(folio, "RESUELTA_RR", GUARANTOR, sentido="REVOCAR")).is_done
        again = await desk.advance(folio, "RESUELTA_RR", GUARANTOR, sentido="REVOCAR")
        assert again.body["codigo"] == "SS-400"
        assert (await desk.advance(folio, "EFECTIVA")).is_done
        assert (await desk.advance(folio, "EFECTIVA")).body["codigo"] == "SS-400"
        assert [(p.version, p.discounted) for p in periods.served(ANA)] == [(2, 10)]


async def test_nobody_grants_a_rectification_of_what_was_cancelled(desk: Desk) -> None:
    assert (await desk.grant(await desk.file("CANCELACION", datos=["historia"]))).is_done
    folio = await desk.file("RECTIFICACION", periodo=correction(desk, diasDescontados=3))
    await desk.advance(folio, "EN_TRAMITE")
    granted = await desk.advance(folio, "PROCEDENTE")
    assert (granted.body["codigo"], "historia" in granted.body["motivacion"]) == ("SS-208", True), granted
    refused = await desk.advance(folio, "IMPROCEDENTE", causas=["IV"], resolucionComite="CT/1")
    assert refused.is_done, "the unit has a way on: it refuses, and she may appeal"


async def test_who_opposes_a_use_still_sees_her_own_data_whole(desk: Desk) -> None:
    before = len(desk.country.institutes[AT].periods.served(ANA))
    assert (
        await desk.grant(
            await desk.file("OPOSICION", datos=["historia", "identidad"], propositos=["PUR-HIST"])
        )
    ).is_done
    folio = await desk.file("ACCESO")
    assert (await desk.grant(folio)).is_done
    seen = await desk.country.ask(f"{AT}/ARCO", AT, "verArco", {}, "PUR-ARCO", folio, PERSON)
    assert len(seen.body["paquete"]["historia"]["periodos"]) == before, seen
    others = await desk.country.ask(
        f"{AT}/HIST", AT, "consultarHistoria", {"pid": ANA}, "PUR-HIST", "CONS-15-2026-00000001", "ANALISTA_PORTABILIDAD"
    )  # fmt: skip
    assert others.body["codigo"] == "SS-208"
