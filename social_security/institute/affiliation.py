"""``consultarAfiliacion``: whether a person belongs to the institute, since when, under which regime; never why.

Spec: the domain reference 5.7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from social_security.faults import DomainError
from social_security.service import Answer, Asked

if TYPE_CHECKING:
    from social_security.institute.desk import InstituteDesk


def consult_affiliation(desk: InstituteDesk, asked: Asked) -> Answer:
    """The affiliation. Raises SS-300 without one, SS-302 after death."""
    found = desk.persons.affiliation(desk.subject(asked).pid)
    if found is None:
        raise DomainError("SS-300")
    if found.state == "FALLECIDA":
        raise DomainError("SS-302")
    body: dict[str, object] = {
        "estado": found.state,
        "regimen": found.regime,
        "desde": found.since.isoformat(),
    }
    if found.until is not None:
        body["hasta"] = found.until.isoformat()
    return Answer(body, categories=("afiliacion",))
