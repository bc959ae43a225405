"""A variation beside the scenarios for each fault that was found beside them: other institutes, days, orders, two at once.

Each runs over every system's own services in one process, on a country of its own; what gateways add is in the scenarios. The
number is the fault's, the first line of the docstring what must hold.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.scenarios import variedcases, variedpersons, variedrights
from benchmarks.scenarios.acts import Acts
from benchmarks.scenarios.stage import Outcome
from tests.directgateway import DirectCountry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

VARIATIONS: dict[str, Callable[[Acts], Awaitable[None]]] = {
    name.upper(): found
    for name, found in sorted(
        (name, found)
        for module in (variedpersons, variedrights, variedcases)
        for name, found in vars(module).items()
        if len(name) == 3 and name[0] == "v" and name[1:].isdigit()
    )
}


def play(name: str) -> Outcome:
    """One variation on a country of its own."""
    variation = VARIATIONS[name]
    outcome, began = Outcome(name, (variation.__doc__ or "").splitlines()[0]), time.monotonic()
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="sacbe-", dir=memory if memory.is_dir() else None) as folder:
        country = DirectCountry(Path(folder))
        acts = Acts(country)
        try:
            asyncio.run(_run(variation, acts))
        except Exception as err:  # one that breaks is a failed one; the others still run
            acts.failures.append(f"{type(err).__name__}: {err}")
        finally:
            country.close()
    outcome.checks, outcome.failures = acts.checks, acts.failures
    outcome.took_s = time.monotonic() - began
    return outcome


async def _run(variation: Callable[[Acts], Awaitable[None]], acts: Acts) -> None:
    await variation(acts)
