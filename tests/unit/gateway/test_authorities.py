"""Several timestamping authorities: chosen by name, asked in order or raced, in rounds that fit."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from certs.certificates import der_of
from certs.dev.app import TrustServices
from certs.dev.authority import DevPki
from gateway.messagelog.authorities import (
    SMALLEST_ROUND,
    RoundSize,
    ask_authorities,
    choose_authorities,
)
from schemas.faults import Fault
from schemas.globalconf.cost import CostOrder
from schemas.globalconf.shared import ApprovedTsa, CostType
from schemas.message import digest_of
from tests.worlds import NOW

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

A = ApprovedTsa("A", "http://new.invalid/a", b"", CostType.PAID)
B = ApprovedTsa("B", "http://b.invalid/", b"", CostType.FREE)
TWINS = (ApprovedTsa("T", "http://t1.invalid/", b""), ApprovedTsa("T", "http://t2.invalid/", b""))


@pytest.mark.xroad("F051", "F054")
def test_a_chosen_authority_is_asked_where_the_configuration_says_it_is_now() -> None:
    assert choose_authorities((A, B), [("A", "http://old.invalid/a")], CostOrder.NONE) == (A,)


@pytest.mark.xroad("F054")
def test_where_addresses_are_not_followed_a_moved_authority_is_asked_no_longer() -> None:
    chosen = [("A", "http://old.invalid/a")]
    assert choose_authorities((A, B), chosen, CostOrder.NONE, follow=False) == ()
    assert choose_authorities((A, B), [("A", A.url)], CostOrder.NONE, follow=False) == (A,)


@pytest.mark.xroad("F053")
def test_nothing_chosen_means_all_in_order_of_cost() -> None:
    assert choose_authorities((A, B), [], CostOrder.FREE_FIRST) == (B, A)
    assert choose_authorities((A, B), [], CostOrder.ONLY_PAID) == (A,)


def test_namesakes_are_told_apart_by_address_and_the_unapproved_is_not_asked() -> None:
    assert choose_authorities(TWINS, [("T", "http://t2.invalid/")], CostOrder.NONE) == (TWINS[1],)
    assert choose_authorities(TWINS, [("T", "http://gone.invalid/")], CostOrder.NONE) == ()
    assert choose_authorities((A,), [("Nobody", "http://x.invalid/")], CostOrder.NONE) == ()


@dataclass
class Authority:
    services: TrustServices
    approved: ApprovedTsa
    pki: DevPki


@pytest.fixture
async def authorities(tmp_path: Path) -> AsyncIterator[list[Authority]]:
    servers, found = [], []
    for name in ("first", "second"):
        pki = DevPki.create(tmp_path / name, now=NOW - timedelta(days=1))
        services = TrustServices(pki, lambda: NOW)
        server = TestServer(services.app())
        await server.start_server()
        servers.append(server)
        approved = ApprovedTsa(name, str(server.make_url("/tsa")), der_of(pki.tsa_certificate))
        found.append(Authority(services, approved, pki))
    yield found
    for server in servers:
        await server.close()


async def stamped_by(authorities: list[Authority], *, race: bool) -> str:
    certificates = [a.pki.tsa_certificate for a in authorities]
    async with aiohttp.ClientSession() as session:
        _, proved = await ask_authorities(
            session, [a.approved for a in authorities], digest_of(b"x"), certificates, race=race
        )
    return next(a.approved.name for a in authorities if a.pki.tsa_certificate == proved.authority)


@pytest.mark.parametrize("behaviour", ["down", "garbage", "wrong-imprint"])
@pytest.mark.parametrize("race", [False, True])
@pytest.mark.xroad("F051")
async def test_the_second_authority_helps_when_the_first_does_not(
    authorities: list[Authority], behaviour: str, race: bool
) -> None:
    authorities[0].services.behaviour["tsa"] = behaviour
    assert await stamped_by(authorities, race=race) == "second"


async def test_in_order_the_first_is_asked_alone_and_in_a_race_one_that_hangs_holds_nobody_up(
    authorities: list[Authority],
) -> None:
    assert await stamped_by(authorities, race=False) == "first"
    authorities[0].services.behaviour["tsa"] = "hang"
    async with asyncio.timeout(60):
        assert await stamped_by(authorities, race=True) == "second"


async def test_when_nobody_helps_everybody_is_named(authorities: list[Authority]) -> None:
    for authority in authorities:
        authority.services.behaviour["tsa"] = "down"
    with pytest.raises(Fault, match=r"first.*second"):
        await stamped_by(authorities, race=False)


def test_rounds_grow_while_they_are_quick_and_shrink_when_they_are_slow() -> None:
    size = RoundSize(10_000)
    seen = []
    for _ in range(5):
        size.learn(size.value, 0.1)
        seen.append(size.value)
    assert seen == [2048, 4096, 8192, 10_000, 10_000]
    size.learn(10_000, 8.0)
    assert size.value == 5000
    size.learn(12, 9.0)  # a round that was not full says nothing
    assert size.value == 5000
    for _ in range(20):
        size.learn(size.value, 60.0)
    assert size.value == SMALLEST_ROUND
