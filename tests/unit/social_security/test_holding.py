"""Who holds whom, told by message; members that are suspended or leave; states of CURPs; histories handed to a successor."""

from __future__ import annotations

import asyncio
import csv
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from serving.storage.database import Database
from social_security.__main__ import main
from social_security.commands.seed import rid_of
from social_security.domain import pack
from social_security.institute.announcing import queue_announcements, queue_withdrawal
from social_security.institute.stores.steps import STEPS
from social_security.keys import load_registry_keys
from social_security.registry.curpstates import CODES, CurpState
from social_security.registry.store import RegistryStore
from social_security.registry.tables import STEPS as REGISTRY_STEPS
from social_security.wire.books import open_books
from tests.social import SECRET, SmallCountry, small_country

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from social_security.domain.pseudonyms import Pid

ANA = next(p["curp"] for p in pack.persons()["persons"] if p["name"] == "ana")
FREE = "SABC560626MDFLRN01"
ISSEMYM, IPE = "MX/GOB/15-ISSEMYM", "MX/GOB/30-IPE"
AFIL: dict[str, Any] = {"purpose": "PUR-AFIL", "case": "CONS-15-2026-00000001", "role": "SISTEMA"}
IDENT: dict[str, Any] = {
    "purpose": "PUR-IDENT", "case": "CONS-15-2026-00000001", "role": "ANALISTA_AFILIACION",
}  # fmt: skip
LOG: dict[str, Any] = {"purpose": "PUR-BITACORA", "case": "CONS-15-2026-00000009", "role": "TITULAR"}
ALTA: dict[str, Any] = {"purpose": "PUR-ALTA", "case": "ALTA-15-2026-00000001", "role": "OPERADOR_ALTA"}


@pytest.fixture
async def country(tmp_path: Path) -> AsyncIterator[SmallCountry]:
    """Registry, ONIESS and two institutes; 2 March 2026."""
    async with small_country(tmp_path) as made:
        (made.folder / "secret").write_text(SECRET, encoding="ascii")
        (made.folder / "secret").chmod(0o600)
        (made.folder / "00-RNSS" / "settings.toml").write_text(
            f'member = "00-RNSS"\n[keys_secret]\nfile = "{made.folder / "secret"}"\n', encoding="ascii"
        )
        yield made


def registry(c: SmallCountry) -> RegistryStore:
    """The registry's books, beside the running system."""
    folder = c.folder / "00-RNSS"
    return RegistryStore(
        open_books(folder, "registry", REGISTRY_STEPS), load_registry_keys(folder / "keys.json", SECRET)
    )


def pid_of(c: SmallCountry, member: str, name: str = "ana") -> Pid:
    """A person's PID at a member, looked up in the registry's books."""
    books = registry(c)
    try:
        return books.pid_of(rid_of(name), member, date(2026, 3, 2))
    finally:
        books.close()


def holders(c: SmallCountry) -> list[str]:
    """Who certifies a history of Ana."""
    books = registry(c)
    try:
        return books.holders(rid_of("ana"))
    finally:
        books.close()


async def tell(c: SmallCountry, *links: dict[str, Any], by: str = "15-ISSEMYM") -> tuple[int, dict[str, Any]]:
    """One batch of links."""
    why = AFIL | {"case": f"CONS-{by[:2]}-2026-00000001"}
    return await c.ask(f"{by}/AFIL", "00-RNSS", "registrarVinculos", {"vinculos": list(links)}, **why)


async def member_state(c: SmallCountry, member: str, state: str, **more: Any) -> tuple[int, dict[str, Any]]:
    """ONIESS changes the state of a member."""
    body = {"miembro": member, "estado": state, "fecha": "2026-03-02", "evidenciaSha256": "a" * 64,
            "motivo": "Acuerdo del órgano de gobierno, sesión 3"} | more  # fmt: skip
    return await c.ask("00-ONIESS/ALTA", "00-ONIESS", "cambiarMembresia", body, **ALTA)


async def until_told(c: SmallCountry, member: str, state: str) -> None:
    """Wait until the registry has heard of a member's state (outboxes try every second)."""
    for _ in range(600):
        books = registry(c)
        rows = books.database.query("SELECT state FROM membership WHERE member = ?", (member,))
        books.close()
        if rows and rows[0][0] == state:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"the registry did not hear that {member} is {state}")


