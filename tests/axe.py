"""axe-core asked of a page in the browser: WCAG 2.2 A and AA and its best practices, as a wheel that ``make toolkits`` installed carries it.

The script is evaluated by the test, so a page's content policy stays as it is. Widths and themes are set by `walk_looks`.
"""

from __future__ import annotations

import asyncio
import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.accessibility import faults_of
from tests.paths import PROJECT

if TYPE_CHECKING:
    from tests.chromium import Tab

# A folder that keeps a screenshot of every page in each look that a walk takes.
KEPT_IN = "SACBE_SCREENSHOTS"
# Set: a walk takes every look; else `FEW` of them.
EVERY_LOOK = "SACBE_EVERY_LOOK"
_RUN = """
axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'], resultTypes: ['violations']})
  .then(found => found.violations.flatMap(v => v.nodes.map(n => v.id + ': ' + n.target.join(' ') + ' ' + n.html.slice(0, 160))))
"""


@dataclass(frozen=True, slots=True)
class Look:
    """One way to see a page: the window's width in CSS pixels, and the theme."""

    width: int
    dark: bool

    @property
    def name(self) -> str:
        """Its name in files and in what is found wrong."""
        return f"{self.width}{'-dark' if self.dark else ''}"


EVERY = tuple(Look(width, dark) for width in (320, 768, 1280, 1600) for dark in (False, True))
# Without screenshots each language is seen in one look: Spanish, whose words are longer, on a telephone and dark; English wide and light.
FEW = {"es": (Look(320, True),), "en": (Look(1280, False),)}


def looks(language: str) -> tuple[Look, ...]:
    """Every look where the environment says so, else the one of this language."""
    return EVERY if os.environ.get(EVERY_LOOK) else FEW[language]


@cache
def script() -> str:
    """axe-core's own text; in CI a missing one is a failure."""
    found = sorted((PROJECT / ".toolkits/axe").glob("lib/*/site-packages/axe_playwright_python/axe.min.js"))
    if not found:
        reason = "axe is not installed; make toolkits"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found[0].read_text(encoding="utf-8")


async def violations_of(tab: Tab) -> list[str]:
    """Each rule that the page breaks as it is shown now, with the place. Scripts are on meanwhile, for axe waits by timers; off afterwards."""
    await tab.send("Emulation.setScriptExecutionDisabled", value=False)
    await tab.ask(f"window.axe ? 0 : (() => {{ {script()} }})()")
    found = await tab.ask(_RUN, awaited=True)
    await tab.send("Emulation.setScriptExecutionDisabled", value=True)
    return [str(fault) for fault in found]


async def see(tab: Tab, look: Look) -> None:
    """Show the page that is open in a look."""
    theme = [{"name": "prefers-color-scheme", "value": "dark" if look.dark else "light"}]
    await tab.send("Emulation.setEmulatedMedia", features=theme)
    mobile = look.width < 640
    await tab.send(
        "Emulation.setDeviceMetricsOverride", width=look.width, height=900, deviceScaleFactor=1, mobile=mobile
    )


async def keep(tab: Tab, name: str, look: Look) -> None:
    """A screenshot in the folder that the environment names, if it names one."""
    if folder := os.environ.get(KEPT_IN):
        plain = re.sub(r"[^\w-]+", "_", name).strip("_")[:120]
        await asyncio.to_thread(_write, Path(folder) / f"{plain}-{look.name}.png", await tab.picture())


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


async def walk_looks(tab: Tab, name: str, language: str) -> list[str]:
    """What is wrong with the page that is open, in each look, by axe and by `tests.accessibility`; the window is as before afterwards."""
    wrong = []
    for look in looks(language):
        await see(tab, look)
        found = [*await violations_of(tab), *await faults_of(tab)]
        wrong += [f"{look.name}: {fault}" for fault in found]
        await keep(tab, f"{language}-{name}", look)
    await tab.send("Emulation.clearDeviceMetricsOverride")
    await tab.send("Emulation.setEmulatedMedia", features=[])
    return wrong
