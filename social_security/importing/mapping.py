"""How an institute's own names become a layout's: a mapping file (TOML), and the rows of an SQL database by it.

The institute's system is read and never written: one SELECT a layout. SQLAlchemy is an extra (``sql``), with the driver of the
database at hand. Mapping: docs/importar.md and docs/import.md.
"""

from __future__ import annotations

import importlib
import math
import re
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from serving.config.textfiles import read_toml_file
from serving.errors import OperatorError
from serving.language import N_
from social_security.importing import layouts

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence
    from pathlib import Path

MAPPED: Final[Mapping[str, Sequence[str]]] = {
    "personas": layouts.PERSONS,
    **{k: v for k, v in layouts.LAYOUTS.items() if k not in layouts.HANDED_OVER},
}
PAGE: Final = 2000
# A column beside those of a period's layout: how often it has been corrected, where a system that is read each time says so.
VERSION: Final = "version"
_USUAL_S: Final = 5.0
_LONGEST_S: Final = 15.0
_READS: Final = re.compile(r"\s*(select|with)\b", re.IGNORECASE)
_TABLE_KEYS: Final = frozenset(("sql", "columnas", "constantes", "valores", "formatos"))


@dataclass(frozen=True, slots=True)
class TableMapping:
    """The source of one layout: an SQL query, and for each column of the layout the query's, or what always stands there.

    ``values`` are replaced one by one (``A`` by ``ACTIVA``), ``formats`` say how a text date is written (``%d/%m/%Y``).
    """

    sql: str
    columns: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    formats: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MappingFile:
    """A mapping file: the address of an institute's own system, the file of its password (or ""), a mapping for each layout, seconds."""

    url: str
    password_file: str
    tables: Mapping[str, TableMapping]
    timeout_s: float = _USUAL_S

    @property
    def is_http(self) -> bool:
        """Whether it is asked over HTTP; else it is an SQL database."""
        return self.url.startswith(("https://", "http://"))


def read_mapping(file: Path) -> MappingFile:
    """A mapping file. Raises ValueError saying what is wrong in it."""
    try:
        value = read_toml_file(file)
    except OSError as err:
        raise OperatorError(N_("{file} cannot be read: {err}", file=file, err=err)) from err
    url, password_file = str(value.pop("url", "")), str(value.pop("password_file", ""))
    if not url:
        raise OperatorError(N_("{file} lacks url, as postgresql+psycopg://user@host/database", file=file))
    if re.search(r"://[^/@]*:[^/@]+@", url):
        raise OperatorError(
            N_("{file}: the password does not stand in url; password_file names a file with it", file=file)
        )
    timeout_s = value.pop("timeout_s", _USUAL_S)
    if not isinstance(timeout_s, int | float) or not 0 < timeout_s <= _LONGEST_S:
        raise OperatorError(
            N_("{file}: timeout_s is more than 0 and at most {most}", file=file, most=_LONGEST_S)
        )
    is_sql = not url.startswith(("https://", "http://"))
    tables = {name: _parse_table(name, table, is_sql=is_sql) for name, table in value.items()}
    return MappingFile(url, password_file, tables, timeout_s)


def _parse_table(name: str, table: Any, *, is_sql: bool) -> TableMapping:
    if name not in MAPPED or not isinstance(table, dict):
        raise OperatorError(
            N_("[{name}] is no layout; expected {names}", name=name[:40], names=", ".join(MAPPED))
        )
    unknown = set(table) - _TABLE_KEYS
    if unknown or (is_sql and _READS.match(str(table.get("sql", ""))) is None):
        raise OperatorError(
            N_(
                "[{name}]: sql is a SELECT, and only {keys} stand here",
                name=name,
                keys=", ".join(sorted(_TABLE_KEYS)),
            )
        )
    found = TableMapping(
        str(table.get("sql", "")),
        table.get("columnas", {}),
        table.get("constantes", {}),
        table.get("valores", {}),
        table.get("formatos", {}),
    )
    named = set(found.columns) | set(found.constants) | set(found.values) | set(found.formats)
    strangers = named - set(MAPPED[name]) - ({VERSION} if name == "periodos" else set())
    if strangers:
        raise OperatorError(
            N_("[{name}] has no column {columns}; its columns are {all}", name=name, columns=", ".join(sorted(strangers)), all=", ".join(MAPPED[name]))
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
                raise OperatorError(
                    N_("the query gives no {source} for {name}; it gives {columns}", source=source, name=name, columns=", ".join(row))
                )  # fmt: skip
        yield made


def _render(value: object, values: Mapping[str, str], written: str | None) -> str:
    """A cell as the layouts have it: dates as ``2026-04-30``, whole numbers without a fraction, nothing as an empty cell."""
    if value is None:
        return ""
    if isinstance(value, date):
        text = (value.date() if isinstance(value, datetime) else value).isoformat()
    elif isinstance(value, float | Decimal) and math.isfinite(value) and value == int(value):
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


def open_engine(url: str, password: str) -> Any:
    """SQLAlchemy's engine for an address; nothing is connected yet. Raises ValueError without the extra or the driver."""
    try:
        alchemy: Any = importlib.import_module("sqlalchemy")
    except ImportError as err:
        raise OperatorError(
            N_("reading a database needs the extra: pip install 'sacbe[sql]' and the database's driver")
        ) from err
    try:
        address = alchemy.engine.make_url(url)
        return alchemy.create_engine(address.set(password=password) if password else address)
    except (alchemy.exc.SQLAlchemyError, ImportError) as err:
        raise _named_failure(err, password) from err


def read_database(
    url: str, password: str, sql: str, parameters: Mapping[str, object] | None = None
) -> Generator[Mapping[str, object], None, None]:
    """The rows of a query, streamed; the transaction is rolled back. Raises ValueError, never with the password in it."""
    engine = open_engine(url, password)
    alchemy: Any = importlib.import_module("sqlalchemy")
    try:
        with engine.connect() as connection:
            result = connection.execution_options(stream_results=True, yield_per=PAGE).execute(
                alchemy.text(sql), dict(parameters or {})
            )
            for row in result.mappings():
                yield {str(k): v for k, v in row.items()}
    except alchemy.exc.SQLAlchemyError as err:
        raise _named_failure(err, password) from err
    finally:
        engine.dispose()


def _named_failure(err: Exception, password: str) -> ValueError:
    reason = str(err).splitlines()[0][:200].replace(password or "\x00", "***")
    return OperatorError(N_("the database says: {reason}", reason=reason))