async def test_a_history_is_announced_and_taken_back_by_message_and_she_sees_both(
    country: SmallCountry,
) -> None:
    mine = {"pid": pid_of(country, ISSEMYM), "desde": "1999-01-01"}
    assert ISSEMYM in holders(country)
    assert (await tell(country, mine | {"historia": False}))[1] == {"aplicados": 1, "desconocidos": []}
    assert ISSEMYM not in holders(country)
    await tell(country, mine | {"historia": True})
    assert ISSEMYM in holders(country)
    await tell(country, mine | {"historia": True, "hasta": "2026-03-01"})
    assert ISSEMYM not in holders(country)
    _, seen = await country.ask("15-ISSEMYM/BITACORA", "00-RNSS", "findUsage", {"pid": mine["pid"]}, **LOG)
    assert [u["legalBasis"] for u in seen["usages"]] == ["mx:LGPDPPSO-16-II"] * 3


@pytest.mark.parametrize(
    "wrong",
    [{"desde": "2026-03-03"}, {"hasta": "2026-03-03"}, {"desde": "2020-01-01", "hasta": "2019-12-31"}],
)
async def test_a_link_of_days_to_come_or_reversed_is_refused_and_the_whole_batch_with_it(
    country: SmallCountry, wrong: dict[str, str]
) -> None:
    good = {"pid": pid_of(country, ISSEMYM), "desde": "1999-01-01", "historia": False}
    status, refused = await tell(country, good, good | wrong)
    assert (status, refused["codigo"], refused["campo"]) == (400, "SS-103", "vinculos.1")
    assert ISSEMYM in holders(country)


async def test_nobody_links_by_another_institute_s_pseudonym(country: SmallCountry) -> None:
    theirs = {"pid": pid_of(country, IPE), "desde": "1999-01-01", "historia": True}
    assert (await tell(country, theirs))[1] == {"aplicados": 0, "desconocidos": [theirs["pid"]]}
    assert holders(country).count(IPE) == 1


async def test_what_changed_is_announced_once_and_what_is_withdrawn_ends(country: SmallCountry) -> None:
    database = Database(country.folder / "15-ISSEMYM" / "institute.sqlite", STEPS)
    day = date(2026, 3, 2)
    assert queue_announcements(database, "15-ISSEMYM", day) == 0  # the fixture's are known
    pid = pid_of(country, ISSEMYM)
    with database.transaction() as connection:
        connection.execute("UPDATE period SET state = 'SUSTITUIDO' WHERE pid = ?", (pid,))
    assert queue_announcements(database, "15-ISSEMYM", day) == 1
    assert queue_announcements(database, "15-ISSEMYM", day) == 0
    await gone(country, ISSEMYM)
    with database.transaction() as connection:
        connection.execute("UPDATE period SET state = 'CERTIFICADO' WHERE pid = ?", (pid,))
    assert queue_announcements(database, "15-ISSEMYM", date(2026, 3, 1)) == 1
    for _ in range(600):
        if ISSEMYM in holders(country):
            break
        await asyncio.sleep(0.1)
    assert queue_withdrawal(database, "15-ISSEMYM", [pid, pid, "nobody"], day) == 1
    await gone(country, ISSEMYM)
    database.close()


async def gone(c: SmallCountry, member: str) -> None:
    """Wait until a member certifies no history of Ana any more."""
    for _ in range(600):
        if member not in holders(c):
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"{member} still holds a history")


