"""A gibibyte passes in both directions, and neither gateway holds it in memory."""

from __future__ import annotations

import http.client
import json
import shutil
import time
from typing import TYPE_CHECKING

import pytest

from benchmarks.processes import cost_of, reset_peak
from tests.integration.calling import AFIL, until, works
from tests.integration.conftest import CONSUMER, PROVIDER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.federation import Federation

# Two gibibytes pass: longer than one test may take elsewhere.
pytestmark = [pytest.mark.processes, pytest.mark.timeout(900)]
GIBIBYTE = 1 << 30
CHUNK = b"x" * (1 << 20)
MOST_MIB = 250
# The two services' own time limit is two seconds; this one has the default.
PATH = "/r1/MX/GOB/00-RNSS/INDICE/large"


def body() -> Iterator[bytes]:
    for _ in range(GIBIBYTE // len(CHUNK)):
        yield CHUNK


@pytest.fixture
def restarted(federation: Federation) -> Iterator[Federation]:
    """Both gateways fresh, so that the peak is this test's; what they logged is removed at the end."""
    for spec in (CONSUMER, PROVIDER):
        federation.kill(spec.key)
        federation.start_gateway(spec)
    works(CONSUMER.address)
    for spec in (CONSUMER, PROVIDER):
        reset_peak(federation.processes[spec.key].pid)
    yield federation
    for spec in (CONSUMER, PROVIDER):
        federation.kill(spec.key)
        shutil.rmtree(federation.data(spec) / "log")
        federation.start_gateway(spec)


def check_memory_and_spools(federation: Federation) -> None:
    for spec in (CONSUMER, PROVIDER):
        cost = cost_of(federation.processes[spec.key].pid)
        assert cost is not None
        print(spec.key, cost)
        assert cost.peak_mib < MOST_MIB, spec.key
        folder = federation.data(spec) / "log" / "spool"
        until(lambda folder=folder: list(folder.iterdir()), lambda left: left == [])  # type: ignore[misc]


def test_a_gibibyte_passes_both_ways_in_bounded_memory(restarted: Federation) -> None:
    connection = http.client.HTTPConnection(CONSUMER.address, 8080, timeout=600)
    headers = {"X-Road-Client": AFIL, "Content-Type": "application/octet-stream"}
    begun = time.monotonic()
    connection.request(
        "POST", f"{PATH}/count", body=body(), headers={**headers, "Content-Length": str(GIBIBYTE)}
    )
    answer = connection.getresponse()
    said = answer.read()
    assert answer.status == 200, said
    assert json.loads(said) == {"bytes": GIBIBYTE}
    print(f"up {time.monotonic() - begun:.1f} s")
    check_memory_and_spools(restarted)
    begun = time.monotonic()
    connection.request("GET", f"{PATH}/size?n={GIBIBYTE}", headers=headers)
    answer = connection.getresponse()
    assert answer.status == 200, answer.read(1000)
    received = 0
    while chunk := answer.read(1 << 20):
        received += len(chunk)
    assert received == GIBIBYTE
    connection.close()
    print(f"down {time.monotonic() - begun:.1f} s")
    check_memory_and_spools(restarted)
