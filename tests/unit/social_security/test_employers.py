"""The employer of a period is corrected: the history says the right one, the certificate too, and every open case goes by it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from social_security.domain.edition import package_edition
from social_security.domain.eventchain import history_digest
from social_security.portal.certificate import build_certificate, render_pdf
from tests.directgateway import DirectCountry
from tests.property.countrymachine import MEMBERS
from tests.unit.social_security.test_portal_certificate import drawn
from tests.unit.social_security.test_succession import ANALYST, HEIR, LEFT, PERSON, PIDS, UNIT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RIGHT = "PATRON-Y-77"
CASE = "PORT-15-2026-00000001"


@pytest.fixture
def country(tmp_path: Path) -> Iterator[DirectCountry]:
    (tmp_path / "systems").mkdir()
    made = DirectCountry(tmp_path / "systems")
    yield made
    made.close()


async def rectify(c: DirectCountry, period: dict[str, Any]) -> Any:
    """She asks IPE for what a period should say, and it is granted and carried out; the last answer."""
    folio = "ARCO-30-2026-00000001"
    filed = await c.ask(
        f"{LEFT}/ARCO", LEFT, "presentarArco",
        {"pid": PIDS["ana"][LEFT], "derecho": "RECTIFICACION", "representante": False, "nivelIdentidad": "LOA2",
         "modalidad": "ELECTRONICA", "recibidaEl": c.now.isoformat(), "responsables": [MEMBERS[LEFT]],
         "descripcion": "Mi patrón era otro.", "periodo": {"evidenciaSha256": "0" * 64, **period}},
        "PUR-ARCO", folio, PERSON,
    )  # fmt: skip
    assert filed.is_done, filed
    heard = filed
    for state in ("EN_TRAMITE", "PROCEDENTE", "EFECTIVA"):
        body = {"estado": state, "ocurridoEl": c.now.isoformat()}
        heard = await c.ask(f"{LEFT}/ARCO", LEFT, "avanzarArco", body, "PUR-ARCO", folio, UNIT)
        assert heard.is_done, heard
    return heard


async def whole(c: DirectCountry) -> Any:
    """Her whole career, as her institute assembles it for her."""
    heard = await c.ask(
        f"{HEIR}/HIST",
        HEIR,
        "reunirHistoria",
        {"pid": PIDS["ana"][HEIR]},
        "PUR-HIST",
        "CONS-15-2026-00000001",
        PERSON,
    )
    assert heard.is_done, heard
    return heard.body


async def step(c: DirectCountry, code: str, name: str, role: str = ANALYST, **more: Any) -> None:
    heard = await c.ask(f"{code}/PORT", code, "avanzarCaso", {"evento": name, **more}, "PUR-PORT", CASE, role)
    assert heard.is_done, (name, heard)
    await c.settle()


async def totalled(c: DirectCountry) -> None:
    """A case of hers at ISSEMYM with IPE's history delivered, and totalled."""
    body = {"pid": PIDS["ana"][HEIR], "convenio": "CONV-DEMO-2025-01", "beneficio": "JUBILACION",
            "contrapartes": [MEMBERS[LEFT]], "avisar": True}  # fmt: skip
    opened = await c.ask(f"{HEIR}/PORT", HEIR, "abrirCaso", body, "PUR-PORT", CASE, ANALYST)
    assert opened.is_done, opened
    await c.settle()
    for code, name in ((HEIR, "ADMITIR"), (HEIR, "SOLICITAR_HISTORIA"), (LEFT, "ENTREGAR_HISTORIA")):
        await step(c, code, name)
    await step(c, HEIR, "TOTALIZAR", montoCentavos=1_800_000)


def employers(history: Any) -> list[str]:
    return [p["empleador"]["clave"] for p in history["periodos"]]


async def test_history_certificate_and_case_say_the_right_employer_and_the_same_days(
    country: DirectCountry,
) -> None:
    await totalled(country)
    before = await whole(country)
    theirs = next(h for h in before["historias"] if h["instituto"] == MEMBERS[LEFT])
    period = theirs["periodos"][-1]
    await rectify(country, {"idPeriodo": period["idPeriodo"], "empleador": {"clave": RIGHT}})
    await country.settle()
    after = await whole(country)
    corrected = next(h for h in after["historias"] if h["instituto"] == MEMBERS[LEFT])
    assert employers(corrected) == [*employers(theirs)[:-1], RIGHT]
    assert corrected["periodos"][-1]["version"] == period["version"] + 1
    assert (after["totales"], corrected["totalDias"]) == (before["totales"], theirs["totalDias"])
    # What was certified before stays provable in the file, and is served to nobody.
    file = country.institutes[LEFT].periods.every(PIDS["ana"][LEFT])
    replaced = next(p for p in file if (p.period_id, p.version) == (period["idPeriodo"], period["version"]))
    assert (replaced.state, replaced.employer) == ("SUSTITUIDO", period["empleador"]["clave"])

    was, now = (build_certificate(w, PIDS["ana"][HEIR], country.now) for w in (before, after))
    assert was.sha256 != now.sha256, "a certificate of before is not one of now"
    for made, said, shows in ((was, before, False), (now, after, True)):
        pdf = render_pdf(
            made, said, PIDS["ana"][HEIR], "ISSEMYM", "https://x.example/v", package_edition().named
        )
        assert (RIGHT in drawn(pdf)) == shows

    for code in (HEIR, LEFT):
        case = country.institutes[code].cases.case(CASE)
        assert case is not None
        assert case.state == "HISTORIA_RECIBIDA", "it is totalled again over what is certified now"
        last = country.institutes[code].cases.events(CASE)[-1].event
        assert (last["evento"], last["responsable"]) == ("ACLARAR", MEMBERS[HEIR])
        assert employers(last["historia"][0])[-1] == RIGHT
        assert last["historiaSha256"] == [history_digest(last["historia"][0])]
    await step(country, HEIR, "TOTALIZAR", montoCentavos=1_800_000)
    chain = country.institutes[HEIR].cases.events(CASE)
    one, two = (e.event["totalizacion"] for e in chain if e.event["evento"] == "TOTALIZAR")
    assert one == two


async def test_the_same_employer_once_more_changes_nothing_and_tells_no_case(country: DirectCountry) -> None:
    await totalled(country)
    period = country.institutes[LEFT].periods.served(PIDS["ana"][LEFT])[-1]
    await rectify(country, {"idPeriodo": period.period_id, "empleador": {"clave": period.employer}})
    await country.settle()
    now = country.institutes[LEFT].periods.served(PIDS["ana"][LEFT])[-1]
    assert now == period
    case = country.institutes[HEIR].cases.case(CASE)
    assert case is not None
    assert case.state == "TOTALIZADA"
