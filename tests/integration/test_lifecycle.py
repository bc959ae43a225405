"""Starting again, stopping with exchanges under way, and a disk that takes no more."""

from __future__ import annotations

import resource
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from tests.integration.calling import Answer, call, logged, until, works
from tests.integration.conftest import CONSUMER, PROVIDER

if TYPE_CHECKING:
    from benchmarks.federation import Federation, GatewaySpec

pytestmark = pytest.mark.processes
AT = CONSUMER.address


@pytest.mark.parametrize("spec", [CONSUMER, PROVIDER], ids=["consumer", "provider"])
def test_told_to_stop_a_gateway_lets_exchanges_end(federation: Federation, spec: GatewaySpec) -> None:
    works(AT)
    answers: list[Answer] = []
    slow = threading.Thread(
        target=lambda: answers.append(
            call(
                AT,
                "00-RNSS/INDICE/large/slow?s=4",
                body=b"x",
                headers={"X-Road-Id": f"drained-{spec.key}"},
            )
        )
    )
    slow.start()
    until(lambda: logged(federation, PROVIDER, f"drained-{spec.key}"), bool)
    process = federation.processes.pop(spec.key)
    process.send_signal(signal.SIGTERM)
    slow.join()
    assert process.wait(timeout=60) == 0, (federation.folder / f"{spec.key}.log").read_text()[-6000:]
    assert [a.status for a in answers] == [200]
    for one in (CONSUMER, PROVIDER):
        assert logged(federation, one, f"drained-{spec.key}") == [0, 1]
    federation.start_gateway(spec)
    works(AT)


@pytest.mark.parametrize("spec", [CONSUMER, PROVIDER], ids=["consumer", "provider"])
@pytest.mark.parametrize(
    "body",
    [b"small", b"x" * 200_000, b"x" * 2_000_000],
    ids=["a small body", "a body in memory", "a body in a file"],
)
def test_a_full_disk_refuses_and_recovers(federation: Federation, spec: GatewaySpec, body: bytes) -> None:
    works(AT)
    pid = federation.processes[spec.key].pid
    message_id = f"full-{spec.key}-{len(body)}"
    # No file may grow beyond a byte: every write fails, as on a disk without space.
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
    try:
        refused = call(AT, body=body, headers={"X-Road-Id": message_id})
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
    assert refused.status == 500
    assert "logging_failed" in refused.code
    assert logged(federation, PROVIDER, message_id) == []
    assert logged(federation, CONSUMER, message_id) == ([] if spec is CONSUMER else [0])
    again = call(AT, body=body, headers={"X-Road-Id": f"{message_id}-again"})
    assert (again.status, again.body) == (200, body)
    assert logged(federation, PROVIDER, f"{message_id}-again") == [0, 1]
