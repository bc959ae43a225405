"""The institute's desk: a person's file by its number, a period certified, portability cases with their clock.

Every file that is opened is an access of the person's, with the local id of who opened it. What is certified here is a period
that is missing; what is certified already is corrected by a request for rectification, so that its old version stays provable.

Spec: the domain reference 5.2 (Afiliacion, PeriodoCotizacion), 5.5 (Portability); F08, F12.
"""

from __future__ import annotations

import hashlib
import re
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from serving.api.problems import Problem
from serving.language import N_, Text
from serving.web.pages import redirect
from social_security.domain.faults import DomainError
from social_security.domain.pseudonyms import parse_pid
from social_security.domain.states import PORTABILITY, Author
from social_security.portal.core import FRESH, ShownForm
from social_security.portal.queries import explain
from social_security.portal.staffqueries import local_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

    from serving.language import Translatable
    from social_security.portal.core import Portal, Visitor
    from social_security.portal.staffqueries import StaffQueries

DAYS_DIGITS: Final = 5
STATEMENT_LEAST: Final = 20
# What the form of a period asks for: name, kind of field, words.
PERIOD: Final[tuple[tuple[str, str, Text], ...]] = (
    ("desde", "date", N_("From")),
    ("hasta", "date", N_("Until")),
    ("diasDescontados", "number", N_("Discounted days")),
    ("diasReintegrados", "number", N_("Reinstated days")),
    ("empleador", "text", N_("Employer's code")),
)
_WHO: Final[dict[Author, Text]] = {
    Author.RESPONSIBLE: N_("the responsible institute"),
    Author.COUNTERPARTY: N_("the other institutes"),
    Author.PERSON: N_("the person"),
}
# The step that leads a case on, where there is one.
_ONWARD: Final = {
    "PRESENTADA": "ADMITIR",
    "ADMITIDA": "SOLICITAR_HISTORIA",
    "HISTORIA_SOLICITADA": "ENTREGAR_HISTORIA",
    "ACLARACION": "ACLARAR",
    "HISTORIA_RECIBIDA": "TOTALIZAR",
    "TOTALIZADA": "PROYECTAR",
    "PROYECTO_RESOLUCION": "CONFORMAR",
    "CONFORMIDAD_TITULAR": "CONFIRMAR_TRANSFERENCIA",
    "TRANSFERIDA": "RESOLVER",
    "RESUELTA": "CERRAR",
}


# The causes for which a desk rejects a case, rows of the error table that are refusals.
REJECTIONS: Final = ("SS-403", "SS-502", "SS-503")
_AMOUNT: Final = re.compile(r"\d{1,9}(\.\d{1,2})?", re.ASCII)


