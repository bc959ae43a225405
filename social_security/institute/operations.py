"""An institute's operations by name, its public readings by path, and what it does of itself.

The one place that knows every part of the system; each part is given `InstituteServices` and knows no other's handlers.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final

from social_security.institute import (
    accesslog,
    affiliation,
    arco,
    assembly,
    casesteps,
    eligibility,
    external,
    history,
    inbox,
    measures,
    portability,
    publication,
    publicinfo,
    supervision,
    vital,
)
from social_security.institute.caseevents import deliver_notice
from social_security.institute.ownsystem import READ_FOR
from social_security.institute.services import InstituteServices
from social_security.wire.platform import PLATFORM
from social_security.wire.service import DomainAnswer, DomainRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from datetime import date, datetime

    from aiohttp import web

    from social_security.wire.outbox import OutboxItem, Outcome
    from social_security.wire.platform import Platform

    OperationHandler = Callable[[InstituteServices, DomainRequest], DomainAnswer | Awaitable[DomainAnswer]]
    PublicReading = Callable[[InstituteServices, Mapping[str, str]], Awaitable[web.Response]]

ACTS: Final[Mapping[str, OperationHandler]] = {
    "consultarAfiliacion": affiliation.consult_affiliation,
    "consultarHistoria": history.consult_history,
    "abrirCaso": portability.open_case,
    "verCaso": portability.see_case,
    "agregarEvento": portability.take_event,
    "solicitarAdmision": external.apply,
    "verAdmision": external.see,
    "avanzarAdmision": external.advance,
    "confirmarPeriodo": external.confirm_period,
    "presentarArco": arco.file_request,
    "verArco": arco.see_request,
    "avanzarArco": arco.advance_request,
    "findUsage": accesslog.find_usage,
    "inspeccion": accesslog.inspect,
    "estadisticaSupervision": supervision.statistics,
    "notificarEvento": vital.apply_event,
    "verificarElegibilidad": eligibility.check_eligibility,
    "reunirHistoria": assembly.assemble_history,
    "presentarInformacion": publicinfo.file_information,
    "notificarMedida": measures.take_measure,
    "listarSolicitudes": inbox.list_requests,
    "consultarExpediente": inbox.open_file,
    "certificarPeriodo": inbox.certify,
    "listarCasos": inbox.list_cases,
    "avanzarCaso": casesteps.advance_case,
    "listarAdmisiones": inbox.list_admissions,
}
READINGS: Final[Mapping[str, PublicReading]] = {
    "/jubilados": publication.read_retirees,
    "/negativas": publication.read_refusals,
    "/indicadores": publication.read_indicators,
    "/violaciones": publication.read_violations,
}


class OwnActs:
    """The acts that an institute does of itself: silences and lapses once a day, and its notices to other members."""

    daily: tuple[Callable[[InstituteServices, datetime, date], None], ...] = (arco.tick, external.tick)

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    @property
    def tells_platform(self) -> bool:
        """Whether new states of ARCO requests are handed to the national platform."""
        return self._platform.is_set

    async def deliver(self, services: InstituteServices, notice: OutboxItem) -> bool | Outcome:
        """One try of one notice, to another member or to the platform."""
        if notice.member == PLATFORM:
            return await self._platform.hand_over(notice.body)
        return await deliver_notice(services, notice)


def acts_of(
    services: InstituteServices,
) -> dict[str, Callable[[DomainRequest], DomainAnswer | Awaitable[DomainAnswer]]]:
    """The operations of one institute by name; those that look at periods read them first where they are in another system."""
    own = services.own_system
    reading = frozenset[str]() if own is None else READ_FOR
    return {
        name: functools.partial(_read_first if name in reading else act, services)
        for name, act in ACTS.items()
    }


async def _read_first(services: InstituteServices, request: DomainRequest) -> DomainAnswer:
    """An operation with the periods of its person as the institute's other system says them now."""
    assert services.own_system is not None
    read = await services.own_system.read_for(services, request)
    given = ACTS[request.operation.name](services.with_periods(read), request)
    return given if isinstance(given, DomainAnswer) else await given


def readings_of(
    services: InstituteServices,
) -> dict[str, Callable[[Mapping[str, str]], Awaitable[web.Response]]]:
    """The public readings of one institute by path."""
    return {path: functools.partial(reading, services) for path, reading in READINGS.items()}
