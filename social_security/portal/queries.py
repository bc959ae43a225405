"""What a portal asks, each question a signed and logged message through the member's own gateway.

Whom a person's questions are about comes from her account and never from a form: the callers here hand in the PID of the
session and nothing else. Cases of look-ups are numbered at random within the year; their number says nothing.

Spec: the domain reference 5.7 (TITULAR portal), S05, S07, S08, S09.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from serving.language import N_, Translated
from social_security.domain.faults import DomainError
from social_security.portal.accounts import PERSON, REPRESENTATIVE
from social_security.wire.gatewayclient import GatewayAnswer, Why

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date, datetime

    from serving.language import Translatable
    from social_security.domain.pseudonyms import Pid
    from social_security.wire.gatewayclient import GatewayClient

REGISTRY = "MX/GOB/00-RNSS"
ONIESS = "MX/GOB/00-ONIESS"
PERSON_SYSTEM = "Portal ciudadano"
# By another name, so that her own visits and those of who acts for her are told apart in her access log.
REPRESENTATIVE_SYSTEM = "Portal ciudadano, representante"
GUARANTOR_SYSTEM = "Portal del garante"
MANY = 100_000_000


class PersonQueries:
    """A person's questions at one institute, or those of who acts for her, whose role is REPRESENTANTE."""

    def __init__(
        self, gateway: GatewayClient, member: str, now: Callable[[], datetime], role: str = PERSON
    ) -> None:
        self._role = role
        self._gateway = gateway
        self._member = member
        self._code = member.rpartition("/")[2]
        self._now = now

    async def affiliation(self, pid: Pid) -> GatewayAnswer:
        """The institute's answer on her affiliation (``consultarAfiliacion``)."""
        return await self._ask(
            "AFIL", self._member, "consultarAfiliacion", {"pid": pid}, self._look("PUR-HIST")
        )

    async def history(self, pid: Pid) -> GatewayAnswer:
        """The institute's answer with her certified history (``consultarHistoria``)."""
        return await self._ask(
            "HIST", self._member, "consultarHistoria", {"pid": pid}, self._look("PUR-HIST")
        )

    async def holders(self, pid: Pid) -> GatewayAnswer:
        """The registry's answer on which institutes hold a history of hers (``localizarHistoria``)."""
        return await self._ask("HIST", REGISTRY, "localizarHistoria", {"pid": pid}, self._look("PUR-HIST"))

    async def whole_history(self, pid: Pid) -> GatewayAnswer:
        """Every institute's history of her, gathered by this one, with the statement of who answered (``reunirHistoria``)."""
        return await self._ask("HIST", self._member, "reunirHistoria", {"pid": pid}, self._look("PUR-HIST"))

    async def accesses(
        self,
        keeper: str,
        pid: Pid,
        until: datetime | None,
        offset: int,
        limit: int,
        proofs: Sequence[str] | None = None,
    ) -> GatewayAnswer:
        """One page of who looked at her data at a member, as it was at ``until``, or is now.

        With ``proofs`` of the messages it names, of all on the page where it names none.
        """
        body: dict[str, Any] = {"pid": pid, "offset": offset, "limit": limit}
        if until is not None:
            body["periodEnd"] = until.isoformat()
        if proofs is not None:
            body["proofs"] = list(proofs)
        return await self._ask("BITACORA", keeper, "findUsage", body, self._look("PUR-BITACORA"))

    async def file(self, pid: Pid, member: str, folio: str, request: dict[str, Any]) -> GatewayAnswer:
        """File a request under a folio at one member."""
        why = self._why("PUR-ARCO", folio, "Ejercicio de derechos ARCO")
        body = {
            **request,
            "representante": self._role == REPRESENTATIVE,
            "nivelIdentidad": "LOA2",
            "modalidad": "ELECTRONICA",
        }
        if member == self._member:
            return await self._ask("ARCO", member, "presentarArco", {**body, "pid": pid}, why)
        token = await self._token("ARCO", pid, member, why)
        if not token.is_done:
            return token
        return await self._ask(
            "ARCO", member, "presentarArco", {**body, "testigo": token.body["testigo"]}, why
        )

    async def follow(self, member: str, folio: str) -> GatewayAnswer:
        """A member's answer on how a request stands (``verArco``)."""
        return await self._ask("ARCO", member, "verArco", {}, self._why("PUR-ARCO", folio, "Consulta"))

    async def advance(self, member: str, folio: str, event: dict[str, Any]) -> GatewayAnswer:
        """Move a request of hers on at a member (``avanzarArco``): clarify what was asked back, or appeal."""
        why = self._why("PUR-ARCO", folio, "Ejercicio de derechos ARCO")
        return await self._ask(
            "ARCO", member, "avanzarArco", {**event, "ocurridoEl": self._now().isoformat()}, why
        )

    async def cases(self, pid: Pid) -> GatewayAnswer:
        """Her portability cases at this institute, with their paths and what she may do."""
        why = self._why("PUR-PORT", self._case_id(), "Consulta de la persona en su portal")
        return await self._ask("PORT", self._member, "listarCasos", {"pid": pid, "terminados": True}, why)

    async def advance_case(self, pid: Pid, case: str, step: str) -> GatewayAnswer:
        """A step of hers in a case of hers (``avanzarCaso``)."""
        why = self._why("PUR-PORT", case, "Decisión de la persona en su portal")
        return await self._ask("PORT", self._member, "avanzarCaso", {"evento": step, "pid": pid}, why)

    def _case_id(self) -> str:
        return f"PORT-{self._code[:2]}-{self._now().year}-{secrets.randbelow(MANY):08d}"

    def new_folio(self, today: date) -> str:
        """A folio that says nothing of the person."""
        return f"ARCO-{self._code[:2]}-{today.year}-{secrets.randbelow(MANY):08d}"

    async def _token(self, subsystem: str, pid: Pid, member: str, why: Why) -> GatewayAnswer:
        response = await self._ask(subsystem, REGISTRY, "traducirPid", {"pid": pid, "destino": member}, why)
        if response.is_done and not isinstance(response.body.get("testigo"), str):
            return GatewayAnswer(0, {})
        return response

    def _look(self, purpose: str) -> Why:
        case = f"CONS-{self._code[:2]}-{self._now().year}-{secrets.randbelow(MANY):08d}"
        return self._why(purpose, case, "Consulta de la persona en su portal")

    def _why(self, purpose: str, case: str, reason: str) -> Why:
        system = REPRESENTATIVE_SYSTEM if self._role == REPRESENTATIVE else PERSON_SYSTEM
        return Why(purpose, case, self._role, reason, "portal", system)

    async def _ask(
        self, subsystem: str, provider: str, operation: str, body: dict[str, Any], why: Why
    ) -> GatewayAnswer:
        return await ask(self._gateway, subsystem, provider, operation, body, why)


