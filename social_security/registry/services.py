"""What the registry answers: match a person, translate her pseudonym, say who holds a history, note a case.

Each function is one operation of the service description. The registry learns who asks whom and why; it never sees what
they tell each other.

Spec: the domain reference 5.7; S02, S10, S11.
"""

from __future__ import annotations

import functools
import uuid
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from schemas.jsontext import load_json
from social_security.domain.curp import parse_curp
from social_security.domain.faults import APPEAL_DAYS, FEDERAL_GUARANTOR, Appeal, DomainError, concerning
from social_security.domain.pseudonyms import Rid, pair_pid, parse_pid
from social_security.domain.ranges import parse_moments
from social_security.institute.accesslog import render_usage
from social_security.registry import publication, recipients, reviews
from social_security.registry.accesses import AccessStore, PersonAccess
from social_security.registry.cases import ENDED, CaseEntry, find_case, register_case
from social_security.registry.curpstates import CurpState
from social_security.registry.holding import (
    check_membership,
    check_recipient,
    register_links,
    take_membership,
)
from social_security.registry.lookups import count_lookup
from social_security.registry.vital import deliver, report_event
from social_security.wire import tokens
from social_security.wire.gatewayrefusals import GatewayRefusals
from social_security.wire.outbox import Outbox, OutboxItem
from social_security.wire.privacynotices import check_notice
from social_security.wire.recordproofs import AccessLine, check_proofs, gather_proofs
from social_security.wire.service import DomainAnswer, DomainRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from aiohttp import web

    from social_security.domain.calendars import Calendar
    from social_security.keys import RegistryKeys
    from social_security.registry.store import Person, RegistryStore
    from social_security.wire.gatewayclient import GatewayClient
    from social_security.wire.publication import PublicationCopy

CLOSED = ENDED
# Working days for which an open case holds a benefit when nobody registers it again.
BENEFIT_HOLD_DAYS = 120
MAX_ROWS = 1000


