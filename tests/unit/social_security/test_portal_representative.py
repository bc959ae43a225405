"""Who acts for a person by a mandate: her pages by his own account, as long as it lasts, and she sees that it was he."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner

from social_security.__main__ import main
from social_security.portal.accounts import REPRESENTATIVE, Mandate
from tests.portals import PIDS, Browser, World, open_world
from tests.unit.social_security.test_portal_person import file_request, logged_in

LAST = date(2026, 4, 20)  # the day that it is in these tests
PROOF = "ab" * 32


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


async def test_a_representative_asks_and_files_for_her_with_his_proof_and_she_sees_it(world: World) -> None:
    address, accounts = await world.portal("15-ISSEMYM")
    issued = accounts.issue("apoderado", PIDS["ana"], "Portal", REPRESENTATIVE)
    accounts.note_mandate("apoderado", Mandate(PROOF, LAST))
    async with Browser(address) as acting, Browser(address) as person:
        await acting.log_in("apoderado", issued)
        assert acting.status == 200
        for path in ("/historia", "/tramites", "/accesos", "/derechos"):
            await acting.get(path)
            assert acting.status == 200, (path, acting.page.text)
        before = len(world.messages)
        folio = await file_request(acting, "ACCESO")
        filed = [m for m in world.messages[before:] if b'"representante"' in m.body]
        assert len(filed) == 1
        assert PROOF.encode("ascii") in filed[0].body
        roles = {m.headers["X-OSS-Rol"] for m in world.messages[before:]}
        assert roles == {"REPRESENTANTE"}
        await logged_in(world, person, accounts, "ana")
        await person.get("/derechos")
        assert folio not in person.page.text, "his folios are his account's"
        await person.get("/accesos")
        assert "Portal ciudadano, representante" in person.page.text


@pytest.mark.parametrize("mandate", [None, Mandate(PROOF, date(2026, 4, 19))])
async def test_without_a_mandate_that_lasts_nothing_of_hers_is_shown(
    world: World, mandate: Mandate | None
) -> None:
    address, accounts = await world.portal("15-ISSEMYM")
    issued = accounts.issue("apoderado", PIDS["ana"], "Portal", REPRESENTATIVE)
    if mandate is not None:
        accounts.note_mandate("apoderado", mandate)
    before = len(world.messages)
    async with Browser(address) as acting:
        await acting.log_in("apoderado", issued)
        for path in (
            "/",
            "/historia",
            "/historia/constancia.pdf",
            "/accesos",
            "/derechos/nueva",
            "/tramites",
        ):
            await acting.get(path)
            assert acting.status == 403, path
            assert "mandato" in acting.page.text
        assert world.messages[before:] == []
        await acting.get("/casos")
        assert acting.status == 403, "nor is he one of the desk"


def test_an_account_of_who_acts_for_a_person_needs_her_the_document_and_its_last_day(tmp_path: Path) -> None:
    settings = tmp_path / "portal.toml"
    settings.write_text(
        'member = "15-ISSEMYM"\ngateway = "http://127.0.0.1:1"\npublic_url = "http://127.0.0.1:2"\n',
        encoding="utf-8",
    )
    document = tmp_path / "poder.pdf"
    document.write_bytes(b"%PDF-1.7 poder notarial")
    common = ["portal", "account", "issue", "--data", str(tmp_path / "portal"), "--settings", str(settings)]
    pid = ["--pid", PIDS["ana"]]
    whole = ["--mandate", str(document), "--until", "2026-04-20"]
    for wrong in (pid + whole[:2], pid + whole[2:], whole, [*pid, *whole, "--role", "ANALISTA_AFILIACION"]):
        assert CliRunner().invoke(main, [*common, *wrong, "apoderado"]).exit_code == 2, wrong
    made = CliRunner().invoke(main, [*common, *pid, *whole, "apoderado"])
    assert made.exit_code == 0, made.output
    listed = CliRunner().invoke(main, ["portal", "account", "list", "--data", str(tmp_path / "portal")])
    assert "apoderado  REPRESENTANTE  10" in listed.output
