"""Two persons with one name and one birth day: nothing of one's reaches the other, by import, look-up, history, case or certificate."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from social_security.domain import pack
from social_security.domain.curp import homonyms, parse_curp
from social_security.importing.layouts import AFFILIATIONS, PERIODS, PIDS
from social_security.importing.quality import QualityReport
from social_security.importing.rows import Import, import_file, read_known
from social_security.institute.announcing import queue_announcements
from social_security.portal.certificate import build_certificate
from social_security.registry.homonyms import find_homonyms
from tests.directgateway import DirectCountry
from tests.property.countrymachine import MEMBERS
from tests.unit.social_security.test_succession import ANALYST, HEIR, LEFT, PERSON, THIRD, leave
from tests.unit.social_security.test_succession import PIDS as PACK_PIDS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from social_security.domain.pseudonyms import Pid

ANA = parse_curp(next(p["curp"] for p in pack.persons()["persons"] if p["name"] == "ana"), date(2026, 3, 2))
OTHER = parse_curp(homonyms(ANA)[0], date(2026, 3, 2))


@pytest.fixture
def country(tmp_path: Path) -> Iterator[DirectCountry]:
    (tmp_path / "systems").mkdir()
    made = DirectCountry(tmp_path / "systems")
    yield made
    made.close()


def enter(c: DirectCountry, code: str, kind: str, columns: tuple[str, ...], *rows: tuple[str, ...]) -> int:
    """Import rows at an institute; how many were good."""
    file, pids = c.folder / f"{code}-{kind}.csv", c.folder / f"{code}-pids.csv"
    with file.open("w", encoding="utf-8", newline="") as opened:
        csv.writer(opened).writerows([columns, *rows])
    database = c.institutes[code].database
    report = QualityReport(c.folder / f"{code}-{kind}.report")
    good = import_file(
        database, Import(code, c.now, report, read_known(database, pids)), kind, file, dry_run=False
    )
    report.close()
    return good


async def came(c: DirectCountry) -> dict[str, Pid]:
    """Ana's homonym is enrolled, and affiliated with periods of her own at two institutes; her PIDs."""
    store = c.registry.store
    rid = store.enrol(OTHER, 2, c.now.date())
    pids = {code: store.pid_of(rid, MEMBERS[code], c.now.date()) for code in (HEIR, LEFT)}
    for code, pid in pids.items():
        with (c.folder / f"{code}-pids.csv").open("w", encoding="utf-8", newline="") as opened:
            csv.writer(opened).writerows([PIDS, ("H-1", pid)])
        assert (
            enter(c, code, "afiliaciones", AFFILIATIONS, ("H-1", "reparto", "ACTIVA", "2004-02-29", "", "2"))
            == 1
        )
        assert enter(
            c, code, "periodos", PERIODS, (f"H-{code[:2]}", "H-1", "2004-02-29", "2008-02-29", "11", "0", "0", "PATRON-H", "100")
        ) == 1  # fmt: skip
        queue_announcements(c.institutes[code].database, code, c.now.date())
    await c.settle()
    return pids


async def ask(
    c: DirectCountry, code: str, operation: str, body: dict[str, Any], purpose: str = "PUR-HIST"
) -> Any:
    case = f"CONS-{code[:2]}-2026-00000001"
    return await c.ask(f"{code}/HIST", code, operation, body, purpose, case, PERSON)


async def test_each_is_found_by_her_own_curp_and_the_desk_is_pointed_at_both(country: DirectCountry) -> None:
    pids = await came(country)
    store = country.registry.store
    for curp, pid in ((ANA, PACK_PIDS["ana"][HEIR]), (OTHER, pids[HEIR])):
        found = await country.ask(
            f"{HEIR}/AFIL", "00-RNSS", "buscarBeneficiario", {"curp": curp.value}, "PUR-IDENT",
            "CONS-15-2026-00000001", "ANALISTA_AFILIACION",
        )  # fmt: skip
        assert (found.body["resultado"], found.body["pid"]) == ("COINCIDE", pid)
    assert [find_homonyms(store, curp) for curp in (ANA, OTHER)] == [
        [store.holder_of(OTHER)], [store.holder_of(ANA)]
    ]  # fmt: skip


