"""The CSV layouts of an import (UTF-8, comma, exact header), and how a cell becomes a value. Layouts: docs/importar.md, docs/import.md."""

from __future__ import annotations

import csv
import hashlib
import re
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from schemas.jsontext import load_json
from serving.errors import OperatorError
from serving.language import N_
from social_security.domain.faults import InputError
from social_security.domain.history import EARLIEST

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

PERSONS: Final = ("expediente", "curp", "nivel")
PIDS: Final = ("expediente", "pid")
AFFILIATIONS: Final = ("expediente", "regimen", "estado", "desde", "hasta", "nivel")
PERIODS: Final = (
    "id_periodo", "expediente", "desde", "hasta", "tipo", "dias_descontados", "dias_reintegrados", "empleador",
    "sueldo_mensual_centavos",
)  # fmt: skip
CONTACTS: Final = ("expediente", "correo")
RETIREES: Final = ("expediente", "nombre", "pension_mensual_centavos")
# What only an institute that leaves hands over: which uses persons oppose, and requests that are still to be answered.
OPPOSITIONS: Final = ("expediente", "uso", "folio", "desde")
REQUESTS: Final = (
    "folio", "expediente", "miembro", "estado", "solicitud", "plazos", "negativa", "comite", "resultado",
)  # fmt: skip
HANDED_OVER: Final = ("oposiciones", "solicitudes")
# What an institute imports, by the name of its kind.
LAYOUTS: Final[Mapping[str, Sequence[str]]] = {
    "afiliaciones": AFFILIATIONS, "periodos": PERIODS, "contactos": CONTACTS, "jubilados": RETIREES,
    "oposiciones": OPPOSITIONS, "solicitudes": REQUESTS,
}  # fmt: skip
STATES: Final = frozenset(("ACTIVA", "BAJA", "PENSIONADA", "FALLECIDA"))
_TEXT: Final = re.compile(r"[^\x00-\x1f\x7f]{1,100}")
_NUMBER: Final = re.compile(r"\d{1,13}", re.ASCII)
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_FOLIO: Final = re.compile(r"ARCO-\d{2}-20\d{2}-\d{8}", re.ASCII)
_SWAPPED: Final = re.compile(r"(\d{2})[/-](\d{2})[/-](\d{4})", re.ASCII)
# One address as people have them; whether somebody reads it there no file can say.
_EMAIL: Final = re.compile(
    r"[^\s@,;<>()\x00-\x1f\x7f]{1,64}@([^\s@.,;<>()\x00-\x1f\x7f]+\.)+[^\s@.,;<>()\x00-\x1f\x7f]{2,63}"
)
_LONGEST_EMAIL: Final = 254


