"""``gateway settings``: see and change settings; a running gateway takes live ones within a second."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.keys import DATA, open_store
from gateway.cli.localaudit import audited
from schemas.jsontext import encode_json
from serving.cli.commands import report_errors
from serving.language import N_, _, language_of, languages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.settings.livesettings import LiveSettings
    from serving.config.settingtable import Change

JSON = click.option("--json", "as_json", is_flag=True, help="for programs")
SETTINGS = click.option(
    "--settings",
    "settings_file",
    type=click.Path(path_type=Path, exists=True),
    help="settings file; else DIR/settings.toml",
)
NAME = click.argument("name")


@click.group(help="See and change settings.")
def settings() -> None:
    """The commands that see and change settings."""


@settings.command("list", help="Every setting.")
@DATA
@SETTINGS
@JSON
@report_errors
def list_settings(data: Path, settings_file: Path | None, as_json: bool) -> None:
    """Print every setting with its value and where it comes from."""
    from gateway.settings.config import TABLE

    with _live(data, settings_file) as live:
        views = [_view(live, name) for name in TABLE.types]
    if as_json:
        click.echo(encode_json(views, indent=2).decode())
        return
    for view in views:
        mark = "" if view["source"] == "default" else f"   [{view['source']}]"
        click.echo(f"{view['name']} = {view['value']}{mark}")


@settings.command(help="One setting: its value, what it does, what it takes.")
@DATA
@SETTINGS
@JSON
@NAME
@report_errors
def get(data: Path, settings_file: Path | None, as_json: bool, name: str) -> None:
    """Print one setting with its meaning, bounds, default and source."""
    from gateway.settings.config import TABLE

    TABLE.setting(name)
    with _live(data, settings_file) as live:
        view = _view(live, name)
    if as_json:
        click.echo(encode_json(view, indent=2).decode())
        return
    when = _("taken while running") if view["live"] else _("taken at the next start")
    click.echo(f"{name} = {view['value']}")
    click.echo(f"  {view[language_of(os.environ)]}")
    click.echo(f"  {view['expected']}; {_('default')} {view['default']}; {view['source']}; {when}")


@settings.command(
    "set",
    help="Change a setting; lists are written with commas.",
)
@DATA
@SETTINGS
@JSON
@NAME
@click.argument("value")
@report_errors
@audited("SETTING_CHANGE")
def set_setting(data: Path, settings_file: Path | None, as_json: bool, name: str, value: str) -> None:
    """Change a setting, at once or for the next start."""
    with _live(data, settings_file) as live:
        _print_result(name, live.set(name, value), as_json)


@settings.command(help="Go back to the file's value or the default.")
@DATA
@SETTINGS
@JSON
@NAME
@report_errors
@audited("SETTING_CHANGE")
def unset(data: Path, settings_file: Path | None, as_json: bool, name: str) -> None:
    """Go back to the value of the settings file or the default."""
    with _live(data, settings_file) as live:
        _print_result(name, live.unset(name), as_json)


@settings.command(
    "table",
    help="The table of settings of the documentation.",
)
def table() -> None:
    """Print the documentation's table of settings, in Markdown."""
    from gateway.settings.config import TABLE

    click.echo(TABLE.render_markdown(language_of(os.environ)), nl=False)


@contextlib.contextmanager
def _live(data: Path, given: Path | None) -> Iterator[LiveSettings]:
    from gateway.settings.livesettings import LiveSettings, settings_file

    store = open_store(data)
    try:
        yield LiveSettings(store.database, settings_file(data, given), os.environ)
    finally:
        store.close()


def _view(live: LiveSettings, name: str) -> dict[str, object]:
    from gateway.settings.config import TABLE
    from serving.config.settingtable import shown

    setting = TABLE.setting(name)
    return {
        "name": name,
        "value": shown(TABLE.flatten(live.load())[name]),
        "default": shown(TABLE.defaults[name]),
        "expected": TABLE.expected(name),
        "source": live.source(name),
        "live": setting.live,
        **{language: N_(setting.help).into(language) for language in languages()},
    }


def _print_result(name: str, changes: tuple[Change, ...], as_json: bool) -> None:
    from gateway.settings.config import TABLE
    from gateway.settings.livesettings import variable_of
    from serving.config.settingtable import shown

    live = TABLE.setting(name).live
    if as_json:
        lines = [{"name": c.name, "old": shown(c.old), "new": shown(c.new), "live": live} for c in changes]
        click.echo(encode_json(lines).decode())
        return
    if variable_of(name) in os.environ:
        click.echo(_("kept, but the variable {variable_of} goes before it", variable_of=variable_of(name)))
        return
    for change in changes:
        click.echo(f"{name}: {shown(change.old)} -> {shown(change.new)}")
    if not changes:
        click.echo(_("it was so already"))
    elif live:
        click.echo(_("a running gateway takes it within a second"))
    else:
        click.echo(_("it counts from the gateway's next start on"))
