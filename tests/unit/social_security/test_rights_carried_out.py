"""What is granted or ordered is carried out and shown; any field is rectified; clocks are the institute's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from serving.storage.database import Database
from social_security.domain import pack
from social_security.institute.arco import refusal_digest
from social_security.institute.stores.steps import STEPS
from tests.social import SmallCountry, small_country

PIDS = {p["name"]: p["pids"] for p in pack.persons()["persons"]}
ANA, OFELIA = PIDS["ana"]["15-ISSEMYM"], PIDS["ofelia"]["15-ISSEMYM"]
HASH = "0" * 64
FILED = "2026-03-02T09:00:00-06:00"
PERIOD = "15-ISSEMYM:P-000001"


@dataclass(slots=True)
class Request:
    """One request at ISSEMYM, as the parties drive it; the clock is set to each step's moment."""

    country: SmallCountry
    folio: str
    pid: str = ANA

    async def file(
        self, right: str, at: str = FILED, said: str | None = None, **more: Any
    ) -> tuple[int, dict[str, Any]]:
        self.country.at(at)
        body = {
            "pid": self.pid, "derecho": right, "representante": False, "nivelIdentidad": "LOA2",
            "modalidad": "ELECTRONICA", "recibidaEl": said or at, "responsables": ["MX/GOB/15-ISSEMYM"],
            "descripcion": "Lo que se indica.", **more,
        }  # fmt: skip
        return await self.ask("presentarArco", "TITULAR", body)

    async def advance(
        self, state: str, at: str, role: str = "UNIDAD_TRANSPARENCIA", *, client: str = "15-ISSEMYM/ARCO",
        said: str | None = None, **more: Any,
    ) -> tuple[int, dict[str, Any]]:  # fmt: skip
        self.country.at(at)
        return await self.ask(
            "avanzarArco", role, {"estado": state, "ocurridoEl": said or at, **more}, client
        )

    async def ask(
        self, operation: str, role: str, body: dict[str, Any] | None, client: str = "15-ISSEMYM/ARCO"
    ) -> tuple[int, dict[str, Any]]:
        return await self.country.ask(
            client, "15-ISSEMYM", operation, body, purpose="PUR-ARCO", case=self.folio, role=role
        )

    async def see(self) -> dict[str, Any]:
        return (await self.ask("verArco", "TITULAR", None))[1]

    async def granted(self, at: str = "2026-03-04T10:00:00-06:00") -> None:
        assert (await self.advance("EN_TRAMITE", "2026-03-03T10:00:00-06:00"))[0] == 200
        assert (await self.advance("PROCEDENTE", at))[0] == 200

    async def won(self, decision: str = "REVOCAR") -> None:
        """Refused, appealed, and revoked by the guarantor."""
        await self.advance("EN_TRAMITE", "2026-03-03T10:00:00-06:00")
        refused = await self.advance(
            "IMPROCEDENTE", "2026-03-04T10:00:00-06:00", causas=["IV"], resolucionComite="CT/1"
        )
        assert refused[0] == 200
        mine = refusal_digest(refused[1]["negativa"])
        appealed = await self.advance(
            "RECURRIDA", "2026-03-05T10:00:00-06:00", "TITULAR", huellaNegativa=mine
        )
        assert appealed[0] == 200
        decided = await self.advance(
            "RESUELTA_RR",
            "2026-04-01T10:00:00-06:00",
            "GARANTE",
            client="15-GARANTE/SUPERV",
            sentido=decision,
        )
        assert decided[0] == 200, decided


@pytest.fixture
async def country(tmp_path: Path) -> AsyncIterator[SmallCountry]:
    async with small_country(tmp_path) as made:
        yield made


@pytest.fixture
def request_of_ana(country: SmallCountry) -> Request:
    return Request(country, "ARCO-15-2026-00000001")


