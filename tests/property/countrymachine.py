"""Three institutes and the registry in any order of periods, corrections, cases, appeals, deaths, merges and days: what always holds.

Everything goes through the services. A step either is acknowledged, and then it is in force everywhere, or is refused with a code,
a cause and a remedy. Not a test by itself: `test_country_machine` adds what disturbs them, and `test_books_in_postgres` runs it there.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from social_security.commands.handover import translate_rows, write_hand_over
from social_security.commands.seed import rid_of
from social_security.domain import eventchain, pack
from social_security.domain import states as machines
from social_security.domain.calendars import load_calendar
from social_security.domain.edition import package_edition
from social_security.domain.faults import APPEAL_DAYS
from social_security.domain.history import parse_rules, share, total
from social_security.domain.pseudonyms import Rid, institute_pid
from social_security.importing.layouts import LAYOUTS, PIDS
from social_security.importing.quality import QualityReport
from social_security.importing.rows import Import, import_file, read_known
from social_security.institute.history import own_periods
from social_security.institute.portability import all_periods
from social_security.institute.portabilityrules import senders_of_round
from social_security.institute.stores.cases import Case
from social_security.institute.stores.periods import Certified
from social_security.keys import load_registry_keys
from social_security.newfiles import write_rows
from tests.directgateway import INSTITUTES, DirectCountry
from tests.registrybooks import ACT
from tests.social import SECRET, seeded

PEOPLE = ("ana", "jose-teodoro", "maria-ines")
CONVENTION = next(c for c in pack.document("fixture.json")["conventions"] if c["id"] == "CONV-DEMO-2025-01")
RULES = parse_rules(CONVENTION["rules"])
MEMBERS = {code: pack.members()[code].path for code in INSTITUTES}
CODE_OF = {path: code for code, path in MEMBERS.items()}
ANALYST, PERSON, SYSTEM = "ANALISTA_PORTABILIDAD", "TITULAR", "SISTEMA"
# What a case in a state waits for.
_ONWARD = {
    "PRESENTADA": "ADMITIR", "ADMITIDA": "SOLICITAR_HISTORIA", "HISTORIA_SOLICITADA": "ENTREGAR_HISTORIA",
    "HISTORIA_RECIBIDA": "TOTALIZAR", "ACLARACION": "ACLARAR", "TOTALIZADA": "PROYECTAR",
    "PROYECTO_RESOLUCION": "CONFORMAR", "CONFORMIDAD_TITULAR": "CONFIRMAR_TRANSFERENCIA",
    "TRANSFERIDA": "RESOLVER", "RESUELTA": "CERRAR", "RECURRIDA": "ADMITIR",
}  # fmt: skip
INSTITUTE = st.sampled_from(INSTITUTES)
WHO = st.sampled_from(PEOPLE)
DAY = st.dates(date(1985, 1, 1), date(2025, 12, 31))


class CountryMachine(RuleBasedStateMachine):
    """Three persons whom three institutes, and no others, hold or have looked up."""

    def __init__(self, database: str = "") -> None:
        super().__init__()
        memory = Path("/dev/shm")
        self.folder = Path(tempfile.mkdtemp(prefix="sacbe-country-", dir=memory if memory.is_dir() else None))
        self.loop = asyncio.new_event_loop()
        self.c = DirectCountry(self.folder, database)
        self.numbers = 0
        self.merged: list[tuple[int, Rid, Rid]] = []
        self.acknowledged: dict[tuple[str, int], str] = {}
        self.deaths: list[tuple[str, str, str]] = []
        self.versions: dict[tuple[str, str], int] = {}
        # Whose each period is, by the name that it had where it was certified first.
        self.owners: dict[str, str] = {}
        keys = load_registry_keys(seeded() / "00-RNSS" / "keys.json", SECRET)
        self._made_for = {
            (code, institute_pid(keys.pid, keys.version, rid_of(p["name"]), MEMBERS[code])): str(p["name"])
            for p in pack.persons()["persons"]
            for code in INSTITUTES
        }
        # Whom the registry answers nothing but what persons ask through them.
        self.suspended: set[str] = set()
        # Who has left, and who holds its persons since.
        self.heirs: dict[str, str] = {}
        self._note_versions()

    def teardown(self) -> None:
        """What must hold at the end; nothing is left behind."""
        try:
            self.at_the_end()
        finally:
            self.c.close()
            self.loop.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    def at_the_end(self) -> None:
        """Every case reaches an end."""
        self.every_case_reaches_an_end()

    # What people do

    @rule(
        code=INSTITUTE,
        who=WHO,
        since=DAY,
        days=st.integers(1, 9000),
        lost=st.integers(0, 400),
        back=st.integers(0, 400),
    )
    def certify(self, code: str, who: str, since: date, days: int, lost: int, back: int) -> None:
        """An institute certifies a further period; it may overlap its own and others'."""
        code = self.heirs.get(code, code)
        until = min(since + timedelta(days=days - 1), date(2026, 3, 1))
        calendar = (until - since).days + 1
        self.numbers += 1
        lost = min(lost, calendar)
        services = self.c.institutes[code]
        pid = self._pid(code, who)
        if services.persons.affiliation(pid) is None:
            return
        services.periods.add(
            Certified(
                f"{code}:M-{self.numbers:06d}", 1, pid, since, until, "11", lost, min(back, lost), "X-1", 100_000,
                "CERTIFICADO", self.c.now,
            )
        )  # fmt: skip
        self._note_versions()

    @rule(
        code=INSTITUTE, who=WHO, pick=st.integers(0, 9), since=DAY, days=st.integers(-500, 9000),
        lost=st.integers(-1, 400), decision=st.sampled_from(["PROCEDENTE", "IMPROCEDENTE"]),
    )  # fmt: skip
    def rectify(
        self, code: str, who: str, pick: int, since: date, days: int, lost: int, decision: str
    ) -> None:
        """She asks for another period than is certified; the unit grants or refuses it, and carries out what it granted."""
        code = self.heirs.get(code, code)
        services, pid = self.c.institutes[code], self._pid(code, who)
        served = services.periods.served(pid)
        if not served:
            return
        period = served[pick % len(served)]
        self.numbers += 1
        folio = f"ARCO-{code[:2]}-2026-{self.numbers:08d}"
        wanted = {
            "idPeriodo": period.period_id, "desde": since.isoformat(), "evidenciaSha256": "0" * 64,
            "hasta": (since + timedelta(days=days)).isoformat(), "diasDescontados": lost, "diasReintegrados": 0,
        }  # fmt: skip
        filed = self._ask(
            f"{code}/ARCO", code, "presentarArco",
            {"pid": pid, "derecho": "RECTIFICACION", "representante": False, "nivelIdentidad": "LOA2",
             "modalidad": "ELECTRONICA", "recibidaEl": self.c.now.isoformat(), "responsables": [MEMBERS[code]],
             "descripcion": "Lo que se indica.", "periodo": wanted}, "PUR-ARCO", folio, PERSON,
        )  # fmt: skip
        if not filed.is_done:
            return
        self._arco(code, folio, "EN_TRAMITE")
        more = {"causas": ["IV"], "resolucionComite": "CT/1"} if decision == "IMPROCEDENTE" else {}
        is_granted = self._arco(code, folio, decision, **more).is_done and decision == "PROCEDENTE"
        until = since + timedelta(days=days)
        is_other = (period.since, period.until, period.discounted, period.reinstated) != (
            since,
            until,
            lost,
            0,
        )
        if is_granted and self._arco(code, folio, "EFECTIVA").is_done and is_other:
            # What is certified so already gets no new version.
            self.versions[code, period.period_id] += 1
        self._note_versions()

    @rule(code=INSTITUTE, who=WHO, benefit=st.sampled_from(["JUBILACION", "VEJEZ", "ORFANDAD"]))
    def open_a_case(self, code: str, who: str, benefit: str) -> None:
        """One institute opens a case, and tells the counterparties."""
        code = self.heirs.get(code, code)
        self.loop.run_until_complete(self._open(code, who, benefit))

    @rule(who=WHO, benefit=st.sampled_from(["JUBILACION", "VEJEZ"]))
    def open_at_the_same_time(self, who: str, benefit: str) -> None:
        """All three open a case of the same benefit at once: at most one is left open."""

        async def together() -> None:
            await asyncio.gather(*(self._open(code, who, benefit) for code in self._present()))

        self.loop.run_until_complete(together())

    @rule(pick=st.integers(0, 99), choice=st.integers(0, 99))
    def advance(self, pick: int, choice: int) -> None:
        """An event that the table allows, by whom it allows it."""
        case = self._pick(pick)
        if case is not None:
            self._advance(case, choice)

    @rule(pick=st.integers(0, 99), steps=st.integers(1, 8))
    def go_on(self, pick: int, steps: int) -> None:
        """Everybody does what a case waits for, some way towards its end."""
        case = self._pick(pick)
        for _ in range(steps):
            name = None if case is None else _ONWARD.get(case.state)
            if case is None or name is None:
                return
            move = machines.PORTABILITY[case.state, name]
            code = CODE_OF[case.responsible]
            if move.author is machines.Author.COUNTERPARTY:
                chain = self.c.institutes[code].cases.events(case.case)
                missing = sorted(set(case.counterparties) - senders_of_round(chain, name))
                code = CODE_OF[missing[0]] if missing else code
            body = self._event(case, name, move.to)
            self._fill(case, name, code, body)
            role = PERSON if move.author is machines.Author.PERSON else ANALYST
            self.loop.run_until_complete(self._post(case, code, role, body))
            case = self._seen(CODE_OF[case.responsible], case.case)

    @rule(pick=st.integers(0, 99), event=st.sampled_from(sorted({e for _, e in machines.PORTABILITY})), code=INSTITUTE,
          role=st.sampled_from([ANALYST, PERSON, SYSTEM]), at=INSTITUTE)  # fmt: skip
    def send_anything(self, pick: int, event: str, code: str, role: str, at: str) -> None:
        """Any event by anybody to anybody: taken by the rules or refused with cause and remedy."""
        case = self._pick(pick)
        if case is None:
            return
        move = machines.PORTABILITY.get((case.state, event))
        body = self._event(case, event, case.state if move is None or move.to in ("=", "<") else move.to)
        if event == "RECHAZAR":
            body["negativa"] = self._negativa(code)
        responsible = CODE_OF[case.responsible]
        if at != responsible:
            return  # what the responsible has not taken is nobody's: `_post` is how authors send
        self.loop.run_until_complete(self._post(case, code, role, body))

    @rule(first=st.integers(0, 99), choices=st.tuples(st.integers(0, 99), st.integers(0, 99)))
    def advance_at_the_same_time(self, first: int, choices: tuple[int, int]) -> None:
        """Two participants send an event on the same place of a chain: exactly one order comes of it."""
        case = self._pick(first)
        if case is None:
            return
        made = [e for e in (self._next(case, c) for c in choices) if e is not None]

        async def together() -> None:
            await asyncio.gather(*(self._post(case, code, role, body) for code, role, body in made))

        self.loop.run_until_complete(together())

    @rule(code=INSTITUTE, who=WHO, day=st.dates(date(2026, 1, 1), date(2026, 3, 2)))
    def report_a_death(self, code: str, who: str, day: date) -> None:
        """An institute reports a death; one that does not hold her is refused."""
        code = self.heirs.get(code, code)
        pid = self._pid(code, who)
        self.numbers += 1
        event = f"00000000-0000-4000-8000-{self.numbers:012d}"
        holds = MEMBERS[code] in self.c.registry.store.linked(self._rid(who))
        act = {**ACT, "fecha": max(day.isoformat(), "2026-03-01")}
        body = {
            "idEvento": event,
            "pid": pid,
            "tipo": "FALLECIMIENTO",
            "fechaEvento": day.isoformat(),
            "acta": act,
        }
        heard = self._ask(f"{code}/VITAL", "00-RNSS", "notificarEvento", body, "PUR-VITAL", "CONS-15-2026-00000001",
                          "ANALISTA_AFILIACION")  # fmt: skip
        assert heard.is_done == (holds and code not in self.suspended), heard
        if heard.is_done:
            self.deaths.append((code, event, who))

    @rule(pick=st.integers(0, 9))
    def annul_a_death(self, pick: int) -> None:
        """Who reported a death takes it back."""
        if not self.deaths:
            return
        code, undone, who = self.deaths[pick % len(self.deaths)]
        if code in self.suspended or code in self.heirs:
            return
        self.deaths.remove((code, undone, who))
        self.numbers += 1
        body = {
            "idEvento": f"00000000-0000-4000-8000-{self.numbers:012d}", "pid": self._pid(code, who),
            "tipo": "ANULACION", "fechaEvento": self.c.now.date().isoformat(), "anula": undone,
        }  # fmt: skip
        heard = self._ask(f"{code}/VITAL", "00-RNSS", "notificarEvento", body, "PUR-VITAL", "CONS-15-2026-00000001",
                          "ANALISTA_AFILIACION")  # fmt: skip
        assert heard.is_done, heard

    @rule(pair=st.permutations(PEOPLE))
    def merge(self, pair: list[str]) -> None:
        """An officer makes two records one."""
        stays, goes = self._rid(pair[0]), self._rid(pair[1])
        if stays != goes:
            number = self.c.registry.store.merge(stays, goes, "of-1", "00", self.c.now)
            self.merged.append((number, stays, goes))

    @rule()
    def unmerge(self) -> None:
        """The last merge is undone."""
        if self.merged:
            number, _, _ = self.merged.pop()
            self.c.registry.store.unmerge(number, "of-2", "11", self.c.now)

    @rule()
    def unmerge_any(self) -> None:
        """The first merge is undone, or another stands on top of it and it is refused."""
        if self.merged:
            number, stays, goes = self.merged[0]
            if any(m[2] in (stays, goes) for m in self.merged[1:]):
                return
            self.merged.remove((number, stays, goes))
            self.c.registry.store.unmerge(number, "of-2", "11", self.c.now)

    @rule(days=st.integers(0, 45))
    def days_pass(self, days: int) -> None:
        """Time passes; routines run, and what is queued is sent."""
        self.c.now += timedelta(days=days, seconds=1)
        self.loop.run_until_complete(self.c.settle())

    @rule(code=INSTITUTE, heir=INSTITUTE)
    def leave(self, code: str, heir: str) -> None:
        """An institute leaves: persons, histories, oppositions and open requests go to its successor, and so do all who ask."""
        if self.heirs or code == heir or {code, heir} & self.suspended:
            return
        self.loop.run_until_complete(self.c.settle())
        held = {who: self._days(code, who) for who in PEOPLE}
        open_requests = {
            r.folio for r in self.c.institutes[code].arco.all() if r.state not in machines.ARCO_ENDED
        }
        self.numbers += 1
        body = {
            "idAviso": f"MEMBRESIA:{self.numbers}", "miembro": MEMBERS[code], "estado": "BAJA",
            "fecha": self.c.now.date().isoformat(), "sucesor": MEMBERS[heir],
        }  # fmt: skip
        heard = self._ask("00-ONIESS/SUPERV", "00-RNSS", "notificarMembresia", body, "PUR-SUPERV",
                          f"NEG-00-2026-{self.numbers:08d}", SYSTEM)  # fmt: skip
        assert heard.is_done, heard
        self.c.publish_leaving(code, heir)
        hand_over_files(self.c, code, heir, self.folder / "hand-over")
        self.heirs[code] = heir
        for who in PEOPLE:
            assert self._days(heir, who) >= held[who], "no day is lost"
            assert MEMBERS[code] not in self.c.registry.store.linked(self._rid(who))
            if held[who]:
                assert MEMBERS[heir] in self.c.registry.store.holders(self._rid(who))
        taken = {r.folio for r in self.c.institutes[heir].arco.all()}
        assert {f for f in open_requests if f not in taken} == set(), "every open request goes on"
        # Her PIDs at the successor are its own; what the machine knows of periods there begins anew.
        self._note_versions()

    @rule(who=WHO)
    def ask_who_left(self, who: str) -> None:
        """Whoever still writes to an institute that has left, or for it, is told who holds its persons now."""
        for code, heir in self.heirs.items():
            case = f"CONS-{code[:2]}-2026-00000001"
            given = next(p["pids"] for p in pack.persons()["persons"] if p["name"] == who)
            for client, provider, operation, body, purpose in (
                (f"{heir}/HIST", "00-RNSS", "traducirPid", {"pid": self._pid(heir, who), "destino": MEMBERS[code]}, "PUR-HIST"),
                (f"{code}/HIST", "00-RNSS", "localizarHistoria", {"pid": given[code]}, "PUR-HIST"),
                (f"{code}/HIST", code, "consultarHistoria", {"pid": given[code]}, "PUR-HIST"),
            ):  # fmt: skip
                heard = self._ask(client, provider, operation, body, purpose, case, ANALYST)
                assert heard.body.get("codigo") == "SS-603", heard
                assert MEMBERS[heir] in heard.body["mensaje"], heard

    # What always holds

    @invariant()
    def no_day_counts_twice(self) -> None:
        """What an institute certifies is no more than the days that its periods have; totals no more than all of them."""
        for code, services in self.c.institutes.items():
            for who in PEOPLE:
                pid = self._pid(code, who)
                periods = own_periods(services, pid)
                for period in periods:
                    assert 0 <= period.days <= (period.until - period.since).days + 1
                assert total(periods, RULES).union_days <= _union(periods)
            for case in services.cases.all():
                for logged in services.cases.events(case.case):
                    told = logged.event.get("totalizacion")
                    if told is not None:
                        assert sum(p["dias"] for p in told["partes"]) == told["diasUnion"]

    @invariant()
    def totals_of_open_decisions_stand(self) -> None:
        """A case that is decided was decided on totals of no more days than there are."""
        for code, services in self.c.institutes.items():
            for case in services.cases.all():
                if case.responsible == MEMBERS[code] and case.state == "TOTALIZADA":
                    chain = services.cases.events(case.case)
                    told = next(
                        e.event["totalizacion"] for e in reversed(chain) if e.event["evento"] == "TOTALIZAR"
                    )
                    assert told["diasUnion"] <= 60 * 366

    @invariant()
    def nobody_is_harmed_by_another_s_institute(self) -> None:
        """Periods change by their own institute's acts alone, and nobody is dead whom no holder has reported so."""
        for code, services in self.c.institutes.items():
            for period_id, version in services.database.query(
                "SELECT period_id, max(version) FROM period GROUP BY period_id"
            ):
                assert self.versions[code, period_id] == version, (code, period_id)
        if not self.deaths:
            for who in PEOPLE:
                rows = self.c.registry.store.database.query(
                    "SELECT vital_state FROM person WHERE rid = ?", (self._rid(who),)
                )
                assert rows == [("VIVA",)], who

    @invariant()
    def every_period_is_its_person_s(self) -> None:
        """Under whichever pseudonym, at whichever institute: a period leads to the record of her for whom it was certified."""
        for code, services in self.c.institutes.items():
            for period_id, pid in services.database.query("SELECT DISTINCT period_id, pid FROM period"):
                found = self.c.registry.store.find_by_pid(MEMBERS[code], pid)
                assert found is not None, (code, period_id)
                assert found.rid == self._rid(self.owners[_first_name(period_id)]), (code, period_id)

    @invariant()
    def what_was_acknowledged_is_in_the_chain_as_it_was(self) -> None:
        """An event that the responsible took is there, once, as it was sent; chains of others are no other chains."""
        for services in self.c.institutes.values():
            for case in services.cases.all():
                chain = services.cases.events(case.case)
                assert [e.event["secuencia"] for e in chain] == list(range(1, len(chain) + 1))
                for logged in chain:
                    known = self.acknowledged.setdefault((case.case, logged.event["secuencia"]), logged.hash)
                    assert known == logged.hash, (case.case, logged.event)

    @invariant()
    def one_case_holds_a_benefit(self) -> None:
        """At the registry, and at each institute that knows them, one open case a benefit and person."""
        if self.merged:
            return  # two records that have become one may each have brought a case
        rows = self.c.registry.store.database.query(
            "SELECT rid, benefit, count(*) FROM case_entry WHERE state = 'ABIERTO' AND held_until >= ? "
            "GROUP BY rid, benefit HAVING count(*) > 1",
            (self.c.now.date().isoformat(),),
        )
        assert rows == []

    def every_case_reaches_an_end(self) -> None:
        """After its term, and with what its people can still do, no case is left open anywhere."""
        for _ in range(3):  # a rectification on its way may open a decided case again, for a new term
            self.c.now += timedelta(days=200)
            self.loop.run_until_complete(self.c.settle())
        for code, services in self.c.institutes.items():
            for case in services.cases.all():
                if case.responsible != MEMBERS[code]:
                    continue
                if case.state == "RECURRIDA":
                    self._finish(case, "DESISTIR", "DESISTIDA")
                elif case.state == "RESUELTA":
                    self._finish(case, "RECURRIR", "RECURRIDA")
                    self._finish(self._seen(code, case.case), "DESISTIR", "DESISTIDA")
                assert self._seen(code, case.case).state in machines.CLOSED, case
        self.loop.run_until_complete(self.c.settle())

    # How it is done

    def _present(self) -> list[str]:
        """The institutes that have not left."""
        return [c for c in INSTITUTES if c not in self.heirs]

    def _days(self, code: str, who: str) -> set[date]:
        """The days that an institute certifies of a person, under whichever of her records that have become one."""
        pids = {self._pid(code, other) for other in PEOPLE if self._rid(other) == self._rid(who)}
        return {
            p.since + timedelta(days=n)
            for pid in pids
            for p in own_periods(self.c.institutes[code], pid)
            for n in range((p.until - p.since).days + 1)
        }

    def _rid(self, who: str) -> Any:
        rid = rid_of(who)
        gone = {goes: stays for _, stays, goes in self.merged}
        while rid in gone:
            rid = gone[rid]
        return rid

    def _pid(self, code: str, who: str) -> Any:
        """The PID an institute has had of a person all along; a merge does not change it."""
        given = next(p["pids"] for p in pack.persons()["persons"] if p["name"] == who)[code]
        if self.c.registry.store.find_by_pid(MEMBERS[code], given) is None:
            return self.c.registry.store.pid_of(self._rid(who), MEMBERS[code], self.c.now.date())
        return given

    def _ask(self, client: str, provider: str, operation: str, body: dict[str, Any], *why: str) -> Any:
        heard = self.loop.run_until_complete(self.c.ask(client, provider, operation, body, *why))
        return check_refusal(heard)

    def _arco(self, code: str, folio: str, state: str, **more: Any) -> Any:
        body = {"estado": state, "ocurridoEl": self.c.now.isoformat(), **more}
        return self._ask(f"{code}/ARCO", code, "avanzarArco", body, "PUR-ARCO", folio, "UNIDAD_TRANSPARENCIA")

    def _note_versions(self) -> None:
        for code, services in self.c.institutes.items():
            for (period_id,) in services.database.query("SELECT DISTINCT period_id FROM period"):
                self.versions.setdefault((code, period_id), 1)
            for period_id, pid in services.database.query("SELECT DISTINCT period_id, pid FROM period"):
                self.owners.setdefault(_first_name(period_id), self._made_for[code, pid])

    def _pick(self, pick: int) -> Case | None:
        cases = [c for s in self.c.institutes.values() for c in s.cases.all() if c.responsible == s.member]
        return cases[pick % len(cases)] if cases else None

    def _seen(self, code: str, case_id: str) -> Case:
        found = self.c.institutes[code].cases.case(case_id)
        assert found is not None
        return found

    async def _open(self, code: str, who: str, benefit: str) -> None:
        self.numbers += 1
        case_id = f"PORT-{code[:2]}-2026-{self.numbers:08d}"
        others = [MEMBERS[c] for c in self._present() if c != code]
        pid = self._pid(code, who)
        why = ("PUR-PORT", case_id, ANALYST)
        body = {"pid": pid, "convenio": CONVENTION["id"], "beneficio": benefit, "contrapartes": others}
        heard = check_refusal(await self.c.ask(f"{code}/PORT", code, "abrirCaso", body, *why))
        if not heard.is_done:
            return
        event = {
            "caso": case_id, "secuencia": 1, "evento": "PRESENTAR", "estadoPrevio": "BORRADOR",
            "estadoNuevo": "PRESENTADA", "responsable": MEMBERS[code], "contraparte": others,
            "hashAnterior": eventchain.START, "convenio": CONVENTION["id"], "beneficio": benefit,
            **{n: heard.body[n] for n in ("presentadaEl", "fechaLimite")},
        }  # fmt: skip
        for other in others:
            token = await self.c.ask(
                f"{code}/PORT", "00-RNSS", "traducirPid", {"pid": pid, "destino": other}, *why
            )
            assert token.is_done or code in self.suspended, token
            if not token.is_done:
                return
            told = event | {"testigo": token.body["testigo"]}
            check_refusal(await self.c.ask(f"{code}/PORT", CODE_OF[other], "agregarEvento", told, *why))

    def _event(self, case: Case, name: str, to: str) -> dict[str, Any]:
        return {
            "caso": case.case, "secuencia": case.sequence + 1, "evento": name, "estadoPrevio": case.state,
            "estadoNuevo": to, "responsable": case.responsible, "contraparte": list(case.counterparties),
            "hashAnterior": case.last_hash,
        }  # fmt: skip

    def _next(self, case: Case, choice: int) -> tuple[str, str, dict[str, Any]] | None:
        """One of the events that may follow: who, in which role, what."""
        names = [e for s, e in machines.PORTABILITY if s == case.state]
        # Going on is likelier than giving up.
        onward = [e for e in names if e not in ("RECHAZAR", "DESISTIR", "VENCER", "RECURRIR", "INVALIDAR")]
        chosen = onward if choice % 8 and onward else names
        if not chosen:
            return None
        name = chosen[choice % len(chosen)]
        if name in ("INVALIDAR", "AGREGAR_PARTICIPANTE", "VENCER"):
            return None
        move = machines.PORTABILITY[case.state, name]
        responsible = CODE_OF[case.responsible]
        others = [CODE_OF[c] for c in case.counterparties]
        code = (
            others[(choice // 8) % len(others)]
            if move.author is machines.Author.COUNTERPARTY
            else responsible
        )
        role = PERSON if move.author is machines.Author.PERSON else ANALYST
        to = case.state if move.to == machines.SAME else move.to
        body = self._event(case, name, to)
        self._fill(case, name, code, body)
        return code, role, body

    def _fill(self, case: Case, name: str, code: str, body: dict[str, Any]) -> None:
        services = self.c.institutes[CODE_OF[case.responsible]]
        chain = services.cases.events(case.case)
        if name in machines.BY_ALL:
            done = senders_of_round(chain, name) | {MEMBERS[code]}
            if not done >= set(case.counterparties):
                body["estadoNuevo"] = case.state
        if name in ("ENTREGAR_HISTORIA", "ACLARAR"):
            other = self.c.institutes[code].cases.case(case.case)
            if other is not None:
                pid = other.pid
                heard = self._history(code, pid)
                if heard is not None:
                    body |= {"historia": [heard], "historiaSha256": [eventchain.history_digest(heard)]}
        if name == "TOTALIZAR":
            made = total(all_periods(services, case, chain), RULES)
            body["totalizacion"] = (
                made.to_json(share(1_800_000, made.parts)) if made.union_days else made.to_json()
            )
        if name == "RECHAZAR":
            body["negativa"] = self._negativa(code)

    def _history(self, code: str, pid: str) -> dict[str, Any] | None:
        case = f"CONS-{code[:2]}-2026-00000001"
        heard = check_refusal(
            self.loop.run_until_complete(
                self.c.ask(f"{code}/HIST", code, "consultarHistoria", {"pid": pid}, "PUR-HIST", case, PERSON)
            )
        )
        return heard.body if heard.is_done else None

    def _negativa(self, code: str) -> dict[str, Any]:
        services = self.c.institutes[code]
        return {
            "codigo": "SS-403", "fundamento": "mx:LGPDPPSO-60", "autoridad": f"MX/GAR/{code[:2]}-GARANTE",
            "motivacion": "El convenio no cubre lo que se pide aquí.", "medioImpugnacion": "Recurso de revisión",
            "limiteImpugnacion": load_calendar(package_edition(), code).add(services.today(), APPEAL_DAYS).isoformat(),
        }  # fmt: skip

    def _advance(self, case: Case, choice: int) -> None:
        made = self._next(case, choice)
        if made is not None:
            self.loop.run_until_complete(self._post(case, *made))

    async def _post(self, case: Case, code: str, role: str, body: dict[str, Any]) -> None:
        """To the responsible first; what it takes goes to every participant, and each takes it or says why not."""
        why = ("PUR-PORT", case.case, role)
        responsible = CODE_OF[case.responsible]
        heard = check_refusal(await self.c.ask(f"{code}/PORT", responsible, "agregarEvento", body, *why))
        if not heard.is_done:
            return
        key = (case.case, body["secuencia"])
        assert self.acknowledged.setdefault(key, heard.body["hash"]) == heard.body["hash"]
        for other in case.counterparties:
            check_refusal(await self.c.ask(f"{code}/PORT", CODE_OF[other], "agregarEvento", body, *why))

    def _finish(self, case: Case, name: str, to: str) -> None:
        """The person's last step; where she has died, her representative's."""
        has_died = self.c.institutes[CODE_OF[case.responsible]].vital.died(case.pid) is not None
        role = "REPRESENTANTE" if has_died else PERSON
        self.loop.run_until_complete(
            self._post(case, CODE_OF[case.responsible], role, self._event(case, name, to))
        )


def _first_name(period_id: str) -> str:
    """A period's name without those of the institutes to which it was handed over since."""
    return ":".join(period_id.split(":")[-2:])


def hand_over_files(c: DirectCountry, code: str, heir: str, out: Path) -> None:
    """The files of a hand-over, from the books of who leaves, by the registry, into those of its successor."""
    write_hand_over(c.institutes[code].database, out)
    pids = out / "pids.csv"
    write_rows(pids, PIDS, translate_rows(c.registry.store, MEMBERS[code], out / "personas.csv"))
    database = c.institutes[heir].database
    for kind in LAYOUTS:
        report = QualityReport(out / f"{kind}.report")
        run = Import(heir, c.now, report, read_known(database, pids), is_handed_over=True)
        import_file(database, run, kind, out / f"{kind}.csv", dry_run=False)
        report.close()


def check_refusal(heard: Any) -> Any:
    """A refusal has its code, what is wrong, and what to do; a formal one also basis, authority and the last day."""
    if heard.is_done:
        return heard
    body = heard.body
    row = pack.errors()[body["codigo"]]
    assert row.code != "SS-900", body
    if row.is_refusal:
        assert body["fundamento"]
        assert body["autoridad"].startswith("MX/GAR/")
        assert body["medioImpugnacion"]
        assert date.fromisoformat(body["limiteImpugnacion"])
        assert row.action_es in body["motivacion"]
    else:
        assert row.action_es in body["mensaje"] or body["mensaje"].endswith("…"), body
        assert row.action_en in body["message"] or body["message"].endswith("…"), body
    return heard


def _union(periods: list[Any]) -> int:
    days: set[int] = set()
    for period in periods:
        days.update(range(period.since.toordinal(), period.until.toordinal() + 1))
    return len(days)
