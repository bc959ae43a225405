"""Requests for rights and for information as those who answer them see them: the transparency unit, its committee, the guarantor.

One list, one page a request, one form: what may follow from a request's state, and only that, is offered; what it brings about
and whether it can be undone is said before it is sent. Nobody's name appears: a request is known by its folio.

Spec: the domain reference 3.4, 5.5 (ARCO); F13 to F18.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from serving.api.problems import Problem
from serving.language import N_, Text
from serving.web.pages import redirect
from social_security.domain import pack
from social_security.domain.states import ARCO
from social_security.institute.appealreports import GIVEN
from social_security.institute.stores.arco import INFORMATION
from social_security.portal.accounts import GUARANTOR
from social_security.portal.core import FRESH, ShownForm
from social_security.portal.queries import explain
from social_security.portal.staffqueries import local_id
from social_security.wire.gatewayclient import GatewayAnswer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiohttp import web

    from serving.language import Translatable
    from social_security.portal.core import Portal, Visitor
    from social_security.portal.staffqueries import StaffQueries

TEXT_LIMIT = 4000
LEAST_REASONS = 20
# What the institute's people may cause, and what it brings about.
MOVES: Final[dict[str, Text]] = {
    "EN_TRAMITE": N_("Admit it: the term to answer runs on"),
    "PREVENIDA": N_("Ask the person to clarify: her term to do so begins, yours starts anew with her answer"),
    "INCOMPETENCIA": N_("Tell her that another institute is competent: this ends the request here"),
    "TRAMITE_ESPECIFICO": N_("Tell her which specific procedure exists: this ends the request here"),
    "RECONDUCIDA": N_("Take it as another right: this ends the request under this one"),
    "AMPLIADA": N_("Extend the term, once, by ten working days"),
    "PROCEDENTE": N_("Grant it: it must be carried out within fifteen working days"),
    "IMPROCEDENTE": N_("Refuse it: the person gets cause, reasons and remedy, and may appeal"),
    "INEXISTENCIA": N_("Declare that the data does not exist, by the committee's resolution; she may appeal"),
    "EFECTIVA": N_(
        "Carry it out now: data changes, and whoever holds a wrong copy is told. It cannot be taken back"
    ),
    "CUMPLIDA": N_("Carry out what the guarantor decided. It cannot be taken back"),
    "RINDE_INFORME": N_("Give the report that the guarantor asked for; it stays with the appeal"),
}
# What a guarantor may cause in an appeal: the state, and the direction where one is said.
RESOLUTIONS: Final[dict[str, tuple[str, str | None, Text]]] = {
    "CONCILIACION": ("CONCILIACION", None, N_("Call both to conciliation")),
    "INFORME": ("RECURRIDA", "INFORME", N_("Ask the institute for a report, within seven working days")),
    "PRORROGA": ("RECURRIDA", "PRORROGA", N_("Extend the term to decide, once, by twenty working days")),
    "DESECHAR": ("RESUELTA_RR", "DESECHAR", N_("Dismiss the appeal")),
    "CONFIRMAR": ("RESUELTA_RR", "CONFIRMAR", N_("Confirm the institute's answer")),
    "REVOCAR": ("RESUELTA_RR", "REVOCAR", N_("Revoke the answer: the institute must do what was asked")),
    "ORDENAR_ENTREGA": ("RESUELTA_RR", "ORDENAR_ENTREGA", N_("Order delivery")),
}
_WITH_COMMITTEE: Final = frozenset(("IMPROCEDENTE", "INEXISTENCIA"))


@dataclass(frozen=True, slots=True)
class Listed:
    """One institute's answer to the question for its list."""

    member: str
    rows: Sequence[Mapping[str, Any]]
    total: int
    why: Translatable | None


