"""An institute that joins an open case: it holds the whole chain from then on, delivers its history, and nobody's years are left out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from social_security.domain.eventchain import event_hash
from social_security.institute.casejoining import antecedents
from tests.directgateway import INSTITUTES, DirectCountry
from tests.unit.social_security.test_beside_the_scenarios import MEMBERS, PIDS, Desk

ISSEMYM, SONORA, IPE = INSTITUTES
ANALYST = "ANALISTA_PORTABILIDAD"
CASE = "PORT-15-2026-00000001"
JOIN = "AGREGAR_PARTICIPANTE"


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """A case of two: Sonora was forgotten."""
    made = Desk(DirectCountry(tmp_path))
    body = {
        "pid": PIDS["ana"][ISSEMYM], "convenio": "CONV-DEMO-2025-01", "beneficio": "JUBILACION",
        "contrapartes": [MEMBERS[IPE]], "avisar": True,
    }  # fmt: skip
    opened = await made.c.ask(f"{ISSEMYM}/PORT", ISSEMYM, "abrirCaso", body, "PUR-PORT", CASE, ANALYST)
    assert opened.is_done, opened
    await made.c.settle()
    yield made
    made.c.close()


async def step(desk: Desk, code: str, name: str, role: str = ANALYST, **more: Any) -> Any:
    heard = await desk.c.ask(
        f"{code}/PORT", code, "avanzarCaso", {"evento": name, **more}, "PUR-PORT", CASE, role
    )
    await desk.c.settle()
    return heard


async def reach(desk: Desk, *steps: tuple[str, str]) -> None:
    for code, name in steps:
        more = {"pid": PIDS["ana"][ISSEMYM]} if name == "CONFORMAR" else {}
        heard = await step(desk, code, name, "TITULAR" if more else ANALYST, **more)
        assert heard.is_done, (name, heard)


TO_HISTORIES = ((ISSEMYM, "ADMITIR"), (ISSEMYM, "SOLICITAR_HISTORIA"), (IPE, "ENTREGAR_HISTORIA"))
TO_TOTALS = (*TO_HISTORIES, (ISSEMYM, "TOTALIZAR"))
TO_CONSENT = (*TO_TOTALS, (ISSEMYM, "PROYECTAR"), (ISSEMYM, "CONFORMAR"))
TO_DECISION = (*TO_CONSENT, (IPE, "CONFIRMAR_TRANSFERENCIA"), (ISSEMYM, "RESOLVER"))


@pytest.mark.parametrize("before", [(), TO_HISTORIES[:2], TO_TOTALS, TO_DECISION])
async def test_whenever_an_institute_joins_its_history_counts_before_the_decision(
    desk: Desk, before: tuple[tuple[str, str], ...]
) -> None:
    await reach(desk, *before)
    state = desk.case(CASE, ISSEMYM).state
    assert (await step(desk, ISSEMYM, JOIN, contrapartes=[MEMBERS[SONORA]])).body["estado"] == state
    cases = [desk.case(CASE, code) for code in INSTITUTES]
    assert {(c.state, c.counterparties, c.last_hash, c.deadline) for c in cases} == {
        (state, (MEMBERS[IPE], MEMBERS[SONORA]), cases[0].last_hash, cases[0].deadline)
    }
    assert cases[1].pid == PIDS["ana"][SONORA]
    if state in ("PRESENTADA", "ADMITIDA", "HISTORIA_SOLICITADA"):
        await reach(desk, *TO_HISTORIES[len(before) :], (SONORA, "ENTREGAR_HISTORIA"))
    else:
        for name in ("TOTALIZAR", "PROYECTAR", "RESOLVER", "CERRAR"):
            assert (await step(desk, ISSEMYM, name)).body.get("codigo") in ("SS-400", "SS-406"), name
        await reach(desk, (SONORA, "ACLARAR"))
    await reach(desk, (ISSEMYM, "TOTALIZAR"), *TO_CONSENT[4:])
    await reach(desk, (SONORA, "CONFIRMAR_TRANSFERENCIA"), *TO_DECISION[6:], (ISSEMYM, "CERRAR"))
    ended = [desk.case(CASE, code) for code in INSTITUTES]
    assert {(c.state, c.last_hash) for c in ended} == {("CERRADA", ended[0].last_hash)}
    totals = [
        e.event["totalizacion"]
        for e in desk.c.institutes[SONORA].cases.events(CASE)
        if "totalizacion" in e.event
    ]
    assert {p["instituto"] for p in totals[-1]["partes"]} == set(MEMBERS.values())


async def test_who_may_not_join_is_refused_before_anything_is_written(desk: Desk) -> None:
    refused = [
        await step(desk, ISSEMYM, JOIN),
        await step(desk, ISSEMYM, JOIN, contrapartes=[MEMBERS[IPE]]),
        await step(desk, ISSEMYM, JOIN, contrapartes=[MEMBERS[ISSEMYM]]),
        await step(desk, ISSEMYM, JOIN, contrapartes=[MEMBERS[SONORA], MEMBERS[SONORA]]),
        await step(desk, ISSEMYM, JOIN, contrapartes=["MX/GOB/07-ISSTECH"]),
        await step(desk, ISSEMYM, JOIN, contrapartes=["MX/GOB/07-NADIE"]),
        await step(desk, IPE, JOIN, contrapartes=[MEMBERS[SONORA]]),
        await step(desk, ISSEMYM, JOIN, "TITULAR", contrapartes=[MEMBERS[SONORA]], pid=PIDS["ana"][ISSEMYM]),
    ]
    assert [r.body["codigo"] for r in refused] == [
        "SS-400", "SS-400", "SS-400", "SS-400", "SS-403", "SS-403", "SS-400", "SS-400",
    ]  # fmt: skip
    assert {desk.case(CASE, code).sequence for code in (ISSEMYM, IPE)} == {1}
    assert [o for o in desk.c.institutes[ISSEMYM].outbox.waiting() if o.operation == "agregarEvento"] == []


async def test_nobody_who_joined_is_put_out_again(desk: Desk) -> None:
    assert (await step(desk, ISSEMYM, JOIN, contrapartes=[MEMBERS[SONORA]])).is_done
    assert (await step(desk, ISSEMYM, "INVALIDAR")).body["codigo"] == "SS-400"
    own, event = desk.event(CASE, "INVALIDAR", "PRESENTADA", anula=2)
    assert (await desk.post(ISSEMYM, ISSEMYM, own, event)).body["codigo"] == "SS-400"
    own, event = desk.event(CASE, JOIN, "PRESENTADA", contraparte=[MEMBERS[IPE]])
    assert (await desk.post(ISSEMYM, ISSEMYM, own, event)).body["codigo"] == "SS-400"


def altered(event: dict[str, Any], kind: str) -> dict[str, Any]:
    """An event that names a newcomer, with another account of what happened before."""
    told = [{**e, "evento": dict(e["evento"])} for e in event["antecedentes"]]
    match kind:
        case "missing":
            return {k: v for k, v in event.items() if k != "antecedentes"}
        case "cut off":
            told = told[:-1]
        case "empty":
            told = []
        case "other order":
            told = told[::-1]
        case "other sender":
            told[1]["remitente"] = MEMBERS[IPE]
        case "other state":
            told[1]["evento"]["estadoNuevo"] = "TOTALIZADA"
        case "other case":
            told[1]["evento"]["caso"] = "PORT-15-2026-00000009"
        case "no shape":
            told[1]["evento"]["secuencia"] = "2"
        case "other benefit":
            told[0]["evento"]["beneficio"] = "VEJEZ"
    return {**event, "antecedentes": told}


ALTERED = {
    "missing": "SS-205", "cut off": "SS-401", "empty": "SS-401", "other order": "SS-401", "other sender": "SS-400",
    "other state": "SS-401", "other case": "SS-401", "no shape": "SS-100", "other benefit": "SS-401",
}  # fmt: skip


@pytest.mark.parametrize("kind", ALTERED)
async def test_an_altered_account_of_what_happened_is_refused(desk: Desk, kind: str) -> None:
    await reach(desk, (ISSEMYM, "ADMITIR"))
    told = await desk.c.ask(
        f"{ISSEMYM}/PORT", "00-RNSS", "traducirPid", {"pid": PIDS["ana"][ISSEMYM], "destino": MEMBERS[SONORA]},
        "PUR-PORT", CASE, ANALYST,
    )  # fmt: skip
    parties = [MEMBERS[IPE], MEMBERS[SONORA]]
    own, event = desk.event(CASE, JOIN, "ADMITIDA", contraparte=parties, testigo=told.body["testigo"])
    chain = desk.c.institutes[ISSEMYM].cases.events(CASE)
    event["antecedentes"] = antecedents(chain, event["secuencia"])
    refused = await desk.post(ISSEMYM, SONORA, own, altered(event, kind))
    assert refused.body["codigo"] == ALTERED[kind], refused
    assert desk.c.institutes[SONORA].cases.case(CASE) is None
    by_another = await desk.post(IPE, SONORA, own, event)
    assert by_another.body["codigo"] == "SS-405"
    assert (await desk.post(ISSEMYM, SONORA, own, event)).is_done
    again = await desk.post(ISSEMYM, SONORA, own, event)
    assert again.body["hash"] == event_hash(event), "twice is once"
