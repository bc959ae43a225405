"""An institute's system as the gateway meets it: whom a request is about, what speaks against it, what is noted of it.

`InstituteDesk` is what the parts of the system (affiliation, history, portability, admissions, ARCO, access log, vital
events) share. A person is named by the institute's own PID, by a pair PID it has met, or by a sealed token.

Spec: the domain reference 5.2, 5.7, 5.9.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from social_security import pack, tokens
from social_security.faults import Appeal, DomainError, Refusal
from social_security.institute.store import Access, PersonStore
from social_security.pseudonyms import Pid, parse_pid
from social_security.service import Answer, Asked

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date, datetime

    from serving.database import Database
    from social_security.calendars import Calendar
    from social_security.keys import InstituteKeys

APPEAL_DAYS = 15  # LGPDPPSO 86: working days from the answer
_NO_DATA = frozenset(("SS-300",))


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a request is about: the institute's own PID, the pseudonym both ends log, the level of assurance."""

    pid: Pid
    shown: Pid
    level: int


class InstituteDesk:
    """The shared part of an institute's system."""

    def __init__(
        self,
        member: str,
        database: Database,
        keys: InstituteKeys,
        clock: Callable[[], datetime],
        calendar: Calendar,
        policy: str,
    ) -> None:
        self.member = member
        self.code = member.rpartition("/")[2]
        self.calendar = calendar
        self.zone = ZoneInfo(calendar.zone)
        self.policy = policy
        self.database = database
        self.persons = PersonStore(database)
        self._keys = keys
        self._clock = clock
        self._subjects: dict[str, Pid] = {}

    def now(self) -> datetime:
        """The time."""
        return self._clock()

    def today(self) -> date:
        """The date where the institute is."""
        return self.now().astimezone(self.zone).date()

    def admit(self, asked: Asked) -> None:
        """Refuse an unregistered privacy notice (SS-204)."""
        notice = asked.context.notice
        if self.persons.notice(notice.uri) != notice.sha256:
            raise DomainError("SS-204", field="X-OSS-Aviso")

    def subject(self, asked: Asked) -> Subject:
        """Whom the request is about. Raises SS-209, SS-300 or SS-206; from here on the access row knows her."""
        context, body = asked.context, asked.body
        if "testigo" in body:
            claims = tokens.open_token(
                body["testigo"], self._keys.own, self._keys.registry, self.member, asked.now
            )
            tokens.check_use(claims, client=context.member, purpose=context.purpose, case=context.case)
            if claims.is_single_use and not self.persons.take_token(claims.token_id, claims.expires):
                raise DomainError("SS-209", "ya se usó", "it has been used", field="testigo")
            self.persons.remember_pair(
                claims.pair, context.member, context.purpose, claims.subject, claims.level
            )
            found = Subject(claims.subject, claims.pair, claims.level)
        else:
            found = self._by_pid(asked, parse_pid(body["pid"]))
        self._subjects[context.message_id] = found.pid
        self._check_level(asked, found)
        return found

    def _by_pid(self, asked: Asked, pid: Pid) -> Subject:
        context = asked.context
        if context.member == self.member:
            known = self.persons.affiliation(pid)
            if known is not None:
                return Subject(pid, pid, known.level)
        else:
            pair = self.persons.pair(pid, context.member, context.purpose)
            if pair is not None:
                return Subject(pair[0], pid, pair[1])
        raise DomainError("SS-300", field="pid")

    def _check_level(self, asked: Asked, found: Subject) -> None:
        needed = pack.purposes()[asked.context.purpose].minimum_level
        if found.level >= needed:
            return
        raise self.refusal(
            "SS-206",
            asked,
            "mx:LGPDPPSO-43",
            f"Se requiere LOA{needed} y consta LOA{found.level}. Para elevarlo: ventanilla del instituto con documento, "
            "ingreso con Llave MX, o e.firma",
            f"LOA{needed} is needed, LOA{found.level} is on file. To raise it: a branch with a document, "
            "Llave MX login, or e.firma",
        )

    def refusal(
        self, code: str, asked: Asked, basis: str, es: str, en: str, *, cause: str | None = None
    ) -> Refusal:
        """A formal refusal of this institute, with where and until when to appeal."""
        return Refusal(code, self.appeal(asked.today), basis, es, en, cause=cause)

    def appeal(self, day: date) -> Appeal:
        """The guarantor of the institute's state and the last day to appeal an answer of ``day``."""
        return Appeal(f"MX/GAR/{self.code[:2]}-GARANTE", self.calendar.add(day, APPEAL_DAYS))

    def record(self, asked: Asked, answer: Answer | None, error: DomainError | None) -> None:
        """Append the access row of the person the request was about, whatever came of it."""
        pid = self._subjects.pop(asked.context.message_id, None)
        if pid is None:
            return
        context = asked.context
        outcome = "ENTREGADO"
        if error is not None:
            outcome = "SIN_DATOS" if error.code in _NO_DATA else "NEGADO"
        self.persons.add_access(
            Access(
                pid,
                asked.now,
                asked.operation.es,
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
