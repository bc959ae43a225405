"""The commands ``central-server status`` and ``health``: whether a node runs on a folder, where it listens, what is in its way.

A running node keeps ``running.json`` in its folder: its process and its addresses. Where there is none, or its process is
gone, the settings say where it would listen.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from central_server.cli.folder import DATA, SETTINGS, read_settings
from central_server.cli.serving import RUNNING, listen_addresses
from schemas.jsontext import dump_json, load_json
from serving.cli.commands import report_errors
from serving.cli.usercommands import JSON
from serving.language import _
from serving.process.addresses import PURPOSES, STATES, in_words, urls_by_purpose
from serving.process.httpget import read_json_object

NOT_RUNNING = 3
TIMEOUT_S = 10


def look(data: Path, settings_file: Path | None) -> dict[str, Any]:
    """The state of a folder's node, as far as this machine can know it."""
    note = _running_note(data)
    addresses = listen_addresses(read_settings(data, settings_file))
    web = next((f"{a.local_url}/health" for a in addresses if a.purpose == "configuration" and a.port), "")
    state = read_json_object(str((note or {}).get("health") or web), TIMEOUT_S)
    shown = (note or {}).get("addresses") or urls_by_purpose(addresses)
    found = {
        "running": note is not None or state is not None,
        "pid": (note or {}).get("pid"),
        "addresses": shown,
    }
    if state is None:
        nothing = _("nobody answers")
        return {**found, "status": "down", "problems": [f"{nothing}: {(note or {}).get('health') or web}"]}
    problem = state.get("problem")
    rows_at_fault = state.get("rows_at_fault", 0)
    return {
        **found,
        "status": state.get("status", "down"),
        "problems": [problem] if problem else [],
        "warnings": [
            *state.get("warnings", ()),
            *([f"rows at fault: {rows_at_fault}"] if rows_at_fault else []),
        ],
    }


def _running_note(data: Path) -> dict[str, Any] | None:
    """What a running node wrote; None when there is none, or its process is gone."""
    try:
        note = dict(load_json((data / RUNNING).read_text(encoding="utf-8")))
        os.kill(int(note["pid"]), 0)
    except PermissionError:  # it runs, as somebody else
        return note
    except (OSError, ValueError, KeyError):
        return None
    return note


@click.command(
    help="Say whether a node runs on the folder, where it listens and what is in its way; exits 3 when none runs, 1 when it does not publish."
)
@DATA
@SETTINGS
@JSON
@report_errors
def status(data: Path, settings: Path | None, as_json: bool) -> None:
    found = look(data, settings)
    if as_json:
        click.echo(dump_json(found, ensure_ascii=False))
    else:
        running = _("running") if found["running"] else _("not running")
        click.echo(f"{running}, pid {found['pid']}" if found["pid"] else running)
        _print_status(found)
        for purpose, url in found["addresses"].items():
            click.echo(f"  {in_words(PURPOSES, purpose):26} {url}")
    sys.exit(_code(found))


@click.command(help="Ask a running node whether it publishes as it should; exit 1 when it does not.")
@DATA
@SETTINGS
@report_errors
def health(data: Path, settings: Path | None) -> None:
    found = look(data, settings)
    _print_status(found)
    sys.exit(min(1, _code(found)))


def _print_status(found: dict[str, Any]) -> None:
    click.echo(in_words(STATES, found["status"]))
    for line in (*found["problems"], *found.get("warnings", ())):
        click.echo(f"- {line}")


def _code(found: dict[str, Any]) -> int:
    if not found["running"]:
        return NOT_RUNNING
    return 0 if found["status"] == "up" else 1
