"""Three institutes with other inputs, days and orders than the scenarios play: late, twice, out of order, after a death, at midnight."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from social_security.domain import pack
from social_security.domain.opendata import render_csv
from social_security.institute.arco import refusal_digest
from social_security.institute.stores.cases import Case
from tests.directgateway import INSTITUTES, DirectCountry
from tests.registrybooks import ACT

MEMBERS = {code: pack.members()[code].path for code in INSTITUTES}
PIDS = {p["name"]: p["pids"] for p in pack.persons()["persons"]}
ISSEMYM, SONORA, IPE = INSTITUTES
ANALYST, PERSON = "ANALISTA_PORTABILIDAD", "TITULAR"


@dataclass(slots=True)
class Desk:
    """What people at the three institutes do, a request each."""

    c: DirectCountry
    filed: int = 0
    opened: list[str] = field(default_factory=list)

    async def arco(
        self, code: str, folio: str, state: str, role: str = "UNIDAD_TRANSPARENCIA", **more: Any
    ) -> Any:
        client = f"{code[:2]}-GARANTE/SUPERV" if role == "GARANTE" else f"{code}/ARCO"
        body = {"estado": state, "ocurridoEl": self.c.now.isoformat(), **more}
        return await self.c.ask(client, code, "avanzarArco", body, "PUR-ARCO", folio, role)

    async def granted(self, code: str, who: str, right: str, **more: Any) -> Any:
        self.filed += 1
        folio = f"ARCO-{code[:2]}-2026-{self.filed:08d}"
        body = {
            "pid": PIDS[who][code], "derecho": right, "representante": False, "nivelIdentidad": "LOA2",
            "modalidad": "ELECTRONICA", "recibidaEl": self.c.now.isoformat(), "responsables": [MEMBERS[code]],
            "descripcion": "Lo que se indica.", **more,
        }  # fmt: skip
        heard = await self.c.ask(f"{code}/ARCO", code, "presentarArco", body, "PUR-ARCO", folio, PERSON)
        if not heard.is_done:
            return heard
        await self.arco(code, folio, "EN_TRAMITE")
        await self.arco(code, folio, "PROCEDENTE")
        return await self.arco(code, folio, "EFECTIVA")

    async def open(self, code: str, who: str, benefit: str, number: int = 1) -> Any:
        case = f"PORT-{code[:2]}-2026-{number:08d}"
        body = {
            "pid": PIDS[who][code], "convenio": "CONV-DEMO-2025-01", "beneficio": benefit,
            "contrapartes": [m for c, m in MEMBERS.items() if c != code],
        }  # fmt: skip
        return await self.c.ask(f"{code}/PORT", code, "abrirCaso", body, "PUR-PORT", case, ANALYST)

    async def tell(self, case: str, who: str, to: str) -> Any:
        first = self.case(case, ISSEMYM), self.c.institutes[ISSEMYM].cases.events(case)[0].event
        body = {"pid": PIDS[who][ISSEMYM], "destino": MEMBERS[to]}
        sealed = await self.c.ask(
            f"{ISSEMYM}/PORT", "00-RNSS", "traducirPid", body, "PUR-PORT", case, ANALYST
        )
        return await self.post(ISSEMYM, to, first[0], first[1] | {"testigo": sealed.body["testigo"]})

    async def post(self, sender: str, to: str, case: Case, event: dict[str, Any], role: str = ANALYST) -> Any:
        return await self.c.ask(f"{sender}/PORT", to, "agregarEvento", event, "PUR-PORT", case.case, role)

    def case(self, case: str, code: str) -> Case:
        found = self.c.institutes[code].cases.case(case)
        assert found is not None
        return found

    def event(self, case: str, name: str, to: str, **more: Any) -> tuple[Case, dict[str, Any]]:
        """The next event on ISSEMYM's chain."""
        k = self.case(case, ISSEMYM)
        return k, {
            "caso": case, "secuencia": k.sequence + 1, "evento": name, "estadoPrevio": k.state, "estadoNuevo": to,
            "responsable": k.responsible, "contraparte": list(k.counterparties), "hashAnterior": k.last_hash, **more,
        }  # fmt: skip

    async def died(self, code: str, who: str, day: str, acted: str) -> Any:
        body = {
            "idEvento": f"3a9f1c52-0000-4000-8000-{self.filed:012d}", "pid": PIDS[who][code], "tipo": "FALLECIMIENTO",
            "fechaEvento": day, "acta": {**ACT, "fecha": acted},
        }  # fmt: skip
        self.filed += 1
        case = f"CONS-{code[:2]}-2026-00000001"
        return await self.c.ask(
            f"{code}/VITAL", "00-RNSS", "notificarEvento", body, "PUR-VITAL", case, "ANALISTA_AFILIACION"
        )

    def first_period(self, code: str, who: str) -> str:
        return str(self.c.institutes[code].periods.served(PIDS[who][code])[0].period_id)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    made = DirectCountry(tmp_path)
    yield Desk(made)
    made.close()


