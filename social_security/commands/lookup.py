"""What an institute's own people ask from the shell, through their gateway: the registry's look-up of a person.

A CURP comes on standard input, never as an argument: arguments are seen by every process of the machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from social_security.app import clock_of
from social_security.domain.calendars import national_day
from social_security.domain.pack import members
from social_security.initialise import REGISTRY, reaching
from social_security.wire.gatewayclient import Why

if TYPE_CHECKING:
    from social_security.config import SystemSettings
    from social_security.wire.gatewayclient import Heard


async def look_up_person(settings: SystemSettings, curp: str) -> Heard:
    """The registry's answer to whether it knows a person, asked as the institute's affiliation desk."""
    member = members()[settings.member].path
    case = f"CONS-{settings.member[:2]}-{national_day(clock_of(settings)()).year}-00000001"
    why = Why("PUR-IDENT", case, "ANALISTA_AFILIACION", "Identificación de una persona", "consola")
    async with reaching(settings.gateway, member) as gateway:
        return await gateway.ask("AFIL", members()[REGISTRY].path, "buscarBeneficiario", {"curp": curp}, why)