class Supervising:
    """A guarantor's questions: counts without a case, single accesses only with one, policies in force."""

    def __init__(self, gateway: GatewayClient, now: Callable[[], datetime]) -> None:
        self._gateway = gateway
        self._now = now

    async def statistics(self, member: str, user: str, first: date, last: date) -> GatewayAnswer:
        """Counts of one institute, of nobody in particular."""
        code = member.rpartition("/")[2]
        case = f"CONS-{code[:2]}-{self._now().year}-{secrets.randbelow(MANY):08d}"
        why = Why("PUR-SUPERV", case, "GARANTE", "Supervisión periódica", user, GUARANTOR_SYSTEM)
        body = {"desde": first.isoformat(), "hasta": last.isoformat()}
        return await ask(self._gateway, "SUPERV", member, "estadisticaSupervision", body, why)

    async def status(self, member: str) -> GatewayAnswer:
        """Whether an institute's system answers, and under which policy version."""
        return await self._read(f"{member}/SUPERV/oss-v1/estado", member)

    async def policy(self) -> GatewayAnswer:
        """The signed policy that ONIESS publishes."""
        return await self._read(f"{ONIESS}/GOBIERNO/oss-v1/politica", ONIESS)

    async def _read(self, place: str, member: str) -> GatewayAnswer:
        rest = place.partition(f"{member}/")[2]
        try:
            return await self._gateway.read("SUPERV", member, rest)
        except DomainError as error:
            return GatewayAnswer(0, error.to_json())


async def ask(
    gateway: GatewayClient,
    subsystem: str,
    provider: str,
    operation: str,
    body: dict[str, Any],
    why: Why,
    place: Mapping[str, str] | None = None,
) -> GatewayAnswer:
    """One question; a gateway that this portal lacks is heard as silence."""
    try:
        return await gateway.ask(subsystem, provider, operation, body, why, place)
    except DomainError as error:
        return GatewayAnswer(0, dict(error.to_json()))


def explain(response: GatewayAnswer) -> Translatable:
    """Why something was not done; never the text of a fault that may name what was asked."""
    body = response.body
    if isinstance(body.get("mensaje"), str):
        code = str(body.get("codigo", ""))
        texts = {"es": body["mensaje"], "en": body.get("message", body["mensaje"])}
        return N_("{code}: {reason}", code=code, reason=Translated(texts))
    if isinstance(body.get("motivacion"), str):
        return _refusal(body)
    if response.status == 0:
        return N_("The institute's gateway could not be reached. Try again in a few minutes.")
    fault = str(body.get("type", response.status))[:120]
    return N_("The other side did not answer ({fault}). Try again later.", fault=fault)


def _refusal(body: dict[str, Any]) -> Translatable:
    """A formal refusal: code, reasons, and where and until when to appeal. Systems here write both languages in one text."""
    both = str(body["motivacion"]).split(" / ")
    reasons = Translated({"es": both[0], "en": both[-1]} if len(both) == 2 else {"es": body["motivacion"]})
    code, authority, last = (body.get(n, "") for n in ("codigo", "autoridad", "limiteImpugnacion"))
    return N_(
        "{code}: {reasons} You may appeal to {authority} until {last}.",
        code=code,
        reasons=reasons,
        authority=authority,
        last=last,
    )