async def test_a_suspended_member_asks_nothing_but_what_is_the_person_s_own_right(
    country: SmallCountry,
) -> None:
    active = await connected(country)
    status, told = await member_state(country, ISSEMYM, "SUSPENDIDA")
    assert (status, told["estado"]) == (200, "SUSPENDIDA")
    await until_told(country, ISSEMYM, "SUSPENDIDA")
    _, refused = await country.ask("15-ISSEMYM/AFIL", "00-RNSS", "buscarBeneficiario", {"curp": ANA}, **IDENT)
    assert refused["codigo"] == "SS-603"
    mine = {"pid": pid_of(country, ISSEMYM)}
    assert (await country.ask("15-ISSEMYM/BITACORA", "00-RNSS", "findUsage", mine, **LOG))[0] == 200
    assert await connected(country) == active - 1
    assert (await member_state(country, ISSEMYM, "ACTIVA"))[0] == 200
    await until_told(country, ISSEMYM, "ACTIVA")
    assert (await country.ask("15-ISSEMYM/AFIL", "00-RNSS", "buscarBeneficiario", {"curp": ANA}, **IDENT))[
        0
    ] == 200


async def connected(c: SmallCountry) -> int:
    """How many institutes ONIESS publishes as active."""
    rows = await c.read("00-ONIESS", "/indicadores?periodo=2026-03")
    return int(next(i for i in rows if i["id"] == "IND-01")["numerador"])


@pytest.mark.parametrize(
    ("member", "state", "more", "code"),
    [
        (ISSEMYM, "BAJA", {}, "SS-600"),
        (ISSEMYM, "BAJA", {"sucesor": ISSEMYM}, "SS-600"),
        (ISSEMYM, "BAJA", {"sucesor": "MX/GOB/00-RNSS"}, "SS-600"),
        (ISSEMYM, "BAJA", {"sucesor": "MX/GOB/14-NADIE"}, "SS-600"),
        (ISSEMYM, "SUSPENDIDA", {"sucesor": IPE}, "SS-600"),
        (ISSEMYM, "SUSPENDIDA", {"fecha": "2026-03-01"}, "SS-404"),
        (ISSEMYM, "SUSPENDIDA", {"fecha": "2027-03-02"}, "SS-404"),
        (ISSEMYM, "ACTIVA", {}, "SS-400"),
        ("MX/GOB/14-NADIE", "SUSPENDIDA", {}, "SS-300"),
        ("MX/GOB/00-RNSS", "BAJA", {"sucesor": IPE}, "SS-300"),
    ],
)
async def test_a_change_that_may_not_be_is_refused_and_nothing_is_told(
    country: SmallCountry, member: str, state: str, more: dict[str, str], code: str
) -> None:
    assert (await member_state(country, member, state, **more))[1]["codigo"] == code
    console = await country.read("00-ONIESS", "/consola")
    assert {m["estado"] for m in console["miembros"]} == {"ACTIVA"}


async def test_only_oniess_suspends_and_only_oniess_tells(country: SmallCountry) -> None:
    body = {"idAviso": "x", "miembro": IPE, "estado": "SUSPENDIDA", "fecha": "2026-03-02"}
    why: dict[str, Any] = {"purpose": "PUR-SUPERV", "case": "NEG-15-2026-00000001", "role": "SISTEMA"}
    _, refused = await country.ask("15-ISSEMYM/SUPERV", "00-RNSS", "notificarMembresia", body, **why)
    assert refused["codigo"] == "SS-210"
    _, refused = await country.ask(
        "15-ISSEMYM/ALTA", "00-ONIESS", "cambiarMembresia",
        {"miembro": IPE, "estado": "SUSPENDIDA", "fecha": "2026-03-02", "evidenciaSha256": "a" * 64,
         "motivo": "Porque así lo quiere otro"}, **ALTA,
    )  # fmt: skip
    assert refused["codigo"] == "SS-210"