class RegistryServices:
    """The registry's operations over its store."""

    def __init__(
        self,
        member: str,
        store: RegistryStore,
        keys: RegistryKeys,
        clock: Callable[[], datetime],
        publication: PublicationCopy,
        policy: str,
        gateway: GatewayClient,
    ) -> None:
        self.member = member
        # The lists this system goes by.
        self.publication = publication
        self.zone = ZoneInfo(self.calendar.zone)
        self.policy = policy
        self.store = store
        self._keys = keys
        self._clock = clock
        self._gateway = gateway
        self.accesses = AccessStore(store.database)
        self.gateway_refusals = GatewayRefusals(store.database, gateway, member, "INDICE")
        self.outbox = Outbox(store.database, self._deliver, clock)

    @property
    def calendar(self) -> Calendar:
        """The calendar the registry counts by at this moment."""
        return self.publication.calendar(self.member.rpartition("/")[2])

    def now(self) -> datetime:
        """The time of this system's clock, aware, in UTC."""
        return self._clock()

    def admit(self, request: DomainRequest) -> None:
        """Refuse an unregistered privacy notice (SS-204), a suspended member, and what lists that are over would decide (SS-901)."""
        self.publication.check(request.context.purpose)
        check_notice(self.store.database, request.context)
        check_membership(self.store, request)

    def tick(self) -> None:
        """Nothing here falls due by itself."""

    def appeal(self, day: date) -> Appeal:
        """The federal guarantor, within the working days of this member's calendar."""
        return Appeal(FEDERAL_GUARANTOR, self.calendar.add(day, APPEAL_DAYS))

    def record(self, request: DomainRequest, answer: DomainAnswer | None, error: DomainError | None) -> None:
        """Append the access row of the person whose record was used, whatever came of it."""
        rid = answer.subject if answer is not None else None if error is None else error.subject
        if not isinstance(rid, bytes):
            return
        outcome = "ENTREGADO" if error is None else "SIN_DATOS" if error.code == "SS-300" else "NEGADO"
        self.note_accesses(request, [Rid(rid)], answer.categories if answer is not None else (), outcome)

    def note_accesses(
        self,
        request: DomainRequest,
        rids: Sequence[Rid],
        categories: tuple[str, ...],
        outcome: str = "ENTREGADO",
    ) -> None:
        """Append a row to the access log of each person whose record a request used."""
        context = request.context
        self.accesses.add(
            *(
                PersonAccess(
                    rid,
                    request.now,
                    request.operation.es,
                    context.member,
                    context.system,
                    context.purpose,
                    min(context.bases),
                    categories,
                    context.case,
                    context.message_id,
                    outcome,
                )
                for rid in rids
            )
        )

    def acts(self) -> dict[str, Callable[[DomainRequest], DomainAnswer | Awaitable[DomainAnswer]]]:
        """The handlers of the registry's services, by operation name."""
        return {
            "buscarBeneficiario": self.find_person,
            "traducirPid": self.translate,
            "localizarHistoria": self.locate,
            "registrarCaso": self.register_case,
            "notificarEvento": functools.partial(report_event, self.store),
            "registrarVinculos": functools.partial(register_links, self),
            "notificarMembresia": functools.partial(take_membership, self),
            "findUsage": self.find_usage,
            "listarRevisiones": functools.partial(reviews.list_reviews, self),
            "resolverRevision": functools.partial(reviews.resolve_review, self),
            "elevarNivel": functools.partial(reviews.raise_level, self),
            "registrarLlave": functools.partial(recipients.take_key, self),
        }

    def readings(self) -> dict[str, Callable[[Mapping[str, str]], Awaitable[web.Response]]]:
        """The public readings by path."""
        return {
            "/indicadores": functools.partial(
                publication.read_indicators, self.member, self.store, self.gateway_refusals
            ),
            "/violaciones": functools.partial(publication.read_violations, self.gateway_refusals),
            "/llave": functools.partial(recipients.read_key, self.member, self._keys.signing),
        }

    def find_person(self, request: DomainRequest) -> DomainAnswer:
        """Match by CURP or own PID; the caller gets its own PID and nobody else's. Raises `DomainError` (SS-301)."""
        self._check_quota(request)
        body, member = request.body, request.context.member
        state = None
        if "curp" in body:
            curp = parse_curp(body["curp"], request.today)
            person, state = self.store.find_by_curp(curp), self.store.state_of_curp(curp)
            born = body.get("fechaNacimiento")
            if person is not None and born is not None and date.fromisoformat(born) != curp.born:
                raise DomainError(
                    "SS-301",
                    "la fecha no es la de la CURP",
                    "the date is not the CURP's",
                    field="fechaNacimiento",
                )
        else:
            person = self.store.find_by_pid(member, parse_pid(body["pid"]))
        if person is None:
            return DomainAnswer({"resultado": "NO_COINCIDE"}, categories=("identidad",))
        rid = person.rid
        attributes = body.get("atributos", ())
        # Said unasked when it is not the active one: whoever was shown this CURP must know.
        shows_state = state is not None and (state is not CurpState.ACTIVE or "estadoCurp" in attributes)
        state_fields = {"estadoCurp": str(state)} if shows_state else {}
        if (
            self.store.is_under_review(person.rid)
            or self._is_expired(person, request.today)
            or state is CurpState.CANCELLED
        ):
            return DomainAnswer(
                {"resultado": "NO_CONCLUYENTE", **state_fields}, categories=("identidad",), subject=rid
            )
        answer: dict[str, object] = {
            "resultado": "COINCIDE",
            "pid": body["pid"] if "pid" in body else self.store.pid_of(person.rid, member, request.today),
            **state_fields,
        }
        if "nivel" in attributes:
            answer["nivel"] = f"LOA{person.level}"
        if "estadoVital" in attributes:
            answer["estadoVital"] = person.vital_state
        return DomainAnswer(answer, categories=("identidad",), subject=rid)

    def translate(self, request: DomainRequest) -> DomainAnswer:
        """PID-P and a sealed token for one recipient, one purpose, one case."""
        context = request.context
        self._check_case_open(request)
        person = self._known(request)
        recipient = request.body["destino"]
        with concerning(person.rid):
            key = self._key_of(recipient)
        # Whole seconds: the token carries no smaller ones.
        issued = request.now.replace(microsecond=0)
        claims = tokens.Claims(
            self.member,
            recipient,
            str(uuid.uuid4()),
            issued,
            issued + self._life(context.case),
            context.purpose,
            context.case,
            context.member,
            pair_pid(
                self._keys.pid, self._keys.version, person.rid, context.member, recipient, context.purpose
            ),
            self.store.pid_of(person.rid, recipient, request.today),
            person.level,
        )
        return DomainAnswer(
            {
                "pidPar": claims.pair,
                "testigo": tokens.seal(claims, self._keys.signing, key),
                "vence": claims.expires.isoformat(),
            },
            categories=("identidad",),
            subject=person.rid,
        )

    def _key_of(self, recipient: str) -> Any:
        """The public key (JWK) that tokens for a recipient are sealed for. Raises SS-300 without one."""
        check_recipient(self.store, recipient)
        jwk = self.store.recipient(recipient)
        if jwk is None:
            raise DomainError(
                "SS-300",
                f"{recipient} no tiene llave para testigos",
                f"{recipient} has no key for tokens",
                field="destino",
            )
        return load_json(jwk)

    def locate(self, request: DomainRequest) -> DomainAnswer:
        """The members that hold a history; never the history."""
        self._check_case_open(request)
        rid = self._known(request).rid
        return DomainAnswer({"institutos": self.store.holders(rid)}, categories=("identidad",), subject=rid)

    def register_case(self, request: DomainRequest) -> DomainAnswer:
        """Note a case, or its new state. While another open one holds the benefit, that one is named and nothing noted.

        Raises `DomainError` (SS-405, SS-402).
        """
        body = request.body
        person = self._known(request)
        before = find_case(self.store.database, body["caso"])
        benefit = body.get("beneficio") or (None if before is None else before.benefit)
        with concerning(person.rid):
            if before is not None and before.member != request.context.member:
                raise DomainError("SS-405", field="caso")
            if before is not None and (before.rid != person.rid or before.benefit not in (None, benefit)):
                raise DomainError(
                    "SS-402",
                    "el caso es de otra persona o beneficio",
                    "the case is another person's or for another benefit",
                    field="caso",
                )
        until = self.calendar.add(request.today, BENEFIT_HOLD_DAYS) if body["estado"] == "ABIERTO" else None
        member = request.context.member
        # The day is her institute's: late on one in the west it is the next one here.
        where = ZoneInfo(self.publication.calendar(member.rpartition("/")[2]).zone)
        applied = request.now.astimezone(where).date()
        entry = CaseEntry(body["caso"], member, person.rid, benefit, body["estado"], body["pid"], applied)
        done = register_case(
            self.store.database,
            entry,
            request.now.astimezone(self.zone),
            until,
            is_left=bool(body.get("porSalida", False)),
        )
        if done.holder is not None:
            outcome = {"resultado": "DUPLICADO", "caso": done.holder}
        else:
            outcome = {"resultado": "SIN_DUPLICADO", "caso": body["caso"]}
        if done.first_day is not None:
            outcome["presentadaEl"] = done.first_day.isoformat()
        return DomainAnswer(outcome, categories=("beneficio",), subject=person.rid)

    async def find_usage(self, request: DomainRequest) -> DomainAnswer:
        """``findUsage``: who used the person's record at the registry, newest first; asked through an institute of hers.

        With ``proofs`` as at an institute (`social_security.institute.accesslog.find_usage`).
        """
        body, rid = request.body, self._known(request).rid
        with concerning(rid):
            moments = parse_moments(body, "periodStart", "periodEnd")
            check_proofs(body)
        total, rows = self.accesses.page(
            rid,
            *moments,
            body.get("offset", 0),
            body.get("limit", MAX_ROWS),
        )
        answer: dict[str, Any] = {
            "totalUsages": total,
            "usages": [render_usage(self.publication.edition(), a) for a in rows],
        }
        if "proofs" in body:
            chosen = body["proofs"]
            if chosen:
                _, rows = self.accesses.page(rid, None, None, 0, len(chosen), chosen)
            answer["proofs"] = await gather_proofs(
                self._gateway, [AccessLine(a.action, a.message_id, a.at) for a in rows]
            )
        return DomainAnswer(answer, categories=("bitacora",), subject=rid)

    async def _deliver(self, notice: OutboxItem) -> bool:
        return await deliver(self.store, self._keys, self._gateway, self.member, notice, self.now())

    def _known(self, request: DomainRequest) -> Person:
        person = self.store.find_by_pid(request.context.member, parse_pid(request.body["pid"]))
        if person is None:
            raise DomainError("SS-300", field="pid")
        if self._is_expired(person, request.today) and request.operation.name != "findUsage":
            with concerning(person.rid):
                raise DomainError(
                    "SS-301",
                    "venció su referencia sin CURP; el registro civil o RENAPO la expide",
                    "her reference without CURP has ended; the civil registry or RENAPO issues one",
                    field="pid",
                )
        return person

    def _is_expired(self, person: Person, today: date) -> bool:
        """Whether a person without CURP was to have one by now."""
        until = self.store.no_curp_until(person.rid)
        return until is not None and until < today

    def _check_case_open(self, request: DomainRequest) -> None:
        entry = find_case(self.store.database, request.context.case)
        if entry is not None and entry.state in CLOSED:
            raise DomainError(
                "SS-205", f"el caso está {entry.state}", f"the case is {entry.state}", field="X-Road-Issue"
            )

    def _check_quota(self, request: DomainRequest) -> None:
        quota = request.operation.daily_quota
        context = request.context
        count = count_lookup(self.store.database, context.user, context.member, context.case, request.today)
        if quota is not None and count > quota:
            raise DomainError(
                "SS-304",
                f"la cuota es de {quota} consultas por cuenta y día",
                f"the quota is {quota} look-ups per account and day",
            )

    @staticmethod
    def _life(case: str) -> timedelta:
        return tokens.life_of(case)
