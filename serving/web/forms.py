"""Forms made from the types of an operation's body and query, and read back into what the operation takes. Pure.

A form's fields have flat names, ``client.member_code``; a list of texts is written a line each, what has no form of its own (lists of
objects, mappings) as JSON. An empty field means "not said": it is left out, so that the operation's own rules judge it.
"""

from __future__ import annotations

import enum
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import inspect

from serving.api.operations import Bytes, MultipartForm
from serving.api.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# The name of a body that is not an object.
BODY: Final = "body"
SECRETS: Final = frozenset(
    {"password", "passphrase", "pin", "new_pin", "old_pin", "software_token_pin", "secret"}
)
_LISTS: Final = (inspect.ListType, inspect.VarTupleType, inspect.SetType, inspect.FrozenSetType)
_ALTERNATIVES: Final = re.compile(r"\^\((?:\?:)?([\w-]+(?:\|[\w-]+)+)\)\$")


class FieldKind(enum.StrEnum):
    """How a field is shown and read."""

    TEXT = "text"
    HIDDEN = "hidden"
    NUMBER = "number"
    CHOICE = "choice"
    SWITCH = "switch"
    MOMENT = "moment"
    LINES = "lines"
    PARAGRAPH = "paragraph"
    JSON = "json"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class FormField:
    """One field. ``name`` is its path in the body; ``choices`` the values that are taken; ``longest`` in characters."""

    name: str
    kind: FieldKind
    required: bool
    choices: tuple[str, ...] = ()
    longest: int | None = None

    @property
    def term(self) -> str:
        """The member's own name, under which its help text is found."""
        return self.name.rpartition(".")[2]

    @property
    def group(self) -> str:
        """The members around it, empty at the top."""
        return self.name.rpartition(".")[0]


def fields_of(kind: Any) -> tuple[FormField, ...]:
    """The fields of a body or query type (a Struct, a list of values, `Bytes`, `MultipartForm`, or None)."""
    if kind is None:
        return ()
    if isinstance(kind, Bytes):
        return (FormField(BODY, FieldKind.FILE, required=True),)
    if isinstance(kind, MultipartForm):
        return (
            *(FormField(n, _text_kind(n, lines=False), must) for n, must in kind.fields.items()),
            *(FormField(n, FieldKind.FILE, must) for n, must in kind.files.items()),
        )
    info, _ = _bare(inspect.type_info(kind))
    if isinstance(info, inspect.StructType):
        return tuple(_members(info, "", required=True))
    return (_field(BODY, info, {}, required=True),)


def _bare(info: inspect.Type) -> tuple[inspect.Type, dict[str, Any]]:
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


def _members(struct: inspect.StructType, prefix: str, *, required: bool) -> Iterator[FormField]:
    for member in struct.fields:
        info, extra = _bare(member.type)
        name = f"{prefix}{member.encode_name}"
        must = required and member.required
        if isinstance(info, inspect.StructType):
            yield from _members(info, f"{name}.", required=must)
        else:
            yield _field(name, info, extra, required=must)


def _field(name: str, info: inspect.Type, extra: Mapping[str, Any], *, required: bool) -> FormField:
    if isinstance(info, inspect.BoolType):
        return FormField(name, FieldKind.SWITCH, required)
    if isinstance(info, inspect.IntType | inspect.FloatType):
        return FormField(name, FieldKind.NUMBER, required)
    if isinstance(info, inspect.LiteralType):
        return FormField(name, FieldKind.CHOICE, required, tuple(str(v) for v in info.values))
    if isinstance(info, inspect.EnumType):
        return FormField(name, FieldKind.CHOICE, required, tuple(str(m.value) for m in info.cls))
    if isinstance(info, inspect.StrType):
        if choices := _choices(info):
            return FormField(name, FieldKind.CHOICE, required, choices)
        kind = _text_kind(name, lines=bool(extra.get("lines")))
        return FormField(name, kind, required, longest=info.max_length)
    if isinstance(info, _LISTS) and _holds_text(info.item_type):
        return FormField(name, FieldKind.LINES, required)
    if isinstance(info, inspect.DateTimeType):
        return FormField(name, FieldKind.MOMENT, required)
    return FormField(name, FieldKind.JSON, required)


