"""``gateway settings``: see and change settings; a running gateway takes live ones within a second."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click
import orjson

from gateway.cli.keys import DATA, open_store
from gateway.cli.localaudit import audited
from serving.cli.commands import report_errors
from serving.language import Language, language_of, tr

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.settings.livesettings import LiveSettings
    from serving.config.settingtable import Change

JSON = click.option("--json", "as_json", is_flag=True, help=tr("para programas", "for programs"))
SETTINGS = click.option(
    "--settings",
    "settings_file",
    type=click.Path(path_type=Path, exists=True),
    help=tr("archivo de ajustes; si no, DIR/settings.toml", "settings file; else DIR/settings.toml"),
)
NAME = click.argument("name")


@click.group(help=tr("Ver y cambiar ajustes.", "See and change settings."))
def settings() -> None:
    """See and change settings."""


@settings.command("list", help=tr("Todos los ajustes.", "Every setting."))
@DATA
@SETTINGS
@JSON
@report_errors
def list_settings(data: Path, settings_file: Path | None, as_json: bool) -> None:
    """Every setting."""
    from gateway.settings.config import TABLE

    with _live(data, settings_file) as live:
        views = [_view(live, name) for name in TABLE.types]
    if as_json:
        click.echo(orjson.dumps(views, option=orjson.OPT_INDENT_2).decode())
        return
    for view in views:
        mark = "" if view["source"] == "default" else f"   [{view['source']}]"
        click.echo(f"{view['name']} = {view['value']}{mark}")


@settings.command(
    help=tr(
        "Un ajuste: su valor, qué hace y qué valores toma.",
        "One setting: its value, what it does, what it takes.",
    )
)
@DATA
@SETTINGS
@JSON
@NAME
@report_errors
def get(data: Path, settings_file: Path | None, as_json: bool, name: str) -> None:
    """One setting."""
    from gateway.settings.config import TABLE

    TABLE.row(name)
    with _live(data, settings_file) as live:
        view = _view(live, name)
    if as_json:
        click.echo(orjson.dumps(view, option=orjson.OPT_INDENT_2).decode())
        return
    when = (
        tr("se toma en marcha", "taken while running")
        if view["live"]
        else tr("se toma al arrancar", "taken at the next start")
    )
    click.echo(f"{name} = {view['value']}")
    click.echo(f"  {view[language_of(os.environ).value]}")
    click.echo(
        f"  {view['expected']}; {tr('de fábrica', 'default')} {view['default']}; {view['source']}; {when}"
    )


@settings.command(
    "set",
    help=tr(
        "Cambia un ajuste; las listas se escriben con comas.",
        "Change a setting; lists are written with commas.",
    ),
)
@DATA
@SETTINGS
@JSON
@NAME
@click.argument("value")
@report_errors
@audited("SETTING_CHANGE")
def set_setting(data: Path, settings_file: Path | None, as_json: bool, name: str, value: str) -> None:
    """Change a setting."""
    with _live(data, settings_file) as live:
        _say(name, live.set(name, value), as_json)


@settings.command(
    help=tr("Vuelve al valor del archivo o de fábrica.", "Go back to the file's value or the default.")
)
@DATA
@SETTINGS
@JSON
@NAME
@report_errors
@audited("SETTING_CHANGE")
def unset(data: Path, settings_file: Path | None, as_json: bool, name: str) -> None:
    """Go back."""
    with _live(data, settings_file) as live:
        _say(name, live.unset(name), as_json)


@settings.command(
    "table",
    help=tr("La tabla de ajustes de la documentación.", "The table of settings of the documentation."),
)
@click.option("--language", type=click.Choice(["es", "en"]))
def table(language: str | None) -> None:
    """The documentation's table."""
    from gateway.settings.config import TABLE

    chosen = Language(language) if language else language_of(os.environ)
    click.echo(TABLE.render_markdown(chosen), nl=False)


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

    row = TABLE.row(name)
    return {
        "name": name,
        "value": shown(TABLE.flatten(live.load())[name]),
        "default": shown(TABLE.defaults[name]),
        "expected": TABLE.expected(name),
        "source": live.source(name),
        "live": row.live,
        "es": row.es,
        "en": row.en,
    }


def _say(name: str, changes: tuple[Change, ...], as_json: bool) -> None:
    from gateway.settings.config import TABLE
    from gateway.settings.livesettings import variable_of
    from serving.config.settingtable import shown

    live = TABLE.row(name).live
    if as_json:
        told = [{"name": c.name, "old": shown(c.old), "new": shown(c.new), "live": live} for c in changes]
        click.echo(orjson.dumps(told).decode())
        return
    if variable_of(name) in os.environ:
        click.echo(
            tr(
                f"guardado, pero la variable {variable_of(name)} manda mientras exista",
                f"kept, but the variable {variable_of(name)} goes before it",
            )
        )
        return
    for change in changes:
        click.echo(f"{name}: {shown(change.old)} -> {shown(change.new)}")
    if not changes:
        click.echo(tr("ya era así", "it was so already"))
    elif live:
        click.echo(
            tr("una pasarela en marcha lo toma en un segundo", "a running gateway takes it within a second")
        )
    else:
        click.echo(
            tr("vale desde el próximo arranque de la pasarela", "it counts from the gateway's next start on")
        )
