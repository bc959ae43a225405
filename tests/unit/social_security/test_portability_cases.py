"""Portability cases among three institutes in one process: locks, changed periods, refusals, appeals, and crossing rectifications."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pytest

from serving.storage.database import Database
from social_security.commands.seed import rid_of
from social_security.domain import eventchain, pack
from social_security.domain.history import Period, parse_rules, share, total
from social_security.domain.pseudonyms import Pid, institute_pid
from social_security.institute.stores.periods import PeriodStore
from social_security.institute.stores.steps import STEPS
from social_security.wire.outbox import LIFE, Outbox, OutboxItem, Outcome
from tests.social import SmallCountry, small_country

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

CODES = ("15-ISSEMYM", "26-ISSSTESON", "30-IPE")
CONVENTION = next(c for c in pack.document("fixture.json")["conventions"] if c["id"] == "CONV-DEMO-2025-01")
RULES = parse_rules(CONVENTION["rules"])
ANALYST, PERSON = "ANALISTA_PORTABILIDAD", "TITULAR"
NEGATIVA = {
    "codigo": "SS-403",
    "fundamento": "mx:LGPDPPSO-60",
    "motivacion": "El convenio no cubre el beneficio que se pide en esta solicitud.",
    "medioImpugnacion": "Recurso de revisión ante la autoridad garante",
    "autoridad": "MX/GAR/30-GARANTE",
    "limiteImpugnacion": "2026-03-23",
}


def member(code: str) -> str:
    """The path of an institute."""
    return pack.members()[code].path


def pid_of(code: str) -> Pid:
    """Ana's PID at an institute."""
    key = bytes.fromhex(pack.persons()["registry_key"])
    return institute_pid(key, "v1", rid_of("ana"), member(code))


@pytest.fixture
async def country(tmp_path: Path) -> AsyncIterator[SmallCountry]:
    """Registry, ONIESS and three institutes; 2 March 2026."""
    async with small_country(tmp_path, ["26-ISSSTESON"]) as made:
        yield made


