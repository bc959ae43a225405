"""What a portal asks for those who work at its institute, and for its guarantor: each question a message with their role and local id.

Nothing is asked that the role may not ask: the institute's system decides again by what the message says.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

from social_security.domain.faults import DomainError
from social_security.portal.accounts import COMMITTEE, COUNTER, GUARANTOR, UNIT
from social_security.portal.queries import MANY, ONIESS, ask
from social_security.wire.gatewayclient import GatewayAnswer, GatewayClient, Why

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date, datetime
    from zoneinfo import ZoneInfo

STAFF_SYSTEM: Final = "Mesa del instituto 1.0"
GUARANTOR_SYSTEM: Final = "Portal de la autoridad garante 1.0"


class StaffQueries:
    """The questions of one portal's staff; ``member`` is whom they are asked of, an institute."""

    def __init__(self, gateway: GatewayClient, now: Callable[[], datetime]) -> None:
        self._gateway = gateway
        self._now = now

    async def requests(self, member: str, role: str, user: str, **chosen: Any) -> GatewayAnswer:
        """The requests that wait at an institute, or all of them."""
        why = self._why("PUR-ARCO", self._case("ARCO", member), role, user, "Bandeja de solicitudes")
        return await self._ask(role, member, "listarSolicitudes", chosen, why)

    async def request(self, member: str, role: str, user: str, folio: str) -> GatewayAnswer:
        """The answer of ``verArco``: a request's state, with what the person wrote."""
        why = self._why("PUR-ARCO", folio, role, user, "Atención de la solicitud")
        return await self._ask(role, member, "verArco", {}, why)

    async def advance(
        self, member: str, role: str, user: str, folio: str, event: dict[str, Any]
    ) -> GatewayAnswer:
        """Answer a request, or resolve an appeal."""
        why = self._why("PUR-ARCO", folio, role, user, "Atención de la solicitud")
        body = {**event, "ocurridoEl": self._now().isoformat()}
        return await self._ask(role, member, "avanzarArco", body, why)

    async def inspect(self, member: str, user: str, case: str, first: str, last: str) -> GatewayAnswer:
        """The metadata of an institute's accesses, under a case of the guarantor."""
        why = self._why("PUR-SUPERV", case, GUARANTOR, user, "Inspección")
        return await self._ask(
            GUARANTOR, member, "inspeccion", {"caso": case, "desde": first, "hasta": last}, why
        )

    async def file(self, member: str, role: str, user: str, named: dict[str, str]) -> GatewayAnswer:
        """A person's file, by PID or file number."""
        why = self._why("PUR-AFIL", self._case("CONS", member), role, user, "Atención en ventanilla")
        return await self._ask(role, member, "consultarExpediente", named, why)

    async def certify(
        self, member: str, role: str, user: str, pid: str, period: dict[str, Any]
    ) -> GatewayAnswer:
        """Certify a period that is missing."""
        why = self._why("PUR-AFIL", self._case("CONS", member), role, user, "Certificación de un periodo")
        return await self._ask(role, member, "certificarPeriodo", {"pid": pid, "periodo": period}, why)

    async def cases(self, member: str, user: str, *, ended: bool) -> GatewayAnswer:
        """Ask for the institute's portability cases, ended ones too where that is said."""
        why = self._why(
            "PUR-PORT", self._case("PORT", member), "ANALISTA_PORTABILIDAD", user, "Bandeja de casos"
        )
        return await ask(self._gateway, "PORT", member, "listarCasos", {"terminados": ended}, why)

    async def case(self, member: str, user: str, case: str) -> GatewayAnswer:
        """One portability case with its path, and the steps that this institute may take."""
        why = self._why("PUR-PORT", case, "ANALISTA_PORTABILIDAD", user, "Atención del caso")
        return await ask(self._gateway, "PORT", member, "listarCasos", {"caso": case}, why)

    async def advance_case(self, member: str, user: str, case: str, step: dict[str, Any]) -> GatewayAnswer:
        """The next step of a portability case; the institute's system builds and tells it."""
        why = self._why("PUR-PORT", case, "ANALISTA_PORTABILIDAD", user, "Siguiente paso del caso")
        return await ask(self._gateway, "PORT", member, "avanzarCaso", step, why)

    async def open_case(
        self, member: str, user: str, application: dict[str, Any]
    ) -> tuple[str, GatewayAnswer]:
        """Open a portability case here and let its counterparties know; its number, and what was heard."""
        case = self._case("PORT", member)
        why = self._why("PUR-PORT", case, "ANALISTA_PORTABILIDAD", user, "Apertura de un caso")
        return case, await ask(
            self._gateway, "PORT", member, "abrirCaso", {**application, "avisar": True}, why
        )

    async def admissions(self, member: str, user: str, *, ended: bool) -> GatewayAnswer:
        """The applications of external beneficiaries, decided ones too where that is said."""
        why = self._why("PUR-EXT", self._case("EXT", member), COUNTER, user, "Bandeja de admisiones")
        return await ask(self._gateway, "EXTERNOS", member, "listarAdmisiones", {"terminadas": ended}, why)

    async def admission(self, member: str, user: str, case: str) -> GatewayAnswer:
        """One application with its evidence."""
        why = self._why("PUR-EXT", case, COUNTER, user, "Atención de la admisión")
        return await ask(self._gateway, "EXTERNOS", member, "listarAdmisiones", {"caso": case}, why)

    async def advance_admission(
        self, member: str, user: str, case: str, event: dict[str, Any]
    ) -> GatewayAnswer:
        """The next step of an application."""
        why = self._why("PUR-EXT", case, COUNTER, user, "Resolución de la admisión")
        return await ask(self._gateway, "EXTERNOS", member, "avanzarAdmision", event, why)

    async def conventions(self) -> GatewayAnswer:
        """The portability conventions that ONIESS publishes."""
        try:
            return await self._gateway.read("PORT", ONIESS, "GOBIERNO/oss-v1/convenios")
        except DomainError as error:
            return GatewayAnswer(0, dict(error.to_json()))

    def today(self, zone: ZoneInfo) -> date:
        """The date where the institute is."""
        return self._now().astimezone(zone).date()

    def _case(self, kind: str, member: str) -> str:
        entity = member.rpartition("/")[2][:2]
        return f"{kind}-{entity}-{self._now().year}-{secrets.randbelow(MANY):08d}"

    @staticmethod
    def _why(purpose: str, case: str, role: str, user: str, reason: str) -> Why:
        return Why(purpose, case, role, reason, user, GUARANTOR_SYSTEM if role == GUARANTOR else STAFF_SYSTEM)

    async def _ask(
        self, role: str, member: str, operation: str, body: dict[str, Any], why: Why
    ) -> GatewayAnswer:
        subsystem = "SUPERV" if role == GUARANTOR else "ARCO" if role in (UNIT, COMMITTEE) else "AFIL"
        return await ask(self._gateway, subsystem, member, operation, body, why)


def local_id(name: str) -> str:
    """An account name as a local id of a message: letters, digits, dots, dashes and underscores, at most 40."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in name)[:40]
