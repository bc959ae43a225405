"""The documentation's site: tables in step with the software, links that lead somewhere, every page in its menu."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from central_server.config import TABLE
from deploy.pages import DOCS, MARK, renew
from gateway.cli.main import main as gateway_command
from schemas.faultcatalogue import CATALOGUE, FaultSide, explain
from schemas.faults import Kind, camel_code
from tests.paths import PROJECT

PAGES = sorted(DOCS.rglob("*.md"))
LINK = re.compile(r"\]\(([^)\s]+)\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_tables_of_a_page_are_those_of_the_software(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert renew(text) == text, "python -m deploy.pages"


def test_the_pages_of_tables_have_them_in_both_languages() -> None:
    made = {(m[2], m[3]) for page in PAGES for m in MARK.finditer(page.read_text(encoding="utf-8"))}
    assert {("faults", "en"), ("faults", "es"), ("central", "en"), ("central", "es")} <= made


@pytest.mark.parametrize("page", [*PAGES, PROJECT / "README.md"], ids=lambda p: p.name)
def test_links_of_a_page_lead_to_a_file(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if not re.match(r"[a-z]+:|#", target):
            assert (page.parent / target.partition("#")[0]).exists(), target


def test_every_page_is_in_the_menu_and_the_menu_has_nothing_else() -> None:
    menu = yaml.safe_load((PROJECT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    listed = [next(iter(entry.values())) for part in menu for entry in next(iter(part.values()))]
    assert len(listed) == len(set(listed))
    pages = {p.name for p in DOCS.glob("*.md")} - {"index.md"}
    assert set(listed) == pages


def test_every_fault_code_says_what_it_means_who_mends_it_and_how_in_both_languages() -> None:
    assert set(CATALOGUE) == set(Kind)
    for row in CATALOGUE.values():
        assert row.side in FaultSide
        assert all(text.strip() and "|" not in text for text in (*row.en, *row.es)), row.kind
        assert row.en != row.es


@pytest.mark.parametrize("kind", list(Kind), ids=lambda k: k.value)
def test_a_code_is_explained_in_either_spelling_with_whatever_stands_before_it(kind: Kind) -> None:
    for code in (kind.value, f"server.clientproxy.service_failed.{kind.value}"):
        for spelled in (code, camel_code(code)):
            found = explain(spelled)
            assert found is not None, spelled
            assert found.kind is kind, spelled


def test_the_command_explains_a_code_and_refuses_one_that_is_none() -> None:
    run = CliRunner().invoke
    told = run(
        gateway_command, ["explain", "Server.ClientProxy.SslAuthenticationFailed"], env={"SACBE_LANG": "en"}
    )
    assert told.exit_code == 0
    assert "other server" in told.output
    spanish = run(gateway_command, ["explain", "access_denied"], env={"SACBE_LANG": "es"})
    assert "proveedor" in spanish.output
    refused = run(gateway_command, ["explain", "no_such_code"])
    assert refused.exit_code == 1


def test_every_setting_of_the_central_server_has_a_row_and_a_default_within_its_range() -> None:
    assert set(TABLE.rows) == set(TABLE.types)
    for name, value in TABLE.defaults.items():
        assert TABLE.rows[name].help
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            assert TABLE.parse(name, str(value)) == value, name
