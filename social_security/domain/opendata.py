"""Tables as CSV for whoever opens them in a spreadsheet: a text is never a formula there.

Pure. Spec: RFC 4180.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# With these a spreadsheet begins a formula; an apostrophe before them makes it text.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def render_csv(rows: Iterable[Sequence[object]]) -> str:
    """The rows as CSV, a heading first where the caller gives one; numbers stay numbers."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows([_cell(value) for value in row] for row in rows)
    return out.getvalue()


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
