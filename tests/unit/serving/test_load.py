"""Whether a process takes more of its machine than it shall."""

from __future__ import annotations

import pytest

from serving.process.load import LoadLimits, ProcessLoad, resident_bytes


class Machine:
    """Clocks and memory that a test moves."""

    def __init__(self) -> None:
        self.now, self.used, self.memory = 100.0, 10.0, 50
        self.load = ProcessLoad(lambda: self.now, lambda: self.used, lambda: self.memory)

    def passes(self, seconds: float, busy: float) -> None:
        self.now += seconds
        self.used += busy


@pytest.mark.xroad("F098")
def test_processor_time_of_the_last_second_counts() -> None:
    machine, limits = Machine(), LoadLimits(processors=0.8)
    assert not machine.load.is_above(limits)
    machine.passes(1.0, 0.9)
    assert machine.load.is_above(limits)
    machine.passes(0.5, 0.0)  # not looked at again within the second
    assert machine.load.is_above(limits)
    machine.passes(0.6, 0.0)
    assert not machine.load.is_above(limits)
    machine.passes(4.0, 8.0)  # several threads
    assert machine.load.is_above(LoadLimits(processors=1.9))
    assert not machine.load.is_above(LoadLimits(processors=2.0))


@pytest.mark.xroad("F098")
def test_resident_memory_counts_and_without_limits_nothing_does() -> None:
    machine = Machine()
    machine.passes(2.0, 2.0)
    machine.memory = 1001
    assert machine.load.is_above(LoadLimits(memory_bytes=1000))
    assert not machine.load.is_above(LoadLimits())
    assert not machine.load.is_above(LoadLimits(memory_bytes=1001))


def test_the_memory_of_this_process_is_known() -> None:
    assert 10 * 1024 * 1024 < resident_bytes() < 100 * 1024 * 1024 * 1024
