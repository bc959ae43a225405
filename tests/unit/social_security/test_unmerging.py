"""Two records are one, the institute that knew one of them leaves to a successor, and they are made two again: each has what is hers."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from social_security.commands.seed import rid_of
from tests.directgateway import DirectCountry
from tests.property.countrymachine import MEMBERS, hand_over_files
from tests.registrybooks import ACT
from tests.unit.social_security.test_succession import ANALYST, HEIR, LEFT, PERSON, PIDS, THIRD, leave

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from social_security.domain.pseudonyms import Pid

STAYS, GOES = "ana", "maria-ines"


@pytest.fixture
def country(tmp_path: Path) -> Iterator[DirectCountry]:
    (tmp_path / "systems").mkdir()
    made = DirectCountry(tmp_path / "systems")
    yield made
    made.close()


def files(c: DirectCountry, code: str) -> dict[str, str]:
    """File number -> PID at an institute."""
    return {
        str(n): str(p)
        for n, p in c.institutes[code].database.query("SELECT file_number, pid FROM affiliation")
    }


def periods(c: DirectCountry, code: str, pid: str) -> set[str]:
    """The periods under a PID, by the name that they had where they were certified first."""
    rows = c.institutes[code].database.query("SELECT period_id FROM period WHERE pid = ?", (pid,))
    return {":".join(str(r[0]).split(":")[-2:]) for r in rows}


def whose(c: DirectCountry, code: str, pid: str) -> Any:
    found = c.registry.store.find_by_pid(MEMBERS[code], pid)  # type: ignore[arg-type]
    return None if found is None else found.rid


def merge(c: DirectCountry) -> int:
    return c.registry.store.merge(rid_of(STAYS), rid_of(GOES), "of-1", "00", c.now)


async def history(c: DirectCountry, code: str, pid: str) -> Any:
    return await c.ask(
        f"{code}/HIST",
        code,
        "consultarHistoria",
        {"pid": pid},
        "PUR-HIST",
        f"CONS-{code[:2]}-2026-00000001",
        PERSON,
    )


async def test_each_file_goes_to_the_person_of_the_record_it_was_kept_for(country: DirectCountry) -> None:
    before = {who: periods(country, LEFT, PIDS[who][LEFT]) for who in (STAYS, GOES)}
    number_of = {pid: number for number, pid in files(country, LEFT).items()}
    numbers = {who: number_of[PIDS[who][LEFT]] for who in (STAYS, GOES)}
    number = merge(country)
    await country.settle()
    await leave(country)
    await country.settle()
    country.now += timedelta(days=3)
    country.registry.store.unmerge(number, "of-2", "11", country.now)
    await country.settle()
    at_heir = files(country, HEIR)
    for who in (STAYS, GOES):
        # By the file number that she had there, or the heir's own where it had a file of hers already.
        pid = at_heir.get(numbers[who], PIDS[who].get(HEIR, ""))
        assert whose(country, HEIR, pid) == rid_of(who)
        assert periods(country, HEIR, pid) >= before[who], who
        assert (await history(country, HEIR, pid)).is_done
    assert at_heir[numbers[GOES]] not in PIDS[STAYS].values()
    links = {who: country.registry.store.links(rid_of(who)) for who in (STAYS, GOES)}
    assert [m for m, _ in links[GOES]].count(MEMBERS[HEIR]) == 1
    assert [m for m, _ in links[STAYS]].count(MEMBERS[HEIR]) == 1


async def test_while_they_are_one_her_days_of_both_files_count_and_afterwards_each_has_her_own(
    country: DirectCountry,
) -> None:
    heirs = country.institutes[HEIR]
    own = {who: periods(country, LEFT, PIDS[who][LEFT]) for who in (STAYS, GOES)}
    kept = periods(country, HEIR, PIDS[STAYS][HEIR])
    number = merge(country)
    await leave(country)
    await country.settle()
    whole = await history(country, HEIR, PIDS[STAYS][HEIR])
    seen = {":".join(p["idPeriodo"].split(":")[-2:]) for p in whole.body["periodos"]}
    assert seen == kept | own[STAYS] | own[GOES]
    located = await country.ask(
        f"{THIRD}/HIST", "00-RNSS", "localizarHistoria", {"pid": PIDS[STAYS][THIRD]}, "PUR-HIST",
        "CONS-26-2026-00000001", PERSON,
    )  # fmt: skip
    assert located.body["institutos"].count(MEMBERS[HEIR]) == 1
    country.registry.store.unmerge(number, "of-2", "11", country.now)
    await country.settle()
    apart = await history(country, HEIR, PIDS[STAYS][HEIR])
    assert {":".join(p["idPeriodo"].split(":")[-2:]) for p in apart.body["periodos"]} == kept | own[STAYS]
    assert heirs.persons.files_of(PIDS[STAYS][HEIR]) == [PIDS[STAYS][HEIR]]


async def test_every_institute_is_told_once_for_each_pid_of_hers_that_they_are_one_and_two(
    country: DirectCountry,
) -> None:
    number = merge(country)
    await leave(country)
    country.registry.store.unmerge(number, "of-2", "11", country.now)
    await country.settle()
    for kind in ("FUSION", "SEPARACION"):
        sent = [(n.member, n.body["pid"]) for n in country.registry.outbox.all() if n.body["tipo"] == kind]
        assert len(sent) == len(set(sent)), (kind, sent)
        heirs = {p for m, p in sent if m == MEMBERS[HEIR]}
        assert heirs == {
            p for r in (STAYS, GOES) for m, p in country.registry.store.links(rid_of(r)) if m == MEMBERS[HEIR]
        }
    assert not country.registry.outbox.waiting()


async def test_a_death_the_successor_reports_of_her_file_is_hers_once_they_are_two_again(
    country: DirectCountry,
) -> None:
    number = merge(country)
    await leave(country)
    await country.settle()
    pid = next(
        p
        for n, p in files(country, HEIR).items()
        if p not in PIDS[STAYS].values() and whose(country, HEIR, p) == rid_of(STAYS)
    )
    body = {"idEvento": "00000000-0000-4000-8000-000000000001", "pid": pid, "tipo": "FALLECIMIENTO",
            "fechaEvento": "2026-03-01", "acta": ACT}  # fmt: skip
    heard = await country.ask(f"{HEIR}/VITAL", "00-RNSS", "notificarEvento", body, "PUR-VITAL", "CONS-15-2026-00000001",
                              "ANALISTA_AFILIACION")  # fmt: skip
    assert heard.body == {"aplicado": True}, heard
    await country.settle()
    country.registry.store.unmerge(number, "of-2", "11", country.now)
    await country.settle()
    states = {who: _state(country, who) for who in (STAYS, GOES)}
    assert states == {STAYS: "VIVA", GOES: "FALLECIDA"}
    there = country.institutes[HEIR].persons
    dead = there.affiliation(pid)  # type: ignore[arg-type]
    alive = there.affiliation(PIDS[STAYS][HEIR])
    assert dead is not None and dead.state == "FALLECIDA"
    assert alive is not None and alive.state != "FALLECIDA"


def _state(c: DirectCountry, who: str) -> str:
    ((state,),) = c.registry.store.database.query(
        "SELECT vital_state FROM person WHERE rid = ?", (rid_of(who),)
    )
    return str(state)


async def open_at(c: DirectCountry, at: str, pid: str, number: int, benefit: str = "JUBILACION") -> Any:
    body = {"pid": pid, "convenio": "CONV-DEMO-2025-01", "beneficio": benefit, "contrapartes": [MEMBERS[THIRD]],
            "avisar": True}  # fmt: skip
    return await c.ask(
        f"{at}/PORT", at, "abrirCaso", body, "PUR-PORT", f"PORT-{at[:2]}-2026-{number:08d}", ANALYST
    )


async def test_a_case_and_the_first_day_of_one_go_with_the_person_for_whom_they_were_opened(
    country: DirectCountry,
) -> None:
    applied = country.now.date()
    number = merge(country)
    await country.settle()
    assert (await open_at(country, LEFT, PIDS[GOES][LEFT], 1)).is_done
    await country.settle()
    country.now += timedelta(days=5)
    await leave(country)
    await country.settle()
    taken = await open_at(country, HEIR, PIDS[STAYS][HEIR], 2)
    assert taken.body["presentadaEl"] == applied.isoformat(), taken
    await country.settle()
    country.registry.store.unmerge(number, "of-2", "11", country.now)
    await country.settle()
    rows = dict(country.registry.store.database.query("SELECT case_id, rid FROM case_entry"))
    assert bytes(rows["PORT-30-2026-00000001"]) == rid_of(GOES)
    assert bytes(rows["PORT-15-2026-00000002"]) == rid_of(STAYS)
    # The other's place is hers again: the case of her that is opened now counts from the day on which she applied.
    hers = next(p for m, p in country.registry.store.links(rid_of(GOES)) if m == MEMBERS[HEIR])
    anew = await open_at(country, HEIR, hers, 3)
    assert anew.is_done, anew
    assert anew.body["presentadaEl"] == applied.isoformat()


async def test_an_opposition_and_a_cancellation_in_one_file_hold_for_both_while_they_are_one(
    country: DirectCountry,
) -> None:
    number = merge(country)
    await leave(country)
    await country.settle()
    other: Pid = next(
        p
        for m, p in country.registry.store.links(rid_of(STAYS))
        if m == MEMBERS[HEIR] and p != PIDS[STAYS][HEIR]
    )
    heirs = country.institutes[HEIR]
    day = heirs.today()
    heirs.rights.block(other, "historia", "ARCO-15-2026-00000001", day, day + timedelta(days=90))
    assert (await history(country, HEIR, PIDS[STAYS][HEIR])).body["codigo"] == "SS-208"
    country.registry.store.unmerge(number, "of-2", "11", country.now)
    await country.settle()
    assert (await history(country, HEIR, PIDS[STAYS][HEIR])).is_done
    total, _ = heirs.persons.accesses(other, today=day)
    assert total >= 1, "what was read of both files while they were one stays in the log of each"


async def test_notices_that_went_astray_leave_no_file_joined(country: DirectCountry) -> None:
    """The separation is not told before what it undoes."""
    country.fates = ["lost", "unheard", "lost", "carried", "lost"]
    number = merge(country)
    await leave(country)
    country.fates = ["lost", "unheard", "twice", "lost", "lost", "carried", "lost"]
    await country.registry.outbox.send()
    country.registry.store.unmerge(number, "of-2", "11", country.now)
    await country.settle()
    for _, pid in (link for who in (STAYS, GOES) for link in country.registry.store.links(rid_of(who))):
        for services in country.institutes.values():
            assert services.persons.files_of(pid) == [pid]
    again = merge(country)
    await country.settle()
    hers = {p for m, p in country.registry.store.links(rid_of(STAYS)) if m == MEMBERS[HEIR]}
    assert set(country.institutes[HEIR].persons.files_of(PIDS[STAYS][HEIR])) == hers
    country.registry.store.unmerge(again, "of-2", "11", country.now)


async def test_a_hand_over_that_is_translated_after_they_are_two_again_is_the_same(
    country: DirectCountry,
) -> None:
    number = merge(country)
    body = {"idAviso": "M:1", "miembro": MEMBERS[LEFT], "estado": "BAJA", "fecha": country.now.date().isoformat(),
            "sucesor": MEMBERS[HEIR]}  # fmt: skip
    assert (await country.ask("00-ONIESS/SUPERV", "00-RNSS", "notificarMembresia", body, "PUR-SUPERV",
                              "NEG-00-2026-00000001", "SISTEMA")).is_done  # fmt: skip
    country.publish_leaving(LEFT, HEIR)
    country.registry.store.unmerge(number, "of-2", "11", country.now)
    hand_over_files(country, LEFT, HEIR, country.folder / "out")
    for pid in files(country, HEIR).values():
        names = periods(country, HEIR, pid)
        owners = {rid_of(who) for who in (STAYS, GOES) if names & periods(country, LEFT, PIDS[who][LEFT])}
        assert owners <= {whose(country, HEIR, pid)}
