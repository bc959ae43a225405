"""Variations about portability cases: V13 to V20."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from benchmarks.scenarios.acts import IPE, ISSEMYM, MEMBERS, PERSON, PIDS, SONORA, SYSTEM, Acts
from social_security.domain import pack
from social_security.domain.history import Period, parse_rules, total
from tests.directgateway import INSTITUTES

if TYPE_CHECKING:
    pass


async def v13(a: Acts) -> None:
    """A period that changes after the totals stops the case until they are made anew, whoever's it is"""
    case = await a.to_totals(ISSEMYM, "ana", "JUBILACION")
    before = a.c.institutes[ISSEMYM].cases.events(case)[-1].event["totalizacion"]["diasUnion"]
    a.done(
        await a.granted(
            ISSEMYM, "ana", "RECTIFICACION", periodo=a.period(ISSEMYM, "ana", desde="2000-02-29")
        ),
        "own",
    )
    a.expect(not (await a.step(ISSEMYM, case, "PROYECTAR")).is_done, "no draft on old totals")
    a.done(
        await a.granted(IPE, "ana", "RECTIFICACION", periodo=a.period(IPE, "ana", hasta="2020-02-29")),
        "another's",
    )
    await a.c.settle()
    a.expect(a.case(ISSEMYM, case).state == "HISTORIA_RECIBIDA", f"the case is {a.case(ISSEMYM, case).state}")
    a.done(await a.step(ISSEMYM, case, "TOTALIZAR"), "totals anew")
    after = a.c.institutes[ISSEMYM].cases.events(case)[-1].event["totalizacion"]["diasUnion"]
    a.expect(after < before, f"{before} -> {after}")
    await _to_the_end(a, ISSEMYM, case)


async def v14(a: Acts) -> None:
    """Two institutes that rectify at once are both taken, and every chain is the same"""
    case = await a.to_totals(ISSEMYM, "ana", "VEJEZ")
    await asyncio.gather(
        *(
            a.granted(code, "ana", "RECTIFICACION", periodo=a.period(code, "ana", hasta=until))
            for code, until in ((SONORA, "2014-02-28"), (IPE, "2020-02-29"))
        )
    )
    await a.c.settle()
    events = [e.event["evento"] for e in a.c.institutes[ISSEMYM].cases.events(case)]
    a.expect(events.count("ACLARAR") == 2, f"both: {events}")
    a.expect(len({a.case(c, case).last_hash for c in INSTITUTES}) == 1, "one chain")
    a.expect(not any(o.waiting() for o in a.c.outboxes()), "nothing waits for ever")
    a.done(await a.step(ISSEMYM, case, "TOTALIZAR"), "totals anew")
    await _to_the_end(a, ISSEMYM, case)


async def v15(a: Acts) -> None:
    """A rejection has cause, basis and appeal; what was appealed goes on to its end, and holds nobody's benefit meanwhile"""
    a.done(await a.open(IPE, "ana", "JUBILACION"), "the case")
    await a.c.settle()
    case = "PORT-30-2026-00000001"
    a.refused(
        await a.post(IPE, IPE, a.event(IPE, case, "RECHAZAR", "RECHAZADA")), "SS-400", "without a cause"
    )
    grounds = {
        "codigo": "SS-403",
        "fundamento": "mx:LGPDPPSO-60",
        "motivacion": "El convenio no cubre lo pedido aquí.",
    }
    a.done(await a.step(SONORA, case, "RECHAZAR", **grounds), "rejected by a counterparty")
    a.done(await a.step(IPE, case, "RECURRIR", PERSON, pid=PIDS["ana"][IPE]), "her appeal")
    other = await a.open(ISSEMYM, "ana", "JUBILACION")
    a.done(other, "meanwhile the benefit is free")
    a.expect(not (await a.step(IPE, case, "ADMITIR")).is_done, "now the other case holds it")
    a.done(
        await a.step(ISSEMYM, "PORT-15-2026-00000001", "DESISTIR", PERSON, pid=PIDS["ana"][ISSEMYM]),
        "given up",
    )
    a.done(await a.step(IPE, case, "ADMITIR"), "the authority's decision is carried out")


async def v16(a: Acts) -> None:
    """Of three institutes that open one benefit at once exactly one gets it, in any order, and afterwards it can be asked again"""
    for benefit, order in (("JUBILACION", INSTITUTES), ("VEJEZ", tuple(reversed(INSTITUTES)))):
        number = 1 if benefit == "JUBILACION" else 2
        answers = await asyncio.gather(*(a.open(code, "ana", benefit, number) for code in order))
        winners = [code for code, response in zip(order, answers, strict=True) if response.is_done]
        a.expect(len(winners) == 1, f"{benefit}: {[h.status for h in answers]}")
        await a.c.settle()
        case = f"PORT-{winners[0][:2]}-2026-{number:08d}"
        a.done(await a.step(winners[0], case, "DESISTIR", PERSON, pid=PIDS["ana"][winners[0]]), "given up")
        a.done(await a.open(order[-1], "ana", benefit, number + 10), "free again")


