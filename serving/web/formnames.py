"""Names that forms and addresses of pages share, and the one check of an address to come back to. Pure."""

from __future__ import annotations

import secrets
from typing import Final

ROOT: Final = "/consola"
# The page to come back to, and the fields that are settled.
BACK: Final = "vuelta"
FIXED: Final = "fijos"
# The values that an edit's form showed as it was opened, and the form's own number.
SEEN: Final = "visto"
SHEET: Final = "hoja"
LONGEST_BACK: Final = 2000


def back_of(text: str, longest: int = LONGEST_BACK) -> str:
    """A page of this console that a form says it came from; nothing else is ever gone to."""
    fine = text.startswith(f"{ROOT}/") and len(text) <= longest and "\\" not in text and "//" not in text
    return text if fine and text.isprintable() else ""


def new_sheet() -> str:
    """The number of a form that is about to be shown; nobody can guess it."""
    return secrets.token_urlsafe(12)
