"""Messages that would harm a person: events of another's, deaths by strangers, ids used twice, files that are not there."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from serving.storage.database import Database
from social_security.domain import pack
from social_security.domain.pseudonyms import Pid
from social_security.institute.stores.steps import STEPS
from social_security.keys import load_registry_keys
from social_security.registry.store import RegistryStore
from social_security.registry.tables import STEPS as REGISTRY_STEPS
from social_security.wire import tokens
from social_security.wire.books import open_books
from tests.social import CLOCK, SECRET, SmallCountry, small_country

PIDS = {p["name"]: p["pids"] for p in pack.persons()["persons"]}
CURPS = {p["name"]: p["curp"] for p in pack.persons()["persons"]}
INES, ANA = PIDS["maria-ines"]["30-IPE"], PIDS["ana"]["30-IPE"]
CASE = "CONS-00-2026-00000001"
ACT = {"numero": "DEF-1", "oficialia": "30-087 Xalapa 01", "fecha": "2026-03-01"}


@pytest.fixture
async def country(tmp_path: Path) -> AsyncIterator[SmallCountry]:
    async with small_country(tmp_path) as made:
        yield made


async def tell(
    c: SmallCountry,
    pid: str,
    kind: str,
    *,
    client: str = "00-RNSS/IDENT",
    day: str = "2026-03-01",
    **more: Any,
) -> tuple[int, dict[str, Any]]:
    """The registry tells IPE of an event of a person."""
    folder = c.folder / "00-RNSS"
    keys = load_registry_keys(folder / "keys.json", SECRET)
    store = RegistryStore(open_books(folder, "registry", REGISTRY_STEPS), keys)
    jwk = store.recipient("MX/GOB/30-IPE")
    store.close()
    assert jwk is not None
    at = datetime.fromisoformat(CLOCK)
    claims = tokens.Claims(
        "MX/GOB/00-RNSS", "MX/GOB/30-IPE", str(uuid.uuid4()), at, at + timedelta(minutes=5), "PUR-VITAL", CASE,
        "MX/GOB/00-RNSS", Pid(PIDS["ana"]["15-ISSEMYM"]), Pid(pid), 3,
    )  # fmt: skip
    body = {
        "testigo": tokens.seal(claims, keys.signing, json.loads(jwk)),
        "idEvento": str(uuid.uuid4()), "tipo": kind, "fechaEvento": day, **more,
    }  # fmt: skip
    return await c.ask(
        client, "30-IPE", "notificarEvento", body, purpose="PUR-VITAL", case=CASE, role="SISTEMA"
    )


def standing(c: SmallCountry) -> dict[str, str]:
    """The two persons' state at IPE, and what is stopped."""
    database = Database(c.folder / "30-IPE" / "institute.sqlite", STEPS)
    rows = dict(database.query("SELECT pid, state FROM affiliation"))
    stops = database.query("SELECT pid FROM payment_stop WHERE until IS NULL")
    database.close()
    return {"ana": rows[ANA], "ines": rows[INES], "stopped": ",".join(str(s[0]) for s in stops)}


BEFORE = {"ana": "BAJA", "ines": "PENSIONADA", "stopped": ""}
DEAD = {"ana": "BAJA", "ines": "FALLECIDA", "stopped": INES}


async def test_an_annulment_of_another_persons_event_restores_nobody(country: SmallCountry) -> None:
    event = str(uuid.uuid4())
    await tell(country, INES, "FALLECIMIENTO", idEvento=event)
    assert standing(country) == DEAD
    for anula in (event, str(uuid.uuid4()), None):
        more = {} if anula is None else {"anula": anula}
        refused = await tell(country, ANA, "ANULACION", **more)
        assert refused[1]["codigo"] == "SS-400"
    assert standing(country) == DEAD
    back = await tell(country, INES, "ANULACION", day="2026-03-02", anula=event)
    assert back[1] == {"aplicado": True, "adeudos": {"desde": "2026-03-01", "hasta": "2026-03-02"}}
    assert standing(country) == BEFORE
    assert (await tell(country, INES, "ANULACION", anula=event))[1]["codigo"] == "SS-400"


