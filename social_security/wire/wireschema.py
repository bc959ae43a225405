"""Bodies against the OpenAPI description: the first place where they differ, without the value that stands there.

Pure. Identifiers are looked at first, so that a wrong check digit is told as such and not as a pattern mismatch.
"""

from __future__ import annotations

import functools
import re
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

import jsonschema_rs

from social_security.domain import pack
from social_security.domain.curp import parse_curp
from social_security.domain.faults import DomainError
from social_security.domain.pseudonyms import parse_pid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from social_security.domain.pack import PackOperation

# C0 controls but tab and line ends, DEL, surrogates, and the two code points that XML refuses.
_UNCARRIED: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")

# RFC 3339 5.6, in capitals. The validator's own formats take year 0, second 60 and small letters, which no `datetime` holds.
_DATE: Final = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DATE_TIME: Final = re.compile(
    "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})"
)


def check_values(body: Mapping[str, Any], today: date, *, takes_curp: bool) -> None:
    """Check the text and the identifiers in a body. Raises `DomainError` SS-100 to SS-104."""
    check_text(body)
    curp = body.get("curp")
    if takes_curp and isinstance(curp, str):
        parse_curp(curp, today)
    pid = body.get("pid")
    if isinstance(pid, str):
        parse_pid(pid)


def check_text(body: Mapping[str, Any]) -> None:
    """Refuse text that no database, log or XML carries: control characters, halves of a surrogate pair (SS-100)."""
    for name, value in strings(dict(body)):
        if _UNCARRIED.search(value):
            raise DomainError(
                "SS-100",
                "hay caracteres de control o que no son texto",
                "there are control characters, or some that are no text",
                field=name[:40] if name.isascii() and name.isprintable() else None,
            )


def check_request(operation: PackOperation, body: Mapping[str, Any]) -> None:
    """Refuse a body that does not follow the description. Raises `DomainError` SS-100."""
    validator = _request_validator(operation.name)
    if validator is not None:
        _check(validator, body)


def strings(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Every string in a JSON value with the name of the field that holds it."""
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from strings(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner, name)


def _check(validator: jsonschema_rs.Draft7Validator, body: Mapping[str, Any]) -> None:
    error = next(validator.iter_errors(dict(body)), None)
    if error is None:
        return
    where = ".".join(str(p) for p in error.instance_path) or "(raíz)"
    rule = ".".join(str(p) for p in error.schema_path[-1:]) or "esquema"
    raise DomainError("SS-100", f"{where}, regla {rule}", f"{where}, rule {rule}", field=where)


@functools.cache
def _request_validator(operation: str) -> jsonschema_rs.Draft7Validator | None:
    for methods in pack.openapi()["paths"].values():
        for described in methods.values():
            if described.get("operationId") == operation:
                body = described.get("requestBody")
                return None if body is None else _validator(body["content"]["application/json"]["schema"])
    raise LookupError(f"the service description has no operation {operation}")


def _validator(schema: Mapping[str, Any]) -> jsonschema_rs.Draft7Validator:
    # A $ref beside other keywords hides them in draft 7, hence allOf.
    root = {"allOf": [schema], "components": pack.openapi()["components"]}
    formats = {"date": _is_date, "date-time": _is_date_time}
    return jsonschema_rs.Draft7Validator(root, validate_formats=True, formats=formats)


def _is_date(text: str) -> bool:
    return _DATE.fullmatch(text) is not None and _can_read(date.fromisoformat, text)


def _is_date_time(text: str) -> bool:
    return _DATE_TIME.fullmatch(text) is not None and _can_read(datetime.fromisoformat, text)


def _can_read(read: Callable[[str], date], text: str) -> bool:
    try:
        read(text)
    except ValueError:
        return False
    return True
