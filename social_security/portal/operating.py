"""ONIESS's own operators: applications with their gates, conventions, commitments, indicators against their targets.

Every act is a message to ONIESS's system, which holds it to date, member and evidence; the page sends nothing that the
system would not decide again. What is only read comes from the public readings.

Spec: the domain reference 5.5 (Onboarding), 5.8; F03, F11, F25, S01.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from schemas.jsontext import load_json
from serving.api.problems import Problem
from serving.language import N_
from serving.web.pages import redirect
from social_security.domain import pack
from social_security.domain.faults import DomainError
from social_security.domain.indicators import INDICATORS
from social_security.portal.accounts import OPERATOR
from social_security.portal.core import FRESH, ShownForm
from social_security.portal.queries import MANY, ONIESS, ask, explain
from social_security.portal.staffqueries import local_id
from social_security.wire.gatewayclient import GatewayAnswer, GatewayClient, Why

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from aiohttp import web

    from social_security.portal.core import Portal, Visitor

SYSTEM: Final = "Mesa de ONIESS 1.0"
EVIDENCE_LEAST: Final = 10
_DIGEST: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_MONTH: Final = re.compile(r"20\d\d-(0[1-9]|1[0-2])", re.ASCII)
# What a gate asks for beside its evidence: the field of the message, by the gate.
_PAPERS: Final[Mapping[str, tuple[str, ...]]] = {
    "conformidad": ("reporte", "preflight"),
    "titular": ("adopcion",),
}


class OperatorPages:
    """The pages of those who run ONIESS's onboarding and follow-up."""

    def __init__(self, portal: Portal, gateway: GatewayClient, now: Callable[[], datetime]) -> None:
        self._portal = portal
        self._gateway = gateway
        self._now = now

    async def applications(self, request: web.Request, visitor: Visitor) -> web.Response:
        """``/operacion``: every application with its gates."""
        response = await self._read("consola")
        return self._portal.render(
            request,
            "operator/applications.html",
            visitor,
            rows=response.body.get("altas", ()) if response.is_done else (),
            why=None if response.is_done else explain(response),
        )

    async def application(self, request: web.Request, visitor: Visitor) -> web.Response:
        """``/operacion/altas/{caso}``: the gates of one, each with its form."""
        return await self._show(request, visitor)

    async def decide(
        self, request: web.Request, visitor: Visitor, form: Mapping[str, list[str]]
    ) -> web.Response:
        """``POST /operacion/altas/{caso}``: decide one gate, or activate the member."""
        case, user = request.match_info["caso"], local_id(visitor.user.name)
        if _first(form, "activar"):
            body: dict[str, Any] = {"fecha": self._today().isoformat()}
            response = await self._ask("activarAlta", body, self._why(case, user), {})
        else:
            gate = _first(form, "compuerta")
            try:
                body = read_decision(gate, form, user)
            except ValueError:
                wrong = N_(
                    "Look at the decision: its result, what shows it, and the documents as JSON where the gate asks for them."
                )
                return await self._show(request, visitor, ShownForm(wrong, form, 400))
            response = await self._ask("resolverCompuerta", body, self._why(case, user), {"compuerta": gate})
        if response.is_done:
            return redirect(f"/operacion/altas/{case}?hecho=1")
        return await self._show(request, visitor, ShownForm(explain(response), form, 409))

    async def conventions(self, request: web.Request, visitor: Visitor) -> web.Response:
        """``/operacion/convenios``: the conventions that stand, with parties, benefits and rules."""
        response = await self._read("convenios")
        return self._portal.render(
            request,
            "operator/conventions.html",
            visitor,
            rows=response.body.get("convenios", ()) if response.is_done else (),
            why=None if response.is_done else explain(response),
        )

    async def commitments(self, request: web.Request, visitor: Visitor) -> web.Response:
        """``/operacion/compromisos``: who owes what until when."""
        return await self._commitments(request, visitor)

    async def note_commitment(
        self, request: web.Request, visitor: Visitor, form: Mapping[str, list[str]]
    ) -> web.Response:
        """``POST /operacion/compromisos``: a new commitment, or how one stands now."""
        try:
            body = read_commitment(form)
        except ValueError:
            wrong = N_(
                "Look at the commitment: what, whose, a date as YYYY-MM-DD, and what shows that it was met."
            )
            return await self._commitments(request, visitor, ShownForm(wrong, form, 400))
        case = f"CONS-00-{self._today().year}-{secrets.randbelow(MANY):08d}"
        why = Why("PUR-SUPERV", case, OPERATOR, "Seguimiento", local_id(visitor.user.name), SYSTEM)
        response = await self._ask("anotarCompromiso", body, why, {})
        if response.is_done:
            return redirect("/operacion/compromisos?hecho=1")
        return await self._commitments(request, visitor, ShownForm(explain(response), form, 409))

    async def indicators(self, request: web.Request, visitor: Visitor) -> web.Response:
        """``/operacion/indicadores``: each indicator of a month against its target, with what is committed towards it."""
        chosen = request.query.get("periodo", "")
        period = chosen if _MONTH.fullmatch(chosen) else f"{self._today():%Y-%m}"
        response = await self._read(f"indicadores?periodo={period}")
        owed = await self._read("compromisos")
        waiting = (
            [c for c in owed.body.get("compromisos", ()) if c["estado"] == "ABIERTO"] if owed.is_done else []
        )
        return self._portal.render(
            request,
            "operator/indicators.html",
            visitor,
            period=period,
            rows=response.body.get("filas", ()) if response.is_done else (),
            commitments=waiting,
            why=None if response.is_done else explain(response),
        )

    async def _show(
        self,
        request: web.Request,
        visitor: Visitor,
        shown: ShownForm = FRESH,
    ) -> web.Response:
        case = request.match_info["caso"]
        response = await self._ask("verAlta", {}, self._why(case, local_id(visitor.user.name)), {})
        if not response.is_done:
            raise Problem(404, words=explain(response))
        return self._portal.render_form(
            request,
            "operator/application.html",
            visitor,
            shown,
            a=response.body,
            papers=_PAPERS,
        )

    async def _commitments(
        self,
        request: web.Request,
        visitor: Visitor,
        shown: ShownForm = FRESH,
    ) -> web.Response:
        response = await self._read("compromisos")
        return self._portal.render_form(
            request,
            "operator/commitments.html",
            visitor,
            shown,
            rows=response.body.get("compromisos", ()) if response.is_done else (),
            owners=self._portal.edition.institutes(),
            indicators=[i.id for i in INDICATORS],
            why=None if response.is_done else explain(response),
        )

    def _why(self, case: str, user: str) -> Why:
        return Why("PUR-ALTA", case, OPERATOR, "Incorporación de un miembro", user, SYSTEM)

    def _today(self) -> date:
        return self._now().astimezone(self._portal.zone).date()

    async def _ask(
        self, operation: str, body: dict[str, Any], why: Why, place: Mapping[str, str]
    ) -> GatewayAnswer:
        return await ask(self._gateway, "ALTA", ONIESS, operation, body, why, place)

    async def _read(self, name: str) -> GatewayAnswer:
        try:
            return await self._gateway.read("ALTA", ONIESS, f"GOBIERNO/oss-v1/{name}")
        except DomainError as error:
            return GatewayAnswer(0, dict(error.to_json()))