class CounterPages:
    """The pages of an institute's desk."""

    def __init__(self, portal: Portal, asking: StaffQueries) -> None:
        self._portal = portal
        self._asking = asking
        self._member = portal.member

    async def home(self, request: web.Request, visitor: Visitor) -> web.Response:
        """``/``: find a file; ``?numero=`` is a file number or a PID, and opens it."""
        number = request.query.get("numero", "").strip()
        if not number:
            return self._portal.render(request, "staff/desk.html", visitor, number="", why=None)
        response = await self._asking.file(
            self._member, visitor.role, local_id(visitor.user.name), _named(number)
        )
        if not response.is_done:
            return self._portal.render(
                request, "staff/desk.html", visitor, status=404, number=number, why=explain(response)
            )
        return await self._file(request, visitor, response.body)

    async def certify(
        self, request: web.Request, visitor: Visitor, form: Mapping[str, list[str]]
    ) -> web.Response:
        """``POST /expediente``: certify a period that is missing."""
        pid, user = _first(form, "pid"), local_id(visitor.user.name)
        wrong: Translatable | None = None
        period: dict[str, Any] = {}
        try:
            period = read_period(form)
        except ValueError:
            wrong = N_(
                "Look at the period: dates as YYYY-MM-DD, days as numbers, an employer, and what proves it."
            )
        if "confirmo" not in form:
            wrong = N_("Confirm that the institute certifies this period.")
        if wrong is None:
            response = await self._asking.certify(self._member, visitor.role, user, pid, period)
            if response.is_done:
                return redirect(f"/?numero={pid}")
            wrong = explain(response)
        seen = await self._asking.file(self._member, visitor.role, user, _named(pid))
        if not seen.is_done:
            return self._portal.render(
                request, "staff/desk.html", visitor, status=404, number=pid, why=explain(seen)
            )
        return await self._file(request, visitor, seen.body, wrong, form)

    async def cases(self, request: web.Request, visitor: Visitor) -> web.Response:
        """``/casos``: portability cases, the most urgent first; ``?terminados=1`` the ended ones too."""
        ended = request.query.get("terminados") == "1"
        response = await self._asking.cases(self._member, local_id(visitor.user.name), ended=ended)
        return self._portal.render(
            request,
            "staff/cases.html",
            visitor,
            rows=[
                {**case, "siguiente": next_step(case["estado"])}
                for case in (response.body.get("casos", ()) if response.is_done else ())
            ],
            total=response.body.get("total", 0) if response.is_done else 0,
            ended=ended,
            mine=self._member,
            why=None if response.is_done else explain(response),
        )

    async def case(self, request: web.Request, visitor: Visitor) -> web.Response:
        """``/casos/{caso}``: its path, and what this institute may do next."""
        return await self._show_case(request, visitor)

    async def advance_case(
        self, request: web.Request, visitor: Visitor, form: Mapping[str, list[str]]
    ) -> web.Response:
        """``POST /casos/{caso}``: one step of the case."""
        case = request.match_info["caso"]
        wrong: Translatable | None
        try:
            step = read_step(form)
        except ValueError:
            wrong = N_(
                "Choose a step and confirm it; a rejection has cause, legal basis and reasons; to add institutes, choose them."
            )
            return await self._show_case(request, visitor, ShownForm(wrong, form, 400))
        response = await self._asking.advance_case(self._member, local_id(visitor.user.name), case, step)
        if response.is_done:
            return redirect(f"/casos/{case}?hecho=1")
        return await self._show_case(request, visitor, ShownForm(explain(response), form, 409))

    async def open_case(
        self, request: web.Request, visitor: Visitor, form: Mapping[str, list[str]]
    ) -> web.Response:
        """``POST /casos``: a new case of a person, by a convention that ONIESS publishes. Raises `Problem` (404)."""
        chosen = {"pid": _first(form, "pid"), "beneficio": _first(form, "beneficio")}
        chosen |= {"convenio": _first(form, "convenio")}
        parties = {**chosen, "contrapartes": [m for m in form.get("contraparte", []) if m != self._member]}
        wrong: Translatable | None = None
        if not all(chosen.values()) or not parties["contrapartes"] or "confirmo" not in form:
            wrong = N_("Choose convention, benefit and the other institutes, and confirm.")
        else:
            case, response = await self._asking.open_case(self._member, local_id(visitor.user.name), parties)
            if response.is_done:
                return redirect(f"/casos/{case}?hecho=1")
            wrong = explain(response)
        seen = await self._asking.file(
            self._member, visitor.role, local_id(visitor.user.name), _named(chosen["pid"])
        )
        if not seen.is_done:
            raise Problem(404, words=explain(seen))
        return await self._file(request, visitor, seen.body, wrong, form)

    async def admissions(self, request: web.Request, visitor: Visitor) -> web.Response:
        """``/admisiones``: applications of external beneficiaries, the most urgent first."""
        ended = request.query.get("terminadas") == "1"
        response = await self._asking.admissions(self._member, local_id(visitor.user.name), ended=ended)
        return self._portal.render(
            request,
            "staff/admissions.html",
            visitor,
            rows=response.body.get("admisiones", ()) if response.is_done else (),
            total=response.body.get("total", 0) if response.is_done else 0,
            ended=ended,
            why=None if response.is_done else explain(response),
        )

    async def admission(self, request: web.Request, visitor: Visitor) -> web.Response:
        """``/admisiones/{caso}``: one application, its evidence, and what may follow."""
        return await self._show_admission(request, visitor)

    async def advance_admission(
        self, request: web.Request, visitor: Visitor, form: Mapping[str, list[str]]
    ) -> web.Response:
        """``POST /admisiones/{caso}``: one step of an application."""
        case, to = request.match_info["caso"], _first(form, "paso")
        reasons = _first(form, "motivacion").strip()
        if not to or "confirmo" not in form or (to == "NEGADA" and len(reasons) < STATEMENT_LEAST):
            wrong = N_("Choose a step and confirm it; a refusal states its reasons.")
            return await self._show_admission(request, visitor, ShownForm(wrong, form, 400))
        event = {"estado": to} | ({"motivacion": reasons} if reasons else {})
        response = await self._asking.advance_admission(
            self._member, local_id(visitor.user.name), case, event
        )
        if response.is_done:
            return redirect(f"/admisiones/{case}?hecho=1")
        return await self._show_admission(request, visitor, ShownForm(explain(response), form, 409))

    async def _show_case(
        self,
        request: web.Request,
        visitor: Visitor,
        shown: ShownForm = FRESH,
    ) -> web.Response:
        case = request.match_info["caso"]
        response = await self._asking.case(self._member, local_id(visitor.user.name), case)
        if not response.is_done:
            raise Problem(404, words=explain(response))
        found = response.body["casos"][0]
        return self._portal.render_form(
            request,
            "staff/case.html",
            visitor,
            shown,
            c=found,
            joinable=await self._joinable(found),
            mine=self._member,
            reasons=REJECTIONS,
        )

    async def _show_admission(
        self,
        request: web.Request,
        visitor: Visitor,
        shown: ShownForm = FRESH,
    ) -> web.Response:
        response = await self._asking.admission(
            self._member, local_id(visitor.user.name), request.match_info["caso"]
        )
        if not response.is_done:
            raise Problem(404, words=explain(response))
        return self._portal.render_form(
            request,
            "staff/admission.html",
            visitor,
            shown,
            a=response.body["admisiones"][0],
        )

    async def _joinable(self, case: Mapping[str, Any]) -> list[str]:
        """The institutes that may be added to a case: its convention's, without those that take part."""
        if "AGREGAR_PARTICIPANTE" not in case["pasos"]:
            return []
        parties = (case["responsable"], *case["contrapartes"])
        found = next((c for c in await self._conventions() if c["id"] == case["convenio"]), {})
        return [m for m in found.get("members", ()) if m not in parties]

    async def _conventions(self) -> list[Mapping[str, Any]]:
        """The conventions that this institute is a party of, as ONIESS publishes them; none when it does not answer."""
        response = await self._asking.conventions()
        found = response.body.get("convenios", ()) if response.is_done else ()
        return [c for c in found if self._member in c.get("members", ())]

    async def _file(
        self,
        request: web.Request,
        visitor: Visitor,
        body: Mapping[str, Any],
        wrong: Translatable | None = None,
        typed: Mapping[str, list[str]] | None = None,
    ) -> web.Response:
        return self._portal.render(
            request,
            "staff/file.html",
            visitor,
            status=200 if wrong is None else 400,
            b=body,
            served=[p for p in body["periodos"] if p["estado"] != "SUSTITUIDO"],
            replaced=[p for p in body["periodos"] if p["estado"] == "SUSTITUIDO"],
            fields=PERIOD,
            conventions=await self._conventions(),
            mine=self._member,
            wrong=wrong,
            typed=typed or {},
        )


