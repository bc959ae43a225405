"""What the starter of workers says for all of them: figures summed, health combined, what cannot be shared refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from gateway.server.summing import sum_metrics
from gateway.server.workers import combine_health
from gateway.settings.datafolder import DataFolder

UP = {"status": "up", "problems": [], "warnings": ["certificate expires"]}
DOWN = {"status": "down", "problems": ["no configuration"], "warnings": []}
STOPPING = {"status": "stopping", "problems": ["this gateway stops"], "warnings": []}


def figures(ok: float, failed: float, queue: float, took: float) -> str:
    """What one worker says."""
    registry = CollectorRegistry()
    counter = Counter("sacbe_exchanges", "Exchanges", ["outcome"], registry=registry)
    counter.labels("ok").inc(ok)
    counter.labels('a "fault"\n').inc(failed)
    Gauge("sacbe_log_queue_length", "Waiting", registry=registry).set(queue)
    Histogram("sacbe_seconds", "Time", buckets=(1, 5), registry=registry).observe(took)
    text: bytes = generate_latest(registry)
    return text.decode()


def samples(text: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample by name and labels; each stands once."""
    found = [s for f in text_string_to_metric_families(text.decode()) for s in f.samples]
    made = {(s.name, tuple(sorted(s.labels.items()))): s.value for s in found}
    assert len(made) == len(found)
    return made


def test_counters_and_histograms_are_summed_and_states_keep_their_worker() -> None:
    found = samples(sum_metrics({1: figures(3, 1, 7, 0.5), 2: figures(4, 2, 0, 3)}))
    assert found["sacbe_exchanges_total", (("outcome", "ok"),)] == 7
    assert found["sacbe_exchanges_total", (("outcome", 'a "fault"\n'),)] == 3
    assert found["sacbe_log_queue_length", (("worker", "1"),)] == 7
    assert found["sacbe_log_queue_length", (("worker", "2"),)] == 0
    assert found["sacbe_seconds_bucket", (("le", "1.0"),)] == 1
    assert found["sacbe_seconds_bucket", (("le", "+Inf"),)] == 2
    assert found["sacbe_seconds_sum", ()] == 3.5


def test_no_worker_gives_no_figures() -> None:
    assert samples(sum_metrics({})) == {}


@pytest.mark.parametrize(
    ("states", "status", "said"),
    [
        ({1: UP, 2: UP}, 200, "up"),
        ({1: UP, 2: DOWN}, 200, "up"),
        ({1: UP}, 200, "up"),
        ({1: DOWN, 2: DOWN}, 503, "down"),
        ({1: STOPPING, 2: STOPPING}, 503, "stopping"),
        ({}, 503, "starting"),
    ],
)
def test_a_gateway_is_up_while_one_worker_is(
    states: dict[int, dict[str, object]], status: int, said: str
) -> None:
    found, state = combine_health(states, 2)
    assert (found, state["status"]) == (status, said)
    assert bool(state["problems"]) == (status == 503)
    missing = [n for n in (1, 2) if n not in states]
    everything = [*state["problems"], *state["warnings"]]
    assert [m for m in everything if "does not run" in m] == [f"worker {n} does not run" for n in missing]
    assert all(p in everything for s in states.values() for p in s["problems"])  # type: ignore[attr-defined]


def test_each_worker_writes_where_no_other_one_does() -> None:
    root = Path("/data")
    alone, first, second = (DataFolder(root, worker=n) for n in (0, 1, 2))
    for one in (alone, first):
        assert (one.globalconf, one.spool, one.ocsp) == (
            root / "globalconf",
            root / "log" / "spool",
            root / "ocsp",
        )
    assert {p.parent for p in (second.globalconf, second.spool, second.ocsp)} == {root / "workers" / "2"}
    assert second.token == first.token
    assert second.log == first.log
