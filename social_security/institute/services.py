"""An institute's system as the gateway meets it: whom a request is about, what speaks against it, what is noted of it.

`InstituteServices` is what the parts of the system (affiliation, history, portability, admissions, ARCO, access log, vital
events) share; it knows none of them, `social_security.institute.operations` lists them. A person is named by the institute's own PID, by a pair PID it has met, or by a sealed token.

Spec: the domain reference 5.2, 5.7, 5.9.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from zoneinfo import ZoneInfo

from social_security.domain import pack
from social_security.domain.faults import APPEAL_DAYS, Appeal, DomainError, RefusalGrounds, concerning
from social_security.domain.pseudonyms import Pid, parse_pid
from social_security.institute.conventions import Conventions
from social_security.institute.export import build_record
from social_security.institute.ownsystem import ReadPeriods
from social_security.institute.stores.admissions import AdmissionStore
from social_security.institute.stores.arco import ArcoRequest, ArcoStore
from social_security.institute.stores.cases import Case, CaseStore
from social_security.institute.stores.measures import MeasureStore
from social_security.institute.stores.periods import Certified, Periods, PeriodStore
from social_security.institute.stores.persons import Access, PersonStore
from social_security.institute.stores.retirees import RetireeStore
from social_security.institute.stores.rights import AUTOMATED, RightsStore
from social_security.institute.stores.vital import VitalStore
from social_security.wire import tokens
from social_security.wire.gatewayclient import GatewayClient
from social_security.wire.gatewayrefusals import GatewayRefusals
from social_security.wire.outbox import Outbox, OutboxItem, Outcome
from social_security.wire.platform import PLATFORM
from social_security.wire.privacynotices import check_notice
from social_security.wire.service import DomainAnswer, DomainRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date, datetime

    from serving.storage.database import AnyDatabase
    from social_security.domain.calendars import Calendar
    from social_security.domain.edition import Edition
    from social_security.institute.ownsystem import OwnSystem
    from social_security.keys import InstituteKeys
    from social_security.wire.publication import PublicationCopy

# The person's own rights, and what a law commands, cannot be opposed.
_NOT_OPPOSED = frozenset(("PUR-ARCO", "PUR-BITACORA", "PUR-VITAL", "PUR-SUPERV", "PUR-ALTA"))
# What an institute that has left still answers for: what it keeps, what it did, and the end of its cases.
_AFTER_LEAVING = frozenset(("PUR-ARCO", "PUR-BITACORA", "PUR-SUPERV", "PUR-PORT", "PUR-VITAL"))
_HERSELF = frozenset(("TITULAR", "REPRESENTANTE"))
_NO_DATA = frozenset(("SS-300",))


@dataclass(frozen=True, slots=True)
class PersonSubject:
    """Whom a request is about: the institute's own PID, the pseudonym both ends log, the level of assurance."""

    pid: Pid
    shown: Pid
    level: int


class InstituteActs(Protocol):
    """The acts that an institute does of itself, by rules that stand on its services: `social_security.institute.operations`."""

    @property
    def daily(self) -> Sequence[Callable[[InstituteServices, datetime, date], None]]:
        """The steps that only time brings about, each run once a day."""
        ...

    @property
    def tells_platform(self) -> bool:
        """Whether new states of ARCO requests are handed to the national platform."""
        ...

    async def deliver(self, services: InstituteServices, notice: OutboxItem) -> bool | Outcome:
        """One try of one notice, to another member or to the platform."""
        ...