@dataclass(slots=True)
class Case:
    """A case as its participants drive it."""

    c: SmallCountry
    id: str
    responsible: str
    benefit: str = "JUBILACION"
    others: tuple[str, ...] = ()
    chain: list[dict[str, Any]] = field(default_factory=list)
    days: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.others = tuple(c for c in CODES if c != self.responsible)

    async def ask(
        self, client: str, to: str, operation: str, body: dict[str, Any], role: str = ANALYST
    ) -> Any:
        """One call of the case; status and body."""
        return await self.c.ask(
            f"{client}/PORT", to, operation, body, purpose="PUR-PORT", case=self.id, role=role
        )

    async def open(self) -> tuple[int, dict[str, Any]]:
        """Open it at the responsible institute."""
        body = {"pid": pid_of(self.responsible), "convenio": CONVENTION["id"], "beneficio": self.benefit,
                "contrapartes": [member(c) for c in self.others]}  # fmt: skip
        status, answer = await self.ask(self.responsible, self.responsible, "abrirCaso", body)
        self.days = {n: answer[n] for n in ("presentadaEl", "fechaLimite") if n in answer}
        return status, answer

    async def present(self) -> None:
        """Open it, and let each counterparty know."""
        status, answer = await self.open()
        assert status == 201, answer
        await self.tell()

    async def tell(self) -> None:
        """Let each counterparty know of the case that is open."""
        event = await self.event("PRESENTAR", "PRESENTADA", before="BORRADOR")
        event |= {"convenio": CONVENTION["id"], "beneficio": self.benefit, **self.days}
        for other in self.others:
            sealed = await self.token(other)
            status, answer = await self.ask(
                self.responsible, other, "agregarEvento", event | {"testigo": sealed}
            )
            assert status == 200, answer
        self.chain.append(event)

    async def token(self, other: str) -> str:
        """A token of Ana for a counterparty."""
        body = {"pid": pid_of(self.responsible), "destino": member(other)}
        status, answer = await self.ask(self.responsible, "00-RNSS", "traducirPid", body)
        assert status == 200, answer
        return str(answer["testigo"])

    async def state(self, at: str = "") -> dict[str, Any]:
        """The case as a participant holds it."""
        code = at or self.responsible
        _, seen = await self.ask(code, code, "verCaso", {})
        return dict(seen)

    async def event(self, name: str, to: str, *, before: str = "") -> dict[str, Any]:
        """The next event on the responsible's chain."""
        seen = {} if before else await self.state()
        return {
            "caso": self.id, "secuencia": seen.get("ultimaSecuencia", 0) + 1, "evento": name,
            "estadoPrevio": before or seen["estado"], "estadoNuevo": to, "responsable": member(self.responsible),
            "contraparte": [member(c) for c in self.others], "hashAnterior": seen.get("ultimoHash", eventchain.START),
        }  # fmt: skip

    async def refused(
        self, sender: str, name: str, to: str, role: str = ANALYST, **more: Any
    ) -> dict[str, Any]:
        """An event that the responsible does not take; why."""
        status, answer = await self.ask(
            sender, self.responsible, "agregarEvento", await self.event(name, to) | more, role
        )
        assert status >= 400, answer
        return dict(answer)

    async def cause(self, sender: str, name: str, to: str, role: str = ANALYST, **more: Any) -> None:
        """An event that every participant takes."""
        event = await self.event(name, to) | more
        for code in (self.responsible, *self.others):
            status, answer = await self.ask(sender, code, "agregarEvento", event, role)
            assert status == 200, (name, code, answer)

    async def deliver(self) -> None:
        """Admit, ask and deliver every history."""
        await self.cause(self.responsible, "ADMITIR", "ADMITIDA")
        await self.cause(self.responsible, "SOLICITAR_HISTORIA", "HISTORIA_SOLICITADA")
        for number, other in enumerate(self.others, 1):
            body = {"testigo": await self.token(other)}
            status, history = await self.ask(self.responsible, other, "consultarHistoria", body)
            assert status == 200, history
            to = "HISTORIA_RECIBIDA" if number == len(self.others) else "HISTORIA_SOLICITADA"
            await self.cause(
                other,
                "ENTREGAR_HISTORIA",
                to,
                historia=[history],
                historiaSha256=[eventchain.history_digest(history)],
            )

    def total(self) -> dict[str, Any]:
        """The totals of today's periods, with their shares of 18,000.00."""
        periods = [
            Period(member(code), p.since, p.until)
            for code in CODES
            for p in periods_of(self.c, code)
            if p.until is not None
        ]
        made = total(periods, RULES)
        return made.to_json(share(1_800_000, made.parts))

    async def decide(self, *, first: str = "TOTALIZAR") -> None:
        """From the totals to the transfer."""
        if first == "TOTALIZAR":
            await self.cause(self.responsible, "TOTALIZAR", "TOTALIZADA", totalizacion=self.total())
        await self.cause(self.responsible, "PROYECTAR", "PROYECTO_RESOLUCION")
        await self.cause(self.responsible, "CONFORMAR", "CONFORMIDAD_TITULAR", PERSON)
        await self.cause(self.others[0], "CONFIRMAR_TRANSFERENCIA", "CONFORMIDAD_TITULAR")
        await self.cause(self.others[1], "CONFIRMAR_TRANSFERENCIA", "TRANSFERIDA")


def periods_of(c: SmallCountry, code: str) -> list[Any]:
    """What an institute certifies of Ana now."""
    database = Database(c.folder / code / "institute.sqlite", STEPS)
    try:
        return PeriodStore(database).served(pid_of(code))
    finally:
        database.close()


def rectify(c: SmallCountry, code: str, until: str) -> None:
    """An institute certifies another end of Ana's last period."""
    database = Database(c.folder / code / "institute.sqlite", STEPS)
    store = PeriodStore(database)
    last = store.served(pid_of(code))[-1]
    at = datetime(2026, 3, 2, 12, tzinfo=UTC)
    store.correct(last, replace(last, until=date.fromisoformat(until), certified_at=at, evidence="a" * 64))
    database.close()


async def own_history(c: SmallCountry, code: str) -> dict[str, Any]:
    """What an institute certifies of Ana, as it tells her."""
    status, history = await c.ask(
        f"{code}/HIST", code, "consultarHistoria", {"pid": pid_of(code)}, purpose="PUR-HIST",
        case=f"CONS-{code[:2]}-2026-00000001", role="TITULAR",
    )  # fmt: skip
    assert status == 200, history
    return history


