"""``python -m deploy.pages``: writes the parts of the documentation that are made of tables of the software.

A page holds ``<!-- made: NAME LANGUAGE -->``; what follows it, up to the next blank line after a table, is made anew. A test says
when a page is behind.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.sizing import render_sizing
from central_server.config import TABLE as CENTRAL
from deploy.datamodel import render_data_model
from deploy.installerrors import render_install_errors
from gateway.settings.config import TABLE as GATEWAY
from schemas.faultcatalogue import render_catalogue

if TYPE_CHECKING:
    from collections.abc import Callable

DOCS = Path(__file__).parents[1] / "docs"
MARK = re.compile(r"(<!-- made: (\w+) (es|en) -->\n)(?:\|.*\n)*")
TABLES: dict[str, Callable[[str], str]] = {
    "faults": render_catalogue,
    "central": CENTRAL.render_markdown,
    "gateway": GATEWAY.render_markdown,
    "model": render_data_model,
    "refusals": render_install_errors,
    "sizing": render_sizing,
}


def renew(text: str) -> str:
    """A page with its tables as they are now."""
    return MARK.sub(lambda found: found[1] + TABLES[found[2]](found[3]), text)


def main() -> None:
    """Renew every page."""
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        new = renew(text)
        if new != text:
            page.write_text(new, encoding="utf-8")
            print(page.name)


if __name__ == "__main__":
    main()
