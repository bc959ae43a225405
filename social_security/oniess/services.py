"""What ONIESS answers: applications and their nine gates, and the public readings.

No gate can be skipped: a member becomes active only when all are approved, on a working term after its impact assessment
was filed, and with the head's signature over the policy in force.

Spec: the domain reference 5.5 (Onboarding), 5.7; S01, S04.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from aiohttp import web

from schemas.jsontext import load_json
from social_security.clock import machine_clock
from social_security.domain import pack
from social_security.domain import states as machines
from social_security.domain.benefits import render_catalogue
from social_security.domain.faults import APPEAL_DAYS, FEDERAL_GUARANTOR, Appeal, DomainError
from social_security.oniess import readings
from social_security.oniess.adoption import check_adoption, outdated
from social_security.oniess.catalogue import build_catalogue
from social_security.oniess.collecting import REGISTRY, Collector
from social_security.oniess.commitments import commitments, note_commitment
from social_security.oniess.escalation import add_up, escalate
from social_security.oniess.membership import change_membership, standings
from social_security.oniess.preflightreport import check_preflight
from social_security.oniess.store import Application, OniessStore
from social_security.wire.gatewayclient import GatewayClient, Why
from social_security.wire.outbox import Outbox, OutboxItem
from social_security.wire.privacynotices import check_notice
from social_security.wire.service import DomainAnswer, DomainRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from cryptography import x509

    from social_security.domain.calendars import Calendar
    from social_security.wire.publication import PublicationCopy
    from social_security.wire.service import Reading

IMPACT_DAYS = 30
REPORT_DAYS = timedelta(days=30)
_REASONS = {
    "notificarMedida": "Medida por violaciones a la política",
    "notificarMembresia": "Cambio de estado de un miembro",
}


@dataclass(frozen=True, slots=True)
class Trusted:
    """Authorities whose certificates count: those that heads sign with, and those of members' servers."""

    heads: Sequence[x509.Certificate] = ()
    servers: Sequence[x509.Certificate] = ()


