"""Who looked at my data, from the log itself: each line is proved by the signed log, or the page says in words why it is not."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.cli.main import main
from serving.api.evidence import save_configuration
from serving.storage.database import open_database
from social_security.domain import pack
from social_security.institute.stores.steps import STEPS
from tests.portals import PIDS, Browser, World, open_world
from tests.signedlogs import SignedLogs

ID = re.compile(r"MX-[0-9a-f]{8}-[0-9a-f-]{27}")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Systems whose messages are kept by a gateway with a signed log."""
    async with open_world(tmp_path) as opened:
        opened.logs = SignedLogs(tmp_path / "gateway-log")
        opened.verification_configuration = opened.logs.verificationconf()
        yield opened
        await opened.logs.log.close()


def logs_of(world: World) -> SignedLogs:
    assert world.logs is not None
    return world.logs


async def visit(
    world: World, browser: Browser, address: str, accounts: object, path: str = "/accesos"
) -> str:
    await browser.log_in("ana", accounts.issue("ana", PIDS["ana"], "Portal"))  # type: ignore[attr-defined]
    logs_of(world).catch_up()
    await browser.get(path)
    assert browser.status == 200
    return browser.page.text


async def test_each_line_is_proved_by_record_and_log_and_its_proof_is_taken_along(
    world: World, tmp_path: Path
) -> None:
    address, accounts = await world.portal("15-ISSEMYM")
    async with Browser(address) as browser:
        text = await visit(world, browser, address, accounts)
        # Her first page asked twice: each is a line with a request and an answer.
        assert text.count("Probado: registro") == 2
        assert "MX/GOB/00-RNSS/SS1" in text
        assert "que la bitácora firmada prueba: 2 de 2" in text
        (link, *_) = [x for x in browser.page.links if x.startswith("/accesos/prueba?")]
        await browser.get(link)
        assert browser.status == 200
        assert "record-proof.json" in browser.headers["Content-Disposition"]
        proof = tmp_path / "line.record-proof.json"
        proof.write_text(browser.page.source)
    assert [p["record"]["isResponse"] for p in json.loads(proof.read_text())] == [False, True]
    save_configuration(world.verification_configuration, tmp_path / "conf")
    arguments = ["audit", "proof", "--configuration", str(tmp_path / "conf"), str(proof)]
    found = CliRunner().invoke(main, arguments, env={"SACBE_LANG": "en"})
    assert (found.exit_code, found.output.count("PROVED")) == (0, 2), found.output
    assert "cosigned by MX/central/witness" in found.output


async def test_look_ups_at_the_registry_are_a_list_of_their_own_with_proofs(world: World) -> None:
    address, accounts = await world.portal("15-ISSEMYM")
    async with Browser(address, "en") as browser:
        await visit(world, browser, address, accounts)
        await browser.get("/historia")  # asks the registry who holds a history of hers
        logs_of(world).catch_up()
        await browser.get("/accesos/registro")
        assert "Proved: record" in browser.page.text, browser.page.text
        links = [x for x in browser.page.links if x.startswith("/accesos/prueba?")]
        assert links
        assert all("en=registro" in x for x in links)
        await browser.get(links[0])
        assert json.loads(browser.page.source)[0]["record"]["owner"].startswith("MX/GOB/00-RNSS/")


async def test_a_filtered_list_is_proved_too(world: World) -> None:
    address, accounts = await world.portal("15-ISSEMYM")
    async with Browser(address, "en") as browser:
        await visit(world, browser, address, accounts, "/accesos?quien=propias&resultado=ENTREGADO")
        assert browser.page.text.count("Proved: record") == 2


async def test_what_no_head_covers_yet_waits_and_is_proved_with_the_next_one(world: World) -> None:
    address, accounts = await world.portal("15-ISSEMYM")
    async with Browser(address, "en") as browser:
        await visit(world, browser, address, accounts)
        await browser.get("/accesos")
        assert browser.page.text.count("Not yet:") == 1
        assert "that the signed log proves: 2 of 3" in browser.page.text
        logs_of(world).catch_up()
        await browser.get("/accesos")
        assert browser.page.text.count("Proved: record") == 4


async def test_a_message_in_another_gateways_log_is_not_proved_and_says_so(world: World) -> None:
    address, accounts = await world.portal("15-ISSEMYM")
    async with Browser(address, "en") as browser:
        world.unlogged.add("HIST")
        text = await visit(world, browser, address, accounts)
        assert text.count("the log of this gateway has no such message") == 1
        assert text.count("Proved: record") == 1


async def test_a_list_that_says_another_than_the_log_is_told_of_as_failing(world: World) -> None:
    address, accounts = await world.portal("15-ISSEMYM")
    async with Browser(address, "en") as browser:
        await visit(world, browser, address, accounts)
        database = open_database(world.system_folder("15-ISSEMYM") / "institute.sqlite", STEPS)
        with database.transaction() as books:
            books.execute(
                "UPDATE access SET receiver = 'MX/GOB/30-IPE' WHERE pid = ? AND action = ?",
                (PIDS["ana"], pack.operations()["consultarHistoria"].es),
            )
        database.close()
        await browser.get("/accesos")
        text = browser.page.text
        assert text.count("The proof FAILS") == 1, text
        assert "The signed log contradicts this list" in text


@pytest.mark.parametrize("which", ["key", "none"])
async def test_a_log_of_another_key_fails_and_without_a_configuration_nothing_is_called_proved(
    world: World, which: str
) -> None:
    other = Ed25519PrivateKey.generate()
    changed = logs_of(world).verificationconf(other) if which == "key" else b""
    world.verification_configuration = changed
    address, accounts = await world.portal("15-ISSEMYM")
    async with Browser(address, "en") as browser:
        text = await visit(world, browser, address, accounts)
        assert "Proved: record" not in text
        assert text.count("The proof FAILS" if which == "key" else "no key to verify it by") == 2


async def test_nobody_has_the_proof_of_anothers_line(world: World) -> None:
    address, accounts = await world.portal("15-ISSEMYM")
    async with Browser(address, "en") as browser:
        text = await visit(world, browser, address, accounts)
        message_id = next(iter(ID.findall(text)))
        for unknown in ("MX-nobody", "", "x" * 300):
            await browser.get(f"/accesos/prueba?mensaje={unknown}")
            assert browser.status == 404
    async with Browser(address, "en") as browser:
        await browser.log_in("jose", accounts.issue("jose", PIDS["jose"], "Portal"))
        await browser.get(f"/accesos/prueba?mensaje={message_id}")
        assert browser.status in (404, 502)
        assert '"proof"' not in browser.page.source
