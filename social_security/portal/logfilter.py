"""Which rows of the access log a person wants to see: whose look it was, how it ended, and what for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from social_security.domain import pack
from social_security.portal import words
from social_security.portal.queries import PERSON_SYSTEM

if TYPE_CHECKING:
    from collections.abc import Mapping

OTHERS, OWN = "otros", "propias"


@dataclass(frozen=True, slots=True)
class AccessFilter:
    """The choices of the page's filter; an empty field lets every row pass. ``whose`` is `OTHERS` or `OWN`: her own visits by the portal."""

    whose: str = ""
    outcome: str = ""
    purpose: str = ""

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Self:
        """Out of an address; what is no choice of the page counts as not chosen."""
        whose, outcome, purpose = (query.get(n, "") for n in ("quien", "resultado", "proposito"))
        return cls(
            whose if whose in (OTHERS, OWN) else "",
            outcome if outcome in words.OUTCOMES else "",
            purpose if purpose in pack.purposes() else "",
        )

    @property
    def is_empty(self) -> bool:
        """Whether every row is wanted."""
        return not (self.whose or self.outcome or self.purpose)

    def takes(self, row: Mapping[str, Any], member: str) -> bool:
        """Whether a row (``Acceso`` of the service description) of this member's log is wanted."""
        is_own = row["receiverCode"] == member and row["receiverSystem"] == PERSON_SYSTEM
        return (
            self.whose in ("", OWN if is_own else OTHERS)
            and self.outcome in ("", row["outcome"])
            and self.purpose in ("", row["purpose"])
        )

    def address(self) -> dict[str, str]:
        """The fields as an address carries them."""
        given = {"quien": self.whose, "resultado": self.outcome, "proposito": self.purpose}
        return {name: value for name, value in given.items() if value}
