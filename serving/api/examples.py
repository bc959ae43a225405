"""Types of an operation's bodies and answers, looked into: without their annotations, as choices, and as an example value. Pure."""

from __future__ import annotations

import re
from typing import Any, Final

from msgspec import inspect

LISTS: Final = (inspect.ListType, inspect.VarTupleType, inspect.SetType, inspect.FrozenSetType)
_ALTERNATIVES: Final = re.compile(r"\^\((?:\?:)?([\w-]+(?:\|[\w-]+)+)\)\$")


def bare_type(info: inspect.Type) -> tuple[inspect.Type, dict[str, Any]]:
    """The type without its annotations and without None, and what the annotations say beside the type."""
    extra: dict[str, Any] = {}
    while True:
        if isinstance(info, inspect.Metadata):
            extra |= info.extra or {}
            info = info.type
        elif isinstance(info, inspect.UnionType):
            rest = [t for t in info.types if not isinstance(t, inspect.NoneType)]
            if len(rest) != 1:
                return info, extra
            info = rest[0]
        else:
            return info, extra


def choices_of(info: inspect.StrType) -> tuple[str, ...]:
    """The words of a pattern that is nothing but a choice between words, ``^(DER|PEM)$``."""
    found = _ALTERNATIVES.fullmatch(info.pattern or "")
    return tuple(found[1].split("|")) if found else ()


def example_of(kind: Any) -> Any:
    """A value that a body or answer of this type may have, for documents: every member, shortest lists, told apart by name."""
    info = inspect.type_info(kind)
    return _example(info, "")


_EXAMPLES: Final[dict[str, Any]] = {
    "client_id": "MX:GOB:15-ISSEMYM:AFIL", "member_class": "GOB", "member_code": "15-ISSEMYM", "subsystem_code": "AFIL",
    "instance_id": "MX", "instance": "MX", "server_code": "GW1", "security_server_code": "GW1", "service_code": "persons",
    "url": "https://system.example/persons", "mail_address": "operator@institute.example", "timeout": 60,
    "not_before": "2027-01-01T00:00:00Z", "not_after": "2029-01-01T00:00:00Z", "method": "GET", "path": "/persons/*",
    "identity": "AGE-SECRET-KEY-1QQQQQQQQQQ", "signer": f"SHA256:{64 * '0'}",
}  # fmt: skip


def _example(info: inspect.Type, name: str) -> Any:
    bare, _ = bare_type(info)
    if isinstance(bare, inspect.StructType):
        return {f.encode_name: _example(f.type, f.encode_name) for f in bare.fields}
    if isinstance(bare, inspect.LiteralType):
        return bare.values[0]
    if isinstance(bare, inspect.EnumType):
        return next(iter(bare.cls)).value
    if isinstance(bare, LISTS):
        return [_example(bare.item_type, name)]
    if isinstance(bare, inspect.DictType):
        return {"name": _example(bare.value_type, name)}
    if isinstance(bare, inspect.BoolType):
        return False
    if isinstance(bare, inspect.IntType | inspect.FloatType):
        least = bare.ge if bare.ge is not None else 1
        return _EXAMPLES.get(name) if isinstance(_EXAMPLES.get(name), int) else least
    if isinstance(bare, inspect.UnionType):
        return _example(bare.types[0], name)
    if isinstance(bare, inspect.DateTimeType):
        return "2027-01-01T00:00:00Z"
    if isinstance(bare, inspect.StrType):
        if choices := choices_of(bare):
            return choices[0]
        known = _EXAMPLES.get(name)
        return known if isinstance(known, str) else name or "text"
    return {}