class AnsweringPages:
    """The pages of those who answer requests at ``members``: one's own institute, or those that a guarantor supervises."""

    def __init__(self, portal: Portal, asking: StaffQueries, members: Sequence[str], root: str) -> None:
        self._portal = portal
        self._asking = asking
        self._members = tuple(members)
        self._root = root

    async def pending(self, request: web.Request, visitor: Visitor) -> web.Response:
        """The requests that wait for somebody, the most urgent first."""
        return await self._list(request, visitor, pending=True)

    async def every(self, request: web.Request, visitor: Visitor) -> web.Response:
        """All requests, the answered ones too."""
        return await self._list(request, visitor, pending=False)

    async def _list(self, request: web.Request, visitor: Visitor, *, pending: bool) -> web.Response:
        user = local_id(visitor.user.name)
        response = await asyncio.gather(
            *(self._asking.requests(m, visitor.role, user, pendientes=pending) for m in self._members)
        )
        lists = [
            Listed(
                member,
                answer.body.get("solicitudes", ()) if answer.is_done else (),
                int(answer.body.get("total", 0)) if answer.is_done else 0,
                None if answer.is_done else explain(answer),
            )
            for member, answer in zip(self._members, response, strict=True)
        ]
        return self._portal.render(
            request, "staff/requests.html", visitor, lists=lists, pending=pending, root=self._root
        )

    async def one(self, request: web.Request, visitor: Visitor) -> web.Response:
        """One request, and what may follow."""
        return await self._show(request, visitor)

    async def answer(
        self, request: web.Request, visitor: Visitor, form: Mapping[str, list[str]]
    ) -> web.Response:
        """Take the form: one event of the request."""
        member, folio = self._named(request)
        seen = await self._seen(request, visitor)
        wrong, event = self._event(visitor, member, seen.body if seen.is_done else {}, form)
        if wrong is not None:
            return await self._show(request, visitor, ShownForm(wrong, form, 400))
        response = await self._asking.advance(member, visitor.role, local_id(visitor.user.name), folio, event)
        if not response.is_done:
            return await self._show(request, visitor, ShownForm(explain(response), form, 409))
        return redirect(f"{request.path}?hecho=1")

    async def _show(
        self,
        request: web.Request,
        visitor: Visitor,
        shown: ShownForm = FRESH,
    ) -> web.Response:
        member, folio = self._named(request)
        response = await self._seen(request, visitor)
        body = response.body if response.is_done else {}
        return self._portal.render_form(
            request,
            "staff/request.html",
            visitor,
            shown,
            member=member,
            folio=folio,
            b=body,
            why=None if response.is_done else explain(response),
            moves=allowed(visitor.role, body),
            causes=pack.codes()["arco_causes"],
            is_information=body.get("derecho") == INFORMATION,
            is_guarantor=visitor.role == GUARANTOR,
            root=self._root,
        )

    async def _seen(self, request: web.Request, visitor: Visitor) -> GatewayAnswer:
        member, folio = self._named(request)
        return await self._asking.request(member, visitor.role, local_id(visitor.user.name), folio)

    def _named(self, request: web.Request) -> tuple[str, str]:
        code = request.match_info.get("instituto")
        member = next((m for m in self._members if code is None or m.rpartition("/")[2] == code), None)
        if member is None:
            raise Problem(404, words=N_("There is no such institute here."))
        return member, request.match_info["folio"]

    def _event(
        self, visitor: Visitor, member: str, seen: Mapping[str, Any], form: Mapping[str, list[str]]
    ) -> tuple[Translatable | None, dict[str, Any]]:
        """What is wrong with the form, or None and the event that it asks for."""
        chosen, reasons = _first(form, "paso"), _first(form, "motivacion").strip()
        if chosen not in allowed(visitor.role, seen):
            return N_("Choose one of the steps that may follow."), {}
        if "confirmo" not in form:
            return N_("Confirm that you have read what this step brings about."), {}
        if len(reasons) > TEXT_LIMIT:
            return N_("The reasons are longer than {limit} characters.", limit=TEXT_LIMIT), {}
        reply = {"descripcion": reasons} if reasons else {}
        if visitor.role == GUARANTOR:
            state, direction, _words = RESOLUTIONS[chosen]
            return None, {"estado": state, **({"sentido": direction} if direction else {}), **reply}
        if chosen == GIVEN:
            return None, {"estado": seen["estado"], "sentido": GIVEN, **reply}
        if chosen not in _WITH_COMMITTEE:
            return None, {"estado": chosen, **reply}
        wrong = _what_lacks(chosen, seen, form, reasons)
        if wrong is not None:
            return wrong, {}
        event: dict[str, Any] = {"estado": chosen, "resolucionComite": _first(form, "comite").strip()}
        if seen.get("derecho") == INFORMATION:
            return None, event | {"negativa": self._negativa(member, form, reasons)}
        if chosen == "IMPROCEDENTE":
            event["causas"] = [c for c in form.get("causa", []) if c]
        return None, event | reply

    def _negativa(self, member: str, form: Mapping[str, list[str]], reasons: str) -> dict[str, Any]:
        """A refusal of information; its authority and last day are set by the institute's own system."""
        return {
            "codigo": "SS-500",
            "fundamento": _first(form, "fundamento").strip(),
            "motivacion": reasons,
            "medioImpugnacion": "Recurso de revisión",
            "autoridad": f"MX/GAR/{member.rpartition('/')[2][:2]}-GARANTE",
            "limiteImpugnacion": self._asking.today(self._portal.zone).isoformat(),
        }


def allowed(role: str, seen: Mapping[str, Any]) -> dict[str, Text]:
    """The steps that a role may take from a request's state, with what each brings about."""
    state = str(seen.get("estado", ""))
    next_states = ARCO.get(state, frozenset())
    if role != GUARANTOR:
        # While she is asked to clarify, it is her turn.
        reports = seen.get("solicitud", {}).get("informes", ())
        if state in ("RECURRIDA", "CONCILIACION") and reports and "informe" not in reports[-1]:
            next_states |= {GIVEN}
        return {} if state == "PREVENIDA" else {m: label for m, label in MOVES.items() if m in next_states}
    late = state == "RESUELTA_RR" and seen.get("sentido") == "CONFIRMAR_POR_SILENCIO"
    return {
        name: label
        for name, (to, _direction, label) in RESOLUTIONS.items()
        if to in next_states or (to == state == "RECURRIDA") or (late and to == state)
    }


def _what_lacks(
    chosen: str, seen: Mapping[str, Any], form: Mapping[str, list[str]], reasons: str
) -> Translatable | None:
    """What a refusal lacks: the committee's resolution, reasons, an article, or a cause where one is due; None when it is whole."""
    if not _first(form, "comite").strip():
        return N_("Name the committee's resolution: without it nothing can be refused.")
    if len(reasons) < LEAST_REASONS:
        return N_(
            "Write the reasons (at least {least} characters); a cause alone is none.", least=LEAST_REASONS
        )
    if seen.get("derecho") == INFORMATION:
        if not _first(form, "fundamento").strip().startswith("mx:LGTAIP-"):
            return N_("Name the article of the transparency law, as mx:LGTAIP-115.")
    elif chosen == "IMPROCEDENTE" and not any(form.get("causa", [])):
        return N_("Mark at least one cause of article 49.")
    return None


def _first(form: Mapping[str, list[str]], name: str) -> str:
    return form.get(name, [""])[0]
