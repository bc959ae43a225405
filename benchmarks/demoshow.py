"""How the demo speaks to whoever watches it: steps, what must hold, and answers as they came."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.calls import Reply


class Show:
    """Prints steps in one language and counts what did not come out as it must."""

    def __init__(self, lang: str) -> None:
        self.english = lang == "en"
        self.failed = 0
        self._number = 0

    def write(self, es: str, en: str) -> None:
        """A line for a person."""
        print(en if self.english else es, flush=True)

    def step(self, es: str, en: str) -> None:
        """The title of the next step."""
        self._number += 1
        print(flush=True)
        self.write(f"{self._number}. {es}", f"{self._number}. {en}")

    def expect(self, ok: bool, es: str, en: str) -> None:
        """A line that must hold; one that does not makes the demo fail."""
        self.failed += not ok
        self.write(f"   {'✓' if ok else '✗ FALLA:'} {es}", f"   {'✓' if ok else '✗ FAILED:'} {en}")

    def reply(self, reply: Reply) -> None:
        """An answer as it came."""
        body = json.dumps(reply.body, ensure_ascii=False)
        print(
            f"     HTTP {reply.status}  {reply.took_ms:.0f} ms  {body[:220]}{'…' if len(body) > 220 else ''}"
        )
