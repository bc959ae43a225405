"""The command ``gateway status``: whether a gateway runs on a data folder, where it listens, and what stands in its way."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.keys import DATA
from schemas.jsontext import dump_json
from serving.cli.commands import report_errors
from serving.cli.usercommands import JSON
from serving.language import _
from serving.process.addresses import PURPOSES, STATES, in_words, urls_by_purpose
from serving.process.httpget import read_json_object

if TYPE_CHECKING:
    from gateway.settings.config import GatewaySettings


@click.command(
    help="Say whether a gateway runs on the folder, where it listens and what is in its way; exits 3 when none runs, 1 when it cannot exchange."
)
@DATA
@click.option("--settings", "settings_file", type=click.Path(path_type=Path, exists=True))
@JSON
@report_errors
def status(data: Path, settings_file: Path | None, as_json: bool) -> None:
    found = look(data, settings_file)
    if as_json:
        click.echo(dump_json(found, ensure_ascii=False))
    else:
        _print(found)
    sys.exit(3 if not found["running"] else 0 if found["status"] == "up" else 1)


def look(data: Path, settings_file: Path | None) -> dict[str, Any]:
    """The state of a data folder's gateway as far as this machine can see it: running, health, problems, addresses."""
    from gateway.server.addresses import find_health, listen_addresses, settings_of
    from gateway.server.process import admin_settings
    from gateway.server.running import running_note

    found: dict[str, Any] = {"running": True, "pid": None, "status": "down", "problems": []}
    note: dict[str, Any] = {}
    try:
        note = running_note(data)
        found["pid"] = note["pid"]
    except ProcessLookupError as err:
        found |= {"running": False, "problems": [str(err)]}
    state = read_json_object(find_health(data, settings_file), 10)
    if state is not None:
        found |= {"running": True, "status": state["status"], "problems": state["problems"]}
    shown = note.get("addresses")
    if not shown:  # it would listen there
        settings = settings_of(data, settings_file)
        shown = urls_by_purpose(listen_addresses(settings, admin_settings(settings)))
    return {**found, "addresses": shown}


def settings_of(data: Path, settings_file: Path | None) -> GatewaySettings:
    """The settings that a gateway on the folder runs by."""
    from gateway.server import addresses

    return addresses.settings_of(data, settings_file)


def _print(found: dict[str, Any]) -> None:
    running = _("running") if found["running"] else _("not running")
    click.echo(f"{running}, pid {found['pid']}" if found["pid"] else running)
    if found["running"]:
        click.echo(f"{_('exchange')}: {in_words(STATES, found['status'])}")
    for problem in found["problems"]:
        click.echo(f"- {problem}")
    for purpose, url in found["addresses"].items():
        click.echo(f"  {in_words(PURPOSES, purpose):22} {url}")