async def history(c: SmallCountry, pid: str = ANA, **body: Any) -> tuple[int, dict[str, Any]]:
    return await c.ask(
        "15-ISSEMYM/HIST", "15-ISSEMYM", "consultarHistoria", {"pid": pid, **body},
        purpose="PUR-HIST", case="CONS-15-2026-00000001", role="TITULAR",
    )  # fmt: skip


def corrected(**changes: Any) -> dict[str, Any]:
    return {"periodo": {"idPeriodo": PERIOD, "evidenciaSha256": HASH, **changes}}


@pytest.mark.parametrize("decision", ["REVOCAR", "ORDENAR_ENTREGA"])
@pytest.mark.parametrize("by", ["EFECTIVA", "CUMPLIDA"])
async def test_an_appeal_that_is_won_changes_what_it_was_about(
    country: SmallCountry, request_of_ana: Request, decision: str, by: str
) -> None:
    await request_of_ana.file("RECTIFICACION", **corrected(hasta="2010-08-31"))
    await request_of_ana.won(decision)
    done = await request_of_ana.advance(by, "2026-04-02T10:00:00-06:00")
    assert (done[0], done[1]["estado"]) == (200, by)
    assert "versión 2" in done[1]["ejecutado"]
    period = (await history(country))[1]["periodos"][0]
    assert (period["version"], period["hasta"]) == (2, "2010-08-31")
    assert (await request_of_ana.see())["ejecutado"] == done[1]["ejecutado"]
    if by == "EFECTIVA":
        again = await request_of_ana.advance("CUMPLIDA", "2026-04-02T11:00:00-06:00")
        assert again[0] == 200
        assert (await history(country))[1]["periodos"][0]["version"] == 2


async def test_an_appeal_that_is_lost_changes_nothing(country: SmallCountry, request_of_ana: Request) -> None:
    await request_of_ana.file("RECTIFICACION", **corrected(hasta="2010-08-31"))
    await request_of_ana.won("CONFIRMAR")
    refused = await request_of_ana.advance("EFECTIVA", "2026-04-02T10:00:00-06:00")
    assert refused[1]["codigo"] == "SS-400"
    assert (await request_of_ana.advance("CUMPLIDA", "2026-04-02T10:00:00-06:00"))[0] == 200
    assert (await history(country))[1]["periodos"][0]["version"] == 1


async def test_access_that_a_guarantor_orders_is_delivered(request_of_ana: Request) -> None:
    await request_of_ana.file("ACCESO")
    await request_of_ana.won()
    assert "paquete" not in await request_of_ana.see()
    await request_of_ana.advance("CUMPLIDA", "2026-04-02T10:00:00-06:00")
    assert (await request_of_ana.see())["paquete"]["historia"]["totalDias"] == 3837


async def test_what_was_granted_is_carried_out_late_too_and_says_so(
    country: SmallCountry, request_of_ana: Request
) -> None:
    await request_of_ana.file("RECTIFICACION", **corrected(hasta="2010-08-31"))
    await request_of_ana.granted()
    status, body = await request_of_ana.advance("EFECTIVA", "2026-06-01T10:00:00-06:00")
    assert (status, body["tardia"]) == (200, True)
    assert (await history(country))[1]["periodos"][0]["version"] == 2


async def test_an_answer_after_silence_is_taken_and_carried_out(request_of_ana: Request) -> None:
    await request_of_ana.file("ACCESO")
    await request_of_ana.advance("EN_TRAMITE", "2026-03-03T10:00:00-06:00")
    late = "2026-04-15T10:00:00-06:00"
    request_of_ana.country.at(late)
    assert (await request_of_ana.see())["estado"] == "FALTA_RESPUESTA"
    assert (await request_of_ana.advance("AMPLIADA", late))[1]["codigo"] == "SS-404"
    answered = await request_of_ana.advance("PROCEDENTE", late)
    assert (answered[0], answered[1]["tardia"]) == (200, True)
    assert (await request_of_ana.advance("EFECTIVA", late))[0] == 200
    assert "paquete" in await request_of_ana.see()


