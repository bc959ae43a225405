"""What an institute's own people ask from the shell, through their gateway: the registry's look-up of a person.

A CURP comes on standard input, never as an argument: arguments are seen by every process of the machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from social_security.app import clock_of
from social_security.domain.calendars import national_day
from social_security.initialise import REGISTRY, reaching
from social_security.wire.gatewayclient import Why
from social_security.wire.publication import edition_in

if TYPE_CHECKING:
    from pathlib import Path

    from social_security.config import SystemSettings
    from social_security.wire.gatewayclient import GatewayAnswer


async def look_up_person(folder: Path, settings: SystemSettings, curp: str) -> GatewayAnswer:
    """The registry's answer to whether it knows a person, asked as the institute's affiliation desk."""
    edition = edition_in(folder)
    case = f"CONS-{settings.member[:2]}-{national_day(clock_of(settings)()).year}-00000001"
    why = Why("PUR-IDENT", case, "ANALISTA_AFILIACION", "Identificación de una persona", "consola")
    async with reaching(settings.gateway, edition, settings.member) as gateway:
        return await gateway.ask(
            "AFIL", edition.members[REGISTRY].path, "buscarBeneficiario", {"curp": curp}, why
        )
