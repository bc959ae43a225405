"""A person's own portability cases: where each stands, its totals and shares, and what she may say to it.

She agrees or disagrees with the draft, gives the case up, or appeals; nobody else takes these steps, and her institute's
system takes them of her own account only.

Spec: the domain reference 5.5 (Portability); F08.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from serving.api.problems import Problem
from serving.language import N_, Text
from serving.web.pages import redirect
from social_security.portal.accounts import pid_of
from social_security.portal.queries import explain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

    from serving.language import Translatable
    from social_security.portal.core import Portal, Visitor
    from social_security.portal.queries import PersonQueries

# What she may do, in her words.
STEPS: Final[Mapping[str, Text]] = {
    "CONFORMAR": N_("I agree with the draft: it goes on to be decided"),
    "INCONFORMAR": N_("I do not agree: the histories are clarified"),
    "RECURRIR": N_("I appeal"),
    "DESISTIR": N_("I give this case up: it ends"),
}


class PersonCasePages:
    """The pages of a person's own cases."""

    def __init__(self, portal: Portal, asking: PersonQueries) -> None:
        self._portal = portal
        self._asking = asking

    async def cases(self, request: web.Request, visitor: Visitor) -> web.Response:
        """``/tramites``: her cases at this institute, ended ones too."""
        return await self._show(request, visitor)

    async def advance(
        self, request: web.Request, visitor: Visitor, form: Mapping[str, list[str]]
    ) -> web.Response:
        """``POST /tramites/{caso}``: one step of hers."""
        step = form.get("paso", [""])[0]
        if step not in STEPS or "confirmo" not in form:
            wrong = N_("Choose a step and confirm it.")
            return await self._show(request, visitor, wrong, status=400)
        response = await self._asking.advance_case(pid_of(visitor.user), request.match_info["caso"], step)
        if response.is_done:
            return redirect("/tramites?hecho=1")
        return await self._show(request, visitor, explain(response), status=409)

    async def _show(
        self, request: web.Request, visitor: Visitor, wrong: Translatable | None = None, *, status: int = 200
    ) -> web.Response:
        response = await self._asking.cases(pid_of(visitor.user))
        if not response.is_done:
            raise Problem(502, words=explain(response))
        return self._portal.render(
            request,
            "person/cases.html",
            visitor,
            status=status,
            rows=[_with_totals(case) for case in response.body["casos"]],
            steps=STEPS,
            mine=self._portal.member,
            wrong=wrong,
            done="hecho" in request.query and wrong is None,
        )


def _with_totals(case: Mapping[str, Any]) -> dict[str, Any]:
    """A case with its last totals and refusal beside its path, where it has them."""
    path = case.get("camino", ())
    found = {
        name: next((e[name] for e in reversed(path) if name in e), None)
        for name in ("totalizacion", "negativa")
    }
    return {**case, **{n: v for n, v in found.items() if v is not None}}