async def test_history_and_certificate_are_each_her_own(country: DirectCountry) -> None:
    pids = await came(country)
    mine = (await ask(country, HEIR, "reunirHistoria", {"pid": PACK_PIDS["ana"][HEIR]})).body
    hers = (await ask(country, HEIR, "reunirHistoria", {"pid": pids[HEIR]})).body
    assert sorted(h["instituto"] for h in hers["historias"]) == sorted(MEMBERS[c] for c in (HEIR, LEFT))
    assert {p["empleador"]["clave"] for h in hers["historias"] for p in h["periodos"]} == {"PATRON-H"}
    assert "PATRON-H" not in str(mine)
    # 29 February to 29 February: 1,462 days, of which two institutes certify the same, once.
    assert hers["totales"]["diasUnion"] == (date(2008, 2, 29) - date(2004, 2, 29)).days + 1 == 1462
    assert hers["totales"]["diasTraslape"] == 1462
    one, two = (
        build_certificate(w, p, country.now) for w, p in ((mine, PACK_PIDS["ana"][HEIR]), (hers, pids[HEIR]))
    )
    assert one.days != two.days
    assert one.sha256 != two.sha256


async def test_the_case_of_one_neither_holds_the_other_s_benefit_nor_counts_her_days(
    country: DirectCountry,
) -> None:
    pids = await came(country)
    for number, pid in enumerate((PACK_PIDS["ana"][HEIR], pids[HEIR]), 1):
        body = {"pid": pid, "convenio": "CONV-DEMO-2025-01", "beneficio": "JUBILACION",
                "contrapartes": [MEMBERS[LEFT]], "avisar": True}  # fmt: skip
        case = f"PORT-15-2026-{number:08d}"
        opened = await country.ask(f"{HEIR}/PORT", HEIR, "abrirCaso", body, "PUR-PORT", case, ANALYST)
        assert opened.is_done, opened
        await country.settle()
        for code, name, more in (
            (HEIR, "ADMITIR", {}), (HEIR, "SOLICITAR_HISTORIA", {}), (LEFT, "ENTREGAR_HISTORIA", {}),
            (HEIR, "TOTALIZAR", {"montoCentavos": 1_000_000}),
        ):  # fmt: skip
            moved = await country.ask(
                f"{code}/PORT", code, "avanzarCaso", {"evento": name, **more}, "PUR-PORT", case, ANALYST
            )
            assert moved.is_done, (name, moved)
            await country.settle()
    first, second = (
        country.institutes[HEIR].cases.events(f"PORT-15-2026-{n:08d}")[-1].event["totalizacion"]
        for n in (1, 2)
    )
    assert (second["diasUnion"], second["diasTraslape"]) == (1462, 1462)
    assert first["diasUnion"] != 1462


async def test_both_go_to_the_successor_each_into_her_own_file(country: DirectCountry) -> None:
    pids = await came(country)
    await leave(country)
    heirs = country.institutes[HEIR]
    names = {p.period_id for p in heirs.periods.served(pids[HEIR])}
    assert names == {f"{HEIR}:H-15", f"{HEIR}:{LEFT}:H-30"}
    assert not names & {p.period_id for p in heirs.periods.served(PACK_PIDS["ana"][HEIR])}


@pytest.mark.parametrize(
    ("moment", "local"),
    [
        (datetime(2027, 1, 1, 6, 30, tzinfo=UTC), "2026-12-31"),
        (datetime(2028, 3, 1, 6, 30, tzinfo=UTC), "2028-02-29"),
        (datetime(2028, 3, 1, 7, 30, tzinfo=UTC), "2028-03-01"),
    ],
)
async def test_the_day_on_which_she_applied_late_in_the_west_goes_along_as_it_was_there(
    country: DirectCountry, moment: datetime, local: str
) -> None:
    """Half past eleven at night in Hermosillo is the next day at the registry, in another year."""
    country.now = moment
    body = {"pid": PACK_PIDS["ana"][THIRD], "convenio": "CONV-DEMO-2025-01", "beneficio": "JUBILACION",
            "contrapartes": [MEMBERS[LEFT]], "avisar": True}  # fmt: skip
    opened = await country.ask(
        f"{THIRD}/PORT", THIRD, "abrirCaso", body, "PUR-PORT", "PORT-26-2026-00000001", ANALYST
    )
    assert opened.body["presentadaEl"] == local, opened
    await country.settle()
    there, here = (country.institutes[c].cases.case("PORT-26-2026-00000001") for c in (THIRD, LEFT))
    assert there is not None and here is not None
    assert (there.presented, there.deadline) == (here.presented, here.deadline)
    country.now += timedelta(days=3)
    await leave(country)
    await country.settle()
    heir = {**body, "pid": PACK_PIDS["ana"][THIRD], "contrapartes": [MEMBERS[HEIR]]}
    anew = await country.ask(
        f"{THIRD}/PORT", THIRD, "abrirCaso", heir, "PUR-PORT", "PORT-26-2026-00000002", ANALYST
    )
    assert anew.body["presentadaEl"] == local, anew
