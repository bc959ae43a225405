"""Values of JSON for a person at a terminal: tables of what comes in lists, a line for each field of anything else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from schemas.jsontext import encode_json

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDEST = 60


def print_value(value: object) -> None:
    """Print an answer in the form the command line asks for."""
    if isinstance(value, list):
        _print_list(value)
    elif isinstance(value, dict):
        _print_fields(value, "")
    elif value is not None:
        click.echo(_text(value))


def _print_list(values: list[Any]) -> None:
    if not all(isinstance(v, dict) for v in values):
        for value in values:
            click.echo(_text(value))
        return
    if any(isinstance(v, (list, dict)) and v for row in values for v in row.values()):
        for row in values:
            _print_fields(row, "")
            click.echo()
        return
    names = list(dict.fromkeys(name for row in values for name in row))
    lines = [[_text(row.get(name, "")) for name in names] for row in values]
    print_table(names, lines)


def print_table(names: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """Columns as wide as what stands in them; nothing at all for no lines."""
    if not lines:
        return
    widths = [min(max(len(cell) for cell in column), WIDEST) for column in zip(names, *lines, strict=True)]
    for line in (names, *lines):
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def _print_fields(value: dict[str, Any], indent: str) -> None:
    for name, found in value.items():
        if isinstance(found, dict):
            click.echo(f"{indent}{name}:")
            _print_fields(found, indent + "  ")
        elif isinstance(found, list) and any(isinstance(f, dict) for f in found):
            click.echo(f"{indent}{name}:")
            for one in found:
                _print_fields(one, indent + "  - ")
        else:
            click.echo(f"{indent}{name}: {_text(found)}")


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ", ".join(_text(v) for v in value)
    return "" if value is None else str(value)


def print_values(values: object, *, as_json: bool) -> None:
    """An answer for programs, or for a person."""
    if as_json:
        click.echo(encode_json(values, indent=2).decode())
    else:
        print_value(values)
