"""What the registry publishes without login: counts for indicators, and violations at its services. Never of a person.

Spec: the domain reference 5.8 (IND-12, IND-15), F28.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from social_security.domain.indicators import Count
from social_security.institute.publication import open_data, period_of
from social_security.registry.lookups import lookups_without_outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from serving.storage.transactions import Transaction
    from social_security.registry.store import RegistryStore
    from social_security.wire.gatewayrefusals import GatewayRefusal, GatewayRefusals


async def read_indicators(
    member: str, store: RegistryStore, refusals: GatewayRefusals, query: Mapping[str, str]
) -> web.Response:
    """``/indicadores``: look-ups without a case's outcome, and blocked requests, of a month."""
    period = period_of(query)
    await refusals.take(_keep_only)
    without, lookups = lookups_without_outcome(store.database, period)
    counts = {"IND-12": Count(refusals.counted(period)), "IND-15": Count(without, lookups)}
    shown = {name: count.to_json() for name, count in counts.items()}
    return web.json_response({"periodo": period, "miembro": member, "conteos": shown})


async def read_violations(refusals: GatewayRefusals, query: Mapping[str, str]) -> web.Response:
    """``/violaciones``: blocked requests by member and rule."""
    await refusals.take(_keep_only)
    return open_data(query, {"violaciones": refusals.violations()}, "violaciones")


def _keep_only(connection: Transaction, refusal: GatewayRefusal) -> None:
    """The registry keeps no access log of persons beside the signed messages."""
