"""One service on two security servers: the fastest is asked, remembered, and left when it fails."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from benchmarks.federation import Federation, free_base
from tests.integration.calling import call, works
from tests.integration.pair import consumer, provider, running

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.processes
BASE = free_base()
CONSUMER = consumer(BASE)
FIRST = provider(BASE)
SECOND = provider(BASE, number=11, server_code="SS2")
AT = CONSUMER.address


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    with running(
        Federation(tmp_path_factory.mktemp("providers"), [CONSUMER, FIRST, SECOND], base=BASE)
    ) as made:
        yield made


def served(federation: Federation) -> tuple[int, int]:
    """How many requests each provider's gateway has on its disk."""
    counts = []
    for spec in (FIRST, SECOND):
        with sqlite3.connect(federation.data(spec) / "log" / "messages.sqlite", timeout=60) as log:
            counts.append(log.execute("SELECT count(*) FROM record WHERE is_response = 0").fetchone()[0])
    return counts[0], counts[1]


@pytest.mark.xroad("F092", "F150")
def test_the_choice_is_remembered_and_left_when_it_fails(federation: Federation) -> None:
    before = served(federation)
    for _ in range(8):
        assert call(AT).status == 200
    after = served(federation)
    gained = (after[0] - before[0], after[1] - before[1])
    assert sorted(gained) == [0, 8], "one server was chosen and kept"
    chosen, other = (FIRST, SECOND) if gained[0] else (SECOND, FIRST)
    federation.kill(chosen.key)
    for _ in range(4):
        answer = call(AT)
        assert answer.status == 200, answer
    federation.start_gateway(chosen)
    for _ in range(4):
        assert call(AT).status == 200
    end = served(federation)
    index = (FIRST, SECOND).index(other)
    assert end[index] - after[index] == 8, "the other one took over and stays chosen"
    federation.kill(other.key)
    assert call(AT).status == 200
    federation.start_gateway(other)


@pytest.mark.xroad("F091")
def test_a_named_security_server_is_asked_whatever_is_remembered(federation: Federation) -> None:
    works(AT)
    for place, code in enumerate(("SS1", "SS2")):
        before = served(federation)
        for _ in range(3):
            assert call(AT, headers={"X-Road-Security-Server": f"MX/GOB/00-RNSS/{code}"}).status == 200
        assert served(federation)[place] - before[place] == 3


def test_without_any_server_the_fault_names_each(federation: Federation) -> None:
    federation.kill(FIRST.key)
    federation.kill(SECOND.key)
    refused = call(AT)
    assert (refused.status, refused.code) == (500, "server.clientproxy.network_error")
    assert FIRST.address in refused.message
    assert SECOND.address in refused.message
    federation.start_gateway(FIRST)
    works(AT)
    federation.start_gateway(SECOND)