async def test_of_three_institutes_that_open_the_same_benefit_at_a_time_one_gets_it(desk: Desk) -> None:
    asked = [desk.open(code, "ana", "JUBILACION") for code in INSTITUTES]
    answers = await asyncio.gather(*asked, desk.open(SONORA, "ana", "JUBILACION", 2))
    assert sorted(a.status for a in answers) == [201, 409, 409, 409]
    assert {a.body["codigo"] for a in answers if a.status == 409} <= {"SS-205", "SS-402"}


async def test_a_term_is_the_responsible_s_also_where_the_case_was_heard_of_days_later(desk: Desk) -> None:
    desk.c.now = datetime(2026, 3, 3, 5, 59, tzinfo=UTC)  # 23:59 of the day before, in Toluca
    await desk.open(ISSEMYM, "ana", "JUBILACION")
    case = "PORT-15-2026-00000001"
    assert desk.case(case, ISSEMYM).deadline == date(2026, 5, 27)
    desk.c.now += timedelta(days=6)
    assert (await desk.tell(case, "ana", IPE)).is_done
    assert (await desk.tell(case, "ana", IPE)).is_done, "twice is once"
    own, event = desk.event(case, "ADMITIR", "ADMITIDA", fechaLimite="2026-05-27")
    assert (await desk.post(ISSEMYM, ISSEMYM, own, event)).is_done
    assert (await desk.post(ISSEMYM, IPE, own, event)).is_done
    _, late = desk.event(case, "RECORDAR", "ADMITIDA", fechaLimite="2027-01-01")
    for code in (ISSEMYM, IPE):
        assert (await desk.post(ISSEMYM, code, own, late)).body["codigo"] == "SS-404"


async def test_a_case_that_lapsed_elsewhere_unheard_holds_the_benefit_of_nobody(desk: Desk) -> None:
    await desk.open(ISSEMYM, "ana", "JUBILACION")
    case = "PORT-15-2026-00000001"
    await desk.tell(case, "ana", SONORA)
    own, event = desk.event(case, "ADMITIR", "ADMITIDA")
    await desk.post(
        ISSEMYM, ISSEMYM, own, event
    )  # Sonora never hears of it, so nothing that follows is taken there
    desk.c.now += timedelta(days=120)
    await desk.c.settle()
    assert [desk.case(case, c).state for c in (ISSEMYM, SONORA)] == ["VENCIDA", "PRESENTADA"]
    assert (await desk.open(SONORA, "ana", "JUBILACION")).status == 201
    assert desk.case(case, SONORA).state == "VENCIDA"


