"""Refusing what no portability convention covers (SS-403): a formal refusal with basis, reasons and remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from social_security.institute.services import InstituteServices
    from social_security.wire.service import DomainRequest


async def check_convention(services: InstituteServices, request: DomainRequest) -> None:
    """Refuse a request for portability from a member with whom no convention is in force (SS-403)."""
    if request.context.member == services.member:
        return
    if await services.conventions.find((request.context.member, services.member), request.today) is None:
        raise no_convention(services, request)


def no_convention(
    services: InstituteServices, request: DomainRequest, members: Sequence[str] = (), benefit: str = ""
) -> Exception:
    """The refusal, with basis, reasons and remedy: between which members, and for which benefit when only that lacks."""
    parties = list(dict.fromkeys(members or (request.context.member, services.member)))
    es, en = " y ".join(parties), " and ".join(parties)
    return services.refusal(
        "SS-403",
        request,
        "mx:LGPDPPSO-60",
        f"No existe instrumento escrito vigente entre {es} para "
        + (f"el beneficio {benefit}" if benefit else "esta transferencia"),
        f"No written instrument is in force between {en} for "
        + (f"the benefit {benefit}" if benefit else "this transfer"),
    )
