"""The guarantor's pages: ARCO terms missed, refusals, accesses counted; evidence verified; policies in force.

Nothing here is about a person: counts, and folios whose term has passed. A single access needs an inspection with a case
(`inspeccion`), which is a message of its own and no page. A number is asked of each institute when the page is opened.

Spec: F17, F19, F26; the domain reference 5.7 (SUPERV).
"""

from __future__ import annotations

import asyncio
import hashlib
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from serving.api.evidence import verify_upload
from serving.api.problems import Problem
from serving.errors import OperatorError
from serving.language import N_
from social_security.portal.configuration import fetch_configuration
from social_security.portal.policytext import describe_policy
from social_security.portal.queries import explain
from social_security.portal.staffqueries import local_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from aiohttp import web

    from serving.language import Translatable
    from social_security.domain.edition import Edition
    from social_security.portal.core import Portal, Visitor
    from social_security.portal.queries import Supervising
    from social_security.portal.settings import PortalSettings

DEFAULT_DAYS = 365
STEPS = {
    1: N_("container whole"),
    2: N_("who must sign, by the message"),
    3: N_("the signature covers the message"),
    4: N_("timestamp"),
    5: N_("signature and signer"),
    6: N_("certificate path and OCSP"),
    7: N_("bodies"),
}
OUTCOMES = {
    "valid": N_("ok"),
    "invalid": N_("failed"),
    "warning": N_("note"),
}
_NO_FILE: dict[str, Any] = {"sha256": "", "steps": STEPS, "outcomes": OUTCOMES}


class GuarantorPages:
    """The pages of a guarantor."""

    def __init__(
        self,
        portal: Portal,
        supervising: Supervising,
        settings: PortalSettings,
        folder: Path,
        now: Callable[[], datetime],
    ) -> None:
        self._portal = portal
        self._supervising = supervising
        self._gateway = settings.gateway
        self._configuration = folder / "verificationconf"
        self._now = now
        self._members = supervised(portal.edition, settings)

    async def terms(self, request: web.Request, visitor: Visitor) -> web.Response:
        """``/``: terms missed, refusals by cause, accesses by purpose, of each institute in a range of days."""
        today = self._now().astimezone(self._portal.zone).date()
        first, last, wrong = _range(request, today)
        response = await asyncio.gather(
            *(
                self._supervising.statistics(m, local_id(visitor.user.name), first, last)
                for m in self._members
            )
        )
        institutes = [
            {"member": m, "body": h.body, "why": None if h.is_done else explain(h)}
            for m, h in zip(self._members, response, strict=True)
        ]
        return self._portal.render(
            request,
            "guarantor/terms.html",
            visitor,
            institutes=institutes,
            first=first,
            last=last,
            wrong=wrong,
        )

    async def policies(self, request: web.Request, visitor: Visitor) -> web.Response:
        """``/politicas``: which version each institute works by, and the document that ONIESS publishes."""
        answers = await asyncio.gather(*(self._supervising.status(m) for m in self._members))
        published = await self._supervising.policy()
        return self._portal.render(
            request,
            "guarantor/policies.html",
            visitor,
            institutes=[
                {"member": m, "version": h.body.get("policy"), "why": None if h.is_done else explain(h)}
                for m, h in zip(self._members, answers, strict=True)
            ],
            published=describe_policy(published.body) if published.is_done else None,
            why=None if published.is_done else explain(published),
        )

    async def evidence(self, request: web.Request, visitor: Visitor) -> web.Response:
        """``GET /evidencia``: the form that takes a signed container to verify."""
        return self._portal.render(request, "guarantor/evidence.html", visitor, verdict=None, **_NO_FILE)

    async def verify(self, request: web.Request, visitor: Visitor, content: bytes) -> web.Response:
        """``POST /evidencia``: the verdict on a container, in the numbered steps of the auditor's command. Raises `Problem` (400, 503)."""
        if not content:
            raise Problem(400, words=N_("Choose an .asice file."))
        await fetch_configuration(self._gateway, self._configuration)
        try:
            verdict = await asyncio.to_thread(verify_upload, content, self._configuration)
        except OperatorError as err:
            raise Problem(
                503,
                words=N_("There is no configuration to verify by: {err}", err=err),
            ) from err
        return self._portal.render(
            request,
            "guarantor/evidence.html",
            visitor,
            verdict=verdict,
            **{**_NO_FILE, "sha256": hashlib.sha256(content).hexdigest()},
        )


def supervised(edition: Edition, settings: PortalSettings) -> list[str]:
    """Whom a guarantor supervises: the members named, else the institutes of its own entity."""
    known = edition.members
    codes = settings.supervised or [
        c
        for c, m in known.items()
        if m.member_class == "GOB" and not c.startswith("00-") and c[:2] == settings.member[:2]
    ]
    return [known[c].path for c in codes]


def _range(request: web.Request, today: date) -> tuple[date, date, Translatable | None]:
    first, last = today - timedelta(days=DEFAULT_DAYS), today
    try:
        if request.query.get("desde"):
            first = date.fromisoformat(request.query["desde"])
        if request.query.get("hasta"):
            last = date.fromisoformat(request.query["hasta"])
    except ValueError:
        wrong = N_("A date is written YYYY-MM-DD; the last year is shown.")
        return today - timedelta(days=DEFAULT_DAYS), today, wrong
    if first > last:
        return last, first, None
    return first, last, None