async def test_an_event_is_taken_back_once_by_its_author_and_only_before_others_stand_on_it(
    desk: Desk,
) -> None:
    await desk.open(ISSEMYM, "ana", "JUBILACION")
    case = "PORT-15-2026-00000001"

    async def cause(name: str, to: str, **more: Any) -> Any:
        return await desk.post(ISSEMYM, ISSEMYM, *desk.event(case, name, to, **more))

    await cause("ADMITIR", "ADMITIDA")
    await cause("SOLICITAR_HISTORIA", "HISTORIA_SOLICITADA")
    refused = await cause("INVALIDAR", "PRESENTADA", anula=2)
    assert (refused.body["codigo"], "SOLICITAR_HISTORIA" in refused.body["mensaje"]) == ("SS-400", True)
    assert (await cause("INVALIDAR", "ADMITIDA", anula=3)).is_done
    assert (await cause("INVALIDAR", "ADMITIDA", anula=3)).body["codigo"] == "SS-400"
    assert (await cause("INVALIDAR", "PRESENTADA", anula=2)).is_done
    assert (await cause("INVALIDAR", "PRESENTADA", anula=4)).body["codigo"] == "SS-400"


@pytest.mark.parametrize(
    ("day", "acted", "at", "code"),
    [
        ("2026-08-31", "2026-08-31", datetime(2026, 9, 1, 4, 30, tzinfo=UTC), None),
        # 23:30 in Mexico City is the next day in Cancún, where she may have died; nowhere is it a day later still.
        ("2026-09-01", "2026-09-01", datetime(2026, 9, 1, 5, 30, tzinfo=UTC), None),
        ("2026-09-01", "2026-09-01", datetime(2026, 9, 1, 4, 30, tzinfo=UTC), "SS-103"),
        ("2026-09-02", "2026-09-02", datetime(2026, 9, 1, 5, 30, tzinfo=UTC), "SS-103"),
        ("2024-02-29", "2024-03-01", datetime(2026, 9, 1, 4, 30, tzinfo=UTC), None),
        ("2026-02-29", "2026-03-01", datetime(2026, 9, 1, 4, 30, tzinfo=UTC), "SS-100"),
    ],
)
async def test_a_death_is_of_a_day_that_has_come_somewhere_in_the_country(
    desk: Desk, day: str, acted: str, at: datetime, code: str | None
) -> None:
    desk.c.now = at
    heard = await desk.died(IPE, "maria-ines", day, acted)
    assert heard.body.get("codigo") == code
    await desk.c.settle()
    found = desk.c.institutes[SONORA].persons.affiliation(PIDS["maria-ines"][SONORA])
    assert found is not None
    assert (found.state == "FALLECIDA") is (code is None)


async def test_what_only_the_living_have_is_not_asked_for_the_dead_and_survivors_are(desk: Desk) -> None:
    await desk.died(IPE, "maria-ines", "2026-02-28", "2026-03-01")
    await desk.c.settle()
    assert (await desk.open(IPE, "maria-ines", "JUBILACION")).body["codigo"] == "SS-302"
    # The demonstration's convention does not cover it: that, and not her death, is what stands against it.
    assert (await desk.open(IPE, "maria-ines", "VIUDEZ", 2)).body["codigo"] == "SS-403"


async def test_a_rectified_period_ends_with_her_life_and_no_message_grows_too_long_for_it(desk: Desk) -> None:
    wanted = {"idPeriodo": desk.first_period(SONORA, "maria-ines"), "evidenciaSha256": "0" * 64}

    async def rectify(**changes: Any) -> Any:
        heard = await desk.granted(SONORA, "maria-ines", "RECTIFICACION", periodo={**wanted, **changes})
        return heard.body.get("codigo", heard.status)

    assert await rectify(desde="0001-01-01") == "SS-406"
    assert await rectify(desde="1800-02-28") == "SS-406"
    assert await rectify(hasta="2026-02-29") == "SS-100"
    assert await rectify(empleador={"clave": "  "}) == "SS-100"
    assert await rectify(hasta="2024-02-29", empleador={"clave": "O'Ñame & Müller"}) == 200
    await desk.died(IPE, "maria-ines", "2025-06-30", "2025-07-01")
    await desk.c.settle()
    representative = {"representante": True, "acreditacionSha256": "1" * 64}
    late = await desk.granted(
        SONORA, "maria-ines", "RECTIFICACION", periodo={**wanted, "hasta": "2025-07-01"}, **representative
    )
    assert late.body["codigo"] == "SS-103"


