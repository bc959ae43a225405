"""A registry's books on a database of their own, and institutes that apply its notices: for tests without any gateway."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from social_security.domain import pack
from social_security.domain.curp import parse_curp
from social_security.domain.faults import DomainError
from social_security.domain.pseudonyms import Pid, Rid
from social_security.keys import new_registry_keys
from social_security.registry.store import RegistryStore
from social_security.registry.tables import STEPS as REGISTRY_STEPS
from social_security.registry.vital import report_event
from social_security.wire.books import open_books
from social_security.wire.context import MessageContext, PrivacyNotice
from social_security.wire.outbox import Outbox
from social_security.wire.service import DomainRequest

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 3, 2, 15, tzinfo=UTC)
TODAY = NOW.date()
ISSEMYM, IPE, SONORA, CIVIL = (f"MX/GOB/{c}" for c in ("15-ISSEMYM", "30-IPE", "26-ISSSTESON", "15-REGCIVIL"))
ACT = {"numero": "AD-2026-15", "oficialia": "15-057 Toluca 01", "fecha": "2026-03-01"}


async def _nowhere(_notice: Any) -> bool:
    return False


@dataclass(slots=True)
class Books:
    """The registry's store, its clock, and what each institute's file says after the notices so far."""

    folder: Path
    now: datetime = NOW
    store: RegistryStore = field(init=False)
    files: dict[tuple[str, str], dict[str, bool]] = field(default_factory=dict)
    taken: int = 0

    def __post_init__(self) -> None:
        self.store = RegistryStore(open_books(self.folder, "registry", REGISTRY_STEPS), new_registry_keys())

    def person(self, curp: str, *members: str, level: int = 2) -> Rid:
        """A person with links."""
        rid = self.store.enrol(parse_curp(curp, TODAY), level, TODAY)
        for member in members:
            self.store.link(rid, member, TODAY)
        return rid

    def pid(self, rid: Rid, member: str) -> Pid:
        """The PID a member has of a person; asking for it is a look-up."""
        return self.store.pid_of(rid, member, TODAY)

    def report(
        self, member: str, pid: str, kind: str, day: str = "2026-03-01", **more: Any
    ) -> dict[str, Any]:
        """Report an event; the answer's body. Raises `DomainError`."""
        self.now += timedelta(seconds=1)
        body = {"idEvento": str(uuid.uuid4()), "pid": pid, "tipo": kind, "fechaEvento": day, **more}
        if kind == "FALLECIMIENTO":
            body.setdefault("acta", {**ACT, "fecha": max(day, ACT["fecha"])})
        body = {n: v for n, v in body.items() if v is not None}
        context = MessageContext(
            member, "VITAL", "m", "u", "CONS-15-2026-00000001", "PUR-VITAL", frozenset(), "r", "s",
            "ANALISTA_AFILIACION", PrivacyNotice("", ""), "1.0.0",
        )  # fmt: skip
        asked = DomainRequest(pack.operations()["notificarEvento"], context, {}, body, self.now, TODAY)
        return dict(report_event(self.store, asked).body) | {"idEvento": body["idEvento"]}

    def refused(self, member: str, pid: str, kind: str, day: str = "2026-03-01", **more: Any) -> str:
        """The code with which a report is refused."""
        try:
            self.report(member, pid, kind, day, **more)
        except DomainError as error:
            return error.code
        raise AssertionError("it was taken")

    def notices(self) -> list[tuple[str, str, str]]:
        """Member, its PID and kind of every notice queued."""
        outbox = Outbox(self.store.database, _nowhere, lambda: self.now)
        return [(n.member, n.body["pid"], n.body["tipo"]) for n in outbox.all()]

    def deliver(self) -> None:
        """Every institute applies what it has been told since, in order: its deaths by id, those annulled taken out."""
        outbox = Outbox(self.store.database, _nowhere, lambda: self.now).all()
        for notice in outbox[self.taken :]:
            deaths = self.files.setdefault((notice.member, notice.body["pid"]), {})
            if notice.body["tipo"] == "FALLECIMIENTO":
                assert notice.body["idEvento"] not in deaths, "an event is told once"
                deaths[notice.body["idEvento"]] = True
            elif notice.body["tipo"] == "ANULACION":
                assert deaths.get(notice.body["anula"]), "what is annulled was told, and stands"
                deaths[notice.body["anula"]] = False
        self.taken = len(outbox)

    def is_dead_at(self, member: str, pid: str) -> bool:
        """Whether an institute's file says that the person has died."""
        deaths = [d for d, stands in self.files.get((member, pid), {}).items() if stands]
        assert len(deaths) <= 1, "an institute knows at most one death of a person"
        return bool(deaths)

    def state(self, rid: Rid) -> str:
        """The person's vital state."""
        ((state,),) = self.store.database.query("SELECT vital_state FROM person WHERE rid = ?", (rid,))
        return str(state)


def day(text: str) -> date:
    """A date."""
    return date.fromisoformat(text)