async def test_a_rectification_that_says_nothing_is_not_carried_out_in_silence(
    country: SmallCountry, request_of_ana: Request
) -> None:
    await request_of_ana.file("RECTIFICACION")
    await request_of_ana.granted()
    at = "2026-03-05T10:00:00-06:00"
    refused = await request_of_ana.advance("EFECTIVA", at)
    assert (refused[1]["codigo"], refused[1]["campo"]) == ("SS-400", "periodo")
    done = await request_of_ana.advance("EFECTIVA", at, **corrected(diasDescontados=37))
    assert (done[0], done[1]["estado"]) == (200, "EFECTIVA")
    assert (await history(country))[1]["totalDias"] == 3800


@pytest.mark.parametrize(
    ("changes", "days"),
    [
        ({"desde": "1999-03-02"}, 3836),
        ({"desde": "1998-03-01"}, 4202),
        ({"hasta": "2009-08-30"}, 3836),
        ({"desde": "2000-01-01", "hasta": "2000-01-01"}, 1),
        ({"diasDescontados": 100}, 3737),
        ({"diasDescontados": 100, "diasReintegrados": 100}, 3837),
        ({"diasDescontados": 3837}, 0),
        ({"empleador": {"clave": "15-SALUD"}}, 3837),
    ],
)
async def test_each_field_of_a_period_is_rectified(
    country: SmallCountry, request_of_ana: Request, changes: dict[str, Any], days: int
) -> None:
    await request_of_ana.file("RECTIFICACION", **corrected(**changes))
    await request_of_ana.granted()
    assert (await request_of_ana.advance("EFECTIVA", "2026-03-05T10:00:00-06:00"))[0] == 200
    body = (await history(country))[1]
    period = body["periodos"][0]
    assert (body["totalDias"], period["dias"], period["version"]) == (days, days, 2)
    assert {n: period[n] for n in changes} == changes


@pytest.mark.parametrize(
    "changes",
    [
        {"hasta": "1990-01-01"},
        {"hasta": "1999-02-28"},
        {"desde": "2009-09-01"},
        {"hasta": "2099-12-31"},
        {"hasta": "2026-03-06"},
        {"desde": "2030-01-01", "hasta": "2031-01-01"},
        {"diasDescontados": 3838},
        {"diasDescontados": 36600},
        {"diasReintegrados": 1},
        {"diasDescontados": 5, "diasReintegrados": 6},
        {"desde": "2009-08-31", "diasDescontados": 2},
    ],
)
async def test_a_rectification_whose_result_cannot_be_is_refused_and_changes_nothing(
    country: SmallCountry, request_of_ana: Request, changes: dict[str, Any]
) -> None:
    await request_of_ana.file("RECTIFICACION", **corrected(**changes))
    await request_of_ana.granted()
    refused = await request_of_ana.advance("EFECTIVA", "2026-03-05T10:00:00-06:00")
    assert refused[1]["codigo"] in ("SS-103", "SS-406")
    body = (await history(country))[1]
    assert (body["totalDias"], body["periodos"][0]["version"]) == (3837, 1)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"desde": "2010-01-01", "hasta": "2010-12-31", "empleador": {"clave": "15-SALUD"}}, None),
        ({"desde": "2009-08-31", "hasta": "2010-12-31", "empleador": {"clave": "15-SALUD"}}, "SS-406"),
        (
            {
                "desde": "2009-08-31", "hasta": "2010-12-31", "empleador": {"clave": "15-SALUD"},
                "motivoTraslape": "Dos plazas de medio tiempo, según nombramientos.",
            },
            None,
        ),
        ({"desde": "2010-01-01", "hasta": "2010-12-31"}, "SS-100"),
        ({"hasta": "2010-12-31", "empleador": {"clave": "15-SALUD"}}, "SS-100"),
    ],
)  # fmt: skip
async def test_a_missing_period_is_certified_unless_it_overlaps_without_a_reason(
    country: SmallCountry, request_of_ana: Request, changes: dict[str, Any], code: str | None
) -> None:
    await request_of_ana.file("RECTIFICACION", periodo={"evidenciaSha256": HASH, **changes})
    await request_of_ana.granted()
    done = await request_of_ana.advance("EFECTIVA", "2026-03-05T10:00:00-06:00")
    assert done[1].get("codigo") == code
    periods = (await history(country))[1]["periodos"]
    assert len(periods) == (2 if code is None else 1)