class OniessServices:
    """ONIESS's operations over its store."""

    def __init__(
        self,
        member: str,
        store: OniessStore,
        clock: Callable[[], datetime],
        publication: PublicationCopy,
        policy: str,
        trusted: Trusted,
        gateway: GatewayClient,
    ) -> None:
        self.member = member
        # The lists this system goes by: its own, where it trusts the key that it publishes with.
        self.publication = publication
        self.zone = ZoneInfo(self.calendar.zone)
        self.policy = policy
        self.store = store
        self.collector = Collector(store, gateway)
        self.outbox = Outbox(store.database, self._deliver, clock)
        self._gateway = gateway
        self._clock = clock
        self._trusted = trusted

    @property
    def calendar(self) -> Calendar:
        """The calendar ONIESS counts by at this moment."""
        return self.publication.calendar(self.member.rpartition("/")[2])

    def now(self) -> datetime:
        """The time of this system's clock, aware, in UTC."""
        return self._clock()

    def tick(self) -> None:
        """Nothing here falls due by itself."""

    def admit(self, request: DomainRequest) -> None:
        """Refuse an unregistered privacy notice (SS-204)."""
        check_notice(self.store.database, request.context)

    def appeal(self, day: date) -> Appeal:
        """The federal guarantor, within the working days of this member's calendar."""
        return Appeal(FEDERAL_GUARANTOR, self.calendar.add(day, APPEAL_DAYS))

    def record(self, request: DomainRequest, answer: DomainAnswer | None, error: DomainError | None) -> None:
        """Applications keep their own events."""

    def acts(self) -> dict[str, Callable[[DomainRequest], DomainAnswer]]:
        """The handlers of this system's services, by operation name."""
        return {
            "solicitarAlta": self.apply,
            "verAlta": self.see,
            "resolverCompuerta": self.decide_gate,
            "activarAlta": self.activate,
            "cambiarMembresia": self.change_membership,
            "anotarCompromiso": self.note_commitment,
        }

    def readings(self) -> dict[str, Reading]:
        """The public readings by path."""
        return {
            "/politica": self._policy,
            "/catalogo": self._catalogue,
            "/convenios": lambda _q: web.json_response({"convenios": self.store.conventions()}),
            "/publicacion": self._publication,
            "/indicadores": functools.partial(readings.read_indicators, self),
            "/jubilados": functools.partial(readings.read_retirees, self),
            "/negativas": functools.partial(readings.read_refusals, self),
            "/violaciones": functools.partial(readings.read_violations, self),
            "/beneficios": lambda _q: web.json_response(
                render_catalogue(self.publication.edition()), content_type="application/ld+json"
            ),
            "/ordenes": self._orders,
            "/calendarios": lambda _q: web.json_response(self.publication.edition().part("calendars")),
            "/consola": self._console,
            "/compromisos": self._commitments,
        }

    def apply(self, request: DomainRequest) -> DomainAnswer:
        """``solicitarAlta``: a case with nine gates, all pending. Raises `DomainError` (SS-402, SS-600)."""
        self._check_operator(request)
        known = self.store.application(request.context.case)
        if known is not None:
            if known.request != dict(request.body):
                raise DomainError(
                    "SS-402",
                    "el caso ya tiene otra solicitud",
                    "the case holds another application",
                    field="X-Road-Issue",
                )
            return DomainAnswer(_show(known), 201)
        self._check_code_free(request)
        roles = {c["rol"] for c in request.body["contactos"]}
        missing = [r for r in pack.codes()["contact_roles"] if r not in roles]
        if missing:
            raise DomainError(
                "SS-600",
                f"faltan contactos: {', '.join(missing)}",
                f"contacts missing: {', '.join(missing)}",
                field="contactos",
            )
        made = Application(
            request.context.case,
            dict(request.body),
            "SOLICITADA",
            request.today,
            None,
            {gate: {"estado": "PENDIENTE"} for gate in pack.codes()["onboarding_gates"]},
        )
        self.store.save(made, request.now, "solicitarAlta")
        return DomainAnswer(_show(made), 201, ("documento",))

    def see(self, request: DomainRequest) -> DomainAnswer:
        """``verAlta``: the state of an application and of its gates."""
        return DomainAnswer(_show(self._known(request)))

    def decide_gate(self, request: DomainRequest) -> DomainAnswer:
        """``resolverCompuerta``: approve or reject one gate, with the evidence that it asks for; by ONIESS only.

        Raises `DomainError` (SS-100, SS-604).
        """
        self._check_operator(request)
        application, gate, body = self._known(request), request.path["compuerta"], request.body
        if gate not in application.gates:
            raise DomainError("SS-100", "no hay tal compuerta", "there is no such gate", field="compuerta")
        if application.state in ("ACTIVA", "SUSPENDIDA", "BAJA"):
            raise machines.not_allowed(application.state, gate)
        after = application
        if body["resultado"] == "APROBADA":
            if gate == "impacto":
                filed = self._filed_on(request, application)
                after = replace(after, operation_from=self.calendar.add(filed, IMPACT_DAYS))
            elif gate == "conformidad":
                self._check_report(request)
                self._check_preflight(request, application)
            elif gate == "titular":
                if "adopcion" not in body:
                    raise DomainError("SS-604", field="adopcion")
                check_adoption(body["adopcion"], self._policy_hash(), self._trusted.heads, request.now)
        elif gate == "impacto":
            after = replace(after, operation_from=None)
        decided = {
            "estado": body["resultado"],
            "evidencia": body["evidenciaSha256"],
            "por": body["resueltoPor"],
        }
        if body["resultado"] == "APROBADA" and gate == "conformidad":
            decided["reporte"] = body["reporte"]["fecha"]
        elif body["resultado"] == "APROBADA" and gate == "titular":
            decided["politica"] = body["adopcion"]["politicaSha256"]
        after = replace(after, gates={**application.gates, gate: decided})
        after = replace(after, state=machines.onboarding_state(after.gate_states()))
        self.store.save(after, request.now, f"{gate}={body['resultado']}")
        return DomainAnswer(_show(after))

    def activate(self, request: DomainRequest) -> DomainAnswer:
        """``activarAlta``: today, with nine approved gates, and not before the impact-assessment term; by ONIESS only.

        Raises `DomainError` (SS-601, SS-600).
        """
        self._check_operator(request)
        application = self._known(request)
        if application.state in ("ACTIVA", "SUSPENDIDA", "BAJA"):
            raise machines.not_allowed(application.state, "activarAlta")
        day = date.fromisoformat(request.body["fecha"])
        if application.operation_from is not None and min(day, request.today) < application.operation_from:
            raise DomainError(
                "SS-601",
                f"operacionDesde = {application.operation_from}",
                f"operacionDesde = {application.operation_from}",
                field="fecha",
            )
        missing = [g for g, state in application.gate_states().items() if state != "APROBADA"]
        if missing:
            raise DomainError(
                "SS-600", f"faltan: {', '.join(missing)}", f"open: {', '.join(missing)}", field="compuertas"
            )
        if day != request.today:
            # An activation is of the day on which it is done: a future one would let the member in at once.
            raise DomainError(
                "SS-601",
                f"se activa el día mismo: hoy es {request.today} y llegó {day}",
                f"an activation is of the day itself: today is {request.today}, {day} came",
                field="fecha",
            )
        after = replace(application, state="ACTIVA")
        body = application.request
        self.store.add_members([f"MX/{body['clasePropuesta']}/{body['codigoPropuesto']}"])
        self.store.save(after, request.now, "activarAlta")
        return DomainAnswer(_show(after))

    def change_membership(self, request: DomainRequest) -> DomainAnswer:
        """``cambiarMembresia``: give a member another state from today; only ONIESS itself may."""
        self._check_operator(request)
        return change_membership(self.store, request)

    def note_commitment(self, request: DomainRequest) -> DomainAnswer:
        """``anotarCompromiso``: a commitment with its owner and date, or how it stands; only ONIESS itself may."""
        self._check_operator(request)
        return note_commitment(self.store, request)

    def _commitments(self, _query: Mapping[str, str]) -> web.Response:
        today = self.now().astimezone(self.zone).date()
        return web.json_response({"compromisos": commitments(self.store.database, today)})

    def _check_operator(self, request: DomainRequest) -> None:
        """ONIESS's own operators act on applications: the system says so itself, whatever the gateway grants."""
        if request.context.member != self.member:
            raise DomainError(
                "SS-210",
                f"sólo {self.member} resuelve altas, no {request.context.member}",
                f"only {self.member} decides on applications, not {request.context.member}",
                field="X-Road-Client",
            )

    def _check_code_free(self, request: DomainRequest) -> None:
        """Refuse a code that a member has, or that another open application proposes; and one of another state."""
        body = request.body
        code, path = body["codigoPropuesto"], f"MX/{body['clasePropuesta']}/{body['codigoPropuesto']}"
        if code[:2] != body["entidad"]:
            raise DomainError(
                "SS-600",
                f"el código {code} no es de la entidad {body['entidad']}",
                f"the code {code} is not of entity {body['entidad']}",
                field="codigoPropuesto",
            )
        holder = next(
            (
                a.case
                for a in self.store.applications()
                if a.state != "BAJA" and a.request["codigoPropuesto"] == code
            ),
            "un miembro"
            if code in {m.rpartition("/")[2] for m in (*self.store.members(), self.member)}
            else None,
        )
        if holder is not None:
            raise DomainError(
                "SS-205",
                f"{path} ya lo tiene {holder}",
                f"{path} is held already ({holder})",
                field="codigoPropuesto",
            )

    @staticmethod
    def _filed_on(request: DomainRequest, application: Application) -> date:
        """When the impact assessment was filed: from the application on, never in the future."""
        filed = date.fromisoformat(request.body.get("presentadaEl") or request.today.isoformat())
        if not application.applied_on <= filed <= request.today:
            raise DomainError(
                "SS-601",
                f"la evaluación se presenta entre {application.applied_on} y hoy, {request.today}; llegó {filed}",
                f"the assessment is filed between {application.applied_on} and today, {request.today}; {filed} came",
                field="presentadaEl",
            )
        return filed

    def _known(self, request: DomainRequest) -> Application:
        application = self.store.application(request.path["caso"])
        if application is None:
            raise DomainError("SS-300", field="caso")
        return application

    def _check_report(self, request: DomainRequest) -> None:
        report = request.body.get("reporte")
        made = None if report is None else date.fromisoformat(report["fecha"])
        if report is None or made is None or not made <= request.today <= made + REPORT_DAYS:
            raise DomainError(
                "SS-602",
                "se requiere un reporte de a lo más 30 días, no de fecha futura",
                "a report of at most 30 days is needed, not of a future date",
                field="reporte",
            )
        failed = sorted(name for name, passed in report["pruebas"].items() if not passed)
        if failed or not report["pruebas"]:
            raise DomainError(
                "SS-602",
                f"no pasaron: {', '.join(failed)[:100]}",
                f"failed: {', '.join(failed)[:100]}",
                field="reporte",
            )

    def _check_preflight(self, request: DomainRequest, application: Application) -> None:
        signed = request.body.get("preflight")
        if signed is None:
            raise DomainError(
                "SS-602",
                "se requiere el reporte de preflight firmado por el miembro",
                "the preflight report signed by the member is needed",
                field="preflight",
            )
        body = application.request
        member = f"MX/{body['clasePropuesta']}/{body['codigoPropuesto']}"
        # Gateways go by the machine's clock, in an exercise too.
        check_preflight(signed, member, self._trusted.servers, machine_clock())

    def _policy_hash(self) -> str:
        """The hash of the policy in force, as heads sign it: of the document, not of its signed form."""
        digest = self._published_policy()
        if not digest:
            raise DomainError("SS-203", "no hay política publicada", "no policy has been published")
        return digest

    def _published_policy(self) -> str:
        document = self.store.published("politica")
        return "" if document is None else hashlib.sha256(document).hexdigest()

    def _policy(self, _query: Mapping[str, str]) -> web.Response:
        signed = self.store.published("politica-firmada")
        if signed is None:
            raise DomainError("SS-203", "no hay política publicada", "no policy has been published")
        return web.Response(body=signed, content_type="application/json")

    def _publication(self, _query: Mapping[str, str]) -> web.Response:
        signed = self.store.published("publicacion")
        if signed is None:
            raise DomainError("SS-300", "ONIESS no ha publicado listas", "ONIESS has published no lists")
        return web.Response(body=signed, content_type="application/json")

    def _orders(self, _query: Mapping[str, str]) -> web.Response:
        """Orders of suspension as they were laid before the governing body, to be signed or not."""
        return web.json_response(
            {
                "propuestas": [
                    {"miembro": m, "documento": load_json(d)} for m, d in self.store.proposed_orders().items()
                ]
            }
        )

    def institutes(self) -> list[str]:
        """The members with persons of their own: all but the registry."""
        return [m for m in self.store.members() if m != REGISTRY]

    async def round(self) -> None:
        """Ask whether members are up, read what their gateways refused, and take the measures that are due."""
        await self.collector.probe(self.now())
        gathered = await self.collector.gather("violaciones")
        escalate(self.store, add_up(gathered), self.now(), self.calendar)

    async def _deliver(self, notice: OutboxItem) -> bool:
        why = Why("PUR-SUPERV", notice.case, "SISTEMA", _REASONS[notice.operation])
        response = await self._gateway.ask("GOBIERNO", notice.member, notice.operation, notice.body, why)
        return response.is_done

    def _catalogue(self, _query: Mapping[str, str]) -> web.Response:
        """The members and services as they stand today, each with how its conformance stands."""
        made = build_catalogue(
            self.publication.edition(),
            standings(self.store.database),
            self.store.applications(),
            self.calendar.local_day(self.now()),
        )
        return web.json_response(made)

    def _console(self, _query: Mapping[str, str]) -> web.Response:
        """Members on their way in, conventions, policy: live, and without any personal data."""
        policy, today = self._published_policy(), self.calendar.local_day(self.now())
        return web.json_response(
            {
                "politica": self.policy,
                "altas": [
                    {
                        "caso": a.case,
                        "codigo": a.request["codigoPropuesto"],
                        "estado": a.state,
                        "compuertas": a.gate_states(),
                        "vencidas": outdated(a.gates, policy, today),
                        "camino": [event for _, event in self.store.events(a.case)],
                    }
                    for a in self.store.applications()
                ],
                "convenios": [c["id"] for c in self.store.conventions()],
                "miembros": standings(self.store.database),
            }
        )


def _show(a: Application) -> dict[str, Any]:
    body: dict[str, Any] = {"caso": a.case, "estado": a.state, "compuertas": a.gate_states()}
    if a.operation_from is not None:
        body["operacionDesde"] = a.operation_from.isoformat()
    return body
