"""The registry's own part of a person's access log, and the end of a reference without CURP."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from social_security.domain import pack
from tests.social import SmallCountry, small_country

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

ANA = next(p["curp"] for p in pack.persons()["persons"] if p["name"] == "ana")
IDENT: dict[str, Any] = {
    "purpose": "PUR-IDENT",
    "case": "CONS-15-2026-00000001",
    "role": "ANALISTA_AFILIACION",
}
LOG: dict[str, Any] = {"purpose": "PUR-BITACORA", "case": "CONS-15-2026-00000009", "role": "TITULAR"}


@pytest.fixture
async def country(tmp_path: Path) -> AsyncIterator[SmallCountry]:
    """A small country."""
    async with small_country(tmp_path) as made:
        yield made


async def test_look_ups_of_every_institute_are_in_the_person_s_log_at_the_registry(
    country: SmallCountry,
) -> None:
    pids = {}
    for code in ("15-ISSEMYM", "30-IPE"):
        why = IDENT | {"case": f"CONS-{code[:2]}-2026-00000001"}
        _, found = await country.ask(f"{code}/AFIL", "00-RNSS", "buscarBeneficiario", {"curp": ANA}, **why)
        pids[code] = found["pid"]
    await country.ask(
        "15-ISSEMYM/AFIL", "00-RNSS", "buscarBeneficiario", {"curp": "EEPA780514MMCJRN94"}, **IDENT
    )
    mine = {"pid": pids["15-ISSEMYM"]}
    status, seen = await country.ask("15-ISSEMYM/BITACORA", "00-RNSS", "findUsage", mine, **LOG)
    assert (status, seen["totalUsages"]) == (200, 2), seen
    assert [u["receiverCode"] for u in seen["usages"]] == ["MX/GOB/30-IPE", "MX/GOB/15-ISSEMYM"]
    _, page = await country.ask(
        "15-ISSEMYM/BITACORA", "00-RNSS", "findUsage", mine | {"offset": 1, "limit": 1}, **LOG
    )
    assert page["totalUsages"] == 3  # her own visit is in it too
    theirs = {"pid": pids["30-IPE"]}
    _, refused = await country.ask("15-ISSEMYM/BITACORA", "00-RNSS", "findUsage", theirs, **LOG)
    assert refused["codigo"] == "SS-300"
    _, refused = await country.ask(
        "15-ISSEMYM/BITACORA", "00-RNSS", "findUsage", mine | {"periodStart": "2026-03-02T00:00:00"}, **LOG
    )
    assert refused["codigo"] == "SS-100"


async def test_a_reference_without_curp_ends_on_its_day(country: SmallCountry) -> None:
    _, found = await country.ask("15-ISSEMYM/AFIL", "00-RNSS", "buscarBeneficiario", {"curp": ANA}, **IDENT)
    connection = sqlite3.connect(country.folder / "00-RNSS" / "registry.sqlite", timeout=60)
    connection.execute(
        "UPDATE person SET no_curp_expires = '2026-03-02' WHERE rid = (SELECT rid FROM link WHERE pid = ?)",
        (found["pid"],),
    )
    connection.commit()
    connection.close()
    by_pid = {"pid": found["pid"]}
    _, last_day = await country.ask("15-ISSEMYM/AFIL", "00-RNSS", "buscarBeneficiario", by_pid, **IDENT)
    assert last_day["resultado"] == "COINCIDE"
    country.at("2026-03-03T09:00:00-06:00")
    _, ended = await country.ask("15-ISSEMYM/AFIL", "00-RNSS", "buscarBeneficiario", by_pid, **IDENT)
    assert ended == {"resultado": "NO_CONCLUYENTE"}
