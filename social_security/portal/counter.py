"""The institute's desk: a person's file by its number, a period certified, portability cases with their clock.

Every file that is opened is an access of the person's, with the local id of who opened it. What is certified here is a period
that is missing; what is certified already is corrected by a request for rectification, so that its old version stays provable.

Spec: the domain reference 5.2 (Afiliacion, PeriodoCotizacion), 5.5 (Portability); F08, F12.
"""

from __future__ import annotations

import hashlib
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from serving.language import N_, Text
from serving.web.pages import redirect
from social_security.domain.faults import DomainError
from social_security.domain.pseudonyms import parse_pid
from social_security.domain.states import PORTABILITY, Author
from social_security.portal.asking import explain
from social_security.portal.staffasking import local_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

    from serving.language import Translatable
    from social_security.portal.core import Portal, Visitor
    from social_security.portal.staffasking import StaffQueries

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
        heard = await self._asking.file(
            self._member, visitor.role, local_id(visitor.user.name), _named(number)
        )
        if not heard.is_done:
            return self._portal.render(
                request, "staff/desk.html", visitor, status=404, number=number, why=explain(heard)
            )
        return self._file(request, visitor, heard.body)

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
            heard = await self._asking.certify(self._member, visitor.role, user, pid, period)
            if heard.is_done:
                return redirect(f"/?numero={pid}")
            wrong = explain(heard)
        seen = await self._asking.file(self._member, visitor.role, user, _named(pid))
        if not seen.is_done:
            return self._portal.render(
                request, "staff/desk.html", visitor, status=404, number=pid, why=explain(seen)
            )
        return self._file(request, visitor, seen.body, wrong, form)

    async def cases(self, request: web.Request, visitor: Visitor) -> web.Response:
        """``/casos``: portability cases, the most urgent first; ``?terminados=1`` the ended ones too."""
        ended = request.query.get("terminados") == "1"
        heard = await self._asking.cases(self._member, local_id(visitor.user.name), ended=ended)
        return self._portal.render(
            request,
            "staff/cases.html",
            visitor,
            rows=[
                {**case, "siguiente": next_step(case["estado"])}
                for case in (heard.body.get("casos", ()) if heard.is_done else ())
            ],
            total=heard.body.get("total", 0) if heard.is_done else 0,
            ended=ended,
            mine=self._member,
            why=None if heard.is_done else explain(heard),
        )

    def _file(
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


def _named(number: str) -> dict[str, str]:
    try:
        return {"pid": parse_pid(number)}
    except DomainError:
        return {"expediente": number[:64]}


def _first(form: Mapping[str, list[str]], name: str) -> str:
    return form.get(name, [""])[0]
