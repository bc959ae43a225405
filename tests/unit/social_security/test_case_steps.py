"""A step of a portability case: taken everywhere once whatever crashes or is silent in between, and taken back by its author."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from social_security.wire.gatewayclient import GatewayAnswer
from tests.directgateway import INSTITUTES, DirectCountry, DirectGateway
from tests.unit.social_security.test_beside_the_scenarios import MEMBERS, PIDS, Desk

ISSEMYM, SONORA, IPE = INSTITUTES
ANALYST = "ANALISTA_PORTABILIDAD"
CASE = "PORT-15-2026-00000001"


class CutRoad(DirectGateway):
    """Stops for ever at a portability event: before it is sent, or after it was taken and before the answer is heard."""

    def __init__(self, country: DirectCountry, code: str, *, after: bool) -> None:
        super().__init__(MEMBERS[code], country)
        self.after = after
        self.reached = asyncio.Event()

    async def _send(
        self, method: str, place: str, headers: Mapping[str, str], body: Mapping[str, Any] | None
    ) -> GatewayAnswer:
        if body is None or "secuencia" not in body:
            return await super()._send(method, place, headers, body)
        if self.after:
            assert (await super()._send(method, place, headers, body)).is_done
        self.reached.set()
        await asyncio.Event().wait()
        raise AssertionError("nobody wakes what has crashed")


class SilentRoad(DirectGateway):
    """Carries events, and loses every answer to them while it is silent."""

    silent = True

    async def _send(
        self, method: str, place: str, headers: Mapping[str, str], body: Mapping[str, Any] | None
    ) -> GatewayAnswer:
        heard = await super()._send(method, place, headers, body)
        return GatewayAnswer(0, {}) if self.silent and body is not None and "secuencia" in body else heard


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    made = Desk(DirectCountry(tmp_path))
    opened = await made.open(ISSEMYM, "ana", "JUBILACION")
    assert opened.status == 201
    for code in (SONORA, IPE):
        await made.tell(CASE, "ana", code)
    yield made
    made.c.close()


async def step(desk: Desk, code: str, name: str, role: str = ANALYST, **more: Any) -> Any:
    body = {"evento": name, **more}
    return await desk.c.ask(f"{code}/PORT", code, "avanzarCaso", body, "PUR-PORT", CASE, role)


async def reach(desk: Desk, *steps: tuple[str, str]) -> None:
    for code, name in steps:
        heard = await step(desk, code, name)
        assert heard.is_done, heard
        await desk.c.settle()


def states(desk: Desk) -> list[str]:
    return [desk.case(CASE, code).state for code in INSTITUTES]


def chains(desk: Desk) -> set[str]:
    return {desk.case(CASE, code).last_hash for code in INSTITUTES}


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("code", [ISSEMYM, SONORA])
async def test_after_a_crash_around_the_responsible_s_answer_everybody_has_the_step(
    desk: Desk, code: str, after: bool
) -> None:
    name = "ADMITIR"
    if code != ISSEMYM:
        await reach(desk, (ISSEMYM, "ADMITIR"), (ISSEMYM, "SOLICITAR_HISTORIA"))
        name = "ENTREGAR_HISTORIA"
    before = desk.case(CASE, ISSEMYM).sequence
    gateway = CutRoad(desk.c, code, after=after)
    desk.c.institutes[code].database.close()
    desk.c.start(code, gateway)
    asked = asyncio.create_task(step(desk, code, name))
    await gateway.reached.wait()
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    assert desk.case(CASE, ISSEMYM).sequence == before + after
    desk.c.institutes[code].database.close()
    desk.c.start(code)
    await desk.c.settle()
    assert {desk.case(CASE, c).sequence for c in INSTITUTES} == {before + 1}, "once, everywhere"
    assert len(chains(desk)) == 1
    assert desk.c.institutes[code].outbox.waiting() == []


async def test_a_step_without_an_answer_is_kept_and_sent_until_there_is_one(desk: Desk) -> None:
    gateway = SilentRoad(MEMBERS[ISSEMYM], desk.c)
    desk.c.institutes[ISSEMYM].database.close()
    desk.c.start(ISSEMYM, gateway)
    heard = await step(desk, ISSEMYM, "ADMITIR")
    assert (heard.body["codigo"], "se guardó" in heard.body["mensaje"]) == ("SS-901", True)
    assert states(desk) == ["ADMITIDA", "PRESENTADA", "PRESENTADA"]
    again = await step(desk, ISSEMYM, "ADMITIR")
    assert again.body["codigo"] == "SS-400", "it stands already"
    gateway.silent = False
    await desk.c.settle()
    assert states(desk) == ["ADMITIDA"] * 3
    assert len(chains(desk)) == 1


async def test_a_step_that_is_refused_is_kept_nowhere(desk: Desk) -> None:
    waiting = len(desk.c.institutes[ISSEMYM].outbox.all())
    await reach(desk, (ISSEMYM, "ADMITIR"))
    sent = len(desk.c.institutes[ISSEMYM].outbox.all())
    # Sonora's copy lags: it believes that the case is still where its own last event left it.
    desk.c.institutes[SONORA].cases.end_copy(CASE, "HISTORIA_SOLICITADA")
    heard = await step(desk, SONORA, "ENTREGAR_HISTORIA")
    assert heard.body["codigo"] == "SS-400"
    assert desk.c.institutes[SONORA].outbox.all() == []
    assert sent > waiting


async def test_a_desk_takes_its_own_last_step_back_and_nobody_else_s(desk: Desk) -> None:
    await reach(desk, (ISSEMYM, "ADMITIR"), (ISSEMYM, "SOLICITAR_HISTORIA"))
    assert (await step(desk, IPE, "INVALIDAR")).body["codigo"] == "SS-400"
    await reach(desk, (ISSEMYM, "INVALIDAR"))
    assert states(desk) == ["ADMITIDA"] * 3
    await reach(desk, (ISSEMYM, "INVALIDAR"))
    assert states(desk) == ["PRESENTADA"] * 3
    refused = await step(desk, ISSEMYM, "INVALIDAR")
    assert refused.body["codigo"] == "SS-400", "the application is the person's to give up"
    assert len(chains(desk)) == 1


async def test_a_clarification_is_asked_for_and_given_by_either_side(desk: Desk) -> None:
    to_histories = ((ISSEMYM, "ADMITIR"), (ISSEMYM, "SOLICITAR_HISTORIA"), (SONORA, "ENTREGAR_HISTORIA"))
    await reach(desk, *to_histories, (IPE, "ENTREGAR_HISTORIA"), (ISSEMYM, "PEDIR_ACLARACION"))
    assert states(desk) == ["ACLARACION"] * 3
    await reach(desk, (SONORA, "ACLARAR"), (ISSEMYM, "PEDIR_ACLARACION"), (ISSEMYM, "ACLARAR"))
    assert states(desk) == ["HISTORIA_RECIBIDA"] * 3
    assert len(chains(desk)) == 1


async def test_what_the_person_decided_no_desk_takes_back(desk: Desk) -> None:
    to_histories = ((ISSEMYM, "ADMITIR"), (ISSEMYM, "SOLICITAR_HISTORIA"), (SONORA, "ENTREGAR_HISTORIA"))
    await reach(
        desk, *to_histories, (IPE, "ENTREGAR_HISTORIA"), (ISSEMYM, "TOTALIZAR"), (ISSEMYM, "PROYECTAR")
    )
    agreed = await step(desk, ISSEMYM, "CONFORMAR", "TITULAR", pid=PIDS["ana"][ISSEMYM])
    assert agreed.is_done, agreed
    await desk.c.settle()
    assert (await step(desk, ISSEMYM, "INVALIDAR")).body["codigo"] == "SS-400"
    number = desk.case(CASE, ISSEMYM).sequence
    own, event = desk.event(CASE, "INVALIDAR", "PROYECTO_RESOLUCION", anula=number)
    sent = await desk.post(ISSEMYM, ISSEMYM, own, event)
    assert (sent.body["codigo"], "sólo el autor" in sent.body["mensaje"]) == ("SS-400", True)


async def test_a_copy_that_learnt_of_the_end_first_still_takes_what_came_before_it(desk: Desk) -> None:
    # Sonora hears of no event, and then asks, when the case stands in the way of another one, how it stands.
    refused = {
        "codigo": "SS-403",
        "fundamento": "mx:LGPDPPSO-60",
        "motivacion": "El convenio no cubre lo que se pide.",
    }
    for name, more in (("ADMITIR", {}), ("RECHAZAR", refused)):
        assert (await step(desk, ISSEMYM, name, **more)).is_done
    desk.c.institutes[SONORA].cases.end_copy(CASE, "RECHAZADA")
    await desk.c.settle()
    assert states(desk) == ["RECHAZADA"] * 3
    assert len(chains(desk)) == 1
    appealed = await step(desk, ISSEMYM, "RECURRIR", "TITULAR", pid=PIDS["ana"][ISSEMYM])
    assert appealed.is_done, appealed
    await desk.c.settle()
    assert states(desk) == ["RECURRIDA"] * 3