class InstituteServices:
    """The shared part of an institute's system."""

    def __init__(
        self,
        member: str,
        database: AnyDatabase,
        keys: InstituteKeys,
        clock: Callable[[], datetime],
        publication: PublicationCopy,
        policy: str,
        gateway: GatewayClient,
        acting: InstituteActs,
    ) -> None:
        self.member = member
        # The lists this system goes by: members, calendars, benefits, conventions, notices.
        self.publication = publication
        self.code = member.rpartition("/")[2]
        self.zone = ZoneInfo(self.calendar.zone)
        self.policy = policy
        self.database = database
        self.gateway = gateway
        self.guarantor = f"MX/GAR/{self.code[:2]}-GARANTE"
        self.causes: dict[str, str] = pack.codes()["arco_causes"]
        self.persons = PersonStore(database)
        self.periods: Periods = PeriodStore(database)
        # Another system of the institute where its periods are; then they are read there for each request.
        self.own_system: OwnSystem | None = None
        self.cases = CaseStore(database)
        self.conventions = Conventions(gateway, publication)
        self.rights = RightsStore(database)
        self.arco = ArcoStore(database, self._exports)
        self.admissions = AdmissionStore(database)
        self.vital = VitalStore(database)
        self.retirees = RetireeStore(database)
        self.measures = MeasureStore(database)
        self.gateway_refusals = GatewayRefusals(database, gateway, member, "BITACORA")
        self.outbox = Outbox(database, self._deliver, clock)
        self._ticked: date | None = None
        self._acting = acting
        self._keys = keys
        self._clock = clock

    def read_periods_of(self, system: OwnSystem) -> None:
        """Go by the periods in another system of the institute, instead of those in its database."""
        self.own_system = system
        self.periods = ReadPeriods({})  # what is not read for a request is refused, never taken as none

    def with_periods(self, periods: Periods) -> InstituteServices:
        """These services for one request, with the periods that were read for it."""
        made = copy.copy(self)
        made.periods = periods
        return made

    @property
    def edition(self) -> Edition:
        """The lists in force at this moment."""
        return self.publication.edition()

    @property
    def calendar(self) -> Calendar:
        """The calendar this institute counts by at this moment."""
        return self.publication.calendar(self.code)

    def now(self) -> datetime:
        """The time of this system's clock, aware, in UTC."""
        return self._clock()

    def today(self) -> date:
        """The date where the institute is."""
        return self.now().astimezone(self.zone).date()

    def admit(self, request: DomainRequest) -> None:
        """Refuse an unregistered notice (SS-204), what lists that are over would decide (SS-901), what is the successor's to answer (SS-603)."""
        self.publication.check(request.context.purpose)
        if request.context.purpose not in _AFTER_LEAVING:
            self.edition.check_present((self.member,), "X-Road-Client")
        check_notice(self.database, request.context)

    def subject(self, request: DomainRequest) -> PersonSubject:
        """Whom the request is about. Raises SS-209, SS-300 or SS-206, about her once she is known."""
        context, body = request.context, request.body
        if "testigo" in body:
            claims = tokens.open_token(
                body["testigo"], self._keys.own, self._keys.registry, self.member, request.now
            )
            # Known from here on: an attempt that is refused below shows in the person's log too.
            with concerning(claims.subject):
                tokens.check_use(claims, client=context.member, purpose=context.purpose, case=context.case)
                if claims.is_single_use and not self.persons.take_token(claims.token_id, claims.expires):
                    raise DomainError("SS-209", "ya se usó", "it has been used", field="testigo")
            self.persons.remember_pair(
                claims.pair, context.member, context.purpose, claims.subject, claims.level
            )
            found = PersonSubject(claims.subject, claims.pair, claims.level)
        else:
            found = self._by_pid(request, parse_pid(body["pid"]))
        with concerning(found.pid):
            self._check_level(request, found)
            self.check_opposition(request, found, request.context.purpose, request.operation.category)
        return found

    def subject_of_token(self, token: str, at: datetime) -> Pid | None:
        """Whom a token names here, whatever else may be wrong with its use; None when it is not for this institute."""
        try:
            return tokens.open_token(token, self._keys.own, self._keys.registry, self.member, at).subject
        except DomainError:
            return None

    def check_opposition(self, request: DomainRequest, subject: PersonSubject, *uses: str) -> None:
        """Refuse what the person opposes (SS-208). Her own view, and what others must do by law, goes on."""
        if request.context.purpose in _NOT_OPPOSED or request.context.role in _HERSELF:
            return
        automated = (AUTOMATED,) if request.context.role == "SISTEMA" else ()
        each = (self.rights.opposition(p, (*uses, *automated)) for p in self.persons.files_of(subject.pid))
        opposed = next((use for use in each if use is not None), None)
        if opposed is not None:
            raise self.refusal(
                "SS-208",
                request,
                "mx:LGPDPPSO-41",
                f"La persona se opuso a este uso de sus datos: {opposed}",
                f"The person opposes this use of her data: {opposed}",
            )

    def check_blocked(self, pid: Pid, *data: str) -> None:
        """Refuse data of a person that has been cancelled (SS-208): blocked, it has no ordinary use, not even by her."""
        blocked: dict[str, date] = {}
        for one in self.persons.files_of(pid):
            blocked |= self.rights.blocked(one)
        found = next((d for d in data if d in blocked), None)
        if found is not None:
            raise DomainError(
                "SS-208",
                f"cancelado a petición de la persona, bloqueado desde el {blocked[found]}: {found}",
                f"cancelled at the person's request, blocked since {blocked[found]}: {found}",
            )

    def certified(self, pid: Pid) -> list[Certified]:
        """The periods of a person that are certified now, under whichever of her pseudonyms here, by their first day."""
        every = [p for one in self.persons.files_of(pid) for p in self.periods.served(one)]
        return sorted(every, key=lambda p: (p.since, p.period_id))

    def cases_of(self, pid: Pid) -> list[Case]:
        """The portability cases of a person here, under whichever of her pseudonyms."""
        return [case for one in self.persons.files_of(pid) for case in self.cases.cases_of(one)]

    def not_participant(self, request: DomainRequest) -> DomainError:
        """The refusal of a sender who is not in the case, or may not do this in it (SS-405)."""
        return self.refusal(
            "SS-405",
            request,
            "mx:LGPDPPSO-60",
            f"{request.context.member} con el rol {request.context.role} no puede hacerlo en {request.context.case}",
            f"{request.context.member} as {request.context.role} may not do this in {request.context.case}",
        )

    def tick(self) -> None:
        """Do once a day what only time brings about: silences, lapses, suppression of data whose term is over."""
        today = self.today()
        if self._ticked == today:
            return
        for step in self._acting.daily:
            step(self, self.now(), today)
        self.rights.suppress(today)
        self._ticked = today

    def _exports(self, request: ArcoRequest, number: int) -> list[OutboxItem]:
        """The notices to the national platform about a request's new state."""
        if not self._acting.tells_platform:
            return []
        record = build_record(self.member, request, number)
        return [OutboxItem(f"{request.folio}:{number}", PLATFORM, "exportar", record, request.folio)]

    async def _deliver(self, notice: OutboxItem) -> bool | Outcome:
        return await self._acting.deliver(self, notice)

    def _by_pid(self, request: DomainRequest, pid: Pid) -> PersonSubject:
        context = request.context
        if context.member == self.member:
            known = self.persons.affiliation(pid)
            if known is not None:
                return PersonSubject(pid, pid, known.level)
        else:
            pair = self.persons.pair(pid, context.member, context.purpose)
            if pair is not None:
                return PersonSubject(pair[0], pid, pair[1])
        raise DomainError("SS-300", field="pid")

    def _check_level(self, request: DomainRequest, found: PersonSubject) -> None:
        needed = pack.purposes()[request.context.purpose].minimum_level
        if found.level >= needed:
            return
        raise self.refusal(
            "SS-206",
            request,
            "mx:LGPDPPSO-43",
            f"Se requiere LOA{needed} y consta LOA{found.level}. Para elevarlo: ventanilla del instituto con documento, "
            "ingreso con Llave MX, o e.firma",
            f"LOA{needed} is needed, LOA{found.level} is on file. To raise it: a branch with a document, "
            "Llave MX login, or e.firma",
        )

    def refusal(
        self, code: str, request: DomainRequest, basis: str, es: str, en: str, *, cause: str | None = None
    ) -> DomainError:
        """A formal refusal of this institute, with where and until when to appeal."""
        return DomainError(code, es, en, grounds=RefusalGrounds(self.appeal(request.today), basis, cause))

    def appeal(self, day: date) -> Appeal:
        """The guarantor of the institute's state and the last day to appeal an answer of ``day``."""
        return Appeal(self.guarantor, self.calendar.add(day, APPEAL_DAYS))

    def record(self, request: DomainRequest, answer: DomainAnswer | None, error: DomainError | None) -> None:
        """Append the access row of the person the request was about, whatever came of it."""
        pid = answer.subject if answer is not None else None if error is None else error.subject
        if not isinstance(pid, str):
            return
        context = request.context
        outcome = "ENTREGADO"
        if error is not None:
            outcome = "SIN_DATOS" if error.code in _NO_DATA else "NEGADO"
        # What was read of a person was read of all her files here: she sees it in each, also when they are two persons' again.
        for one in self.persons.files_of(Pid(pid)):
            self.persons.add_access(
                Access(
                    one,
                    request.now,
                    request.operation.es,
                    context.member,
                    context.system,
                    context.purpose,
                    ",".join(sorted(context.bases)),
                    answer.categories if answer is not None else (),
                    context.case,
                    context.message_id,
                    context.user,
                    outcome,
                    None if error is None else error.code,
                    None if context.hidden is None else context.hidden.basis,
                    None if context.hidden is None else context.hidden.until,
                )
            )