async def test_a_name_that_is_not_held_does_not_exist_and_an_address_is_corrected(
    country: SmallCountry, request_of_ana: Request
) -> None:
    await request_of_ana.file("RECTIFICACION", nombre="Ana Ejemplo", correo="ana@correo.example")
    await request_of_ana.granted()
    at = "2026-03-05T10:00:00-06:00"
    assert (await request_of_ana.advance("EFECTIVA", at))[1]["codigo"] == "SS-502"
    database = Database(country.folder / "15-ISSEMYM" / "institute.sqlite", STEPS)
    database.query("INSERT INTO retiree (pid, name, monthly_cents) VALUES (?, 'Ana Ejmplo', 1)", (ANA,))
    assert (await request_of_ana.advance("EFECTIVA", at))[0] == 200
    assert database.query("SELECT name FROM retiree") == [("Ana Ejemplo",)]
    assert database.query("SELECT value FROM contact") == [("ana@correo.example",)]
    database.close()


async def test_cancelled_data_has_no_ordinary_use(country: SmallCountry, request_of_ana: Request) -> None:
    await request_of_ana.file("CANCELACION", datos=["historia", "afiliacion"])
    await request_of_ana.granted()
    assert (await request_of_ana.advance("EFECTIVA", "2026-03-05T10:00:00-06:00"))[0] == 200
    status, body = await history(country)
    assert (status, body["codigo"]) == (403, "SS-208")
    why: dict[str, Any] = {"case": "CONS-15-2026-00000001", "role": "ANALISTA_AFILIACION"}
    for operation, purpose, more in (
        ("consultarAfiliacion", "PUR-AFIL", {}),
        ("verificarElegibilidad", "PUR-BENEF", {"beneficio": "JUBILACION"}),
    ):
        asked = await country.ask(
            "15-ISSEMYM/AFIL", "15-ISSEMYM", operation, {"pid": ANA, **more}, purpose=purpose, **why
        )
        assert asked[1].get("codigo") == "SS-208", operation
    whole = await country.ask(
        "15-ISSEMYM/HIST", "15-ISSEMYM", "reunirHistoria", {"pid": ANA},
        purpose="PUR-HIST", case="CONS-15-2026-00000001", role="TITULAR",
    )  # fmt: skip
    refused = whole[1]["constancia"]["negaron"]
    assert {"instituto": "MX/GOB/15-ISSEMYM", "codigo": "SS-208"} in refused


@pytest.mark.parametrize("right", ["CANCELACION", "OPOSICION"])
async def test_a_cancellation_or_opposition_says_of_what(request_of_ana: Request, right: str) -> None:
    refused = await request_of_ana.file(right)
    assert (refused[1]["codigo"], refused[1]["campo"]) == ("SS-100", "datos")