async def test_of_institutes_that_open_at_the_same_time_exactly_one_gets_the_case(
    country: SmallCountry,
) -> None:
    cases = [Case(country, f"PORT-{code[:2]}-2026-00000001", code) for code in CODES]
    answers = await asyncio.gather(*(case.open() for case in cases))
    assert sorted(status for status, _ in answers) == [201, 409, 409]
    winner = next(case.id for case, (status, _) in zip(cases, answers, strict=True) if status == 201)
    for status, answer in answers:
        assert status == 201 or (answer["codigo"] == "SS-205" and winner in answer["mensaje"])


@pytest.mark.parametrize(
    ("sender", "name", "to", "role", "more"),
    [
        ("30-IPE", "DESISTIR", "DESISTIDA", PERSON, {}),
        ("30-IPE", "RECHAZAR", "RECHAZADA", ANALYST, {"negativa": NEGATIVA}),
        ("30-IPE", "RECURRIR", "RECURRIDA", PERSON, {}),
    ],
)
async def test_the_benefit_is_free_again_at_every_end(
    country: SmallCountry, sender: str, name: str, to: str, role: str, more: dict[str, Any]
) -> None:
    case = Case(country, "PORT-30-2026-00000001", "30-IPE")
    await case.present()
    other = Case(country, "PORT-15-2026-00000001", "15-ISSEMYM")
    assert (await other.open())[0] == 409
    await case.cause(sender, name, to, role, **more)
    await until(country, other)
    assert (await other.open())[1].get("codigo") == "SS-402"


async def until(country: SmallCountry, case: Case) -> None:
    """Open a case as soon as the registry has heard that the benefit is free (its outbox tries every second)."""
    for _ in range(600):
        if (await case.open())[0] == 201:
            return
        await asyncio.sleep(0.1)
    raise AssertionError("the benefit did not become free")


async def test_a_case_that_nobody_renews_lets_the_benefit_go(country: SmallCountry) -> None:
    assert (await Case(country, "PORT-30-2026-00000001", "30-IPE").open())[0] == 201
    # From here on the registry hears nothing of IPE: its own clock ends the case, and nobody is told.
    country.roads["30-IPE"].down.add("00-RNSS")
    country.at("2026-08-10T09:00:00-06:00")
    status, refused = await Case(country, "PORT-15-2026-00000001", "15-ISSEMYM").open()
    assert status == 409, refused
    country.at("2026-09-30T09:00:00-06:00")
    # ISSEMYM never heard of the case, and the registry's term has passed.
    assert (await Case(country, "PORT-15-2026-00000001", "15-ISSEMYM").open())[0] == 201


async def seen_as(case: Case, state: str) -> None:
    """Wait until every participant holds the case in a state (the loops go round every second)."""
    for _ in range(600):
        views = [await case.state(code) for code in CODES]
        if {v["estado"] for v in views} == {state}:
            break
        await asyncio.sleep(0.1)
    assert {v["estado"] for v in views} == {state}, views
    assert len({v["ultimoHash"] for v in views}) == 1, views


@pytest.mark.parametrize("reached", ["PRESENTADA", "HISTORIA_RECIBIDA", "CONFORMIDAD_TITULAR"])
async def test_a_case_whose_term_has_passed_ends_everywhere_by_itself_and_can_be_appealed(
    country: SmallCountry, reached: str
) -> None:
    case = Case(country, "PORT-30-2026-00000001", "30-IPE")
    await case.present()
    if reached != "PRESENTADA":
        await case.deliver()
    if reached == "CONFORMIDAD_TITULAR":
        await case.cause("30-IPE", "TOTALIZAR", "TOTALIZADA", totalizacion=case.total())
        await case.cause("30-IPE", "PROYECTAR", "PROYECTO_RESOLUCION")
        await case.cause("30-IPE", "CONFORMAR", "CONFORMIDAD_TITULAR", PERSON)
    country.at("2026-05-27T23:00:00-06:00")
    await asyncio.sleep(2.2)  # two rounds on the last day of the term: nothing lapses on it
    assert (await case.state())["estado"] == reached
    country.at("2026-05-28T09:00:00-06:00")
    await seen_as(case, "VENCIDA")
    await until(country, Case(country, "PORT-15-2026-00000001", "15-ISSEMYM"))
    await case.cause("30-IPE", "RECURRIR", "RECURRIDA", PERSON)