async def v17(a: Acts) -> None:
    """Terms are computed: one that is sent is refused, and nobody but the responsible institute's clock lets a case lapse"""
    a.done(await a.open(SONORA, "ana", "JUBILACION"), "the case")
    await a.c.settle()
    case = "PORT-26-2026-00000001"
    for sent in ("2020-01-01", "2026-02-28", "2099-12-31"):
        event = a.event(SONORA, case, "ADMITIR", "ADMITIDA", fechaLimite=sent)
        a.refused(await a.post(SONORA, SONORA, event), "SS-404", sent, "fechaLimite")
    lapse = a.event(SONORA, case, "VENCER", "VENCIDA")
    a.refused(await a.post(IPE, SONORA, lapse, SYSTEM), "SS-405", "a counterparty's clock")
    a.refused(await a.post(SONORA, SONORA, lapse, SYSTEM), "SS-404", "before its day")
    a.pass_days(120)
    await a.c.settle()
    a.expect({a.case(c, case).state for c in INSTITUTES} == {"VENCIDA"}, "it lapses everywhere by itself")


async def v18(a: Acts) -> None:
    """Shares are computed by days to the centavo, and amounts that are no shares are refused by everybody"""
    case = await a.to_totals(SONORA, "ana", "JUBILACION")
    totals = a.c.institutes[SONORA].cases.events(case)[-1].event["totalizacion"]
    a.expect(sum(p["montoCentavos"] for p in totals["partes"]) == 1_800_000, f"{totals}")
    exact = [1_800_000 * p["dias"] / totals["diasUnion"] for p in totals["partes"]]
    a.expect(
        all(abs(p["montoCentavos"] - e) < 1 for p, e in zip(totals["partes"], exact, strict=True)), f"{exact}"
    )
    a.done(await a.step(SONORA, case, "INVALIDAR"), "taken back")
    for amounts in ((1, 1, 1_799_998), (600_000, 600_000, 600_000), (1_800_000, 0, 0)):
        parts = [p | {"montoCentavos": m} for p, m in zip(totals["partes"], amounts, strict=True)]
        event = a.event(SONORA, case, "TOTALIZAR", "TOTALIZADA", totalizacion={**totals, "partes": parts})
        for code in INSTITUTES:
            a.refused(await a.post(SONORA, code, event), "SS-406", f"{amounts} at {code}")


async def v19(a: Acts) -> None:
    """A refusal for want of a convention names each party once in each language, whoever asks whom"""
    for number, (code, others, benefit) in enumerate(
        ((SONORA, ["14-IPEJAL"], "JUBILACION"), (ISSEMYM, ["14-IPEJAL", "11-ISSEG"], "VEJEZ"), (IPE, [SONORA], "ORFANDAD")), 1
    ):  # fmt: skip
        parties = [pack.members()[o].path for o in others]
        response = await a.open(code, "ana", benefit, number, contrapartes=parties)
        reasons = str(response.body.get("motivacion", ""))
        a.refused(response, "SS-403", f"{code} with {others}")
        for member in (MEMBERS[code], *parties):
            a.expect(reasons.count(member) == 2, f"{member} in: {reasons}")


async def v20(a: Acts) -> None:
    """Days beyond the fraction's weeks count unless the convention counts whole weeks, alone and in sums"""
    rules = pack.document("fixture.json")["conventions"][0]["rules"]

    def years(*days: int, **changed: Any) -> int:
        start, periods = date(1980, 1, 1), []
        for number, length in enumerate(days):
            periods.append(Period(MEMBERS[INSTITUTES[number % 3]], start, start + timedelta(days=length - 1)))
            start += timedelta(days=length)
        return total(periods, parse_rules({**rules, **changed})).years

    a.expect((years(24 * 364 + 182), years(24 * 364 + 183)) == (24, 25), "a day beyond half a year")
    a.expect(years(24 * 364 + 181) == 24, "a day short of it")
    a.expect(years(8 * 364 + 61, 8 * 364 + 61, 8 * 364 + 61) == 25, "in sums of three")


async def _to_the_end(a: Acts, code: str, case: str) -> None:
    """A case with totals goes on to its end."""
    a.done(await a.step(code, case, "PROYECTAR"), "the draft")
    a.done(await a.step(code, case, "CONFORMAR", PERSON, pid=a.case(code, case).pid), "she agrees")
    for other in INSTITUTES:
        if other != code:
            a.done(await a.step(other, case, "CONFIRMAR_TRANSFERENCIA"), f"confirmed by {other}")
    for name in ("RESOLVER", "CERRAR"):
        a.done(await a.step(code, case, name), name)
    a.expect({a.case(c, case).state for c in INSTITUTES} == {"CERRADA"}, "closed everywhere")