def next_step(state: str) -> tuple[Text, str] | None:
    """Whose turn a case is in a state, and with which event it goes on; None when it has ended or an authority looks at it."""
    event = _ONWARD.get(state)
    move = None if event is None else PORTABILITY.get((state, event))
    if event is None or move is None:
        return None
    return _WHO.get(move.author, N_("any of them")), event


def read_period(form: Mapping[str, list[str]]) -> dict[str, Any]:
    """A period as a form gives it, with the digest of what proves it. Raises ValueError."""
    given = {name: _first(form, name).strip() for name, *_ in PERIOD}
    proof = _first(form, "prueba").strip()
    if not given["empleador"] or len(proof) < STATEMENT_LEAST:
        raise ValueError("an employer and a proof are needed")
    period: dict[str, Any] = {n: date.fromisoformat(given[n]).isoformat() for n in ("desde", "hasta")}
    for name in ("diasDescontados", "diasReintegrados"):
        if given[name]:
            if not (given[name].isascii() and given[name].isdigit() and len(given[name]) <= DAYS_DIGITS):
                raise ValueError(f"{name} is a number of days")
            period[name] = int(given[name])
    reason = _first(form, "motivoTraslape").strip()
    period |= {"motivoTraslape": reason} if reason else {}
    return period | {
        "empleador": {"clave": given["empleador"]},
        "evidenciaSha256": hashlib.sha256(proof.encode()).hexdigest(),
    }


def read_step(form: Mapping[str, list[str]]) -> dict[str, Any]:
    """A step of a case as a form gives it: the event, with pesos as centavos or a rejection's grounds. Raises ValueError."""
    event = _first(form, "paso")
    if not event or "confirmo" not in form:
        raise ValueError("a step and its confirmation are needed")
    step: dict[str, Any] = {"evento": event}
    pesos = _first(form, "monto").strip().replace(",", "")
    if event == "TOTALIZAR" and pesos:
        amount = Decimal(pesos) if _AMOUNT.fullmatch(pesos) else None
        if amount is None:
            raise ValueError("an amount is pesos with at most two decimals")
        step["montoCentavos"] = int(amount * 100)
    if event == "RECHAZAR":
        step |= {n: _first(form, n).strip() for n in ("codigo", "fundamento", "motivacion")}
        if (
            step["codigo"] not in REJECTIONS
            or len(step["motivacion"]) < STATEMENT_LEAST
            or not step["fundamento"]
        ):
            raise ValueError("a rejection has cause, legal basis and reasons")
    if event == "AGREGAR_PARTICIPANTE":
        step["contrapartes"] = form.get("contraparte", [])
        if not step["contrapartes"]:
            raise ValueError("the institutes that join are chosen")
    return step


def _named(number: str) -> dict[str, str]:
    try:
        return {"pid": parse_pid(number)}
    except DomainError:
        return {"expediente": number[:64]}


def _first(form: Mapping[str, list[str]], name: str) -> str:
    return form.get(name, [""])[0]
