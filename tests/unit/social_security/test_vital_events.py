"""Who may say that somebody died, what contradicts it, who takes it back, and whom the registry tells."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from social_security.domain import pack
from social_security.domain.faults import DomainError
from social_security.registry.vital import decide_case
from tests.registrybooks import ACT, CIVIL, IPE, ISSEMYM, SONORA, TODAY, Books, day

CURPS = {p["name"]: p["curp"] for p in pack.persons()["persons"]}


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    made = Books(tmp_path)
    yield made
    made.store.close()


def test_a_look_up_gives_a_pid_and_makes_no_link(books: Books) -> None:
    rid = books.person(CURPS["jose-teodoro"], SONORA)
    pid = books.pid(rid, ISSEMYM)
    assert books.store.linked(rid) == [SONORA]
    assert books.refused(ISSEMYM, pid, "FALLECIMIENTO") == "SS-210"
    assert books.refused(ISSEMYM, pid, "SUPERVIVENCIA") == "SS-210"
    assert (books.state(rid), books.notices()) == ("VIVA", [])


def test_whoever_only_looked_is_not_told(books: Books) -> None:
    rid = books.person(CURPS["ana"], ISSEMYM, SONORA)
    books.pid(rid, IPE)
    books.report(SONORA, books.pid(rid, SONORA), "FALLECIMIENTO")
    assert {m for m, _, _ in books.notices()} == {ISSEMYM, SONORA}


def test_an_institute_that_no_longer_holds_her_neither_reports_nor_is_told(books: Books) -> None:
    rid = books.person(CURPS["ana"], ISSEMYM, SONORA)
    gone = books.pid(rid, ISSEMYM)
    books.store.end_link(ISSEMYM, gone, TODAY)
    assert books.refused(ISSEMYM, gone, "FALLECIMIENTO") == "SS-210"
    books.report(SONORA, books.pid(rid, SONORA), "FALLECIMIENTO")
    assert {m for m, _, _ in books.notices()} == {SONORA}
    with pytest.raises(LookupError):
        books.store.end_link(ISSEMYM, gone, TODAY)


def test_a_civil_registry_reports_without_holding_her(books: Books) -> None:
    rid = books.person(CURPS["ana"], IPE)
    assert books.report(CIVIL, books.pid(rid, CIVIL), "FALLECIMIENTO")["aplicado"]
    assert {m for m, _, _ in books.notices()} == {IPE}


@pytest.mark.parametrize(
    ("act", "code"),
    [
        (None, "SS-100"),
        ({**ACT, "fecha": "2026-02-28"}, "SS-103"),
        ({**ACT, "fecha": "2026-03-03"}, "SS-103"),
    ],
)
def test_a_death_needs_its_act_of_a_possible_day(books: Books, act: dict[str, str] | None, code: str) -> None:
    rid = books.person(CURPS["ana"], IPE)
    assert books.refused(IPE, books.pid(rid, IPE), "FALLECIMIENTO", acta=act) == code
    assert books.state(rid) == "VIVA"


@pytest.mark.parametrize("when", ["1950-01-01", "2026-03-03", "2999-01-01"])
def test_a_death_before_the_birth_or_in_the_future_is_refused(books: Books, when: str) -> None:
    rid = books.person(CURPS["ana"], IPE)
    assert books.refused(IPE, books.pid(rid, IPE), "FALLECIMIENTO", when) == "SS-103"


def test_an_annulment_is_of_the_very_event_person_and_sender(books: Books) -> None:
    ana, ines = books.person(CURPS["ana"], IPE, SONORA), books.person(CURPS["maria-ines"], IPE, SONORA)
    event = books.report(IPE, books.pid(ines, IPE), "FALLECIMIENTO")["idEvento"]
    books.report(IPE, books.pid(ana, IPE), "FALLECIMIENTO")
    for member, rid, anula in (
        (IPE, ana, event),
        (SONORA, ines, event),
        (IPE, ines, str(uuid.uuid4())),
        (IPE, ines, None),
    ):
        assert books.refused(member, books.pid(rid, member), "ANULACION", anula=anula) == "SS-400"
    assert (books.state(ana), books.state(ines)) == ("FALLECIDA", "FALLECIDA")
    back = books.report(IPE, books.pid(ines, IPE), "ANULACION", anula=event)["idEvento"]
    assert (books.state(ana), books.state(ines)) == ("FALLECIDA", "VIVA")
    assert books.refused(IPE, books.pid(ines, IPE), "ANULACION", anula=event) == "SS-400"
    assert books.refused(IPE, books.pid(ines, IPE), "ANULACION", anula=back) == "SS-400"


def test_an_event_id_is_one_event_of_its_sender(books: Books) -> None:
    ana, ines = books.person(CURPS["ana"], IPE, ISSEMYM), books.person(CURPS["maria-ines"], IPE, ISSEMYM)
    one = {"idEvento": str(uuid.uuid4())}
    books.report(IPE, books.pid(ana, IPE), "FALLECIMIENTO", **one)
    before = books.notices()
    books.report(IPE, books.pid(ana, IPE), "FALLECIMIENTO", **one)
    assert books.notices() == before
    assert books.refused(IPE, books.pid(ines, IPE), "FALLECIMIENTO", **one) == "SS-402"
    assert books.refused(IPE, books.pid(ana, IPE), "FALLECIMIENTO", "2026-02-28", **one) == "SS-402"
    assert books.refused(IPE, books.pid(ana, IPE), "SUPERVIVENCIA", **one) == "SS-402"
    # Another sender's ids are its own.
    books.report(ISSEMYM, books.pid(ines, ISSEMYM), "FALLECIMIENTO", **one)
    assert books.state(ines) == "FALLECIDA"
    books.deliver()
    assert books.is_dead_at(IPE, books.pid(ines, IPE))


def test_a_second_date_opens_a_case_and_overwrites_nothing(books: Books) -> None:
    rid = books.person(CURPS["ana"], IPE, SONORA)
    first = books.report(IPE, books.pid(rid, IPE), "FALLECIMIENTO", "2026-02-20")
    told = books.notices()
    second = books.report(SONORA, books.pid(rid, SONORA), "FALLECIMIENTO", "2026-02-25")
    assert (second["aplicado"], books.notices()) == (False, told)
    assert books.store.open_cases() == [
        (second["caso"], "consta fallecimiento del 2026-02-20 y se avisa del 2026-02-25")
    ]
    with pytest.raises(ValueError, match="no death reported"):
        decide_case(books.store, second["caso"], (IPE, second["idEvento"]), "of-1", books.now)
    decide_case(books.store, second["caso"], (SONORA, second["idEvento"]), "of-1", books.now)
    books.deliver()
    assert (books.state(rid), books.store.open_cases()) == ("FALLECIDA", [])
    assert books.is_dead_at(IPE, books.pid(rid, IPE))
    assert [r.stands for r in books.store.reports(rid) if r.event_id == first["idEvento"]] == [False]


def test_the_same_death_from_two_institutes_is_told_once_and_stands_while_one_says_it(books: Books) -> None:
    rid = books.person(CURPS["ana"], IPE, SONORA)
    one = books.report(IPE, books.pid(rid, IPE), "FALLECIMIENTO")
    told = books.notices()
    two = books.report(SONORA, books.pid(rid, SONORA), "FALLECIMIENTO")
    assert (two["aplicado"], books.notices()) == (True, told)
    kept = books.report(IPE, books.pid(rid, IPE), "ANULACION", anula=one["idEvento"])
    assert (books.state(rid), kept["aplicado"], len(books.store.open_cases())) == ("FALLECIDA", True, 1)
    books.report(SONORA, books.pid(rid, SONORA), "ANULACION", anula=two["idEvento"])
    books.deliver()
    assert books.state(rid) == "VIVA"
    assert not books.is_dead_at(IPE, books.pid(rid, IPE))


@pytest.mark.parametrize("alive_first", [True, False])
def test_seen_alive_after_the_day_of_death_opens_a_case(books: Books, alive_first: bool) -> None:
    rid = books.person(CURPS["ana"], IPE, SONORA)
    reports = [(SONORA, "SUPERVIVENCIA", "2026-02-26"), (IPE, "FALLECIMIENTO", "2026-02-20")]
    answers = [
        books.report(m, books.pid(rid, m), kind, at)
        for m, kind, at in (reports if alive_first else reports[::-1])
    ]
    assert [a["aplicado"] for a in answers] == [True, False]
    assert books.state(rid) == ("VIVA" if alive_first else "FALLECIDA")
    assert [c for c, _ in books.store.open_cases()] == [answers[1]["caso"]]
    assert books.report(IPE, books.pid(rid, IPE), "SUPERVIVENCIA", "2026-02-19")["aplicado"]


def test_an_institute_that_affiliates_her_later_hears_of_her_death(books: Books) -> None:
    rid = books.person(CURPS["ana"], IPE)
    books.report(IPE, books.pid(rid, IPE), "FALLECIMIENTO")
    books.store.link(rid, SONORA, day("2026-03-02"))
    books.deliver()
    assert books.is_dead_at(SONORA, books.pid(rid, SONORA))


@pytest.mark.parametrize("kind", ["CORRECCION_CURP", "FUSION", "SEPARACION"])
def test_what_only_an_officer_does_is_not_done_by_message(books: Books, kind: str) -> None:
    rid = books.person(CURPS["ana"], IPE)
    with pytest.raises(DomainError, match="SS-400"):
        books.report(IPE, books.pid(rid, IPE), kind)


@pytest.mark.parametrize("day", ["0001-01-01", "1899-12-31"])
def test_of_a_person_without_curp_too_nothing_is_reported_of_before_anybody_was_born(
    books: Books, day: str
) -> None:
    rid = books.store.enrol(None, 1, TODAY)
    books.store.link(rid, ISSEMYM, TODAY)
    assert books.refused(ISSEMYM, books.pid(rid, ISSEMYM), "FALLECIMIENTO", day) == "SS-103"
    assert books.report(ISSEMYM, books.pid(rid, ISSEMYM), "FALLECIMIENTO", "2000-02-29")["aplicado"]