async def test_an_opposition_never_blocks_her_own_view_and_is_withdrawn_at_once(
    country: SmallCountry, request_of_ana: Request
) -> None:
    await request_of_ana.file("OPOSICION", datos=["historia", "afiliacion"], propositos=["PUR-HIST"])
    await request_of_ana.granted()
    await request_of_ana.advance("EFECTIVA", "2026-03-05T10:00:00-06:00")
    assert (await history(country))[0] == 200

    async def by_staff() -> Any:
        return (
            await country.ask(
                "15-ISSEMYM/AFIL", "15-ISSEMYM", "consultarAfiliacion", {"pid": ANA},
                purpose="PUR-AFIL", case="CONS-15-2026-00000001", role="ANALISTA_AFILIACION",
            )
        )[1].get("codigo")  # fmt: skip

    assert await by_staff() == "SS-208"
    other = Request(country, "ARCO-15-2026-00000002")
    filed = await other.file("OPOSICION", "2026-03-05T11:00:00-06:00", datos=["afiliacion"], retirar=True)
    assert (filed[0], filed[1]["estado"]) == (201, "EFECTIVA")
    assert "afiliacion" in filed[1]["ejecutado"]
    assert await by_staff() is None
    # The rest stays opposed; and she may oppose again.
    again = Request(country, "ARCO-15-2026-00000003")
    await again.file("OPOSICION", datos=["afiliacion"])
    await again.granted()
    await again.advance("EFECTIVA", "2026-03-05T12:00:00-06:00")
    assert await by_staff() == "SS-208"


@pytest.mark.parametrize(
    "said",
    [
        "2030-01-01T09:00:00-06:00",
        "2020-01-01T09:00:00-06:00",
        "2026-03-02T08:45:00-06:00",
        "2026-03-02T09:15:00-06:00",
        "2026-03-02T09:00:00+00:00",
        "2026-03-01T09:00:00-06:00",
    ],
)
async def test_a_request_of_another_time_than_now_is_refused(request_of_ana: Request, said: str) -> None:
    refused = await request_of_ana.file("ACCESO", said=said)
    assert (refused[1]["codigo"], refused[1]["campo"]) == ("SS-103", "recibidaEl")


@pytest.mark.parametrize(
    "said", ["2026-03-02T15:00:30+00:00", "2026-03-02T08:55:00-06:00", "2026-03-03T00:00:00+09:00"]
)
async def test_the_same_moment_in_another_zone_is_now(request_of_ana: Request, said: str) -> None:
    filed = await request_of_ana.file("ACCESO", said=said)
    assert (filed[0], filed[1].get("limiteRespuesta")) == (201, "2026-03-30")


async def test_events_are_of_now_and_terms_are_not_escaped_by_back_dating(request_of_ana: Request) -> None:
    await request_of_ana.file("ACCESO")
    at = "2026-03-26T10:00:00-06:00"
    for state, said in (
        ("EN_TRAMITE", "2026-04-23T10:00:00-06:00"),
        ("INCOMPETENCIA", "2026-03-03T10:00:00-06:00"),
        ("PREVENIDA", "2026-03-03T10:00:00-06:00"),
    ):
        assert (await request_of_ana.advance(state, at, said=said))[1]["codigo"] == "SS-103"
    for state in ("INCOMPETENCIA", "TRAMITE_ESPECIFICO", "PREVENIDA"):
        assert (await request_of_ana.advance(state, at))[1]["codigo"] == "SS-404"


@pytest.mark.parametrize(
    ("state", "last", "after"),
    [
        ("INCOMPETENCIA", "2026-03-05", "2026-03-06"),
        ("TRAMITE_ESPECIFICO", "2026-03-09", "2026-03-10"),
        ("PREVENIDA", "2026-03-09", "2026-03-10"),
    ],
)
async def test_each_first_answer_has_its_own_term(
    country: SmallCountry, state: str, last: str, after: str
) -> None:
    for number, day, status in ((1, last, 200), (2, after, 422)):
        request = Request(country, f"ARCO-15-2026-0000000{number}")
        await request.file("ACCESO")
        assert (await request.advance(state, f"{day}T23:00:00-06:00"))[0] == status


