"""The sizing table of the installation guide, from rows that ``make bench`` measured: `render_sizing`.

Of each figure the newest row counts that was not measured beside other work. The rows are of two gateways, the bare proxies and the load on one machine; what one
gateway can carry on a machine of its own is reckoned from its processor time, at 70 % of a core.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.load import BODIES, HISTORY, LOADED

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LOAD = 0.7
MESSAGES = (("c", "32"), ("d", "32"), ("e", "32"), ("f", "32"), *((f"c {size}", "4") for size in BODIES))
NAMES = {
    "en": {"c": "REST, 1 KB, P-256", "d": "REST, 1 KB, RSA-2048", "e": "SOAP, 1 KB, P-256", "f": "SOAP, 1 KB, RSA-2048",
           "body": "REST, {size}, P-256"},
    "es": {"c": "REST, 1 KB, P-256", "d": "REST, 1 KB, RSA-2048", "e": "SOAP, 1 KB, P-256", "f": "SOAP, 1 KB, RSA-2048",
           "body": "REST, {size}, P-256"},
}  # fmt: skip
HEADS = {
    "en": "| message | processor time a gateway, ms | one core at 70 % carries, a second | two gateways measured together, a second |",
    "es": "| mensaje | procesador por pasarela, ms | un núcleo al 70 % lleva, por segundo | dos pasarelas medidas juntas, por segundo |",
}
OTHERS = {
    "en": (
        "| memory of a gateway after all of that | {memory:.0f} MiB resident | | |",
        "| from its start until it exchanges | {start:.1f} s | | |",
        "| disk, a million exchanges of 1 KB, before archiving | {disk:.1f} GB a gateway | | |",
        "| measured | {date}, {commit}, {machine} | | |",
    ),
    "es": (
        "| memoria de una pasarela después de todo ello | {memory:.0f} MiB residentes | | |",
        "| desde que empieza hasta que intercambia | {start:.1f} s | | |",
        "| disco, un millón de intercambios de 1 KB, antes de archivar | {disk:.1f} GB por pasarela | | |",
        "| medido | {date}, {commit}, {machine} | | |",
    ),
}


@dataclass(frozen=True, slots=True)
class Measured:
    """The newest value of each figure by (case, connections, figure); when, of what and where those of messages were taken."""

    values: Mapping[tuple[str, str, str], float]
    commit: str
    date: str
    machine: str


def read_history(path: Path = HISTORY) -> Measured:
    """The newest figures of a history, but for those of a machine that was loaded. Raises ValueError when there is none."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if not row["machine"].endswith(LOADED)]
    values = {(r["case"], r["connections"], r["figure"]): float(r["value"]) for r in rows}
    messages = [r for r in rows if r["case"] == "c" and r["figure"] == "cpu_ms"]
    if not messages:
        raise ValueError(f"{path} holds no row of case c: run make bench")
    return Measured(values, messages[-1]["commit"], messages[-1]["date"], messages[-1]["machine"])


def render_sizing(language: str, measured: Measured | None = None) -> str:
    """The table in Markdown, ``es`` or ``en``, of what was measured (the repository's history by default).

    Raises KeyError when a figure was never measured.
    """
    found = measured or read_history()
    lines = [HEADS[language], "|---|---|---|---|"]
    lines += [_row(found, language, case, connections) for case, connections in MESSAGES]
    values = found.values
    memory = max(v for (_, _, figure), v in values.items() if figure == "resident_mib")
    start = next(v for (_, _, figure), v in values.items() if figure == "start_up_s")
    disk = values["c", "32", "log_bytes"] * 1e6 / 1e9
    facts = {"memory": memory, "start": start, "disk": disk}
    when = {"date": found.date, "commit": found.commit, "machine": found.machine}
    lines += [line.format(**facts, **when) for line in OTHERS[language]]
    return "\n".join(lines) + "\n"


def _row(found: Measured, language: str, case: str, connections: str) -> str:
    """One kind of message. The processor time of a row is that of both gateways."""
    each_ms = found.values[case, connections, "cpu_ms"] / 2
    letter, _, size = case.partition(" ")
    if size:
        together = found.values[case, connections, "megabytes_per_second"] * 1e6 / int(size)
        label = NAMES[language]["body"].format(size=_size(int(size)))
    else:
        together = found.values[case, connections, "per_second"]
        label = NAMES[language][letter]
    return f"| {label} | {each_ms:.1f} | {LOAD * 1000 / each_ms:.3g} | {together:.3g} |"


def _size(size: int) -> str:
    return f"{size // 1_000_000} MB" if size >= 1_000_000 else f"{size // 1000} KB"
