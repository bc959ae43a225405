"""The registry officer's pages: records under review, merges that stand, levels of identity raised by evidence.

An officer signs on her own machine what the page shows, word for word, and pastes the signature: her private key never comes
here. No CURP and no name is on these pages; a record is known by the institutes that hold it and their PIDs.

Spec: the domain reference 5.2, 5.7; F04, F38, S13.
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Any, Final

from serving.language import N_
from serving.web.pages import redirect
from social_security.domain.faults import DomainError
from social_security.domain.pseudonyms import parse_pid
from social_security.portal.accounts import OFFICER
from social_security.portal.core import FRESH, ShownForm
from social_security.portal.queries import MANY, REGISTRY, ask, explain
from social_security.portal.staffqueries import local_id
from social_security.wire.gatewayclient import GatewayAnswer, GatewayClient, Why

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from aiohttp import web

    from social_security.portal.core import Portal, Visitor

SYSTEM: Final = "Mesa del registro 1.0"
_SIGNATURE: Final = re.compile(r"[0-9a-f]{2,1024}", re.ASCII)
_DIGEST: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_LEVELS: Final = ("LOA1", "LOA2", "LOA3")


class OfficerPages:
    """The pages of the registry's officers."""

    def __init__(self, portal: Portal, gateway: GatewayClient, now: Callable[[], datetime]) -> None:
        self._portal = portal
        self._gateway = gateway
        self._now = now

    async def reviews(self, request: web.Request, visitor: Visitor) -> web.Response:
        """``/``: what waits for a decision, and the merges that may be undone."""
        return await self._reviews(request, visitor)

    async def resolve(
        self, request: web.Request, visitor: Visitor, form: Mapping[str, list[str]]
    ) -> web.Response:
        """``POST /``: one signed decision."""
        try:
            body = read_decision(form)
        except ValueError:
            wrong = N_("Choose a decision, confirm it, and paste its signature in hexadecimal digits.")
            return await self._reviews(request, visitor, ShownForm(wrong, {}, 400))
        response = await self._ask("resolverRevision", body, visitor, "Decisión de la oficial")
        if response.is_done:
            return redirect("/?hecho=1")
        return await self._reviews(request, visitor, ShownForm(explain(response), {}, 409))

    async def levels(self, request: web.Request, visitor: Visitor) -> web.Response:
        """``/niveles``: the form that raises a level."""
        return self._levels(request, visitor)

    async def raise_level(
        self, request: web.Request, visitor: Visitor, form: Mapping[str, list[str]]
    ) -> web.Response:
        """``POST /niveles``: a level rises by evidence that an institute has seen."""
        try:
            body = read_level(form)
        except ValueError:
            wrong = N_("Look at the form: institute, its PID, level, and the document with its SHA-256.")
            return self._levels(request, visitor, ShownForm(wrong, form, 400))
        response = await self._ask("elevarNivel", body, visitor, "Evidencia de identidad")
        if response.is_done:
            return redirect("/niveles?hecho=1")
        return self._levels(request, visitor, ShownForm(explain(response), form, 409))

    async def _reviews(
        self, request: web.Request, visitor: Visitor, shown: ShownForm = FRESH
    ) -> web.Response:
        response = await self._ask("listarRevisiones", {}, visitor, "Registros en revisión")
        return self._portal.render_form(
            request,
            "officer/reviews.html",
            visitor,
            shown,
            b=response.body if response.is_done else {"total": 0, "revisiones": [], "uniones": []},
            officer=local_id(visitor.user.name),
            why=None if response.is_done else explain(response),
        )

    def _levels(
        self,
        request: web.Request,
        visitor: Visitor,
        shown: ShownForm = FRESH,
    ) -> web.Response:
        return self._portal.render_form(
            request,
            "officer/levels.html",
            visitor,
            shown,
            members=self._portal.edition.institutes(),
            levels=_LEVELS,
        )

    async def _ask(
        self, operation: str, body: dict[str, Any], visitor: Visitor, reason: str
    ) -> GatewayAnswer:
        year = self._now().astimezone(self._portal.zone).year
        case = f"CONS-00-{year}-{secrets.randbelow(MANY):08d}"
        why = Why("PUR-IDENT", case, OFFICER, reason, local_id(visitor.user.name), SYSTEM)
        return await ask(self._gateway, "IDENT", REGISTRY, operation, body, why)


def read_decision(form: Mapping[str, list[str]]) -> dict[str, Any]:
    """A decision as a form gives it: FUSION-1, FUSION-2, DISTINTAS or SEPARACION, with its signature. Raises ValueError."""
    act, _, stays = _first(form, "acto").partition("-")
    signature = "".join(_first(form, "firma").split()).lower()
    if "confirmo" not in form or not _SIGNATURE.fullmatch(signature):
        raise ValueError("a decision is confirmed and signed")
    if act == "SEPARACION":
        number = _first(form, "union")
        if not (number.isascii() and number.isdigit() and len(number) <= len(str(MANY))):
            raise ValueError("a merge has its number")
        return {"acto": act, "union": int(number), "firma": signature}
    if act not in ("FUSION", "DISTINTAS"):
        raise ValueError("one of three decisions")
    body: dict[str, Any] = {"acto": act, "revision": _first(form, "revision"), "firma": signature}
    return body | ({"permanece": 2 if stays == "2" else 1} if act == "FUSION" else {})


def read_level(form: Mapping[str, list[str]]) -> dict[str, Any]:
    """A raised level as a form gives it. Raises ValueError."""
    given = {n: _first(form, n).strip() for n in ("miembro", "pid", "nivel", "tipo", "emisor", "sha256")}
    if given["nivel"] not in _LEVELS or not given["miembro"] or not given["tipo"] or not given["emisor"]:
        raise ValueError("institute, level, document and issuer are needed")
    if "confirmo" not in form or not _DIGEST.fullmatch(given["sha256"].lower()):
        raise ValueError("the document has its digest, and the act is confirmed")
    try:
        pid = parse_pid(given["pid"])
    except DomainError as err:
        raise ValueError("no PID") from err
    seen = {"tipo": given["tipo"], "emisor": given["emisor"], "sha256": given["sha256"].lower()}
    return {"miembro": given["miembro"], "pid": pid, "nivel": given["nivel"], "evidencia": seen}


def _first(form: Mapping[str, list[str]], name: str) -> str:
    return form.get(name, [""])[0]
