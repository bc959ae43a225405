"""People at three institutes, a request each: what the variations are made of, through every system's own services in one process."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from social_security.domain import pack
from social_security.institute.arco import refusal_digest
from tests.directgateway import INSTITUTES, DirectCountry

if TYPE_CHECKING:
    from social_security.institute.stores.cases import Case
    from social_security.wire.gatewayclient import GatewayAnswer

ISSEMYM, SONORA, IPE = INSTITUTES
MEMBERS = {code: pack.members()[code].path for code in INSTITUTES}
PIDS: dict[str, dict[str, str]] = {p["name"]: p["pids"] for p in pack.persons()["persons"]}
CURPS: dict[str, str] = {p["name"]: p["curp"] for p in pack.persons()["persons"]}
ANALYST, PERSON, SYSTEM, AFFILIATION_ANALYST = (
    "ANALISTA_PORTABILIDAD",
    "TITULAR",
    "SISTEMA",
    "ANALISTA_AFILIACION",
)
CONVENTION = "CONV-DEMO-2025-01"


@dataclass(slots=True)
class Acts:
    """One variation's view of the country, and what came of its checks."""

    c: DirectCountry
    checks: int = 0
    failures: list[str] = field(default_factory=list)
    filed: int = 0

    def expect(self, ok: object, what: str) -> None:
        """Count a check; one that does not hold is a failure."""
        self.checks += 1
        if not ok:
            self.failures.append(what)

    def refused(self, response: GatewayAnswer, code: str, what: str, where: str | None = None) -> None:
        """An answer that must be a refusal with this code, in both languages, at this field if one is named."""
        body = response.body
        named = where is None or body.get("campo") == where
        self.expect(
            body.get("codigo") == code and named, f"{what}: expected {code}, came {response.status} {body}"
        )
        self.expect(
            "message" in body or "limiteImpugnacion" in body, f"{what}: neither English nor an appeal"
        )

    def done(self, response: GatewayAnswer, what: str) -> dict[str, Any]:
        """The body of an answer that must be a success."""
        self.expect(response.is_done, f"{what}: {response.status} {response.body}")
        return response.body

    def at(self, *moment: int) -> None:
        """Set every clock, in UTC."""
        self.c.now = datetime(*moment, tzinfo=UTC)  # type: ignore[arg-type,misc]

    def pass_days(self, days: int) -> None:
        """Let days pass."""
        self.c.now += timedelta(days=days)

    # Vital events and links

    async def look_up(self, code: str, who: str) -> GatewayAnswer:
        """The registry's answer to an institute's look-up by CURP."""
        case = f"CONS-{code[:2]}-2026-00000001"
        return await self.c.ask(
            f"{code}/AFIL",
            "00-RNSS",
            "buscarBeneficiario",
            {"curp": CURPS[who]},
            "PUR-IDENT",
            case,
            AFFILIATION_ANALYST,
        )

    async def vital(self, code: str, pid: str, kind: str, day: str, **more: Any) -> GatewayAnswer:
        """A vital event that an institute reports; a death comes with its act unless ``acta`` is None."""
        body = {"idEvento": str(uuid.uuid4()), "pid": pid, "tipo": kind, "fechaEvento": day, **more}
        if kind == "FALLECIMIENTO":
            body.setdefault("acta", {"numero": "AD-2026-15", "oficialia": "15-057 Toluca 01", "fecha": day})
        body = {n: v for n, v in body.items() if v is not None}
        case = f"CONS-{code[:2]}-2026-00000001"
        return await self.c.ask(
            f"{code}/VITAL", "00-RNSS", "notificarEvento", body, "PUR-VITAL", case, AFFILIATION_ANALYST
        )

    def state_of(self, code: str, who: str) -> str:
        """A person's state in an institute's file."""
        found = self.c.institutes[code].persons.affiliation(PIDS[who][code])  # type: ignore[arg-type]
        return "" if found is None else found.state

    # Rights

    async def file(self, code: str, who: str, right: str, **more: Any) -> tuple[str, GatewayAnswer]:
        """A request for a right; its folio and the answer."""
        self.filed += 1
        folio = f"ARCO-{code[:2]}-2026-{self.filed:08d}"
        body = {
            "pid": PIDS[who][code], "derecho": right, "representante": False, "nivelIdentidad": "LOA2",
            "modalidad": "ELECTRONICA", "recibidaEl": self.c.now.isoformat(), "responsables": [MEMBERS[code]],
            "descripcion": "Lo que se indica.", **more,
        }  # fmt: skip
        return folio, await self.c.ask(f"{code}/ARCO", code, "presentarArco", body, "PUR-ARCO", folio, PERSON)

    async def arco(
        self, code: str, folio: str, state: str, role: str = "UNIDAD_TRANSPARENCIA", **more: Any
    ) -> GatewayAnswer:
        """A request's next state."""
        client = f"{code[:2]}-GARANTE/SUPERV" if role == "GARANTE" else f"{code}/ARCO"
        body = {"estado": state, "ocurridoEl": self.c.now.isoformat(), **more}
        return await self.c.ask(client, code, "avanzarArco", body, "PUR-ARCO", folio, role)

    async def granted(self, code: str, who: str, right: str, **more: Any) -> GatewayAnswer:
        """A request that is filed, granted and carried out; the last answer."""
        folio, response = await self.file(code, who, right, **more)
        if not response.is_done:
            return response
        await self.arco(code, folio, "EN_TRAMITE")
        await self.arco(code, folio, "PROCEDENTE")
        return await self.arco(code, folio, "EFECTIVA")

    async def won(self, code: str, who: str, right: str, decision: str, **more: Any) -> str:
        """A request that is refused, appealed, and decided by the guarantor; its folio."""
        folio, _ = await self.file(code, who, right, **more)
        await self.arco(code, folio, "EN_TRAMITE")
        refusal = await self.arco(code, folio, "IMPROCEDENTE", causas=["IV"], resolucionComite="CT/1")
        digest = refusal_digest(refusal.body["negativa"])
        self.done(await self.arco(code, folio, "RECURRIDA", PERSON, huellaNegativa=digest), "the appeal")
        self.done(await self.arco(code, folio, "RESUELTA_RR", "GARANTE", sentido=decision), "the decision")
        return folio

    def period(self, code: str, who: str, **changes: Any) -> dict[str, Any]:
        """A rectification of the first period that an institute certifies."""
        served = self.c.institutes[code].periods.served(PIDS[who][code])  # type: ignore[arg-type]
        return {"idPeriodo": served[0].period_id, "evidenciaSha256": "0" * 64, **changes}

    async def history(self, code: str, who: str, role: str = PERSON, **more: Any) -> GatewayAnswer:
        """The history that an institute certifies."""
        case = f"CONS-{code[:2]}-2026-00000001"
        return await self.c.ask(
            f"{code}/HIST",
            code,
            "consultarHistoria",
            {"pid": PIDS[who][code], **more},
            "PUR-HIST",
            case,
            role,
        )

    # Portability

    async def open(self, code: str, who: str, benefit: str, number: int = 1, **more: Any) -> GatewayAnswer:
        """A case opened at an institute, which tells the others."""
        body = {
            "pid": PIDS[who][code], "convenio": CONVENTION, "beneficio": benefit, "avisar": True,
            "contrapartes": [m for c, m in MEMBERS.items() if c != code], **more,
        }  # fmt: skip
        case = f"PORT-{code[:2]}-2026-{number:08d}"
        return await self.c.ask(f"{code}/PORT", code, "abrirCaso", body, "PUR-PORT", case, ANALYST)

    async def step(self, code: str, case: str, name: str, role: str = ANALYST, **more: Any) -> GatewayAnswer:
        """A case's next step from a desk; everything that is queued is sent after it."""
        body = {"evento": name, **more}
        response = await self.c.ask(f"{code}/PORT", code, "avanzarCaso", body, "PUR-PORT", case, role)
        await self.c.settle()
        return response

    async def to_totals(self, code: str, who: str, benefit: str, number: int = 1) -> str:
        """A case with totals of all three; its id."""
        self.done(await self.open(code, who, benefit, number), "the case")
        await self.c.settle()
        case = f"PORT-{code[:2]}-2026-{number:08d}"
        others = [c for c in INSTITUTES if c != code]
        steps = [(code, "ADMITIR"), (code, "SOLICITAR_HISTORIA"), *((o, "ENTREGAR_HISTORIA") for o in others)]
        for by, name in steps:
            self.done(await self.step(by, case, name), f"{name} by {by}")
        self.done(await self.step(code, case, "TOTALIZAR", montoCentavos=1_800_000), "the totals")
        return case

    def case(self, code: str, case: str) -> Case:
        """A case as an institute holds it. Raises LookupError without one."""
        found = self.c.institutes[code].cases.case(case)
        if found is None:
            raise LookupError(f"{code} has no case {case}")
        return found

    def event(self, code: str, case: str, name: str, to: str, **more: Any) -> dict[str, Any]:
        """The next event on an institute's chain, as somebody else would build it."""
        k = self.case(code, case)
        return {
            "caso": case, "secuencia": k.sequence + 1, "evento": name, "estadoPrevio": k.state, "estadoNuevo": to,
            "responsable": k.responsible, "contraparte": list(k.counterparties), "hashAnterior": k.last_hash, **more,
        }  # fmt: skip

    async def post(self, sender: str, to: str, event: dict[str, Any], role: str = ANALYST) -> GatewayAnswer:
        """An event of a case sent to a participant."""
        return await self.c.ask(f"{sender}/PORT", to, "agregarEvento", event, "PUR-PORT", event["caso"], role)