async def test_an_appeal_comes_within_fifteen_working_days(request_of_ana: Request) -> None:
    await request_of_ana.file("ACCESO")
    await request_of_ana.granted("2026-03-20T10:00:00-06:00")
    for said in ("2026-04-13T10:00:00-06:00", "2026-03-23T10:00:00-06:00"):
        refused = await request_of_ana.advance("RECURRIDA", "2026-04-13T10:00:00-06:00", "TITULAR", said=said)
        assert refused[1]["codigo"] in ("SS-404", "SS-103")
    taken = await request_of_ana.advance("RECURRIDA", "2026-04-10T10:00:00-06:00", "TITULAR")
    assert taken[0] == 200


async def test_a_guarantor_extends_once_and_decides_in_words_that_there_are(request_of_ana: Request) -> None:
    await request_of_ana.file("ACCESO")
    await request_of_ana.granted()
    await request_of_ana.advance("RECURRIDA", "2026-03-05T10:00:00-06:00", "TITULAR")
    guarantor: dict[str, Any] = {"role": "GARANTE", "client": "15-GARANTE/SUPERV"}
    at = "2026-03-06T10:00:00-06:00"
    for state in ("EFECTIVA", "CUMPLIDA", "PROCEDENTE"):
        assert (await request_of_ana.advance(state, at, sentido="PRORROGA", **guarantor))[0] >= 400
    assert (await request_of_ana.advance("RECURRIDA", at, sentido="PRORROGA", **guarantor))[0] == 200
    assert (await request_of_ana.advance("RECURRIDA", at, sentido="PRORROGA", **guarantor))[1][
        "codigo"
    ] == "SS-400"
    assert (await request_of_ana.advance("RESUELTA_RR", at, **guarantor))[1]["codigo"] == "SS-100"
    # To extend is said of an appeal that is open, and of nothing else.
    assert (await request_of_ana.advance("RESUELTA_RR", at, sentido="PRORROGA", **guarantor))[1][
        "codigo"
    ] == "SS-400"


async def test_only_a_representative_acts_for_somebody_who_has_died(
    country: SmallCountry, request_of_ana: Request
) -> None:
    database = Database(country.folder / "15-ISSEMYM" / "institute.sqlite", STEPS)
    database.query("UPDATE affiliation SET state = 'FALLECIDA' WHERE pid = ?", (ANA,))
    database.close()
    assert (await request_of_ana.file("ACCESO"))[1]["codigo"] == "SS-302"
    heirs = await request_of_ana.file("ACCESO", representante=True, acreditacionSha256=HASH)
    assert heirs[0] == 201


@pytest.mark.parametrize("text", ["\x00", "a\x1bb", "x\x7f", "\ud800", "fin\uffff"])
async def test_text_that_no_database_carries_is_refused(request_of_ana: Request, text: str) -> None:
    refused = await request_of_ana.file("RECTIFICACION", descripcion=f"Corrijan{text}")
    assert (refused[0], refused[1]["codigo"], refused[1]["campo"]) == (400, "SS-100", "descripcion")


async def test_an_active_worker_has_days_up_to_the_day_asked(country: SmallCountry) -> None:
    body = (await history(country, OFELIA))[1]
    period = body["periodos"][0]
    assert (body["totalDias"], period["dias"], period["contadoHasta"]) == (548, 548, "2026-03-02")
    assert "548" in period["computo"]
    earlier = (await history(country, OFELIA, hasta="2024-09-30"))[1]
    assert (earlier["totalDias"], earlier["periodos"][0]["contadoHasta"]) == (30, "2024-09-30")
    reversed_range = await history(country, OFELIA, desde="2026-01-01", hasta="2025-01-01")
    assert reversed_range[1]["codigo"] == "SS-103"
    eligible = await country.ask(
        "15-ISSEMYM/AFIL", "15-ISSEMYM", "verificarElegibilidad", {"pid": OFELIA, "beneficio": "JUBILACION"},
        purpose="PUR-BENEF", case="CONS-15-2026-00000001", role="ANALISTA_AFILIACION",
    )  # fmt: skip
    assert any(r.get("tiene", 0) > 0 for r in eligible[1]["requisitos"])