def _choices(info: inspect.StrType) -> tuple[str, ...]:
    """The words of a pattern that is nothing but a choice between words, ``^(DER|PEM)$``."""
    found = _ALTERNATIVES.fullmatch(info.pattern or "")
    return tuple(found[1].split("|")) if found else ()


def _holds_text(info: inspect.Type) -> bool:
    bare, _ = _bare(info)
    return isinstance(bare, inspect.StrType | inspect.LiteralType | inspect.EnumType)


def _text_kind(name: str, *, lines: bool) -> FieldKind:
    if name.rpartition(".")[2] in SECRETS:
        return FieldKind.HIDDEN
    return FieldKind.PARAGRAPH if lines else FieldKind.TEXT


def read_values(fields: tuple[FormField, ...], form: Mapping[str, str]) -> Any:
    """The body that a form says, as JSON has it: an object, or the one value of a body that is none. Files are not read here.

    Raises `Problem` (400, ``validation_errors`` with the field's name) for a number or JSON that is none.
    """
    body: dict[str, Any] = {}
    for field in fields:
        text = form.get(field.name, "")
        if not text.strip() or field.kind is FieldKind.FILE:
            continue
        value = _value(field, text)
        if field.name == BODY:
            return value
        place = body
        *around, last = field.name.split(".")
        for name in around:
            place = place.setdefault(name, {})
        place[last] = value
    return [] if fields and fields[0].name == BODY else body


def _value(field: FormField, text: str) -> Any:
    match field.kind:
        case FieldKind.SWITCH:
            return text == "true"
        case FieldKind.NUMBER:
            return _number(field, text.strip())
        case FieldKind.LINES:
            return [line.strip() for line in text.splitlines() if line.strip()]
        case FieldKind.JSON:
            try:
                return msgspec.json.decode(text)
            except (msgspec.DecodeError, RecursionError) as err:
                raise _not_readable(field, f"JSON is expected: {err}") from err
        case FieldKind.PARAGRAPH:
            return text.replace("\r\n", "\n")
        case _:
            return text


def _number(field: FormField, text: str) -> int | float:
    try:
        return (
            int(text)
            if text.lstrip("-").isascii() and text.lstrip("-").isdigit() and len(text) < 20
            else float(text)
        )
    except ValueError as err:
        raise _not_readable(field, f"a number is expected, not {text[:40]!r}") from err


def _not_readable(field: FormField, expected: str) -> Problem:
    return Problem(
        400, "validation_failure", [f"{field.name}: {expected}"], validation_errors={field.name: ["Type"]}
    )


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
    bare, _ = _bare(info)
    if isinstance(bare, inspect.StructType):
        return {f.encode_name: _example(f.type, f.encode_name) for f in bare.fields}
    if isinstance(bare, inspect.LiteralType):
        return bare.values[0]
    if isinstance(bare, inspect.EnumType):
        return next(iter(bare.cls)).value
    if isinstance(bare, _LISTS):
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
        if choices := _choices(bare):
            return choices[0]
        known = _EXAMPLES.get(name)
        return known if isinstance(known, str) else name or "text"
    return {}


def as_text(field: FormField, value: Any) -> str:
    """A value as the field of a form shows it; the other way round of `read_values`."""
    if value is None:
        return ""
    match field.kind:
        case FieldKind.SWITCH:
            return "true" if value else "false"
        case FieldKind.LINES:
            return "\n".join(str(v) for v in value)
        case FieldKind.JSON:
            return json.dumps(value, ensure_ascii=False, indent=1)
        case _:
            return str(value)
