"""Who looked at my data: the citizen's list at her institute and at the national registry, each line proved by the signed log.

The list is the member's own; whoever keeps it could leave a line out, but cannot put one in, or change one: of each line the
page verifies that a gateway's signed, cosigned message log has the very message, and says in words where it has not. The proof of
a line can be taken along and verified without anybody here (``gateway audit proof``).

Spec: the domain reference 5.2 (RegistroAcceso); S09.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from aiohttp import web

from schemas.jsontext import dump_json
from serving.api.problems import Problem
from serving.language import N_
from social_security.portal.accessproofs import LineProof, LineState
from social_security.portal.accounts import pid_of
from social_security.portal.logfilter import AccessFilter
from social_security.portal.queries import REGISTRY, explain
from social_security.wire.recordproofs import open_proofs

if TYPE_CHECKING:
    from collections.abc import Callable

    from social_security.domain.pseudonyms import Pid
    from social_security.portal.accessproofs import AccessProofs
    from social_security.portal.core import Portal, Visitor
    from social_security.portal.queries import PersonQueries
    from social_security.wire.gatewayclient import GatewayAnswer

PAGE_ROWS = 25
# The newest rows that a filter looks through: as many as a member tells at once.
FILTERED_ROWS = 1000
_LONGEST_ID = 200
_AT_REGISTRY = "registro"


class AccessPages:
    """The lists of a person at her institute and at the registry, and the proofs of their lines."""

    def __init__(
        self, portal: Portal, asking: PersonQueries, proofs: AccessProofs, now: Callable[[], datetime]
    ) -> None:
        self._portal = portal
        self._asking = asking
        self._proofs = proofs
        self._now = now

    async def at_institute(self, request: web.Request, visitor: Visitor) -> web.Response:
        """``/accesos``: who looked at her data at this institute."""
        return await self._list(request, visitor, self._portal.member)

    async def at_registry(self, request: web.Request, visitor: Visitor) -> web.Response:
        """``/accesos/registro``: who looked her up at the national registry, from any institute."""
        return await self._list(request, visitor, REGISTRY)

    async def _list(self, request: web.Request, visitor: Visitor, keeper: str) -> web.Response:
        """One page of a list.

        Each page is itself an access that the next would show first. So the first page says how far the log reached, by
        the member's own clock, and the others ask for the log up to there: no row is lost or shown twice.
        """
        pid = pid_of(visitor.user)
        until = _until(request.query.get("hasta"))
        page = _page_number(request.query.get("pagina")) if until is not None else 1
        chosen = AccessFilter.read(request.query)
        response, rows, count = await self._page(pid, keeper, until, page, chosen)
        searched = min(int(response.body.get("totalUsages", 0)) if response.is_done else 0, FILTERED_ROWS)
        if until is None:
            until = datetime.fromisoformat(rows[0]["logtime"]) if rows else self._now()
        proofs = await self._judged(pid, keeper, rows, response, chosen)
        return self._portal.render(
            request,
            "person/accesses.html",
            visitor,
            rows=list(zip(rows, proofs, strict=True)),
            states=LineState,
            proved=sum(p.state is LineState.PROVED for p in proofs),
            failed=sum(p.state is LineState.FAILED for p in proofs),
            list_path="/accesos/registro" if keeper == REGISTRY else "/accesos",
            is_registry=keeper == REGISTRY,
            count=count,
            page=page,
            pages=max(1, -(-count // PAGE_ROWS)),
            until=until,
            chosen=chosen,
            searched=searched,
            why=None if response.is_done else explain(response),
        )

    async def _page(
        self, pid: Pid, keeper: str, until: datetime | None, page: int, chosen: AccessFilter
    ) -> tuple[GatewayAnswer, list[dict[str, Any]], int]:
        """The answer, the rows of a page, and how many rows there are in all."""
        first, last = (page - 1) * PAGE_ROWS, page * PAGE_ROWS
        if chosen.is_empty:
            response = await self._asking.accesses(keeper, pid, until, first, PAGE_ROWS, ())
            rows = response.body.get("usages", []) if response.is_done else []
            return response, rows, int(response.body.get("totalUsages", 0)) if response.is_done else 0
        response = await self._asking.accesses(keeper, pid, until, 0, FILTERED_ROWS)
        rows = response.body.get("usages", []) if response.is_done else []
        found = [r for r in rows if chosen.takes(r, self._portal.member)]
        return response, found[first:last], len(found)

    async def _judged(
        self, pid: Pid, keeper: str, rows: list[dict[str, Any]], response: GatewayAnswer, chosen: AccessFilter
    ) -> list[LineProof]:
        if not rows:
            return []
        if not chosen.is_empty:
            response = await self._asking.accesses(
                keeper, pid, None, 0, 1, [row["messageId"] for row in rows if row["messageId"]]
            )
        packed = response.body.get("proofs") if response.is_done else None
        return await self._proofs.judge(rows, packed, keeper)

    async def proof(self, request: web.Request, visitor: Visitor) -> web.Response:
        """``/accesos/prueba?mensaje=ID``: the proofs of a line of hers, to take along; ``en=registro`` of one at the registry.

        Raises `Problem` when there is none, or the member does not answer.
        """
        message_id = request.query.get("mensaje", "")
        keeper = REGISTRY if request.query.get("en") == _AT_REGISTRY else self._portal.member
        found: list[Any] = []
        if 0 < len(message_id) <= _LONGEST_ID:
            response = await self._asking.accesses(keeper, pid_of(visitor.user), None, 0, 1, [message_id])
            if not response.is_done:
                raise Problem(502, words=explain(response))
            try:
                found = open_proofs(response.body.get("proofs"))["proofs"].get(message_id, [])
            except ValueError:
                found = []
        if not found:
            raise Problem(404, words=N_("There is no proof of such a line among yours."))
        named = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "_" for c in message_id)
        return web.Response(
            body=dump_json(found, ensure_ascii=False, indent=1).encode(),
            content_type="application/json",
            headers={"Content-Disposition": f'attachment; filename="{named[:80]}.record-proof.json"'},
        )


def _page_number(text: str | None) -> int:
    return (
        int(text) if text is not None and text.isascii() and text.isdigit() and 0 < int(text) < 10**6 else 1
    )


def _until(text: str | None) -> datetime | None:
    try:
        found = None if text is None else datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if found is None or found.tzinfo is None else found