async def test_a_guarantor_that_decides_after_its_term_is_obeyed_all_the_same(desk: Desk) -> None:
    period = {
        "idPeriodo": desk.first_period(ISSEMYM, "ana"),
        "evidenciaSha256": "0" * 64,
        "hasta": "2008-02-29",
    }
    await desk.granted(ISSEMYM, "ofelia", "ACCESO")  # so that the folio is another
    body = {
        "pid": PIDS["ana"][ISSEMYM], "derecho": "RECTIFICACION", "representante": False, "nivelIdentidad": "LOA2",
        "modalidad": "ELECTRONICA", "recibidaEl": desk.c.now.isoformat(), "responsables": [MEMBERS[ISSEMYM]],
        "descripcion": "Terminó antes.", "periodo": period,
    }  # fmt: skip
    folio = "ARCO-15-2026-00000077"
    await desk.c.ask(f"{ISSEMYM}/ARCO", ISSEMYM, "presentarArco", body, "PUR-ARCO", folio, PERSON)
    await desk.arco(ISSEMYM, folio, "EN_TRAMITE")
    refused = await desk.arco(ISSEMYM, folio, "IMPROCEDENTE", causas=["IV"], resolucionComite="CT/1")
    digest = refusal_digest(refused.body["negativa"])
    assert (await desk.arco(ISSEMYM, folio, "RECURRIDA", PERSON, huellaNegativa=digest)).is_done
    desk.c.now += timedelta(days=100)
    desk.c.institutes[ISSEMYM].tick()
    decided = await desk.arco(ISSEMYM, folio, "RESUELTA_RR", "GARANTE", sentido="REVOCAR")
    assert (decided.status, decided.body["sentido"]) == (200, "REVOCAR")
    again = await desk.arco(ISSEMYM, folio, "RESUELTA_RR", "GARANTE", sentido="CONFIRMAR")
    assert again.body["codigo"] == "SS-400", "it has decided"
    assert (await desk.arco(ISSEMYM, folio, "CUMPLIDA")).is_done
    ends = [p.until for p in desk.c.institutes[ISSEMYM].periods.served(PIDS["ana"][ISSEMYM])]
    assert date(2008, 2, 29) in ends


@pytest.mark.parametrize(
    ("state", "direction"), [("PROCEDENTE", "PRORROGA"), ("EFECTIVA", "PRORROGA"), ("EN_TRAMITE", "INFORME")]
)
async def test_a_guarantor_answers_nothing_in_the_institute_s_place(
    desk: Desk, state: str, direction: str
) -> None:
    folio = "ARCO-15-2026-00000001"
    body = {
        "pid": PIDS["ana"][ISSEMYM], "derecho": "ACCESO", "representante": False, "nivelIdentidad": "LOA2",
        "modalidad": "ELECTRONICA", "recibidaEl": desk.c.now.isoformat(), "responsables": [MEMBERS[ISSEMYM]],
    }  # fmt: skip
    await desk.c.ask(f"{ISSEMYM}/ARCO", ISSEMYM, "presentarArco", body, "PUR-ARCO", folio, PERSON)
    await desk.arco(ISSEMYM, folio, "EN_TRAMITE")
    heard = await desk.arco(
        ISSEMYM, folio, state, "GARANTE", sentido=direction, descripcion="Se pide un informe aquí."
    )
    assert heard.body["codigo"] == "SS-400"


