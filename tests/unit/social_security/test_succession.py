"""An institute that leaves: her rights, requests and cases go on with its successor, and whoever writes to it is told where."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from social_security.domain import pack
from social_security.domain.eventchain import event_hash
from social_security.importing.quality import QualityReport
from social_security.importing.rows import Import, import_file, read_known
from social_security.institute.arco import refusal_digest
from social_security.institute.portabilityrules import due_on
from social_security.institute.stores.rights import RightsStore
from tests.directgateway import INSTITUTES, DirectCountry
from tests.property.countrymachine import MEMBERS, hand_over_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LEFT, HEIR, THIRD = "30-IPE", "15-ISSEMYM", "26-ISSSTESON"
PIDS = {p["name"]: p["pids"] for p in pack.persons()["persons"]}
FOLIO = "ARCO-30-2026-00000001"
ANALYST, PERSON, UNIT = "ANALISTA_PORTABILIDAD", "TITULAR", "UNIDAD_TRANSPARENCIA"


@pytest.fixture
def country(tmp_path: Path) -> Iterator[DirectCountry]:
    (tmp_path / "systems").mkdir()
    made = DirectCountry(tmp_path / "systems")
    yield made
    made.close()


async def leave(c: DirectCountry) -> None:
    """IPE leaves to ISSEMYM, and its files are taken."""
    body = {"idAviso": "M:1", "miembro": MEMBERS[LEFT], "estado": "BAJA", "fecha": c.now.date().isoformat(),
            "sucesor": MEMBERS[HEIR]}  # fmt: skip
    heard = await c.ask(
        "00-ONIESS/SUPERV", "00-RNSS", "notificarMembresia", body, "PUR-SUPERV", "NEG-00-2026-00000001", "SISTEMA"
    )  # fmt: skip
    assert heard.is_done, heard
    c.publish_leaving(LEFT, HEIR)
    hand_over_files(c, LEFT, HEIR, c.folder / "out")


async def file_request(c: DirectCountry, at: str, through: str, **more: Any) -> Any:
    body = {
        "pid": PIDS["ana"][at], "derecho": "OPOSICION", "representante": False, "nivelIdentidad": "LOA2",
        "modalidad": "ELECTRONICA", "recibidaEl": c.now.isoformat(), "responsables": [MEMBERS[at]],
        "descripcion": "No quiero que se use.", "datos": ["historia"],
    } | more  # fmt: skip
    return await c.ask(f"{through}/ARCO", at, "presentarArco", body, "PUR-ARCO", FOLIO, PERSON)


async def answer(c: DirectCountry, client: str, at: str, state: str, role: str = UNIT, **more: Any) -> Any:
    body = {"estado": state, "ocurridoEl": c.now.isoformat(), **more}
    return await c.ask(client, at, "avanzarArco", body, "PUR-ARCO", FOLIO, role)


async def test_an_open_request_is_answered_by_the_successor_within_the_same_term(
    country: DirectCountry,
) -> None:
    filed = await file_request(country, LEFT, LEFT)
    assert filed.is_done, filed
    await leave(country)
    seen = await country.ask(f"{HEIR}/ARCO", HEIR, "verArco", {}, "PUR-ARCO", FOLIO, PERSON)
    terms = ("estado", "limitePrevencion", "limiteRespuesta", "limiteRecurso")
    assert [seen.body[t] for t in terms] == [filed.body[t] for t in terms], seen
    for state in ("EN_TRAMITE", "PROCEDENTE", "EFECTIVA"):
        assert (await answer(country, f"{HEIR}/ARCO", HEIR, state)).is_done
    heirs = country.institutes[HEIR]
    assert heirs.rights.opposition(PIDS["ana"][HEIR], ["historia"]) == "historia"


async def test_the_authority_that_had_the_appeal_still_decides_it(country: DirectCountry) -> None:
    await file_request(country, LEFT, LEFT)
    await answer(country, f"{LEFT}/ARCO", LEFT, "EN_TRAMITE")
    no = await answer(country, f"{LEFT}/ARCO", LEFT, "IMPROCEDENTE", causas=["IV"], resolucionComite="CT/1")
    hers = {"huellaNegativa": refusal_digest(no.body["negativa"])}
    assert (await answer(country, f"{LEFT}/ARCO", LEFT, "RECURRIDA", PERSON, **hers)).is_done
    await leave(country)
    stranger = await answer(country, "26-GARANTE/SUPERV", HEIR, "RESUELTA_RR", "GARANTE", sentido="REVOCAR")
    assert not stranger.is_done
    decided = await answer(country, "30-GARANTE/SUPERV", HEIR, "RESUELTA_RR", "GARANTE", sentido="REVOCAR")
    assert decided.is_done, decided
    assert (await answer(country, f"{HEIR}/ARCO", HEIR, "EFECTIVA")).is_done


async def test_what_she_asked_elsewhere_through_the_one_that_left_she_follows_through_its_successor(
    country: DirectCountry,
) -> None:
    assert (await file_request(country, LEFT, LEFT)).is_done
    token = await country.ask(
        f"{LEFT}/ARCO", "00-RNSS", "traducirPid", {"pid": PIDS["ana"][LEFT], "destino": MEMBERS[THIRD]},
        "PUR-ARCO", FOLIO, PERSON,
    )  # fmt: skip
    body = {"testigo": token.body["testigo"], "pid": None, "responsables": [MEMBERS[THIRD]]}
    sent = {k: v for k, v in body.items() if v is not None}
    filed = await country.ask(
        f"{LEFT}/ARCO", THIRD, "presentarArco",
        {"derecho": "ACCESO", "representante": False, "nivelIdentidad": "LOA2", "modalidad": "ELECTRONICA",
         "recibidaEl": country.now.isoformat(), **sent}, "PUR-ARCO", FOLIO, PERSON,
    )  # fmt: skip
    assert filed.is_done, filed
    await leave(country)
    for through, is_hers in ((HEIR, True), ("14-IPEJAL", False)):
        seen = await country.ask(f"{through}/ARCO", THIRD, "verArco", {}, "PUR-ARCO", FOLIO, PERSON)
        assert seen.is_done == is_hers, seen


async def test_oppositions_go_along_and_what_was_cancelled_stays_behind(country: DirectCountry) -> None:
    one, other = country.institutes[LEFT], country.institutes[HEIR]
    day = one.today()
    one.rights.oppose(PIDS["ana"][LEFT], "PUR-EXT", FOLIO, day)
    one.rights.block(PIDS["maria-ines"][LEFT], "historia", FOLIO, day, day + timedelta(days=90))
    await leave(country)
    assert other.rights.opposition(PIDS["ana"][HEIR], ["PUR-EXT"]) == "PUR-EXT"
    assert not other.periods.served(PIDS["maria-ines"][HEIR])
    # She takes it back there; the same file once more does not bring it again.
    RightsStore(other.database).withdraw(PIDS["ana"][HEIR], ["PUR-EXT"], day)
    report = QualityReport(country.folder / "again")
    run = Import(HEIR, country.now, report, read_known(other.database, country.folder / "out" / "pids.csv"))
    import_file(other.database, run, "oposiciones", country.folder / "out" / "oposiciones.csv", dry_run=False)
    report.close()
    assert other.rights.opposition(PIDS["ana"][HEIR], ["PUR-EXT"]) is None


async def test_the_one_that_left_answers_no_history_and_says_who_does(country: DirectCountry) -> None:
    await leave(country)
    for client, at in ((THIRD, LEFT), (LEFT, LEFT)):
        heard = await country.ask(
            f"{client}/HIST", at, "consultarHistoria", {"pid": PIDS["ana"][LEFT]}, "PUR-HIST",
            "CONS-26-2026-00000001", ANALYST,
        )  # fmt: skip
        assert (heard.body["codigo"], MEMBERS[HEIR] in heard.body["mensaje"]) == ("SS-603", True), heard
    whole = await country.ask(
        f"{HEIR}/HIST", HEIR, "reunirHistoria", {"pid": PIDS["ana"][HEIR]}, "PUR-HIST", "CONS-15-2026-00000001", PERSON
    )  # fmt: skip
    assert whole.body["constancia"]["completa"], whole
    assert MEMBERS[LEFT] not in whole.body["constancia"]["preguntados"]
    assert any(
        p["idPeriodo"].startswith("15-ISSEMYM:30-IPE:")
        for h in whole.body["historias"]
        for p in h["periodos"]
    )


@pytest.mark.parametrize("responsible", [LEFT, THIRD])
async def test_a_case_with_the_one_that_left_ends_and_the_benefit_is_free_with_its_successor(
    country: DirectCountry, responsible: str
) -> None:
    others = [MEMBERS[c] for c in INSTITUTES if c != responsible]
    case = f"PORT-{responsible[:2]}-2026-00000001"
    body = {"pid": PIDS["ana"][responsible], "convenio": "CONV-DEMO-2025-01", "beneficio": "JUBILACION",
            "contrapartes": others, "avisar": True}  # fmt: skip
    opened = await country.ask(
        f"{responsible}/PORT", responsible, "abrirCaso", body, "PUR-PORT", case, ANALYST
    )
    assert opened.is_done, opened
    applied = country.now.date()
    assert opened.body["presentadaEl"] == applied.isoformat()
    await country.settle()
    country.now += timedelta(days=9)
    await leave(country)
    again = {**body, "pid": PIDS["ana"][HEIR], "contrapartes": [MEMBERS[THIRD]]}
    await country.settle()
    anew = await country.ask(
        f"{HEIR}/PORT", HEIR, "abrirCaso", again, "PUR-PORT", "PORT-15-2026-00000009", ANALYST
    )
    assert anew.is_done, anew
    await country.settle()
    assert [c.case for c in country.institutes[THIRD].cases.all() if c.is_open] == ["PORT-15-2026-00000009"]
    # The day on which she first applied goes along, and with it her place and the term; everybody in the case has it.
    for code in (HEIR, THIRD):
        case_there = country.institutes[code].cases.case("PORT-15-2026-00000009")
        assert case_there is not None
        assert case_there.presented == applied
        assert case_there.deadline == due_on(country.institutes[code], MEMBERS[HEIR], applied)
    wrong = {**again, "contrapartes": [MEMBERS[LEFT]], "beneficio": "VEJEZ"}
    refused = await country.ask(
        f"{HEIR}/PORT", HEIR, "abrirCaso", wrong, "PUR-PORT", "PORT-15-2026-00000010", ANALYST
    )
    assert (refused.body["codigo"], MEMBERS[HEIR] in refused.body["mensaje"]) == ("SS-603", True), refused


async def open_case(c: DirectCountry, at: str, number: int, other: str = THIRD, **more: Any) -> Any:
    body = {"pid": PIDS["ana"][at], "convenio": "CONV-DEMO-2025-01", "beneficio": "JUBILACION",
            "contrapartes": [MEMBERS[other]], "avisar": True} | more  # fmt: skip
    heard = await c.ask(
        f"{at}/PORT", at, "abrirCaso", body, "PUR-PORT", f"PORT-{at[:2]}-2026-{number:08d}", ANALYST
    )
    await c.settle()
    return heard


async def test_the_first_day_goes_along_once_and_a_term_that_is_over_begins_anew(
    country: DirectCountry,
) -> None:
    applied = country.now.date()
    assert (await open_case(country, LEFT, 1)).is_done
    country.now += timedelta(days=120)
    await leave(country)
    anew = await open_case(country, HEIR, 2)
    assert anew.is_done, anew
    assert anew.body["presentadaEl"] == applied.isoformat()
    today = country.institutes[HEIR].today()
    assert anew.body["fechaLimite"] == due_on(country.institutes[HEIR], MEMBERS[HEIR], today).isoformat()
    # She lets it go; what she asks for later is another application.
    for event, role, to in (("DESISTIR", PERSON, "DESISTIDA"),):
        seen = await country.ask(f"{HEIR}/PORT", HEIR, "verCaso", {}, "PUR-PORT", anew.body["caso"], ANALYST)
        body = {
            "caso": anew.body["caso"], "secuencia": 2, "evento": event, "estadoPrevio": "PRESENTADA",
            "estadoNuevo": to, "responsable": MEMBERS[HEIR], "contraparte": [MEMBERS[THIRD]],
            "hashAnterior": seen.body["ultimoHash"],
        }  # fmt: skip
        moved = await country.ask(
            f"{HEIR}/PORT", HEIR, "agregarEvento", body, "PUR-PORT", anew.body["caso"], role
        )
        assert moved.is_done, moved
    await country.settle()
    later = await open_case(country, HEIR, 3)
    assert later.is_done, later
    assert later.body["presentadaEl"] == today.isoformat()


@pytest.mark.parametrize("first", ["today", "9 days before", "120 days before"])
async def test_who_is_told_days_later_shows_the_same_days_as_the_opener_and_the_same_chain(
    country: DirectCountry, first: str
) -> None:
    if first != "today":
        assert (await open_case(country, LEFT, 1)).is_done
        country.now += timedelta(days=int(first.split(maxsplit=1)[0]))
        await leave(country)
    anew = await open_case(country, HEIR, 2, avisar=False)
    assert anew.is_done, anew
    (opening,) = country.institutes[HEIR].cases.events(anew.body["caso"])
    country.now += timedelta(days=12)
    token = await country.ask(
        f"{HEIR}/PORT", "00-RNSS", "traducirPid", {"pid": PIDS["ana"][HEIR], "destino": MEMBERS[THIRD]},
        "PUR-PORT", anew.body["caso"], ANALYST,
    )  # fmt: skip
    told = {**opening.event, "testigo": token.body["testigo"]}
    why = ("PUR-PORT", anew.body["caso"], ANALYST)
    for changed, code, at in (
        ({"presentadaEl": None}, "SS-100", "presentadaEl"),
        ({"fechaLimite": None}, "SS-100", "fechaLimite"),
        ({"fechaLimite": "2020-01-01"}, "SS-404", "fechaLimite"),
        ({"fechaLimite": "2027-12-31"}, "SS-404", "fechaLimite"),
    ):
        body = {k: v for k, v in (told | changed).items() if v is not None}
        refused = await country.ask(f"{HEIR}/PORT", THIRD, "agregarEvento", body, *why)
        assert (refused.body["codigo"], refused.body["campo"]) == (code, at), refused
    heard = await country.ask(f"{HEIR}/PORT", THIRD, "agregarEvento", told, *why)
    assert heard.body["hash"] == opening.hash, heard
    there, here = (country.institutes[c].cases.case(anew.body["caso"]) for c in (THIRD, HEIR))
    assert there is not None and here is not None
    assert (there.presented, there.deadline, there.last_hash) == (
        here.presented,
        here.deadline,
        here.last_hash,
    )
    # What the days are is in the digest: with another one, what follows is another chain's.
    for name in ("presentadaEl", "fechaLimite"):
        assert event_hash(opening.event | {name: "2026-01-05"}) != opening.hash


async def test_an_opening_sent_twice_to_the_responsible_institute_itself_is_one(
    country: DirectCountry,
) -> None:
    event = {
        "caso": "PORT-15-2026-00000005", "secuencia": 1, "evento": "PRESENTAR", "estadoPrevio": "BORRADOR",
        "estadoNuevo": "PRESENTADA", "responsable": MEMBERS[HEIR], "contraparte": [MEMBERS[THIRD]],
        "convenio": "CONV-DEMO-2025-01", "beneficio": "JUBILACION", "hashAnterior": "0" * 64,
        "pid": PIDS["ana"][HEIR],
    }  # fmt: skip
    answers = []
    for _ in range(2):
        heard = await country.ask(
            f"{HEIR}/PORT", HEIR, "agregarEvento", event, "PUR-PORT", str(event["caso"]), ANALYST
        )
        assert heard.is_done, heard
        answers.append(heard.body)
        country.now += timedelta(days=1)
    case = country.institutes[HEIR].cases.case(str(event["caso"]))
    assert case is not None
    assert answers == [{"acuse": "ACK", "hash": case.last_hash}] * 2


async def test_an_opening_with_another_first_day_is_refused(country: DirectCountry) -> None:
    event = {
        "caso": "PORT-15-2026-00000004", "secuencia": 1, "evento": "PRESENTAR", "estadoPrevio": "BORRADOR",
        "estadoNuevo": "PRESENTADA", "responsable": MEMBERS[HEIR], "contraparte": [MEMBERS[THIRD]],
        "convenio": "CONV-DEMO-2025-01", "beneficio": "JUBILACION", "hashAnterior": "0" * 64,
        "pid": PIDS["ana"][HEIR],
    }  # fmt: skip
    for day, code in (("2020-01-01", "SS-404"), ("2099-01-01", "SS-103")):
        heard = await country.ask(
            f"{HEIR}/PORT", HEIR, "agregarEvento", event | {"presentadaEl": day}, "PUR-PORT", event["caso"], ANALYST
        )  # fmt: skip
        assert (heard.body["codigo"], heard.body["campo"]) == (code, "presentadaEl"), heard


async def test_a_file_number_of_two_persons_leads_to_neither_without_the_file_of_pids(
    country: DirectCountry,
) -> None:
    database = country.institutes[HEIR].database
    database.query(
        "INSERT INTO affiliation VALUES ('P-OTRA', 'EXP-000302', 'reparto', 'ACTIVA', '1990-01-01', NULL, 2)"
    )
    await leave(country)
    assert database.query("SELECT count(*) FROM affiliation WHERE file_number = 'EXP-000302'") == [(2,)]
    for pids, counts in ((None, 0), (country.folder / "out" / "pids.csv", 1)):
        file = country.folder / "mas.csv"
        file.write_text("expediente,correo\nEXP-000302,otra@ejemplo.mx\n", encoding="utf-8")
        report = QualityReport(country.folder / f"mas-{counts}.report")
        run = Import(HEIR, country.now, report, read_known(database, pids))
        good = import_file(database, run, "contactos", file, dry_run=True)
        report.close()
        assert good == counts, (country.folder / f"mas-{counts}.report").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "day", ["2020-02-30", "20200101", "2020-W01-1", "", "x", "2020-01-01T00:00:00", 5, None, "0000-01-01"]
)
async def test_a_first_day_that_is_none_is_refused_by_whoever_is_told(
    country: DirectCountry, day: object
) -> None:
    opened = await open_case(country, HEIR, 1, avisar=False)
    (first,) = country.institutes[HEIR].cases.events(opened.body["caso"])
    token = await country.ask(
        f"{HEIR}/PORT", "00-RNSS", "traducirPid", {"pid": PIDS["ana"][HEIR], "destino": MEMBERS[THIRD]},
        "PUR-PORT", opened.body["caso"], ANALYST,
    )  # fmt: skip
    body = {**first.event, "testigo": token.body["testigo"], "presentadaEl": day}
    answered = await country.ask(
        f"{HEIR}/PORT", THIRD, "agregarEvento", body, "PUR-PORT", opened.body["caso"], ANALYST
    )  # fmt: skip
    assert answered.body["codigo"] == "SS-100", answered
    assert country.institutes[THIRD].cases.case(opened.body["caso"]) is None
