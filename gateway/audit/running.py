"""Verification on every core: units go to processes some at a time, judgements come back as they are ready.

What is on its way is bounded, so memory is the same for ten containers and for a million. A unit is whole or not done at
all; whoever writes it down with its key can leave it out after a kill.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from typing import TYPE_CHECKING

from gateway.audit.judging import begin_process, judge_in_process, judge_unit, load_trust

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from certs.configuration import TrustedConfiguration
    from gateway.audit.evidence import EvidenceUnit
    from gateway.audit.judging import Judgement

# Containers that go to a process at once, and how often so many may wait for each: sending costs as much for one as for many.
AT_ONCE = 64
ON_THE_WAY = 3


def judge_all(
    units: Iterable[EvidenceUnit], configuration: Path, processes: int = 0
) -> Iterator[tuple[EvidenceUnit, list[Judgement]]]:
    """Each unit with its judgements, in the order they are ready. ``processes`` 0 takes all cores, 1 takes this process.

    Raises `Fault` when the configuration cannot be read.
    """
    trust = load_trust(configuration)
    count = processes or os.cpu_count() or 1
    if count == 1:
        for unit in units:
            yield unit, list(judge_unit(unit, trust))
        return
    with _pool(count, trust, configuration) as pool:
        # Copies are made now: drawing units from an object store starts threads that a later copy would lack, and wait for.
        pool.submit(os.getpid).result()
        yield from _drawn(pool, iter(units), count * ON_THE_WAY)


def _pool(count: int, trust: TrustedConfiguration, configuration: Path) -> ProcessPoolExecutor:
    """Processes with the configuration: copies of this one where it has no other thread, which would be lost in a copy."""
    if "fork" in multiprocessing.get_all_start_methods() and threading.active_count() == 1:
        return ProcessPoolExecutor(count, multiprocessing.get_context("fork"), begin_process, (trust,))
    spawning = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(count, spawning, begin_process, (str(configuration),))


def _drawn(
    pool: ProcessPoolExecutor, units: Iterator[EvidenceUnit], most: int
) -> Iterator[tuple[EvidenceUnit, list[Judgement]]]:
    waiting: dict[Future[list[list[Judgement]]], list[EvidenceUnit]] = {}
    is_over = False
    while waiting or not is_over:
        while len(waiting) < most and not is_over:
            some = units_together(units)
            is_over = not some
            if some:
                waiting[pool.submit(judge_in_process, some)] = some
        for future in wait(waiting, return_when=FIRST_COMPLETED).done if waiting else ():
            yield from zip(waiting.pop(future), future.result(), strict=True)


def units_together(units: Iterator[EvidenceUnit], at_once: int = AT_ONCE) -> list[EvidenceUnit]:
    """The next units, together about as many containers as go to a process at once; none at the end."""
    some: list[EvidenceUnit] = []
    count = 0
    while count < at_once and (unit := next(units, None)) is not None:
        some.append(unit)
        count += unit.count
    return some
