"""Spanish or English: which of the two a person reads.

Pages follow the browser (`negotiate`), Spanish where it asks for neither. The commands' texts stand in both languages where they are used, ``tr("en español", "in English")``. SACBE_LANG decides,
then the locale variables of POSIX; whatever is not Spanish is English. Log lines and faults on the wire are English.
"""

from __future__ import annotations

import enum
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLES = ("SACBE_LANG", "LC_ALL", "LC_MESSAGES", "LANG")


class Language(enum.StrEnum):
    """The languages of this software."""

    SPANISH = "es"
    ENGLISH = "en"


LANGUAGES = tuple(language.value for language in Language)


def language_of(environ: Mapping[str, str]) -> Language:
    """The language that the environment asks for; the first variable that is set decides."""
    wanted = next((environ[name] for name in VARIABLES if environ.get(name)), "")
    return Language.SPANISH if wanted.lower().startswith("es") else Language.ENGLISH


def tr(spanish: str, english: str) -> str:
    """The text in the language of this process."""
    return spanish if language_of(os.environ) is Language.SPANISH else english


def negotiate(chosen: str | None, accepted: str) -> Language:
    """The language of a page: the one a person chose, else the first of ``Accept-Language`` that we speak, else Spanish.

    Spec: RFC 9110 12.5.4.
    """
    if chosen in tuple(Language):
        return Language(chosen)
    best, quality = Language.SPANISH, 0.0
    for part in accepted[:500].split(","):
        name, _, parameter = part.strip().partition(";")
        spoken = name.strip().lower().partition("-")[0]
        weight = _quality(parameter.strip())
        if spoken in tuple(Language) and weight > quality:
            best, quality = Language(spoken), weight
    return best


def _quality(parameter: str) -> float:
    if not parameter.startswith("q="):
        return 1.0
    try:
        return max(0.0, min(1.0, float(parameter[2:])))
    except ValueError:
        return 0.0
