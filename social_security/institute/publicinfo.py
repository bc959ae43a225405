"""Requests for public information: the life cycle, folio and terms of ARCO, under the transparency law.

Nobody is identified and nobody gives a reason; so there is no person, no level, no access row. Answer within 20 working days
and 10 more, review within 15, resolution within 40 and 20 more: the same numbers (LGTAIP 134, 144, 148), another law. What
is handed over is named by address and digest.

Spec: the domain reference 3.5, F17, F18; S07.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from social_security.domain.faults import DomainError
from social_security.domain.pseudonyms import Pid
from social_security.institute import arco
from social_security.institute.stores.arco import INFORMATION, ArcoRequest
from social_security.wire.service import DomainAnswer, DomainRequest

if TYPE_CHECKING:
    from social_security.institute.services import InstituteServices

BASIS = "mx:LGTAIP-134"
NOBODY = Pid("")


def file_information(services: InstituteServices, asked: DomainRequest) -> DomainAnswer:
    """``presentarInformacion``: received, with its terms. Raises SS-202 without the transparency law, SS-501 elsewhere."""
    if BASIS not in asked.context.bases:
        raise DomainError("SS-202", f"se requiere {BASIS}", f"needed: {BASIS}", field="X-OSS-Fundamento")
    known = services.arco.request(asked.context.case)
    if known is not None:
        said = {k: v for k, v in known.request.items() if k in asked.body}
        if (known.request["derecho"], known.member, said) != (
            INFORMATION,
            asked.context.member,
            dict(asked.body),
        ):
            raise DomainError("SS-402", "el folio ya es de otra solicitud", "the folio is another request's")
        return DomainAnswer(arco.show(services, known), 201, ("documento",))
    if services.member not in asked.body["responsables"]:
        raise arco.not_competent(services, asked)
    arco.check_moment(asked, "recibidaEl")
    request = ArcoRequest(
        asked.context.case,
        NOBODY,
        asked.context.member,
        "RECIBIDA",
        {**asked.body, "derecho": INFORMATION},
        arco.first_terms(services, asked.now),
    )
    services.arco.save(request, asked.now, asked.context.member)
    return DomainAnswer(arco.show(services, request), 201, ("documento",))
