"""Variations about rights and histories: V05 to V12."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.scenarios.acts import AFFILIATION_ANALYST, IPE, ISSEMYM, MEMBERS, PIDS, SONORA, Acts

if TYPE_CHECKING:
    pass


async def v05(a: Acts) -> None:
    """What a guarantor orders is carried out, at whichever institute and by whichever word"""
    for code, decision, by, until in (
        (IPE, "REVOCAR", "CUMPLIDA", "2023-06-30"),
        (SONORA, "ORDENAR_ENTREGA", "EFECTIVA", "2014-12-31"),
    ):
        period = a.period(code, "ana", hasta=until)
        folio = await a.won(code, "ana", "RECTIFICACION", decision, periodo=period)
        a.done(await a.arco(code, folio, by), f"{by} at {code}")
        periods = a.done(await a.history(code, "ana"), "the history")["periodos"]
        a.expect([(p["hasta"], p["version"]) for p in periods] == [(until, 2)], f"{code}: {periods}")


async def v06(a: Acts) -> None:
    """What was granted is carried out late too, and says so; an answer after silence is still owed"""
    folio, _ = await a.file(
        SONORA, "ana", "RECTIFICACION", periodo=a.period(SONORA, "ana", diasDescontados=10)
    )
    a.pass_days(75)
    a.done(await a.arco(SONORA, folio, "PROCEDENTE"), "the answer after silence")
    a.pass_days(75)
    late = a.done(await a.arco(SONORA, folio, "EFECTIVA"), "the execution after its term")
    a.expect(late.get("tardia") is True, f"it says that it is late: {late}")
    a.expect((await a.history(SONORA, "ana")).body["periodos"][0]["diasDescontados"] == 10, "it is done")


async def v07(a: Acts) -> None:
    """A rectification that says nothing is not carried out in silence; any field, and a missing period, can be named"""
    folio, _ = await a.file(IPE, "ana", "RECTIFICACION")
    await a.arco(IPE, folio, "EN_TRAMITE")
    await a.arco(IPE, folio, "PROCEDENTE")
    a.refused(await a.arco(IPE, folio, "EFECTIVA"), "SS-400", "nothing said", "periodo")
    a.done(
        await a.arco(IPE, folio, "EFECTIVA", periodo=a.period(IPE, "ana", desde="2015-03-02")),
        "the unit says it",
    )
    missing = {
        "desde": "2024-02-01",
        "hasta": "2024-02-29",
        "empleador": {"clave": "30-SEV"},
        "evidenciaSha256": "1" * 64,
    }
    a.done(await a.granted(IPE, "ana", "RECTIFICACION", periodo=missing), "a missing period")
    answered = (await a.history(IPE, "ana")).body["periodos"]
    a.expect({p["desde"] for p in answered} == {"2015-03-02", "2024-02-01"}, f"both: {answered}")


async def v08(a: Acts) -> None:
    """No correction certifies days that cannot be: negative, to come, before her birth, more than the period has"""
    before = a.done(await a.history(SONORA, "maria-ines"), "before")["totalDias"]
    for changes in (
        {"hasta": "1987-01-15"}, {"hasta": "2099-12-31"}, {"desde": "1800-02-28"}, {"diasDescontados": 36_600},
        {"diasReintegrados": 1}, {"desde": "1990-01-01", "hasta": "1989-12-31"},
    ):  # fmt: skip
        response = await a.granted(
            SONORA, "maria-ines", "RECTIFICACION", periodo=a.period(SONORA, "maria-ines", **changes)
        )
        a.expect(response.body.get("codigo") in ("SS-103", "SS-406", "SS-100"), f"{changes}: {response.body}")
    a.expect((await a.history(SONORA, "maria-ines")).body["totalDias"] == before, "nothing has changed")


async def v09(a: Acts) -> None:
    """Cancelled data has no ordinary use; an opposition never blocks her own view, and is withdrawn at once"""
    await a.granted(IPE, "ana", "OPOSICION", datos=["afiliacion"], propositos=["PUR-AFIL"])
    a.refused(await _affiliation(a, IPE, "ana", AFFILIATION_ANALYST), "SS-208", "the desk")
    a.done(await a.history(IPE, "ana"), "her own view")
    _, withdrawn = await a.file(
        IPE, "ana", "OPOSICION", datos=["afiliacion"], propositos=["PUR-AFIL"], retirar=True
    )
    a.done(withdrawn, "the withdrawal")
    a.done(await _affiliation(a, IPE, "ana", AFFILIATION_ANALYST), "the desk again")
    a.done(
        await a.granted(SONORA, "ana", "CANCELACION", datos=["historia", "afiliacion"]), "the cancellation"
    )
    a.refused(await _affiliation(a, SONORA, "ana", AFFILIATION_ANALYST), "SS-208", "what was cancelled")


async def v10(a: Acts) -> None:
    """Every clock is the institute's own: neither requests nor answers are of another time, and terms skip its holidays"""
    for received in ("2030-01-01T09:00:00-06:00", "2020-02-29T09:00:00-06:00", "2026-03-02T15:11:00+00:00"):
        a.expect(
            not (await a.file(IPE, "ana", "ACCESO", recibidaEl=received))[1].is_done, f"received {received}"
        )
    folio, filed = await a.file(IPE, "ana", "ACCESO")
    a.expect(a.done(filed, "now")["limiteRespuesta"] == "2026-03-30", f"twenty working days: {filed.body}")
    a.expect(
        not (await a.arco(IPE, folio, "EN_TRAMITE", ocurridoEl="2026-02-27T10:00:00-06:00")).is_done,
        "back-dated",
    )
    a.pass_days(10)
    a.refused(await a.arco(IPE, folio, "INCOMPETENCIA"), "SS-404", "incompetence after three days")
    a.at(2030, 9, 20, 15)
    handover = a.c.institutes[IPE].calendar.add(a.c.now.date(), 20).isoformat()
    a.expect(handover == "2030-10-21", f"1 October 2030 is a holiday: {handover}")