async def test_a_case_that_was_decided_or_appealed_does_not_lapse(country: SmallCountry) -> None:
    case = Case(country, "PORT-30-2026-00000001", "30-IPE")
    await case.present()
    await case.deliver()
    await case.decide()
    await case.cause("30-IPE", "RESOLVER", "RESUELTA")
    other = Case(country, "PORT-15-2026-00000001", "15-ISSEMYM", "VEJEZ")
    await other.present()
    await other.cause("15-ISSEMYM", "RECURRIR", "RECURRIDA", PERSON)
    third = Case(country, "PORT-26-2026-00000001", "26-ISSSTESON", "VEJEZ")
    await until(country, third)  # an appeal lets the benefit go
    await third.tell()
    country.at("2026-07-28T09:00:00-06:00")
    await seen_as(third, "VENCIDA")
    assert (await case.state())["estado"] == "RESUELTA"
    assert (await other.state())["estado"] == "RECURRIDA"
    await case.cause("30-IPE", "CERRAR", "CERRADA")


async def test_a_decided_case_that_a_late_rectification_opens_again_has_a_new_term(
    country: SmallCountry,
) -> None:
    case = Case(country, "PORT-30-2026-00000001", "30-IPE")
    await case.present()
    await case.deliver()
    await case.decide()
    await case.cause("30-IPE", "RESOLVER", "RESUELTA")
    country.at("2026-07-28T09:00:00-06:00")
    rectify(country, "30-IPE", "2022-12-31")
    history = await own_history(country, "30-IPE")
    more: dict[str, Any] = {"historia": [history], "historiaSha256": [eventchain.history_digest(history)]}
    await case.cause("30-IPE", "ACLARAR", "HISTORIA_RECIBIDA", **more)
    assert (await case.state())["fechaLimite"] > "2026-10-01"
    await case.decide()
    await case.cause("30-IPE", "RESOLVER", "RESUELTA")


async def test_rejected_cases_are_published_by_cause_basis_and_authority_and_small_cells_are_not(
    country: SmallCountry,
) -> None:
    for number in range(1, 6):
        case = Case(country, f"PORT-30-2026-0000000{number}", "30-IPE")
        await until(country, case)
        await case.tell()
        await case.cause("30-IPE", "RECHAZAR", "RECHAZADA", negativa=NEGATIVA)
        if number < 3:
            await case.cause("30-IPE", "RECURRIR", "RECURRIDA", PERSON)
    told = (await country.read("30-IPE", "/negativas"))["negativas"]
    assert {
        "miembro": "MX/GOB/30-IPE", "ambito": "PORTABILIDAD", "causa": "SS-403", "casos": 5, "suprimido": False,
        "fundamento": "mx:LGPDPPSO-60", "autoridad": "MX/GAR/30-GARANTE", "recurridas": None,
    } in told  # fmt: skip
    # A counterparty heard of them; they are the other's rejections, not its own.
    others = (await country.read("15-ISSEMYM", "/negativas"))["negativas"]
    assert [r for r in others if r["ambito"] == "PORTABILIDAD"] == []
    assert "PORTABILIDAD" in await country.read("30-IPE", "/negativas?formato=csv")
    assert "PORT-30" not in await country.read("30-IPE", "/negativas?formato=csv")


@pytest.mark.parametrize("code", ["30-IPE", "15-ISSEMYM"])
async def test_a_period_that_changes_after_the_totals_stops_the_decision_until_they_are_made_anew(
    country: SmallCountry, code: str
) -> None:
    case = Case(country, "PORT-30-2026-00000001", "30-IPE")
    await case.present()
    await case.deliver()
    before = case.total()
    await case.decide()
    rectify(country, code, "2008-08-31" if code == "15-ISSEMYM" else "2022-12-31")
    if code == "30-IPE":
        assert (await case.refused("30-IPE", "RESOLVER", "RESUELTA"))["codigo"] == "SS-406"
    history = await own_history(country, code)
    more: dict[str, Any] = {"historia": [history], "historiaSha256": [eventchain.history_digest(history)]}
    await case.cause(code, "ACLARAR", "HISTORIA_RECIBIDA", **more)
    stale = await case.refused("30-IPE", "TOTALIZAR", "TOTALIZADA", totalizacion=before)
    assert stale["codigo"] == "SS-406"
    assert case.total()["diasUnion"] < before["diasUnion"]
    await case.decide()
    await case.cause("30-IPE", "RESOLVER", "RESUELTA")
    await case.cause("30-IPE", "CERRAR", "CERRADA")


