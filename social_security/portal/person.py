"""The citizen's pages: her standing and history, her ARCO requests.

Every page asks for the person of the session and for nobody else; a folio that is not hers is not found. What an
institute answers is shown as it came, with its code; a part that could not be had says so and the rest is shown.

Spec: the domain reference 3.4, 5.2 (RegistroAcceso, Negativa), 5.7; F12 to F16, S05 to S09.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from aiohttp import web

from serving.api.problems import Problem
from serving.language import N_
from serving.web.pages import redirect
from social_security.domain import eventchain
from social_security.domain.benefits import default_rules
from social_security.domain.faults import DomainError
from social_security.portal import words
from social_security.portal.accounts import REPRESENTATIVE, Filed, pid_of
from social_security.portal.calculator import cited, estimate, read_wishes
from social_security.portal.certificate import build_certificate, is_drawn, render_pdf
from social_security.portal.queries import PersonQueries, explain
from social_security.portal.timeline import draw_career, years_and_days
from social_security.wire.gatewayclient import GatewayAnswer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from serving.language import Translatable
    from social_security.portal.core import Portal, Visitor

TEXT_LIMIT = 4000
FOLIO_TRIES = 5
DAYS_DIGITS = 5
# What the form of a rectification asks for: name, kind of field, and the words.
CORRECTION = (
    ("desde", "date", N_("From")),
    ("hasta", "date", N_("Until")),
    ("diasDescontados", "number", N_("Discounted days")),
    ("diasReintegrados", "number", N_("Reinstated days")),
    ("empleador", "text", N_("Employer's code")),
    ("nombre", "text", N_("Name, as it should stand")),
    ("correo", "email", N_("E-mail address, as it should stand")),
)
APPEALED_FROM = frozenset(("PROCEDENTE", "EFECTIVA", "IMPROCEDENTE", "INEXISTENCIA", "FALTA_RESPUESTA"))

# As many as are filed within minutes on a busy day.
_FORMS_KEPT = 2000


class PersonPages:
    """The pages of a person at her institute."""

    def __init__(self, portal: Portal, asking: PersonQueries, now: Callable[[], datetime]) -> None:
        self._portal = portal
        self._asking = asking
        self._now = now
        self._member = portal.member
        # The folio that a form was filed under, by account and form: the same form sent twice files one request.
        self._filed: dict[tuple[str, str], str] = {}

    async def file_page(self, request: web.Request, visitor: Visitor) -> web.Response:
        """``/``: standing and history here."""
        pid = pid_of(visitor.user)
        affiliation, history = await asyncio.gather(self._asking.affiliation(pid), self._asking.history(pid))
        return self._portal.render(
            request,
            "person/file.html",
            visitor,
            affiliation=affiliation,
            history=history,
            why_affiliation=None if affiliation.is_done else explain(affiliation),
            why_history=None if history.is_done else explain(history),
        )

    async def whole_history(self, request: web.Request, visitor: Visitor) -> web.Response:
        """``/historia``: every institute's part, with the statement of who answered, refused or was silent."""
        response = await self._asking.whole_history(pid_of(visitor.user))
        years, rest = years_and_days(response.body["totales"]["diasUnion"]) if response.is_done else (0, 0)
        return self._portal.render(
            request,
            "person/history.html",
            visitor,
            whole=response.body,
            picture=draw_career(response.body["historias"]) if response.is_done else None,
            years=years,
            rest=rest,
            why=None if response.is_done else explain(response),
        )

    async def calculator(self, request: web.Request, visitor: Visitor) -> web.Response:
        """``/calculadora``: what her career comes to, worked on here until a day, and an amount shared among institutes."""
        today = self._portal.calendar.local_day(self._now())
        wrong, until, cents = read_wishes(request.query, today)
        response = None if wrong is not None else await self._asking.whole_history(pid_of(visitor.user))
        has_answer = response is not None and response.is_done
        rules = default_rules(self._portal.edition)
        return self._portal.render(
            request,
            "person/calculator.html",
            visitor,
            status=200 if wrong is None else 400,
            wrong=wrong,
            typed={n: request.query.get(n, "") for n in ("hasta", "monto")},
            why=None if response is None or has_answer else explain(response),
            found=estimate(response.body["historias"], self._member, today, until, cents, rules)
            if response is not None and has_answer
            else None,
            complete=response is not None and has_answer and response.body["constancia"]["completa"],
            rules=cited(rules),
        )

    async def certificate(self, request: web.Request, visitor: Visitor) -> web.StreamResponse:
        """``/historia/constancia.pdf``: her career as it is certified now, to take along. Raises `Problem` (501, 502)."""
        if not is_drawn():
            raise Problem(
                501,
                words=N_(
                    "This portal draws no certificates: its operator adds them with pip install 'sacbe[certificate]'."
                ),
            )
        pid = pid_of(visitor.user)
        response = await self._asking.whole_history(pid)
        if not response.is_done:
            raise Problem(502, words=explain(response))
        now = self._now().astimezone(self._portal.zone).replace(microsecond=0)
        made = build_certificate(response.body, pid, now)
        # On record before it is out: a certificate that nobody can check would be worth nothing.
        self._portal.accounts.note_certificate(made)
        address = f"{self._portal.public_url}/verificar?codigo={made.code}"
        signer = self._portal.signer
        content = await asyncio.to_thread(
            render_pdf,
            made,
            response.body,
            pid,
            self._portal.name,
            address,
            self._portal.edition.named,
            signer,
        )
        named = {"Content-Disposition": f'attachment; filename="constancia-{made.code}.pdf"'}
        return web.Response(body=content, content_type="application/pdf", headers=named)

    async def check_certificate(self, request: web.Request) -> web.StreamResponse:
        """``/verificar``: for everybody; with ``codigo``, the numbers that were noted when it was issued."""
        code = "".join(request.query.get("codigo", "").upper().split())[:40]
        found = self._portal.accounts.certificate(code) if code else None
        return self._portal.render(
            request,
            "public/verify.html",
            None,
            status=404 if code and found is None else 200,
            code=code,
            found=found,
        )

    # ARCO

    async def requests(self, request: web.Request, visitor: Visitor) -> web.Response:
        """``/derechos``: her requests, newest first."""
        return self._portal.render(
            request,
            "person/requests.html",
            visitor,
            filed=self._portal.accounts.folios(visitor.user.name),
        )

    async def new_request(
        self,
        request: web.Request,
        visitor: Visitor,
        wrong: Translatable | None = None,
        typed: Mapping[str, list[str]] | None = None,
    ) -> web.Response:
        """``/derechos/nueva``: the form, again with what was typed when something in it was wrong."""
        pid = pid_of(visitor.user)
        located, history = await asyncio.gather(self._asking.holders(pid), self._asking.history(pid))
        found = [str(m) for m in located.body.get("institutos", [])] if located.is_done else []
        return self._portal.render(
            request,
            "person/new.html",
            visitor,
            status=200 if wrong is None else 400,
            members=[self._member, *(m for m in found if m != self._member)],
            why_located=None if located.is_done else explain(located),
            periods_here=history.body.get("periodos", []) if history.is_done else [],
            correction=CORRECTION,
            wrong=wrong,
            typed=typed or {},
            form_id=secrets.token_urlsafe(16),
        )

    async def file_request(
        self, request: web.Request, visitor: Visitor, form: Mapping[str, list[str]]
    ) -> web.Response:
        """Take the form: one folio, filed at every institute that was chosen."""
        filing, members, wrong = self._read_form(form)
        if wrong is not None:
            return await self.new_request(request, visitor, wrong, form)
        form_id = visitor.user.name, _first(form, "formulario")
        if form_id in self._filed:
            return redirect(f"/derechos/{self._filed[form_id]}")
        now = self._now().astimezone(self._portal.zone).replace(microsecond=0)
        filing |= {"recibidaEl": now.isoformat(timespec="seconds")}
        filing["responsables"] = members
        mandate = self._portal.accounts.mandate(visitor.user.name)
        if visitor.role == REPRESENTATIVE and mandate is not None:
            filing["acreditacionSha256"] = mandate.sha256
        folio = self._take_folio(visitor, members, now, str(filing["derecho"]))
        self._note_filed(form_id, folio)
        pid, failed = pid_of(visitor.user), []
        for member in members:
            response = await self._asking.file(pid, member, folio, filing)
            if not response.is_done:
                failed.append((member, response))
        if not failed:
            return redirect(f"/derechos/{folio}")
        reasons = [
            N_("{name} ({why})", name=self._portal.edition.named(m), why=explain(h)) for m, h in failed
        ]
        message = N_("Not filed at: {institutes}", institutes=tuple(reasons))
        if len(failed) == len(members) and all(h.status for _, h in failed):
            # Every institute has answered that it does not take it: there is nothing to follow.
            self._portal.accounts.drop_folio(visitor.user.name, folio)
            self._filed.pop(form_id, None)
            return await self.new_request(request, visitor, message, form)
        return await self._show(request, visitor, self._found(visitor, folio), message, status=502)

    def _note_filed(self, form_id: tuple[str, str], folio: str) -> None:
        """Remember the form's folio, before anything is sent; of the oldest forms none."""
        if form_id[1]:
            self._filed[form_id] = folio
        while len(self._filed) > _FORMS_KEPT:
            del self._filed[next(iter(self._filed))]

    async def one_request(self, request: web.Request, visitor: Visitor) -> web.Response:
        """``/derechos/FOLIO``: how it stands at each institute."""
        return await self._show(request, visitor, self._own(request, visitor))

    async def _show(
        self,
        request: web.Request,
        visitor: Visitor,
        filed: Filed,
        wrong: Translatable | None = None,
        *,
        status: int = 200,
        typed: str = "",
    ) -> web.Response:
        response = await asyncio.gather(*(self._follow(m, filed) for m in filed.members))
        children = [
            {
                "member": member,
                "body": answer.body if answer.is_done else {},
                "why": None if answer.is_done else explain(answer),
                "may_clarify": answer.is_done and answer.body.get("estado") == "PREVENIDA",
                "may_appeal": answer.is_done and self._may_appeal(answer.body),
            }
            for member, answer in zip(filed.members, response, strict=True)
        ]
        return self._portal.render(
            request,
            "person/request.html",
            visitor,
            status=status,
            filed=filed,
            children=children,
            wrong=wrong,
            typed=typed,
        )

    async def _follow(self, member: str, filed: Filed) -> GatewayAnswer:
        """A request at one member; what stands there under the folio is shown only if it is the one filed here."""
        response = await self._asking.follow(member, filed.folio)
        if response.is_done and (response.body.get("recibidaEl"), response.body.get("derecho")) != (
            filed.filed_at.isoformat(timespec="seconds"),
            filed.what,
        ):
            return GatewayAnswer(404, DomainError("SS-300", field="folio").to_json())
        return response

    async def clarify(
        self, request: web.Request, visitor: Visitor, form: Mapping[str, list[str]]
    ) -> web.Response:
        """Answer an institute that asked to clarify."""
        filed, member = self._own(request, visitor), _first(form, "instituto")
        text = _first(form, "texto").strip()
        if not 1 <= len(text) <= TEXT_LIMIT:
            message = N_("Write your clarification, at most {limit} characters.", limit=TEXT_LIMIT)
            return await self._show(request, visitor, filed, message, status=400)
        return await self._advance(
            request, visitor, filed, member, {"estado": "EN_TRAMITE", "descripcion": text}
        )

    async def appeal(
        self, request: web.Request, visitor: Visitor, form: Mapping[str, list[str]]
    ) -> web.Response:
        """Appeal to the guarantor, with her grounds; against a refusal, against that very text."""
        filed, member = self._own(request, visitor), _first(form, "instituto")
        grounds = _first(form, "agravios").strip()
        if not 1 <= len(grounds) <= TEXT_LIMIT or "confirmo" not in form:
            message = N_(
                "Write why you disagree (at most {limit} characters), and confirm that you appeal.",
                limit=TEXT_LIMIT,
            )
            return await self._show(request, visitor, filed, message, status=400, typed=grounds)
        event: dict[str, Any] = {"estado": "RECURRIDA", "descripcion": grounds}
        if member in filed.members:
            refusal = (await self._follow(member, filed)).body.get("negativa")
            if isinstance(refusal, dict):
                event["huellaNegativa"] = eventchain.history_digest(refusal)
        return await self._advance(request, visitor, filed, member, event)

    async def _advance(
        self, request: web.Request, visitor: Visitor, filed: Filed, member: str, event: dict[str, Any]
    ) -> web.Response:
        if member not in filed.members:
            raise _not_found()
        # Whose it is was settled above; that the member means the same request is settled here.
        followed = await self._follow(member, filed)
        response = await self._asking.advance(member, filed.folio, event) if followed.is_done else followed
        if not response.is_done:
            return await self._show(request, visitor, filed, explain(response), status=409)
        return redirect(f"/derechos/{filed.folio}")

    def _own(self, request: web.Request, visitor: Visitor) -> Filed:
        return self._found(visitor, request.match_info["folio"])

    def _found(self, visitor: Visitor, folio: str) -> Filed:
        filed = self._portal.accounts.folio(visitor.user.name, folio)
        if filed is None:
            raise _not_found()
        return filed

    def _may_appeal(self, body: Mapping[str, Any]) -> bool:
        last = body.get("limiteRecurso")
        today = self._portal.calendar.local_day(self._now())
        return body.get("estado") in APPEALED_FROM and (last is None or today <= date.fromisoformat(last))

    def _take_folio(self, visitor: Visitor, members: list[str], now: datetime, what: str) -> str:
        for _ in range(FOLIO_TRIES):
            folio = self._asking.new_folio(self._portal.calendar.local_day(now))
            if self._portal.accounts.note_folio(visitor.user.name, Filed(folio, tuple(members), now, what)):
                return folio
        raise Problem(
            503,
            words=N_("No folio could be taken. Nothing was filed; try again."),
        )

    def _read_form(
        self, form: Mapping[str, list[str]]
    ) -> tuple[dict[str, Any], list[str], Translatable | None]:
        right, text = _first(form, "derecho"), _first(form, "descripcion").strip()
        known = {m for m in self._portal.edition.institutes() if "/00-" not in m}
        members = [m for m in dict.fromkeys(form.get("instituto", [])) if m in known]
        data = [d for d in form.get("datos", []) if d in words.DATA]
        purposes = [p for p in form.get("propositos", []) if p in words.OPPOSABLE]
        wrong: Translatable | None = None
        if right not in words.RIGHTS:
            wrong = N_("Choose which right you exercise.")
        elif not members:
            wrong = N_("Choose at least one institute.")
        elif right != "ACCESO" and not text:
            wrong = N_("Describe what you ask for; only access may go without a description.")
        elif len(text) > TEXT_LIMIT:
            wrong = N_("The description is longer than {limit} characters.", limit=TEXT_LIMIT)
        elif right == "CANCELACION" and not data:
            wrong = N_("Mark which data it is about.")
        elif right == "OPOSICION" and not (data or purposes):
            wrong = N_("Mark the uses or the data that you oppose.")
        request: dict[str, Any] = {"derecho": right}
        if text:
            request["descripcion"] = text
        if data:
            request["datos"] = data
        if purposes and right == "OPOSICION":
            request["propositos"] = purposes
        if right == "OPOSICION" and "retirar" in form:
            request["retirar"] = True
        if right == "RECTIFICACION" and wrong is None:
            try:
                request |= read_correction(form, text)
            except ValueError:
                wrong = N_("Look at what is to be corrected: dates as YYYY-MM-DD, days as numbers.")
            if "periodo" in request and len(members) > 1:
                wrong = N_("A period is corrected at the institute that certifies it: choose one only.")
        return request, members, wrong