async def test_an_event_id_is_applied_to_one_person_with_one_content(country: SmallCountry) -> None:
    event = str(uuid.uuid4())
    for _ in range(2):
        assert (await tell(country, INES, "FALLECIMIENTO", idEvento=event))[1] == {"aplicado": True}
    for pid, kind, day in (
        (ANA, "FALLECIMIENTO", "2026-03-01"),
        (INES, "FALLECIMIENTO", "2026-02-28"),
        (INES, "CORRECCION_CURP", "2026-03-01"),
    ):
        assert (await tell(country, pid, kind, day=day, idEvento=event))[1]["codigo"] == "SS-402"
    assert standing(country) == DEAD


async def test_a_second_death_of_another_day_is_not_applied(country: SmallCountry) -> None:
    event = str(uuid.uuid4())
    await tell(country, INES, "FALLECIMIENTO", idEvento=event)
    second = await tell(country, INES, "FALLECIMIENTO", day="2026-02-20")
    assert (second[0], second[1]["aplicado"]) == (200, False)
    await tell(country, INES, "ANULACION", day="2026-03-02", anula=event)
    assert standing(country) == BEFORE


async def test_only_the_registry_tells_and_only_of_whom_there_is_a_file(country: SmallCountry) -> None:
    stranger = await tell(country, INES, "FALLECIMIENTO", client="15-ISSEMYM/VITAL")
    assert stranger[1]["codigo"] in ("SS-209", "SS-210")
    nobody = await tell(country, PIDS["ana"]["26-ISSSTESON"], "FALLECIMIENTO")
    assert nobody[1]["codigo"] == "SS-300"
    noted = await tell(country, PIDS["ana"]["26-ISSSTESON"], "FUSION")
    assert noted[1] == {"aplicado": True}
    assert (await tell(country, INES, "FALLECIMIENTO", day="2026-03-03"))[1]["codigo"] == "SS-103"
    assert standing(country) == BEFORE


@pytest.mark.parametrize("name", ["maria-ines", "jose-teodoro", "saul"])
async def test_an_institute_that_looked_somebody_up_cannot_declare_her_dead(
    country: SmallCountry, name: str
) -> None:
    found = await country.ask(
        "15-ISSEMYM/AFIL", "00-RNSS", "buscarBeneficiario", {"curp": CURPS[name]},
        purpose="PUR-IDENT", case="CONS-15-2026-00000001", role="ANALISTA_AFILIACION",
    )  # fmt: skip
    body = {
        "pid": found[1]["pid"], "idEvento": str(uuid.uuid4()), "tipo": "FALLECIMIENTO",
        "fechaEvento": "2026-03-01", "acta": ACT,
    }  # fmt: skip
    refused = await country.ask(
        "15-ISSEMYM/VITAL", "00-RNSS", "notificarEvento", body,
        purpose="PUR-VITAL", case="CONS-15-2026-00000001", role="ANALISTA_AFILIACION",
    )  # fmt: skip
    assert refused[1]["codigo"] == "SS-210"
    database = Database(country.folder / "00-RNSS" / "registry.sqlite", REGISTRY_STEPS)
    assert database.query(
        "SELECT count(*) FROM link WHERE member = 'MX/GOB/15-ISSEMYM' AND pid = ?", (body["pid"],)
    ) == [(0,)]
    assert database.query("SELECT count(*) FROM person WHERE vital_state = 'FALLECIDA'") == [(0,)]
    database.close()


@pytest.mark.parametrize(
    "act",
    [
        {},
        {"numero": "1", "oficialia": "x"},
        {"numero": "", "oficialia": "x", "fecha": "2026-03-01"},
        {"numero": "1", "oficialia": "x", "fecha": "2026-02-30"},
        {"numero": "1\u0000", "oficialia": "x", "fecha": "2026-03-01"},
        {"numero": "1", "oficialia": "x", "fecha": "ayer"},
        {"numero": "1", "oficialia": "x", "fecha": "2026-03-01", "de": "más"},
        "DEF-1",
        None,
    ],
)
async def test_an_act_that_is_none_proves_nothing(country: SmallCountry, act: Any) -> None:
    body = {
        "pid": INES, "idEvento": str(uuid.uuid4()), "tipo": "FALLECIMIENTO", "fechaEvento": "2026-03-01",
        "acta": act,
    }  # fmt: skip
    refused = await country.ask(
        "30-IPE/VITAL", "00-RNSS", "notificarEvento", body,
        purpose="PUR-VITAL", case="CONS-30-2026-00000001", role="ANALISTA_AFILIACION",
    )  # fmt: skip
    assert refused[1]["codigo"] == "SS-100"