async def test_a_counterparty_confirms_only_what_it_still_certifies(country: SmallCountry) -> None:
    case = Case(country, "PORT-30-2026-00000001", "30-IPE")
    await case.present()
    await case.deliver()
    await case.cause("30-IPE", "TOTALIZAR", "TOTALIZADA", totalizacion=case.total())
    await case.cause("30-IPE", "PROYECTAR", "PROYECTO_RESOLUCION")
    await case.cause("30-IPE", "CONFORMAR", "CONFORMIDAD_TITULAR", PERSON)
    rectify(country, "15-ISSEMYM", "2008-08-31")
    event = await case.event("CONFIRMAR_TRANSFERENCIA", "CONFORMIDAD_TITULAR")
    _, refused = await case.ask("15-ISSEMYM", "15-ISSEMYM", "agregarEvento", event)
    assert refused["codigo"] == "SS-503"


@pytest.mark.parametrize("amounts", [(1, 1, 1_799_998), (600_000, 600_000, 600_000)])
async def test_amounts_that_are_no_shares_are_refused_by_everybody(
    country: SmallCountry, amounts: tuple[int, int, int]
) -> None:
    case = Case(country, "PORT-30-2026-00000001", "30-IPE")
    await case.present()
    await case.deliver()
    wrong = case.total()
    for part, cents in zip(wrong["partes"], amounts, strict=True):
        part["montoCentavos"] = cents
    event = await case.event("TOTALIZAR", "TOTALIZADA") | {"totalizacion": wrong}
    for code in CODES:
        status, refused = await case.ask("30-IPE", code, "agregarEvento", event)
        assert (status, refused["codigo"]) == (422, "SS-406"), code


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        {"autoridad": "MX/GAR/15-GARANTE"},
        {"limiteImpugnacion": "2026-03-24"},
        {"limiteImpugnacion": "2020-01-01"},
        {"codigo": "SS-999"},
        {"codigo": "SS-100"},
        {"motivacion": "nonononononononononononono"},
        {"medioImpugnacion": " "},
    ],
)
async def test_a_rejection_without_cause_basis_or_appeal_is_refused(
    country: SmallCountry, wrong: dict[str, Any] | None
) -> None:
    case = Case(country, "PORT-30-2026-00000001", "30-IPE")
    await case.present()
    more: dict[str, Any] = {} if wrong is None else {"negativa": NEGATIVA | wrong}
    assert (await case.refused("30-IPE", "RECHAZAR", "RECHAZADA", **more))["codigo"] == "SS-400"


async def test_a_rejected_case_is_appealed_and_goes_on_to_its_end(country: SmallCountry) -> None:
    case = Case(country, "PORT-30-2026-00000001", "30-IPE")
    await case.present()
    await case.cause("30-IPE", "RECHAZAR", "RECHAZADA", negativa=NEGATIVA)
    await case.cause("30-IPE", "RECURRIR", "RECURRIDA", PERSON)
    assert (await case.refused("30-IPE", "RESOLVER", "RESUELTA"))["codigo"] == "SS-406"
    await case.deliver()
    await case.decide()
    await case.cause("30-IPE", "RESOLVER", "RESUELTA")
    await case.cause("30-IPE", "CERRAR", "CERRADA")


@pytest.mark.parametrize("sent", ["2020-01-01", "2026-05-01", "2099-12-31"])
async def test_a_term_is_computed_and_one_that_is_sent_otherwise_is_refused(
    country: SmallCountry, sent: str
) -> None:
    case = Case(country, "PORT-30-2026-00000001", "30-IPE")
    await case.present()
    seen = await case.state()
    assert seen["fechaLimite"] == "2026-05-27"
    refused = await case.refused("30-IPE", "ADMITIR", "ADMITIDA", fechaLimite=sent)
    assert (refused["codigo"], refused["campo"]) == ("SS-404", "fechaLimite")
    expired = await case.refused("15-ISSEMYM", "VENCER", "VENCIDA", "SISTEMA")
    assert expired["codigo"] == "SS-405"


