"""An institute's tables out of any SQL database, by a mapping file, into the CSV layouts that `import` takes.

The institute's system is read and never written: one SELECT a layout, its rows streamed. What comes out is checked by `import`
like any other file, with its dry run, its quality report and its resumption. SQLAlchemy is an extra (``sql``), with the driver
of the database at hand.

Mapping (TOML): docs/importar.md and docs/import.md.
"""

from __future__ import annotations

import csv
import importlib
import os
import re
import tomllib
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from serving.config.secret import SecretSource
from serving.language import _
from social_security.importing import layouts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

LAYOUTS: Final[Mapping[str, Sequence[str]]] = {
    "personas": layouts.PERSONS,
    **layouts.LAYOUTS,
}
PAGE: Final = 2000
_READS: Final = re.compile(r"\s*(select|with)\b", re.IGNORECASE)
_TABLE_KEYS: Final = frozenset(("sql", "columnas", "constantes", "valores", "formatos"))


@dataclass(frozen=True, slots=True)
class TableMapping:
    """How one layout is filled: the query, and for each column where it comes from, or what always stands there.

    ``values`` are replaced one by one (``A`` by ``ACTIVA``), ``formats`` say how a text date is written (``%d/%m/%Y``).
    """

    sql: str
    columns: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    formats: Mapping[str, str] = field(default_factory=dict)


def read_mapping(file: Path) -> tuple[str, str, dict[str, TableMapping]]:
    """Address of the database, file of its password (or ""), and the mapping by layout. Raises ValueError."""
    try:
        value = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise ValueError(_("{file} cannot be read as TOML: {err}", file=file, err=err)) from err
    url, password_file = str(value.pop("url", "")), str(value.pop("password_file", ""))
    if not url:
        raise ValueError(_("{file} lacks url, as postgresql+psycopg://user@host/database", file=file))
    if re.search(r"://[^/@]*:[^/@]+@", url):
        raise ValueError(
            _("{file}: the password does not stand in url; password_file names a file with it", file=file)
        )
    return url, password_file, {name: _parse_table(name, table) for name, table in value.items()}


def _parse_table(name: str, table: Any) -> TableMapping:
    if name not in LAYOUTS or not isinstance(table, dict):
        raise ValueError(
            _("[{name}] is no layout; expected {names}", name=name[:40], names=", ".join(LAYOUTS))
        )
    unknown = set(table) - _TABLE_KEYS
    if unknown or _READS.match(str(table.get("sql", ""))) is None:
        raise ValueError(
            _(
                "[{name}]: sql is a SELECT, and only {keys} stand here",
                name=name,
                keys=", ".join(sorted(_TABLE_KEYS)),
            )
        )
    found = TableMapping(
        str(table["sql"]),
        table.get("columnas", {}),
        table.get("constantes", {}),
        table.get("valores", {}),
        table.get("formatos", {}),
    )
    strangers = (set(found.columns) | set(found.constants) | set(found.values) | set(found.formats)) - set(
        LAYOUTS[name]
    )
    if strangers:
        raise ValueError(
            _("[{name}] has no column {columns}; its columns are {all}", name=name, columns=", ".join(sorted(strangers)), all=", ".join(LAYOUTS[name]))
        )  # fmt: skip
    return found


def extract_rows(
    rows: Iterator[Mapping[str, object]], layout: Sequence[str], mapping: TableMapping
) -> Iterator[list[str]]:
    """The rows of a query as rows of a layout. Raises ValueError for a column that the query does not give."""
    for row in rows:
        made = []
        for name in layout:
            source = mapping.columns.get(name, name)
            if name in mapping.constants:
                made.append(str(mapping.constants[name]))
            elif source in row:
                made.append(_render(row[source], mapping.values.get(name, {}), mapping.formats.get(name)))
            else:
                raise ValueError(
                    _("the query gives no {source} for {name}; it gives {columns}", source=source, name=name, columns=", ".join(row))
                )  # fmt: skip
        yield made


def _render(value: object, values: Mapping[str, str], written: str | None) -> str:
    """A cell as the layouts have it: dates as ``2026-04-30``, whole numbers without a fraction, nothing as an empty cell."""
    if value is None:
        return ""
    if isinstance(value, date):
        text = (value.date() if isinstance(value, datetime) else value).isoformat()
    elif isinstance(value, float | Decimal) and value == int(value):
        text = str(int(value))
    else:
        text = str(value).strip()
    if written is not None and isinstance(value, str) and text:
        try:
            text = datetime.strptime(text, written).date().isoformat()
        except ValueError:
            # Left as it is: `import` says in which row it stands, and what it would read.
            return text
    return values.get(text, text)


def read_database(url: str, password: str, sql: str) -> Iterator[Mapping[str, object]]:
    """The rows of a query, streamed; the transaction is rolled back. Raises ValueError, never with the password in it."""
    try:
        alchemy: Any = importlib.import_module("sqlalchemy")
    except ImportError as err:
        raise ValueError(
            _("reading a database needs the extra: pip install 'sacbe[sql]' and the database's driver")
        ) from err
    try:
        address = alchemy.engine.make_url(url)
        engine = alchemy.create_engine(address.set(password=password) if password else address)
        with engine.connect() as connection:
            result = connection.execution_options(stream_results=True, yield_per=PAGE).execute(
                alchemy.text(sql)
            )
            for row in result.mappings():
                yield {str(k): v for k, v in row.items()}
    except (alchemy.exc.SQLAlchemyError, ImportError) as err:
        reason = str(err).splitlines()[0][:200].replace(password or "\x00", "***")
        raise ValueError(_("the database says: {reason}", reason=reason)) from err


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
        url, password_file, tables = read_mapping(file)
        password = SecretSource(file=password_file).read({}) if password_file else ""
        out.mkdir(mode=0o700, parents=True)
        for name, mapping in tables.items():
            rows = extract_rows(read_database(url, password, mapping.sql), LAYOUTS[name], mapping)
            count = _write(out / f"{name}.csv", LAYOUTS[name], rows)
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
