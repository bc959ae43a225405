"""The documentation's site: tables in step with the software, links that lead somewhere, every page in its menu."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner
from lxml import etree

from central_server.cli.main import main as central_command
from central_server.config import TABLE, CentralSettings
from deploy.pages import DOCS, MARK, renew
from deploy.pictures import DRAWINGS, FOLDER, files
from gateway.cli.main import main as gateway_command
from gateway.settings.config import TABLE as GATEWAY
from gateway.settings.config import GatewaySettings
from schemas.faultcatalogue import CATALOGUE, FaultSide, explain
from schemas.faults import Kind, camel_code
from schemas.management import ManagementServiceCode
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


def test_pictures_are_those_of_their_tables_in_both_languages_and_each_is_shown() -> None:
    drawn = files()
    assert {p: p.read_text(encoding="utf-8") for p in FOLDER.iterdir()} == drawn, "python -m deploy.pictures"
    shown = {
        Path(t).name
        for page in PAGES
        for t in LINK.findall(page.read_text(encoding="utf-8"))
        if t.endswith(".svg")
    }
    assert shown == {p.name for p in drawn}
    for text in drawn.values():
        root = etree.fromstring(text.encode())
        assert [e.tag for e in root if e.tag.endswith("title")]
        width, height = (float(n) for n in root.attrib["viewBox"].split()[2:])
        for words in root.iter("{http://www.w3.org/2000/svg}text"):
            half = len(words.text or "") * 3.8
            assert half < float(words.attrib["x"]) < width - half, words.text
            assert 0 < float(words.attrib["y"]) < height
    for drawing in DRAWINGS.values():
        assert all({a.start, a.end} <= set(drawing.boxes) for a in drawing.arrows)


@pytest.mark.xroad("F146")
def test_the_picture_of_ports_has_the_ports_that_servers_listen_on() -> None:
    gateway, central = GatewaySettings(), CentralSettings()
    drawn = {int(n) for a in DRAWINGS["ports"].arrows for n in re.findall(r"\d+", a.words[0])}
    assert drawn == ports_of(gateway.listen) | ports_of(central.listen) | {gateway.admin.port}


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


def test_every_setting_of_the_central_server_says_what_it_does_and_has_a_default_within_its_range() -> None:
    assert set(TABLE.settings) == set(TABLE.types)
    for name, value in TABLE.defaults.items():
        assert TABLE.settings[name].help
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            assert TABLE.parse(name, str(value)) == value, name


COMMAND = re.compile(r"`((?:gateway|central-server) [a-z][^`]*)`")
DOTTED = re.compile(r"`([a-z]+\.[a-z_]+)(?: = [^`]+)?`")


@pytest.mark.xroad("F143")
@pytest.mark.parametrize("name", ["hardening.md", "endurecer.md"])
def test_the_hardening_guide_names_commands_and_settings_that_there_are(name: str) -> None:
    text = (DOCS / name).read_text(encoding="utf-8")
    for line in COMMAND.findall(text):
        program, *words = line.split()
        command: click.Command = gateway_command if program == "gateway" else central_command
        while isinstance(command, click.Group) and (words or not command.invoke_without_command):
            assert words, line
            assert words[0] in command.commands, line
            command = command.commands[words.pop(0)]
        options = {o for p in command.params for o in p.opts}
        assert {w for w in words if w.startswith("--")} <= options, line
    known = {*GATEWAY.settings, *TABLE.settings} | {"admin.host", "admin.oidc"}
    named = set(DOTTED.findall(text)) - {"apt-daily-upgrade.timer"}
    assert len(named) > 6
    assert named <= known


@pytest.mark.xroad("F146")
@pytest.mark.parametrize("name", ["install.md", "instalar.md"])
def test_the_firewall_worksheet_has_every_port_that_a_server_listens_on(name: str) -> None:
    text = (DOCS / name).read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if re.match(r"\| \d", line)]
    shown = {int(port) for row in rows for port in re.findall(r"\d+", row.split("|")[1])}
    gateway, central = GatewaySettings(), CentralSettings()
    listening = {value for holder in (gateway.listen, central.listen) for value in ports_of(holder)}
    assert shown >= listening | {gateway.admin.port, central.admin.port}
    assert all(len(row.split("|")) == 7 and all(cell.strip() for cell in row.split("|")[1:4]) for row in rows)


def ports_of(section: object) -> set[int]:
    return {getattr(section, field) for field in section.__struct_fields__ if field.endswith("_port")} - {0}  # type: ignore[attr-defined]


@pytest.mark.xroad("F078")
@pytest.mark.parametrize("name", ["protocols.md", "protocolos.md"])
def test_the_protocol_page_names_what_the_wire_has_and_where_its_rules_are(name: str) -> None:
    text = (DOCS / name).read_text(encoding="utf-8")
    for service in ManagementServiceCode:
        assert f"`{service.value}`" in text
    wire = (PROJECT / "schemas" / "transport.py").read_text(encoding="utf-8")
    types = set(
        re.findall(r'"(application/(?:x-road-rest|hash-chain|ocsp)[a-z-]*|signature/bdoc[a-z0-9./-]*)"', wire)
    )
    assert len(types) > 4
    for content_type in types:
        assert f"`{content_type}`" in text
    for path in re.findall(r"`((?:schemas|gateway|certs|tests)/[\w/.]+)`", text):
        assert (PROJECT / path).exists(), path
