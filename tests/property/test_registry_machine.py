"""The registry's books in any order of links, reports, annulments, merges and unmergings: what always holds.

Institutes apply the notices as they come. Then every institute that holds a person says the same of her as the registry,
no event was told twice, no annulment came without its event, and every pseudonym ever given leads to somebody.
"""

from __future__ import annotations

import shutil
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from social_security.domain.faults import DomainError
from social_security.registry.events import DEATH, in_force
from tests.registrybooks import CIVIL, IPE, ISSEMYM, SONORA, TODAY, Books

if TYPE_CHECKING:
    from social_security.domain.pseudonyms import Pid, Rid

MEMBERS = st.sampled_from([ISSEMYM, IPE, SONORA, CIVIL])
DAYS = st.sampled_from(["2026-02-20", "2026-02-21", "2026-03-01"])


class RegistryMachine(RuleBasedStateMachine):
    """Three persons, three institutes and a civil registry."""

    events: Bundle[tuple[str, str, str]] = Bundle("events")
    merges: Bundle[int] = Bundle("merges")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="sacbe-books-"))
        self.books = Books(self.folder)
        self.rids: list[Rid] = [self.books.store.enrol(None, level, TODAY) for level in (1, 2, 3)]
        self.absorbed: dict[int, tuple[Rid, Rid]] = {}
        self.given: dict[tuple[str, Pid], Rid] = {}

    def teardown(self) -> None:
        """Leave nothing behind."""
        self.books.store.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _present(self, number: int) -> Rid:
        rid, gone = self.rids[number], {other: stays for stays, other in self.absorbed.values()}
        while rid in gone:
            rid = gone[rid]
        return rid

    @rule(number=st.integers(0, 2), member=MEMBERS)
    def look_up(self, number: int, member: str) -> None:
        before = self.books.store.linked(self._present(number))
        rid = self._present(number)
        pid = self.books.pid(rid, member)
        self.given.setdefault((member, pid), rid)
        assert self.books.store.linked(rid) == before

    @rule(number=st.integers(0, 2), member=MEMBERS.filter(lambda m: m != CIVIL))
    def affiliate(self, number: int, member: str) -> None:
        rid = self._present(number)
        self.given.setdefault((member, self.books.store.link(rid, member, TODAY)), rid)

    @rule(number=st.integers(0, 2))
    def end_a_link(self, number: int) -> None:
        for member, pid in self.books.store.links(self._present(number))[:1]:
            self.books.store.end_link(member, pid, TODAY)

    @rule(target=events, number=st.integers(0, 2), member=MEMBERS, day=DAYS, alive=st.booleans())
    def report(self, number: int, member: str, day: str, alive: bool) -> tuple[str, str, str]:
        rid = self._present(number)
        pid = self.books.pid(rid, member)
        may = member == CIVIL or member in self.books.store.linked(rid)
        try:
            kind = "SUPERVIVENCIA" if alive else DEATH
            event = self.books.report(member, pid, kind, day)["idEvento"]
        except DomainError as error:
            assert (error.code, may) == ("SS-210", False)
            return member, pid, ""
        assert may
        return member, pid, event

    @rule(event=events, pid_of=st.one_of(st.none(), st.integers(0, 2)))
    def annul(self, event: tuple[str, str, str], pid_of: int | None) -> None:
        member, pid, event_id = event
        if pid_of is not None:
            pid = self.books.pid(self._present(pid_of), member)
        if event_id:
            try:
                self.books.report(member, pid, "ANULACION", "2026-03-02", anula=event_id)
            except DomainError as error:
                assert error.code == "SS-400"

    @rule(target=merges, pair=st.permutations([0, 1, 2]))
    def merge(self, pair: list[int]) -> int:
        stays, goes = self._present(pair[0]), self._present(pair[1])
        if stays == goes:
            return 0
        self.books.now += timedelta(seconds=1)
        number = self.books.store.merge(stays, goes, "of-1", "00", self.books.now)
        self.absorbed[number] = (stays, goes)
        return number

    @rule(number=consumes(merges))
    def unmerge(self, number: int) -> None:
        # Merges that build on each other are undone from the last one on.
        if number == 0 or number != max(self.absorbed, default=0):
            return
        self.books.now += timedelta(seconds=1)
        self.books.store.unmerge(number, "of-2", "11", self.books.now)
        del self.absorbed[number]

    @invariant()
    def every_pseudonym_leads_to_somebody(self) -> None:
        for member, pid in self.given:
            assert self.books.store.find_by_pid(member, pid) is not None

    @invariant()
    def every_holder_says_what_the_registry_says(self) -> None:
        self.books.deliver()
        for number in range(3):
            rid = self._present(number)
            dead = bool(in_force(self.books.store.reports(rid)))
            assert (self.books.state(rid) == "FALLECIDA") == dead
            for member, pid in self.books.store.links(rid):
                assert self.books.is_dead_at(member, pid) == dead


TestRegistryMachine = RegistryMachine.TestCase
TestRegistryMachine.settings = settings(max_examples=12, stateful_step_count=25, deadline=None)