async def test_who_leaves_hands_its_persons_and_histories_to_its_successor(country: SmallCountry) -> None:
    before = pid_of(country, ISSEMYM)
    assert (await member_state(country, ISSEMYM, "BAJA", sucesor=IPE))[0] == 200
    await until_told(country, ISSEMYM, "BAJA")
    assert ISSEMYM not in holders(country)
    assert IPE in holders(country)
    _, refused = await country.ask("15-ISSEMYM/AFIL", "00-RNSS", "buscarBeneficiario", {"curp": ANA}, **IDENT)
    assert refused["codigo"] == "SS-603"
    why: dict[str, Any] = {
        "purpose": "PUR-HIST",
        "case": "CONS-30-2026-00000001",
        "role": "ANALISTA_PORTABILIDAD",
    }
    _, refused = await country.ask(
        "30-IPE/HIST", "00-RNSS", "traducirPid", {"pid": pid_of(country, IPE), "destino": ISSEMYM}, **why
    )
    assert (refused["codigo"], IPE in refused["mensaje"]) == ("SS-603", True)
    leaving, into = country.folder / "15-ISSEMYM", country.folder / "30-IPE"
    out = country.folder / "out"
    database = Database(leaving / "institute.sqlite", STEPS)
    database.query("INSERT INTO contact (pid, value) VALUES (?, 'ana@ejemplo.mx')", (before,))
    database.close()
    assert run("hand-over", "--data", leaving, "--out", out) == 0
    pids = country.folder / "pids.csv"
    assert (
        run("officer", "translate-hand-over", "--data", country.folder / "00-RNSS", "--from", "15-ISSEMYM",
            "--out", pids, out / "personas.csv")
        == 0
    )  # fmt: skip
    assert before not in pids.read_text(encoding="utf-8")
    for kind in ("afiliaciones", "periodos", "contactos", "jubilados"):
        code = run("import", "--data", into, "--member", "30-IPE", "--kind", kind, "--pids", pids, "--from", "15-ISSEMYM",
                   "--report", country.folder / f"{kind}.report", out / f"{kind}.csv")  # fmt: skip
        assert code in (0, 3)
    database = Database(into / "institute.sqlite", STEPS)
    taken = database.query(
        "SELECT period_id FROM period WHERE pid = ? ORDER BY period_id", (pid_of(country, IPE),)
    )
    assert database.query("SELECT value FROM contact WHERE pid = ?", (pid_of(country, IPE),)) == [
        ("ana@ejemplo.mx",)
    ]
    database.close()
    assert any("15-ISSEMYM" in row[0] for row in taken)
    assert any("15-ISSEMYM" not in row[0] for row in taken)


def run(*arguments: object) -> int:
    """A command; its exit code."""
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    return result.exit_code


def feed(c: SmallCountry, *rows: tuple[str, str, str, str]) -> str:
    """Take a feed of RENAPO at the registry; what the command says."""
    number = len(list(c.folder.glob("feed*.csv")))
    file = c.folder / f"feed{number}.csv"
    with file.open("w", encoding="utf-8", newline="") as opened:
        csv.writer(opened).writerows((("curp", "estado", "desde", "curp_vigente"), *rows))
    result = CliRunner().invoke(
        main,
        [
            "officer",
            "curp-states",
            "--data",
            str(c.folder / "00-RNSS"),
            "--report",
            str(file) + ".out",
            str(file),
        ],
    )
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize(
    ("code", "state", "outcome"),
    [
        ("AN", None, "COINCIDE"),
        ("BCC", "HISTORICA", "COINCIDE"),
        ("BD", "FALLECIDA", "COINCIDE"),
        ("BDA", "DUPLICADA", "COINCIDE"),
        ("BAP", "CANCELADA", "NO_CONCLUYENTE"),
        ("BJD", "CANCELADA", "NO_CONCLUYENTE"),
    ],
)
async def test_a_look_up_says_the_state_of_the_curp_and_a_cancelled_one_identifies_nobody(
    country: SmallCountry, code: str, state: str | None, outcome: str
) -> None:
    assert "1 states noted" in feed(country, (ANA, code, "2026-02-01", ""))
    assert "0 states noted, 1 known already" in feed(country, (ANA, code, "2026-02-01", ""))
    _, found = await country.ask("15-ISSEMYM/AFIL", "00-RNSS", "buscarBeneficiario", {"curp": ANA}, **IDENT)
    assert (found["resultado"], found.get("estadoCurp"), "pid" in found) == (
        outcome,
        state,
        outcome == "COINCIDE",
    )
    wanted = {"curp": ANA, "atributos": ["estadoCurp", "estadoVital"]}
    _, found = await country.ask("15-ISSEMYM/AFIL", "00-RNSS", "buscarBeneficiario", wanted, **IDENT)
    assert found["estadoCurp"] == (state or "ACTIVA")
    assert found.get("estadoVital") in (None, "VIVA")  # a feed kills nobody
    by_pid = {"pid": pid_of(country, ISSEMYM)}
    _, found = await country.ask("15-ISSEMYM/AFIL", "00-RNSS", "buscarBeneficiario", by_pid, **IDENT)
    assert found["resultado"] == "COINCIDE"


