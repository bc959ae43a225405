"""The figures of several workers as those of one gateway: what counts is summed, what is a state keeps its worker's number.

A counter goes back when one of its workers starts anew, as that of any process does, and Prometheus reads it so (``rate``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SUMMED = ("counter", "histogram", "summary")
LABEL = "worker"


class _Families:
    """Families as `prometheus_client` asks a collector for them."""

    def __init__(self, families: Mapping[str, Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """Each family with its samples."""
        yield from self._families.values()


def sum_metrics(texts: Mapping[int, str]) -> bytes:
    """One text in Prometheus' format out of that of each worker, by number. Raises ValueError for a text that is none."""
    families: dict[str, Metric] = {}
    for number, text in texts.items():
        for found in text_string_to_metric_families(text):
            family = families.setdefault(found.name, Metric(found.name, found.documentation, found.type))
            for sample in found.samples:
                labels = dict(sample.labels)
                if found.type not in _SUMMED:
                    labels[LABEL] = str(number)
                family.add_sample(sample.name, labels, sample.value)
    for family in families.values():
        _sum_samples(family)
    registry = CollectorRegistry()
    registry.register(_Families(families))
    rendered: bytes = generate_latest(registry)
    return rendered


def _sum_samples(family: Metric) -> None:
    totals: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    for sample in family.samples:
        key = (sample.name, frozenset(sample.labels.items()))
        totals[key] = totals.get(key, 0.0) + sample.value
    family.samples = []
    for (name, labels), value in totals.items():
        family.add_sample(name, dict(sorted(labels)), value)