async def test_what_was_carried_out_is_appealed_from_the_day_it_was(desk: Desk) -> None:
    folio = "ARCO-15-2026-00000001"
    body = {
        "pid": PIDS["ana"][ISSEMYM], "derecho": "ACCESO", "representante": False, "nivelIdentidad": "LOA2",
        "modalidad": "ELECTRONICA", "recibidaEl": desk.c.now.isoformat(), "responsables": [MEMBERS[ISSEMYM]],
    }  # fmt: skip
    await desk.c.ask(f"{ISSEMYM}/ARCO", ISSEMYM, "presentarArco", body, "PUR-ARCO", folio, PERSON)
    await desk.arco(ISSEMYM, folio, "EN_TRAMITE")
    granted = (await desk.arco(ISSEMYM, folio, "PROCEDENTE")).body
    desk.c.now += timedelta(days=60)
    done = (await desk.arco(ISSEMYM, folio, "EFECTIVA")).body
    assert (done["tardia"], done["limiteRecurso"] > granted["limiteRecurso"]) == (True, True)
    assert (await desk.arco(ISSEMYM, folio, "RECURRIDA", PERSON)).is_done


@pytest.mark.parametrize(
    "range_",
    [
        {"periodStart": "2026-03-02T00:00:00Z", "periodEnd": "2026-03-01T23:59:59Z"},
        {"periodStart": "9999-12-31T23:59:59-14:00"},
        {"periodEnd": "0001-01-01T00:00:00+14:00"},
    ],
)
async def test_a_range_that_is_reversed_or_beyond_the_calendar_is_refused_everywhere(
    desk: Desk, range_: dict[str, str]
) -> None:
    body = {"pid": PIDS["ana"][ISSEMYM], **range_}
    case = "CONS-15-2026-00000001"
    for provider in ("00-RNSS", ISSEMYM):
        ask = (f"{ISSEMYM}/BITACORA", provider, "findUsage", body, "PUR-BITACORA", case, PERSON)
        heard = await desk.c.ask(*ask)
        assert heard.body["codigo"] == "SS-103"


@pytest.mark.parametrize("days", [("2026-03-02", "2026-03-01"), ("0001-01-01", "9999-12-31")])
@pytest.mark.parametrize("operation", ["estadisticaSupervision", "inspeccion"])
async def test_a_guarantor_s_range_runs_forward_within_the_calendar(
    desk: Desk, operation: str, days: tuple[str, str]
) -> None:
    case = "CONS-15-2026-00000001"
    body = {"desde": days[0], "hasta": days[1], **({"caso": case} if operation == "inspeccion" else {})}
    heard = await desk.c.ask("15-GARANTE/SUPERV", ISSEMYM, operation, body, "PUR-SUPERV", case, "GARANTE")
    assert (heard.body["codigo"], heard.body["campo"]) == ("SS-103", "hasta")


async def test_nobody_is_held_since_before_her_birth_nor_until_before_she_was(desk: Desk) -> None:
    async def link(**days: str) -> Any:
        entry = {"pid": PIDS["ana"][ISSEMYM], "historia": True, **days}
        heard = await desk.c.ask(
            f"{ISSEMYM}/AFIL", "00-RNSS", "registrarVinculos", {"vinculos": [entry]}, "PUR-AFIL",
            "CONS-15-2026-00000001", "ANALISTA_AFILIACION",
        )  # fmt: skip
        return heard.body.get("codigo")

    assert await link(desde="0001-01-01") == "SS-103"
    assert await link(desde="1978-05-13") == "SS-103"
    assert await link(desde="2000-02-29", hasta="2001-02-28") is None
    ((since, until),) = desk.c.registry.store.database.query(
        "SELECT since, until FROM link WHERE member = ? AND pid = ?", (MEMBERS[ISSEMYM], PIDS["ana"][ISSEMYM])
    )
    assert since <= until


def test_a_text_in_a_table_is_never_a_formula_in_a_spreadsheet() -> None:
    rows: list[list[object]] = [
        ["nombre", "n"],
        ["=cmd|'/C calc'!A1", -3],
        ["D'Angelo Müller Ñuñez", 1.5],
        ["@SUM(1)", None],
    ]
    assert render_csv(rows).split("\r\n")[1:4] == [
        "'=cmd|'/C calc'!A1,-3",
        "D'Angelo Müller Ñuñez,1.5",
        "'@SUM(1),",
    ]
