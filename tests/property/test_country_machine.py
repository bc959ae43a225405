"""Three institutes and the registry, disturbed: messages lost, unheard or twice, suspensions, desks at the same instant, joiners, appeals.

On top of what `countrymachine` does in any order. At the end every chain is the same everywhere, whatever went astray on the way.
``SACBE_MACHINE_STEPS`` sets how many steps are taken in all (10,000 for a long run).
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule

from social_security.domain import states as machines
from social_security.institute.arco import refusal_digest
from social_security.institute.casesteps import PERSON_ROLES, allowed_steps
from social_security.institute.stores.cases import Case
from tests.property.countrymachine import (
    ANALYST,
    CODE_OF,
    CONVENTION,
    INSTITUTE,
    MEMBERS,
    PERSON,
    SYSTEM,
    WHO,
    CountryMachine,
    check_refusal,
)

STEPS_IN_ALL = int(os.environ.get("SACBE_MACHINE_STEPS", "150"))
# A long run takes other steps each time (or those of --hypothesis-seed); CI's short one the same each time.
IS_LONG = "SACBE_MACHINE_STEPS" in os.environ
STEPS_OF_ONE = 50
# What may become of a message between two systems.
FATES = st.lists(st.sampled_from(["lost", "unheard", "twice", "carried"]), min_size=1, max_size=8)
CHOICE = st.integers(0, 99)


class DisturbedCountry(CountryMachine):
    """The country with all that goes wrong around it."""

    @rule(fates=FATES)
    def messages_go_astray(self, fates: list[str]) -> None:
        """The next messages between systems do not arrive, arrive with their answer lost, or arrive twice."""
        self.c.fates.extend(fates)

    @rule(code=INSTITUTE, is_suspended=st.booleans())
    def suspend(self, code: str, is_suspended: bool) -> None:
        """ONIESS suspends an institute, or makes it active again; telling it twice is telling it once."""
        if code in self.heirs:
            return
        self.numbers += 1
        state = "SUSPENDIDA" if is_suspended else "ACTIVA"
        body = {
            "idAviso": f"MEMBRESIA:{self.numbers}", "miembro": MEMBERS[code], "estado": state,
            "fecha": self.c.now.date().isoformat(),
        }  # fmt: skip
        for _ in range(2):
            heard = self._ask("00-ONIESS/SUPERV", "00-RNSS", "notificarMembresia", body, "PUR-SUPERV",
                              f"NEG-00-2026-{self.numbers:08d}", SYSTEM)  # fmt: skip
            assert heard.is_done, heard
        (self.suspended.add if is_suspended else self.suspended.discard)(code)

    @rule(code=INSTITUTE, who=WHO, benefit=st.sampled_from(["JUBILACION", "VEJEZ"]), other=INSTITUTE)
    def open_at_the_desk(self, code: str, who: str, benefit: str, other: str) -> None:
        """A desk opens a case with one institute only; its system tells it."""
        code = self.heirs.get(code, code)
        other = self.heirs.get(other, other)
        if code == other:
            return
        self.numbers += 1
        case = f"PORT-{code[:2]}-2026-{self.numbers:08d}"
        body = {
            "pid": self._pid(code, who), "convenio": CONVENTION["id"], "beneficio": benefit,
            "contrapartes": [MEMBERS[other]], "avisar": True,
        }  # fmt: skip
        self._ask(f"{code}/PORT", code, "abrirCaso", body, "PUR-PORT", case, ANALYST)
        self.loop.run_until_complete(self.c.settle())

    @rule(pick=CHOICE, steps=st.lists(st.tuples(INSTITUTE, CHOICE), min_size=1, max_size=8))
    def work_at_desks(self, pick: int, steps: list[tuple[str, int]]) -> None:
        """Desks, and the person at hers, do one after another what their page offers; notices are sent in between or not."""
        case = self._pick(pick)
        for code, choice in steps if case is not None else ():
            assert case is not None
            self.loop.run_until_complete(self._work(case.case, code, choice))
            if choice % 3:
                self.loop.run_until_complete(self.c.settle())

    @rule(pick=CHOICE, steps=st.lists(st.tuples(INSTITUTE, CHOICE), min_size=2, max_size=3))
    def work_at_the_same_instant(self, pick: int, steps: list[tuple[str, int]]) -> None:
        """Desks act on a case at once."""
        case = self._pick(pick)
        if case is None:
            return

        async def together() -> None:
            await asyncio.gather(*(self._work(case.case, code, choice) for code, choice in steps))

        self.loop.run_until_complete(together())

    @rule(code=INSTITUTE, who=WHO, pick=st.integers(0, 9), lost=st.integers(0, 400),
          decision=st.sampled_from(["REVOCAR", "CONFIRMAR", "DESECHAR"]))  # fmt: skip
    def appeal(self, code: str, who: str, pick: int, lost: int, decision: str) -> None:
        """A refused rectification is appealed; the guarantor's order is carried out, and nothing else is."""
        code = self.heirs.get(code, code)
        services, pid = self.c.institutes[code], self._pid(code, who)
        served = services.periods.served(pid)
        if not served:
            return
        period = served[pick % len(served)]
        self.numbers += 1
        folio = f"ARCO-{code[:2]}-2026-{self.numbers:08d}"
        wanted = {"idPeriodo": period.period_id, "diasDescontados": lost, "evidenciaSha256": "0" * 64}
        filed = self._ask(
            f"{code}/ARCO", code, "presentarArco",
            {"pid": pid, "derecho": "RECTIFICACION", "representante": False, "nivelIdentidad": "LOA2",
             "modalidad": "ELECTRONICA", "recibidaEl": self.c.now.isoformat(), "responsables": [MEMBERS[code]],
             "descripcion": "Lo que se indica.", "periodo": wanted}, "PUR-ARCO", folio, PERSON,
        )  # fmt: skip
        if not filed.is_done:
            return
        self._arco(code, folio, "EN_TRAMITE")
        refused = self._arco(code, folio, "IMPROCEDENTE", causas=["IV"], resolucionComite="CT/1")
        assert refused.is_done, refused
        why = ("avanzarArco", "PUR-ARCO", folio)
        hers = {"huellaNegativa": refusal_digest(refused.body["negativa"])}
        assert self._advance_arco(f"{code}/ARCO", code, "RECURRIDA", why, PERSON, **hers).is_done
        guarantor = f"{code[:2]}-GARANTE/SUPERV"
        assert self._advance_arco(guarantor, code, "RESUELTA_RR", why, "GARANTE", sentido=decision).is_done
        done = self._arco(code, folio, "EFECTIVA")
        now = services.periods.served(pid)
        version = next(p.version for p in now if p.period_id == period.period_id)
        assert version == period.version or (done.is_done and decision == "REVOCAR"), decision
        self.versions[code, period.period_id] = version

    def at_the_end(self) -> None:
        """Every message arrives again; then every case reaches an end, and is the same everywhere."""
        self.c.fates.clear()
        self.every_case_reaches_an_end()
        self.every_acknowledged_event_is_everywhere()

    def every_acknowledged_event_is_everywhere(self) -> None:
        """What the responsible institute took, every other participant takes when it is sent again, and holds the same case."""
        for code, services in self.c.institutes.items():
            for case in services.cases.all():
                if case.responsible == MEMBERS[code]:
                    for other in case.counterparties:
                        self.loop.run_until_complete(self._sent_again(case, CODE_OF[other]))

    async def _sent_again(self, case: Case, to: str) -> None:
        """Bring a participant up with the case, as the outboxes of the authors do until each event is taken."""
        chain = self.c.institutes[CODE_OF[case.responsible]].cases.events(case.case)
        known = self.c.institutes[to].cases
        if known.case(case.case) is None and MEMBERS[to] in chain[0].event["contraparte"]:
            return  # the opening was never told: whoever opens by message tells it herself
        for logged in chain[len(known.events(case.case)) :]:
            event = logged.event
            author = next(
                (m.author for (_, e), m in machines.PORTABILITY.items() if e == event["evento"]), None
            )
            role = SYSTEM if author is machines.Author.CLOCK else ANALYST
            role = "REPRESENTANTE" if author is machines.Author.PERSON else role
            sent = {k: v for k, v in event.items() if k != "historia" or logged.sender == MEMBERS[to]}
            why = ("PUR-PORT", case.case, role)
            heard = await self.c.ask(f"{CODE_OF[logged.sender]}/PORT", to, "agregarEvento", sent, *why)
            assert heard.is_done, (event, heard)
        there = known.case(case.case)
        assert there is not None
        assert (there.state, there.last_hash) == (case.state, case.last_hash), (case, there)

    # How it is done

    async def _work(self, case_id: str, code: str, choice: int) -> Any:
        """One of the steps that a desk's page offers, or the person's at the responsible institute."""
        services = self.c.institutes[code]
        case = services.cases.case(case_id)
        if case is None:
            return
        chain = services.cases.events(case_id)
        is_person = choice % 5 == 0 and case.responsible == MEMBERS[code]
        names = allowed_steps(case, chain, MEMBERS[code], is_person=is_person)
        onward = [n for n in names if n not in ("RECHAZAR", "DESISTIR", "RECURRIR", "RECORDAR", "INVALIDAR")]
        names = onward if choice % 4 and onward else names
        if not names:
            return
        name = names[choice // 4 % len(names)]
        body: dict[str, Any] = {"evento": name}
        if name == "RECHAZAR":
            body |= {"codigo": "SS-403", "fundamento": "mx:LGPDPPSO-60",
                     "motivacion": "El convenio no cubre lo que se pide aquí."}  # fmt: skip
        elif name == "AGREGAR_PARTICIPANTE":
            body["contrapartes"] = [
                MEMBERS[c] for c in self._present() if MEMBERS[c] not in case.participants
            ]
            if not body["contrapartes"]:
                return
        elif name == "TOTALIZAR":
            body["montoCentavos"] = 1_800_000 + choice
        if is_person:
            body["pid"] = case.pid
        has_died = services.vital.died(case.pid) is not None
        role = ("REPRESENTANTE" if has_died else PERSON) if is_person else ANALYST
        assert (role in PERSON_ROLES) == is_person
        heard = await self.c.ask(f"{code}/PORT", code, "avanzarCaso", body, "PUR-PORT", case_id, role)
        check_refusal(heard)

    def _advance_arco(
        self, client: str, code: str, state: str, why: tuple[str, str, str], role: str, **more: Any
    ) -> Any:
        body = {"estado": state, "ocurridoEl": self.c.now.isoformat(), **more}
        operation, purpose, folio = why
        return self._ask(client, code, operation, body, purpose, folio, role)


TestCountryMachine = DisturbedCountry.TestCase
TestCountryMachine.settings = settings(
    max_examples=max(1, STEPS_IN_ALL // STEPS_OF_ONE),
    stateful_step_count=STEPS_OF_ONE,
    deadline=None,
    derandomize=not IS_LONG,
    # A failure is told with all its steps: making it smaller would run hundreds of countries.
    phases=(Phase.generate,),
)