def read_rows(file: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a CSV with exactly these columns, numbered as a spreadsheet shows them. Raises ValueError."""
    with file.open(encoding="utf-8-sig", newline="") as opened:
        reader = csv.reader(opened, strict=True)
        try:
            header = next(reader, [])
            if header != list(columns):
                raise OperatorError(
                    N_(
                        "{file}: the header is {names}; expected {names2}",
                        file=file,
                        names=",".join(header)[:200],
                        names2=",".join(columns),
                    )
                )
            for number, cells in enumerate(reader, 2):
                if not cells:
                    continue  # a line with nothing in it, as spreadsheets leave at the end
                # A row of another width keeps its number and is told by its parser as one that lacks a field.
                whole = [c.strip() for c in cells] if len(cells) == len(columns) else []
                yield number, dict(zip(columns, whole, strict=False))
        except (csv.Error, UnicodeDecodeError) as err:
            raise OperatorError(N_("{file}: not a CSV in UTF-8 ({err})", file=file, err=err)) from err


def measure(file: Path) -> tuple[str, int]:
    """The SHA-256 of a file in hex, and how many lines it has: of its rows about as many."""
    digest, lines = hashlib.sha256(), 0
    with file.open("rb") as opened:
        while block := opened.read(1 << 20):
            digest.update(block)
            lines += block.count(b"\n")
    return digest.hexdigest(), lines


def parse_text(row: Mapping[str, str], name: str) -> str:
    """The text in a column, 1 to 100 characters. Raises `InputError`."""
    value = row.get(name, "")
    if _TEXT.fullmatch(value) is None:
        raise InputError(
            name,
            "missing, or not a text of at most 100 characters",
            es="falta, o no es un texto de a lo más 100 caracteres",
        )
    return value


def parse_whole(row: Mapping[str, str], name: str, least: int, most: int) -> int:
    """The whole number in a column, within bounds. Raises `InputError`."""
    value = row.get(name, "")
    if _NUMBER.fullmatch(value) is None or not least <= int(value) <= most:
        raise InputError(
            name,
            f"a whole number from {least} to {most} is expected",
            es=f"se espera un entero de {least} a {most}",
        )
    return int(value)


def parse_day(row: Mapping[str, str], name: str) -> date:
    """The day in a column, as ``2026-04-30``. Raises `InputError`, with a suggestion for 30/04/2026."""
    value = row.get(name, "")
    try:
        if _DAY.fullmatch(value):
            return date.fromisoformat(value)
    except ValueError:
        pass
    swapped = _SWAPPED.fullmatch(value)
    raise InputError(
        name,
        "YYYY-MM-DD is expected, a day that exists",
        "" if swapped is None else f"{swapped[3]}-{swapped[2]}-{swapped[1]}",
        es="se espera AAAA-MM-DD, un día que exista",
    )


def parse_email(row: Mapping[str, str], name: str) -> str:
    """The e-mail address in a column. Raises `InputError`."""
    value = row.get(name, "")
    if len(value) > _LONGEST_EMAIL or _EMAIL.fullmatch(value) is None:
        raise InputError(
            name,
            f"one e-mail address of at most {_LONGEST_EMAIL} characters is expected, as nombre@ejemplo.mx",
            es=f"se espera una dirección de correo de a lo más {_LONGEST_EMAIL} caracteres, como nombre@ejemplo.mx",
        )
    return value


def parse_folio(row: Mapping[str, str], name: str) -> str:
    """The folio in a column, as ``ARCO-15-2026-00000001``. Raises `InputError`."""
    value = row.get(name, "")
    if _FOLIO.fullmatch(value) is None:
        raise InputError(
            name,
            "a folio is expected, as ARCO-15-2026-00000001",
            es="se espera un folio, como ARCO-15-2026-00000001",
        )
    return value


def parse_object(row: Mapping[str, str], name: str) -> dict[str, Any]:
    """The JSON object in a column. Raises `InputError`."""
    try:
        value = load_json(row.get(name, ""))
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise InputError(name, "a JSON object is expected", es="se espera un objeto JSON")
    return value


@dataclass(frozen=True, slots=True)
class PeriodRow:
    """A period as its row says it, by the institute's own identifier; days are whole numbers, pay is in centavos a month."""

    name: str
    since: date
    until: date | None
    type: str
    discounted: int
    reinstated: int
    employer: str
    monthly_cents: int


def parse_span(row: Mapping[str, str], today: date) -> tuple[date, date | None]:
    """From and to, in that order and not in the future; an empty ``hasta`` is open. Raises `InputError`."""
    since = parse_day(row, "desde")
    until = parse_day(row, "hasta") if row.get("hasta") else None
    if since > today or (until is not None and until > today):
        name = "hasta" if since <= today else "desde"
        raise InputError(name, "the day is in the future", es="la fecha es futura")
    if until is not None and until < since:
        raise InputError(
            "hasta", "it ends before it begins", f"{until},{since}", es="termina antes de empezar"
        )
    if since < EARLIEST:
        raise InputError("desde", f"before {EARLIEST.year}", es=f"anterior a {EARLIEST.year}")
    return since, until


def parse_period(row: Mapping[str, str], today: date) -> PeriodRow:
    """The period of a row of `PERIODS`, whoever's it is. Raises `InputError`."""
    since, until = parse_span(row, today)
    days = (until or today).toordinal() - since.toordinal() + 1
    discounted = parse_whole(row, "dias_descontados", 0, days)
    return PeriodRow(
        parse_text(row, "id_periodo"),
        since,
        until,
        parse_text(row, "tipo"),
        discounted,
        parse_whole(row, "dias_reintegrados", 0, discounted),
        parse_text(row, "empleador"),
        parse_whole(row, "sueldo_mensual_centavos", 0, 10**12),
    )


def check_once(seen: dict[Any, int], number: int, keys: Mapping[str, Any]) -> None:
    """Note the row of keys, by column, that stand once in a file: all of them or, where one was there, none. Raises `InputError`.

    It is the last check of a row: a row that is refused has taken nobody's place, and a good one may follow it.
    """
    for name, key in keys.items():
        before = seen.get((name, key))
        if before is not None:
            raise InputError(
                name, f"repeated: it is in row {before}", es=f"repetido: está en la fila {before}"
            )
    seen.update(((name, key), number) for name, key in keys.items())
