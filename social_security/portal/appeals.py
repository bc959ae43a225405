"""The guarantor's appeals: listed by their term, read, resolved; and the inspection of accesses under a case of its own.

Spec: the domain reference 5.5 (ARCO), 5.7 (inspeccion); F17, F19, S07, S09.
"""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Final

from serving.language import N_
from social_security.portal.answering import AnsweringPages
from social_security.portal.queries import explain
from social_security.portal.staffqueries import local_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import web

    from serving.language import Translatable
    from social_security.portal.core import Portal, Visitor
    from social_security.portal.staffqueries import StaffQueries

_CASE: Final = re.compile(r"CONS-\d{2}-20\d{2}-\d{8}", re.ASCII)
SHOWN: Final = 200


class AppealPages(AnsweringPages):
    """The pages of a guarantor that resolves appeals at the institutes it supervises."""

    def __init__(self, portal: Portal, asking: StaffQueries, members: Sequence[str]) -> None:
        super().__init__(portal, asking, members, "/recursos")

    async def inspection(self, request: web.Request, visitor: Visitor) -> web.Response:
        """``/inspeccion``: the form; with a case, an institute and a range, the metadata of its accesses."""
        inquiry = {n: request.query.get(n, "").strip() for n in ("caso", "instituto", "desde", "hasta")}
        has_query = any(inquiry.values())
        wrong, found = self._check(inquiry) if has_query else None, None
        if has_query and wrong is None:
            response = await self._asking.inspect(
                self._member_of(inquiry["instituto"]),
                local_id(visitor.user.name),
                inquiry["caso"],
                inquiry["desde"],
                inquiry["hasta"],
            )
            wrong, found = (None, response.body) if response.is_done else (explain(response), None)
        return self._portal.render(
            request,
            "guarantor/inspection.html",
            visitor,
            status=200 if wrong is None else 400,
            inquiry=inquiry,
            members=self._members,
            wrong=wrong,
            found=found,
            shown=SHOWN,
        )

    def _check(self, inquiry: dict[str, str]) -> Translatable | None:
        if _CASE.fullmatch(inquiry["caso"]) is None:
            return N_("An inspection has its case, as CONS-15-2026-00000001; the institute notes it.")
        if not self._member_of(inquiry["instituto"]):
            return N_("Choose one of the institutes that this authority supervises.")
        try:
            first, last = date.fromisoformat(inquiry["desde"]), date.fromisoformat(inquiry["hasta"])
        except ValueError:
            return N_("A date is written YYYY-MM-DD.")
        return None if first <= last else N_("The range ends before it begins.")

    def _member_of(self, code: str) -> str:
        return next((m for m in self._members if m.rpartition("/")[2] == code), "")
