"""Quotas are one for all nodes of a gateway, and a database that is lost refuses instead of not counting."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest

from gateway.clients.store import ServerConfStore
from gateway.policies.ledger import KEPT_DAYS, PolicyLedger
from schemas.faults import Fault, Kind

if TYPE_CHECKING:
    from pathlib import Path

    from tests.postgres import Cluster

DAY = date(2026, 1, 2)


@pytest.mark.processes
async def test_requests_at_two_nodes_count_into_one_quota(postgres: Cluster) -> None:
    where = postgres.new_database()
    stores = [ServerConfStore(where), ServerConfStore(where)]
    ledgers = [PolicyLedger(store.database) for store in stores]
    counts = await asyncio.gather(*(ledgers[n % 2].take("account", DAY) for n in range(60)))
    assert sorted(counts) == list(range(1, 61))
    for store in stores:
        store.close()


async def test_a_clock_that_is_ahead_begins_no_quota_anew(tmp_path: Path) -> None:
    """Two nodes around midnight, or one whose clock is a day ahead: the day that the other one counts on is not forgotten."""
    store = ServerConfStore(tmp_path / "serverconf.sqlite")
    ledger = PolicyLedger(store.database)
    for ahead in (0, 1, 0, KEPT_DAYS, 0):
        await ledger.take("account", DAY + timedelta(days=ahead))
    assert await ledger.take("account", DAY) == 4
    await ledger.take("account", DAY + timedelta(days=KEPT_DAYS + 1))
    assert store.database.query("SELECT count(*) FROM policy_count WHERE day = ?", (DAY.isoformat(),)) == [
        (0,)
    ]
    store.close()


async def test_what_cannot_be_counted_is_refused(tmp_path: Path) -> None:
    store = ServerConfStore(tmp_path / "serverconf.sqlite")
    store.close()
    with pytest.raises(Fault, match="cannot be written") as refused:
        await PolicyLedger(store.database).take("account", DAY)
    assert refused.value.kind is Kind.DATABASE_ERROR