def read_decision(gate: str, form: Mapping[str, list[str]], user: str) -> dict[str, Any]:
    """A gate's decision as a form gives it. Raises ValueError."""
    outcome = _first(form, "resultado")
    if gate not in pack.codes()["onboarding_gates"] or outcome not in ("APROBADA", "RECHAZADA"):
        raise ValueError("a gate is approved or rejected")
    body: dict[str, Any] = {
        "resultado": outcome,
        "evidenciaSha256": _digest_of(_first(form, "evidencia")),
        "resueltoPor": user,
    }
    notes = _first(form, "observaciones").strip()
    body |= {"observaciones": notes} if notes else {}
    filed = _first(form, "presentadaEl").strip()
    if gate == "impacto" and filed:
        body["presentadaEl"] = date.fromisoformat(filed).isoformat()
    for name in _PAPERS.get(gate, ()):
        pasted = _first(form, name).strip()
        if pasted:
            paper = load_json(pasted)
            if not isinstance(paper, dict):
                raise ValueError(f"{name} is a JSON object")
            body[name] = paper
    return body


def read_commitment(form: Mapping[str, list[str]]) -> dict[str, Any]:
    """A commitment, or another state of one, as a form gives it. Raises ValueError."""
    body: dict[str, Any] = {
        name: _first(form, name).strip()
        for name in ("idCompromiso", "descripcion", "responsable", "vence", "indicador", "estado", "nota")
        if _first(form, name).strip()
    }
    if "vence" in body:
        body["vence"] = date.fromisoformat(body["vence"]).isoformat()
    if "idCompromiso" not in body and not {"descripcion", "responsable", "vence"} <= set(body):
        raise ValueError("a commitment says what, whose and until when")
    if _first(form, "evidencia").strip() or body.get("estado") == "CUMPLIDO":
        body["evidenciaSha256"] = _digest_of(_first(form, "evidencia"))
    return body


def _digest_of(evidence: str) -> str:
    """The digest of what shows something: itself when it is one, else of the words that name the document."""
    text = evidence.strip()
    if _DIGEST.fullmatch(text):
        return text
    if len(text) < EVIDENCE_LEAST:
        raise ValueError("what shows it is named")
    return hashlib.sha256(text.encode()).hexdigest()


def _first(form: Mapping[str, list[str]], name: str) -> str:
    return form.get(name, [""])[0]
