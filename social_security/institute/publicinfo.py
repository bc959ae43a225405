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
from social_security.institute.arcochecks import check_moment, not_competent
from social_security.institute.stores.arco import INFORMATION, ArcoRequest
from social_security.wire.service import DomainAnswer, DomainRequest

if TYPE_CHECKING:
    from social_security.institute.services import InstituteServices

BASIS = "mx:LGTAIP-134"
NOBODY = Pid("")


def file_information(services: InstituteServices, domain_request: DomainRequest) -> DomainAnswer:
    """``presentarInformacion``: received, with its terms. Raises SS-202 without the transparency law, SS-501 elsewhere."""
    if BASIS not in domain_request.context.bases:
        raise DomainError("SS-202", f"se requiere {BASIS}", f"needed: {BASIS}", field="X-OSS-Fundamento")
    known = services.arco.request(domain_request.context.case)
    if known is not None:
        original = {k: v for k, v in known.request.items() if k in domain_request.body}
        if (known.request["derecho"], known.member, original) != (
            INFORMATION,
            domain_request.context.member,
            dict(domain_request.body),
        ):
            raise DomainError("SS-402", "el folio ya es de otra solicitud", "the folio is another request's")
        return DomainAnswer(arco.show(services, known), 201, ("documento",))
    if services.member not in domain_request.body["responsables"]:
        raise not_competent(services, domain_request)
    check_moment(domain_request, "recibidaEl")
    request = ArcoRequest(
        domain_request.context.case,
        NOBODY,
        domain_request.context.member,
        "RECIBIDA",
        {**domain_request.body, "derecho": INFORMATION},
        arco.first_terms(services, domain_request.now),
    )
    services.arco.save(request, domain_request.now, domain_request.context.member)
    return DomainAnswer(arco.show(services, request), 201, ("documento",))
