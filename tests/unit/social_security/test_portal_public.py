"""ONIESS's page for everybody: live, without login, without persons; what does not answer says so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.portals import Browser, World, open_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


async def test_anybody_reads_policy_conventions_and_indicators(world: World) -> None:
    address, _ = await world.portal("00-ONIESS")
    async with Browser(address) as browser:
        await browser.get("/")
        assert browser.status == 200
        assert "Versión 1.0.0, desde el 31 de diciembre de 2025, 18:00 UTC−6" in browser.page.text
        assert "CONV-DEMO-2025-01" in browser.page.text
        assert "Indicadores de 2026-04" in browser.page.text
        assert "cobertura IND-13" in browser.page.text
        assert browser.page.source.count("<rect") == 32
        assert "Estado de México ● en servicio" in browser.page.text
        await browser.get("/?periodo=2026-02&lang=en")
        assert "Indicators of 2026-02" in browser.page.text
        await browser.get("/?periodo=<script>")
        assert "Indicators of 2026-04" in browser.page.text
        assert "<script" not in browser.page.source
        assert browser.headers["Cache-Control"] == "no-store"
    assert not any("X-OSS-Proposito" in m.headers for m in world.messages)


async def test_every_picture_and_table_has_its_csv(world: World) -> None:
    address, _ = await world.portal("00-ONIESS")
    async with Browser(address, "en") as browser:
        await browser.get("/estados.csv")
        assert browser.headers["Content-Type"].startswith("text/csv")
        assert "15,Estado de México,en servicio,15-ISSEMYM ACTIVA" in browser.page.source
        assert len(browser.page.source.strip().splitlines()) == 33
        for name in ("indicadores.csv?periodo=2026-02", "negativas.csv"):
            await browser.get(f"/{name}")
            assert browser.status == 200
        await browser.get("/")
        assert "institutes connected IND-01" in browser.page.text
        world.silent.add("00-ONIESS")
        await browser.get("/estados.csv")
        assert browser.status == 502


async def test_nothing_of_a_person_is_there_whoever_asks(world: World) -> None:
    address, _ = await world.portal("00-ONIESS")
    async with Browser(address) as browser:
        for path in ("/accesos", "/derechos", "/evidencia"):
            await browser.get(path)
            assert browser.status == 404


async def test_a_part_that_does_not_answer_says_so(world: World) -> None:
    address, _ = await world.portal("00-ONIESS")
    world.silent.add("00-ONIESS")
    async with Browser(address) as browser:
        await browser.get("/")
        assert browser.status == 200
        assert browser.page.text.count("Intente más tarde") == 4