def read_correction(form: Mapping[str, list[str]], statement: str) -> dict[str, Any]:
    """The correction that a form says, as a request carries it. Raises ValueError for a malformed date or number.

    Without a document, the evidence is the person's own statement: its digest.
    """
    given = {name: _first(form, f"c-{name}").strip() for name, *_ in CORRECTION}
    given = {name: value for name, value in given.items() if value}
    found: dict[str, Any] = {n: given[n] for n in ("nombre", "correo") if n in given}
    period: dict[str, Any] = {}
    for name in ("desde", "hasta"):
        if name in given:
            period[name] = date.fromisoformat(given[name]).isoformat()
    for name in ("diasDescontados", "diasReintegrados"):
        if name in given:
            if not (given[name].isascii() and given[name].isdigit() and len(given[name]) <= DAYS_DIGITS):
                raise ValueError(f"{name} is a number of days")
            period[name] = int(given[name])
    if "empleador" in given:
        period["empleador"] = {"clave": given["empleador"]}
    chosen = _first(form, "periodo")
    if chosen and period:
        if chosen != "+":
            period["idPeriodo"] = chosen
        period["evidenciaSha256"] = hashlib.sha256(statement.encode()).hexdigest()
        found["periodo"] = period
    return found


def _first(form: Mapping[str, list[str]], name: str) -> str:
    return form.get(name, [""])[0]


def _not_found() -> Problem:
    return Problem(404, words=N_("There is no such folio among your requests."))
