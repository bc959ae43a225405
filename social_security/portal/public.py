"""ONIESS's page for everybody: policy in force, members on their way in, conventions, indicators, refusals. No login.

Every part is a public reading, asked through ONIESS's gateway as the page is opened; no person's data is in any of them, and
small cells come suppressed. A part that does not answer says so.

Spec: F03, F18, F25.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

from aiohttp import web

from serving.api.problems import Problem
from social_security.domain.faults import DomainError
from social_security.domain.opendata import render_csv
from social_security.portal.country import HEIGHT, WIDTH, draw_country, render_rows
from social_security.portal.policytext import describe_policy
from social_security.portal.queries import ONIESS, explain
from social_security.wire.gatewayclient import GatewayAnswer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from social_security.portal.core import Portal
    from social_security.wire.gatewayclient import GatewayClient

_MONTH = re.compile(r"20\d\d-(0[1-9]|1[0-2])")
GATES = 9


class PublicPages:
    """The pages that need no account."""

    def __init__(self, portal: Portal, gateway: GatewayClient, now: Callable[[], datetime]) -> None:
        self._portal = portal
        self._gateway = gateway
        self._now = now

    async def platform(self, request: web.Request) -> web.StreamResponse:
        """``/``: the platform as it stands; ``?periodo=2026-04`` chooses the month of the indicators."""
        today = self._now().astimezone(self._portal.zone).date()
        chosen = request.query.get("periodo", "")
        period = chosen if _MONTH.fullmatch(chosen) else f"{today:%Y-%m}"
        console, policy, indicators, refusals = await asyncio.gather(
            self._read("consola"),
            self._read("politica"),
            self._read(f"indicadores?periodo={period}"),
            self._read(f"negativas?periodo={period}"),
        )
        return self._portal.render(
            request,
            "public/platform.html",
            None,
            period=period,
            console=_part(console),
            policy=_part(policy) | {"text": describe_policy(policy.body) if policy.is_done else None},
            indicators=_part(indicators),
            refusals=_part(refusals),
            gates=GATES,
            tiles=draw_country(console.body) if console.is_done else [],
            tiles_width=WIDTH,
            tiles_height=HEIGHT,
        )

    async def states_csv(self, _request: web.Request) -> web.StreamResponse:
        """``/estados.csv``: the picture of the states as a table. Raises `Problem` (502)."""
        console = await self._read("consola")
        if not console.is_done:
            raise Problem(502, words=explain(console))
        return _csv(render_rows(draw_country(console.body)))

    async def table_csv(self, request: web.Request) -> web.StreamResponse:
        """``/indicadores.csv?periodo=``, ``/negativas.csv``: the rows of a table of the page, with their own columns. Raises `Problem` (502)."""
        name = request.path.removeprefix("/").removesuffix(".csv")
        chosen = request.query.get("periodo", "")
        period = chosen if _MONTH.fullmatch(chosen) else f"{self._now().astimezone(self._portal.zone):%Y-%m}"
        response = await self._read(f"{name}?periodo={period}" if name == "indicadores" else name)
        if not response.is_done:
            raise Problem(502, words=explain(response))
        rows = response.body.get("filas", response.body.get(name, []))
        columns = list(dict.fromkeys(k for row in rows for k in row))
        return _csv([columns, *([row.get(c) for c in columns] for row in rows)])

    async def _read(self, name: str) -> GatewayAnswer:
        try:
            return await self._gateway.read("ALTA", ONIESS, f"GOBIERNO/oss-v1/{name}")
        except DomainError as error:
            return GatewayAnswer(0, dict(error.to_json()))


def _csv(rows: Iterable[Sequence[object]]) -> web.Response:
    return web.Response(text=render_csv(rows), content_type="text/csv", charset="utf-8")


def _part(response: GatewayAnswer) -> dict[str, Any]:
    return {"body": response.body, "why": None if response.is_done else explain(response)}