async def v11(a: Acts) -> None:
    """Discounted and reinstated days count in totals, and eligibility sees what the history sees"""
    whole = (await a.history(IPE, "ana")).body["totalDias"]
    await a.granted(
        IPE, "ana", "RECTIFICACION", periodo=a.period(IPE, "ana", diasDescontados=100, diasReintegrados=40)
    )
    answered = (await a.history(IPE, "ana")).body
    a.expect(answered["totalDias"] == whole - 60, f"{whole} less 60: {answered['totalDias']}")
    case = await a.to_totals(IPE, "ana", "VEJEZ")
    parts = a.c.institutes[IPE].cases.events(case)[-1].event["totalizacion"]["partes"]
    own = next(p["dias"] for p in parts if p["instituto"] == MEMBERS[IPE])
    a.expect(own == whole - 60, f"the case counts the same: {own}")


async def v12(a: Acts) -> None:
    """An active worker has days up to the day asked, at midnight of her own state too"""
    a.at(2026, 3, 3, 5, 59)  # 23:59 of 2 March in Toluca
    late = (await a.history(ISSEMYM, "ofelia")).body
    a.at(2026, 3, 3, 6, 1)
    next_day = (await a.history(ISSEMYM, "ofelia")).body
    a.expect(
        (late["totalDias"], next_day["totalDias"]) == (548, 549),
        f"{late['totalDias']} {next_day['totalDias']}",
    )
    a.expect(next_day["periodos"][0]["contadoHasta"] == "2026-03-03", "it says up to when")
    earlier = (await a.history(ISSEMYM, "ofelia", hasta="2024-09-01")).body
    a.expect(earlier["totalDias"] == 1, f"one day: {earlier}")


async def _affiliation(a: Acts, code: str, who: str, role: str) -> Any:
    case = f"CONS-{code[:2]}-2026-00000001"
    body = {"pid": PIDS[who][code]}
    return await a.c.ask(f"{code}/AFIL", code, "consultarAfiliacion", body, "PUR-AFIL", case, role)