async def test_what_renapo_says_leads_to_cases_and_reviews_and_never_changes_a_person(
    country: SmallCountry,
) -> None:
    other = next(p["curp"] for p in pack.persons()["persons"] if p["name"] != "ana" and "curp" in p)
    said = feed(
        country,
        (ANA, "BDA", "2026-02-01", other),
        (other, "BD", "2026-02-01", ""),
        (FREE, "BD", "2026-02-01", ""),
        ("EEPA780514MMCJRN94", "BD", "2026-02-01", ""),
        (FREE, "XX", "2026-02-01", ""),
        (FREE, "BD", "2099-02-01", ""),
        (FREE, "BCC", "2026-02-01", FREE),
    )
    assert (
        "3 good rows, 4 problems; 2 states noted, 0 known already, 1 of nobody here, 1 reviews, 1 cases"
        in said
    )
    _, found = await country.ask("15-ISSEMYM/AFIL", "00-RNSS", "buscarBeneficiario", {"curp": ANA}, **IDENT)
    assert found == {"resultado": "NO_CONCLUYENTE", "estadoCurp": "DUPLICADA"}
    _, log = await country.ask(
        "15-ISSEMYM/BITACORA", "00-RNSS", "findUsage", {"pid": pid_of(country, ISSEMYM)}, **LOG
    )
    assert "Estado de la CURP según RENAPO" in [u["action"] for u in log["usages"]]


async def test_the_curp_that_stands_now_leads_to_the_same_person(country: SmallCountry) -> None:
    feed(country, (ANA, "BCC", "2026-02-01", FREE))
    _, found = await country.ask("15-ISSEMYM/AFIL", "00-RNSS", "buscarBeneficiario", {"curp": FREE}, **IDENT)
    assert (found["resultado"], found["pid"]) == ("COINCIDE", pid_of(country, ISSEMYM))


def test_every_code_of_renapo_has_a_state_and_every_state_a_code() -> None:
    assert set(CODES.values()) == set(CurpState)


async def test_who_announced_itself_lately_declares_nobody_dead_by_its_word_alone(
    country: SmallCountry,
) -> None:
    teodoro = next(p["curp"] for p in pack.persons()["persons"] if p["name"] == "jose-teodoro")
    _, found = await country.ask(
        "15-ISSEMYM/AFIL", "00-RNSS", "buscarBeneficiario", {"curp": teodoro}, **IDENT
    )
    mine = {"pid": found["pid"]}
    death = {
        "idEvento": "00000000-0000-4000-8000-000000000001", "tipo": "FALLECIMIENTO", "fechaEvento": "2026-02-20",
        "acta": {"numero": "AD-1", "oficialia": "15-057 Toluca 01", "fecha": "2026-02-21"}, **mine,
    }  # fmt: skip
    why: dict[str, Any] = {
        "purpose": "PUR-VITAL",
        "case": "CONS-15-2026-00000001",
        "role": "ANALISTA_AFILIACION",
    }
    _, refused = await country.ask("15-ISSEMYM/VITAL", "00-RNSS", "notificarEvento", death, **why)
    assert refused["codigo"] == "SS-210"
    await tell(country, mine | {"desde": "1990-01-01", "historia": True})
    _, told = await country.ask("15-ISSEMYM/VITAL", "00-RNSS", "notificarEvento", death, **why)
    assert (told["aplicado"], told["caso"][:5]) == (False, "CONS-")
    _, found = await country.ask(
        "15-ISSEMYM/AFIL", "00-RNSS", "buscarBeneficiario", mine | {"atributos": ["estadoVital"]}, **IDENT
    )
    assert found["estadoVital"] == "VIVA"
    country.at("2026-04-10T09:00:00-06:00")
    later = death | {"idEvento": "00000000-0000-4000-8000-000000000002"}
    _, told = await country.ask("15-ISSEMYM/VITAL", "00-RNSS", "notificarEvento", later, **why)
    assert told["aplicado"]
