"""What ONIESS answers: applications and their nine gates, and the public readings.

No gate can be skipped: a member becomes active only when all are approved, on a working term after its impact assessment
was filed, and with the head's signature over the policy in force.

Spec: the domain reference 5.5 (Onboarding), 5.7; S01, S04.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from aiohttp import web

from social_security import machines, pack
from social_security.faults import DomainError
from social_security.oniess.adoption import check_adoption
from social_security.oniess.indicators import read_indicators
from social_security.oniess.store import Application, OniessStore
from social_security.service import Answer, Asked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from cryptography import x509

    from social_security.calendars import Calendar

IMPACT_DAYS = 30
REPORT_DAYS = timedelta(days=30)


class OniessDesk:
    """ONIESS's operations over its store."""

    def __init__(
        self,
        member: str,
        store: OniessStore,
        clock: Callable[[], datetime],
        calendar: Calendar,
        zone: ZoneInfo,
        policy: str,
        authorities: Sequence[x509.Certificate],
    ) -> None:
        self.member = member
        self.zone = zone
        self.policy = policy
        self._store = store
        self._clock = clock
        self._calendar = calendar
        self._authorities = authorities

    def now(self) -> datetime:
        """The time."""
        return self._clock()

    def tick(self) -> None:
        """Nothing here falls due by itself."""

    def admit(self, asked: Asked) -> None:
        """Refuse an unregistered privacy notice (SS-204)."""
        notice = asked.context.notice
        if self._store.notice(notice.uri) != notice.sha256:
            raise DomainError("SS-204", field="X-OSS-Aviso")

    def record(self, asked: Asked, answer: Answer | None, error: DomainError | None) -> None:
        """Applications keep their own events."""

    def acts(self) -> dict[str, Callable[[Asked], Answer]]:
        """The operations by name."""
        return {
            "solicitarAlta": self.apply,
            "verAlta": self.see,
            "resolverCompuerta": self.decide_gate,
            "activarAlta": self.activate,
        }

    def readings(self) -> dict[str, Callable[[Mapping[str, str]], web.Response]]:
        """The public readings by path."""
        return {
            "/politica": self._policy,
            "/catalogo": lambda _q: web.json_response(pack.document("catalogue.jsonld")),
            "/convenios": lambda _q: web.json_response({"convenios": self._store.conventions()}),
            "/indicadores": self._indicators,
            "/calendarios": lambda _q: web.json_response(pack.document("calendars.json")),
            "/consola": self._console,
        }

    def apply(self, asked: Asked) -> Answer:
        """``solicitarAlta``: a case with nine gates, all pending."""
        known = self._store.application(asked.context.case)
        if known is not None:
            return Answer(_show(known), 201)
        roles = {c["rol"] for c in asked.body["contactos"]}
        missing = [r for r in pack.codes()["contact_roles"] if r not in roles]
        if missing:
            raise DomainError(
                "SS-600",
                f"faltan contactos: {', '.join(missing)}",
                f"contacts missing: {', '.join(missing)}",
                field="contactos",
            )
        made = Application(
            asked.context.case,
            dict(asked.body),
            "SOLICITADA",
            asked.today,
            None,
            {gate: {"estado": "PENDIENTE"} for gate in pack.codes()["onboarding_gates"]},
        )
        self._store.save(made, asked.now, "solicitarAlta")
        return Answer(_show(made), 201, ("documento",))

    def see(self, asked: Asked) -> Answer:
        """``verAlta``: state and gates."""
        return Answer(_show(self._known(asked)))

    def decide_gate(self, asked: Asked) -> Answer:
        """``resolverCompuerta``: approve or reject one gate, with the evidence that it asks for."""
        application, gate, body = self._known(asked), asked.path["compuerta"], asked.body
        if gate not in application.gates:
            raise DomainError("SS-100", "no hay tal compuerta", "there is no such gate", field="compuerta")
        if application.state in ("ACTIVA", "BAJA"):
            raise machines.not_allowed(application.state, gate)
        after = application
        if body["resultado"] == "APROBADA":
            if gate == "impacto":
                filed = date.fromisoformat(body.get("presentadaEl") or asked.today.isoformat())
                after = replace(after, operation_from=self._calendar.add(filed, IMPACT_DAYS))
            elif gate == "conformidad":
                self._check_report(asked)
            elif gate == "titular":
                if "adopcion" not in body:
                    raise DomainError("SS-604", field="adopcion")
                check_adoption(body["adopcion"], self._policy_hash(), self._authorities, asked.now)
        gates = {
            **application.gates,
            gate: {
                "estado": body["resultado"],
                "evidencia": body["evidenciaSha256"],
                "por": body["resueltoPor"],
            },
        }
        after = replace(after, gates=gates)
        after = replace(after, state=machines.onboarding_state(after.gate_states()))
        self._store.save(after, asked.now, f"{gate}={body['resultado']}")
        return Answer(_show(after))

    def activate(self, asked: Asked) -> Answer:
        """``activarAlta``: only with nine approved gates, and not before the impact-assessment term."""
        application = self._known(asked)
        day = date.fromisoformat(asked.body["fecha"])
        if application.operation_from is not None and day < application.operation_from:
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
        after = replace(application, state="ACTIVA")
        self._store.save(after, asked.now, "activarAlta")
        return Answer(_show(after))

    def _known(self, asked: Asked) -> Application:
        application = self._store.application(asked.path["caso"])
        if application is None:
            raise DomainError("SS-300", field="caso")
        return application

    def _check_report(self, asked: Asked) -> None:
        report = asked.body.get("reporte")
        if report is None or asked.today - date.fromisoformat(report["fecha"]) > REPORT_DAYS:
            raise DomainError(
                "SS-602",
                "se requiere un reporte de a lo más 30 días",
                "a report of at most 30 days is needed",
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

    def _policy_hash(self) -> str:
        """The hash of the policy in force, as heads sign it: of the document, not of its signed form."""
        document = self._store.published("politica")
        if document is None:
            raise DomainError("SS-203", "no hay política publicada", "no policy has been published")
        return hashlib.sha256(document).hexdigest()

    def _policy(self, _query: Mapping[str, str]) -> web.Response:
        signed = self._store.published("politica-firmada")
        if signed is None:
            raise DomainError("SS-203", "no hay política publicada", "no policy has been published")
        return web.Response(body=signed, content_type="application/json")

    def _indicators(self, query: Mapping[str, str]) -> web.Response:
        return web.json_response(read_indicators(self._store, query.get("periodo", "")))

    def _console(self, _query: Mapping[str, str]) -> web.Response:
        """Members on their way in, conventions, policy: live, and without any personal data."""
        return web.json_response(
            {
                "politica": self.policy,
                "altas": [
                    {
                        "caso": a.case,
                        "codigo": a.request["codigoPropuesto"],
                        "estado": a.state,
                        "compuertas": a.gate_states(),
                        "camino": [event for _, event in self._store.events(a.case)],
                    }
                    for a in self._store.applications()
                ],
                "convenios": [c["id"] for c in self._store.conventions()],
            }
        )


def _show(a: Application) -> dict[str, Any]:
    body: dict[str, Any] = {"caso": a.case, "estado": a.state, "compuertas": a.gate_states()}
    if a.operation_from is not None:
        body["operacionDesde"] = a.operation_from.isoformat()
    return body