async def test_events_that_name_other_parties_than_the_case_has_are_refused(country: SmallCountry) -> None:
    case = Case(country, "PORT-30-2026-00000001", "30-IPE")
    await case.present()
    for more in (
        {"responsable": member("15-ISSEMYM")},
        {"contraparte": [member("15-ISSEMYM")]},
        {"contraparte": [member("15-ISSEMYM")] * 2},
        {"contraparte": [member("14-IPEJAL"), member("15-ISSEMYM")]},
    ):
        assert (await case.refused("30-IPE", "ADMITIR", "ADMITIDA", **more))["codigo"] in ("SS-400", "SS-405")


async def test_a_refusal_for_want_of_a_convention_names_its_parties_once_each(country: SmallCountry) -> None:
    case = Case(country, "PORT-30-2026-00000001", "30-IPE", "ORFANDAD")
    _, refused = await case.open()
    assert refused["codigo"] == "SS-403"
    assert all(refused["motivacion"].count(member(code)) == 2 for code in CODES)  # once in each language
    assert "ORFANDAD" in refused["motivacion"]
    case = Case(country, "PORT-30-2026-00000002", "30-IPE")
    case.others = ("14-IPEJAL",)
    _, refused = await case.open()
    assert refused["motivacion"].count("MX/GOB/30-IPE") == 2
    assert refused["motivacion"].count("MX/GOB/14-IPEJAL") == 2


async def test_two_institutes_that_rectify_at_the_same_time_are_both_taken(country: SmallCountry) -> None:
    case = Case(country, "PORT-30-2026-00000001", "30-IPE")
    await case.present()
    await case.deliver()
    seen = await case.state()
    # Both build their event on the same place of the chain, as their outboxes keep it.
    for code, until_ in (("15-ISSEMYM", "2008-08-31"), ("26-ISSSTESON", "2014-02-15")):
        rectify(country, code, until_)
        history = await own_history(country, code)
        event = await case.event("ACLARAR", "HISTORIA_RECIBIDA") | {
            "secuencia": seen["ultimaSecuencia"] + 1, "hashAnterior": seen["ultimoHash"],
            "historia": [history], "historiaSha256": [eventchain.history_digest(history)],
        }  # fmt: skip
        database = Database(country.folder / code / "institute.sqlite", STEPS)
        with database.transaction() as connection:
            Outbox.put(
                connection, [OutboxItem(f"arco:{code}", member("30-IPE"), "agregarEvento", event, case.id)]
            )
        database.close()
    for _ in range(600):
        views = [await case.state(code) for code in CODES]
        if {v["ultimaSecuencia"] for v in views} == {seen["ultimaSecuencia"] + 2}:
            break
        await asyncio.sleep(0.1)
    assert len({v["ultimoHash"] for v in views}) == 1, views
    await case.cause("30-IPE", "TOTALIZAR", "TOTALIZADA", totalizacion=case.total())


async def test_every_notice_reaches_an_end(tmp_path: Path) -> None:
    database = Database(tmp_path / "x.sqlite", STEPS)
    at = [datetime(2026, 3, 2, tzinfo=UTC)]

    async def deliver(notice: OutboxItem) -> bool | Outcome:
        if notice.member == "poison":
            raise ValueError("whatever")
        ends: dict[str, bool | Outcome] = {
            "done": True,
            "dead": Outcome(dead="SS-405"),
            "again": Outcome(body={"n": 2}),
        }
        return ends.get(notice.member, False)

    outbox = Outbox(database, deliver, lambda: at[0])
    with database.transaction() as connection:
        Outbox.put(
            connection,
            [OutboxItem("1", m, "op", {"n": 1}, "c") for m in ("poison", "silent", "dead", "again", "done")],
        )
    await outbox.send()
    assert [n.member for n in outbox.waiting()] == ["poison", "silent", "again"]
    assert [(n.member, n.reason) for n in outbox.dead()] == [("dead", "SS-405")]
    assert next(n.body for n in outbox.waiting() if n.member == "again") == {"n": 2}
    at[0] += LIFE * 2
    await outbox.send()
    assert outbox.waiting() == []
    assert len(outbox.dead()) == 4
    database.close()
