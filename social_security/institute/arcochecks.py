"""What an ARCO request must be before it is looked into: its moment, law, person, representative and object.

Spec: the domain reference 5.5 (ARCO); LGPDPPSO 43 to 49.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from social_security.domain.faults import DomainError
from social_security.institute.stores.rights import AUTOMATED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from social_security.domain.pseudonyms import Pid
    from social_security.institute.services import InstituteServices
    from social_security.institute.stores.arco import ArcoRequest
    from social_security.wire.service import DomainRequest

# How far a sender's clock may be from this one.
SKEW = timedelta(minutes=10)


def check_moment(request: DomainRequest, field: str) -> None:
    """Refuse a moment that is not now by this server's clock. Raises `DomainError` SS-103."""
    value = request.body[field]
    try:
        at = datetime.fromisoformat(value)
        apart = abs(at - request.now)
    except (ValueError, TypeError, OverflowError):
        raise DomainError(
            "SS-103",
            f"{field} no es un instante con su desfase",
            f"{field} is no moment with its offset",
            field=field,
        ) from None
    if apart > SKEW:
        now = request.now.isoformat(timespec="seconds")
        raise DomainError(
            "SS-103",
            f"{field} dice otra hora que este servidor, donde son las {now}",
            f"{field} tells another time than this server, where it is {now}",
            field=field,
        )


def not_competent(services: InstituteServices, request: DomainRequest) -> DomainError:
    """The refusal of a request that is another member's to answer; it says whose (LGPDPPSO 47)."""
    who = ", ".join(request.body["responsables"])
    return services.refusal(
        "SS-501",
        request,
        "mx:LGPDPPSO-47",
        f"{services.member} no está entre los responsables: {who}",
        f"{services.member} is not among those who are asked: {who}",
    )


def check_law(request: DomainRequest, basis: str) -> None:
    """Refuse a request that does not name the law it rests on. Raises `DomainError` SS-202."""
    if basis not in request.context.bases:
        raise DomainError("SS-202", f"se requiere {basis}", f"needed: {basis}", field="X-OSS-Fundamento")


def check_alive(services: InstituteServices, request: DomainRequest, pid: Pid) -> None:
    """For a person who has died only a representative acts, who has proved it (LGPDPPSO 43). Raises `DomainError` (SS-302)."""
    affiliation = services.persons.affiliation(pid)
    if affiliation is not None and affiliation.state == "FALLECIDA" and not request.body["representante"]:
        raise DomainError(
            "SS-302",
            "por ella pide quien acredite su interés jurídico, como representante",
            "for her, who proves a legal interest asks, as representative",
            field="representante",
        )


def check_object(body: Mapping[str, Any]) -> None:
    """Refuse a request that does not name what it cancels or opposes: granting it would change nothing. Raises SS-100."""
    data = [d for d in body.get("datos", ()) if d != AUTOMATED]
    if body["derecho"] == "CANCELACION" and not data:
        raise DomainError(
            "SS-100", "datos dice qué se cancela", "datos says what is to be cancelled", field="datos"
        )
    if body["derecho"] == "OPOSICION" and not (body.get("datos") or body.get("propositos")):
        raise DomainError(
            "SS-100",
            "datos o propositos dicen a qué se opone",
            "datos or propositos say what is opposed",
            field="datos",
        )
    if body.get("retirar", False) and body["derecho"] != "OPOSICION":
        raise DomainError(
            "SS-100", "sólo se retira una oposición", "only an opposition is withdrawn", field="retirar"
        )


def authorities(services: InstituteServices, request: ArcoRequest) -> tuple[str, ...]:
    """The guarantors that a request's appeal may lie with: the institute's own, and the one that its refusal named.

    They differ where an institute that left handed the request to a successor in another state.
    """
    named = (request.refusal or {}).get("autoridad", services.guarantor)
    return (services.guarantor, str(named))


def check_identity(services: InstituteServices, request: DomainRequest) -> None:
    """Refuse a request whose person is not proved: her level, or her representative. Raises `DomainError` SS-206, SS-500."""
    body = request.body
    if body["nivelIdentidad"] not in ("LOA2", "LOA3"):
        raise services.refusal(
            "SS-206",
            request,
            "mx:LGPDPPSO-43",
            "Para ejercer derechos se requiere LOA2: acuda con documento, use Llave MX o e.firma",
            "LOA2 is needed to exercise rights: come with a document, use Llave MX or e.firma",
        )
    if body["representante"] and "acreditacionSha256" not in body:
        raise services.refusal(
            "SS-500",
            request,
            "mx:LGPDPPSO-49-I",
            "Quien pide no es la persona titular ni acreditó su representación",
            "Who asks is not the person, and no representation has been proved",
            cause="I",
        )
    if request.context.role == "REPRESENTANTE" and not body["representante"]:
        raise services.refusal(
            "SS-500",
            request,
            "mx:LGPDPPSO-49-I",
            "El rol es de representante y la solicitud dice que no lo es",
            "The role is that of a representative, the request says there is none",
            cause="I",
        )
