"""``social_security extract``: an institute's tables out of any SQL database, by a mapping file, into the files that `import` takes.

What comes out is checked by `import` like any other file, with its dry run, its quality report and its resumption.
"""

from __future__ import annotations

from pathlib import Path

import click

from serving.config.secret import SecretSource
from serving.language import _
from social_security.importing.mapping import MAPPED, extract_rows, read_database, read_mapping
from social_security.newfiles import new_folder, write_rows


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
        with new_folder(out) as folder:
            for name, mapping in read.tables.items():
                rows = extract_rows(read_database(read.url, password, mapping.sql), MAPPED[name], mapping)
                count = write_rows(folder / f"{name}.csv", MAPPED[name], rows)
                click.echo(f"{out / f'{name}.csv'}: {count}")
    except FileExistsError as err:
        raise click.ClickException(_("{out} is there already; it is a new folder", out=out)) from err
    except ValueError as err:
        raise click.ClickException(str(err)) from err
