"""``social_security extract``: an institute's tables out of any SQL database, by a mapping file, into the files that `import` takes.

What comes out is checked by `import` like any other file, with its dry run, its quality report and its resumption.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from serving.config.secret import SecretSource
from serving.language import _
from social_security.importing.mapping import MAPPED, extract_rows, read_database, read_mapping

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@click.command("extract")
@click.option(
    "--mapping",
    "file",
    required=True,
    type=click.Path(path_type=Path, exists=True),
    help="mapping file (TOML)",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="new folder for the CSV files")
def extract(file: Path, out: Path) -> None:
    """Read an institute's SQL database by a mapping file, into the CSV files that `import` takes. Writes nothing there."""
    try:
        read = read_mapping(file)
        password = SecretSource(file=read.password_file).read({}) if read.password_file else ""
        out.mkdir(mode=0o700, parents=True)
        for name, mapping in read.tables.items():
            rows = extract_rows(read_database(read.url, password, mapping.sql), MAPPED[name], mapping)
            count = _write(out / f"{name}.csv", MAPPED[name], rows)
            click.echo(f"{out / f'{name}.csv'}: {count}")
    except FileExistsError as err:
        raise click.ClickException(_("{out} is there already; it is a new folder", out=out)) from err
    except ValueError as err:
        raise click.ClickException(str(err)) from err


def _write(file: Path, layout: Sequence[str], rows: Iterator[list[str]]) -> int:
    """A CSV that only its owner reads: it holds persons' data."""
    count = 0
    with os.fdopen(
        os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8", newline=""
    ) as opened:
        writer = csv.writer(opened)
        writer.writerow(layout)
        for row in rows:
            writer.writerow(row)
            count += 1
    return count
